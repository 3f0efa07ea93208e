"""An answer's main table as columns: Arrow, and through it pandas, Polars or Parquet."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer
from tonnage.report.extras import needed

if TYPE_CHECKING:
    import pyarrow

Records = Sequence[Mapping[str, object]]


class ArrowStream(Protocol):
    """What every library of tables takes (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html).

    Also what `arrow` gives.
    """

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A stream of columns."""


def records_of(answer: Answer) -> tuple[dict[str, object], ...]:
    """The answer's main table with full numbers; without one its rows of words."""
    return answer.records or tuple({"what": label, "value": text} for label, text in answer.rows)


def arrow(records: Records) -> pyarrow.Table:
    """A table with a column for each name; values of several kinds become text."""
    library = needed(".parquet")
    names = list(dict.fromkeys(name for record in records for name in record))
    return library.table({name: _column([_plain(record.get(name)) for record in records]) for name in names})


def _plain(value: object) -> object:
    """A value that a column takes: what is nested is text."""
    return json.dumps(value, default=str) if isinstance(value, (Mapping, list, tuple)) else value


def _column(values: list[object]) -> pyarrow.Array:
    import pyarrow as library

    try:
        return library.array(values)
    except (library.ArrowInvalid, library.ArrowTypeError, OverflowError):
        return library.array([None if value is None else str(value) for value in values])


def parquet(records: Records) -> bytes:
    """The table as a Parquet file."""
    table, out = arrow(records), io.BytesIO()
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, out)
    return out.getvalue()


FRAMES = ("pandas", "polars")
"""Libraries of tables that are looked for, in this order."""


def frame(records: Records) -> object:
    """A data frame of whichever library is there; without pyarrow the columns are given as they are.

    Raises InputError where there is none.
    """
    found = next((name for name in FRAMES if importlib.util.find_spec(name) is not None), None)
    if found is None:
        raise InputError(Problem("no library of data frames is installed: pip install pandas, or polars"))
    library = importlib.import_module(found)
    if importlib.util.find_spec("pyarrow") is None:
        names = list(dict.fromkeys(name for record in records for name in record))
        columns = {name: [_plain(record.get(name)) for record in records] for name in names}
        return cast(object, library.DataFrame(columns))
    table = arrow(records)
    return cast(object, table.to_pandas() if found == "pandas" else library.from_arrow(table))
