// The paintings of a picture beyond the first, their weights, and the regions where each rules.
import { chosen, essenceOf } from "./chosen.js";
import { DirectionPanel } from "./direction.js";
import { answerTo, foundMask } from "./found_masks.js";
import { maskFile } from "./masks.js";
import { share, summaryOf, trimmed, USUAL } from "./placement.js";
import { fillRange } from "./range.js";
import {
    COLORS,
    elsewhere,
    firstFree,
    freePaintings,
    MOST_REGIONS,
    regionsOf,
    REST,
    rulerOf,
    TOO_MANY,
} from "./regions.js";
import { reasonOf, sending, TAKERS } from "./sending.js";

const NUMBERS = ["No", "One", "Two", "Three", "Four", "Five", "Six"];
const MOST_WEIGHT = 2; // of a slider; only proportions count
const MOST_STRENGTH = 4;
const MOST_PROTECTING = 0.5; // strength of a region that protects what is in it
const PROTECT = "Find the faces, and paint them at a lower strength";
const NOT_SHOWN = "The picture cannot be shown yet; please try again in a moment.";
const NO_PHOTO = "Choose a photo first.";
const REGIONS_GONE =
    "The regions belonged to the photo before, and went with it. Undo brings both back.";
const OTHER_PHOTO = "The photo was changed meanwhile; the regions were painted on the one before.";
const READY = "The regions are ready.";
const PART_GONE =
    "The painted part belonged to the painting before, and went with it. Undo brings both back.";
const OTHER_PAINTING =
    "The painting was changed meanwhile; the part was painted on the one before.";
const NOT_SENT = "The picture could not be sent. Please try again.";

const TURN =
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7" /></svg>';

const node = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
};

const slider = ({ label, value, most, step, onInput }) => {
    const range = node("input", { type: "range", min: 0, max: Math.max(most, value), step });
    range.ariaLabel = label;
    range.value = value;
    range.addEventListener("input", () => onInput(range.valueAsNumber));
    return range;
};

const removeButton = (name, onClick) => {
    const button = node("button", { type: "button", className: "remove", textContent: "×" });
    button.ariaLabel = `Remove ${name}`;
    button.addEventListener("click", onClick);
    return button;
};

// Whether one photo is painted: films and several photos use all of a painting.
const isForOnePhoto = () => {
    const { dataset, classList } = document.documentElement;
    return dataset.mode !== "film" && !classList.contains("nst-batch");
};

// What is uploaded has this address for the tab that sent it.
const addressOf = (path) => `gradio_api/file=${encodeURI(path)}`;

