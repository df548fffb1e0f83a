"""Count requests that were refused, by the kind of their answer."""

from __future__ import annotations

from collections import Counter

from page.http.health import PATH as HEALTH

REASONS = {  # by HTTP status
    400: "invalid",
    408: "too_slow",
    413: "too_large",
    414: "invalid",
    416: "invalid",
    422: "invalid",
    429: "rate_limit",
    431: "invalid",
    503: "busy",
    507: "disk_full",
}


class Refusals:
    """How many requests were refused for each of the `REASONS`.

    It belongs to the server's event loop; any thread may read it.
    """

    def __init__(self) -> None:
        self.counts = Counter(dict.fromkeys(REASONS.values(), 0))

    def note(self, path: str, status: int) -> None:
        """Count the answer to a request if it was a refusal; to be draining is none."""
        reason = REASONS.get(status)
        if reason and not path.startswith(HEALTH):
            self.counts[reason] += 1
