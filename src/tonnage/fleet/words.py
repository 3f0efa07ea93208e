"""The fleet's values in words: the one place where causes, activities and what-ifs become sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tonnage.fleet.causes import Activity, Cause
from tonnage.units import show_money, show_share

if TYPE_CHECKING:
    from tonnage.fleet.best import CapKind, LaunchLimit, LotOption, NearBest, PolicyGap


def cause(found: Cause) -> str:
    """`r2: pretrain on ascend`."""
    if found.kind == "rounds":
        does = "rounds until good enough"
    elif found.kind == "waits_for_capacity":
        does = "waits for capacity to serve it"
    elif found.kind == "no_place":
        does = "waits for a place to be trained on, and there is none"
    elif found.kind == "moves":
        does = f"moves to {found.place}"
    elif found.kind == "waits_for_chips":
        does = f"waits for free chips of {found.place}, which services hold"
    elif found.kind == "waits_for_lot":
        does = f"waits until enough chips of {found.place} can be had"
    else:
        does = f"{'failed attempt' if found.kind == 'failed_attempt' else found.kind} on {found.place}"
    return f"{found.model}: {does}"


def activity(found: Activity) -> str:
    """`serves r1`, `trains r2: pretrain`, `trains r2 (fails)`, `moves r2`, `improves r2`, `available`."""
    if found.kind == "available":
        return "available"
    if found.kind in ("serves", "improves", "moves"):
        return f"{found.kind} {found.model}"
    return f"trains {found.model} (fails)" if found.kind == "fails" else f"trains {found.model}: {found.kind}"


def limit(found: LaunchLimit) -> str:
    """`how many there are of own`, `r1 is served`, ..."""
    weeks = f", {found.start} to {found.end}" if found.start and found.kind != "delivery" else ""
    if found.kind == "delivery":
        return f"{found.about} is not all there before {found.end}"
    if found.kind == "order":
        return f"{found.about} tries its places in the order given"
    if found.kind == "horizon":
        return f"the horizon, {found.end}"
    if found.kind in ("budget", "power"):
        return f"the budget of {found.about}" if found.kind == "budget" else "the power of the site"
    said = {
        "count": f"no more of {found.about} than there is",
        "demand": f"the service of {found.about}",
        "rounds": f"the rounds of {found.about} until it is good enough",
    }
    return f"{said[found.kind]}{weeks}"


def near(found: NearBest) -> str:
    """`2 weeks later: $2.2M less`, `without cloud-h20: the same day`, `own-h800 first: 3 weeks later`."""
    when = _shift(found.shift)
    if found.kind == "sooner":
        return f"{when}: with {found.about}"
    if found.kind == "later":
        return f"{when}: {_saving(found)}"
    does = {"without_lot": f"without {found.about}", "place": f"{found.about} first"}
    saving = _saving(found)
    return f"{does[found.kind]}: {when}{f', {saving}' if saving else ''}"


def option(found: LotOption) -> str:
    """`leases 512 of more (h200-sxm) from 2026-11-02, for $3M: without it 9 days later`; or what it would bring."""
    number = f"{found.count:,.0f} of {found.lot} ({found.chip})"
    weeks = (found.end - found.start).days / 7 if found.end else 0.0
    span = f"from {found.start}" + (f" to {found.end} ({weeks:.0f} weeks)" if found.end else "")
    rents = found.tenure == "rented"
    if found.taken:
        does = f"{'leases' if rents else 'buys'} {number} {span}, for {show_money(found.cost)}"
        return f"{does}: {'no launch without it' if found.days is None else f'without it {_shift(found.days)}'}"
    if found.days is not None and found.days < 0.5:
        return f"leaves {number}: it would bring the launch no earlier"
    would = "make a launch" if found.days is None else f"bring it {_shift(-found.days)}"
    return f"leaves {number}: {'leasing' if rents else 'buying'} it {span} would {would}, for {show_money(found.cost)}"


def _shift(days: float) -> str:
    if abs(days) < 0.5:
        return "the same day"
    count, unit = (days / 7, "week") if abs(days) >= 7 else (days, "day")
    number = f"{abs(count):.0f}"
    return f"{number} {unit}{'' if number == '1' else 's'} {'later' if days > 0 else 'earlier'}"


def _saving(found: NearBest) -> str:
    if found.saving is None or abs(found.saving) < 1e4:
        return ""
    return f"{show_money(abs(found.saving))} {'less' if found.saving > 0 else 'more'}"


def not_kept(cap: CapKind) -> str:
    """What the best plan makes of a cap of the programme that it does not keep whole."""
    return {
        "budget": "a lot has no price: the best plan keeps the budget with the others",
        "power": "with a budget, power goes to the same lots as by the policy; what the best plan says of more "
        "accelerators takes for granted that they find power",
    }[cap]


def behind(found: PolicyGap) -> str:
    """`the policy is 0 days behind the best plan with hindsight (median of 20 draws, P90 45; in 10 % of them it never
    launches; never ahead)`.
    """
    if math.isinf(found.median):
        median = "never launches in half of the draws in which the best plan with hindsight does"
    else:
        median = f"is {found.median:.0f} days behind the best plan with hindsight"
    tail = ", P90 never" if math.isinf(found.p90) else f", P90 {found.p90:.0f}"
    ahead = "never ahead" if found.ahead < 0.01 else f"ahead by up to {found.ahead:.1f} days"
    first = ""
    if found.first is not None:
        first = "; first users " + (f"{found.first:.0f} days" if math.isfinite(found.first) else "never come")
    never = f"; in {show_share(found.never)} of them it never launches" if found.never else ""
    return f"the policy {median} (median of {found.draws} draws{tail}{never}; {ahead}{first})"
