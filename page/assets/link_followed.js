// From now on a reload should find the visitor's own picture, and not follow the link once more.
export default () => {
    const address = new URL(location.href);
    for (const name of [...address.searchParams.keys()]) {
        if (!name.startsWith("__")) address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address);
};
