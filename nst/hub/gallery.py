"""Finished pictures on the Hub: publishing one, and looking at the newest.

A commit follows the very commit that was looked at, so that a picture is there once and nobody
publishes more than is allowed, however many servers write. Reading never waits long: each request
has a deadline, and what is known already needs none.

Knows requests, limits and what to remember; the layout is `nst.hub.publications`'. What is read may
have been written by anybody.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, NoReturn

from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from PIL import Image

from nst.caches import LRUCache
from nst.errors import HubError, ImageError, RecipeError
from nst.hub.gallery_layout import (
    CARD,
    DAY,
    ID,
    LONGEST_TITLE,
    MAX_BYTES,
    METADATA,
    MOST_METADATA,
    PHOTO,
    PICTURE,
    Entry,
    Publication,
    UnusableError,
    entries_of,
    named,
    new_id,
    path_word,
    photo_bytes,
    pointer_of,
    read_metadata,
    thumbnail_bytes,
    thumbnail_of,
    write_metadata,
)
from nst.hub.image_folder import one_line
from nst.hub.rate_limit import RateLimit
from nst.images.reading import load_image
from nst.images.recipe import Recipe, signed_png
from nst.images.writing import hash_of
from nst.web.hub_client import ConflictError, call_hub, can_write, commit, get

log = logging.getLogger("nst.hub")

NO_SUCH_PICTURE = "There is no such picture in the gallery."
OWN_NAME = "neural-style-transfer-pictures"  # of a visitor's own dataset
REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)

MOST_AT_ONCE = 100  # publications that one call returns
MOST_LISTED = 4_000_000  # bytes of one page of a listing
MOST_PAGES = 50  # of a listing, 1000 entries each
TRIES = 8  # of a commit when others publish at the same time
READERS = 8  # files that are read at the same time

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
class Receipt:
    """What came of publishing."""

    url: str  # the public page of the picture on the Hub
    id: str
    is_new: bool  # False: the same picture was there already, and `id` is that one


class Gallery:
    """A dataset of finished pictures.

    `token` is what writes to it (and reads it, if it is private); by default that of this machine's
    login. Every method raises `HubError`, and none of its sentences, nor anything else that leaves
    here, holds the token.
    """

    def __init__(
        self,
        repo: str,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,  # seconds since 1970
    ) -> None:
        if not REPO.fullmatch(repo):
            raise HubError(f"{repo!r} is not the name of a dataset: it looks like owner/name.")
        self.repo = repo
        self.limits = limits or Limits()
        self._api = HfApi(endpoint=endpoint, token=token)
        self._clock = clock
        self._looking = threading.Lock()  # for the head
        self._head: _Head | None = None
        self._problem = ""  # why there is none
        self._due = 0.0  # when to look again, on the monotonic clock
        self._turns = RateLimit(self.limits.in_ten_minutes, self.limits.in_a_day)
        self._days: LRUCache[tuple[str, str], tuple[Entry, ...]] = LRUCache(400)
        self._publications: LRUCache[tuple[str, str], Publication | None] = LRUCache(2000)
        self._thumbnails: LRUCache[str, bytes] = LRUCache(400)
        self._decoding = threading.Semaphore(2)  # pictures of 50 million pixels take memory

    def __repr__(self) -> str:
        return f"Gallery({self.repo!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a gallery holds a token and does not leave its process")

    @property
    def url(self) -> str:
        """Return the public page of the dataset."""
        return f"{self._api.endpoint}/datasets/{self.repo}"

    @property
    def can_write(self) -> bool:
        """Tell whether there is a token to publish with; the Hub has the last word."""
        return can_write(self._api)

    def publish(
        self,
        picture: Image.Image,
        recipe: Recipe,
        *,
        author: str,
        title: str = "",
        photo: Image.Image | None = None,
    ) -> Receipt:
        """Publish a picture in one commit, unless the same one is there.

        `author` is who the Hub says has signed in, and `photo` is only for those who ticked that it
        may be public.
        """
        author, digest = path_word(author), hash_of(picture)[:16]
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        id = new_id(author, now, digest)
        title = one_line(title, LONGEST_TITLE)
        self._turns.take(author, now.timestamp())

        def work() -> Receipt:
            receipt = None
            try:
                files = {PICTURE: signed_png(picture, recipe)}
                if photo is not None:
                    files[PHOTO] = photo_bytes(photo)
                files[METADATA] = write_metadata(list(files), recipe, author, title, now)
                receipt = self._publish(id, files, thumbnail_bytes(picture))
                return receipt
            finally:  # also when nobody waits for it any more
                if receipt is None or not receipt.is_new:
                    self._turns.give_back(author, now.timestamp())

        receipt = call_hub(self.repo, work, within=self.limits.writing)
        with self._looking:  # and not while somebody has just looked at what was there before
            self._due = 0.0
        return receipt

    def newest(self, count: int, before: str | None = None) -> list[Publication]:
        """Return the newest publications, or those older than the one with the id `before`.

        Fewer than `count` only at the end. What cannot be used is left out. While the Hub is away,
        the last known ones.
        """
        count = max(1, min(count, MOST_AT_ONCE))
        until = self._until()
        return call_hub(self.repo, lambda: self._newest(count, before or "~", until))

    def has_older(self, id: str) -> bool:
        """Tell whether there are publications older than the one with this id."""
        head, until = self._current(), self._until()
        older = self._older(head, id, until)
        return call_hub(self.repo, lambda: next(older, None) is not None)

    def find(self, id: str) -> Publication | None:
        """Return one publication by its id; None where there is no such one."""
        if not ID.fullmatch(id):
            return None
        head, until = self._current(), self._until()

        def look() -> Publication | None:
            entry = self._entry(head, id, until)
            return self._publication(head, entry, until) if entry else None

        return call_hub(self.repo, look)

    def picture(self, id: str) -> Image.Image:
        """Return the picture itself, full size."""
        return self._image(id, PICTURE)

    def photo(self, id: str) -> Image.Image | None:
        """Return what it was painted from, if that was published."""
        publication = self.find(id)
        return self._image(id, PHOTO) if publication and publication.has_photo else None

    def thumbnail(self, id: str) -> bytes:
        """Return a small JPEG of the picture, kept in memory."""
        if self.find(id) is None:  # also what was taken down meanwhile
            raise HubError(NO_SUCH_PICTURE)
        known = self._thumbnails.get(id)
        if known is not None:
            return known
        head, until = self._current(), self._until()

        def look() -> bytes:
            with contextlib.suppress(EntryNotFoundError):
                return self._file(head, thumbnail_of(id), MAX_BYTES, until)
            return self._file(head, f"data/{id}/{PICTURE}", MAX_BYTES, until)

        small = thumbnail_bytes(self._opened(call_hub(self.repo, look)))
        return self._thumbnails.keep(id, small)

    # Reading.

    def _until(self) -> float:
        return time.monotonic() + self.limits.reading

    def _current(self) -> _Head:
        """Return the commit to look at: not older than `limits.fresh`, if the Hub answers."""
        with self._looking:
            if time.monotonic() >= self._due:
                try:
                    self._head, self._problem = call_hub(self.repo, self._look), ""
                except HubError as error:
                    self._problem = str(error)
                    log.warning("the gallery %s: %s", self.repo, error)
                self._due = time.monotonic() + self.limits.fresh
            if self._head is None:
                raise HubError(self._problem)
            return self._head

    def _look(self) -> _Head:
        """Return the head of the dataset with its days, the newest of them listed."""
        until = self._until()
        try:
            info = self._api.dataset_info(self.repo, expand=["sha"], timeout=self.limits.silence)
        except GatedRepoError:  # one of the next kind, and there
            raise
        except RepositoryNotFoundError:
            return _Head(None, {})
        sha = str(info.sha)
        if self._head and self._head.sha == sha:
            return self._head
        days = {
            name: str(entry.get("oid"))
            for entry in self._tree(sha, "data", until)
            if DAY.fullmatch(name := str(entry.get("path")).removeprefix("data/"))
        }
        head = _Head(sha, dict(sorted(days.items(), reverse=True)))
        for day in islice(head.days, 1):
            self._entries(head, day, until)
        return head

    def _newest(self, count: int, before: str, until: float) -> list[Publication]:
        head = self._current()
        entries = self._older(head, before, until)
        found: list[Publication] = []
        problems: list[Exception] = []

        def read(entry: Entry) -> Publication | None:
            try:
                return self._publication(head, entry, until)
            except Exception as error:  # it cannot be reached now; others may be known
                problems.append(error)
                return None

        try:
            with ThreadPoolExecutor(READERS, "gallery") as pool:
                while not problems and (some := list(islice(entries, count - len(found)))):
                    found += [publication for publication in pool.map(read, some) if publication]
        except Exception as error:  # the listing of an older day
            problems.append(error)
        if problems and not found:
            raise problems[0]
        return found

    def _older(self, head: _Head, before: str, until: float) -> Iterator[Entry]:
        """Yield all entries before one, newest first, listed day by day as they are asked for."""
        for day in head.days:
            if day <= before.partition("/")[0]:
                entries = self._entries(head, day, until)
                yield from (entry for entry in entries if entry.id < before)

    def _entries(self, head: _Head, day: str, until: float) -> tuple[Entry, ...]:
        """Return what was published on a day, newest first."""
        if day not in head.days:
            return ()
        key = (day, head.days[day])
        known = self._days.get(key)
        if known is not None:
            return known
        return self._days.keep(key, entries_of(self._tree(head.sha, f"data/{day}", until, True)))

    def _entry(self, head: _Head, id: str, until: float) -> Entry | None:
        entries = self._entries(head, id.partition("/")[0], until)
        return next((entry for entry in entries if entry.id == id), None)

    def _publication(self, head: _Head, entry: Entry, until: float) -> Publication | None:
        """Return what the metadata say; None where they, or the folder, are of no use."""
        known = self._publications.get(entry.key, _NOTHING)
        if known is not _NOTHING:
            return known
        publication = None
        try:
            if entry.problem:
                raise UnusableError(entry.problem)
            path = f"data/{entry.id}/{METADATA}"
            title, recipe = read_metadata(self._file(head, path, MOST_METADATA, until))
            publication = Publication(
                entry.id,
                entry.author,
                title,
                entry.created,
                recipe,
                entry.has_photo,
                self._page(entry.id),
            )
        except (UnusableError, EntryNotFoundError, RecipeError) as error:
            reason = str(error) if isinstance(error, UnusableError) else type(error).__name__
            log.warning("the gallery %s: %r is left out: %s", self.repo, entry.id, reason)
        return self._publications.keep(entry.key, publication)

    def _image(self, id: str, name: str) -> Image.Image:
        if not ID.fullmatch(id):
            raise HubError(NO_SUCH_PICTURE)
        head, until = self._current(), self._until()
        path = f"data/{id}/{name}"
        return self._opened(call_hub(self.repo, lambda: self._file(head, path, MAX_BYTES, until)))

    def _opened(self, data: bytes) -> Image.Image:
        try:
            with self._decoding:
                return load_image(data)
        except ImageError:
            raise HubError("This picture in the gallery cannot be shown.") from None

    def _file(self, head: _Head, path: str, most: int, until: float) -> bytes:
        url = hf_hub_url(
            self.repo,
            path,
            repo_type="dataset",
            revision=head.sha,
            endpoint=self._api.endpoint,
        )
        return get(
            url, token=self._api.token, most=most, until=until, silence=self.limits.silence
        ).data

    def _tree(
        self, sha: str | None, path: str, until: float, recursive: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        """Return what is in a folder of the dataset; nothing where there is none.

        The listing of `huggingface_hub` would wait for a silent server without end.
        """
        home = f"{self._api.endpoint}/api/datasets/{self.repo}/tree/"
        url: str | None = f"{home}{sha}/{path}" + ("?recursive=true" if recursive else "")
        for _ in range(MOST_PAGES):
            if url is None or not url.startswith(home):  # the token goes nowhere else
                return
            try:
                answer = get(
                    url,
                    token=self._api.token,
                    most=MOST_LISTED,
                    until=until,
                    silence=self.limits.silence,
                )
            except EntryNotFoundError:
                return
            entries = json.loads(answer.data)
            yield from (entry for entry in entries if isinstance(entry, dict))
            url = answer.following

    def _page(self, id: str) -> str:
        return f"{self.url}/blob/main/data/{id}/{PICTURE}"

    # Writing.

    def _publish(self, id: str, files: Mapping[str, bytes], thumbnail: bytes) -> Receipt:
        operations = [CommitOperationAdd(f"data/{id}/{name}", data) for name, data in files.items()]
        operations.append(CommitOperationAdd(pointer_of(id), f"{id}\n".encode()))
        operations.append(CommitOperationAdd(thumbnail_of(id), thumbnail))
        until = time.monotonic() + self.limits.writing
        for attempt in range(TRIES):
            head = self._head_to_follow()
            twin = self._twin(head, id)
            if twin is not None:
                is_ours = attempt > 0 and twin == id  # the answer to the commit was lost
                return Receipt(self._page(twin), twin, is_new=is_ours)
            self._check_limits(head, id)
            try:
                commit(
                    self._api,
                    self.repo,
                    [*operations, *self._card(head)],
                    f"A picture by {named(id).author}",
                    parent=head.sha,
                    until=until,
                )
                return Receipt(self._page(id), id, is_new=True)
            except ConflictError:
                if attempt == TRIES - 1 or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0, self.limits.wait * min(2**attempt, 8)))
        raise AssertionError("every try returns or raises")

    def _head_to_follow(self) -> _Head:
        """Return the head as it is at this moment; make the dataset where there is none."""
        head = self._look()
        if head.sha is None:
            self._api.create_repo(self.repo, repo_type="dataset", private=False, exist_ok=True)
            head = self._look()
        return head

    def _twin(self, head: _Head, id: str) -> str | None:
        """Return the id of the same picture, if it is there (and was not taken down since)."""
        until = self._until()
        try:
            twin = self._file(head, pointer_of(id), 1000, until).decode("ascii", "replace").strip()
        except EntryNotFoundError:
            return None
        return twin if self._entry(head, twin, until) else None

    def _card(self, head: _Head) -> list[CommitOperationAdd]:
        """Return the README with the first picture, unless the owner has written one."""
        if head.days:
            return []
        try:
            self._file(head, "README.md", MOST_METADATA, self._until())
        except EntryNotFoundError:
            return [CommitOperationAdd("README.md", CARD.encode())]
        return []

    def _check_limits(self, head: _Head, id: str) -> None:
        """Check what all servers have published for this author."""
        now = named(id)
        days = {f"{now.created - timedelta(days=ago):%Y-%m-%d}" for ago in (0, 1)}
        self._turns.check(
            [
                entry.created.timestamp()
                for day in days
                for entry in self._entries(head, day, self._until())
                if entry.author == now.author
            ],
            now.created.timestamp(),
        )


def community() -> Gallery | None:
    """Return the gallery that `NST_GALLERY_REPO` names.

    It is written to with `NST_GALLERY_TOKEN` or else this machine's login. Raises `HubError` when
    it is not a name.
    """
    repo = os.environ.get("NST_GALLERY_REPO", "").strip()
    return Gallery(repo, token=os.environ.get("NST_GALLERY_TOKEN") or None) if repo else None


def own_gallery(token: str, username: str, *, endpoint: str | None = None) -> Gallery:
    """Return the dataset of somebody who has signed in.

    It is made with their own token when they first publish (the scope `contribute-repos` is
    enough).
    """
    if not token:  # without one, this machine's own would be used
        raise HubError("Please sign in with Hugging Face first.")
    return Gallery(f"{username}/{OWN_NAME}", token=token, endpoint=endpoint)


@dataclass(frozen=True)
class _Head:
    sha: str | None  # None: there is no such dataset
    days: Mapping[str, str]  # newest first, each with the hash of what is in it
