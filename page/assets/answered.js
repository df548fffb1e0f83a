// The server has taken what was dropped, or has said why it cannot.
export default () => document.dispatchEvent(new Event("nst:answered"));