export default function mount({ element, props, trigger, watch, upload }) {
    const root = element.querySelector(".paintings");
    const said = root.querySelector(".said");
    const masks = new Map(); // that were loaded or painted, by their address
    const facesIn = new Map(); // which region has the faces, by `facesKey`; null where none has
    let drawn = "";

    let isStillTrue = () => true; // of what was said last

    const say = (text, isTrue = () => true) => {
        said.textContent = text;
        isStillTrue = isTrue;
    };

    const names = () =>
        [chosen.style, ...props.value.paintings].map((value, at) =>
            value?.name || `Painting ${at + 1}`
        );

    const change = (changes) => {
        props.value = { ...props.value, ...changes };
        render();
        trigger("edit");
        setTimeout(check);
    };

    const valueOf = (number) => number ? props.value.paintings[number - 1] : chosen.style;

    const useOf = (number) => ({ ...USUAL, ...props.value.uses[number] });

    const partOf = (number) => props.value.within[number] ?? null;

    const usedPartOf = (number) => isForOnePhoto() ? partOf(number) : null;

    const summary = (number) => summaryOf(useOf(number), props.layerGroups);

    const usesWith = (changed, use) =>
        props.value.weights.map((_, number) => trimmed(number === changed ? use : useOf(number)));

    const partNote = (number, use) => {
        const textContent = use ? " · a part of it" : "a part of it";
        return usedPartOf(number) ? [node("span", { className: "part", textContent })] : [];
    };

    const withinWith = (changed, part) =>
        props.value.weights.map((_, number) => number === changed ? part : partOf(number));

    // Changes how a painting is used, and which part of it.
    const changeUse = (number, use, part = partOf(number)) =>
        change({
            uses: usesWith(number, use),
            within: withinWith(number, part),
            painting: essenceOf(chosen.style),
        });

    const direction = new DirectionPanel(root.querySelector(".direction"), props.layerGroups, {
        valueOf,
        useOf,
        partOf: usedPartOf,
        nameOf: (number) => names()[number],
        change: changeUse,
        takePart: (number) => takePart(number),
        reset: (number) => changeUse(number, USUAL, isForOnePhoto() ? null : partOf(number)),
    });

    // One after another: there is one place for what is answered.
    let asked = Promise.resolve();
    const askForMask = (wanted) => asked = asked.then(() => foundMask(trigger, wanted));

    const changeRegion = (number, changes) => {
        const { regions } = props.value;
        change({ regions: regions.map((r, at) => at === number ? { ...r, ...changes } : r) });
    };

    const paintingRow = (value, number) => {
        const name = names()[number];
        const picture = node("img", { alt: "", src: value?.small ?? value?.shown ?? "" });
        picture.addEventListener("error", () => picture.style.visibility = "hidden");
        const range = slider({
            label: `Weight of ${name}`,
            value: props.value.weights[number],
            most: MOST_WEIGHT,
            step: 0.02,
            onInput: (weight) =>
                change({ weights: props.value.weights.map((w, at) => at === number ? weight : w) }),
        });
        const row = node("li", {}, picture);
        const title = node("span", { className: "name", textContent: name });
        title.append(node("small"));
        const turn = node("button", { type: "button", className: "turn", innerHTML: TURN });
        turn.ariaLabel = `Adjust ${name}`;
        turn.title = "Adjust what it gives, its size and direction";
        turn.addEventListener("click", () => direction.toggle(number, turn));
        row.append(title, range, node("output"), turn);
        if (number) row.append(removeButton(name, () => removePainting(number)));
        return row;
    };

    const regionRow = (region, number) => {
        const name = `Region ${number + 1}`;
        const row = node("li", {}, node("i"));
        row.style.setProperty("--color", COLORS[region.color]);
        row.classList.toggle("keep", region.painting === null);
        row.append(
            node("span", {
                className: "name",
                textContent: `${name}: ${rulerOf(region, names())}`,
            }),
        );
        const remove = removeButton(name, () => removeRegion(number));
        if (region.painting === null) {
            row.append(remove);
            return row;
        }
        const range = slider({
            label: `Strength in ${name}`,
            value: region.strength,
            most: MOST_STRENGTH,
            step: 0.05,
            onInput: (strength) => changeRegion(number, { strength }),
        });
        row.append(range, node("output"), remove);
        return row;
    };

    // What rows there are; sliders that move leave it as it is, and stay under the finger.
    const rowsOf = ({ paintings, regions }) =>
        JSON.stringify([
            [chosen.style, ...paintings].map((value) => [essenceOf(value), value?.name]),
            regions.map(({ file, painting, color }) => [file.path, painting, color]),
        ]);

    const drawRows = () => {
        const { paintings, regions } = props.value;
        const rows = [chosen.style, ...paintings].map(paintingRow);
        const listed = root.querySelector(".weights");
        listed.replaceChildren(...rows);
        const legend = root.querySelector(".legend");
        legend.replaceChildren(...regions.map(regionRow));
        legend.hidden = !regions.length;
        const rest = root.querySelector(".rest");
        rest.textContent = regions.length ? elsewhere(regions, names()) : "";
        rest.hidden = !regions.length;
        root.querySelector("[data-act=paint] span").textContent = regions.length
            ? "Edit regions"
            : "Paint regions";
    };

    const showNumber = (row, value, text) => {
        const range = row.querySelector("[type=range]");
        if (!range) return;
        if (range.valueAsNumber !== value) {
            range.max = Math.max(range.max, value);
            range.value = value;
        }
        fillRange(range);
        row.querySelector("output").value = text;
        range.setAttribute("aria-valuetext", text);
    };

    // A weight counts among the paintings that rule where no region is, and there among those that
    // have layers in common.
    const showWeights = ({ weights, regions }) => {
        const free = freePaintings(regions, weights.length);
        const blended = (number) => free.filter((other) => share(useOf(number), useOf(other)));
        const shareText = (number) => {
            if (free.length < 2) return weights.length > 1 ? "100 %" : "";
            const total = blended(number).reduce((sum, other) => sum + weights[other], 0);
            if (!total) return "0 %";
            const isAlone = blended(number).length < 2;
            return isAlone ? "" : `${Math.round(100 * weights[number] / total)} %`;
        };
        for (const [number, row] of [...root.querySelectorAll(".weights li")].entries()) {
            const isFree = free.includes(number);
            const text = isFree ? shareText(number) : regionsOf(regions, number);
            const use = summary(number);
            const small = row.querySelector("small");
            small.replaceChildren(use, ...partNote(number, use));
            small.title = small.textContent; // it may be cut
            showNumber(row, weights[number], text);
            row.classList.toggle("tied", !isFree || !text || free.length < 2);
        }
        const isPlain = weights.length < 2 && !summary(0) && !usedPartOf(0);
        root.querySelector(".weights").hidden = isPlain;
    };

    const render = () => {
        const value = props.value;
        const rows = rowsOf(value);
        if (rows !== drawn) drawRows();
        drawn = rows;
        showWeights(value);
        showFaces();
        direction.show();
        if (!isStillTrue()) say("");
        for (const [number, row] of [...root.querySelectorAll(".legend li")].entries()) {
            const { strength } = value.regions[number];
            showNumber(row, strength, `×${strength}`);
        }
    };

    const isFull = () => {
        const has = props.value.paintings.length + 1 >= props.most;
        if (has) say(`${NUMBERS[props.most]} paintings are the most; remove one first.`);
        return has;
    };

    const addPainting = (painting) => {
        if (isFull()) return; // several may have been on their way
        const { paintings, weights } = props.value;
        change({ paintings: [...paintings, painting], weights: [...weights, 1] });
        say(`${painting.name || "The painting"} is added.`);
    };

    // A region of a painting that goes is the first painting's.
    const removePainting = (number) => {
        const { paintings, weights, regions } = props.value;
        const rulerAfter = (ruler) => ruler > number ? ruler - 1 : ruler === number ? 0 : ruler;
        change({
            paintings: paintings.filter((_, at) => at !== number - 1),
            weights: weights.filter((_, at) => at !== number),
            uses: usesWith().filter((_, at) => at !== number),
            within: withinWith().filter((_, at) => at !== number),
            regions: regions.map((region) => ({
                ...region,
                painting: region.painting === null ? null : rulerAfter(region.painting),
            })),
        });
        direction.close();
        say("The painting is removed.");
        root.querySelector("[data-act=add]").focus();
    };

    const removeRegion = (number) => {
        const { regions } = props.value;
        change({ regions: regions.filter((_, at) => at !== number) });
        say(`Region ${number + 1} is removed.`);
        root.querySelector("[data-act=paint]").focus();
    };

    // What decides which region has the faces.
    const facesKey = () =>
        JSON.stringify([
            essenceOf(chosen.content),
            props.value.regions.map(({ file, painting }) => [file.path, painting]),
        ]);

    const isWeaker = ({ painting, strength }) => painting === null || strength <= MOST_PROTECTING;

    // The number of the region that protects the faces, or 0.
    const protecting = () => {
        const at = facesIn.get(facesKey()) ?? -1;
        const region = props.value.regions[at];
        return region && isWeaker(region) ? at + 1 : 0;
    };

    const showFaces = () => {
        const button = root.querySelector("[data-act=protect]"), number = protecting();
        button.querySelector("span").textContent = number ? "Faces protected" : "Protect faces";
        button.title = number ? `The faces are Region ${number}` : PROTECT;
    };

    // Whether a region has the faces is seen by its mask, so that it is known of one that comes
    // from a stored picture or a recipe, and of one that was painted.
    const askWhereFacesAre = () =>
        asked = asked.then(async () => {
            const key = facesKey(); // now: the regions may have changed while it waited
            const answer = await foundMask(trigger, { kind: "faces" });
            facesIn.set(key, answer.region ?? null);
            showFaces();
            return answer;
        });

    const checkFaces = () => {
        const isPossible = props.value.regions.some(({ painting }) =>
            [null, REST].includes(painting)
        );
        if (!isPossible || !chosen.content || facesIn.has(facesKey())) return;
        facesIn.set(facesKey(), null);
        askWhereFacesAre();
    };

    // Makes a region of the faces, where the paintings that rule elsewhere are less strong.
    const protectFaces = async () => {
        if (root.classList.contains("busy")) return;
        if (!chosen.content) return say(NO_PHOTO);
        root.classList.add("busy");
        say("Looking for faces…");
        const key = facesKey();
        const { file, shown, region, said } = await askWhereFacesAre();
        root.classList.remove("busy");
        if (!file) return say(said);
        if (key !== facesKey()) return say("");
        if (protecting()) {
            return say(`The faces are protected already: they are Region ${protecting()}.`);
        }
        if (region === null) addFaces({ file, shown });
        else changeRegion(region, { strength: props.faceStrength });
        const number = protecting();
        if (number) {
            say(`The faces are Region ${number}: ${props.faceStrength} of the strength elsewhere.`);
        }
    };

    const addFaces = (mask) => {
        const { regions } = props.value;
        if (regions.length >= MOST_REGIONS) return say(TOO_MANY);
        const faces = { painting: REST, strength: props.faceStrength, color: firstFree(regions) };
        change({ regions: [...regions, { ...mask, ...faces }], photo: essenceOf(chosen.content) });
        facesIn.set(facesKey(), regions.length);
        showFaces();
    };

    // Resolves to what `received` makes of the path of a file that was sent, or to nothing where it
    // could not be used, which is said.
    const sent = async (file, takers, received) => {
        root.classList.add("busy");
        try {
            return await sending(upload(file).then(({ path }) => received(path)), takers);
        } catch (error) {
            say(reasonOf(error, NOT_SENT));
            return null;
        } finally {
            root.classList.remove("busy");
        }
    };

    // Takes a file, or what an input holds for an example.
    const take = async (choice) => {
        say("");
        if (isFull()) return;
        if (!(choice instanceof File)) return addPainting(choice);
        const painting = await sent(choice, TAKERS.another, shownUpload);
        if (painting) addPainting({ ...painting, name: choice.name });
    };

    // Resolves to what the component holds for a picture that was sent, shown as any browser can.
    const shownUpload = async (path) => {
        const { shown, said } = await answerTo(trigger, "look", { path });
        if (!shown) throw new Error(said);
        return { file: { path }, example: null, crop: null, shown };
    };

    const paintRegions = async () => {
        say("");
        const photo = chosen.content?.shown;
        if (!photo) return say(NO_PHOTO);
        const owner = essenceOf(chosen.content);
        const { paintedRegions } = await import("./mask_editor.js");
        let painted;
        try {
            const { regions } = props.value;
            painted = await paintedRegions({
                photo,
                regions,
                names: names(),
                known: masks,
                askForMask,
            });
        } catch {
            return say(NOT_SHOWN);
        }
        if (!painted) return;
        const taken = takeRegions(painted, owner); // all of them, before Stylize is pressed
        await sending(taken, TAKERS.masks).catch(({ message }) => say(message || NOT_SENT));
    };

    // Resolves to what the component holds for a mask that is sent; rejects with what was said.
    const sentMask = async (mask, size, name) => {
        const received = (path) => ({ file: { path }, shown: addressOf(path) });
        const value = await sent(await maskFile(mask, size, name), TAKERS.masks, received);
        if (!value) throw new Error(said.textContent);
        return value;
    };

    // Sends the masks that were painted on a photo, and leaves the others where they are.
    const takeRegions = async ({ regions, size, loaded }, owner) => {
        say("The regions are being sent…");
        const ready = [];
        for (const { mask, painting, strength, color, ...before } of regions) {
            let { file, shown } = before;
            if (!file || !loaded.includes(mask)) {
                ({ file, shown } = await sentMask(mask, size, `region-${ready.length + 1}.png`));
            }
            masks.set(shown, mask);
            ready.push({ file, shown, painting, strength, color });
        }
        if (owner !== essenceOf(chosen.content)) throw new Error(OTHER_PHOTO);
        change({ regions: ready, photo: owner });
        if (!ready.length) return say("There are no regions.");
        say(READY, () => props.value.regions.length > 0); // they may be undone
    };

    // Has the part of a painting painted that is used, and sends its mask.
    const takePart = async (number) => {
        say("");
        const value = valueOf(number), owner = essenceOf(value), part = partOf(number);
        const painting = value.shown ?? value.small, name = names()[number];
        const { paintedPart } = await import("./mask_editor.js");
        let painted;
        try {
            painted = await paintedPart({ painting, part, name, known: masks });
        } catch {
            return say(NOT_SHOWN);
        }
        if (!painted) return;
        const isSame = () => owner === essenceOf(valueOf(number));
        await sending(sendPart(number, painted, isSame), TAKERS.masks)
            .catch(({ message }) => say(message || NOT_SENT));
    };

    const sendPart = async (number, { mask, size }, isSame) => {
        const part = mask && await sentMask(mask, size, `part-${number + 1}.png`);
        if (part) masks.set(part.shown, mask);
        if (!isSame()) throw new Error(OTHER_PAINTING);
        changeUse(number, useOf(number), part);
        const name = names()[number];
        say(
            part ? `Only the painted part of ${name} is used.` : `All of ${name} is used.`,
            () => partOf(number) === part,
        );
    };

    // A picture to start from is chosen elsewhere, and must not be forgotten.
    const showStart = () => {
        const { small, shown } = chosen.init ?? {};
        root.querySelector(".start").hidden = !shown || !isForOnePhoto();
        if (shown) root.querySelector(".start img").src = small ?? shown;
    };

    // The regions are those of one photo.
    const checkPhoto = () => {
        const { regions, photo } = props.value;
        if (!regions.length) return;
        const present = essenceOf(chosen.content);
        if (!photo) props.value = { ...props.value, photo: present };
        else if (photo !== present) {
            change({ regions: [], photo: null });
            say(REGIONS_GONE, () => !props.value.regions.length);
        }
    };

    // A crop and a part are those of one painting.
    const checkPainting = () => {
        const { painting, uses } = props.value;
        const present = essenceOf(chosen.style), part = partOf(0);
        if ((!uses[0]?.crop && !part) || painting === present) return;
        if (!painting) {
            props.value = { ...props.value, painting: present };
            return;
        }
        changeUse(0, { ...useOf(0), crop: USUAL.crop }, null);
        if (part) say(PART_GONE, () => !partOf(0));
    };

    const check = () => {
        checkPhoto();
        checkPainting();
        checkFaces();
    };

    const acts = {
        add: async () => {
            if (props.value.paintings.length + 1 >= props.most) return take(null);
            const { chosenPainting } = await import("./choose_painting.js");
            const choice = await chosenPainting();
            if (choice) take(choice);
        },
        paint: paintRegions,
        protect: protectFaces,
        afresh: () => {
            const detail = { role: "init", value: null };
            document.dispatchEvent(new CustomEvent("nst:choose", { detail }));
            root.querySelector("[data-act=add]").focus();
        },
    };
    root.addEventListener("click", ({ target }) => {
        acts[target.closest("[data-act]")?.dataset.act]?.();
    });
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
        event.preventDefault();
        event.stopPropagation();
        const example = event.dataTransfer.getData("application/x-nst-example");
        const [picture] = event.dataTransfer.files;
        if (example || picture) take(example ? JSON.parse(example) : picture);
    });
    document.addEventListener("nst:direct", ({ detail }) => direction.toggle(0, detail.opener));
    // The pictures, and what belongs to them, may be set one after the other.
    document.addEventListener("nst:chosen", () => {
        render();
        showStart();
        setTimeout(check);
    });
    for (const name of ["nst:mode", "nst:tray"]) {
        document.addEventListener(name, () => {
            render();
            showStart();
        });
    }
    watch("value", () => {
        render();
        setTimeout(check);
    });
    render();
    showStart();
}
