// Chooses one more painting, in a dialog: a file, or one of the examples below the inputs.
import { opened } from "./dialog.js";
import { exampleOf } from "./examples.js";

const MARKUP = `
<dialog class="nst-dialog another" aria-labelledby="another-title">
    <h2 id="another-title">Add a painting</h2>
    <p class="hint">Choose a file, or one of these paintings.</p>
    <div class="choices" role="group" aria-label="Example paintings"></div>
    <input type="file" accept="image/*,.heic,.heif,.avif" tabindex="-1" aria-hidden="true">
    <form method="dialog">
        <button value="">Cancel</button>
        <button type="button" class="primary">Choose a file…</button>
    </form>
</dialog>`;

// Resolves to a file, to what an input holds for an example, or to nothing.
export async function chosenPainting() {
    const template = document.createElement("template");
    template.innerHTML = MARKUP.trim();
    const dialog = template.content.firstElementChild;
    let choice;
    const take = (made) => {
        choice = made;
        dialog.close();
    };
    const choices = dialog.querySelector(".choices");
    for (const example of document.querySelectorAll("#style-examples button[data-name]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.title = example.title;
        button.append(example.querySelector("img").cloneNode());
        button.addEventListener("click", () => take(exampleOf(example)));
        choices.append(button);
    }
    const file = dialog.querySelector("[type=file]");
    dialog.querySelector(".primary").addEventListener("click", () => file.click());
    file.addEventListener("change", () => take(file.files[0]));
    await opened(dialog);
    dialog.remove();
    return choice;
}
