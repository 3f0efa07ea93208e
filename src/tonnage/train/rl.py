"""Training after pretraining: rounds of reinforcement learning, the one model of them for a run and for a launch."""

from __future__ import annotations

from dataclasses import replace

from tonnage.errors import Outcome
from tonnage.interval import Interval
from tonnage.model.counts import params
from tonnage.system import System, needed
from tonnage.train.goodput import together
from tonnage.train.job import TrainJob
from tonnage.train.result import RlPlan, Rollouts, Round, Rounds, TrainPlan

TAIL = 2.0
"""Longest over mean response of a round: an assumption. DeepSeek-R1-Zero could generate 32,768 tokens at a mean of up
to about 10,000 (arXiv 2501.12948, recalled); rollouts that carry unfinished responses over to the next round are nearer
to 1."""


def rl_round(
    job: TrainJob,
    system: System,
    trained: TrainPlan,
    rollout: float,
    rollout_rate: float,
    *,
    pool: System | None = None,
    kept: float = 1.0,
    reward: float = 0.0,
    passes: float = 1.0,
    split: bool = False,
    stale: bool = False,
    pace: float = 1.0,
    straggles: float = 0.0,
) -> Round:
    """Time of a round that generates `rollout` tokens at `rollout_rate` tokens/s (the pool's, by the serving model).

    pool: the system that generates, the training one itself if None; kept: tokens trained on for each that is
    generated (over 1 where prompts count); passes: how often; reward: seconds of scoring that generation does not
    hide. The update computes log-probabilities once (a forward pass, a third of a step) and trains. New weights
    reach each scale-up domain of the engines once, in 16 bits, through the NICs of all accelerators of the narrower
    pool, each a share. Colocated pools take turns; split ones do too unless training may be one round stale, when the
    slower of the two counts (arXiv 2402.03300 for GRPO; arXiv 2409.19256 for colocation). pace: speed of the update
    over the planned one, 1 unless an end of its interval is asked for; straggles: seconds that the longest response
    takes after those of mean length.
    """
    update_rate = _speed(trained) * pace
    update = rollout * kept * (passes + 1 / 3) / update_rate
    engines = pool or system
    moved = 2.0 * params(job.arch).total * engines.count / max(engines.accelerator.domain, 1)
    transfer = moved / min(needed(s.accelerator, "nic") * s.count for s in (system, engines))
    generate = rollout / rollout_rate + straggles
    busy = max(generate + reward, update) if split and stale else generate + reward + update
    return Round(generate, reward, update, transfer, busy + transfer)


def _speed(trained: TrainPlan) -> float:
    """Tokens a second of an update that can be."""
    if trained.run is None:
        raise ValueError("the plan of the update has no layout")
    return trained.run.tokens_per_second * trained.system.count


def rl_rounds(job: TrainJob, system: System, trained: TrainPlan, rollouts: Rollouts) -> Rounds:
    """The rounds of a stage that trains by `trained`, the plan of its update on sequences of prompt and response.

    Every token of prompt and response is trained on once: see `rl_round`. With the whole batch in flight a round cannot
    be shorter than its longest response; more accelerators stop helping where the latency stops falling.
    """
    pools = (system,) if rollouts.pool is None else (system, rollouts.pool)

    step = trained.run.step_time if trained.run else Interval(1.0, 1.0, 1.0)

    def one(generates: float, pace: float) -> Round:
        return rl_round(
            job,
            system,
            trained,
            rollouts.tokens,
            generates,
            pool=rollouts.pool,
            kept=job.seq / rollouts.response,
            reward=rollouts.reward,
            split=rollouts.pool is not None,
            stale=rollouts.stale,
            pace=pace,
            straggles=rollouts.straggles(generates),
        )

    return Rounds(
        rollouts.tokens,
        one(rollouts.rate, 1.0),
        one(rollouts.high, step.value / step.low).total,
        one(rollouts.low, step.value / step.high).total,
        together(pools).value,
    )


def stage(
    tokens: float,
    update: TrainPlan,
    rollouts: Rollouts,
    service: tuple[str, str, Outcome],
    prices: tuple[float | None, ...],
) -> RlPlan:
    """A stage that generates `tokens` in all.

    update: the plan of its training, on sequences of prompt and response; service: (engine, layout, outcome) of what
    generates; prices: of the training pool, then of a pool apart [USD per accelerator-second].
    """
    engine, layout, served = service
    pools = (update.system,) if rollouts.pool is None else (update.system, rollouts.pool)
    made = RlPlan(tokens, update, rollouts, engine, layout, prices, update.outcome)
    for what, outcome, system in (("update", update.outcome, pools[0]), ("generation", served, pools[-1])):
        if not outcome.feasible:
            return replace(made, outcome=outcome, where=f"{what} on {system.accelerator.name}")
    rounds = rl_rounds(update.job, update.system, update, rollouts)
    wall = made.count * rounds.each.total / rounds.goodput
    bills = [None if price is None else price * wall * one.count for price, one in zip(prices, pools, strict=True)]
    return replace(
        made,
        rounds=rounds,
        wall_time=Interval(wall, wall * rounds.shortest / rounds.each.total, wall * rounds.longest / rounds.each.total),
        cost=None if None in bills else sum(bill or 0.0 for bill in bills),
    )
