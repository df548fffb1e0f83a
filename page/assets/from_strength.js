// 25 steps of Strength are a power of ten of β : α; 50 is 1 : 1. The sliders of α and β move
// exponents.
export default (strength) => [-(strength - 50) / 50, (strength - 50) / 50];
