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

    Gradio learns from quoted names in the script which `events` the component triggers.
    """
    names = " ".join(f'"{event}"' for event in events)
    return (
        f'/* {module}: {names} */ import(new URL("{url}", document.baseURI)).then((module) =>'
        " module.default({ element, props, trigger, watch, upload }));"
    )


def handler(name: str) -> str:
    """Return the function that `name`.js exports, as an expression: an event's `js`."""
    _, _, function = on_load(name).partition("export default ")
    return function.rstrip().removesuffix(";")
