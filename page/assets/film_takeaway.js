// Shares a film where the browser can share files.
const TYPE = "video/mp4";

export default function mount({ element, watch }) {
    element.addEventListener("click", async ({ target }) => {
        const button = target.closest(".share");
        if (!button) return;
        button.textContent = "Share…";
        try {
            const response = await fetch(button.dataset.film);
            if (!response.ok) {
                button.textContent = "The film is not ready; please try again";
                return;
            }
            const data = await response.blob();
            await navigator.share({
                files: [new File([data], button.dataset.name, { type: TYPE })],
            });
        } catch (error) {
            if (error.name !== "AbortError") button.textContent = "Sharing did not work";
        }
    });
    const reveal = () => {
        const probe = { files: [new File([""], "film.mp4", { type: TYPE })] };
        const button = element.querySelector(".share");
        if (button && navigator.canShare && navigator.canShare(probe)) button.hidden = false;
    };
    reveal();
    watch("value", reveal);
}
