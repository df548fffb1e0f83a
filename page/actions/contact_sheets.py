"""Make a contact sheet, and go on from one of its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst import SettingsError
from nst.engine.contact_sheet import plan_sheet
from nst.settings import options
from nst.studio.forecast import PlannedRun
from nst.studio.sheet_job import Sheet
from nst.studio.task import owner_of
from page.actions.session import Session, Updates
from page.assets import handler
from page.error_messages import error_message
from page.http.following import AT_ONCE, tab_of
from page.panels import charts
from page.panels.contact_sheet import followed_sheet
from page.panels.picture_inputs import load_named


@dataclass(frozen=True)
class ContactSheets:
    """The contact sheet of a visitor."""

    session: Session

    def wire(self) -> None:
        """Connect the sheet's button and its tiles."""
        session, panel = self.session, self.session.panel
        asked = session.values | {panel.rows, panel.columns, session.sheet}
        panel.make.click(self.make_sheet, asked, [session.sheet, panel.grid], **AT_ONCE)
        taken = panel.grid.select(self.take_tile, session.values, session.everything, **AT_ONCE)
        taken.then(None, None, None, js=handler("link_followed"))

    def make_sheet(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Queue nine small pictures."""
        session = self.session
        visitor = session.visitor_of(values[session.visitor], request)
        rows, columns = values[session.panel.rows], values[session.panel.columns]
        try:
            settings = session.controls.settings(values)
            with session.admission.opened(settings):
                photo = load_named(values[session.photo], "photo")
                mix, init = session.mix_of(values), session.init_of(values)
                mix.check(photo)
                grid = plan_sheet(settings.replace(paintings=mix.uses), rows, columns)
                tiles = [tile for row in grid for tile in row]
                here = session.workshop.backend.in_process
                sizes = [each.size for each in mix.paintings]
                run = PlannedRun(photo.size, sizes, grid[0][0], regions=mix.masks.count)
                seconds = sum(here.admit(run.under(tile)).seconds for tile in tiles)
                sheet = Sheet(
                    photo, mix.paintings, grid, visitor=visitor, engine=here.engine(),
                    masks=mix.masks, init=init,
                )  # fmt: skip
                session.admission.submit(sheet, seconds, request)
                self._stop_sheet(values[session.sheet])
        except Exception as error:
            gr.Warning(error_message(error))
            if values[session.sheet]:  # which stays, and goes on
                return {session.sheet: values[session.sheet]}
            return {
                session.sheet: "",
                session.panel.grid: charts.message(error_message(error)),
            }
        return {session.sheet: sheet.id, session.panel.grid: followed_sheet(sheet)}

    def _stop_sheet(self, id: str) -> None:
        """Stop the contact sheet before: a new one takes its place."""
        sheet = self.session.workshop.find(id) if id else None
        if isinstance(sheet, Sheet):
            sheet.stop()

    def take_tile(
        self, values: dict[Component, Any], event: gr.EventData, request: gr.Request
    ) -> Updates:
        """Go on from a tile at full size, with the controls where it has them."""
        session = self.session
        visitor = session.visitor_of(values[session.visitor], request)
        try:
            sheet = session.workshop.find(str(event.sheet))
            if not isinstance(sheet, Sheet) or not sheet.id.startswith(owner_of(visitor)):
                raise SettingsError("This contact sheet is no longer kept; please make it again.")
            row, column = divmod(int(event.tile), len(sheet.grid[0]))
            present = session.controls.settings(values)
            tile = sheet.grid[row][column]
            settings = tile.replace(size=present.size, iterations=present.iterations)
            job = sheet.job_of(row, column, settings.replace(colors=present.colors), visitor)
            expected = session.admission.expected(
                sheet.content, sheet.styles, job.settings, job.moment, masks=job.wanted_masks
            )
            job.engine = session.workshop.backend.engine()
            session.admission.submit(job, expected.seconds, request)
        except Exception as error:
            return session.result_panel.refusal(error)
        session.tabs.turn(tab_of(request), "job", job.id)
        return {
            session.current: job.id,
            **session.controls.show(job.settings, set(options()) - {"colors"}),
            **session.result_panel.begun(job, expected),
            session.gallery: session.gallery_of(visitor),
        }
