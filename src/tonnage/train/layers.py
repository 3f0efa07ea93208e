"""Layers that were priced already: the work of each combination of degrees is worked out once, whoever asks for it.

A layer knows nothing of how many accelerators a run has, nor of its batch, so that runs of one model on one chip share
their layers whatever their size. Whoever plans several of them holds the book and hands it to each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Floats, Numbers
from tonnage.layout import Layout
from tonnage.system import Accelerator
from tonnage.train import grid
from tonnage.train.job import TrainJob
from tonnage.train.work import LAYER, LayerWork, Passes, layer_work

WIDTH = 12
"""Bits of each degree in a key: degrees of 4,096 and more are priced and not kept."""
MOST = 8
"""Models on chips whose layers are kept at a time, the last that were asked for; one takes about a megabyte."""

Record = TypeVar("Record", LayerWork, Passes)


@dataclass
class LayerBook:
    """Layers by model (as a job without its batch) and chip, latest last."""

    _pages: list[_Page] = field(default_factory=list)

    def work(self, job: TrainJob, chip: Accelerator, layout: Layout) -> tuple[LayerWork, NDArray[np.int64]]:
        """(`layer_work` of many combinations, where in it each of `layout` stands), experts evenly loaded.

        layout: combinations, in one-dimensional arrays.
        """
        page = self._page(replace(job, global_batch=1, tokens=None), chip)
        return page.work(layout)

    def _page(self, job: TrainJob, chip: Accelerator) -> _Page:
        found = next((page for page in self._pages if page.chip == chip and page.job == job), None)
        if found is None:
            found = _Page(job, chip)
        else:
            self._pages.remove(found)
        self._pages = [*self._pages[1 - MOST :], found]
        return found


@dataclass(eq=False)
class _Page:
    """Layers of one model on one chip. keys: of the combinations, rising; rows: where each stands in `known`."""

    job: TrainJob
    chip: Accelerator
    keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    known: LayerWork | None = None

    def work(self, layout: Layout) -> tuple[LayerWork, NDArray[np.int64]]:
        asked = _keys(layout)
        if asked is None:
            count = np.size(layout.mbs)
            return _whole(layer_work(self.job, self.chip, layout, 1.0), count), np.arange(count)
        new = _missing(asked, self.keys)
        if new.size or self.known is None:
            self._add(layout.at(new), asked[new])
        assert self.known is not None
        return self.known, self.rows[np.searchsorted(self.keys, asked)]

    def _add(self, layout: Layout, keys: NDArray[np.int64]) -> None:
        made = _whole(layer_work(self.job, self.chip, layout, 1.0), keys.size)
        rows = np.concatenate([self.rows, np.arange(self.keys.size, self.keys.size + keys.size)])
        every = np.concatenate([self.keys, keys])
        order = np.argsort(every, kind="stable")
        self.known = made if self.known is None else _joined(self.known, made)
        self.keys, self.rows = every[order], rows[order]


def _missing(asked: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where `asked` is none of `keys`, which rise."""
    if not keys.size:
        return np.arange(asked.size)
    place = np.minimum(np.searchsorted(keys, asked), keys.size - 1)
    return np.flatnonzero(keys[place] != asked)


def _keys(layout: Layout) -> NDArray[np.int64] | None:
    """One number for each combination; None where a degree is too large for one."""
    key = np.zeros(np.shape(layout.mbs), dtype=np.int64)
    for name in LAYER:
        values = np.asarray(getattr(layout, name), dtype=np.int64)
        if values.max(initial=0) >= 1 << WIDTH:
            return None
        key = (key << WIDTH) | values
    return key


def gathered(work: Record, index: NDArray[np.int64]) -> Record:
    """A record of arrays over combinations -> the same over candidates."""
    return _mapped(work, lambda value: grid.take(value, index))


def _whole(work: LayerWork, size: int) -> LayerWork:
    """The same with an array for every number, one entry a combination."""
    return _mapped(work, lambda value: np.broadcast_to(np.asarray(value, dtype=float), (size,)))


def _joined(one: LayerWork, other: LayerWork) -> LayerWork:
    """Combinations of one behind the other."""
    rest = iter(_values(other))
    return _mapped(one, lambda value: np.concatenate([value, next(rest)]))


def _values(work: LayerWork) -> list[Floats]:
    """Every array of a record, in the order of `_mapped`."""
    found: list[Floats] = []

    def note(value: Numbers) -> Numbers:
        found.append(np.asarray(value))
        return value

    _mapped(work, note)
    return found


def _mapped(work: Record, change: Callable[[Numbers], Numbers]) -> Record:
    """A record with each of its numbers changed; `depth`, which is one for all, stays."""
    made: dict[str, Any] = {}
    for item in fields(work):
        value = getattr(work, item.name)
        if isinstance(value, Passes):
            made[item.name] = _mapped(value, change)
        elif isinstance(value, tuple):
            made[item.name] = tuple(change(one) for one in value)
        else:
            made[item.name] = value if item.name == "depth" else change(value)
    return type(work)(**made)
