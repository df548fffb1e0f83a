"""The studio: every action of a visitor, connected to the parts of the page.

Jobs are painted in the workshop; the page only asks for them, steers them, and looks.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from page.actions.contact_sheets import ContactSheets
from page.actions.continuing import Continuing
from page.actions.own_pictures import OwnPictures
from page.actions.painting import Painting
from page.actions.session import Session
from page.actions.sharing import Sharing
from page.actions.steering import Steering
from page.actions.visits import Visits
from page.panels.textures import Textures


class Studio:
    """The actions, on the parts and the workshop that they share."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.visits = Visits(session)
        self.painting = Painting(session)
        self.steering = Steering(session)
        self.continuing = Continuing(session)
        self.sheets = ContactSheets(session)
        self.own_pictures = OwnPictures(session)
        self.sharing = Sharing(session)

    def wire(self, demo: gr.Blocks) -> Any:
        """Connect every event.

        Each way to a job ends in `Painting.follow`, which shows it until it ends. Returns the event
        of a visitor's arrival.
        """
        session, follow_after = self.session, self.painting.follow_after
        arrival = self.visits.wire(demo)
        follow_after(arrival)
        self.painting.wire()
        self.continuing.wire(follow_after)
        self.steering.wire()
        self.sheets.wire(arrival, follow_after)
        self.own_pictures.wire(follow_after)
        self.sharing.wire()
        if session.workshop.backend.lends_gpus:
            resized = [*(part.release for part in self.steering.typed), session.photo.change]
            self.painting.wire_price(arrival, resized, session.controls.look_taken)
        textures = Textures(
            session.workshop, session.textures, session.controls, session.painting, session.tabs
        )
        textures.wire(arrival)
        return arrival
