"""Error messages: what a visitor is told when something does not work, one sentence each."""

from __future__ import annotations

from nst.studio.task import error_message as error_message

NO_DISK = "The server's disk is full at this moment; please try again later."
