// Masks: grey pictures whose pixels are bytes, from 0 (outside the region) to 255 (inside).
const LONGEST = 1024; // pixels, of a mask's longest side
const STRIPE = 3; // of 2^3 pixels
const GAP = 0.45; // of the opacity between two stripes
const SHADE = 0.85; // the opacity of what is outside of a mask
const GREY = 0; // the colour type of a PNG
const CRC = Uint32Array.from({ length: 256 }, (_, value) => {
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value;
});

// The size of the masks of a photo, which have its aspect ratio.
export const maskSize = ({ width, height }) => {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    return {
        width: Math.max(1, Math.round(scale * width)),
        height: Math.max(1, Math.round(scale * height)),
    };
};

export const maskSizeOf = ({ naturalWidth: width, naturalHeight: height }) =>
    maskSize({ width, height });

export const emptyMask = ({ width, height }) => new Uint8Array(width * height);
export const filled = (mask) => new Uint8Array(mask.length).fill(255);
export const cleared = (mask) => new Uint8Array(mask.length);
export const inverted = (mask) => mask.map((value) => 255 - value);
export const joined = (mask, other) => mask.map((value, at) => Math.max(value, other[at]));
export const isEmpty = (mask) => mask.every((value) => value === 0);
export const isFull = (mask) => mask.every((value) => value === 255);

// A mask that fades from 255 at one point to 0 at another, and goes on beyond them.
export function gradient({ width, height }, from, to) {
    const mask = new Uint8Array(width * height);
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const squared = Math.max(dx * dx + dy * dy, 1e-6);
    for (let y = 0, at = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at++) {
            const way = ((x - from.x) * dx + (y - from.y) * dy) / squared;
            mask[at] = 255 * (1 - Math.min(Math.max(way, 0), 1)) + 0.5;
        }
    }
    return mask;
}

// The cover of a brush, from 0 to 1, at a distance from its centre: full within `hardness` times
// the radius, and smoothly down to nothing at the edge, which is never less than a pixel wide.
const coverAt = (distance, radius, hardness) => {
    const inner = Math.min(hardness * radius, radius - 1);
    const fading = Math.min(Math.max((radius - distance) / (radius - inner), 0), 1);
    return fading * fading * (3 - 2 * fading);
};

// A stroke of a brush over a mask. Where it crosses itself it does not add up.
export class Stroke {
    #before;
    #cover; // the most that the stroke covers each pixel
    #last = null;

    constructor(before, size, { hardness, erases }) {
        Object.assign(this, { size, hardness, erases });
        this.#before = before;
        this.#cover = new Uint8Array(before.length);
        this.mask = before.slice();
    }

    // Goes on to a point { x, y, radius } in pixels of the mask. Returns the box that has changed.
    to(point) {
        const from = this.#last ?? point;
        this.#last = point;
        const box = this.#boxOf(from, point);
        for (let y = box.top; y < box.bottom; y++) this.#row(y, box, from, point);
        return box;
    }

    #boxOf(from, to) {
        const most = Math.max(from.radius, to.radius);
        return {
            left: Math.max(0, Math.floor(Math.min(from.x, to.x) - most)),
            top: Math.max(0, Math.floor(Math.min(from.y, to.y) - most)),
            right: Math.min(this.size.width, Math.ceil(Math.max(from.x, to.x) + most) + 1),
            bottom: Math.min(this.size.height, Math.ceil(Math.max(from.y, to.y) + most) + 1),
        };
    }

    #row(y, { left, right }, from, to) {
        const [dx, dy] = [to.x - from.x, to.y - from.y];
        const squared = Math.max(dx * dx + dy * dy, 1e-6);
        for (let x = left; x < right; x++) {
            const along = ((x - from.x) * dx + (y - from.y) * dy) / squared;
            const way = Math.min(Math.max(along, 0), 1);
            const distance = Math.hypot(x - from.x - way * dx, y - from.y - way * dy);
            const radius = from.radius + way * (to.radius - from.radius);
            this.#put(y * this.size.width + x, 255 * coverAt(distance, radius, this.hardness));
        }
    }

    #put(at, cover) {
        if (cover <= this.#cover[at]) return;
        this.#cover[at] = cover + 0.5;
        const [before, now] = [this.#before[at], this.#cover[at]];
        this.mask[at] = this.erases ? Math.min(before, 255 - now) : Math.max(before, now);
    }
}

// Draws masks as colours that lie over each other into the RGBA pixels of a box of their size. A
// layer is { mask, color, opacity, isStriped }, its colour three bytes.
export function drawOverlay(pixels, layers, { left, top, right, bottom }, { width }) {
    let to = 0;
    for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++, to += 4) {
            let sum = 0, shade = 0, red = 0, green = 0, blue = 0;
            for (let number = 0; number < layers.length; number++) {
                const { mask, color, opacity, isStriped } = layers[number];
                const value = mask[y * width + x];
                if (value === 0) continue;
                const isGap = isStriped && ((x + y) >> STRIPE) & 1;
                sum += value;
                shade = Math.max(shade, value * opacity * (isGap ? GAP : 1));
                red += value * color[0];
                green += value * color[1];
                blue += value * color[2];
            }
            if (sum === 0) continue;
            pixels[to] = red / sum;
            pixels[to + 1] = green / sum;
            pixels[to + 2] = blue / sum;
            pixels[to + 3] = shade;
        }
    }
}

// A picture of a mask's size that is dark where the mask is black.
export function shadeOf(mask, { width, height }) {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    const shade = context.createImageData(width, height);
    for (const [at, value] of mask.entries()) shade.data[4 * at + 3] = SHADE * (255 - value);
    context.putImageData(shade, 0, 0);
    return canvas;
}

const chunk = (type, data) => {
    const bytes = new Uint8Array(12 + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, data.length);
    bytes.set(new TextEncoder().encode(type), 4);
    bytes.set(data, 8);
    let crc = ~0;
    for (const byte of bytes.subarray(4, -4)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    view.setUint32(8 + data.length, ~crc);
    return bytes;
};

const deflated = async (bytes) => {
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
};

// Resolves to a mask as a PNG of 8 bits of grey, a third of what a canvas would write.
export async function maskFile(mask, { width, height }, name) {
    const header = new Uint8Array(13);
    const view = new DataView(header.buffer);
    view.setUint32(0, width);
    view.setUint32(4, height);
    header.set([8, GREY], 8);
    const rows = new Uint8Array((width + 1) * height); // each begins with its filter, which is none
    for (let y = 0; y < height; y++) {
        rows.set(mask.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
    }
    const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
    const data = chunk("IDAT", await deflated(rows));
    const parts = [signature, chunk("IHDR", header), data, chunk("IEND", new Uint8Array(0))];
    return new File(parts, name, { type: "image/png" });
}

// Resolves to the picture at an address. Rejects where it cannot be shown.
export async function loadedPicture(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    return image;
}

// Resolves to the mask in a picture at an address, brought to a size.
export async function loadedMask(url, { width, height }) {
    const image = await loadedPicture(url);
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    return Uint8Array.from({ length: width * height }, (_, at) => pixels[4 * at]);
}
