// Crops and turns a picture, in a dialog.
import { opened } from "./dialog.js";

const script = new URL("./vendor/cropper.min.js", import.meta.url).href;
const style = new URL("./vendor/cropper.min.css", import.meta.url).href;

const loaded = async () => {
    if (!document.querySelector(`link[href="${style}"]`)) {
        const link = Object.assign(document.createElement("link"), {
            rel: "stylesheet",
            href: style,
        });
        const ready = new Promise((done) => link.onload = link.onerror = done);
        document.head.append(link);
        await ready;
    }
    if (!globalThis.Cropper) await import(script);
    return globalThis.Cropper;
};

// Resolves to what is left of the picture, as fractions after turning; to null for all of it, and
// to nothing where the visitor has gone back. Without `turns` it can be cropped alone.
export async function cropped({ uncropped, shown, crop }, { turns: canTurn = true } = {}) {
    const Cropper = await loaded();
    const dialog = document.createElement("dialog");
    dialog.className = "nst-dialog cropping";
    dialog.ariaLabel = canTurn ? "Crop or turn" : "Crop";
    const turners = `
            <button type="button" data-turn="-90" aria-label="Turn to the left">⟲</button>
            <button type="button" data-turn="90" aria-label="Turn to the right">⟳</button>`;
    dialog.innerHTML = `
        <div class="pane"><img alt=""></div>
        <form method="dialog">
            ${canTurn ? turners : ""}
            <span class="gap"></span>
            <button value="">Cancel</button>
            <button value="all">Whole picture</button>
            <button value="crop" class="primary">Crop</button>
        </form>`;
    const image = dialog.querySelector("img");
    image.src = uncropped ?? shown;
    const closed = opened(dialog);
    let turns = crop?.quarter_turns ?? 0;
    const cropper = new Cropper(image, {
        viewMode: 1,
        autoCropArea: 1,
        background: false,
        zoomable: false,
        ready() {
            turn();
            if (!crop) return;
            const { left, top, width, height } = cropper.getCanvasData();
            cropper.setCropBoxData({
                left: left + crop.left * width,
                top: top + crop.top * height,
                width: (crop.right - crop.left) * width,
                height: (crop.bottom - crop.top) * height,
            });
        },
    });
    // The whole picture is in sight, whichever way it stands.
    const turn = () => {
        cropper.clear().rotateTo(90 * turns);
        const { naturalWidth: width, naturalHeight: height } = cropper.getCanvasData();
        const room = cropper.getContainerData();
        const scale = Math.min(room.width / width, room.height / height);
        const box = {
            left: (room.width - scale * width) / 2,
            top: (room.height - scale * height) / 2,
            width: scale * width,
            height: scale * height,
        };
        cropper.setCanvasData(box).crop().setCropBoxData(box);
    };
    for (const button of dialog.querySelectorAll("[data-turn]")) {
        button.addEventListener("click", () => {
            turns = (turns + Number(button.dataset.turn) / 90 + 4) % 4;
            turn();
        });
    }
    await closed;
    const wanted = dialog.returnValue;
    const canvas = cropper.getCanvasData();
    const box = cropper.getCropBoxData();
    cropper.destroy();
    dialog.remove();
    if (!wanted) return undefined;
    const within = (value) => Math.min(Math.max(value, 0), 1);
    const sides = wanted === "all" ? { left: 0, top: 0, right: 1, bottom: 1 } : {
        left: within((box.left - canvas.left) / canvas.width),
        top: within((box.top - canvas.top) / canvas.height),
        right: within((box.left + box.width - canvas.left) / canvas.width),
        bottom: within((box.top + box.height - canvas.top) / canvas.height),
    };
    const isWhole = sides.left === 0 && sides.top === 0 && sides.right === 1 && sides.bottom === 1;
    return isWhole && !turns ? null : { ...sides, quarter_turns: turns };
}
