// Takes a photo with the camera of a computer. On a phone the file chooser offers the camera.
import { opened } from "./dialog.js";

export const REFUSED = {
    NotAllowedError: "The browser was not allowed to use the camera.",
    NotFoundError: "There is no camera.",
    OverconstrainedError: "There is no camera.", // says WebKit
    NotReadableError: "Another program is using the camera.",
};

// Resolves to a JPEG file, or to nothing where the visitor has gone back.
export async function photographed() {
    const dialog = document.createElement("dialog");
    dialog.className = "nst-dialog camera";
    dialog.ariaLabel = "Camera";
    dialog.innerHTML = `
        <p role="status">The browser asks whether this page may use the camera…</p>
        <video autoplay playsinline muted></video>
        <form method="dialog">
            <button value="">Cancel</button>
            <button value="take" class="primary" disabled>Take the photo</button>
        </form>`;
    const closed = opened(dialog);
    const video = dialog.querySelector("video");
    const said = dialog.querySelector("[role=status]");
    let stream = null;
    const asked = navigator.mediaDevices
        ? navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } })
        : Promise.reject(new DOMException("", "NotFoundError"));
    asked.then((granted) => {
        stream = granted;
        if (!dialog.open) return stream.getTracks().forEach((track) => track.stop());
        video.srcObject = stream;
        said.textContent = "";
        dialog.querySelector(".primary").disabled = false;
    }).catch((error) => {
        said.textContent = REFUSED[error.name] ?? "The camera does not work.";
    });
    await closed;
    const taken = dialog.returnValue === "take" ? await frameOf(video) : null;
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
    return taken;
}

const frameOf = async (video) => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    return new File([blob], "camera.jpg", { type: "image/jpeg" });
};
