export default () => globalThis.nst.history.step(-1);
