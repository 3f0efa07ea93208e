"""A launch in words: whether, when, at what cost, what is in the way, what moves it, and what would change it."""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tonnage import units
from tonnage.report import launch_best, launch_sobol, timeline
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.fleet.pieces import Ran
    from tonnage.fleet.plan import LaunchPlan, Percentiles, WhatIf
    from tonnage.fleet.programme import Quote

Date = datetime.date
T = TypeVar("T")
SHOWN, BAR = 8, 8
"""Rows of a table, and the marks of the longest bar of the tornado."""
HINDSIGHT = "not as of then: constants fitted on later runs and benchmarks"
"""What an answer as of a day still takes from later days."""
SOONER = 14
"""Days by which another first place has to be sooner to be named in the headline."""


def answer(plan: LaunchPlan, path: str = "PROGRAMME.yaml", ran: Ran | None = None) -> Answer:
    """A launch in words. ran: how its draws were played, where that is to be said."""
    tables = (
        _binds(plan),
        *launch_best.tables(plan),
        _sensitivity(plan),
        launch_sobol.table(plan),
        _what_ifs(plan),
        _lots(plan),
        _prices(plan),
        _speeds(plan),
        _refused(plan),
        _left_out(plan),
    )
    return Answer(
        _sentence(plan),
        _rows(plan) + (() if ran is None else (("run", _ran(ran)),)),
        tuple(table for table in tables if table.rows),
        functools.partial(timeline.lines, plan),
        _hints(plan, path),
        tuple(item.to_json() for item in plan.alternatives),
        plan.outcome.feasible,
    )


def _ran(ran: Ran) -> str:
    """How the draws were played."""
    made = [f"{ran.pieces:,} pieces on {ran.on}"]
    if ran.again:
        made.append(f"{ran.again:,} played again, since the worker died: the answer is the same")
    if ran.taken_over:
        made.append(f"{ran.taken_over:,} taken over from an earlier run")
    if ran.damaged:
        made.append(f"{ran.damaged:,} kept by an earlier run were damaged and played again")
    return "; ".join(made)


def _sentence(plan: LaunchPlan) -> str:
    """The answer in one sentence."""
    if not plan.outcome.feasible or plan.launch.p50 is None:
        bind = plan.outcome.binds[0]
        lift = f" The cheapest change that lifts it: {bind.lift}." if bind.lift else ""
        word = "Unlikely" if plan.outcome.feasible else "No"
        return f"{word} ({bind.what}): {bind.text}.{lift}"
    place = max(plan.trained_on, key=lambda name: plan.trained_on[name], default=None)
    some = "the draws" if all(map(math.isfinite, plan.days)) else "those that launch"
    where = f", trained on {place} in {units.show_share(plan.trained_on[place])} of {some}" if place else ""
    late = {"never": "never", "after the horizon": f"after {plan.end}"}[plan.without_date(0.9)]
    early = f"P10 {plan.launch.p10}, P90 {plan.launch.p90 or late}"
    when = f"{plan.model} launches by {plan.launch.p50} as likely as not ({early}){where}{_other(plan)}"
    return f"Yes: {when}; {_cost(plan)}."


def _other(plan: LaunchPlan) -> str:
    """What would be much sooner, if there is something: another place tried first, or no given order of places."""
    moved = [item for item in plan.alternatives if plan.model in item.lever.models and (item.shift or 0) < -SOONER]
    best: WhatIf | None = None
    for kind in ("train", "replan"):
        found = min(
            (item for item in moved if item.lever.kind == kind), key=lambda item: item.shift or 0.0, default=best
        )
        if best is None or (found and (found.shift or 0.0) < (best.shift or 0.0) - SOONER):
            best = found
    if best is None:
        return ""
    how = "re-planned as it goes" if best.lever.kind == "replan" else f"with {best.lever.about} first"
    return f"; {how} it would be {best.launch.p50}"


def _replanned(plan: LaunchPlan) -> list[tuple[str, str]]:
    """What the order of places that is given costs against choosing among them again at each event."""
    made = []
    for item in plan.alternatives:
        if item.lever.kind != "replan":
            continue
        when = _three(item.launch, str, lambda p: "later")
        gain = "" if item.shift is None else f"; P50 {_moved(item.shift)}"
        made.append(("re-planned", f"{when}; {units.show_share(item.probability)} by {plan.end}{gain}, {item.name}"))
    return made


def _moved(days: float) -> str:
    """`291 days earlier`."""
    return "on the same day" if abs(days) < 0.5 else f"{abs(days):.0f} days {'later' if days > 0 else 'earlier'}"


def _no_price(lots: tuple[str, ...]) -> str:
    """Why a cost is not known."""
    from tonnage.fleet import plan

    return plan.no_price(lots)


def _cost(plan: LaunchPlan) -> str:
    if not plan.trained_on:
        return "nothing is trained"
    if plan.cost.p50 is None:
        return f"training cost unknown ({_no_price(plan.unpriced_training)})"
    text = f"training costs {units.show_money(plan.cost.p50)}"
    whole = plan.money.total.p50 if plan.money else None
    return text if whole is None else f"{text} of {units.show_money(whole)} paid in all until then"


