// The film on the stage: the frame that is being painted, and what is done so far, to be played
// beside the clip in step with it.
import { follow } from "./follow.js";
import { bringIntoSight } from "./in_sight.js";
import { fillRange } from "./range.js";

const SIDE = 768; // pixels of the frame that is being painted
const CLIP = "#clip [data-act=replace]";
const LEAST = 2; // frames, to be played
const OUT_OF_STEP = 0.04; // seconds by which the clip may be off while both play
const TRIES = 5; // of a film that is being prepared
const AGAIN = 2000; // milliseconds
const TOLD = [25, 50, 75]; // percent that a screen reader is told

const NO_EXAMPLE = "The example could not be fetched. Please try again.";

const title = document.title;
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export default function mount({ element, props, trigger, watch }) {
    const root = element.querySelector(".stage");
    const [find, all] = [(s) => root.querySelector(s), (s) => root.querySelectorAll(s)];
    const after = find("video.after"), before = find("video.before"), still = find(".still");
    const seek = find(".seek"), divider = find(".divider"), said = find(".said");
    const button = (act) => find(`[data-act=${act}]`);
    // `pair` is what the players hold, `next` what there is to play now.
    const state = {
        task: "",
        leave: null,
        told: 0,
        pair: "",
        next: null,
        preview: "",
        isLoading: false,
        clip: null,
    };

    const say = (text) => {
        if (text && said.textContent !== text) said.textContent = text;
    };
    const isLive = () => Boolean(props.value?.isLive);
    const isPlaying = () => !after.paused;

    // --- What is shown: a clip to trim, the frame that is being painted, or the players

    const show = (what) => {
        root.dataset.shows = what;
        still.hidden = what !== "still";
        after.hidden = !["film", "clip"].includes(what);
        before.hidden = what !== "film" || !state.next?.original;
        find(".empty").hidden = what !== "nothing";
        if (what !== "film") compare(false);
        refresh();
    };

    const refresh = () => {
        const shows = root.dataset.shows;
        const isFilm = shows === "film";
        button("play").disabled = !(state.next || shows === "clip");
        seek.disabled = !(isFilm && after.readyState);
        button("compare").disabled = !state.next?.original;
        button("play").ariaLabel = isPlaying() ? "Pause" : "Play";
        root.dataset.plays = isPlaying();
        tick();
    };

    const tick = () => {
        const range = state.clip && root.dataset.shows === "clip" ? state.clip : null;
        const begin = range?.begin ?? 0;
        const length = (range?.end ?? after.duration) - begin;
        const time = after.hidden ? 0 : Math.max(0, after.currentTime - begin);
        if (range && isPlaying() && after.currentTime >= range.end) after.currentTime = begin;
        seek.max = length > 0 && Number.isFinite(length) ? length : 1;
        if (document.activeElement !== seek || isPlaying()) seek.value = time;
        fillRange(seek);
        seek.setAttribute("aria-valuetext", `${time.toFixed(1)} s`);
        find(".time").textContent = `${time.toFixed(1)} s`;
    };

    const run = () => {
        tick();
        if (!isPlaying()) return;
        const off = Math.abs(before.currentTime - after.currentTime);
        if (!before.hidden && off > OUT_OF_STEP && !before.seeking) {
            before.currentTime = after.currentTime;
        }
        requestAnimationFrame(run);
    };

    // Resolves to whether a player has its film; one that is being prepared is asked for again.
    const load = async (video, address) => {
        video.dataset.wanted = address;
        for (let tries = 0; tries < TRIES; tries++) {
            if (tries) await pause(AGAIN);
            if (video.dataset.wanted !== address) return false;
            const end = new AbortController();
            const loaded = new Promise((done) => {
                video.addEventListener("loadedmetadata", () => done(true), { signal: end.signal });
                video.addEventListener("error", () => done(false), { signal: end.signal });
            });
            video.src = address;
            const isThere = await loaded;
            end.abort();
            if (isThere) return true;
        }
        return false;
    };

    // Brings what is done so far into the players.
    const take = async () => {
        const { painted, original } = state.next;
        if (state.pair === painted) return true;
        state.pair = painted;
        root.dataset.loads = true;
        const loads = [load(after, painted)];
        if (original) loads.push(load(before, original));
        const found = await Promise.all(loads);
        delete root.dataset.loads;
        if (state.pair !== painted) return false;
        if (found[0]) return true;
        state.pair = "";
        say("The film cannot be shown now; please try again in a moment.");
        return false;
    };

    const begin = async () => {
        if (root.dataset.shows === "clip") {
            const { begin, end } = state.clip;
            if (after.currentTime < begin || after.currentTime >= end) after.currentTime = begin;
        } else {
            if (root.dataset.shows !== "film") after.currentTime = 0;
            if (!await take()) return;
            show("film");
            before.currentTime = after.currentTime;
            if (!before.hidden) before.play().catch(() => {});
        }
        await after.play().catch(playSilently);
    };

    // A browser may forbid sound when the film came late after the click.
    const playSilently = () => {
        after.muted = true;
        return after.play().catch(() => {});
    };

    const halt = () => {
        after.pause();
        before.pause();
        if (isLive() && root.dataset.shows === "film" && !root.dataset.compares) show("still");
    };

    for (const name of ["play", "pause"]) after.addEventListener(name, refresh);
    after.addEventListener("play", run);
    after.addEventListener("loadeddata", refresh);
    after.addEventListener("pause", () => {
        before.pause();
        if (!before.hidden) before.currentTime = after.currentTime;
    });
    // Over again, with what has been painted meanwhile.
    after.addEventListener("ended", async () => {
        if (root.dataset.shows === "film" && !await take()) return;
        after.currentTime = before.currentTime = 0;
        begin();
    });
    seek.addEventListener("input", () => {
        after.currentTime = seek.valueAsNumber;
        if (!before.hidden) before.currentTime = seek.valueAsNumber;
        tick();
    });

    // --- The clip beside the film

    const placeDivider = (percent) => {
        const at = Math.min(Math.max(percent, 0), 100);
        root.style.setProperty("--divider", at);
        divider.ariaValueNow = Math.round(at);
    };

    const compare = (isOn) => {
        const compares = isOn && !before.hidden;
        root.dataset.compares = compares;
        if (!compares) delete root.dataset.compares;
        divider.hidden = !compares;
        button("compare").ariaPressed = compares;
    };

    const toggleComparing = async () => {
        if (root.dataset.compares) {
            compare(false);
            return halt();
        }
        if (!state.next?.original || !await take()) return;
        show("film");
        before.currentTime = after.currentTime;
        compare(true);
    };

    let isDragging = false;
    divider.addEventListener("pointerdown", ({ pointerId }) => {
        isDragging = true;
        divider.setPointerCapture(pointerId);
    });
    divider.addEventListener("pointermove", ({ clientX }) => {
        if (!isDragging) return;
        const { left, width } = find(".viewport").getBoundingClientRect();
        placeDivider(100 * (clientX - left) / width);
    });
    for (const name of ["pointerup", "pointercancel"]) {
        divider.addEventListener(name, () => isDragging = false);
    }
    divider.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -2, ArrowRight: 2, Home: -100, End: 100 }[event.key];
        if (!by) return;
        event.preventDefault();
        placeDivider(Number(divider.ariaValueNow) + by);
    });

    // --- A film that is being painted

    const showStill = async (address) => {
        if (state.isLoading || !address || address === state.preview) return;
        const task = state.task;
        const image = new Image();
        image.src = `${address}&side=${SIDE}`;
        state.isLoading = true;
        try {
            await image.decode();
        } catch {
            return; // the next look tries again
        } finally {
            state.isLoading = false;
        }
        if (task !== state.task) return;
        state.preview = address;
        still.src = image.src;
        if (root.dataset.shows !== "film") show("still");
    };

    const onLook = (look) => {
        document.dispatchEvent(new CustomEvent("nst:look", { detail: look }));
        if (!look.isLive) {
            state.leave = null;
            document.title = title;
            return trigger("ended");
        }
        const percent = look.percent ?? 0;
        root.style.setProperty("--done", percent);
        document.title = percent ? `${percent} % · ${props.value.name}` : title;
        const step = TOLD.findLast((each) => percent >= each) ?? 0;
        if (step > state.told) say(`${step} percent painted.`);
        state.told = Math.max(state.told, step);
        still.alt = `Frame ${Math.min(look.count + 1, look.total)} as it is being painted`;
        if (look.count >= LEAST) state.next = look.pair;
        showStill(look.preview);
        refresh();
    };

    const followFilm = (task) => {
        state.leave?.();
        Object.assign(state, { task, leave: null, told: 0, next: null, pair: "", preview: "" });
        if (!task) return;
        state.leave = follow(task, {
            onLook,
            onLost: () => root.dataset.line = "lost",
            onFound: () => root.dataset.line = "",
        });
    };

    const render = () => {
        const value = props.value ?? {};
        bringIntoSight(root);
        root.dataset.live = isLive();
        const task = isLive() ? value.film : "";
        if (task !== state.task || (task && !state.leave)) followFilm(task);
        say(value.said);
        if (isLive()) {
            after.pause();
            if (root.dataset.shows !== "still") show(still.src && state.preview ? "still" : "wait");
            return;
        }
        root.style.setProperty("--done", 0);
        state.next = value.pair ?? null;
        if (!state.next) return show(state.clip ? "clip" : "nothing");
        take().then((isThere) => {
            if (isThere && !isLive()) show("film");
        });
    };

    document.addEventListener("nst:mode", () => bringIntoSight(root));

    // The frame at the handle that trims a clip.
    document.addEventListener("nst:clip", ({ detail }) => {
        state.clip = detail;
        if (isLive()) return;
        if (root.dataset.shows !== "clip" || !after.src.endsWith(detail.url)) {
            after.pause();
            state.pair = "";
            state.next = null;
            if (!after.src.endsWith(detail.url)) after.src = detail.url;
            show("clip");
        }
        after.currentTime = detail.time;
    });

    // For whoever has no clip at hand.
    const takeExample = async () => {
        const act = button("example");
        if (act.ariaBusy) return;
        act.ariaBusy = "true";
        const answer = await fetch(props.example).catch(() => null);
        const data = answer?.ok ? await answer.blob().catch(() => null) : null;
        act.ariaBusy = null;
        if (!data) {
            find(".empty span").textContent = NO_EXAMPLE;
            return;
        }
        if (root.dataset.shows !== "nothing") return; // a clip was chosen meanwhile
        const file = new File([data], "example.mp4", { type: "video/mp4" });
        document.dispatchEvent(new CustomEvent("nst:file", { detail: { role: "clip", file } }));
        if (act === document.activeElement) document.querySelector(CLIP).focus();
    };

    const acts = {
        example: takeExample,
        play: () => isPlaying() ? halt() : begin(),
        compare: toggleComparing,
        full: () =>
            document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen(),
    };
    root.addEventListener("click", ({ target }) => {
        acts[target.closest("button[data-act]")?.dataset.act]?.();
    });
    if (!root.requestFullscreen) button("full").hidden = true; // Safari on a phone
    for (const video of all("video")) video.addEventListener("click", acts.play);
    placeDivider(50);
    show("nothing");
    watch("value", render);
    render();
}
