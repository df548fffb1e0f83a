// The heading of a fold.
export default function mount({ element, trigger }) {
    const button = element.querySelector(".fold-head");
    const fold = element.closest(".fold");
    button.addEventListener("click", () => {
        const isOpen = fold.classList.toggle("open");
        button.ariaExpanded = isOpen;
        trigger(isOpen ? "expand" : "collapse");
    });
}
