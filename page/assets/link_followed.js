// A visitor has arrived: pictures need not wait any longer, and a reload should find the visitor's
// own picture, and not follow the link once more.
export default () => {
    document.documentElement.classList.remove("pictures-wait");
    const address = new URL(location.href);
    for (const name of [...address.searchParams.keys()]) {
        if (!name.startsWith("__")) address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address);
};
