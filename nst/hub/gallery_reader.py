"""Read a gallery on the Hub: its commits, days, entries and files, each with a deadline.

What is known already needs no request. What is read may have been written by anybody.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

from nst.caches import LRUCache
from nst.errors import HubError, RecipeError
from nst.hub.gallery_layout import (
    DAY,
    METADATA,
    MOST_METADATA,
    PICTURE,
    Entry,
    Publication,
    UnusableError,
    entries_of,
    read_metadata,
)
from nst.web.hub_client import call_hub, get

log = logging.getLogger(__name__)

MOST_LISTED = 4_000_000  # bytes of one page of a listing
MOST_PAGES = 50  # of a listing, 1000 entries each
_NOTHING: Any = object()


@dataclass(frozen=True)
class Limits:
    """Of one visitor, and of patience."""

    in_ten_minutes: int = 5  # pictures
    in_a_day: int = 20
    fresh: float = 25.0  # seconds for which the listing is not asked for again
    silence: float = 5.0  # seconds between two packets
    reading: float = 12.0  # seconds for all that one call reads
    writing: float = 120.0
    wait: float = 0.5  # seconds at most before a commit is tried again; doubled up to three times


@dataclass(frozen=True)
class Head:
    """A commit, and the days on which something was published."""

    sha: str | None  # None: there is no such dataset
    days: Mapping[str, str]  # newest first, each with the hash of what is in it


class GalleryReader:
    """Look at the dataset `repo` through `api`. Methods raise what the library and HTTP raise."""

    def __init__(self, api: HfApi, repo: str, limits: Limits) -> None:
        self.api = api
        self.repo = repo
        self.limits = limits
        self._looking = threading.Lock()  # for the head
        self._head: Head | None = None
        self._problem = ""  # why there is none
        self._due = 0.0  # when to look again, on the monotonic clock
        self._days: LRUCache[tuple[str, str], tuple[Entry, ...]] = LRUCache(400)
        self._publications: LRUCache[tuple[str, str], Publication | None] = LRUCache(2000)

    @property
    def url(self) -> str:
        """Return the public page of the dataset."""
        return f"{self.api.endpoint}/datasets/{self.repo}"

    def expire(self) -> None:
        """Look again at the next call, and not while somebody looks at what was there before."""
        with self._looking:
            self._due = 0.0

    def until(self) -> float:
        """Return when a call that begins now must be over, on the monotonic clock."""
        return time.monotonic() + self.limits.reading

    def head(self) -> Head:
        """Return the commit to look at: not older than `limits.fresh`, if the Hub answers."""
        with self._looking:
            if time.monotonic() >= self._due:
                try:
                    self._head, self._problem = call_hub(self.repo, self.look), ""
                except HubError as error:
                    self._problem = str(error)
                    log.warning("the gallery %s: %s", self.repo, error)
                self._due = time.monotonic() + self.limits.fresh
            if self._head is None:
                raise HubError(self._problem)
            return self._head

    def look(self) -> Head:
        """Return the head of the dataset with its days, the newest of them listed."""
        until = self.until()
        try:
            info = self.api.dataset_info(self.repo, expand=["sha"], timeout=self.limits.silence)
        except GatedRepoError:  # one of the next kind, and there
            raise
        except RepositoryNotFoundError:
            return Head(None, {})
        sha = str(info.sha)
        if self._head and self._head.sha == sha:
            return self._head
        days = {
            name: str(entry.get("oid"))
            for entry in self._tree(sha, "data", until)
            if DAY.fullmatch(name := str(entry.get("path")).removeprefix("data/"))
        }
        head = Head(sha, dict(sorted(days.items(), reverse=True)))
        for day in islice(head.days, 1):
            self.entries(head, day, until)
        return head

    def older(self, head: Head, before: str, until: float) -> Iterator[Entry]:
        """Yield all entries before one, newest first, listed day by day as they are asked for."""
        for day in head.days:
            if day <= before.partition("/")[0]:
                entries = self.entries(head, day, until)
                yield from (entry for entry in entries if entry.id < before)

    def entries(self, head: Head, day: str, until: float) -> tuple[Entry, ...]:
        """Return what was published on a day, newest first."""
        if day not in head.days:
            return ()
        key = (day, head.days[day])
        known = self._days.get(key)
        if known is not None:
            return known
        return self._days.keep(key, entries_of(self._tree(head.sha, f"data/{day}", until, True)))

    def entry(self, head: Head, id: str, until: float) -> Entry | None:
        """Return what was published under an id; None where there is no such one."""
        entries = self.entries(head, id.partition("/")[0], until)
        return next((entry for entry in entries if entry.id == id), None)

    def publication(self, head: Head, entry: Entry, until: float) -> Publication | None:
        """Return what the metadata say; None where they, or the folder, are of no use."""
        known = self._publications.get(entry.key, _NOTHING)
        if known is not _NOTHING:
            return known
        publication = None
        try:
            if entry.problem:
                raise UnusableError(entry.problem)
            path = f"data/{entry.id}/{METADATA}"
            title, recipe = read_metadata(self.file(head, path, MOST_METADATA, until))
            publication = Publication(
                entry.id,
                entry.author,
                title,
                entry.created,
                recipe,
                entry.has_photo,
                self.page_of(entry.id),
            )
        except (UnusableError, EntryNotFoundError, RecipeError) as error:
            reason = str(error) if isinstance(error, UnusableError) else type(error).__name__
            log.warning("the gallery %s: %r is left out: %s", self.repo, entry.id, reason)
        return self._publications.keep(entry.key, publication)

    def file(self, head: Head, path: str, most: int, until: float) -> bytes:
        """Return a file of a commit, of at most so many bytes."""
        url = hf_hub_url(
            self.repo,
            path,
            repo_type="dataset",
            revision=head.sha,
            endpoint=self.api.endpoint,
        )
        return get(
            url, token=self.api.token, most=most, until=until, silence=self.limits.silence
        ).data

    def _tree(
        self, sha: str | None, path: str, until: float, recursive: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        """Return what is in a folder of the dataset; nothing where there is none.

        The listing of `huggingface_hub` would wait for a silent server without end.
        """
        home = f"{self.api.endpoint}/api/datasets/{self.repo}/tree/"
        url: str | None = f"{home}{sha}/{path}" + ("?recursive=true" if recursive else "")
        for _ in range(MOST_PAGES):
            if url is None or not url.startswith(home):  # the token goes nowhere else
                return
            try:
                answer = get(
                    url,
                    token=self.api.token,
                    most=MOST_LISTED,
                    until=until,
                    silence=self.limits.silence,
                )
            except EntryNotFoundError:
                return
            entries = json.loads(answer.data)
            yield from (entry for entry in entries if isinstance(entry, dict))
            url = answer.following

    def page_of(self, id: str) -> str:
        """Return the public page of a picture."""
        return f"{self.url}/blob/main/data/{id}/{PICTURE}"
