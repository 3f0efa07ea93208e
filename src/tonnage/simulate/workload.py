"""Requests as they come: arrivals, lengths, what their prompts have in common, who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Workload:
    """Requests in order of arrival.

    arrival [s], infinite for one that follows another; isl, osl: tokens in and out; priority: small goes first; model:
    which; follows: index of the request that comes when this one is done, -1 for none; think: seconds between that and
    its coming; pieces: ids of the hashed pieces of all prompts, one after the other; at: where those of a request
    begin, one entry more than requests; unit: tokens of a piece; name: what it is, in words.
    """

    arrival: Real
    isl: Whole
    osl: Whole
    priority: Whole
    model: Whole
    follows: Whole
    think: Real
    pieces: Whole
    at: Whole
    unit: int = 0
    name: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def size(self) -> int:
        """Requests."""
        return int(self.arrival.size)

    @property
    def chained(self) -> bool:
        """Whether some request comes after another is done."""
        return bool(np.any(self.follows >= 0))

    def take(self, index: Whole) -> Workload:
        """Some of the requests, none of which follows another."""
        sizes = np.diff(self.at)[index]
        at = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        starts = np.repeat(self.at[:-1][index] - at[:-1], sizes)
        rows = {name: getattr(self, name)[index] for name in ("arrival", "isl", "osl", "priority", "model", "think")}
        pieces = self.pieces[starts + np.arange(at[-1])] if at[-1] else self.pieces[:0]
        return replace(self, **rows, follows=self.follows[index], pieces=pieces, at=at)


def workload(arrival: Real, isl: Whole, osl: Whole, name: str = "") -> Workload:
    """Requests that have nothing in common, in order of arrival."""
    order = np.argsort(arrival, kind="stable")
    size, zero = order.size, np.zeros(order.size, dtype=np.int64)
    return Workload(
        np.asarray(arrival, dtype=float)[order],
        np.asarray(isl, dtype=np.int64)[order],
        np.asarray(osl, dtype=np.int64)[order],
        zero,
        zero.copy(),
        np.full(size, -1, dtype=np.int64),
        np.zeros(size),
        np.zeros(0, dtype=np.int64),
        np.zeros(size + 1, dtype=np.int64),
        name=name,
    )
