"""The public gallery: the newest pictures that visitors have published, fetched when asked for.

Knows publications and their markup; what a click on one does is `showcase`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.hub.gallery import Gallery
from nst.hub.gallery_layout import Publication
from page.error_messages import error_message
from page.http.following import AT_ONCE
from page.panels import charts
from page.panels.example_rows import picker
from page.templates import render

AT_A_TIME = 12
NOBODY = "Nobody has published a picture yet. Yours could be the first."

Updates = dict[Component, Any]


@dataclass(frozen=True)
class Community:
    """The panel's parts; without a gallery it is not shown."""

    gallery: Gallery | None
    fold: gr.Accordion
    grid: gr.HTML
    more: gr.Button
    shown: gr.State  # publications

    def wire(self, published: Any) -> None:
        """Fetch when the panel is opened, when more is asked for, and after `published`."""
        outputs = [self.grid, self.more, self.shown]
        self.fold.expand(self.newest, None, outputs, **AT_ONCE)
        self.more.click(self.further, [self.shown], outputs, **AT_ONCE)
        if published is not None:
            published.then(self.newest, None, outputs, **AT_ONCE)

    def newest(self) -> Iterator[Updates]:
        """Show the first few."""
        yield {self.grid: charts.message("Fetching the newest pictures…")}
        yield self._page([])

    def further(self, shown: list[Publication]) -> Updates:
        """Show a few more below those that are shown."""
        return self._page(shown)

    def _page(self, shown: list[Publication]) -> Updates:
        if self.gallery is None:
            return {self.grid: ""}
        try:
            page = self.gallery.newest(AT_A_TIME, before=shown[-1].id if shown else None)
            has_more = bool(page) and self.gallery.has_older(page[-1].id)
        except Exception as error:
            return {self.grid: charts.message(error_message(error)) + publications_markup(shown)}
        shown = [*shown, *page]
        return {
            self.grid: publications_markup(shown) or charts.message(NOBODY),
            self.more: gr.update(visible=has_more),
            self.shown: shown,
        }


def add_community(gallery: Gallery | None) -> Community:
    """Show the panel, folded away, where there is a gallery."""
    fold = gr.Accordion(
        "What others have painted", open=False, visible=gallery is not None, elem_id="community"
    )
    with fold:
        grid = picker("publications")
        more = gr.Button("Show more", size="sm", visible=False, elem_id="more-publications")
        shown = gr.State([])
    return Community(gallery, fold, grid, more, shown)


def publications_markup(publications: Sequence[Publication]) -> str:
    """Return one card for each; pictures load when they come into sight."""
    return render("public_gallery", publications=publications) if publications else ""
