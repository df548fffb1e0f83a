export default (alpha, beta) => Math.min(Math.max(Math.round(50 + 25 * (beta - alpha)), 0), 100);
