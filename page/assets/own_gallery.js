// The visitor's own pictures: each a card to open or to delete, with its time of day here.
const clock = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

const MINUTE = 60_000; // milliseconds

const since = (moment) => {
    const minutes = Math.round((moment - Date.now()) / MINUTE);
    if (minutes > -1) return "now";
    return minutes > -60
        ? relative.format(minutes, "minute")
        : relative.format(Math.round(minutes / 60), "hour");
};

// Where the keyboard's focus goes when the button that had it is gone with its card.
const NEXT = {
    delete: (job) => `[data-act=restore][data-job="${job}"]`,
    restore: (job) => `[data-act=select][data-job="${job}"]`,
};

export default function mount({ element, trigger, watch }) {
    let next = ""; // the selector of what gets the focus after the answer
    const passFocus = () => {
        const { activeElement: at, body } = document;
        // Cards move up: the focus may be on the button of another one now.
        const button = next && element.querySelector(next);
        if (!button) return;
        next = "";
        if (at === body || element.contains(at)) button.focus();
    };
    const tellTimes = () => {
        for (const time of element.querySelectorAll("time")) {
            const moment = new Date(time.dateTime);
            time.textContent = `${clock.format(moment)}, ${since(moment)}`;
        }
    };
    const render = () => {
        passFocus();
        tellTimes();
        for (const button of element.querySelectorAll("[data-moment]")) {
            const of = clock.format(new Date(button.dataset.moment));
            if (!button.ariaLabel.includes(of)) {
                button.ariaLabel = button.ariaLabel.replace(
                    /(picture|film|batch),/i,
                    `$1 of ${of},`,
                );
            }
        }
    };
    element.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-job]");
        if (!button) return;
        const { act, job } = button.dataset;
        next = NEXT[act]?.(job) ?? "";
        trigger(act, { job });
    });
    document.addEventListener("nst:look", ({ detail }) => {
        const label = element.querySelector(`[data-act=select][data-job="${detail.task}"] i`);
        if (label && detail.card) label.textContent = detail.card;
    });
    watch("value", render);
    render();
    setInterval(tellTimes, MINUTE);
}
