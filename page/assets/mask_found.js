export default (answer) => {
    document.dispatchEvent(new CustomEvent("nst:mask", { detail: answer }));
};
