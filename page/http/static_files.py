"""The page's own assets over HTTP, below `studio/assets/`: scripts, styles, icons and fonts.

Each file is read once: an address asks for a name in a mapping, never for a path on the disk.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from page.assets import FOLDER
from page.http.etags import content_hash
from page.http.fixed_content import IMMUTABLE, content_response

PREFIX = "studio/assets/"
ADDRESS = re.compile(r"((?P<version>[0-9a-f]+)/)?(?P<name>.+)")  # of a version, or of the present
SUBFOLDERS = ("icons", "vendor", "fonts", "looks")
MEDIA_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".mp4": "video/mp4",
}

REVALIDATED = "no-cache"  # kept, but the server is asked each time whether it has changed


@dataclass(frozen=True)
class Asset:
    """A file of the page: its content, media type and the hash of its content."""

    body: bytes
    media_type: str
    version: str


@functools.cache
def read_assets(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return the files that may be served, by name: `style.css`, `icons/icon-192.png`."""
    return {
        path.relative_to(folder).as_posix(): read_asset(path)
        for directory in (folder, *(folder / name for name in SUBFOLDERS))
        for path in servable_files(directory)
    }


def servable_files(directory: Path) -> Iterator[Path]:
    """Return the files of a folder that have a media type; none where there is no such folder."""
    for path in sorted(directory.glob("*")):
        is_hidden, is_link = path.name.startswith("."), path.is_symlink()
        if path.suffix in MEDIA_TYPES and path.is_file() and not (is_hidden or is_link):
            yield path


def read_asset(path: Path) -> Asset:
    """Return a file with its media type and hash."""
    body = path.read_bytes()
    return Asset(body, MEDIA_TYPES[path.suffix], content_hash(body))


@functools.cache
def version_of(folder: Path = FOLDER) -> str:
    """Return the hash of all files that may be served: a change of one is a new version of all.

    A module names those that it imports by their relative addresses, so the version has to be a
    folder of the address.
    """
    versions = (f"{name} {asset.version}" for name, asset in read_assets(folder).items())
    return content_hash("\n".join(versions).encode())


def asset_url(name: str) -> str:
    """Return the address of an asset, relative to the page: `studio/assets/<version>/mark.svg`.

    It names the version, so that browsers keep it for good. Raises `FileNotFoundError`.
    """
    if name not in read_assets():
        raise FileNotFoundError(f"page/assets has no {name!r} that is served")
    return f"{PREFIX}{version_of()}/{name}"


def asset_route(folder: Path = FOLDER) -> Route:
    """Return the route of the assets."""
    assets, version = read_assets(folder), version_of(folder)

    async def send(request: Request) -> Response:
        found = ADDRESS.fullmatch(request.path_params["path"])
        asset = assets.get(found["name"]) if found else None
        is_named = found is not None and found["version"] == version
        if asset is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        cache_control = IMMUTABLE if is_named else REVALIDATED
        return content_response(request, asset.body, asset.media_type, asset.version, cache_control)

    return Route(f"/{PREFIX}{{path:path}}", send)
