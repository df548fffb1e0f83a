// The visitor's own pictures: each a card to open or to delete, with its time of day here.
const clock = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

const since = (moment) => {
    const minutes = Math.round((moment - Date.now()) / 60_000);
    if (minutes > -1) return "now";
    return minutes > -60
        ? relative.format(minutes, "minute")
        : relative.format(Math.round(minutes / 60), "hour");
};

export default function mount({ element, trigger, watch }) {
    const render = () => {
        for (const time of element.querySelectorAll("time")) {
            const moment = new Date(time.dateTime);
            time.textContent = `${clock.format(moment)}, ${since(moment)}`;
        }
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
        if (button) trigger(button.dataset.act, { job: button.dataset.job });
    });
    document.addEventListener("nst:look", ({ detail }) => {
        const label = element.querySelector(`[data-act=select][data-job="${detail.task}"] i`);
        if (label && detail.card) label.textContent = detail.card;
    });
    watch("value", render);
    render();
}
