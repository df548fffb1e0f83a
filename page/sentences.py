"""What a visitor is told when something does not work: one sentence, whatever happened.

Knows the errors whose messages were written for visitors.
"""

from __future__ import annotations

from nst import ImageError
from nst.forecast import TooLargeError
from nst.hub import HubError
from nst.jobs import sentence_of as sentence_of_a_run
from nst.line import BusyError
from nst.recipe import RecipeError
from page.rendering import RenderingBusyError

NO_DISK = (
    "There is no room for pictures on the server's disk at this moment; please try again later."
)


def sentence_of(error: Exception) -> str:
    """What to tell the visitor; what only we can mend goes to the log instead."""
    known = (ImageError, RecipeError, TooLargeError, BusyError, HubError, RenderingBusyError)
    if isinstance(error, known):
        return str(error)
    return sentence_of_a_run(error)