def _rows(plan: LaunchPlan) -> tuple[tuple[str, str], ...]:
    chance = units.show_share(plan.probability)
    rows = [("launch", f"{_three(plan.launch, str, plan.without_date)}; {chance} by {plan.end}{_error(plan)}")]
    rows += _replanned(plan) + _in_part(plan)
    for name, spread in plan.launches.items():
        if name != plan.model:
            rows.append((f"  {name}", _three(spread, str)))
    training, service = _money(plan.cost, plan.unpriced_training), _money(plan.service_cost, plan.unpriced_service)
    rows.append(("cost", f"{training} to train until the launch, failures included"))
    rows.append(("", f"{service} for all services until then"))
    rows += _paid(plan)
    rows += launch_best.rows(plan)
    rows += [(f"ready? {found.chip}", found.text) for found in dict.fromkeys(plan.readiness.values())]
    rows.append(("known", f"prices, models and records of {plan.known}; {_seen(plan)}; rules applied: {_rules(plan)}"))
    if plan.as_of or plan.rules_known:
        rows.append(("", HINDSIGHT))
    rows += [("assumed", text) for text in plan.assumptions]
    rows += [("doubt", text) for text in plan.doubts]
    return tuple(rows)


def _paid(plan: LaunchPlan) -> list[tuple[str, str]]:
    """What is paid in all, idle time and what is signed for beyond the launch."""
    found = plan.money
    if found is None:
        return []
    rows = [
        ("", f"{_money(found.idle, found.unpriced)} for accelerators that are held and stand idle"),
        ("  paid in all", f"{_money(found.total, found.unpriced)} from the start to the launch, used or not"),
        ("  committed", f"{_money(found.committed, found.unpriced)} beyond the launch, by leases and purchases"),
    ]
    if found.budget is not None:
        over = f"{units.show_share(found.over)} of the draws cost more, and count as no launch"
        away = ", ".join(f"{lot} in {units.show_share(share)}" for lot, share in found.not_leased)
        not_leased = f"; not leased for it: {away}" if away else ""
        rows.append(("  budget", f"{units.show_money(found.budget)}; {over}{not_leased}"))
    return rows


def _lots(plan: LaunchPlan) -> Table:
    """What each lot costs in the draw that is shown."""
    found = plan.money.by_lot if plan.money else ()
    rows = tuple(
        (lot.lot, lot.tenure, *map(_price, (lot.training, lot.service, lot.idle, lot.total, lot.committed)))
        for lot in found
    )
    header = ("lot", "", "training", "services", "idle", "in all", "committed beyond")
    return Table("what is paid until the launch, in the draw at P50", header, rows)


def _prices(plan: LaunchPlan) -> Table:
    """Every price that is counted with, and where it is from."""
    quotes = plan.money.quotes if plan.money else ()
    header = ("lot", "of", "price", "term", "place", "date", "source", "what")
    return Table("prices", header, tuple(_quoted(quote) for quote in quotes))


def _quoted(quote: Quote) -> tuple[str, ...]:
    show = units.show_money if quote.what == "purchase" else units.show_price
    price = show(quote.low) if quote.low == quote.high else f"{show(quote.low)} to {show(quote.high)}"
    day = str(quote.date) if quote.date else ""
    return (quote.lot, quote.what, price, quote.term, " ".join(quote.place), day, quote.source, quote.basis)


def _seen(plan: LaunchPlan) -> str:
    if plan.rules_known:
        return f"rules announced by {plan.rules_known}"
    return "rules as they came, each from its own day (with hindsight)"


def _late(_: float) -> str:
    return "after the horizon"


def _three(spread: Percentiles[T], show: Callable[[T], str], late: Callable[[float], str] = _late) -> str:
    shown = {name: late(float(name[1:]) / 100) if v is None else show(v) for name, v in vars(spread).items()}
    return ", ".join(f"{name.upper()} {text}" for name, text in shown.items())


def _error(plan: LaunchPlan) -> str:
    """How far P50 may be off by the number of draws."""
    error = plan.errors.p50
    if error is None:
        return ""
    return f"; P50 +- {'under a day' if error < 0.5 else f'{error:.0f} d'} at {plan.draws:,} draws"


def _in_part(plan: LaunchPlan) -> list[tuple[str, str]]:
    """First users, draws that never launch, and demand without capacity until the launch."""
    rows = []
    if plan.first_users != plan.launch:
        chance = units.show_share(plan.first_probability)
        rows.append(("first users", f"{_three(plan.first_users, str)}; {chance} by {plan.end}"))
    if plan.never:
        from tonnage.fleet import words

        listed = sorted(plan.never.items(), key=lambda item: -item[1])
        told = ", ".join(f"{words.cause(cause)} ({units.show_share(share)})" for cause, share in listed)
        rows.append(("never", f"in {units.show_share(plan.probability_never)} of the draws, however long: {told}"))
    if plan.gap is not None and plan.outcome.reason != "capacity":
        gap, worst = plan.gap, units.show_share(plan.gap.share)
        draws = "" if gap.draws > 0.995 else f", in {units.show_share(gap.draws)} of the draws"
        rows.append(
            ("gap", f"up to {worst} of the demand in service finds no capacity {gap.start} to {gap.end}{draws}")
        )
    return rows


