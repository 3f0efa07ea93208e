"""Numbers that may be arrays: the types of what broadcasts."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Element = TypeVar("Element", bound=np.generic)
"""The kind of number that an array holds."""

Floats = NDArray[np.float64]
"""An array of floats."""

Numbers = float | Floats
"""A float, or an array of floats that broadcasts with the others."""

Ints = int | NDArray[np.int64]
"""A whole number, or an array of them that broadcasts with the others."""

Index = int | slice | NDArray[np.int64] | NDArray[np.bool_]
"""Which entries of an array: one, or several."""

Flags = bool | np.bool_ | NDArray[np.bool_]
"""Yes or no, or an array of that broadcasts with the others."""


def distinct(values: NDArray[Element]) -> NDArray[Element]:
    """The distinct values, rising, none of them nan: `np.unique`, which would first import all of `numpy.ma`."""
    held = np.sort(values, axis=None)
    new = np.ones(held.size, dtype=bool)
    new[1:] = held[1:] != held[:-1]
    return held[new]
