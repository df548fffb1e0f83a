// A batch on the stage: a tile for each photo, which becomes its picture.
export class BatchGrid {
    #tiles = [];
    #task = "";

    constructor(root, { open, goOn }) {
        this.root = root;
        this.list = root.querySelector("ul");
        this.list.addEventListener("click", ({ target }) => {
            const button = target.closest("button[data-photo]");
            if (button) open({ job: this.#task, photo: Number(button.dataset.photo) });
        });
        root.querySelector("[data-act=go-on]").addEventListener("click", () => {
            goOn({ job: this.#task });
        });
    }

    // Shows the value of a stage, or nothing where that is no batch's.
    show(value) {
        const isBatch = value.kind === "batch";
        this.root.hidden = !isBatch;
        if (!isBatch) return this.#clear("");
        if (value.job !== this.#task) this.#clear(value.job);
        this.update(value.photos);
        const zip = this.root.querySelector(".zip"),
            goOn = this.root.querySelector("[data-act=go-on]");
        zip.hidden = !value.zip;
        if (value.zip) Object.assign(zip, { href: value.zip, download: value.zipName });
        goOn.hidden = !value.left;
        goOn.textContent = value.left === 1
            ? "Continue with the one that is left"
            : `Continue with the ${value.left} that are left`;
        this.root.querySelector(".acts").hidden = zip.hidden && goOn.hidden;
        if (!value.isLive) this.list.scrollTop = 0;
    }

    update(photos) {
        while (this.#tiles.length < photos.length) this.#add();
        const columns = Math.min(Math.ceil(Math.sqrt(1.4 * photos.length)), 6); // wider than high
        this.list.style.setProperty("--columns", columns);
        photos.forEach((photo, at) => this.#draw(this.#tiles[at], photo, at));
    }

    #clear(task) {
        this.#task = task;
        this.#tiles = [];
        this.list.replaceChildren();
    }

    #add() {
        const item = document.createElement("li");
        item.innerHTML = '<button type="button"><img alt="" hidden></button>' +
            '<span class="name"></span><span class="text"></span>' +
            '<a class="save" hidden>↓</a>';
        this.list.append(item);
        this.#tiles.push({ item, shown: "", isLoading: false });
    }

    #draw(tile, { name, state, text, picture, full, file }, at) {
        const { item } = tile;
        const button = item.querySelector("button"), save = item.querySelector(".save");
        if (state === "running" && item.dataset.state !== state) this.#reveal(item);
        item.dataset.state = state;
        const label = item.querySelector(".name");
        label.textContent = label.title = name;
        item.querySelector(".text").textContent = text;
        button.dataset.photo = at;
        button.disabled = state !== "done";
        button.ariaLabel = state === "done" ? `Open the picture of ${name}` : name;
        button.title = state === "done" ? "Open it as a picture of its own" : "";
        save.hidden = !full;
        if (full && save.getAttribute("href") !== full) {
            Object.assign(save, { href: full, download: file, ariaLabel: `Download ${file}` });
        }
        this.#load(tile, picture);
    }

    // Shows a picture once it is decoded, so that a preview takes the place of the last at once.
    async #load(tile, url) {
        tile.wanted = url;
        if (tile.isLoading || url === tile.shown) return;
        const image = tile.item.querySelector("img");
        if (!url) {
            image.hidden = true;
            tile.shown = "";
            return;
        }
        tile.isLoading = true;
        const next = new Image();
        next.src = url;
        try {
            await next.decode();
            image.src = url;
            image.hidden = false;
            tile.shown = url;
        } catch {
            // The next look tries again.
        } finally {
            tile.isLoading = false;
        }
        // The last one may have come meanwhile, after which nobody looks again.
        if (tile.shown === url && tile.wanted !== url) this.#load(tile, tile.wanted);
    }

    // Scrolls the list, and nothing else, to the photo that is painted now.
    #reveal(item) {
        const list = this.list.getBoundingClientRect(), tile = item.getBoundingClientRect();
        if (tile.bottom > list.bottom) this.list.scrollTop += tile.bottom - list.bottom;
        if (tile.top < list.top) this.list.scrollTop -= list.top - tile.top;
    }
}
