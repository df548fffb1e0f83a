export default (query) => {
    const link = new URL(query, location.origin + location.pathname).href;
    navigator.clipboard?.writeText(link).catch(() => {});
    return link;
};
