"""Errors that are meant for users: one root, and what went wrong as its kinds."""

from __future__ import annotations


class UserError(Exception):
    """Something that cannot be done; the message is one sentence for the user.

    The library raises its kinds, and `TypeError` or `ValueError` for arguments that no user could
    have chosen.
    """


class NumericalError(UserError, ArithmeticError):
    """A cost or a target that is not a finite number."""


class ImageError(UserError, ValueError):
    """A picture that cannot be used; the message is one plain sentence for the user."""


class RecipeError(UserError, ValueError):
    """A recipe that cannot be used; the message is one sentence for the user."""


class WeightsError(UserError, RuntimeError):
    """The network's parameters cannot be had; the message is one sentence for the user."""


class HubError(UserError, RuntimeError):
    """Something on the Hub did not work; the message is one sentence for the user."""


class BusyError(UserError, RuntimeError):
    """No room for another task now; the message is one sentence for the visitor."""


class TooLargeError(UserError, ValueError):
    """A run that there is no room for.

    The message is one sentence for the user, which says what there would be room for.
    """


class GPUError(UserError, RuntimeError):
    """A GPU could not be borrowed any longer; the message is one sentence for the visitor."""


class SettingsError(UserError, ValueError):
    """A value that a setting does not take; the message is one sentence for the user."""


class OutputError(UserError, ValueError):
    """A path that cannot be written to; the message is one sentence for the user."""
