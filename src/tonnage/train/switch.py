"""A run that moves from one system to another at a step: what the move costs, and from when on it pays."""

from __future__ import annotations

import datetime

from tonnage.errors import InputError, Problem
from tonnage.model import Architecture
from tonnage.model.counts import params
from tonnage.train.goodput import Goodput
from tonnage.train.result import Move, MoveDates, MovePlan, Switch, TrainPlan
from tonnage.units import DAY

STATE = 14.0
"""Bytes of a checkpoint for each parameter: 16-bit weight, 32-bit master and two moments."""


AWAY = 100 * 365 * DAY
"""Seconds from the start beyond which no date is told."""


def move(
    plan: TrainPlan,
    after: TrainPlan,
    *,
    share: float = 0.0,
    on: datetime.date | None = None,
    start: datetime.date | None = None,
    how: Move | None = None,
) -> MovePlan:
    """The run of `plan` moved to the system of `after`, at a share of its tokens or on a date (which needs `start`).

    Each system is paid at the price of its plan. Raises `InputError` where the run has ended by then.
    """
    how = how or Move()
    if not after.outcome.feasible or plan.job.tokens is None or plan.wall_time is None:
        return MovePlan(after, share, how, start)
    wall = plan.wall_time.value
    if on is not None and start is not None:
        share = _share(start, on, wall)
    found = switch(plan, after, plan.job.tokens * (1 - share), how)
    latest = None if found.break_even_tokens is None else 1 - found.break_even_tokens / plan.job.tokens
    return MovePlan(
        after,
        share,
        how,
        start,
        found,
        _dates(start, share * wall, found),
        None if latest is None or latest < 0 else latest,
        _bill(plan, found.stay),
        _bill(after, found.move),
    )


def _share(start: datetime.date, on: datetime.date, wall: float) -> float:
    """Share of the tokens that is trained on a date."""
    share = (on - start).days * DAY / wall
    if share >= 1:
        ends = start + datetime.timedelta(seconds=wall)
        raise InputError(Problem(f"the run has ended by then, on {ends}", path="move_on"))
    return share


def _dates(start: datetime.date | None, before: float, found: Switch) -> MoveDates:
    """Dates of the move, of the break-even and of both ends, where the start is known."""

    def day(seconds: float | None) -> datetime.date | None:
        if start is None or seconds is None or before + seconds >= AWAY:
            return None
        return start + datetime.timedelta(seconds=before + seconds)

    return MoveDates(day(0.0), day(found.stay), day(found.move), day(found.break_even))


def _bill(plan: TrainPlan, seconds: float) -> float | None:
    return None if plan.price is None else plan.price * seconds * plan.system.count


def switch(old: TrainPlan, new: TrainPlan, remaining: float, how: Move | None = None) -> Switch:
    """Cost of moving a run of which `remaining` tokens are left, from one plan of it to another.

    With rates r (tokens/s, goodput included) and a pause D the choices are level after x tokens, x / r_old = D + x /
    r_new. The check trains its tokens on the new system while the old one has them already. The pause is paid at the
    price of the new system.
    """
    how = how or Move()
    before, after = _rate(old), _rate(new)
    parts = {
        **pauses(old.job.arch, how),
        "check": how.check / after,
        "lost": _interval(old.goodput) / 2,
    }
    pause = sum(parts.values())
    gain = 1 / before - 1 / after
    level = pause / gain if gain > 0 else None
    return Switch(
        **parts,
        total=pause,
        break_even_tokens=level,
        break_even=None if level is None else level / before,
        saved=remaining * gain - pause,
        cost=None if new.price is None else new.price * pause * new.system.count,
        stay=remaining / before,
        move=pause + remaining / after,
    )


def pauses(arch: Architecture, how: Move) -> dict[str, float]:
    """Seconds of a move that do not depend on the speed of either system, by kind."""
    state = params(arch).total * STATE
    return {
        "checkpoint": 2 * state / how.storage,
        "convert": how.convert * state / how.storage,
        "transfer": state / how.wire,
        "warm_up": how.warm_up,
    }


def _rate(plan: TrainPlan) -> float:
    """Tokens a second of the whole system, with its goodput."""
    if plan.run is None:
        raise ValueError("a plan without a layout cannot be moved from or to")
    return plan.run.tokens_per_second * plan.system.count * plan.run.goodput.value


def _interval(found: Goodput | None) -> float:
    return found.interval if found else 0.0
