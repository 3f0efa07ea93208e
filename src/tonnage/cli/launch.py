"""`tonnage launch PROGRAMME.yaml`: whether, when and at what cost a programme launches, and what is in the way."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.common import COMMON, Common, Result, check_outputs, finish
from tonnage.errors import InputError, Problem
from tonnage.report import launch_best
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.fleet.plan import LaunchPlan, Percentiles
    from tonnage.fleet.programme import Programme

Date = datetime.date
T = TypeVar("T")
SHOWN = 8
SOONER = 14
"""Days by which another first place has to be sooner to be named in the headline."""


def launch(
    programme: Path,
    /,
    *,
    draws: int = 500,
    by: Annotated[str | None, Parameter(negative="")] = None,
    picture: Annotated[Path | None, Parameter(negative="")] = None,
    common: Common = COMMON,
) -> int:
    """Whether, when and at what cost a programme launches: P10, P50, P90; what binds; what moves it; what-ifs.

    Parameters
    ----------
    programme
        a programme file; `tonnage new` writes one to start from.
    draws
        how many times the uncertain inputs are drawn.
    by
        a date: the cheapest launch by then in the base case, or the cheapest lawful change that makes one possible.
    picture
        write the timeline as SVG to this file; `-o FILE.svg` does the same.
    """
    import dataclasses

    from tonnage.fleet import launch as forecast
    from tonnage.fleet import read_programme
    from tonnage.fleet.launch import check_draws
    from tonnage.report import timeline

    check_draws(draws)
    if picture is not None:
        _check_picture(picture)
        common = dataclasses.replace(common, output=(*common.output, picture))
    check_outputs(common, (".svg",))
    catalog = common.load_catalog()
    asked = read_programme(programme, common.changes(), catalog, common.date())
    common.note(f"planning {asked.name}: {len(asked.lots)} lots, {len(asked.models)} models, {draws} draws")
    plan = forecast(asked, catalog, common.seed, draws, by=_day(by, asked))
    inputs: dict[str, Any] = {"programme": str(programme), "draws": draws, "set": list(common.set)}
    inputs |= {"by": by} if by else {}
    inputs |= {"as_of": common.as_of, "catalog": str(common.catalog) if common.catalog else None}
    result = Result(
        "launch",
        inputs,
        plan.to_json(),
        answer(plan, str(programme)),
        plan.outcome,
        plan.evidence,
        plan.sources,
        catalog,
        {".svg": lambda: timeline.svg(plan)},
    )
    return finish(result, common)


def _day(text: str | None, programme: Programme) -> Date | None:
    """The date of `--by`; InputError if it is none, or outside the horizon."""
    if text is None:
        return None
    try:
        day = units.parse_date(text)
    except ValueError as error:
        raise InputError(Problem(str(error), "--by")) from error
    if not programme.start < day <= programme.end:
        raise InputError(Problem(f"expected a date from {programme.start} to {programme.end}, got {day}", "--by"))
    return day


def _check_picture(path: Path) -> None:
    """Raise InputError for a picture with another ending than .svg."""
    if path.suffix.lower() != ".svg":
        raise InputError(Problem(f'a picture is written as .svg, not "{path.suffix or path.name}"', "--picture"))


def answer(plan: LaunchPlan, path: str = "PROGRAMME.yaml") -> Answer:
    """A launch in words."""
    from tonnage.report import timeline

    best = launch_best.tables(plan)
    tables = (_binds(plan), *best, _sensitivity(plan), _what_ifs(plan), _speeds(plan), _refused(plan))
    return Answer(
        _sentence(plan),
        _rows(plan),
        tuple(table for table in tables if table.rows),
        timeline.lines(plan),
        _hints(plan, path),
        tuple(item.to_json() for item in plan.alternatives),
        plan.outcome.feasible,
    )


def _sentence(plan: LaunchPlan) -> str:
    """The answer in one sentence."""
    if not plan.outcome.feasible or plan.launch.p50 is None:
        bind = plan.outcome.binds[0]
        lift = f" The cheapest change that lifts it: {bind.lift}." if bind.lift else ""
        word = "Unlikely" if plan.outcome.feasible else "No"
        return f"{word} ({bind.what}): {bind.text}.{lift}"
    place = max(plan.trained_on, key=lambda name: plan.trained_on[name], default=None)
    where = f", trained on {place} in {units.show_share(plan.trained_on[place])} of the draws" if place else ""
    late = {"never": "never", "after the horizon": f"after {plan.end}"}[plan.without_date(0.9)]
    early = f"P10 {plan.launch.p10}, P90 {plan.launch.p90 or late}"
    when = f"{plan.model} launches by {plan.launch.p50} as likely as not ({early}){where}{_other(plan)}"
    return f"Yes: {when}; {_cost(plan)}."


def _other(plan: LaunchPlan) -> str:
    """The place that would be much sooner if it were tried first, if there is one."""
    moved = [item for item in plan.alternatives if item.lever.kind == "train" and plan.model in item.lever.models]
    other = [item for item in moved if (item.shift or 0) < -SOONER]
    best = min(other, key=lambda item: item.shift or 0.0, default=None)
    return f"; with {best.lever.about} first it would be {best.launch.p50}" if best else ""


def _no_price(lots: tuple[str, ...]) -> str:
    """Why a cost is not known."""
    from tonnage.fleet import plan

    return plan.no_price(lots)


def _cost(plan: LaunchPlan) -> str:
    if not plan.trained_on:
        return "nothing is trained"
    if plan.cost.p50 is None:
        return f"training cost unknown ({_no_price(plan.unpriced_training)})"
    return f"training costs {units.show_money(plan.cost.p50)}"


def _rows(plan: LaunchPlan) -> tuple[tuple[str, str], ...]:
    chance = units.show_share(plan.probability)
    rows = [("launch", f"{_three(plan.launch, str, plan.without_date)}; {chance} by {plan.end}{_error(plan)}")]
    rows += _in_part(plan)
    for name, spread in plan.launches.items():
        if name != plan.model:
            rows.append((f"  {name}", _three(spread, str)))
    training, service = _money(plan.cost, plan.unpriced_training), _money(plan.service_cost, plan.unpriced_service)
    rows.append(("cost", f"{training} to train until the launch, failures included"))
    rows.append(("", f"{service} for all services until then"))
    rows += launch_best.rows(plan)
    rows += [(f"ready? {found.chip}", found.text) for found in dict.fromkeys(plan.readiness.values())]
    rows.append(("known", f"prices and records of {plan.known}; {_seen(plan)}; rules applied: {_rules(plan)}"))
    rows += [("assumed", text) for text in plan.assumptions]
    rows += [("doubt", text) for text in plan.doubts]
    return tuple(rows)


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
    return "" if error is None else f"; P50 +- {error:.0f} d at {plan.draws:,} draws"


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
    rows = tuple(
        (item.name, item.text, f"{item.swing:+.0f} d", units.show_share(item.share))
        for item in plan.sensitivity[:SHOWN]
    )
    note = "swing: between the means of the upper and lower third of the draws; share: of squared rank correlations"
    return Table("what moves it most", ("input", "as given", "swing", "share"), rows, note)


def _what_ifs(plan: LaunchPlan) -> Table:
    base = (("as planned", *_days(plan.launch), "", units.show_share(plan.probability), _price(plan.cost.p50)),)
    rows = tuple(
        (
            item.name,
            *_days(item.launch),
            "" if item.shift is None else f"{item.shift:+.0f} d",
            units.show_share(item.probability),
            _price(item.cost),
        )
        for item in plan.alternatives
    )
    header = ("what if", "P10", "P50", "P90", "shift", "by horizon", "training")
    return Table("what-ifs, on the same draws", header, base + rows)


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


def _hints(plan: LaunchPlan, path: str) -> tuple[str, ...]:
    best = min(
        (a for a in plan.alternatives if a.lawful and a.shift is not None), key=lambda a: a.shift or 0.0, default=None
    )
    hints = []
    if best is not None and best.shift is not None and best.shift < 0:
        hints.append(f"the what-if that helps most: {best.name} ({best.shift:+.0f} days)")
    hints.append(f"tonnage launch {path} -o launch.json -o launch.svg saves the answer and the timeline")
    return tuple(hints)
