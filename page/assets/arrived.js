// A visitor has arrived: pictures need not wait any longer, and a failed sign-in was said once.
export default () => {
    document.documentElement.classList.remove("pictures-wait");
    const address = new URL(location.href);
    address.searchParams.delete("sign_in_failed");
    history.replaceState(history.state, "", address);
};
