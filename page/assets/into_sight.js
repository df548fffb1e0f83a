// On a phone the result panel is far from the rows.
export default () => {
    const block = matchMedia("(max-width: 800px)").matches ? "start" : "nearest";
    document.querySelector("#status").scrollIntoView({ behavior: "smooth", block });
};
