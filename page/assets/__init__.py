"""The JavaScript of the page: what components run when they load, and the handlers of events."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def on_load(name: str) -> str:
    """Return the script `name`.js of a component.

    Gradio runs it with `element`, `trigger` and `watch` in scope.
    """
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def mount(module: str, *events: str, url: str) -> str:
    """Return a component's script that hands it over to the module at `url`.

    What is clicked before the module is there is clicked again then. Gradio learns from quoted
    names in the script which `events` the component triggers.
    """
    names = " ".join(f'"{event}"' for event in events)
    return (
        f"/* {module}: {names} */ const early = [], keep = ({{ target }}) => early.push(target);"
        ' element.addEventListener("click", keep);'
        f" {imported(url)}.then((module) => {{"
        ' element.removeEventListener("click", keep);'
        " module.default({ element, props, trigger, watch, upload });"
        " for (const target of early) target.click(); });"
    )


def imported(url: str) -> str:
    """Return the expression that imports the module at `url`, relative to the page."""
    return f'import(new URL("{url}", document.baseURI))'


def call(function: str, url: str) -> str:
    """Return an event's `js` that calls a `function` of the module at `url`, once it is there."""
    return f"(...values) => {imported(url)}.then((module) => module.{function}(...values))"


def handler(name: str) -> str:
    """Return the function that `name`.js exports, as an expression: an event's `js`."""
    _, _, function = on_load(name).partition("export default ")
    return function.rstrip().removesuffix(";")
