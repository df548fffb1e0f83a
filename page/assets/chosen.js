// What the inputs hold at present, by their role. Whoever needs it hears `nst:chosen` of a change.
export const chosen = {};

// What makes a picture another one; what a display of it is called changes by itself.
export const essenceOf = (value) =>
    JSON.stringify(value ? [value.file?.path, value.example, value.crop] : null);

export const noteChosen = (role, value) => {
    const isOther = essenceOf(chosen[role]) !== essenceOf(value);
    chosen[role] = value;
    document.dispatchEvent(new CustomEvent("nst:chosen", { detail: { role, isOther } }));
};
