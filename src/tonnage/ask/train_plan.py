"""The plan that a question about training asks for: on one kind of chips or several, and what was asked beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.ask.price import Paid
from tonnage.ask.train import TrainQuestion
from tonnage.catalog import Catalog
from tonnage.system import System
from tonnage.train import (
    Level,
    MixedPlan,
    Move,
    MovePlan,
    NearPlan,
    RlPlan,
    Rollouts,
    TrainJob,
    TrainPlan,
    enough,
    level,
    leveled,
    mixed,
    move,
    nearby,
    plan,
    stage,
)
from tonnage.train.maturity import Dated, history
from tonnage.train.result import resting_on

if TYPE_CHECKING:
    from tonnage.serve import ServePlan


@dataclass(frozen=True)
class Trained:
    """A plan on one kind of chips; paid: the price that it rests on; software: its step with earlier
    software; near: counts and batches that would leave fewer accelerators over; enough: where the plan cannot be and no
    other layout can, how many accelerators can.
    """

    plan: TrainPlan
    paid: Paid
    software: tuple[Dated, ...]
    near: tuple[NearPlan, ...] = ()
    enough: int | None = None


def planned(asked: TrainQuestion, job: TrainJob, catalog: Catalog) -> Trained:
    """The run on one kind of accelerators, a move and a stage of reinforcement learning with it."""
    system = asked.system(asked.fleets[0], catalog)
    paid = asked.paid(system, catalog)
    made = plan(job, system, asked.layouts[0], price=paid.value)
    own = _own_level(asked, job, system, catalog)
    near = nearby(made)
    if own is not None:
        made = leveled(made, own)
        near = tuple(replace(one, tokens_per_second=one.tokens_per_second * own.ratio) for one in near)
    facts = (*paid.facts, *_seldom(job, system, asked, catalog))
    dated = _history(made, own)
    if made.outcome.feasible:
        moved, for_move = _moved(asked, made, own, catalog)
        staged, for_stage = _staged(asked, made, own, catalog)
        made, facts = replace(made, move=moved, rl=staged), (*facts, *for_move, *for_stage)
    made = replace(made, provenance=resting_on(made.provenance, facts, catalog.digest))
    stuck = not made.outcome.feasible and made.nearest_feasible is None
    return Trained(made, paid, dated, near, enough(made) if stuck else None)


def _seldom(job: TrainJob, system: System, asked: TrainQuestion, catalog: Catalog) -> tuple[str, ...]:
    """The fact of the host's link, where something is kept in the host's memory."""
    if not job.offload:
        return ()
    return (catalog.facts_of(system.accelerator.name, asked.date)["host_link"].id,)


def planned_mixed(asked: TrainQuestion, job: TrainJob, catalog: Catalog) -> MixedPlan:
    """The run over all kinds of accelerators together."""
    systems = [asked.system(fleet, catalog) for fleet in asked.fleets]
    prices = paid_mixed(asked, catalog)
    made = mixed(job, systems, asked.layouts, [price.value for price in prices])
    facts = tuple(fact for price in prices for fact in price.facts)
    return replace(made, provenance=resting_on(made.provenance, facts, catalog.digest))


def paid_mixed(asked: TrainQuestion, catalog: Catalog) -> tuple[Paid, ...]:
    """What the accelerators of each kind are paid at."""
    return tuple(asked.paid(asked.system(fleet, catalog), catalog) for fleet in asked.fleets)


def _own_level(asked: TrainQuestion, job: TrainJob, system: System, catalog: Catalog) -> Level | None:
    """What the user's own runs say, where there are some."""
    if asked.anchor is None:
        return None
    from tonnage.ask.train_anchor import measured

    return level(job, system, measured(asked.anchor, job, system, catalog))


def _history(made: TrainPlan, own: Level | None) -> tuple[Dated, ...]:
    """The same layout with earlier software, brought onto measured runs as the plan is."""
    if made.layout is None:
        return ()
    factor = 1.0 if own is None else own.ratio
    found = history(made.job, made.system, made.layout)
    return tuple(replace(one, step_time=one.step_time / factor) for one in found)


def _moved(
    asked: TrainQuestion, made: TrainPlan, own: Level | None, catalog: Catalog
) -> tuple[MovePlan | None, tuple[str, ...]]:
    """The run moved to other chips on the way, and the facts of its price."""
    want, job = asked.move, made.job
    if want is None or job.tokens is None:
        return None, ()
    system = asked.system(want.fleet, catalog)
    paid = asked.paid(system, catalog)
    there = plan(job, system, price=paid.value)
    if own is not None and system.accelerator.name == made.system.accelerator.name:
        there = leveled(there, own)
    how = Move() if want.wire is None else Move(wire=want.wire)
    found = move(made, there, share=want.at or 0.0, on=want.on, start=want.start, how=how)
    return found, paid.facts if there.outcome.feasible else ()


def _staged(
    asked: TrainQuestion, made: TrainPlan, own: Level | None, catalog: Catalog
) -> tuple[RlPlan | None, tuple[str, ...]]:
    """A stage of GRPO-like training, one update for each batch of responses, and the facts it rests on besides."""
    want, job = asked.rollout, made.job
    if want is None:
        return None, ()
    from tonnage.serve import ServeJob
    from tonnage.serve import plan as serve

    apart = None if want.fleet is None else asked.system(want.fleet, catalog)
    update = plan(replace(job, seq=want.prompt + want.length, tokens=None), made.system, price=made.price)
    if own is not None:
        update = leveled(update, own)
    served = serve(
        ServeJob(arch=job.arch, isl=float(want.prompt), osl=float(want.length), concurrency=float(job.global_batch)),
        apart or made.system,
    )
    prices: list[Paid] = [asked.paid(one, catalog) for one in _pools(made.system, apart)]
    rates = _rates(served, want.length)
    latency = served.tpot.value if served.tpot is not None else 0.0
    rollouts = Rollouts(
        want.prompt, want.length, job.global_batch, *rates, apart, want.reward, want.stale, latency, want.tail
    )
    service = (served.engine or "", served.layout_text or "", served.outcome)
    found = stage(want.tokens, update, rollouts, service, tuple(paid.value for paid in prices))
    if found.rounds is None:
        return found, ()
    return found, (*(fact for paid in prices for fact in paid.facts), *served.provenance.facts)


def _pools(system: System, apart: System | None) -> tuple[System, ...]:
    return (system,) if apart is None else (system, apart)


def _rates(served: ServePlan, length: int) -> tuple[float, float, float]:
    """Generated tokens/s of the whole batch of responses in flight: value, low, high; 0 where it cannot be."""
    if not served.outcome.feasible:
        return 0.0, 0.0, 0.0
    rate = (served.requests_per_second or 0.0) * length
    made = served.output_rate
    low, high = (1.0, 1.0) if made is None else (made.low / made.value, made.high / made.value)
    return rate, rate * low, rate * high
