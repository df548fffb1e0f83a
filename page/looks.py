"""What a tab sees of a task that it follows: `studio/{id}/look.json`, asked for again and again.

Each look is one short request, so that any number of tabs can follow, and a tab that lost its
connection goes on with the next one. A look also says when the next is due: until then the task
counts as watched.
"""

from __future__ import annotations

import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nst.errors import BusyError
from nst.studio.batch_job import Batch
from nst.studio.batch_store import batch_card
from nst.studio.film_job import Film
from nst.studio.film_store import film_card
from nst.studio.job import Job
from nst.studio.job_store import Card
from nst.studio.sheet_job import Sheet
from nst.studio.task import State, Task
from nst.studio.workshop import CLOSING, Workshop
from page.http.job_files import PRIVATE, bounded
from page.panels import charts
from page.panels import film as film_panel
from page.panels.batch_grid import batch_look
from page.panels.contact_sheet import sheet_markup
from page.panels.own_gallery import label_of
from page.panels.stage import display_address
from page.rendering import Renderings

GONE = {"isLive": False, "isGone": True}  # no error: what is followed may be deleted meanwhile
MOST_AHEAD = 90.0  # seconds; browsers wake a hidden tab once a minute


def look_route(workshop: Workshop, renderings: Renderings) -> Route:
    """Return the route of looks at jobs and contact sheets."""

    async def look(request: Request) -> Response:
        id, due = request.path_params["task"], due_of(request)

        def seen() -> dict[str, Any] | None:
            task = workshop.find(id)
            if task is None:
                return None
            if task.state is State.INTERRUPTED and workshop.is_closing:
                raise BusyError(CLOSING)  # the browser asks again, and finds the next server
            workshop.greet(task.owner, due)
            return looked_at(task, workshop)

        answer = await renderings.look_up(seen, request)
        return JSONResponse(answer or GONE, headers=PRIVATE)

    return Route("/studio/{task}/look.json", bounded(look))


def looked_at(task: Task, workshop: Workshop) -> dict[str, Any]:
    """Return what there is to see of a task, as JSON: its markup, and what a script needs."""
    seen: dict[str, Any] = {"task": task.id, "isLive": task.state.is_live}
    if isinstance(task, Sheet):
        return {**seen, "tiles": sheet_markup(task, workshop.ahead_of(task))}
    if isinstance(task, Film):
        return {**seen, **looked_at_film(task, workshop)}
    if isinstance(task, Batch):
        look = batch_look(task, workshop.ahead_of(task), workshop.wait_of(task))
        return {**seen, **look, "card": label_of(batch_card(task))}
    assert isinstance(task, Job)
    seen |= {"course": course_of(task), "card": label_of(Card.of(task))}
    if task.state is State.WAITING:
        return {**seen, "status": charts.waiting(workshop.ahead_of(task), workshop.wait_of(task))}
    if len(task.steps) == task.steps_before:  # nothing is painted yet since it was (re)begun
        return {**seen, "status": charts.message(task.note)} if task.note else seen
    steps, course = list(task.steps), task.course
    last = steps[-1]
    return {
        **seen,
        "status": charts.progress(last, task.note),
        "curves": charts.curves(steps, course, task.ingredients[1:]),
        "explanation": charts.explanation(last, course[-1].settings),
        "percent": int(100 * last.iteration / last.total),
        "preview": display_address(task) if task.moment else None,
    }


def looked_at_film(film: Film, workshop: Workshop) -> dict[str, Any]:
    """Return what there is to see of a film, beside what every task has."""
    status: str = film_panel.progress(film)
    if film.has_given_way:
        status = charts.message(film_panel.BETWEEN.format(film.count, film.total))
    elif film.state is State.WAITING:
        status = charts.waiting(workshop.ahead_of(film), workshop.wait_of(film))
    return {
        "card": label_of(film_card(film)),
        film_panel.STATUS: status,
        "percent": int(100 * film.count / film.total),
        "count": film.count,
        "total": film.total,
        "preview": f"studio/{film.id}/frame.webp?v={film.revision}" if film.present else None,
        "pair": film_panel.pair_of(film),
    }


def course_of(job: Job) -> str:
    """Return a mark of what a job is painted under: it changes when somebody steers."""
    present = (job.settings.replace(colors=0.0), job.passages[-1].styles)
    return f"{zlib.crc32(repr(present).encode()):x}"


def due_of(request: Request) -> float:
    """Return the seconds until the next look, as the browser says."""
    try:
        due = float(request.query_params.get("due", ""))
    except ValueError:
        return 0.0
    return min(max(due, 0.0), MOST_AHEAD) if due == due else 0.0
