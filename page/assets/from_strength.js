// POSITIONS is replaced by α and β at each position from 0 to 100.
export default (strength) => {
    const positions = POSITIONS;
    return positions[Math.min(Math.max(Math.round(strength), 0), positions.length - 1)];
};
