"""The markup of the page: a template for each thing that is shown, with every value escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, /, **values: Any) -> Markup:
    """Return the markup of `template`.html with these values in their places."""
    return Markup(TEMPLATES.get_template(f"{template}.html").render(values).strip())
