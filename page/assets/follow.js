// Looks at a job again and again until it has ended. Each look is a short request: any number of
// tabs can do so at the same time, and a lost connection is found again with the next one.
const VISIBLE = 0.6; // seconds between two looks
const HIDDEN = 30; // browsers slow down the timers of hidden tabs, to a minute at the most
const SLACK = 2; // seconds by which a look may be late
const PATIENCE = 10_000; // milliseconds that an answer may take
const LOST = 3; // looks in vain after which the connection counts as lost

const pause = (seconds, signal) =>
    new Promise((done) => {
        const wake = new AbortController();
        const finish = () => {
            clearTimeout(timer);
            wake.abort();
            done();
        };
        const timer = setTimeout(finish, 1000 * seconds);
        const options = { signal: wake.signal };
        document.addEventListener("visibilitychange", () => document.hidden || finish(), options);
        addEventListener("online", finish, options);
        signal.addEventListener("abort", finish, options);
    });

const look = async (task, seconds, signal) => {
    const due = document.hidden ? 75 : seconds + SLACK;
    const answer = await fetch(`studio/${task}/look.json?due=${due}`, {
        cache: "no-store",
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
    });
    if (!answer.ok) throw new Error(answer.statusText);
    return await answer.json();
};

// Calls `onLook` with each answer, `onLost` when the connection is lost and `onFound` when it is
// back. Returns a function that ends it.
export function follow(task, { onLook, onLost = () => {}, onFound = () => {} }) {
    const end = new AbortController();
    const run = async () => {
        let misses = 0;
        while (!end.signal.aborted) {
            const seconds = document.hidden ? HIDDEN : VISIBLE;
            try {
                const seen = await look(task, seconds, end.signal);
                if (end.signal.aborted) return;
                if (misses >= LOST) onFound();
                misses = 0;
                onLook(seen);
                if (!seen.isLive) return;
            } catch (error) {
                if (end.signal.aborted) return;
                if (!(error instanceof Error)) throw error;
                if (++misses === LOST) onLost();
            }
            await pause(seconds, end.signal);
        }
    };
    // A tab that is closed need not be waited for.
    addEventListener("pagehide", () => {
        if (end.signal.aborted) return;
        fetch(`studio/${task}/look.json?due=0`, { keepalive: true }).catch(() => {});
    }, { signal: end.signal });
    run();
    return () => end.abort();
}
