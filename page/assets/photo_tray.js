// Several photos for one batch: sent as they are chosen, shown as thumbnails, removed one by one.
import { answerTo } from "./found_masks.js";
import { reasonOf, sending, TAKERS } from "./sending.js";

const AT_ONCE = 3; // photos on their way
const NOT_SENT = "It could not be sent; please try again.";
const WAITS = "It begins when the photos have been sent.";

const pathOf = (value) => value.file?.path ?? value.example;

export default function mount({ element, props, trigger, watch, upload }) {
    const root = element.querySelector(".photo-tray");
    const list = root.querySelector("ul");
    const said = root.querySelector(".said");
    const input = root.querySelector("input[type=file]");
    const faces = root.querySelector("[name=faces]");
    let entries = []; // { name, shown, value }: a value as an input holds one, once it is there
    let complaints = [];
    let underWay = 0;
    let looks = Promise.resolve(); // the server looks at one photo at a time

    const values = () => entries.filter(({ value }) => value).map(({ value }) => value);
    const isSending = () => entries.some(({ value }) => !value);

    const say = (...lines) => {
        complaints = lines;
        said.textContent = lines.join(" ");
        said.hidden = !lines.length;
    };

    // Lets go of a photo that is not wanted any more; nothing waits for it.
    const drop = (entry) => {
        entry.isDropped = true;
        if (entry.file && !entry.value) URL.revokeObjectURL(entry.shown);
        entry.letGo?.();
    };

    const sayWaits = () => complaints.includes(WAITS) || say(...complaints, WAITS);

    const tile = (entry) => {
        const item = document.createElement("li");
        item.classList.toggle("busy", !entry.value);
        const image = Object.assign(document.createElement("img"), { alt: entry.name });
        image.title = entry.name;
        // Not every browser shows every kind of file; the server's copy is on its way.
        image.addEventListener("error", () => image.style.visibility = "hidden");
        if (entry.shown) image.src = entry.shown;
        const remove = Object.assign(document.createElement("button"), {
            type: "button",
            className: "remove",
            textContent: "×",
            ariaLabel: `Remove ${entry.name}`,
        });
        remove.addEventListener("click", () => {
            const at = entries.indexOf(entry);
            drop(entry);
            entries = entries.filter((each) => each !== entry);
            say();
            commit();
            const buttons = list.querySelectorAll(".remove");
            (buttons[Math.min(at, buttons.length - 1)] ?? document.querySelector("#content button"))
                ?.focus();
        });
        item.append(image, remove);
        return item;
    };

    const another = () => {
        const item = document.createElement("li");
        item.innerHTML = '<button type="button" class="add" aria-label="Add photos">+</button>';
        item.firstChild.addEventListener("click", () => input.click());
        return item;
    };

    const render = () => {
        const count = entries.length;
        root.hidden = !count;
        const there = values().length;
        root.querySelector(".count").textContent = isSending()
            ? `Sending ${there + 1} of ${count}…`
            : `${count} of ${props.most} photos`;
        list.replaceChildren(...entries.map(tile), ...(count < props.most ? [another()] : []));
        document.documentElement.classList.toggle("nst-batch", count > 0);
        const detail = { count, shown: entries[0]?.shown };
        document.dispatchEvent(new CustomEvent("nst:tray", { detail }));
    };

    const commit = () => {
        props.value = { photos: values(), faces: faces.checked };
        render();
        trigger("edit");
    };

    // The first photo is also the one of the input, so that what is for one photo has one.
    const becomePhoto = () => {
        const [value] = values();
        if (!value) return;
        const detail = { role: "content", value, isFirst: true };
        document.dispatchEvent(new CustomEvent("nst:choose", { detail }));
    };

    const look = (path) => {
        looks = looks.then(() => answerTo(trigger, "find", { path }));
        return looks;
    };

    const send = async (entry) => {
        try {
            const { path } = await upload(entry.file);
            const answer = await look(path);
            if (answer.said) throw new Error(answer.said);
            const { shown } = answer;
            entry.value = { file: { path }, example: null, crop: null, shown, name: entry.name };
            URL.revokeObjectURL(entry.shown);
            entry.shown = shown;
        } catch (error) {
            URL.revokeObjectURL(entry.shown);
            if (entry.isDropped) return;
            entries = entries.filter((each) => each !== entry);
            const complaint = `${entry.name} is left out. ${reasonOf(error, NOT_SENT)}`;
            say(...complaints, complaint);
            if (entries.length) return;
            // There is nothing to paint, and no tray any more to say so.
            const text = complaints.filter((line) => line !== WAITS).join(" ");
            const detail = { role: "content", text };
            document.dispatchEvent(new CustomEvent("nst:notice", { detail }));
            throw error;
        }
    };

    const work = async () => {
        const next = entries.find((each) => !each.value && !each.isUnderWay);
        if (!next || underWay >= AT_ONCE) return;
        next.isUnderWay = true;
        underWay++;
        work();
        const dropped = new Promise((done) => next.letGo = done);
        const sent = Promise.race([send(next), dropped]);
        await sending(sent, TAKERS.photos, sayWaits).catch(() => {}); // it was said
        underWay--;
        if (next.isDropped) return work();
        if (isSending()) render();
        else {
            say(...complaints.filter((line) => line !== WAITS));
            becomePhoto();
            commit();
        }
        work();
    };

    const add = (added) => {
        say();
        const room = props.most - entries.length;
        const out = added.length - room;
        if (out > 0) {
            const are = out === 1 ? "is" : "are";
            say(`A batch has at most ${props.most} photos: ${out} ${are} left out.`);
        }
        entries = [...entries, ...added.slice(0, room)];
        if (isSending()) render();
        else commit();
        work();
    };

    const ofFile = (file) => ({ name: file.name, shown: URL.createObjectURL(file), file });
    const ofValue = (value) => ({ name: value.name, shown: value.small ?? value.shown, value });

    document.addEventListener("nst:photos", ({ detail }) => {
        add([...(detail.files ?? []).map(ofFile), ...(detail.values ?? []).map(ofValue)]);
    });
    const acts = {
        single: () => {
            entries.forEach(drop);
            entries = [];
            say();
            commit();
            document.querySelector("#content [data-act=replace]")?.focus();
        },
    };
    root.addEventListener("click", ({ target }) => {
        acts[target.closest("[data-act]")?.dataset.act]?.();
    });
    faces.addEventListener("change", commit);
    input.addEventListener("change", () => {
        const files = [...input.files];
        input.value = "";
        if (files.length) add(files.map(ofFile));
    });
    const takePhotos = () => {
        entries.forEach(drop);
        entries = (props.value?.photos ?? []).map(ofValue);
        render();
    };
    const isKnown = () => {
        const told = props.value?.photos ?? [];
        const known = values();
        return told.length === known.length &&
            told.every((value, at) => pathOf(value) === pathOf(known[at]));
    };
    const takeFaces = () => faces.checked = Boolean(props.value?.faces);
    watch("value", () => {
        takeFaces();
        if (isKnown() && !isSending()) return;
        say();
        takePhotos();
    });
    takeFaces();
    takePhotos();
}
