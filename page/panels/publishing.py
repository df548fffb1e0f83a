"""Publishing a finished picture on the Hub, for visitors who have signed in.

Knows Gradio's sign-in with Hugging Face and the galleries that can be written to. The visitor's
token goes to the Hub and nowhere else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.utils import get_space
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from nst.errors import HubError
from nst.hub.gallery import Gallery, own_gallery
from nst.hub.gallery_layout import LICENCE, LONGEST_TITLE
from nst.studio.job import Job
from page.error_messages import error_message
from page.http.following import AT_ONCE
from page.panels import charts
from page.templates import render

FINISH_FIRST = "Paint a picture first, or open one of yours; then it can be published."
SIGN_IN_FIRST = "Please sign in with Hugging Face first."
NOTE = (
    "Everybody will see, and may use, the picture, its recipe, your user name and what you write"
    " here (licence: {licence}). Your photo is published only if you say so."
)
COMMUNITY, OWN = "community", "own"
SIGN_IN_FAILED = "sign_in_failed"  # in the address that leads back

log = logging.getLogger(__name__)

Updates = dict[Component, Any]


def can_sign_in() -> bool:
    """Tell whether this page is a Space whose visitors can sign in (`hf_oauth`)."""
    return get_space() is not None and bool(os.environ.get("OAUTH_CLIENT_ID"))


@dataclass(frozen=True)
class Publishing:
    """The panel's parts, and the gallery of the community if there is one."""

    community: Gallery | None
    fold: gr.Accordion
    sign_in: gr.LoginButton
    where: gr.Radio
    title: gr.Textbox
    consent: gr.Checkbox
    button: gr.Button
    outcome: gr.HTML

    def wire(
        self,
        arrival: Any,
        current: gr.State,
        visitor: gr.BrowserState,
        find_own: Callable[[str, str], Job | None],
    ) -> Any:
        """Connect the panel; returns the event after which the gallery may have a new picture."""
        arrival.then(self.know, None, [self.fold, self.button], **AT_ONCE)
        inputs = [current, visitor, self.where, self.title, self.consent]

        def publish(
            id: str,
            token_of_visitor: str,
            where: str,
            title: str,
            consent: bool,
            profile: gr.OAuthProfile | None,
            token: gr.OAuthToken | None,
        ) -> Iterator[Updates]:
            yield {
                self.button: gr.update(interactive=False),
                self.outcome: charts.message("Publishing…"),
            }
            try:
                job = find_own(id, token_of_visitor)
                outcome = self.publish(job, where, title, consent, profile, token)
            except Exception as error:
                outcome = charts.message(error_message(error))
            yield {self.button: gr.update(interactive=True), self.outcome: outcome}

        # Neither the consent nor the title is for the next picture.
        fresh = [self.title, self.consent, self.outcome]
        current.change(lambda: ("", False, ""), None, fresh, **AT_ONCE)
        return self.button.click(publish, inputs, [self.button, self.outcome], **AT_ONCE)

    def know(self, profile: gr.OAuthProfile | None) -> Updates:
        """Open the panel for those who have signed in; only they can publish."""
        if profile is None:
            return {self.button: gr.update(interactive=False)}
        return {self.fold: gr.update(open=True), self.button: gr.update(interactive=True)}

    def publish(
        self,
        job: Job | None,
        where: str,
        title: str,
        consent: bool,
        profile: gr.OAuthProfile | None,
        token: gr.OAuthToken | None,
    ) -> str:
        """Publish what the result panel shows; return its address. Raises `HubError`."""
        if profile is None or token is None:
            raise HubError(SIGN_IN_FIRST)
        if job is None or job.moment is None or job.state.is_live:
            raise HubError(FINISH_FIRST)
        picture, recipe = job.delivered()
        gallery = self.community if where == COMMUNITY else None
        gallery = gallery or own_gallery(token.token, profile.username)
        published = gallery.publish(
            picture,
            recipe,
            author=profile.username,
            title=title,
            photo=job.content if consent else None,
        )
        said = "Published" if published.is_new else "This picture was published before"
        return render("published", text=said, address=published.url)


class SignInMiddleware:
    """Lead those back to the page who did not want to sign in after all, or could not.

    Gradio would show them a server error. (ASGI middleware.)
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith("/login/"):
            await self.app(scope, receive, send)
            return
        was_refused = b"error=" in scope.get("query_string", b"")
        try:
            if not was_refused:
                await self.app(scope, receive, send)
        except Exception as error:
            log.warning("a sign-in did not work: %s", type(error).__name__)
            was_refused = True
        if was_refused:
            await RedirectResponse(f"/?{SIGN_IN_FAILED}=1")(scope, receive, send)


def add_publishing(community: Gallery | None) -> Publishing | None:
    """Show the panel, folded away, where visitors can sign in."""
    if not can_sign_in():
        return None
    choices = [("A dataset of my own", OWN)]
    if community and community.can_write:
        choices.insert(0, ("The gallery on this page", COMMUNITY))
    fold = gr.Accordion("Publish on the Hugging Face Hub", open=False, elem_id="publish")
    with fold:
        sign_in = gr.LoginButton(logout_value="Sign out ({})", size="sm", elem_id="sign-in")
        where = gr.Radio(choices, value=choices[0][1], label="Where", elem_id="publish-where")
        title = gr.Textbox(
            label="Title", placeholder="if you like", max_length=LONGEST_TITLE, max_lines=1
        )
        consent = gr.Checkbox(False, label="Publish my photo too, for before and after")
        gr.HTML(charts.hint(NOTE.format(licence=LICENCE)))
        button = gr.Button("Publish", interactive=False, size="sm", elem_id="publish-now")
        outcome = gr.HTML(elem_id="published")
    return Publishing(community, fold, sign_in, where, title, consent, button, outcome)
