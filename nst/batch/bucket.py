"""A bucket on the Hugging Face Hub: files in, files out, and sentences for what goes wrong.

Knows names and bytes; nothing of batches.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from huggingface_hub import BucketFile, HfApi
from huggingface_hub.utils import disable_progress_bars

from nst.errors import OutputError, SettingsError
from nst.web.hub_client import hub_errors, is_local, local_problem, status_of

BUCKET_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
AT_ONCE = 50  # files of one request
PUBLIC = (
    "the bucket {name} is public, and would show your photos to everybody; make it private, or"
    " choose another with --hf-bucket"
)

Key = TypeVar("Key")


class Bucket:
    """A bucket `owner/name`, which need not exist before `create`.

    Raises `SettingsError` for what is no name of one. All methods raise `HubError`, and
    `OutputError` where a file cannot be read or written here.
    """

    def __init__(self, api: HfApi, name: str) -> None:
        if not BUCKET_NAME.fullmatch(name):
            raise SettingsError(f"a bucket looks like owner/name, not {name!r}")
        disable_progress_bars()  # the batch has its own
        self.api, self.name = api, name

    @property
    def owner(self) -> str:
        """Return the user or the organisation that it belongs to."""
        return self.name.split("/")[0]

    @property
    def address(self) -> str:
        """Return where people see it."""
        return f"{self.api.endpoint}/buckets/{self.name}"

    def exists(self) -> bool:
        """Tell whether it is there, for this account.

        Raises `SettingsError` where everybody can see what is in it.
        """
        with _bucket_errors(self.name):
            try:
                info = self.api.bucket_info(self.name)
            except Exception as error:
                if status_of(error) == 404:
                    return False
                raise
        if not info.private:
            raise SettingsError(PUBLIC.format(name=self.name))
        return True

    def create(self) -> None:
        """Make it, private, unless it is there."""
        with _bucket_errors(self.name):
            self.api.create_bucket(self.name, private=True, exist_ok=True)
        self.exists()

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the bytes of those of the files that are there, by path."""
        with _bucket_errors(self.name):
            found = self.api.get_bucket_paths_info(self.name, list(paths))
            return {file.path: file.size for file in found}

    def write(self, files: Mapping[str, Callable[[], Path | bytes]]) -> None:
        """Upload files, by their paths in the bucket; each is called for when its turn comes.

        Raises what they raise.
        """
        for part in _parts(list(files.items())):
            add: list[tuple[str | Path | bytes, str]] = [(read(), path) for path, read in part]
            with _bucket_errors(self.name):
                self.api.batch_bucket_files(self.name, add=add)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete those of the files that are there."""
        there = list(self.sizes(paths))
        with _bucket_errors(self.name):
            self.api.batch_bucket_files(self.name, delete=there)

    def read(self, paths: Iterable[str], use: Callable[[str, bytes], None]) -> None:
        """Call `use` with the path and the bytes of each of the files that is there."""
        with _bucket_errors(self.name):
            found = list(self.api.get_bucket_paths_info(self.name, list(paths)))
        for part in _parts(found):
            with tempfile.TemporaryDirectory(prefix="nst-") as folder:
                places = {file.path: Path(folder, str(n)) for n, file in enumerate(part)}
                with _bucket_errors(self.name):
                    wanted: list[tuple[str | BucketFile, str | Path]]
                    wanted = [(file, places[file.path]) for file in part]
                    self.api.download_bucket_files(self.name, wanted)
                for path, place in places.items():
                    with _bucket_errors(self.name):
                        data = place.read_bytes()
                    use(path, data)


@contextlib.contextmanager
def _bucket_errors(name: str) -> Iterator[None]:
    """Let errors leave the block as a `HubError`, those of this machine as an `OutputError`."""
    local: OutputError | None = None
    with hub_errors(name):
        try:
            yield
        except OSError as error:
            if not is_local(error):
                raise
            local = OutputError(local_problem(error))
    if local:
        raise local


def _parts(things: Sequence[Key]) -> Iterator[list[Key]]:
    """Yield so many at once as one request may name."""
    rest = iter(things)
    while part := list(islice(rest, AT_ONCE)):
        yield part
