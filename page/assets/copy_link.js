// The server's answer: { link, withRegions, leftOut }, the first two as queries.
export default (answer) => {
    const { link, withRegions, leftOut } = JSON.parse(answer);
    const address = (query) => query && new URL(query, location.origin + location.pathname).href;
    const detail = { link: address(link), withRegions: address(withRegions), leftOut };
    document.dispatchEvent(new CustomEvent("nst:link", { detail }));
};
