// Markup that each look at a job under way brings anew.
export default function mount({ props }) {
    document.addEventListener("nst:look", ({ detail }) => {
        const markup = detail[props.part];
        if (detail.isLive && markup !== undefined) props.value = markup;
    });
}
