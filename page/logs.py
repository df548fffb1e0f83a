"""The server's log on stderr: lines for people, or JSON where `NST_LOG` asks for it."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import datetime, timezone

from typing_extensions import override

from nst.errors import SettingsError

STYLES = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(message)s"


class JSONFormatter(logging.Formatter):
    """Format a record as one line of JSON: time, level, logger, message, and the traceback."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def log_style() -> str:
    """Return how the environment asks for the log, one of `STYLES`. Raises `SettingsError`."""
    style = os.environ.get("NST_LOG") or STYLES[0]
    if style not in STYLES:
        raise SettingsError(f"NST_LOG is {style!r}; it can be {' or '.join(STYLES)}.")
    return style


def configure_logs(style: str) -> None:
    """Send the log to stderr, without what is not ours to mend or may hold secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if style == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for client in ("httpx", "httpx2"):  # their addresses may hold tokens and signatures
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # and those of each new try
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each broken form
    logging.getLogger("uvicorn.error").addFilter(is_our_business)


def adopt_loggers() -> None:
    """Let uvicorn log as we do; it takes handlers of its own when it starts."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def is_our_business(record: logging.LogRecord) -> bool:
    """Tell whether a log record is ours to mend.

    The tracebacks of tabs that were closed while something was sent to them are not: Gradio answers
    404 in the middle of their streams, which nobody reads any more.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "response already started" in str(error))
