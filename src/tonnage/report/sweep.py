"""Several launches in one table: when each is, how often never, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.fleet.pieces import Ran
    from tonnage.fleet.plan import LaunchPlan
    from tonnage.fleet.sweep import SweepCase

Told = tuple["SweepCase", "LaunchPlan"]

HEADER = ("programme", "P10", "P50", "P90", "never", "training", "what binds first")


def answer(told: Sequence[Told], ran: Ran | None = None) -> Answer:
    """Launches side by side, in the order in which they were asked for. ran: how their draws were played."""
    several = len({case.path for case, _ in told}) > 1
    rows = tuple(_row(case, plan, Path(case.path).name if several else plan.name) for case, plan in told)
    note = "never: share of the draws that never launch; training: what it costs up to the launch, at P50"
    table = Table(f"{len(told)} launches", HEADER, rows, note)
    how = () if ran is None else (("run", f"{ran.pieces:,} pieces on {ran.on}"),)
    records = tuple(record(case, plan) for case, plan in told)
    feasible = any(plan.outcome.feasible for _, plan in told)
    hint = f"tonnage launch {told[0][0].path} tells one of them whole"
    return Answer(_sentence(told), how, (table,), None, (hint,), records, feasible)


def record(case: SweepCase, plan: LaunchPlan) -> dict[str, object]:
    """One launch with full numbers, for CSV."""
    ends = {f"launch_{name}": str(day) if day else None for name, day in vars(plan.launch).items()}
    cost = {f"training_{name}": value for name, value in vars(plan.cost).items()}
    binds = plan.outcome.binds
    head: dict[str, object] = {"programme": case.path, "name": plan.name, "changed": case.words}
    return head | ends | {"never": never(plan)} | cost | {"binds": binds[0].text if binds else ""}


def never(plan: LaunchPlan) -> float:
    """Share of the draws that never launch."""
    return sum(plan.never.values())


def _row(case: SweepCase, plan: LaunchPlan, name: str) -> tuple[str, ...]:
    ends = ((plan.launch.p10, 0.1), (plan.launch.p50, 0.5), (plan.launch.p90, 0.9))
    days = [str(day) if day else plan.without_date(share) for day, share in ends]
    money = "unknown" if plan.cost.p50 is None else units.show_money(plan.cost.p50)
    binds = plan.outcome.binds
    return (f"{name} {case.words}".strip(), *days, units.show_share(never(plan)), money, binds[0].text if binds else "")


def _sentence(told: Sequence[Told]) -> str:
    dated = [(plan.launch.p50, case, plan) for case, plan in told if plan.launch.p50 is not None]
    if not dated:
        return f"None of {len(told)} launches comes within its horizon in half of the draws."
    day, case, plan = min(dated, key=lambda one: one[0])
    name = f"{plan.name} with {case.words}" if case.changed else plan.name
    return f"Of {len(told)} launches the earliest is that of {name}, {day} in half of the draws."
