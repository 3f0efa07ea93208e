"""What a plan that is carried out leaves in a ledger: the plan with its predictions, its run, and what was measured."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tonnage.ledger.book import Ledger, MeasuredRow
from tonnage.ledger.quantities import Plain

LONGEST_NAME = 60
"""Characters of a run's name, as `book` takes it."""


@dataclass(frozen=True)
class CarriedOut:
    """plan: an answer with predictions under the names of `QUANTITIES`; run: its name, and the day on which it began;
    values: what was measured so far, by quantity; row: everything that is known besides; source: who says so.
    """

    plan: Plain
    run: str
    started: datetime.date
    values: Mapping[str, float] = field(default_factory=dict)
    row: Plain = field(default_factory=dict)
    source: str = ""


def keep(ledger: Ledger, one: CarriedOut) -> str:
    """Keep a plan, its run and what was measured; the id of the plan. What is the same is kept once."""
    key = ledger.record(one.plan)
    ledger.begin(key, one.run, one.started)
    before = ledger.rows(key, one.run)
    same = bool(before) and (dict(before[-1].values), dict(before[-1].row)) == (dict(one.values), dict(one.row))
    if one.values and not same:
        ledger.measured(key, [MeasuredRow(one.values, one.row)], one.run, one.source)
    return key


def run_name(*parts: str) -> str:
    """Parts joined to a name that a run can have."""
    words = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts]
    return "-".join(word for word in words if word)[:LONGEST_NAME] or "run"
