"""Per-request results as Parquet, with pyarrow where it is installed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem


def parquet(columns: Mapping[str, NDArray[np.generic]], where: str) -> bytes:
    """The columns as a Parquet file. Raises InputError where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet as files
    except ImportError:
        raise InputError(Problem("Parquet needs pyarrow (pip install pyarrow); .csv needs nothing", where)) from None
    out = pyarrow.BufferOutputStream()
    files.write_table(pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()}), out)
    found: bytes = out.getvalue().to_pybytes()
    return found
