// LOOKS is replaced by the values of the components under each look.
export default (shown, ...values) => {
    const looks = LOOKS;
    const isLike = (name) =>
        looks[name].every((value, index) =>
            typeof value === "number"
                ? Math.abs(value - values[index]) <= 0.006 * value
                : value === values[index]
        );
    const name = shown?.name && isLike(shown.name) ? shown.name : Object.keys(looks).find(isLike);
    return name ? { name, isEdited: false } : { name: shown?.name ?? "Balanced", isEdited: true };
};
