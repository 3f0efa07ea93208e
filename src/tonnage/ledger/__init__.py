"""Predicted against happened: a file of plans, their predictions, runs, and what was measured.

`open` a file, `record` an answer, attach what was `measured`, and hold one against the other with `errors`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from tonnage.ledger.book import Ledger, MeasuredEntry, MeasuredRow, PlanEntry, RunEntry, reading, unfit
from tonnage.ledger.carried import CarriedOut, keep, run_name
from tonnage.ledger.compared import By, Compared, Errors, ErrorSummary, errors
from tonnage.ledger.file import check, is_ledger, to_write
from tonnage.ledger.quantities import QUANTITIES, Foretold, Plain, Quantity, first_day
from tonnage.ledger.subject import Subject, below


def open(path: str | Path) -> Ledger:  # noqa: A001 (as `tarfile.open` is)
    """A ledger to write to and to read from; the file is made where there is none. Raises InputError."""
    return Ledger(Path(path), to_write(Path(path)))


def record(ledger: Ledger, answer: Plain, made: datetime.datetime | None = None) -> str:
    """Keep an answer, as `--json` prints it, and what it predicts; its id. The same answer is kept once."""
    return ledger.record(answer, made)


def measured(
    ledger: Ledger,
    plan: str,
    values: Mapping[str, float],
    *,
    run: str | None = None,
    at: datetime.datetime | None = None,
    source: str = "",
) -> None:
    """Attach what was measured of a plan: numbers by quantity (see `QUANTITIES`), in base units."""
    ledger.measured(plan, [MeasuredRow(values, dict(values), at)], run, source)


__all__ = [
    "QUANTITIES",
    "By",
    "CarriedOut",
    "Compared",
    "ErrorSummary",
    "Errors",
    "Foretold",
    "Ledger",
    "MeasuredEntry",
    "MeasuredRow",
    "Plain",
    "PlanEntry",
    "Quantity",
    "RunEntry",
    "Subject",
    "below",
    "check",
    "errors",
    "first_day",
    "is_ledger",
    "keep",
    "measured",
    "open",
    "reading",
    "record",
    "run_name",
    "unfit",
]
