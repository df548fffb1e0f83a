"""Finished pictures on the Hub: publishing one, and looking at the newest.

A commit follows the very commit that was looked at, so that a picture is there once and nobody
publishes more than is allowed, however many servers write. Reading never waits long: each request
has a deadline, and what is known already needs none.

The layout is that of `nst.hub.gallery_layout`; `nst.hub.gallery_reader` reads it. What is read may
have been written by anybody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import NoReturn

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import EntryNotFoundError
from PIL import Image

from nst.caches import LRUCache
from nst.errors import HubError, ImageError
from nst.hub.gallery_layout import (
    CARD,
    ID,
    LONGEST_TITLE,
    MAX_BYTES,
    METADATA,
    MOST_METADATA,
    PHOTO,
    PICTURE,
    Entry,
    Publication,
    named,
    new_id,
    path_word,
    photo_bytes,
    pointer_of,
    thumbnail_bytes,
    thumbnail_of,
    write_metadata,
)
from nst.hub.gallery_reader import GalleryReader, Head, Limits
from nst.hub.image_folder import one_line
from nst.hub.rate_limit import RateLimit
from nst.images.reading import load_image
from nst.images.recipe import Recipe, signed_png
from nst.images.writing import hash_of
from nst.web.hub_client import ConflictError, call_hub, can_write, commit

log = logging.getLogger(__name__)

NO_SUCH_PICTURE = "There is no such picture in the gallery."
OWN_NAME = "neural-style-transfer-pictures"  # of a visitor's own dataset
REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)

MOST_AT_ONCE = 100  # publications that one call returns
TRIES = 8  # of a commit when others publish at the same time
READERS = 8  # files that are read at the same time


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
        self._reader = GalleryReader(self._api, repo, self.limits)
        self._clock = clock
        self._turns = RateLimit(self.limits.in_ten_minutes, self.limits.in_a_day)
        self._thumbnails: LRUCache[str, bytes] = LRUCache(400)
        self._decoding = threading.Semaphore(2)  # pictures of 50 million pixels take memory

    def __repr__(self) -> str:
        return f"Gallery({self.repo!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a gallery holds a token and does not leave its process")

    @property
    def url(self) -> str:
        """Return the public page of the dataset."""
        return self._reader.url

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
        self._reader.expire()
        return receipt

    def newest(self, count: int, before: str | None = None) -> list[Publication]:
        """Return the newest publications, or those older than the one with the id `before`.

        Fewer than `count` only at the end. What cannot be used is left out. While the Hub is away,
        the last known ones.
        """
        count = max(1, min(count, MOST_AT_ONCE))
        until = self._reader.until()
        return call_hub(self.repo, lambda: self._newest(count, before or "~", until))

    def has_older(self, id: str) -> bool:
        """Tell whether there are publications older than the one with this id."""
        head, until = self._reader.head(), self._reader.until()
        older = self._reader.older(head, id, until)
        return call_hub(self.repo, lambda: next(older, None) is not None)

    def find(self, id: str) -> Publication | None:
        """Return one publication by its id; None where there is no such one."""
        if not ID.fullmatch(id):
            return None
        head, until = self._reader.head(), self._reader.until()

        def look() -> Publication | None:
            entry = self._reader.entry(head, id, until)
            return self._reader.publication(head, entry, until) if entry else None

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
        head, until = self._reader.head(), self._reader.until()

        def look() -> bytes:
            with contextlib.suppress(EntryNotFoundError):
                return self._reader.file(head, thumbnail_of(id), MAX_BYTES, until)
            return self._reader.file(head, f"data/{id}/{PICTURE}", MAX_BYTES, until)

        small = thumbnail_bytes(self._opened(call_hub(self.repo, look)))
        return self._thumbnails.keep(id, small)

    # Reading.

    def _newest(self, count: int, before: str, until: float) -> list[Publication]:
        head = self._reader.head()
        entries = self._reader.older(head, before, until)
        found: list[Publication] = []
        problems: list[Exception] = []

        def read(entry: Entry) -> Publication | None:
            try:
                return self._reader.publication(head, entry, until)
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

    def _image(self, id: str, name: str) -> Image.Image:
        if not ID.fullmatch(id):
            raise HubError(NO_SUCH_PICTURE)
        head, until = self._reader.head(), self._reader.until()
        path = f"data/{id}/{name}"
        return self._opened(
            call_hub(self.repo, lambda: self._reader.file(head, path, MAX_BYTES, until))
        )

    def _opened(self, data: bytes) -> Image.Image:
        try:
            with self._decoding:
                return load_image(data)
        except ImageError:
            raise HubError("This picture in the gallery cannot be shown.") from None

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
                return Receipt(self._reader.page_of(twin), twin, is_new=is_ours)
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
                return Receipt(self._reader.page_of(id), id, is_new=True)
            except ConflictError:
                if attempt == TRIES - 1 or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0, self.limits.wait * min(2**attempt, 8)))
        raise AssertionError("every try returns or raises")

    def _head_to_follow(self) -> Head:
        """Return the head as it is at this moment; make the dataset where there is none."""
        head = self._reader.look()
        if head.sha is None:
            self._api.create_repo(self.repo, repo_type="dataset", private=False, exist_ok=True)
            head = self._reader.look()
        return head

    def _twin(self, head: Head, id: str) -> str | None:
        """Return the id of the same picture, if it is there (and was not taken down since)."""
        until = self._reader.until()
        try:
            twin = (
                self._reader.file(head, pointer_of(id), 1000, until)
                .decode("ascii", "replace")
                .strip()
            )
        except EntryNotFoundError:
            return None
        return twin if self._reader.entry(head, twin, until) else None

    def _card(self, head: Head) -> list[CommitOperationAdd]:
        """Return the README with the first picture, unless the owner has written one."""
        if head.days:
            return []
        try:
            self._reader.file(head, "README.md", MOST_METADATA, self._reader.until())
        except EntryNotFoundError:
            return [CommitOperationAdd("README.md", CARD.encode())]
        return []

    def _check_limits(self, head: Head, id: str) -> None:
        """Check what all servers have published for this author."""
        now = named(id)
        days = {f"{now.created - timedelta(days=ago):%Y-%m-%d}" for ago in (0, 1)}
        self._turns.check(
            [
                entry.created.timestamp()
                for day in days
                for entry in self._reader.entries(head, day, self._reader.until())
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
