export default (...values) => globalThis.nst?.history.record(values);
