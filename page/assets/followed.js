// Markup that each look at a job under way brings anew. Why something was refused is said until
// something else is chosen.
export default function mount({ element, props }) {
    document.addEventListener("nst:look", ({ detail }) => {
        const markup = detail[props.part];
        if (detail.isLive && markup !== undefined) props.value = markup;
    });
    for (const name of ["nst:changed", "nst:clip"]) {
        document.addEventListener(name, () => element.querySelector(".refusal")?.remove());
    }
}