def _money(spread: Percentiles[float], unpriced: tuple[str, ...]) -> str:
    return f"unknown ({_no_price(unpriced)})" if unpriced else _three(spread, units.show_money)


def _price(cost: float | None) -> str:
    return "unpriced" if cost is None else units.show_money(cost)


def _rules(plan: LaunchPlan) -> str:
    return "; ".join(f"{rule.rule} ({rule.effect})" for rule in plan.rules_applied) or "none that touches a lot"


def _binds(plan: LaunchPlan) -> Table:
    rows = tuple((units.show_number(b.by or 0.0, 2), b.text, b.lift or "") for b in plan.binds[:SHOWN])
    return Table(
        "what is in the way (days on the way to the launch, mean of the draws that launch)",
        ("days", "what", "lifted by"),
        rows,
    )


def _sensitivity(plan: LaunchPlan) -> Table:
    shown = plan.sensitivity[:SHOWN]
    most = max((abs(item.swing) for item in shown), default=0.0)
    rows = tuple(
        (
            item.name,
            item.text,
            _bar(item.swing, most),
            f"{item.swing:+.0f} d",
            f"{100 * item.never:+.0f} %",
            units.show_share(item.share),
        )
        for item in shown
    )
    note = (
        "with more of it: the upper third of the draws against the lower, days where both launch, and how much oftener "
        "never; share: of squared rank correlations"
    )
    header = ("input", "as given", f"{'earlier':>{BAR}}|later", "days", "never", "share")
    return Table("what moves it most", header, rows, note)


def _bar(swing: float, most: float) -> str:
    """One bar of the tornado: to the left where more of the input is earlier."""
    marks = "#" * (round(BAR * abs(swing) / most) if most else 0)
    return f"{marks:>{BAR}}|" if swing < 0 else f"{'':{BAR}}|{marks}"


def _what_ifs(plan: LaunchPlan) -> Table:
    chance, cost = units.show_share(plan.probability), _price(plan.cost.p50)
    base = (("as planned", *_days(plan.launch), "", chance, cost, _price(plan.money.whole if plan.money else None)),)
    rows = tuple(
        (
            item.name,
            *_days(item.launch),
            "" if item.shift is None else f"{item.shift:+.0f} d",
            units.show_share(item.probability),
            _price(item.cost),
            _price(item.total),
        )
        for item in plan.alternatives
    )
    header = ("what if", "P10", "P50", "P90", "shift", "by horizon", "training", "all signed for")
    return Table("what-ifs, on the same draws", header, base + rows if rows else (), _named(plan))


def _named(plan: LaunchPlan) -> str:
    """Which rules name the chips that they keep away, so that no what-if moves their thresholds."""
    from tonnage.law import load_rules

    named = {rule.id: rule.chips for rule in load_rules().rules if rule.kind == "control"}
    found = {
        f"{item.chip} ({rule})": None
        for item in plan.not_lawful
        for rule in item.rules[:1]
        if item.chip in named.get(rule, ())
    }
    return f"no other threshold would free what a rule names: {', '.join(found)}" if found else ""


def _days(spread: Percentiles[Date]) -> tuple[str, ...]:
    return tuple("later" if value is None else str(value) for value in vars(spread).values())


def _speeds(plan: LaunchPlan) -> Table:
    rows = []
    for speed in plan.throughputs:
        unit = "requests/s" if speed.use == "serve" else "tokens/s"
        span = f"{units.show_number(speed.low)} to {units.show_number(speed.high)}"
        size = f"{speed.accelerators} x {speed.chip}"
        value = speed.reason or f"{units.show_number(speed.rate)} {unit} ({span})"
        engine = str(speed.detail.get("engine", ""))
        rows.append((f"{speed.use} {speed.model}", size, value, speed.evidence, engine, speed.layout))
    header = ("speed", "on", "per accelerator (90 %)", "evidence", "engine", "layout")
    return Table("speeds used, from tonnage train and serve", header, tuple(rows))


def _refused(plan: LaunchPlan) -> Table:
    rows = tuple((item.lot, units.show_share(item.share), str(item.start), item.reason) for item in plan.not_lawful)
    return Table("not lawful, so not planned on", ("lot", "share of it", "from", "why"), rows)


def _left_out(plan: LaunchPlan) -> Table:
    return Table("left out, since it cannot be planned on", ("lot", "why"), plan.left_out)


def _hints(plan: LaunchPlan, path: str) -> tuple[str, ...]:
    best = min(
        (a for a in plan.alternatives if a.lawful and a.shift is not None), key=lambda a: a.shift or 0.0, default=None
    )
    hints = []
    if best is not None and best.shift is not None and best.shift < 0:
        hints.append(f"the what-if that helps most: {best.name} ({best.shift:+.0f} days)")
    hints.append(f"tonnage launch {path} -o launch.json -o launch.svg saves the answer and the timeline")
    return tuple(hints)
