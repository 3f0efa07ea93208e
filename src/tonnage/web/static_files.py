"""Files of the page itself: read and packed once, found by name in a table, so that no path of a request is opened."""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
"""Kinds of file that are served."""


@dataclass(frozen=True)
class StaticFile:
    """One file: as it is, packed, its kind and its tag."""

    plain: bytes
    packed: bytes
    kind: str
    tag: str


@functools.cache
def served() -> dict[str, StaticFile]:
    """Every file by its name: the page's own, and the libraries that draw the charts."""
    folders = (resources.files("tonnage.web") / "static", resources.files("tonnage.report") / "data" / "vega")
    return {file.name: _read(file) for folder in folders if folder.is_dir() for file in folder.iterdir() if _kind(file)}


def _kind(file: Traversable) -> str:
    return KINDS.get("." + file.name.rpartition(".")[2], "")


def _read(file: Traversable) -> StaticFile:
    plain = file.read_bytes()
    tag = hashlib.sha256(plain).hexdigest()[:20]
    return StaticFile(plain, gzip.compress(plain, 9, mtime=0), _kind(file), f'"{tag}"')


async def static(request: Request) -> Response:
    """One file, packed where the browser takes it so."""
    found = served().get(request.path_params["name"])
    if found is None:
        return Response("no such file", 404, media_type="text/plain")
    headers = {"etag": found.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "content-encoding": "gzip"}, media_type=found.kind)
    return Response(found.plain, headers=headers, media_type=found.kind)
