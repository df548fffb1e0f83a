// Stylize and Stop take turns. Where the keyboard's focus is on the one that cannot be pressed any
// more, it goes to the other, and is not lost.
const PAIRS = ["#stylize, #stop", "#film-stylize, #film-stop"];
const BUTTONS = PAIRS.join(", ");
const MEANT = 500; // milliseconds, after which a press is meant for the button that has got the focus

// Gives the focus to another place where what had it is hidden or gone.
export const passFocus = (next) => {
    const focused = document.activeElement;
    const isLost = focused === document.body || !focused.checkVisibility();
    if (isLost) next.focus({ preventScroll: true });
};

export const keepFocus = () => {
    let left = null; // the button that had the focus
    let passed = -MEANT; // when the other got it
    const isNowhere = () => [document.body, left].includes(document.activeElement);
    const noteLeft = ({ target }) => {
        // With the mouse it had the focus, too; but Enter is not to stop what a click began.
        const hadFocus = target === document.activeElement && target.matches(":focus-visible");
        if (target.disabled && hadFocus) left = target;
    };
    const pass = () => {
        if (!left || !isNowhere()) return;
        const pair = PAIRS.find((each) => left.matches(each));
        const next = [...document.querySelectorAll(pair)].find((button) => !button.disabled);
        if (!next) return;
        left = null;
        passed = performance.now();
        next.focus();
    };
    const observer = new MutationObserver((changes) => {
        for (const change of changes) {
            if (change.target.matches(BUTTONS)) noteLeft(change);
        }
        pass();
    });
    observer.observe(document.body, {
        subtree: true,
        attributes: true,
        attributeFilter: ["disabled"],
    });
    document.addEventListener("focusin", () => left = null);
    // The key that began a picture, held or pressed twice, is not to stop it.
    document.addEventListener("keydown", (event) => {
        const isSoon = event.repeat || performance.now() - passed < MEANT;
        if (isSoon && ["Enter", " "].includes(event.key) && event.target.matches?.(BUTTONS)) {
            event.preventDefault();
        }
    }, true);
};
