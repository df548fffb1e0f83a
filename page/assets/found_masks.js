// What the server says of pictures: masks that it finds in the photo, and what an upload shows.
const PATIENCE = 60_000; // milliseconds
const NO_ANSWER = "The server did not answer; please try again.";

const waiting = new Map(); // what takes an answer, by its ticket
let latest = 0;

const settle = (ticket, answer) => {
    waiting.get(ticket)?.(answer);
    waiting.delete(ticket);
};

document.addEventListener("nst:mask", ({ detail }) => {
    if (detail) {
        const { ticket, ...answer } = JSON.parse(detail);
        settle(ticket, answer);
    } else for (const ticket of waiting.keys()) settle(ticket, { said: NO_ANSWER });
});

// Resolves to the answer to an event of a component, or to why there is none, { said }.
export const answerTo = (trigger, event, wanted) =>
    new Promise((done) => {
        const ticket = `${++latest}`;
        waiting.set(ticket, done);
        setTimeout(() => settle(ticket, { said: NO_ANSWER }), PATIENCE);
        trigger(event, { ...wanted, ticket });
    });

// Resolves to a mask as a region has it, { file, shown }, or to why there is none, { said }. With
// faces comes `region`, the index of the one that has them already, or null.
// `wanted` is { kind: "faces" }, { kind: "subject" } or { kind: "similar", x, y }, the point as
// shares of width and height.
export const foundMask = (trigger, wanted) => answerTo(trigger, "find", wanted);
