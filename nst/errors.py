"""The root of all errors that are meant for users."""

from __future__ import annotations


class UserError(Exception):
    """Something that cannot be done; the message is one sentence for the user.

    The library raises its kinds, and `TypeError` or `ValueError` for arguments that no user could
    have chosen.
    """


class NumericalError(UserError, ArithmeticError):
    """A cost or a target that is not a finite number."""
