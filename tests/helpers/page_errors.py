"""Note what goes wrong in the JavaScript of a served page, from its first script on.

Playwright hears of it; WebDriver does not.
"""

from __future__ import annotations

from typing import Any

NOTE = """<script>
globalThis.noted = [];
addEventListener("error", ({ message, target }) => {
    if (target.rel === "modulepreload") return; // a hint; Firefox refuses some of Gradio's
    noted.push(message ?? `not loaded: ${target.outerHTML}`);
}, true);
addEventListener("unhandledrejection", ({ reason }) => noted.push(`rejected: ${reason}`));
const error = console.error;
console.error = (...words) => {
    noted.push(words.join(" "));
    error(...words);
};
</script>"""
NOTED = "from helpers import page_errors; page_errors.install()"
"""The plant of a server whose page keeps them as `noted`: see `server.running_server`."""


def install() -> None:
    """Make the page that this process serves note its errors."""
    from gradio.routes import templates

    answer = templates.TemplateResponse

    def with_note(*arguments: Any, **options: Any) -> Any:
        response = answer(*arguments, **options)
        response.body = response.body.replace(b"<head>", b"<head>" + NOTE.encode(), 1)
        response.headers["Content-Length"] = str(len(response.body))
        return response

    templates.TemplateResponse = with_note
