// Two pictures in one box: `after`, and above it `before`, which ends at the divider. They can be
// zoomed and panned together, and fill the screen.
import Panzoom from "./vendor/panzoom.es.js";

const MOST_ZOOM = 16;
export const STEP = 1.5;

export class Viewer {
    constructor(root) {
        this.root = root;
        this.box = root.querySelector(".viewport");
        this.divider = root.querySelector(".divider");
        this.images = {
            before: root.querySelector("img.before"),
            after: root.querySelector("img.after"),
        };
        this.isComparing = false;
        this.isHeld = false;
        this.share = 0.5; // where the divider is, of the box's width
        this.loads = { before: 0, after: 0 };
        this.zoom = Panzoom(root.querySelector(".layers"), {
            canvas: true,
            contain: "outside",
            cursor: "",
            maxScale: MOST_ZOOM,
            minScale: 1,
            panOnlyWhenZoomed: true,
            step: 0.5,
            touchAction: "pan-y",
            exclude: [this.divider],
        });
        this.#listen();
        this.#update();
    }

    // Shows a picture when it has been decoded: what was there stays until then. Resolves to
    // whether it is shown; a later call wins.
    async load(which, url, alt = "") {
        const image = this.images[which];
        const turn = ++this.loads[which];
        if (!url) {
            image.removeAttribute("src");
            image.hidden = true;
            this.#update();
            return true;
        }
        if (image.getAttribute("src") !== url) {
            const next = new Image();
            next.src = url;
            try {
                await next.decode();
            } catch {
                return false;
            }
            if (turn !== this.loads[which]) return false;
            image.src = url;
        }
        image.alt = alt;
        image.hidden = false;
        this.#update();
        return true;
    }

    compare(isComparing) {
        this.isComparing = isComparing;
        this.#update();
    }

    hold(isHeld) {
        this.isHeld = isHeld;
        this.#update();
    }

    moveDivider(share) {
        this.share = Math.min(Math.max(share, 0), 1);
        this.#update();
    }

    get isZoomed() {
        return this.zoom.getScale() > 1.001;
    }

    // The zoom at which a pixel of the picture is one of the screen.
    get trueScale() {
        const image = this.images.after;
        if (!image.naturalWidth) return 1;
        const { clientWidth: width, clientHeight: height } = this.box;
        const shown = Math.min(width, height * image.naturalWidth / image.naturalHeight);
        return image.naturalWidth / (shown * devicePixelRatio);
    }

    zoomBy(factor) {
        this.zoom.zoom(this.zoom.getScale() * factor, { animate: true });
    }

    fit() {
        this.zoom.reset({ animate: true });
    }

    // To 100 %, or closer where the whole picture is shown larger than that; and back.
    zoomIn(point) {
        if (this.isZoomed) return this.fit();
        const scale = this.trueScale > 1.05 ? this.trueScale : 2;
        if (point) this.zoom.zoomToPoint(scale, point, { animate: true });
        else this.zoom.zoom(scale, { animate: true });
    }

    get isFull() {
        return document.fullscreenElement === this.root ||
            this.root.classList.contains("fills-window");
    }

    // An iPhone lets no element fill the screen: there the stage fills the window.
    async toggleFull() {
        if (document.fullscreenElement === this.root) return document.exitFullscreen();
        if (this.root.classList.contains("fills-window")) return this.#fillWindow(false);
        try {
            await this.root.requestFullscreen();
        } catch {
            this.#fillWindow(true);
        }
    }

    #fillWindow(isFilling) {
        this.root.classList.toggle("fills-window", isFilling);
        document.documentElement.classList.toggle("stage-fills-window", isFilling);
        this.root.dispatchEvent(new Event("viewchange"));
    }

    #listen() {
        this.box.addEventListener("wheel", (event) => {
            const zooms = event.ctrlKey || event.metaKey || this.isZoomed || this.isFull;
            if (!zooms) return; // the page is scrolled
            event.preventDefault();
            this.zoom.zoomWithWheel(event);
        }, { passive: false });
        this.box.addEventListener("dblclick", (event) => this.zoomIn(event));
        this.box.querySelector(".layers").addEventListener("panzoomchange", () => this.#update());
        this.box.addEventListener("keydown", (event) => this.#pressed(event));
        this.box.addEventListener("pointerdown", (event) => this.#grabbed(event));
        new ResizeObserver(() => this.#update()).observe(this.box);
        document.addEventListener("fullscreenchange", () => {
            this.root.dispatchEvent(new Event("viewchange"));
        });
        document.addEventListener("keydown", (event) => {
            if (event.key === "Escape" && this.root.classList.contains("fills-window")) {
                this.#fillWindow(false);
            }
        });
    }

    // The divider follows a finger or the mouse, from the divider or from anywhere.
    #grabbed(event) {
        const isOnDivider = event.target === this.divider;
        if (!this.isComparing || event.button || (this.isZoomed && !isOnDivider)) return;
        const follow = ({ clientX }) => {
            const { left, width } = this.box.getBoundingClientRect();
            this.moveDivider((clientX - left) / width);
        };
        const end = new AbortController();
        const options = { signal: end.signal };
        if (isOnDivider) this.divider.setPointerCapture(event.pointerId);
        else if (event.pointerType === "mouse") follow(event);
        addEventListener("pointermove", follow, options);
        for (const name of ["pointerup", "pointercancel"]) {
            addEventListener(name, () => end.abort(), options);
        }
    }

    #pressed(event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const step = event.shiftKey ? 0.2 : 0.05;
        const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
        const upright = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
        const ends = { Home: 0, End: 1 }[event.key];
        if (event.target === this.divider && (sideways || ends !== undefined)) {
            this.moveDivider(ends ?? this.share + sideways * step);
        } else if (this.isZoomed && (sideways || upright)) {
            const length = 60 / this.zoom.getScale();
            const where = { relative: true, animate: true };
            this.zoom.pan(-sideways * length, -upright * length, where);
        } else return;
        event.preventDefault();
    }

    #update() {
        const { before, after } = this.images;
        const isBoth = this.isComparing && !before.hidden && !after.hidden;
        const scale = this.zoom?.getScale() ?? 1;
        this.divider.hidden = !isBoth || this.isHeld;
        this.divider.style.left = `${100 * this.share}%`;
        const percent = Math.round(100 * this.share);
        this.divider.setAttribute("aria-valuenow", percent);
        this.divider.setAttribute("aria-valuetext", `${percent} % of the first picture`);
        before.style.visibility = this.isHeld || isBoth || after.hidden ? "" : "hidden";
        before.style.clipPath = isBoth && !this.isHeld ? this.#clip(scale) : "";
        this.zoom?.setOptions({ touchAction: this.isZoomed ? "none" : "pan-y" });
        this.root.dataset.compares = isBoth;
        this.root.dispatchEvent(new Event("viewchange"));
    }

    // The divider stands in the box, the clip in the picture, which may be zoomed and panned.
    #clip(scale) {
        const width = this.box.clientWidth;
        const { x } = this.zoom.getPan();
        const edge = width / 2 + (this.share * width - width / 2) / scale - x;
        return `inset(0 ${Math.max(0, width - edge)}px 0 0)`;
    }
}
