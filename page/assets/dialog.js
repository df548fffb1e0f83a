// Opens a dialog over the page, in its styles. Resolves when it is closed; then remove it.
export const opened = (dialog) => {
    document.querySelector(".gradio-container .contain").append(dialog);
    dialog.showModal();
    return new Promise((done) => dialog.addEventListener("close", done, { once: true }));
};
