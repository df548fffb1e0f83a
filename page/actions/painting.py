"""Start a picture, show it while it is painted, and stop it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from nst.studio.job import Job
from nst.studio.task import State, owner_of
from page.actions.session import PREVIEW_EVERY, Session, Updates
from page.error_messages import NO_DISK, error_message
from page.http.following import AT_ONCE, changes, is_read, tab_of
from page.panels import charts
from page.panels.picture_inputs import load_named
from page.panels.result_panel import NO_PICTURE, price
from page.rendering import RenderingBusyError
from page.templates import render

GALLERY_EVERY = 5.0  # seconds, while a picture is painted


@dataclass(frozen=True)
class Painting:
    """The picture on the result panel, from Stylize to its end."""

    session: Session

    def wire(self) -> None:
        """Connect Stylize and Stop."""
        session, panel = self.session, self.session.result_panel
        asked = panel.go.click(panel.getting_ready, None, panel.outputs, **AT_ONCE)
        begun = asked.then(self.begin, session.values, session.everything, **AT_ONCE)
        begun.failure(panel.not_ready, None, panel.outputs, **AT_ONCE)
        self.follow_after(begun)
        # Whatever the tab followed before, it ends on what it shows.
        self.follow_after(panel.stop.click(self.halt, [session.current], panel.outputs, **AT_ONCE))

    def wire_price(self, arrival: Any, resized: list[Any], look_taken: Any) -> None:
        """Tell the price of the next click when the page has opened and whenever it may change."""
        session = self.session
        panel = session.result_panel
        for event in (arrival.then, look_taken.then, *resized):
            event(self.price, session.values, [panel.price], **AT_ONCE)

    def follow_after(self, event: Any) -> None:
        """Show the job that an event has put on the result panel, until it ends."""
        session = self.session
        outputs = [*session.result_panel.outputs, session.gallery]
        event.success(self.follow, [session.to_follow, session.visitor], outputs, **AT_ONCE)

    def begin(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Begin a new job from the photo, the painting and the controls."""
        session = self.session
        visitor = session.visitor_of(values[session.visitor], request)
        try:
            settings = session.controls.settings(values)
            with session.admission.opened(settings):
                photo = load_named(values[session.photo], "photo")
                painting = load_named(values[session.painting], "painting")
                expected = session.admission.expected(photo, [painting], settings)
                engine = session.workshop.backend.engine()  # on the account of who asks
                job = Job(photo, [painting], settings, visitor=visitor, engine=engine)
                session.admission.submit(job, expected.seconds, request)
        except Exception as error:
            return session.refuse(error)
        self._supersede(tab_of(request), job)
        return {
            **session.put_up(job),
            **session.result_panel.begun(expected),
            session.gallery: session.gallery_of(visitor),
        }

    def _supersede(self, tab: str, job: Job) -> None:
        """Turn a tab to a new job, and stop the one on its result panel.

        Stylize cannot be clicked while a job lives, but two quick clicks may both be on their way.
        """
        session = self.session
        before = session.live_job(session.tabs.turn(tab, "job", job.id).before)
        if before:
            before.stop()
            self._forget_if_empty(before)

    def price(self, values: dict[Component, Any]) -> str:
        """Show what the next click would cost the visitor, where GPUs are borrowed."""
        session = self.session
        try:
            photo = load_named(values[session.photo], "photo")
            painting = load_named(values[session.painting], "painting")
            settings = session.controls.settings(values)
            expected = session.admission.expected(photo, [painting], settings)
        except ValueError:  # it is told when it is clicked
            return ""
        return charts.hint(price(expected))

    async def follow(self, id: str, visitor: str, request: gr.Request) -> AsyncIterator[Updates]:
        """Show a job until it ends, or until the tab turns to another."""
        session = self.session
        if not id:
            yield {session.gallery: gr.update()}
            return
        mark, beat = session.tabs.turn(tab_of(request), "job", id), 0  # first: clicks have an order
        job = await asyncio.to_thread(session.job_of, id)
        if job is None:  # there was nothing of it to keep
            yield {**session.result_panel.idle(NO_PICTURE), session.gallery: gr.update()}
            return
        visitor = session.visitor_of(visitor, request)
        shown = hung = 0.0
        async with aclosing(changes(job)) as looks:
            async for is_news in looks:
                if not session.tabs.is_current(tab_of(request), "job", mark):
                    yield {session.gallery: gr.update()}  # Gradio shows the last yield once more
                    return
                if not is_read(request):
                    return
                if not job.state.is_live:
                    break
                is_due = time.monotonic() - shown >= PREVIEW_EVERY
                if is_news and not is_due:
                    continue
                beat += 1
                if job.state is State.WAITING:
                    updates = session.result_panel.waiting(
                        session.workshop.ahead_of(job), session.workshop.wait_of(job)
                    )
                else:
                    updates = await asyncio.to_thread(session.look_at, job)
                    if time.monotonic() - hung >= GALLERY_EVERY:
                        updates[session.gallery] = await asyncio.to_thread(
                            session.gallery_of, visitor
                        )
                        hung = time.monotonic()
                session.workshop.greet(owner_of(visitor))
                shown = time.monotonic()
                yield self._beating(updates, beat)
        ended = await asyncio.to_thread(self.see_the_end, job, visitor)
        is_current = session.tabs.is_current(tab_of(request), "job", mark)
        yield ended if is_current else {session.gallery: ended[session.gallery]}

    def see_the_end(self, job: Job, visitor: str) -> Updates:
        """Show what an ended job has reached."""
        session = self.session
        self._forget_if_empty(job)
        try:
            ended = session.result_panel.ended(job)
        except RenderingBusyError as error:
            ended = session.result_panel.idle(error_message(error))
        except OSError:
            ended = session.result_panel.idle(NO_DISK)
        return {**ended, session.gallery: session.gallery_of(visitor)}

    def _forget_if_empty(self, job: Job) -> None:
        """Forget a job that there is nothing to go on from."""
        if job.moment is None and job.state is not State.INTERRUPTED:
            self.session.workshop.forget(job.id)

    def _beating(self, updates: Updates, beat: int) -> Updates:
        """Return a status that changes with every message.

        The page sees by it whether it is connected.
        """
        session = self.session
        text = updates.get(
            session.result_panel.status, charts.message(session.result_panel.first_words)
        )
        return {
            **updates,
            session.result_panel.status: render("heartbeat", beat=beat, content=Markup(text)),
        }

    def halt(self, id: str, request: gr.Request) -> Updates:
        """Stop the job that the page shows, and the one that the tab has begun since.

        Two clicks on Stylize may both be on their way. What was reached is shown by `follow`, which
        comes next.
        """
        session = self.session
        begun = session.tabs.subject(tab_of(request), "job")
        live = [job for each in {id, begun} if (job := session.live_job(each))]
        for job in live:
            job.stop()
        if live:
            return {session.result_panel.stop: gr.update(interactive=False)}
        job = session.job_of(id)
        if job is None:
            return session.result_panel.idle("There is nothing to stop.")
        return session.result_panel.ended(job)
