"""The studio: every action of a visitor, connected to the parts of the page.

Jobs are painted in the workshop; the page only asks for them, steers them, and looks.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from page.actions.batches import Batches
from page.actions.contact_sheets import ContactSheets
from page.actions.continuing import Continuing
from page.actions.filming import Filming
from page.actions.finding import Finding
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
        self.finding = Finding(session)
        self.filming = Filming(session)
        self.batches = Batches(session)
        self.continuing = Continuing(session)
        self.sheets = ContactSheets(session)
        self.own_pictures = OwnPictures(session)
        self.sharing = Sharing(session)

    def wire(self, demo: gr.Blocks) -> Any:
        """Connect every event.

        Returns the event of a visitor's arrival.
        """
        session = self.session
        arrival = self.visits.wire(demo)
        session.history.begin(arrival)
        self.painting.wire()
        self.batches.wire()
        self.continuing.wire()
        self.steering.wire()
        self.finding.wire()
        self.filming.wire()
        self.sheets.wire()
        self.own_pictures.wire()
        self.sharing.wire()
        self.painting.wire_estimate(
            arrival.then,
            session.controls.look_taken.then,
            *(part.change for part in session.controls.decisive),
            session.photo.choose,
            session.painting.choose,
            session.paintings.edit,
            session.tray.edit,
            session.tray.change,
            *(taken_back.then for taken_back in session.history.taken_back),
        )
        textures = Textures(
            session.workshop, session.textures, session.controls, session.painting, session.tabs
        )
        textures.wire()
        return arrival
