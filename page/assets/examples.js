// A row of pictures: a click, or a drag to an input, chooses one. The row is one stop of the Tab key.

// What an input holds for the example of a button.
export const exampleOf = ({ dataset }) => ({
    file: null,
    example: dataset.name,
    crop: null,
    shown: dataset.large,
    small: dataset.small,
    name: dataset.title,
});

export default function mount({ element, trigger }) {
    const roleOf = (button) => button.closest("[data-role]")?.dataset.role;
    element.addEventListener("click", ({ target }) => {
        const button = target.closest("button[data-name]");
        if (!button) return;
        const role = roleOf(button);
        if (!role) return trigger("select", { name: button.dataset.name });
        const detail = { role, value: exampleOf(button) };
        document.dispatchEvent(new CustomEvent("nst:choose", { detail }));
    });
    element.addEventListener("dragstart", ({ target, dataTransfer }) => {
        const button = target.closest?.("button[data-name]");
        if (!button || !roleOf(button)) return;
        dataTransfer.setData("application/x-nst-example", JSON.stringify(exampleOf(button)));
        dataTransfer.effectAllowed = "copy";
    });
    element.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const row = event.target.closest("[data-role]");
        if (!step || !row?.dataset.role) return;
        const buttons = [...row.querySelectorAll("button")];
        const next = buttons[buttons.indexOf(event.target) + step];
        if (!next) return;
        event.preventDefault();
        event.target.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
    });
}
