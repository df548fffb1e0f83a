// The position nearest to the present values, by least squares of their logarithms. POSITIONS is
// replaced as in `from_strokes`.
export default (...present) => {
    const positions = POSITIONS;
    const power = (value) => Math.log2(Math.max(value, 1 / 16));
    const away = positions.map((position) =>
        position.reduce((sum, value, index) => sum + (power(value) - power(present[index])) ** 2, 0)
    );
    const nearest = away.indexOf(Math.min(...away));
    return Math.round(20 * (2 * nearest / (positions.length - 1) - 1)) / 20;
};
