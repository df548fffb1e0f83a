"""Errors that are meant for users: one root, and what went wrong as its kinds."""

from __future__ import annotations


class UserError(Exception):
    """Something that cannot be done; the message is one sentence for the user.

    The library raises its kinds, and `TypeError` or `ValueError` for arguments that no user could
    have chosen. A kind says how a command ends, what a server answers, and whether the same may
    work some other time; all show the sentence.
    """

    exit_status = 1
    http_status = 400
    may_pass = False


class ImageError(UserError, ValueError):
    """A picture that cannot be used."""


class MaskError(ImageError):
    """A mask that cannot be used, or not with the pictures that there are."""


class RecipeError(UserError, ValueError):
    """A recipe that cannot be used."""


class SettingsError(UserError, ValueError):
    """A value that a setting does not take, or values that do not go together."""


class OutputError(UserError, ValueError):
    """A path that cannot be written to."""


class TooLargeError(UserError, ValueError):
    """A run that there is no room for; the message says what there would be room for."""

    http_status = 413


class BusyError(UserError, RuntimeError):
    """No room for another task now."""

    http_status = 503
    may_pass = True


class WeightsError(UserError, RuntimeError):
    """The network's parameters cannot be had."""

    http_status = 503


class MissingPackageError(UserError, ImportError):
    """A part of the program needs a package that is not installed; the message names it."""

    http_status = 501


class HubError(UserError, RuntimeError):
    """Something on the Hub did not work."""

    http_status = 502


class DeviceError(UserError, ValueError):
    """A device that this machine does not have."""


class GPUError(UserError, RuntimeError):
    """A GPU could not be borrowed any longer."""

    http_status = 503
    may_pass = True


class UnreachableError(UserError, RuntimeError):
    """Workers that cannot be reached now; what waits for them goes on when they are back."""

    http_status = 503
    may_pass = True


class ClusterError(UserError, RuntimeError):
    """A cluster that cannot be reached, is lost, or cannot start a worker."""

    http_status = 503
    may_pass = True


class WorkerError(UserError, RuntimeError):
    """A worker has ended, and a run with it."""

    http_status = 503
    may_pass = True


class NumericalError(UserError, ArithmeticError):
    """A cost or a target that is not a finite number."""

    http_status = 500
