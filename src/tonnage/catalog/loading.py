"""Reading the catalogue: our tables, with a folder of the user's own before them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from tonnage.catalog.catalog import TABLES, Catalog
from tonnage.catalog.facts import Fact
from tonnage.catalog.models import lines_of
from tonnage.catalog.tables import Reader

DATA = Path(__file__).parent / "data"
MODELS = "models.jsonl"


def load(overlay: Path | str | None = None) -> Catalog:
    """The catalogue; with `overlay`, a folder whose facts come before ours.

    Cached, by the content of the overlay. Raises InputError with every problem of the overlay's files.
    """
    if overlay is None:
        return _bundled()
    from tonnage.catalog.overlay import read_overlay

    return read_overlay(Path(overlay), _bundled())


@functools.cache
def _bundled() -> Catalog:
    reader = Reader()
    reader.read_sources(_text("sources.csv"), "sources.csv")
    tables: dict[str, tuple[Fact, ...]] = {}
    for table in TABLES:
        tables[table] = reader.read_facts(_text(f"{table}.csv"), f"{table}.csv")
    reader.raise_problems()
    return Catalog(digest(), tables, reader.sources, lines_of(_text(MODELS)))


def _text(name: str) -> str:
    path = DATA / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def digest(more: tuple[bytes, ...] = ()) -> str:
    """SHA-256 over the names and contents of all data files, and of an overlay's after them."""
    total = hashlib.sha256()
    for part in _parts(more):
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def _parts(more: tuple[bytes, ...]) -> Iterator[bytes]:
    for path in sorted(DATA.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            yield path.name.encode()
            yield path.read_bytes().replace(b"\r\n", b"\n")
    yield from more
