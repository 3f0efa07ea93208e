"""Results that show themselves in a notebook, and give themselves as tables.

What a result looks like is said far above the rooms that make results. So the module that says it is found by its name,
and loaded only when a result is shown: nothing here depends on it, and a result without it is a value like any other.
"""

from __future__ import annotations

import importlib
from collections.abc import Container
from typing import Protocol, cast

SHOWING = "tonnage.report.notebook"
"""The module that shows results."""


class Showing(Protocol):
    """What that module has."""

    def html(self, result: object) -> str:
        """As a fragment of HTML."""

    def bundle(self, result: object) -> dict[str, object]:
        """By MIME type, as a notebook takes it."""

    def to_frame(self, result: object) -> object:
        """As a data frame."""

    def stream(self, result: object, schema: object) -> object:
        """As an Arrow stream."""


def _showing() -> Showing:
    return cast(Showing, importlib.import_module(SHOWING))


class ShownResult:
    """A result of a question: shown by notebooks in words and charts, taken by libraries of tables as a table."""

    def _repr_html_(self) -> str:
        return _showing().html(self)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, object]:
        made = _showing().bundle(self)
        wanted = made if include is None else {kind: held for kind, held in made.items() if kind in include}
        return wanted if exclude is None else {kind: held for kind, held in wanted.items() if kind not in exclude}

    def to_frame(self) -> object:
        """The main table with full numbers, as a data frame of pandas or Polars, whichever is installed.

        Raises InputError where neither is.
        """
        return _showing().to_frame(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The same for every library that takes Arrow streams; raises InputError without pyarrow."""
        return _showing().stream(self, requested_schema)
