"""A run that moves from one system to another at a step: what the move costs, and from when on it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tonnage.model import Architecture
from tonnage.model.counts import params
from tonnage.system import System
from tonnage.train.goodput import Goodput
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan
from tonnage.units import DAY

STATE = 14.0
"""Bytes of a checkpoint for each parameter: 16-bit weight, 32-bit master and two moments."""


@dataclass(frozen=True)
class Move:
    """How a run is moved; every figure is an assumption to be replaced by the user's own.

    storage: checkpoint bandwidth of either system [byte/s]; wire: between the sites, infinite when they share storage
    [byte/s]; convert: passes over the state to change layout and format; check: tokens trained on both systems to see
    that the loss agrees (DeepSeek-V3 compared FP8 with BF16 over far more: arXiv 2412.19437, appendix B.1); warm_up:
    bringing the software up on the new system [s].
    """

    storage: float = 50e9
    wire: float = math.inf
    convert: float = 2.0
    check: float = 2e9
    warm_up: float = 2 * DAY


@dataclass(frozen=True)
class Switch:
    """Seconds that a move costs by kind, its sum, and when it has paid.

    lost: steps since the last checkpoint; check: tokens trained twice. break_even_tokens: to be trained after the move
    until both choices are level, None when the new system is not faster; break_even: the same in seconds from the move
    on; saved: seconds saved over the rest of the run (negative: lost); cost: USD for idle accelerators of the new
    system, None when unpriced; stay, move: seconds to the end of the run without and with the move, pause included.
    """

    checkpoint: float
    convert: float
    transfer: float
    warm_up: float
    check: float
    lost: float
    total: float
    break_even_tokens: float | None
    break_even: float | None
    saved: float
    cost: float | None
    stay: float
    move: float

    @property
    def worth(self) -> bool:
        """Whether the run ends sooner with the move."""
        return self.saved > 0


def switch(
    job: TrainJob,
    old: tuple[System, TrainPlan],
    new: tuple[System, TrainPlan],
    remaining: float,
    how: Move | None = None,
    price: float | None = None,
) -> Switch:
    """Cost of moving a run of which `remaining` tokens are left; price [USD per accelerator-second] of the new system.

    With rates r (tokens/s, goodput included) and a pause D the choices are level after x tokens, x / r_old = D + x /
    r_new. The check trains its tokens on the new system while the old one has them already.
    """
    how = how or Move()
    before, after = _rate(*old), _rate(*new)
    parts = pauses(job.arch, how) | {
        "check": how.check / after,
        "lost": _interval(old[1].goodput) / 2,
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
        cost=None if price is None else price * pause * new[0].count,
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


def _rate(system: System, plan: TrainPlan) -> float:
    """Tokens a second of the whole system, with its goodput."""
    useful = plan.goodput.value if plan.goodput else 1.0
    return plan.tokens_per_second_per_accelerator * system.count * useful


def _interval(found: Goodput | None) -> float:
    return found.interval if found else 0.0
