// Records a clip with the camera, without sound: the page has no leave to use a microphone.
import { REFUSED } from "./camera.js";
import { opened } from "./dialog.js";

const LONGEST = 20; // seconds
const KINDS = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm"];

// Resolves to a file, or to nothing where the visitor has gone back.
export async function recorded() {
    const dialog = document.createElement("dialog");
    dialog.className = "nst-dialog camera";
    dialog.ariaLabel = "Record a clip";
    dialog.innerHTML = `
        <p role="status">The browser asks whether this page may use the camera…</p>
        <video autoplay playsinline muted></video>
        <form method="dialog">
            <button value="">Cancel</button>
            <button type="button" class="primary" disabled>Record</button>
        </form>`;
    const closed = opened(dialog);
    const video = dialog.querySelector("video");
    const said = dialog.querySelector("[role=status]");
    const button = dialog.querySelector(".primary");
    let stream = null, recording = null;
    try {
        if (!navigator.mediaDevices || !globalThis.MediaRecorder) {
            throw new DOMException("", "NotFoundError");
        }
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
        video.srcObject = stream;
        said.textContent = `Up to ${LONGEST} seconds, without sound.`;
        button.disabled = false;
    } catch (error) {
        said.textContent = REFUSED[error.name] ?? "The camera does not work.";
    }
    button.addEventListener("click", () => {
        if (recording) return recording.stop();
        recording = recordingOf(stream, (seconds) => {
            said.textContent = `Recording: ${seconds} of ${LONGEST} s`;
        });
        button.textContent = "Stop and use it";
        recording.clip.then(() => dialog.open && dialog.close("take"));
    });
    await closed;
    const isTaken = dialog.returnValue === "take";
    recording?.stop();
    const clip = isTaken ? await recording?.clip : null;
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
    return clip;
}

const recordingOf = (stream, tell) => {
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
    const parts = [];
    let seconds = 0;
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const clip = new Promise((done) => {
        recorder.addEventListener("stop", () => {
            clearInterval(timer);
            const type = recorder.mimeType.split(";")[0];
            done(new File(parts, `recorded.${type.split("/")[1]}`, { type }));
        });
    });
    const stop = () => recorder.state === "inactive" || recorder.stop();
    const timer = setInterval(() => {
        tell(++seconds);
        if (seconds >= LONGEST) stop();
    }, 1000);
    recorder.start();
    tell(0);
    return { clip, stop };
};
