// Picture or film: two tabs, and what belongs to the one that is chosen.
const PICTURES = "#finished-examples button, #community .cards button";

export default function mount({ element, props, watch }) {
    const tabs = [...element.querySelectorAll("[role=tab]")];
    for (const tab of tabs) {
        const panel = document.getElementById(tab.getAttribute("aria-controls"));
        panel.role = "tabpanel";
        panel.setAttribute("aria-labelledby", tab.id);
    }
    const render = () => {
        const mode = props.value === "film" ? "film" : "picture";
        document.documentElement.dataset.mode = mode;
        for (const tab of tabs) {
            const isChosen = tab.dataset.mode === mode;
            tab.ariaSelected = isChosen;
            tab.tabIndex = isChosen ? 0 : -1;
        }
    };
    const choose = (tab) => {
        if (props.value === tab.dataset.mode) return;
        props.value = tab.dataset.mode;
        render();
        document.dispatchEvent(new Event("nst:mode"));
    };
    element.addEventListener("click", ({ target }) => {
        const tab = target.closest("[role=tab]");
        if (tab) choose(tab);
    });
    element.addEventListener("keydown", (event) => {
        const at = tabs.indexOf(event.target);
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
        if (at < 0 || to === undefined) return;
        event.preventDefault();
        const next = tabs.at(to % tabs.length);
        next.focus();
        choose(next);
    });
    // What is dropped or pasted anywhere, or opened below, is seen.
    document.addEventListener("nst:file", ({ detail }) => {
        if (detail.role !== "style") choose(tabs[detail.role === "clip" ? 1 : 0]);
    });
    document.addEventListener("click", ({ target }) => {
        if (target.closest(PICTURES)) choose(tabs[0]);
    });
    watch("value", render);
    render();
}
