// POSITIONS is replaced by the style scale, the base size and five λ at each position from -1 to 1.
export default (strokes) => {
    const positions = POSITIONS;
    const last = positions.length - 1;
    return positions[Math.round(((Math.min(Math.max(strokes, -1), 1) + 1) / 2) * last)];
};
