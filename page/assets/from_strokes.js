// Bold strokes: a larger painting, a smaller base, and more of the deep layers. `to_strokes` is the
// way back.
export default (strokes) => [
    Math.round(20 * 2 ** strokes) / 20,
    16 * Math.round(16 * 2 ** -strokes),
    ...[-1, -0.5, 0, 0.5, 1].map((depth) => Math.round(20 * 2 ** (1.5 * depth * strokes)) / 20),
];
