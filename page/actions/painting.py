"""Start a picture, see its end, and stop it. In between the stage follows it by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from nst.errors import UserError
from nst.studio.batch_job import Batch
from nst.studio.job import Job
from nst.studio.task import State, Task
from page.actions.batches import Batches
from page.actions.session import Session, Updates
from page.assets import handler
from page.http.following import AT_ONCE, LATEST, tab_of
from page.panels import charts
from page.panels.mix import unheard_note
from page.panels.picture_inputs import load_named
from page.panels.result_panel import NO_PICTURE, expectation
from page.panels.stage import first_value

NOW_EACH = "Your photos are painted one after another."


@dataclass(frozen=True)
class Painting:
    """The picture on the stage, from Stylize to its end."""

    session: Session

    def wire(self) -> None:
        """Connect Stylize, Stop, and the end of the job that the stage follows."""
        session, panel = self.session, self.session.result_panel
        asked = panel.go.click(panel.getting_ready, None, panel.outputs, **AT_ONCE)
        begun = asked.then(self.begin, session.values, session.everything, **AT_ONCE)
        begun.then(None, None, None, js=handler("link_followed"))
        begun.failure(panel.not_ready, None, panel.outputs, **AT_ONCE)
        panel.stop.click(self.halt, [session.current], panel.outputs, **AT_ONCE)
        known = [session.current, session.visitor]
        outputs = [session.current, *panel.outputs, session.gallery]
        panel.stage.ended(self.see_the_end, known, outputs, **LATEST)

    def wire_estimate(self, *events: Any) -> None:
        """Tell how long the next click takes, after each of the `events`."""
        session = self.session
        for event in events:
            event(self.estimate, session.values, [session.result_panel.estimate], **LATEST)

    def begin(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Begin a new job from the photo, the painting and the controls."""
        session = self.session
        if values.get(session.tray):
            return self._begin_batch(values, request)
        visitor = session.visitor_of(values[session.visitor], request)
        try:
            settings = session.controls.settings(values)
            with session.admission.opened(settings):
                photo = load_named(values[session.photo], "photo")
                mix, init = session.mix_of(values), session.init_of(values)
                mix.check(photo)
                settings = settings.replace(paintings=mix.uses)
                expected = session.admission.expected(
                    photo, mix.paintings, settings, masks=mix.masks
                )
                engine = session.workshop.backend.engine()  # on the account of who asks
                job = Job(
                    photo, mix.paintings, settings, visitor=visitor, engine=engine,
                    masks=mix.masks, init=init,
                )  # fmt: skip
                session.admission.submit(job, expected.seconds, request)
        except Exception as error:
            return session.result_panel.refusal(error)
        if note := unheard_note(settings, len(mix.paintings)):
            gr.Warning(note)
        self._supersede(tab_of(request), job)
        return {
            session.current: job.id,
            **session.result_panel.begun(job, expected),
            session.gallery: session.gallery_of(visitor),
        }

    def _begin_batch(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Begin a batch of the photos in the tray."""
        session = self.session
        try:
            batch = Batches(session).begin(values, request)
        except Exception as error:
            return session.result_panel.refusal(error)
        self._supersede(tab_of(request), batch)
        visitor = session.visitor_of(values[session.visitor], request)
        return {
            session.current: batch.id,
            **session.result_panel.batch(batch, NOW_EACH),
            session.gallery: session.gallery_of(visitor),
        }

    def _supersede(self, tab: str, job: Task) -> None:
        """Turn a tab to a new job, and stop the one that it has begun before.

        Stylize cannot be clicked while a job lives, but two quick clicks may both be on their way.
        """
        session = self.session
        before = session.live_task(session.tabs.turn(tab, "job", job.id).before)
        if before:
            before.stop()
            self._forget_if_empty(before)

    def estimate(self, values: dict[Component, Any]) -> str:
        """Tell how long a click on Stylize takes, and what it costs where GPUs are borrowed."""
        session = self.session
        try:
            if values.get(session.tray):
                return charts.hint(Batches(session).planned(values).expectation)
            photo = load_named(values[session.photo], "photo")
            mix = session.mix_of(values)
            settings = session.controls.settings(values).replace(paintings=mix.uses)
            expected = session.admission.expected(photo, mix.paintings, settings, masks=mix.masks)
        except (ValueError, UserError) as error:
            return charts.hint(str(error))
        return charts.hint(expectation(expected))

    def see_the_end(self, id: str, visitor: str, request: gr.Request) -> Updates:
        """Show what an ended job has reached."""
        session = self.session
        visitor = session.visitor_of(visitor, request)
        gallery = {session.gallery: session.gallery_of(visitor)}
        if session.tabs.subject(tab_of(request), "job") not in ("", id):
            return gallery  # the tab has turned to something else
        task = session.task_of(id)
        if isinstance(task, Batch):
            return {**session.result_panel.batch(task), **gallery}
        job = task if isinstance(task, Job) else None
        if job is None:  # there was nothing of it to keep, or another tab has deleted it
            panel, first = session.result_panel, first_value(session.examples)
            shown = {**panel.idle(NO_PICTURE), **panel.without_result(), panel.stage: first}
            return {session.current: "", **shown, **gallery}
        if job.state.is_live:  # somebody goes on with it
            return gallery
        gone = {session.current: ""} if self._forget_if_empty(job) else {}
        shown = session.result_panel.ended(job)
        return {**gone, **shown, session.gallery: session.gallery_of(visitor)}

    def _forget_if_empty(self, job: Task) -> bool:
        """Forget a job or a batch that there is nothing to go on from; tell whether it was."""
        has_nothing = not job.done if isinstance(job, Batch) else is_empty(job)
        is_over = has_nothing and job.state is not State.INTERRUPTED
        if is_over:
            self.session.workshop.forget(job.id)
        return is_over

    def halt(self, id: str, request: gr.Request) -> Updates:
        """Stop the job that the page shows, and the one that the tab has begun since.

        Two clicks on Stylize may both be on their way. What was reached is shown when the stage
        sees the end.
        """
        session = self.session
        begun = session.tabs.subject(tab_of(request), "job")
        live = [job for each in {id, begun} if (job := session.live_task(each))]
        for job in live:
            job.stop()
        if live:
            return {session.result_panel.stop: gr.update(interactive=False)}
        job = session.task_of(id)
        if isinstance(job, Batch):
            return session.result_panel.batch(job)
        if not isinstance(job, Job):
            return session.result_panel.idle("There is nothing to stop.")
        return session.result_panel.ended(job)


def is_empty(task: Task) -> bool:
    """Tell whether a job has no picture yet."""
    return isinstance(task, Job) and task.moment is None
