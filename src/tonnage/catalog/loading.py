"""Reading the catalogue: our tables, with a folder of the user's own before them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from tonnage import files
from tonnage.catalog.catalog import TABLES, Catalog
from tonnage.catalog.models import lines_of
from tonnage.catalog.rows import FactTables
from tonnage.catalog.tables import TableReader

DATA = Path(__file__).parent / "data"
RULES = Path(__file__).parents[1] / "law" / "data"
"""Text of the rules. Another room reads it, but it is known in the same way, so that the digest is of it too."""

MODELS = "models.jsonl"


def load(overlay: Path | str | None = None) -> Catalog:
    """The catalogue; with `overlay`, a folder whose facts come before ours.

    Our tables are read when they are asked for. Cached, by the content of the overlay. Raises InputError with every
    problem of the overlay's files.
    """
    if overlay is None:
        return _bundled()
    from tonnage.catalog.overlay import read_overlay

    return read_overlay(Path(overlay), _bundled())


@functools.cache
def _bundled() -> Catalog:
    reader = TableReader()
    reader.read_sources(_text("sources.csv"), "sources.csv")
    reader.raise_problems()
    texts = {table: functools.cache(functools.partial(_text, f"{table}.csv")) for table in TABLES}
    tables = FactTables(texts, reader.sources, {})
    return Catalog(files.digest(_contents()), tables, reader.sources, lines_of(_text(MODELS)))


def _text(name: str) -> str:
    path = DATA / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _contents() -> Iterator[bytes]:
    """Names and contents of all data files; line ends of one kind, so that they are the same on every system."""
    for folder in (DATA, RULES):
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                yield path.name.encode()
                yield path.read_bytes().replace(b"\r\n", b"\n")
