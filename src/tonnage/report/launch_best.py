"""The best plan of a launch in rows and tables: who does what, what binds, what more is worth, what lies near it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Table

if TYPE_CHECKING:
    from tonnage.fleet.best import BestPlan, ByDate, LotWorth, NearBest
    from tonnage.fleet.plan import LaunchPlan

Rows = list[tuple[str, str]]
SHOWN = 12
CENT = 1e4
"""Savings in [USD] below which nothing is said of them."""


def rows(plan: LaunchPlan) -> Rows:
    """The base case by policy and at best, how far the policy is behind, and what rules cost."""
    found = plan.base
    if found is None:
        return []
    from tonnage.fleet import words

    made: Rows = []
    if found.launch is not None:
        text = f"launches {found.launch} with every input at its median and likelier runs completing"
        made.append(("base case", text))
    made.append(("best plan", _best(plan)))
    if plan.hindsight is not None:
        made.append(("", words.behind(plan.hindsight)))
    made += [("", words.not_kept(cap)) for cap in found.best.not_kept]
    made += _options(found.best)
    made += [("", _rule(item.name, item.best_days, item.best_saved)) for item in plan.alternatives if _counts(item)]
    if found.best.by is not None:
        made.append((f"by {found.best.by.date}", _by(found.best.by)))
    return made


def _best(plan: LaunchPlan) -> str:
    from tonnage.fleet import words

    assert plan.base is not None
    best = plan.base.best
    if best.launch is None:
        clash = ", ".join(words.limit(limit) for limit in best.conflict)
        return f"none launches by {plan.end}" + (f"; not to be had together: {clash}" if clash else "")
    where = f", trained on {best.place}" if best.place else ""
    money = "its cost is unknown, a lot has no price"
    if best.training is not None and best.services is not None:
        money = _paid(best.training if best.place else None, best.services)
    first = "" if best.first_users in (None, best.launch) else f", first users {best.first_users}"
    return f"launches {best.launch}{first}{where}; {money} (by the whole calendar, known ahead)"


def _options(best: BestPlan) -> Rows:
    """Lots that may be taken or left, each with what became of it."""
    made = [("option" if not index else "", option.text) for index, option in enumerate(best.options)]
    if made:
        made.append(("", "the draws have the options that are taken, each as long as its contract says"))
    if not best.proven:
        made.append(("", "so many may be taken or left that these are not known to be the best"))
    return made


def _paid(training: float | None, services: float) -> str:
    trains = "" if training is None else f"{units.show_money(training)} to train, "
    return f"{trains}{units.show_money(services)} for services until then"


def _by(found: ByDate) -> str:
    """The cheapest launch by a date, and the one that serves most."""
    if not found.launches:
        return f"no launch; it takes {found.change}" if found.change else "no launch, whatever may lawfully be added"
    money = "unpriced"
    if found.training is not None and found.services is not None:
        money = _paid(found.training, found.services)
    served = "" if found.unserved is None else f"; {units.show_share(1 - found.unserved)} of the demand can be served"
    signed = "" if found.signed is None else f"; {units.show_money(found.signed)} signed for in all"
    takes = ", ".join(option.lot for option in found.options if option.taken) or "none"
    options = f"; options taken: {takes}" if found.options else ""
    return f"the cheapest launch costs {money}{signed if found.options else ''}{options}{served}"


def _counts(item: object) -> bool:
    """Whether a what-if is a rule taken out whose cost to the best plan is known."""
    from tonnage.fleet.plan import WhatIf

    return isinstance(item, WhatIf) and item.lever.kind == "without" and item.best_days is not None


def _rule(name: str, days: float | None, saved: float | None) -> str:
    assert days is not None
    if math.isinf(days):
        return f"{name.removeprefix('without ')}: only without it does the best plan launch"
    time = f"{days / 7:.0f} weeks" if days >= 14 else f"{days:.0f} days"
    money = "" if saved is None or saved < CENT else f" and, at the same date, {units.show_money(saved)}"
    rule = name.removeprefix("without ")
    if days < 0.5 and not money:
        return f"{rule}: costs the best plan nothing"
    return f"{rule}: costs the best plan {time}{money}"


def tables(plan: LaunchPlan) -> tuple[Table, ...]:
    """What each lot does in the best plan, what binds, what more is worth, and plans near it."""
    if plan.base is None:
        return ()
    best = plan.base.best
    uses = tuple(
        (use.lot, use.does, str(use.start), str(use.end), units.show_number(use.accelerators)) for use in best.uses
    )
    limits = tuple((_days(limit.days), limit.text) for limit in best.limits)
    worth = tuple(_worth(item) for item in best.worth if item.days >= 0.05 or (item.saved or 0.0) >= CENT)
    near = tuple(_near(item) for item in best.near)
    return (
        Table("the best plan", ("lot", "does", "from", "until", "accelerators"), uses[:SHOWN]),
        Table("what binds the best plan", ("days sooner without", "what"), limits[:SHOWN]),
        Table("what more is worth to the best plan", WORTH, worth[:SHOWN]),
        Table("near the best plan", ("launch", "what", "training"), near[:SHOWN]),
    )


WORTH = ("lot", "one more for a week", "in the week of", "a tenth more throughout", "at the same date")


def _days(days: float | None) -> str:
    return "launches" if days is None else units.show_number(days, 2)


def _worth(item: LotWorth) -> tuple[str, ...]:
    value = "" if item.value is None or item.value < 0.5 else f" ({units.show_money(item.value)})"
    one = f"{units.show_time(item.hours * units.HOUR)} sooner{value}" if item.hours > 0 else "-"
    tenth = f"{item.days:.1f} days sooner" if item.days >= 0.05 else "-"
    saved = "unpriced" if item.saved is None else f"{units.show_money(item.saved)} less" if item.saved >= CENT else "-"
    return item.lot, one, str(item.week or ""), tenth, saved


def _near(item: NearBest) -> tuple[str, ...]:
    if item.kind == "sooner":
        return str(item.launch), item.text, ""
    return str(item.launch), item.text, "unpriced" if item.training is None else units.show_money(item.training)
