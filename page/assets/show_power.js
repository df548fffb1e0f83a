// LABEL is replaced by the name of the setting.
export default (exponent) => ({
    __type__: "update",
    label: "LABEL: " + Number((10 ** exponent).toPrecision(3)),
});
