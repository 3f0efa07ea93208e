"""Requests as they come: arrivals, lengths, what their prompts have in common, who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem

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


def together(loads: tuple[Workload, ...]) -> Workload:
    """Requests of several models, each of its own workload: the first one's are of model 0, and so on. Raises
    InputError where prompts are hashed in pieces of different sizes.
    """
    units = sorted({one.unit for one in loads if one.pieces.size})
    if len(units) > 1:
        raise InputError(Problem(f"prompts are cut into pieces of {units[0]} and of {units[-1]} tokens", loads[0].name))
    first = np.cumsum([0, *(one.size for one in loads)])
    at = [np.diff(one.at) for one in loads]
    ids = np.cumsum([0, *(int(one.pieces.max(initial=-1)) + 1 for one in loads)])
    whole = Workload(
        **{
            name: np.concatenate([getattr(one, name) for one in loads])
            for name in ("arrival", "isl", "osl", "priority")
        },
        model=np.repeat(np.arange(len(loads)), [one.size for one in loads]),
        follows=np.concatenate(
            [np.where(one.follows < 0, -1, one.follows + n) for one, n in zip(loads, first[:-1], strict=True)]
        ),
        think=np.concatenate([one.think for one in loads]),
        pieces=np.concatenate([one.pieces + n for one, n in zip(loads, ids[:-1], strict=True)]),
        at=np.concatenate([[0], np.cumsum(np.concatenate(at))]).astype(np.int64),
        unit=units[0] if units else 0,
        name="; beside it ".join(one.name for one in loads),
        notes=tuple(note for one in loads for note in one.notes),
    )
    order = np.argsort(whole.arrival, kind="stable")
    place = np.argsort(order)
    made = whole.take(order)
    return replace(made, follows=np.where(made.follows < 0, -1, place[np.maximum(made.follows, 0)]))
