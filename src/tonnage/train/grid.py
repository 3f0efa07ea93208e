"""What many candidates share is computed once: unique combinations of some degrees, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.layout import Layout

NAMES = tuple(f.name for f in fields(Layout))


def flatten(layout: Layout) -> tuple[Layout, tuple[int, ...]]:
    """A layout of whatever shape -> the same with one-dimensional int64 arrays, and the shape to give results."""
    arrays = np.broadcast_arrays(*(np.asarray(getattr(layout, name), dtype=np.int64) for name in NAMES))
    shape = arrays[0].shape
    flat = {name: np.ascontiguousarray(array).reshape(-1) for name, array in zip(NAMES, arrays, strict=True)}
    return Layout(**flat), shape


@dataclass(frozen=True)
class Distinct:
    """Distinct combinations of some degrees: the layout of one of each, where it stands, and each candidate's."""

    layout: Layout
    first: NDArray[np.int64]
    back: NDArray[np.int64]


DENSE = 1 << 22
"""Keys below this are sorted by counting."""


def unique(layout: Layout, names: tuple[str, ...]) -> Distinct:
    """The distinct combinations of `names` among candidates.

    Degrees that are not named stand at 1 (recompute, schedule and zero too: do not read them).
    """
    key = np.zeros(np.shape(layout.tp), dtype=np.int64)
    for name in names:
        values = np.asarray(getattr(layout, name))
        key = key * (int(values.max(initial=0)) + 1) + values
    largest = int(key.max(initial=0))
    if largest < DENSE:
        place = np.full(largest + 1, -1, dtype=np.int64)
        place[key] = np.arange(key.size)
        found = np.flatnonzero(place >= 0)
        first = place[found]
        place[found] = np.arange(found.size)
        back = place[key]
    else:
        _, first, back = np.unique(key, return_index=True, return_inverse=True)
    return Distinct(Layout(**{name: np.asarray(getattr(layout, name))[first] for name in names}), first, back)


def take(value: Numbers, index: NDArray[np.int64]) -> Numbers:
    """`value[index]`, or the value itself when it is one number for all; one spread over all stays spread."""
    if not np.ndim(value):
        return value
    held = np.asarray(value)
    return np.broadcast_to(held[0], index.shape) if held.strides == (0,) and held.size else held[index]
