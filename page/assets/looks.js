// The named looks: one is chosen, or one is chosen and has been edited since.
export default function mount({ element, props, trigger, watch }) {
    const root = element.querySelector(".looks");
    const radios = [...root.querySelectorAll("[role=radio]")];
    const back = root.querySelector(".back");
    const hint = root.querySelector(".hint");

    const choose = (name) => {
        props.value = { name, isEdited: false };
        render();
        trigger("choose");
    };
    const render = () => {
        const { name, isEdited } = props.value ?? {};
        for (const radio of radios) {
            const isChosen = radio.dataset.look === name;
            radio.ariaChecked = isChosen;
            radio.tabIndex = isChosen ? 0 : -1;
            radio.classList.toggle("edited", isChosen && isEdited);
            if (isChosen) hint.textContent = `${radio.title} Each slider below can still be moved.`;
        }
        back.hidden = !isEdited;
        back.querySelector("span").textContent = name;
    };
    root.addEventListener("click", ({ target }) => {
        const radio = target.closest("[role=radio]");
        if (radio) choose(radio.dataset.look);
        if (target.closest(".back")) {
            choose(props.value.name);
            radios.find((each) => each.tabIndex === 0)?.focus();
        }
    });
    root.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const at = radios.indexOf(event.target);
        if (!step || at < 0) return;
        event.preventDefault();
        const next = radios[(at + step + radios.length) % radios.length];
        next.focus();
        choose(next.dataset.look);
    });
    watch("value", render);
    render();
}
