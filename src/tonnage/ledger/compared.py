"""What was predicted held against what was measured, over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from tonnage.ledger.book import Ledger, MeasuredEntry, PlanEntry
from tonnage.ledger.quantities import QUANTITIES, Foretold

By = Literal["chip", "engine", "model", "month"]
"""What errors can be told by."""


@dataclass(frozen=True)
class Compared:
    """One reading beside its prediction."""

    entry: PlanEntry
    row: MeasuredEntry
    predicted: Foretold
    measured: float

    @property
    def log_error(self) -> float:
        """ln(predicted / measured)."""
        return math.log(self.predicted.value / self.measured)

    @property
    def inside(self) -> bool | None:
        """Whether the interval holds what was measured; None without an interval."""
        low, high = self.predicted.low, self.predicted.high
        if low is None:
            return None
        return low <= self.measured and (high is None or self.measured <= high)


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of one quantity, one vote a run (what was measured without a run counts as one run of its plan).

    readings: rows; runs: votes; plans: how many different ones; median_abs_error, p90_abs_error: of exp|ln| - 1; bias:
    exp of the mean of ln(predicted/measured), less 1; coverage: share inside the interval that is to hold `share`.
    """

    quantity: str
    readings: int
    runs: int
    plans: int
    median_abs_error: float
    p90_abs_error: float
    bias: float
    coverage: float | None
    share: float | None


@dataclass(frozen=True)
class Errors:
    """Everything that was both predicted and measured, in the order of time. groups: the summaries of each quantity, by
    what was asked for (`all` where nothing was).
    """

    by: By | None
    rows: tuple[Compared, ...]
    groups: Mapping[str, tuple[ErrorSummary, ...]]


def errors(ledger: Ledger, by: By | None = None) -> Errors:
    """Predicted against measured, by chip, engine, model or month of what was measured."""
    measured = ledger.rows()
    plans = {entry.id: entry for entry in ledger.plans()}
    rows = tuple(one for row in measured for one in _pairs(plans[row.plan], row))
    groups: dict[str, list[Compared]] = {}
    for one in rows:
        groups.setdefault(_KEYS[by](one) or "not said", []).append(one)
    return Errors(by, rows, {name: _summaries(held) for name, held in sorted(groups.items())})


_KEYS: Mapping[By | None, Callable[[Compared], str | None]] = {
    None: lambda one: "all",
    "chip": lambda one: one.entry.subject.chip,
    "engine": lambda one: one.entry.subject.engine,
    "model": lambda one: one.entry.subject.model,
    "month": lambda one: one.row.at[:7],
}


def _pairs(entry: PlanEntry, row: MeasuredEntry) -> Iterable[Compared]:
    for one in entry.predicted:
        if row.values.get(one.quantity, 0.0) > 0:
            yield Compared(entry, row, one, row.values[one.quantity])


def _summaries(rows: Sequence[Compared]) -> tuple[ErrorSummary, ...]:
    held = {name: [one for one in rows if one.predicted.quantity == name] for name in QUANTITIES}
    return tuple(_summary(name, found) for name, found in held.items() if found)


def _summary(quantity: str, rows: Sequence[Compared]) -> ErrorSummary:
    votes = _votes(quantity, rows)
    logs = sorted(abs(log) for _, log in votes)
    known = [one.inside for one, _ in votes if one.inside is not None]
    shares = {one.predicted.share for one in rows if one.predicted.share is not None}
    return ErrorSummary(
        quantity,
        len(rows),
        len(votes),
        len({one.entry.id for one in rows}),
        math.expm1(median(logs)),
        math.expm1(logs[min(int(0.9 * len(logs)), len(logs) - 1)]),
        math.expm1(fmean(log for _, log in votes)),
        fmean(known) if known else None,
        shares.pop() if len(shares) == 1 else None,
    )


def _votes(quantity: str, rows: Sequence[Compared]) -> list[tuple[Compared, float]]:
    """One reading of each run and its error: the last of a total, else the middle one (the lower of two)."""
    runs: dict[tuple[str, str | None], list[Compared]] = {}
    for one in rows:
        runs.setdefault((one.entry.id, one.row.run), []).append(one)
    if QUANTITIES[quantity].total:
        chosen = [held[-1] for held in runs.values()]
    else:
        chosen = [sorted(held, key=lambda one: one.measured)[(len(held) - 1) // 2] for held in runs.values()]
    return [(one, one.log_error) for one in chosen]
