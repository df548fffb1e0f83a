// The position whose β : α is nearest to the present one. POSITIONS is replaced as in
// `from_strength`.
export default (alpha, beta) => {
    const least = 1e-6; // a box may be empty while somebody types
    const power = ([alpha, beta]) => Math.log(Math.max(beta, least) / Math.max(alpha, least));
    const away = POSITIONS.map((position) => Math.abs(power(position) - power([alpha, beta])));
    return away.indexOf(Math.min(...away));
};
