element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-job]");
    if (button) trigger(button.dataset.act, { job: button.dataset.job });
});
