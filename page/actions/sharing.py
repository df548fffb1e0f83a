"""Copy a link to what is on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradio.components import Component

from nst.errors import ImageError
from nst.images.recipe import Ingredient
from nst.studio.film_job import Film
from nst.studio.task import share_id
from page.actions.session import Session
from page.assets import handler
from page.examples import Example
from page.http.following import AT_ONCE
from page.link_regions import renumbered
from page.links import Shared, link_to
from page.panels.components import Choice
from page.panels.mix import OpenRegion, open_mask
from page.panels.modes import FILM
from page.panels.paintings import Paintings, Region
from page.panels.picture_inputs import load_named

Values = Mapping[Component, Any]


@dataclass(frozen=True)
class Sharing:
    """The address of the page with its settings."""

    session: Session

    def wire(self) -> None:
        """Connect the button that copies the link."""
        session, film = self.session, self.session.film
        shown = {session.result_panel.stage, film.modes, film.clip, film.current, film.stage}
        asked = session.values | shown
        linked = session.bar.copylink(self.link_now, asked, [session.link], **AT_ONCE)
        linked.then(None, [session.link], None, js=handler("copy_link"))

    def link_now(self, values: dict[Component, Any]) -> str:
        """Return the address of what is on the page, as JSON.

        `link` is without painted regions, `withRegions` with them where a link can have any, and
        `leftOut` says what neither has.
        """
        shared = self._shared(values)
        plain, full = link_to(replace(shared, regions=())), link_to(shared)
        answer = {
            "link": plain,
            "withRegions": full if full != plain else "",
            "leftOut": self._left_out(values),
        }
        return json.dumps(answer)

    def _shared(self, values: Values) -> Shared:
        session = self.session
        roles = {"content": session.photo, "style": session.painting}
        chosen = {
            role: example
            for role, part in roles.items()
            if (example := self._example_at(values[part]))
        }
        held: Paintings = values[session.paintings]
        more = list(map(self._example_at, held.more))
        numbers = [0, *(number for number, example in enumerate(more, start=1) if example)]
        index_of = {number: at for at, number in enumerate(numbers) if at or "style" in chosen}
        return Shared(
            session.controls.settings(values),
            chosen,
            self._result(values),
            also=[example for example in more if example],
            style_weights=[held.weights[number] for number in numbers],
            uses=[held.use(number) for number in numbers],
            regions=self._opened_regions(values, index_of) if "content" in chosen else (),
        )

    def _result(self, values: Values) -> str:
        """Return by what a link names the picture or film on the stage, "" where none is."""
        session = self.session
        if is_film(values, session):
            return self._shown_film(values)
        job, share = session.job_of(values[session.current]), ""
        if job is None:  # the picture may be from a link itself
            share = _share_of(values[session.result_panel.stage])
            job = session.shared_job(share)
        if not job or not job.moment or job.state.is_live:
            return ""
        is_of_these = session.controls.settings(values).paints_like(job.settings)
        return (share or share_id(job.id)) if is_of_these else ""

    def _shown_film(self, values: Values) -> str:
        id = values[self.session.film.current]
        film = self.session.task_of(id)
        if film is None:
            return _share_of(values[self.session.film.stage])
        is_there = isinstance(film, Film) and film.count and not film.state.is_live
        return share_id(id) if is_there else ""

    def _regions(self, values: Values) -> tuple[Region, ...]:
        """Return the regions of the photo; a film and several photos have none."""
        session = self.session
        held: Paintings = values[session.paintings]
        return () if is_film(values, session) or values[session.tray] else held.regions

    def _opened_regions(self, values: Values, index_of: Mapping[int, int]) -> list[OpenRegion]:
        opened = (_opened(region) for region in self._regions(values))
        return renumbered(filter(None, opened), index_of)

    def _left_out(self, values: Values) -> str:
        """Return a sentence about what is on the page and cannot be in a link; "" for nothing."""
        session = self.session
        held: Paintings = values[session.paintings]
        paintings = [values[session.painting], *held.more]
        own = [number for number, choice in enumerate(paintings) if self._is_own(choice)]
        parts = self._left_out_photos(values)
        if own:
            ruled = {region.painting for region in self._regions(values)}
            one = f"{_whose(paintings[own[0]])} painting"
            name, whose = (one, "its") if len(own) == 1 else ("your paintings", "their")
            parts.append(name + (f" and {whose} regions" if ruled.intersection(own) else ""))
        if values[session.init] and not is_film(values, session):
            parts.append("the starting picture")
        if self._takes_part(values, own):
            parts.append("the part of a painting that is used")
        return f"Not in the link: {', '.join(parts)}." if parts else ""

    def _takes_part(self, values: Values, own: Sequence[int]) -> bool:
        """Tell whether only a part is used of a painting that the link has; see `_regions`."""
        held: Paintings = values[self.session.paintings]
        is_single = not (is_film(values, self.session) or values[self.session.tray])
        return is_single and any(
            part and number not in own for number, part in enumerate(held.within)
        )

    def _left_out_photos(self, values: Values) -> list[str]:
        session = self.session
        photo, tray = values[session.photo], values[session.tray]
        if is_film(values, session):
            return ["the clip"] if values[session.film.clip] else []
        if len(tray.photos) > 1:
            return ["your photos" if self._is_own(photo) else "the other photos"]
        if not self._is_own(photo):
            return []
        return [f"{_whose(photo)} photo" + (" and its regions" if self._regions(values) else "")]

    def _is_own(self, choice: Choice | None) -> bool:
        return choice is not None and self._example_at(choice) is None

    def _example_at(self, choice: Choice | None) -> Example | None:
        try:
            return self.session.examples.example_of(Ingredient.of(load_named(choice, "picture")))
        except ValueError:
            return None


def is_film(values: Values, session: Session) -> bool:
    """Tell whether the page is for a film."""
    return bool(values[session.film.modes] == FILM)


def _whose(choice: Choice) -> str:
    """Return whose a picture is that is no example as it came."""
    return "your version of the" if choice.example else "your"


def _share_of(shown: Mapping[str, Any] | None) -> str:
    """Return by what a link names what a stage shows; "" for what is not from a link."""
    return str((shown or {}).get("share", ""))


def _opened(region: Region) -> OpenRegion | None:
    """Return a region with its mask, None where that cannot be read."""
    try:
        return OpenRegion(open_mask(region.mask), region.painting, region.strength)
    except ImageError:
        return None
