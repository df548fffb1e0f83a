// Pictures that may come late wait until the page can be used: over HTTP/1 a browser has six
// connections to a server, and pictures would hold all of them for seconds on a slow line. Out of
// sight, as the style beside this script has them, those with loading="lazy" are not fetched.
// (arrived.js ends the wait; a page that never comes so far has its pictures too.)
document.documentElement.classList.add("pictures-wait");
setTimeout(() => document.documentElement.classList.remove("pictures-wait"), 15_000);
