export default (query) => {
    const detail = new URL(query, location.origin + location.pathname).href;
    document.dispatchEvent(new CustomEvent("nst:link", { detail }));
};
