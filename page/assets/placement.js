// How a painting is used: its layers and size, and how it is cropped, mirrored and rotated, as
// nst/images/transforms.py does it.
export const USUAL = { layers: [], scale: 1, rotation: 0, mirror: false, crop: [0, 0, 1, 1] };

const radians = (degrees) => degrees * Math.PI / 180;

// What differs from the usual, as the server takes it.
export const trimmed = (use) =>
    Object.fromEntries(
        Object.entries(use).filter(([name, value]) => `${value}` !== `${USUAL[name]}`),
    );

const turnOf = (degrees) => `${Math.abs(degrees)}° ${degrees > 0 ? "left" : "right"}`;

// Which of the groups some layers are: "everything", one of `groups`, or null.
export const groupOf = (layers, groups) => {
    if (!layers.length) return "everything";
    return Object.keys(groups).find((name) => `${groups[name]}` === `${layers}`) ?? null;
};

// Whether two uses have a layer in common.
export const share = ({ layers: some }, { layers: others }) =>
    !some.length || !others.length || some.some((layer) => others.includes(layer));

// A use in a few words; nothing where it is as usual.
export const summaryOf = ({ layers, scale, rotation, mirror, crop }, groups) =>
    [
        layers.length && (groupOf(layers, groups) ?? layers.join(", ")),
        scale !== 1 && `×${scale}`,
        rotation && turnOf(rotation),
        mirror && "mirrored",
        `${crop}` !== `${USUAL.crop}` && "cropped",
    ].filter(Boolean).join(" · ");

export const rotationText = (degrees) => degrees ? turnOf(degrees) : "0°";

// The largest upright rectangle in one that is rotated; both are { width, height } in pixels.
export function largestRectangle({ width, height }, degrees) {
    if (degrees % 180 === 0) return { width, height };
    if (degrees % 90 === 0) return { width: height, height: width };
    const [sine, cosine] = [Math.sin, Math.cos].map((f) => Math.abs(f(radians(degrees))));
    const [long, short] = [Math.max(width, height), Math.min(width, height)];
    let sides;
    if (short <= 2 * sine * cosine * long) {
        sides = [short / 2 / sine, short / 2 / cosine];
        if (width < height) sides.reverse();
    } else {
        const difference = cosine ** 2 - sine ** 2;
        sides = [
            (width * cosine - height * sine) / difference,
            (height * cosine - width * sine) / difference,
        ];
    }
    const [inner, high] = sides.map((side) => Math.max(1, Math.floor(side + 1e-9)));
    return { width: inner, height: high };
}

// The size of what the network sees of a painting, and the matrix (as of `setTransform`) that takes
// the painting's points there.
export function placement({ width, height }, { crop, mirror, rotation }) {
    const box = {
        left: Math.min(Math.round(crop[0] * width), width - 1),
        top: Math.min(Math.round(crop[1] * height), height - 1),
    };
    const part = {
        width: Math.max(Math.round(crop[2] * width), box.left + 1) - box.left,
        height: Math.max(Math.round(crop[3] * height), box.top + 1) - box.top,
    };
    const size = largestRectangle(part, rotation);
    const matrix = new DOMMatrix()
        .translate(size.width / 2, size.height / 2)
        .rotate(-rotation)
        .scale(mirror ? -1 : 1, 1)
        .translate(-part.width / 2 - box.left, -part.height / 2 - box.top);
    return { size, matrix };
}

// Draws what the network sees of a picture, at most so many pixels wide and high, and a shade over
// what of it is not taken.
export function drawPlaced(canvas, image, use, most, shade) {
    const picture = { width: image.naturalWidth, height: image.naturalHeight };
    const { size, matrix } = placement(picture, use);
    const scale = most / Math.max(size.width, size.height);
    canvas.width = Math.max(1, Math.round(scale * size.width));
    canvas.height = Math.max(1, Math.round(scale * size.height));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.setTransform(new DOMMatrix().scale(scale).multiply(matrix));
    context.drawImage(image, 0, 0);
    if (shade) context.drawImage(shade, 0, 0, picture.width, picture.height);
}
