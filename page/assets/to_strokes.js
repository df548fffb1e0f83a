// The position nearest to the present values, by least squares of their logarithms.
export default (scale, base, ...weights) => {
    const slopes = [1, -1, -1.5, -0.75, 0, 0.75, 1.5];
    const present = [scale, base / 256, ...weights].map((value) =>
        Math.log2(Math.max(value, 1 / 16))
    );
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    const nearest = sum(slopes.map((slope, index) => slope * present[index])) /
        sum(slopes.map((slope) => slope ** 2));
    return Math.min(Math.max(Math.round(20 * nearest) / 20, -1), 1);
};
