"""Standard streams, pipes, signals and errors of the commands.

Text prints in any encoding, a closed pipe ends a command quietly, and Ctrl-C waits for the present
iteration.
"""

from __future__ import annotations

import argparse
import codecs
import os
import re
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from nst.errors import OutputError, UserError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

INTERRUPTED = 130  # exit status after Ctrl-C: 128 + SIGINT, as shells count
BROKEN_PIPE = 141  # exit status when the reader of stdout or stderr left: 128 + SIGPIPE
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Loaded = TypeVar("Loaded")

_SPELLED = {
    "α": "alpha",
    "β": "beta",
    "λ": "lambda",
    "×": "x",
    "…": "...",
    "−": "-",
    "–": "-",
    "—": "-",
    "·": ".",
    "█": "#",
    "‖": "||",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "‹": "<",
    "›": ">",
    "→": "->",
    "ß": "ss",
}


_BEGINS_BELOW_ZERO = re.compile(r"-\.?\d")


class CommandParser(argparse.ArgumentParser):
    """A parser whose help is not lost in silence, and whose flags take lists like `-90,0`.

    argparse passes over errors of writing the help, and takes such a list for a flag.
    """

    @override
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse the words; one that begins with a number below 0 belongs to the flag before it."""
        return super().parse_known_args(
            _with_values(sys.argv[1:] if args is None else args), namespace
        )

    @override
    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help; raises `OSError` where it cannot be written."""
        print(self.format_help(), end="", file=file)


def _with_values(words: Sequence[str]) -> list[str]:
    """Return words where a flag and the value after it that begins with a minus are one."""
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        is_value = _BEGINS_BELOW_ZERO.match(word)
        if is_value and before.startswith("--") and len(before) > 2 and "=" not in before:
            joined[-1] = f"{before}={word}"
        else:
            joined.append(word)
    return joined


def fail(name: str, error: Exception) -> int:
    """Print the first line of an error on stderr, and return the exit status of its kind."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    print(f"{name}: {reason}", file=sys.stderr)
    return error.exit_status if isinstance(error, UserError) else UserError.exit_status


def load_named(load: Callable[[str], Loaded], path: str) -> Loaded:
    """Return what `load` makes of a file; a `UserError` names the file."""
    try:
        return load(path)
    except UserError as error:
        raise type(error)(f"{path}: {error}") from None


def run_command(command: Callable[[], int | None], name: str) -> int:
    """Run a command's main function and return its exit status.

    Whatever the encoding of stdout and stderr, every line is printed: what an encoding lacks is
    spelled in ASCII. When the reader of a pipe has left (`| head -1`), the command ends at once and
    quietly with `BROKEN_PIPE`; when stdout cannot be written for another reason (a full disk), with
    one line on stderr and 1; after Ctrl-C with `INTERRUPTED`.
    """
    prepare_streams()
    try:
        try:
            status = command() or 0
        except SystemExit as exit:  # argparse: after --help, or with the usage
            status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
            if isinstance(exit.code, str):
                print(exit.code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        return INTERRUPTED
    except OutputError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None:  # not about stdout: what it is about is told
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: the output cannot be printed: {error.strerror or error}", file=sys.stderr)
        _discard_output()
        return 1
    return status


def prepare_streams() -> None:
    """Let stdout and stderr print any text; where one is closed, let it go nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: the next file would take its number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="nst.spelled")


def spell(text: str) -> str:
    """Return the text in ASCII: letters and signs spelled out, the rest as escapes."""
    return "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    if character.isascii():
        return character
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    escaped = character.encode("ascii", "backslashreplace").decode()
    return _SPELLED.get(character) or plain or escaped


def _on_encoding_error(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return spell(error.object[error.start : error.end]), error.end


codecs.register_error("nst.spelled", _on_encoding_error)


def _discard_output() -> None:
    """Send what is still buffered nowhere, or the interpreter would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class StopRequest:
    """SIGINT and SIGTERM as a request to stop, inside a `with` block of the main thread.

    Until `defer` is called the first signal raises `KeyboardInterrupt`; then the first one is only
    noted in `signal`, and the second raises. After `ignore` none has any effect. A signal that the
    parent process chose to ignore (`nohup`, a background job) stays ignored.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._is_deferring = False
        self._is_ignoring = False
        self._before: dict[int, object] = {}

    @property
    def is_made(self) -> bool:
        """Tell whether a signal has asked to stop."""
        return self.signal is not None

    @property
    def status(self) -> int:
        """Return the exit status after the signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def defer(self) -> None:
        """Let the next signal wait for the present iteration."""
        self._is_deferring = True

    def ignore(self) -> None:
        """Ignore signals from now on."""
        self._is_ignoring = True

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_ignoring:
            return
        is_first, self.signal = not self.is_made, self.signal or number
        if not (is_first and self._is_deferring):
            raise KeyboardInterrupt


def until_stopped(run: Callable[[StopRequest], int], name: str, when_stopped: str) -> int:
    """Run a command that signals may stop, and return its exit status.

    An error is one line on stderr, and so is `when_stopped` where a signal ends it at once; a
    broken pipe is left to `run_command`.
    """
    with StopRequest() as stop:
        try:
            return run(stop)
        except KeyboardInterrupt:
            print(f"\n{name}: {when_stopped}", file=sys.stderr)
            return stop.status
        except BrokenPipeError:
            raise
        except Exception as error:
            return fail(name, error)
