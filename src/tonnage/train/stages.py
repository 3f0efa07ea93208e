"""Training after pretraining, and training on unlike chips: rounds of reinforcement learning, mixed fleets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.model.counts import params
from tonnage.system import System
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan
from tonnage.train.search import plan


@dataclass(frozen=True)
class Round:
    """One round of GRPO-like training [s]: generation, reward, update, weights to the generating engines; total."""

    generate: float
    reward: float
    update: float
    transfer: float
    total: float


def rl_round(
    job: TrainJob,
    system: System,
    trained: TrainPlan,
    rollout: float,
    rollout_rate: float,
    *,
    kept: float = 1.0,
    reward: float = 0.0,
    passes: float = 1.0,
    split: bool = False,
    stale: bool = False,
) -> Round:
    """Time of a round that generates `rollout` tokens at `rollout_rate` tokens/s (the pool's, by the serving model).

    kept: share of the tokens that is trained on; passes: how often; reward: seconds of scoring that generation does not
    hide. The update computes log-probabilities once (a forward pass, a third of a step) and trains. New weights
    reach the engines through the NICs of all accelerators, each a share (16 bits; gathered inside a domain). Colocated
    pools take turns; split ones do too unless training may be one round stale, when the slower of the two counts (arXiv
    2402.03300 for GRPO; arXiv 2409.19256 for colocation).
    """
    update_rate = trained.tokens_per_second_per_accelerator * system.count
    update = rollout * kept * (passes + 1 / 3) / update_rate
    moved = 2.0 * params(job.arch).total * system.count / max(system.accelerator.domain, 1)
    transfer = moved / (system.accelerator.nic * system.count)
    generate = rollout / rollout_rate
    busy = max(generate + reward, update) if split and stale else generate + reward + update
    return Round(generate, reward, update, transfer, busy + transfer)


@dataclass(frozen=True)
class Mixed:
    """Data-parallel groups on unlike systems that share each batch by speed.

    plans: of each group, with its share of the batch; batches: sequences of each; step_time: the slowest group and the
    reduction between groups [s]; tokens_per_second: of all together; alone: of the best group alone.
    """

    plans: tuple[TrainPlan, ...]
    batches: tuple[int, ...]
    step_time: float
    reduction: float
    tokens_per_second: float
    alone: float


def mixed(job: TrainJob, systems: Sequence[System], rounds: int = 3) -> Mixed:
    """Split a batch over systems in proportion to their speed; each keeps its own layout.

    Gradients are summed between groups once a step over the narrowest group's NICs: 2 x 4 P bytes / (accelerators x
    NIC). Raises `InputError` when a group cannot hold the model or the batch is too small to be split.
    """
    rates = np.array([_rate(job, system, job.global_batch) for system in systems])
    batches = _shares(job.global_batch, rates)
    for _ in range(rounds):
        seconds = np.array([_step(job, s, b) for s, b in zip(systems, batches, strict=True)])
        batches = _shares(job.global_batch, batches / seconds)
    plans = tuple(plan(replace(job, global_batch=int(b)), s, {}) for s, b in zip(systems, batches, strict=True))
    narrow = min(s.count * s.accelerator.nic for s in systems)
    reduction = 2 * 4.0 * params(job.arch).total / narrow
    step = max(p.step_time for p in plans) + reduction
    return Mixed(plans, tuple(map(int, batches)), step, reduction, job.tokens_per_step / step, float(rates.max()))


GRAIN = 64
"""Sequences by which a batch is split, so that each share still divides."""


def _shares(batch: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    grain = GRAIN if batch >= 4 * GRAIN * len(rates) else 1
    ideal = batch * rates / rates.sum()
    shares: NDArray[np.float64] = np.maximum(np.round(ideal / grain), 1) * grain
    shares[np.argmax(shares)] += batch - shares.sum()
    if np.any(shares < 1):
        raise InputError(Problem(f"a batch of {batch} sequences is too small to be split over {len(rates)} systems"))
    return shares


def _rate(job: TrainJob, system: System, batch: int) -> float:
    return batch * job.seq / _step(job, system, batch)


def _step(job: TrainJob, system: System, batch: float) -> float:
    found = plan(replace(job, global_batch=int(batch)), system, {})
    if not found.outcome.feasible:
        name = system.accelerator.name
        raise InputError(Problem(f"{system.count} {name} cannot take part: {found.outcome.binds[0].text}"))
    return found.step_time
