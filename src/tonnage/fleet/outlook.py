"""What is known by a period of the lots to come: of those that have come their days to come, of the others what is
expected, by what the programme says of them, of the days on which they might still come, and the law of that period.

Axes: d draws, n periods by which something is known, q periods that it is about, l lots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.uncertain import Floats

Bools = NDArray[np.bool_]
Index = NDArray[np.int64]

FAR = 1 << 30
"""The period in which what never comes begins."""


@dataclass(frozen=True)
class LotOutlook:
    """One lot. begins: first period in which some of it is there [d], `FAR` where there never is; before: accelerators
    expected by each period in which it has not come [n, q]; turns: periods in which the law becomes another [k]; after:
    accelerators of a lot that has come, as the law is before each turn [k][d, q]; from the last on it is as in the
    world.
    """

    begins: Index
    before: Floats
    turns: tuple[int, ...] = ()
    after: tuple[Floats, ...] = ()

    def take(self, pick: slice | Index) -> LotOutlook:
        """Some of the draws."""
        return replace(self, begins=self.begins[pick], after=tuple(there[pick] for there in self.after))

    def expected(self, now: int) -> Floats:
        """Accelerators of a lot that has not come by now [q]."""
        return self.before[now] if now < len(self.before) else np.zeros(self.before.shape[1])

    def law(self, now: int) -> int:
        """How many turns of the law have been."""
        return sum(turn <= now for turn in self.turns)


@dataclass(frozen=True)
class PowerCap:
    """A cap on power [W]; order: columns of lots, the most useful for a watt first; each: [W] of one accelerator."""

    most: float
    order: tuple[int, ...]
    each: tuple[float, ...]

    def under(self, there: Floats) -> Floats:
        """Accelerators [d, p, l] that find power."""
        left, available = np.full(there.shape[:2], self.most), there.copy()
        for column in self.order:
            if self.each[column] > 0:
                available[:, :, column] = np.minimum(available[:, :, column], left / self.each[column])
                left = np.maximum(left - available[:, :, column] * self.each[column], 0.0)
        return available


@dataclass(frozen=True)
class Outlook:
    """All lots. power: the cap that they are under; away: lots that are not leased [d, l]."""

    lots: tuple[LotOutlook, ...]
    power: PowerCap | None = None
    away: Bools | None = None

    def take(self, pick: slice | Index) -> Outlook:
        """Some of the draws."""
        away = None if self.away is None else self.away[pick]
        return replace(self, lots=tuple(lot.take(pick) for lot in self.lots), away=away)

    def columns(self, place: Bools) -> tuple[int, ...]:
        """Lots on which it depends how much of a place is there."""
        return tuple(range(len(place))) if self.power is not None else tuple(np.flatnonzero(place).tolist())

    def come(self, columns: Sequence[int], now: int, rows: Index) -> Bools:
        """Whether each lot has come by now [r, c]."""
        return np.stack([self.lots[c].begins[rows] <= now for c in columns], axis=1)

    def there(
        self, whole: Floats, place: Bools, columns: Sequence[int], come: Sequence[bool], now: int, rows: Index
    ) -> Floats:
        """Accelerators of a place as far as is known now, in draws in which the same of its lots have come [r, q]; one
        row for all of them where nothing but what is expected counts.
        """
        shared = self.away is None and not any(come)
        made = np.zeros((1 if shared else len(rows), whole.shape[1], len(self.lots)))
        for column, is_there in zip(columns, come, strict=True):
            lot = self.lots[column]
            if is_there:
                law = lot.law(now)
                known = lot.after[law][rows] if law < len(lot.after) else whole[rows, :, column]
            else:
                known = lot.expected(now)[None, :]
            made[:, :, column] = _as_long(known, whole.shape[1])
        if self.away is not None:
            made = np.where(self.away[rows, None, :], 0.0, made)
        if self.power is not None:
            made = self.power.under(made)
        return np.asarray(made[:, :, place].sum(axis=2))

    def news(self, periods: int) -> Bools:
        """Whether something becomes known of a lot [d, p]: it has come, it has not on the day expected, the law is
        another.
        """
        made = np.zeros((len(self.lots[0].begins) if self.lots else 0, periods), dtype=bool)
        for lot in self.lots:
            made[np.arange(len(lot.begins)), np.minimum(lot.begins, periods - 1)] = True
            made[:, [turn for turn in lot.turns if turn < periods]] = True
            first = int(np.argmax(lot.before[0] > 0)) if len(lot.before) else 0
            late = min(first + 1, periods - 1)
            made[:, late] |= lot.begins > first
        return made


def _as_long(there: Floats, periods: int) -> Floats:
    """Accelerators over so many periods [r, q]; what is there last stays."""
    more = max(periods - there.shape[1], 0)
    return np.concatenate([there[:, :periods], np.repeat(there[:, -1:], more, axis=1)], axis=1) if more else (
        there[:, :periods])  # fmt: skip
