"""Paint several photos as one batch, go on with it, and open one of its pictures by itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst import TransferSettings
from nst.errors import ImageError, OutputError, SettingsError
from nst.images.faces import check_detector
from nst.studio.batch_files import BatchFiles
from nst.studio.batch_job import Batch, BatchPhoto, check_photos
from nst.studio.forecast import PHOTO, Forecast, PlannedRun
from nst.studio.job import picture_bytes
from nst.studio.task import new_id, owner_of
from page.actions.session import Session, Updates
from page.error_messages import NO_DISK, error_message
from page.http.admission import source_of
from page.http.bounded_blocks import uploaded
from page.http.following import AT_ONCE, event_value, tab_of
from page.panels import charts
from page.panels.batch_grid import photos_text
from page.panels.mix import Mix, mix_of
from page.panels.paintings import Paintings
from page.panels.photo_tray import Tray, TrayPhoto, thumbnail_of
from page.panels.result_panel import price

GONE = "These photos are no longer kept; please choose them again."
NO_FOLDER = "Several photos cannot be painted here: this server keeps no pictures."


@dataclass(frozen=True)
class Plan:
    """A batch before it begins: its photos, paintings, settings, and what it will take."""

    photos: Sequence[BatchPhoto]
    mix: Mix
    settings: TransferSettings
    forecasts: Sequence[Forecast]  # of each photo
    protects_faces: bool = False

    @property
    def seconds(self) -> float:
        """Return how long all of it is painted."""
        return sum(each.seconds for each in self.forecasts)

    @property
    def expectation(self) -> str:
        """Return how long it will take, and what it will cost the visitor."""
        count, total = len(self.photos), charts.duration(self.seconds)
        text = f"{count} photos will take about {total}." if count > 1 else f"About {total}."
        borrowed = sum(each.borrowed for each in self.forecasts)
        whole = Forecast(self.seconds, 0, borrowed)
        return f"{text} {price(whole)}" if borrowed else text


@dataclass(frozen=True)
class Batches:
    """The photos in the tray, from Stylize to the pictures."""

    session: Session

    def wire(self) -> None:
        """Connect the tray, and what can be done with a batch on the stage."""
        session, stage = self.session, self.session.result_panel.stage
        session.answer(session.tray.find, self.look_at, [session.photo])
        stage.open_one(self.open_one, [session.visitor], session.everything, **AT_ONCE)
        stage.go_on(self.go_on, [session.visitor], session.everything, **AT_ONCE)

    def look_at(self, _: Any, event: gr.EventData) -> str:
        """Return a small picture of an upload, or why it is none, as JSON with its ticket."""
        ticket = event_value(event, "ticket")
        try:
            path = str(uploaded(event_value(event, "path")))
            answer = {"shown": thumbnail_of(path, self.session.photo)}
        except gr.Error:
            raise
        except Exception as error:
            answer = {"said": error_message(error)}
        return json.dumps({"ticket": ticket, **answer})

    def begin(self, values: Mapping[Component, Any], request: gr.Request) -> Batch:
        """Queue a batch of the photos in the tray. Raises `UserError`."""
        session, workshop = self.session, self.session.workshop
        visitor = session.visitor_of(values[session.visitor], request)
        if workshop.stores is None:
            raise SettingsError(NO_FOLDER)
        id = new_id(visitor)
        workshop.check_room(owner_of(visitor), source_of(request))
        photos = self._photos(values)  # first: nobody else should wait for them
        try:
            with writing():
                paths = [photo.path for photo in values[session.tray].photos]
                files = workshop.stores.batches.begin(id, paths)
            with session.admission.opened(session.controls.settings(values)):
                return self._submitted(id, files, self._plan(photos, values), request)
        except Exception:
            workshop.forget(id)
            raise

    def _submitted(self, id: str, files: BatchFiles, plan: Plan, request: gr.Request) -> Batch:
        """Queue a batch whose photos are copied. Raises `UserError`."""
        session, workshop, paintings = self.session, self.session.workshop, plan.mix.paintings
        batch = Batch(
            plan.photos, paintings, plan.settings, files, id=id,
            engine=workshop.backend.engine(), expected=plan.seconds / len(plan.photos),
            protects_faces=plan.protects_faces,
        )  # fmt: skip
        workshop.check_room(batch.owner, source_of(request), picture_bytes(*paintings))
        with writing():
            files.take_paintings(paintings)
        session.admission.submit(batch, plan.seconds, request)
        return batch

    def planned(self, values: Mapping[Component, Any]) -> Plan:
        """Return the batch that a click would begin. Raises `UserError`."""
        return self._plan(self._photos(values), values)

    def _photos(self, values: Mapping[Component, Any]) -> list[BatchPhoto]:
        """Return the photos in the tray, with their sizes. Raises `ImageError`."""
        tray: Tray = values[self.session.tray]
        check_photos(len(tray.photos), sum(map(size_on_disk, tray.photos)))
        if tray.protects_faces:
            check_detector()  # first: it may be missing
        return [photo.admitted() for photo in tray.photos]

    def _plan(self, photos: Sequence[BatchPhoto], values: Mapping[Component, Any]) -> Plan:
        mix = self._mix_of(values)
        settings = self.session.controls.settings(values).replace(paintings=mix.uses)
        protects_faces = values[self.session.tray].protects_faces
        regions = len(mix.paintings) if protects_faces else 0  # at most
        forecasts = self._forecasts(photos, mix, settings, regions)
        return Plan(photos, mix, settings, forecasts, protects_faces)

    def _mix_of(self, values: Mapping[Component, Any]) -> Mix:
        """Return the paintings that are chosen, whole; regions belong to one photo."""
        session = self.session
        held: Paintings = values[session.paintings]
        mix = mix_of(values[session.painting], held.without_masks)
        mix.check(mix.paintings[0])
        return mix

    def _forecasts(
        self, photos: Sequence[BatchPhoto], mix: Mix, settings: TransferSettings, regions: int
    ) -> list[Forecast]:
        """Return what each photo takes. Raises `TooLargeError` where one is too much."""
        workshop = self.session.workshop
        sizes = [painting.size for painting in mix.paintings]
        seconds = workshop.limits.seconds
        shapes = {photo.size or PHOTO for photo in photos}
        cost = {
            shape: workshop.backend.admit(
                PlannedRun(shape, sizes, settings, regions=regions), seconds=seconds
            )
            for shape in shapes
        }
        return [cost[photo.size or PHOTO] for photo in photos]

    def go_on(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Paint the photos of an ended batch that have no picture yet."""
        session, workshop = self.session, self.session.workshop
        visitor = session.visitor_of(visitor, request)
        try:
            batch = session.own_task(event_value(event, "job"), visitor)
            if not isinstance(batch, Batch):
                raise SettingsError(GONE)
            with session.admission.opened(batch.settings):
                workshop.check_room(batch.owner, source_of(request), batch.bytes)
                batch.resume(workshop.backend.engine())
                session.admission.submit(batch, batch.seconds_left, request)
        except gr.Error:
            raise
        except Exception as error:
            return session.result_panel.refusal(error)
        session.tabs.turn(tab_of(request), "job", batch.id)
        return {
            session.current: batch.id,
            **session.result_panel.batch(batch),
            session.gallery: session.gallery_of(visitor),
        }

    def open_one(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Put a picture of a batch on the stage, as one that can be gone on with by itself."""
        session, workshop = self.session, self.session.workshop
        visitor = session.visitor_of(visitor, request)
        try:
            batch = session.own_task(event_value(event, "job"), visitor)
            number = int(event_value(event, "photo"))
            if not isinstance(batch, Batch) or number not in batch.done:
                raise SettingsError(GONE)
            job = session.own_job(batch.opened.get(number, ""), visitor)
            if job is None:
                job = batch.job_of(number, visitor)
                workshop.adopt(job)
                batch.opened[number] = job.id
                workshop.save(batch)
        except gr.Error:
            raise
        except Exception as error:
            gr.Warning(error_message(error))
            return {session.result_panel.status: gr.update()}
        session.tabs.turn(tab_of(request), "job", job.id)
        shown = session.on_panel(job)
        stage = session.result_panel.stage
        shown[stage] = {
            **shown[stage],
            "batch": batch.id,
            "batchName": photos_text(len(batch.photos)),
        }
        return {**shown, session.gallery: session.gallery_of(visitor)}


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Raise `OutputError` where the disk refuses what the block writes."""
    try:
        yield
    except OSError as error:
        raise OutputError(NO_DISK) from error


def size_on_disk(photo: TrayPhoto) -> int:
    """Return the bytes of a photo's file. Raises `ImageError` where it is gone."""
    try:
        return photo.path.stat().st_size
    except OSError as error:
        raise ImageError(GONE) from error
