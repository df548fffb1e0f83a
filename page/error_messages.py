"""Error messages: what a visitor is told when something does not work, one sentence each."""

from __future__ import annotations

from nst.studio.task import error_message as error_message

NO_DISK = (
    "There is no room for pictures on the server's disk at this moment; please try again later."
)
