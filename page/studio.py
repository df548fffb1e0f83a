"""The studio: what happens on a click. Jobs are painted in the workshop; the page only asks for
them, steers them, and looks.

Knows every part of the page, and how they hang together.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_file_to_cache, save_pil_to_cache
from PIL import Image

from nst import ImageError, SettingsError, TransferSettings
from nst.engine.contact_sheet import plan_sheet
from nst.engine.texture import TextureBook
from nst.images.recipe import Ingredient
from nst.settings import options
from nst.studio.backends.local import LocalBackend
from nst.studio.job import Job, picture_bytes
from nst.studio.job_store import is_id
from nst.studio.sheet_job import Sheet
from nst.studio.task import State, owner_of, share_id
from nst.studio.workshop import Workshop
from page.error_messages import NO_DISK, sentence_of
from page.examples import Example, Shelf
from page.http.admission import Admission, source_of
from page.http.following import AT_ONCE, LATEST, Tabs, changes, event_value, is_read, tab_of
from page.http.identifiers import IDENTIFIER
from page.links import link_to, read_link
from page.panels import charts
from page.panels.contact_sheet import SheetPanel, sheet_markup
from page.panels.controls import Controls
from page.panels.own_gallery import gallery_markup
from page.panels.picture_inputs import load_named
from page.panels.publishing import SIGN_IN_FAILED
from page.panels.result_panel import MORE, ResultPanel, price
from page.panels.textures import Textures
from page.rendering import RenderingBusyError

NOT_SIGNED_IN = "You were not signed in with Hugging Face. Everything else works without it."
NEXT_PHOTO = "The new photo is for the next picture: press Stylize when this one is done."
DAMAGED = "This picture is damaged on the server's disk; it can only be deleted."
NOTHING_TO_BRANCH = "There is no finished picture to branch from."
PREVIEW_EVERY = 0.7  # seconds between two previews, at the least
GALLERY_EVERY = 5.0  # seconds, while a picture is painted
REOPENED = 3600.0  # seconds; a job that is older waits in the gallery when the page is opened
FIXED = ("start", "seed", "precision", "weights")  # not to be changed while a picture is painted
TYPED = ("size", "iterations")  # a digit on the way would end the run, or shrink it

Updates = dict[Component, Any]
COPY = """(query) => {
    const link = new URL(query, location.origin + location.pathname).href;
    navigator.clipboard?.writeText(link).catch(() => {});
    return link;
}"""


# A reload should find the visitor's own picture, and not follow the link once more.
LINK_WAS_FOLLOWED = """() => {
    const address = new URL(location.href);
    for (const name of [...address.searchParams.keys()]) {
        if (!name.startsWith("__")) address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address);
}"""


@dataclass
class Studio:
    """The page's parts and the workshop behind them."""

    admission: Admission
    book: TextureBook | None
    shelf: Shelf
    visitor: gr.BrowserState  # an unguessable token, in the visitor's browser
    current: gr.State  # the id of the job on the result panel
    to_follow: gr.State  # the same when there is news to wait for, or ""
    photo: gr.Image
    painting: gr.Image
    controls: Controls
    result_panel: ResultPanel
    panel: SheetPanel
    sheet: gr.State  # the id of the contact sheet
    gallery: gr.HTML
    copy_link: gr.Button
    link: gr.Textbox
    tabs: Tabs

    @property
    def workshop(self) -> Workshop:
        return self.admission.workshop

    # ------------------------------------------------------------------ wiring

    def wire(self, demo: gr.Blocks) -> Any:
        """Connect every event. Each way to a job ends in `follow`, which shows it until it ends.
        Returns the event of a visitor's arrival."""
        result_panel, everything = self.result_panel, self._everything
        opened = [self.visitor, self.panel.fold, *everything]
        values = {self.visitor, self.current, self.photo, self.painting, *self.controls.components}

        arrival = demo.load(self.arrive, [self.visitor], opened, **AT_ONCE)
        arrival.then(None, None, None, js=LINK_WAS_FOLLOWED)
        self._follow_after(arrival)
        arrival.then(self.follow_sheet, [self.sheet], [self.panel.grid], **AT_ONCE)

        asked = result_panel.go.click(
            result_panel.getting_ready, None, result_panel.outputs, **AT_ONCE
        )
        begun = asked.then(self.begin, values, everything, **AT_ONCE)
        begun.failure(result_panel.not_ready, None, result_panel.outputs, **AT_ONCE)
        self._follow_after(begun)
        result_panel.stop.click(self.halt, [self.current], result_panel.outputs, **AT_ONCE)
        for button, factor in (
            (result_panel.more, 1.0),
            (result_panel.larger, 1.5),
            (result_panel.twice, 2.0),
        ):
            further = self._further_by(factor)
            self._follow_after(button.click(further, values, everything, **AT_ONCE))
        branched = result_panel.branch.click(
            self.branch, [self.current, self.visitor], everything, **AT_ONCE
        )
        self._follow_after(branched)

        live = [part for name, part in self.controls.by_name.items() if name != "colors"]
        steering = ({self.current, *self.controls.components}, None)
        typed = [self.controls.by_name[name] for name in TYPED]
        moved = [part for part in live if part not in typed]
        while_moved = by_hand(*moved, *self.controls.layers.values())
        gr.on(while_moved, self.steer, *steering, **LATEST)
        gr.on([part.release for part in typed], self.steer_typed, *steering, **LATEST)
        self.photo.change(self.notice_photo, [self.photo, self.current], None, **LATEST)
        self.controls.look_taken.then(self.steer, *steering, **AT_ONCE)
        colors = self.controls.by_name["colors"]
        gr.on(by_hand(colors), self.dial, [colors, self.current], result_panel.outputs, **LATEST)

        made = self.panel.make.click(
            self.make_sheet,
            values | {self.panel.rows, self.panel.columns, self.sheet},
            [self.sheet, self.panel.grid],
            **AT_ONCE,
        )
        made.then(self.follow_sheet, [self.sheet], [self.panel.grid], **AT_ONCE)
        self._follow_after(self.panel.grid.select(self.take_tile, values, everything, **AT_ONCE))

        self._follow_after(
            self.gallery.select(self.open_card, [self.visitor], everything, **AT_ONCE)
        )
        self.gallery.delete(
            self.delete_card,
            [self.visitor, self.current],
            [self.current, *result_panel.outputs, self.gallery],
            **AT_ONCE,
        )
        linked = self.copy_link.click(self.link_now, values, [self.link], **AT_ONCE)
        linked.then(None, [self.link], [self.link], js=COPY)
        self.painting.change(self.swap, [self.painting, self.current], None, **LATEST)
        if self.workshop.backend.lends_gpus:
            sized = [*(part.release for part in typed), self.photo.change]
            for event in (arrival.then, self.controls.look_taken.then, *sized):
                event(self.price, values, [result_panel.price], **AT_ONCE)
        Textures(self.workshop, self.book, self.controls, self.painting, self.tabs).wire(arrival)
        demo.unload(self.leave)
        return arrival

    @property
    def _everything(self) -> list[Component]:
        """What opening a job may write to."""
        inputs = [self.current, self.to_follow, self.photo, self.painting, self.sheet]
        return [*inputs, *self.controls.components, *self.result_panel.outputs, self.gallery]

    def _follow_after(self, event: Any) -> None:
        outputs = [*self.result_panel.outputs, self.gallery]
        event.success(self.follow, [self.to_follow, self.visitor], outputs, **AT_ONCE)

    # ------------------------------------------------------------ coming and going

    def arrive(self, visitor: str, request: gr.Request) -> Updates:
        """Open the page: as a link asks, or with the job that was on the result panel."""
        token = self._visitor(visitor, request)
        updates: Updates = {
            self.visitor: token,
            self.gallery: self._gallery(token),
            self.result_panel.go: gr.update(interactive=True),
            **self._sheet_of(token),
        }
        if SIGN_IN_FAILED in request.query_params:
            gr.Warning(NOT_SIGNED_IN)
        try:
            shared = read_link(dict(request.query_params), self.shelf)
        except SettingsError as error:
            return updates | self.result_panel.idle(f"The link cannot be followed: {error}.")
        if shared:
            chosen = {"content": self.photo, "style": self.painting}
            updates |= {chosen[role]: self._value_of(e) for role, e in shared.examples.items()}
            updates |= self.controls.show(shared.settings, set(options()))
            return updates | self._shared_result(shared.result)
        latest = next(iter(self.workshop.cards(token)), None)
        if latest and (latest.state.is_live or time.time() - latest.changed < REOPENED):
            job = self.workshop.find_job(latest.id)
            if job:
                return updates | self._on_panel(job)
        return updates

    def _visitor(self, token: str, request: gr.Request) -> str:
        """The visitor's token; a new visitor's first click may come before it has reached them."""
        if isinstance(token, str) and IDENTIFIER.fullmatch(token):
            return token
        values = self.tabs.sessions.values(tab_of(request))
        return str(values.setdefault("visitor", secrets.token_urlsafe(24)))

    def leave(self, request: gr.Request) -> None:
        """A closed tab looks at nothing; its jobs have their grace."""
        self.tabs.forget(tab_of(request))

    def _sheet_of(self, visitor: str) -> Updates:
        sheet = self.workshop.latest_sheet(visitor)
        return {self.sheet: sheet.id, self.panel.fold: gr.update(open=True)} if sheet else {}

    def _shared_result(self, share: str) -> Updates:
        if not share:
            return {}
        job = self.workshop.find_shared(share)
        if job is None or job.moment is None:
            return self.result_panel.idle(
                "The picture of this link is no longer kept; its settings are."
            )
        try:
            return self.result_panel.shared(job, share)
        except OSError as error:
            busy = isinstance(error, RenderingBusyError)
            return self.result_panel.idle(sentence_of(error) if busy else NO_DISK)

    # ------------------------------------------------------------------ painting

    def begin(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """A new job from the photo, the painting and the controls."""
        visitor = self._visitor(values[self.visitor], request)
        try:
            settings = self.controls.settings(values)
            with self.admission.opened(settings):
                photo = load_named(values[self.photo], "photo")
                painting = load_named(values[self.painting], "painting")
                expected = self.admission.expected(photo, [painting], settings)
                engine = self.workshop.backend.engine()  # on the account of who asks
                job = Job(photo, [painting], settings, visitor=visitor, engine=engine)
                self.admission.submit(job, expected.seconds, request)
        except Exception as error:
            return self._refuse(error)
        self._supersede(tab_of(request), job)
        return {
            **self._put_up(job),
            **self.result_panel.begun(expected),
            self.gallery: self._gallery(visitor),
        }

    def _supersede(self, tab: str, job: Job) -> None:
        """Turn a tab to a new job, and stop the one on its result panel.

        Stylize cannot be clicked while a job lives, but two quick clicks may both be on their way.
        """
        before = self.live_job(self.tabs.turn(tab, "job", job.id).before)
        if before:
            before.stop()
            self._forget_if_empty(before)

    def price(self, values: dict[Component, Any]) -> str:
        """What the next click would cost the visitor, where GPUs are borrowed."""
        try:
            photo = load_named(values[self.photo], "photo")
            painting = load_named(values[self.painting], "painting")
            settings = self.controls.settings(values)
            expected = self.admission.expected(photo, [painting], settings)
        except ValueError:  # it is told when it is clicked
            return ""
        return f'<p class="hint">{price(expected)}</p>'

    async def follow(self, id: str, visitor: str, request: gr.Request) -> AsyncIterator[Updates]:
        """Show a job until it ends, or until the tab turns to another."""
        job = await asyncio.to_thread(self._job, id)
        if job is None:
            yield {self.gallery: gr.update()}
            return
        visitor = self._visitor(visitor, request)
        mark, beat = self.tabs.turn(tab_of(request), "job", id), 0
        shown = hung = 0.0
        async with aclosing(changes(job)) as looks:
            async for is_news in looks:
                if not self.tabs.is_current(tab_of(request), "job", mark):
                    yield {self.gallery: gr.update()}  # Gradio shows the last yield once more
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
                    updates = self.result_panel.waiting(
                        self.workshop.ahead_of(job), self.workshop.wait_of(job)
                    )
                else:
                    updates = await asyncio.to_thread(self._look_at, job)
                    if time.monotonic() - hung >= GALLERY_EVERY:
                        updates[self.gallery] = await asyncio.to_thread(self._gallery, visitor)
                        hung = time.monotonic()
                self.workshop.greet(owner_of(visitor))
                shown = time.monotonic()
                yield self._beating(updates, beat)
        ended = await asyncio.to_thread(self.see_the_end, job, visitor)
        is_current = self.tabs.is_current(tab_of(request), "job", mark)
        yield ended if is_current else {self.gallery: ended[self.gallery]}

    def see_the_end(self, job: Job, visitor: str) -> Updates:
        self._forget_if_empty(job)
        try:
            ended = self.result_panel.ended(job)
        except RenderingBusyError as error:
            ended = self.result_panel.idle(sentence_of(error))
        except OSError:
            ended = self.result_panel.idle(NO_DISK)
        return {**ended, self.gallery: self._gallery(visitor)}

    def _forget_if_empty(self, job: Job) -> None:
        """Forget a job that there is nothing to go on from."""
        if job.moment is None and job.state is not State.INTERRUPTED:
            self.workshop.forget(job.id)

    def _look_at(self, job: Job) -> Updates:
        updates = self.result_panel.progress(job)
        with suppress(OSError):  # of a full disk; the next preview may fit again
            updates |= self.result_panel.picture(job)
        return updates

    def _beating(self, updates: Updates, beat: int) -> Updates:
        """A status that changes with every message: the page sees by it whether it is connected."""
        text = updates.get(self.result_panel.status, charts.message(self.result_panel.first_words))
        return {
            **updates,
            self.result_panel.status: f'<div class="beat" data-beat="{beat}">{text}</div>',
        }

    def halt(self, id: str, request: gr.Request) -> Updates:
        """Stop; whoever follows the job shows what it reached."""
        if self.tabs.subject(tab_of(request), "job") not in ("", id):
            return {
                self.result_panel.stop: gr.update()
            }  # a late click: the tab looks at another job by now
        job = self._job(id)
        if job and job.state.is_live:
            job.stop()
            return {self.result_panel.stop: gr.update(interactive=False)}
        return (
            self.result_panel.ended(job)
            if job
            else self.result_panel.idle("There is nothing to stop.")
        )

    def steer(self, values: dict[Component, Any]) -> None:
        """Go on under what the controls say now, but for what may just be being typed."""
        self._steer(values, keeping=(*FIXED, *TYPED))

    def steer_typed(self, values: dict[Component, Any]) -> None:
        """Go on under all that the controls say now."""
        self._steer(values, keeping=FIXED)

    def _steer(self, values: dict[Component, Any], *, keeping: tuple[str, ...]) -> None:
        job = self.live_job(values[self.current])
        if job is None:
            return
        try:
            settings = self.controls.settings(values).replace(**of(job.settings, keeping))
            self._change(job, settings)
        except Exception as error:
            gr.Warning(refused(error))

    def swap(self, painting: str | None, id: str) -> None:
        """Go on with another painting."""
        job = self.live_job(id)
        if job and painting:
            try:
                with self.admission.opened(job.settings):
                    other = load_named(painting, "painting")
                    self.workshop.check_pictures(picture_bytes(other))
                    self._change(job, job.settings, other)
            except ImageError:
                return  # it was said when it was chosen
            except Exception as error:
                gr.Warning(refused(error))

    def _change(
        self, job: Job, settings: TransferSettings, painting: Image.Image | None = None
    ) -> None:
        """Change a job that is painted, if there is room for that. Raises `TooLargeError`."""
        expected = self.admission.check_change(job, settings, painting)
        job.engine = self.workshop.backend.engine()
        job.steer(settings, painting)
        self.workshop.expect(job, expected.seconds)

    def notice_photo(self, photo: str | None, id: str) -> None:
        """Say that another photo is another picture."""
        job = self.live_job(id)
        try:
            if job and photo and Ingredient.of(load_named(photo, "photo")) != job.ingredients[0]:
                gr.Info(NEXT_PHOTO)
        except ValueError:
            return  # it is refused when it is to be painted

    def dial(self, colors: float, id: str) -> Updates:
        """Other colours, on what is painted already."""
        job = self._job(id)
        if job is None or colors == job.colors:
            return {self.result_panel.status: gr.update()}
        job.dial(colors)
        if job.moment is None:
            return {self.result_panel.status: gr.update()}
        if job.state.is_live:
            return {
                self.result_panel.preview: self._look_at(job).get(
                    self.result_panel.preview, gr.update()
                )
            }
        self.workshop.save(job)
        try:
            return self.result_panel.before_and_after(job)
        except RenderingBusyError as error:
            return self.result_panel.refusal(error)

    def live_job(self, id: str) -> Job | None:
        job = self._job(id)
        return job if job and job.state.is_live else None

    def _job(self, id: str) -> Job | None:
        """The job of an id that a tab holds; "" stands for none."""
        return self.workshop.find_job(id) if id else None

    # ------------------------------------------------------------------ going on

    def _further_by(self, factor: float) -> Callable[..., Updates]:
        def further(values: dict[Component, Any], request: gr.Request) -> Updates:
            try:
                return self._further(values, factor, request)
            except Exception as error:
                return self._refuse(error)

        return further

    def _further(self, values: dict[Component, Any], factor: float, request: gr.Request) -> Updates:
        """Paint an ended job on under the present controls, larger by `factor`."""
        visitor = self._visitor(values[self.visitor], request)
        job = self.workshop.find_job(values[self.current])
        if job is None:
            raise SettingsError("This picture is no longer kept; please start a new one.")
        chosen = self.controls.settings(values)
        present = max(job.moment.picture.size) if job.moment else chosen.size
        most = options()["size"].range[1]
        size = chosen.size if factor == 1 else min(round(present * factor), int(most))
        if factor > 1 and size <= present:
            raise SettingsError(f"The picture has {most:.0f} pixels already, the most there is.")
        done = job.moment.iteration if job.moment else 0
        longest = int(options()["iterations"].range[1])
        if done >= longest and factor == 1:
            raise SettingsError(f"The picture has had {longest} iterations, the most there is.")
        fixed = of(job.settings, FIXED)
        settings = chosen.replace(size=size, iterations=min(done + MORE, longest), **fixed)
        with self.admission.opened(settings):
            painting = load_named(values[self.painting], "painting")
            expected = self.admission.expected(job.content, [painting], settings, job.moment)
            size = job.bytes + picture_bytes(painting)
            self.workshop.check_room(job.owner, source_of(request), size)
            job.engine = self.workshop.backend.engine()
            job.resume(settings, painting)
            self.admission.submit(job, expected.seconds, request)
        return {
            **self._put_up(job),
            **self.controls.show(settings, {"size", "iterations"}),
            **self.result_panel.resumed(expected),
            self.gallery: self._gallery(visitor),
        }

    def branch(self, id: str, token: str, request: gr.Request) -> Updates:
        """A copy on a card of its own; what follows happens to the copy."""
        visitor = self._visitor(token, request)
        job = self._job(id)
        if job is None or job.state.is_live:
            return {self.to_follow: "", **self.result_panel.idle(NOTHING_TO_BRANCH)}
        twin = self.workshop.branch(job, visitor)
        return {**self._put_up(twin), self.gallery: self._gallery(visitor)}

    # ------------------------------------------------------------- contact sheet

    def make_sheet(self, values: dict[Component, Any], request: gr.Request) -> Updates:
        """Nine small pictures in line."""
        visitor = self._visitor(values[self.visitor], request)
        rows, columns = values[self.panel.rows], values[self.panel.columns]
        try:
            grid = plan_sheet(self.controls.settings(values), rows, columns)
            with self.admission.opened(grid[0][0]):
                photo = load_named(values[self.photo], "photo")
                painting = load_named(values[self.painting], "painting")
                tiles = [tile for row in grid for tile in row]
                here = LocalBackend(self.workshop.backend.device)  # where all of them are painted
                sizes = photo.size, [painting.size]
                seconds = sum(here.admit(*sizes, tile).seconds for tile in tiles)
                sheet = Sheet(photo, [painting], grid, visitor=visitor, device=here.device)
                self.admission.submit(sheet, seconds, request)
                self._stop_sheet(values[self.sheet])
        except Exception as error:
            gr.Warning(sentence_of(error))
            if values[self.sheet]:  # which stays, and goes on
                return {self.sheet: values[self.sheet]}
            return {self.sheet: "", self.panel.grid: charts.message(sentence_of(error))}
        return {self.sheet: sheet.id, self.panel.grid: charts.message("Getting ready…")}

    def _stop_sheet(self, id: str) -> None:
        """A new contact sheet takes the place of the one before."""
        sheet = self.workshop.find(id) if id else None
        if isinstance(sheet, Sheet):
            sheet.stop()

    async def follow_sheet(self, id: str, request: gr.Request) -> AsyncIterator[Any]:
        """Show a contact sheet until it is done."""
        sheet = await asyncio.to_thread(self.workshop.find, id) if id else None
        if not isinstance(sheet, Sheet):
            yield gr.update()
            return
        mark, shown = self.tabs.turn(tab_of(request), "sheet"), 0.0
        async with aclosing(changes(sheet)) as looks:
            async for _ in looks:
                if not self.tabs.is_current(tab_of(request), "sheet", mark):
                    yield gr.update()
                    return
                if not is_read(request):
                    return
                if time.monotonic() - shown >= PREVIEW_EVERY or not sheet.state.is_live:
                    ahead = self.workshop.ahead_of(sheet)
                    yield await asyncio.to_thread(sheet_markup, sheet, ahead)
                    shown = time.monotonic()

    def take_tile(
        self, values: dict[Component, Any], event: gr.EventData, request: gr.Request
    ) -> Updates:
        """Go on from a tile at full size, with the controls where it has them."""
        visitor = self._visitor(values[self.visitor], request)
        try:
            sheet = self.workshop.find(str(event.sheet))
            if not isinstance(sheet, Sheet) or not sheet.id.startswith(owner_of(visitor)):
                raise SettingsError("This contact sheet is no longer kept; please make it again.")
            row, column = divmod(int(event.tile), len(sheet.grid[0]))
            present = self.controls.settings(values)
            tile = sheet.grid[row][column]
            settings = tile.replace(size=present.size, iterations=present.iterations)
            job = sheet.job_of(row, column, settings.replace(colors=present.colors), visitor)
            expected = self.admission.expected(
                sheet.content, sheet.styles, job.settings, job.moment
            )
            job.engine = self.workshop.backend.engine()
            self.admission.submit(job, expected.seconds, request)
        except Exception as error:
            return self._refuse(error)
        return {
            **self._put_up(job),
            **self.controls.show(job.settings, set(options()) - {"colors"}),
            **self.result_panel.begun(expected),
            self.gallery: self._gallery(visitor),
        }

    # ------------------------------------------------------- gallery, recipes, links

    def open_card(self, visitor: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Put a job of the visitor's on the result panel."""
        visitor, id = self._visitor(visitor, request), event_value(event, "job")
        job = self.own_job(id, visitor)
        if job is None:
            is_there = self.workshop.card_of(id) is not None
            missing = self.result_panel.idle(
                DAMAGED if is_there else "This picture is no longer kept."
            )
            return {self.to_follow: "", **missing, self.gallery: self._gallery(visitor)}
        return self._on_panel(job)

    def delete_card(
        self, visitor: str, current: str, event: gr.EventData, request: gr.Request
    ) -> Updates:
        """Delete a job of the visitor's."""
        visitor, id = self._visitor(visitor, request), event_value(event, "job")
        job = self.own_job(id, visitor)
        updates: Updates = {}
        if job and job.id == current:
            self.tabs.turn(tab_of(request), "job")  # nobody follows it any more
            updates = {
                self.current: "",
                **self.result_panel.idle("Deleted."),
                **self.result_panel.empty(),
            }
        if is_owned(id, visitor):
            self.workshop.forget(id)  # also one that is damaged
        return {**updates, self.gallery: self._gallery(visitor)}

    def link_now(self, values: dict[Component, Any]) -> Any:
        """The address of what is on the page."""
        roles = {"content": self.photo, "style": self.painting}
        chosen = {
            role: example
            for role, part in roles.items()
            if (example := self._example_at(values[part]))
        }
        job = self._job(values[self.current])
        settings = self.controls.settings(values)
        is_result = job and job.moment and not job.state.is_live
        is_of_these = job and settings.paints_like(job.settings)
        result = share_id(job.id) if job and is_result and is_of_these else ""
        query = link_to(settings, chosen, result)
        return gr.update(value=query, visible=True)

    def _example_at(self, path: str | None) -> Any:
        try:
            return self.shelf.example_of(Ingredient.of(load_named(path, "picture")))
        except ValueError:
            return None

    def own_job(self, id: str, visitor: str) -> Job | None:
        return self.workshop.find_job(id) if is_owned(id, visitor) else None

    def _gallery(self, visitor: str) -> str:
        return gallery_markup(self.workshop.cards(visitor), self.workshop.limits.kept)

    # ------------------------------------------------------------------ helpers

    def _on_panel(self, job: Job) -> Updates:
        """A job's pictures and settings in their places; `follow` shows the rest."""
        recipe = job.recipe()
        style = recipe.passages[-1].styles[0]
        return {
            **self._put_up(job),
            self.photo: self._input_value(job, "content", job.content, recipe.content),
            self.painting: self._input_value(
                job, f"style-{style}", job.styles[style], recipe.painting
            ),
            **self.controls.show(job.settings, set(options())),
        }

    def _input_value(self, job: Job, name: str, image: Image.Image, ingredient: Ingredient) -> str:
        """A file with the pixels of one of a job's pictures, for an upload to show."""
        if example := self.shelf.example_of(ingredient):
            return self._value_of(example)
        cache = self.photo.GRADIO_CACHE
        if self.workshop.job_store:
            stored = self.workshop.job_store.file(job.id, f"{name}.png")
            if stored.is_file():
                return str(save_file_to_cache(stored, cache))
        return str(save_pil_to_cache(image, cache, "picture", format="png"))

    def _value_of(self, example: Example) -> str:
        return example.as_value(self.photo.GRADIO_CACHE)

    def _put_up(self, job: Job) -> Updates:
        """From now on this job is on the result panel, and followed."""
        return {self.current: job.id, self.to_follow: job.id}

    def _refuse(self, error: Exception) -> Updates:
        """A sentence in the status and as a toast; nothing else moves."""
        return {self.to_follow: "", **self.result_panel.refusal(error)}


def is_owned(id: str, visitor: str) -> bool:
    """Whether a job of this id would be the visitor's."""
    return (
        isinstance(visitor, str)
        and bool(visitor)
        and is_id(id)
        and id.startswith(f"{owner_of(visitor)}-")
    )


def by_hand(*parts: Component) -> list[Any]:
    """The events of controls that a visitor moves; what a handler moves is left alone. A slider's
    reset is a release."""
    events = [part.input for part in parts]
    return events + [part.release for part in parts if isinstance(part, gr.Slider)]


def refused(error: Exception) -> str:
    """What to tell the visitor of a change that is not made."""
    return f"{sentence_of(error)} The picture goes on as it was."


def of(settings: TransferSettings, names: tuple[str, ...]) -> dict[str, Any]:
    """Some of the settings by name."""
    return {name: getattr(settings, name) for name in names}
