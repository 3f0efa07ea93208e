"""A plan planned again from the question that it holds: no file, no catalogue, no command line."""

from __future__ import annotations

from dataclasses import replace

from tonnage.errors import FEASIBLE
from tonnage.train.anchor import leveled
from tonnage.train.mixed import mixed
from tonnage.train.result import MixedPlan, MovePlan, RlPlan, TrainPlan
from tonnage.train.rl import stage
from tonnage.train.search import plan
from tonnage.train.switch import move


def plan_again(kept: TrainPlan) -> TrainPlan:
    """The plan of the same job on the same system, with what was asked beside it.

    The speed of generation in a stage of reinforcement learning, and the level of measured runs, are those that it
    holds; facts and catalogue are those of the plan.
    """
    made = plan(kept.job, kept.system, kept.fixed, price=kept.price)
    if kept.anchor is not None:
        made = leveled(made, kept.anchor)
    made = replace(
        made,
        move=kept.move and _move(made, kept.move),
        rl=kept.rl and _stage(kept.rl),
    )
    known = replace(made.provenance, facts=kept.provenance.facts, catalog=kept.provenance.catalog)
    return replace(made, provenance=known)


def _move(made: TrainPlan, kept: MovePlan) -> MovePlan:
    return move(made, plan_again(kept.after), share=kept.share, start=kept.start, how=kept.how)


def _stage(kept: RlPlan) -> RlPlan:
    service = (kept.engine, kept.layout, kept.outcome if kept.where.startswith("generation") else FEASIBLE)
    return stage(kept.tokens, plan_again(kept.update), kept.rollouts, service, kept.prices)


def mixed_again(kept: MixedPlan) -> MixedPlan:
    """The plan of the same job on the same systems."""
    made = mixed(kept.job, kept.systems, kept.fixed, kept.prices)
    known = replace(made.provenance, facts=kept.provenance.facts, catalog=kept.provenance.catalog)
    return replace(made, provenance=known)
