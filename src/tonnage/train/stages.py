"""Training after pretraining: rounds of reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.model.counts import params
from tonnage.system import System, needed
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan


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
    pool: System | None = None,
    kept: float = 1.0,
    reward: float = 0.0,
    passes: float = 1.0,
    split: bool = False,
    stale: bool = False,
) -> Round:
    """Time of a round that generates `rollout` tokens at `rollout_rate` tokens/s (the pool's, by the serving model).

    pool: the system that generates, the training one itself if None; kept: tokens trained on for each that is
    generated (over 1 where prompts count); passes: how often; reward: seconds of scoring that generation does not
    hide. The update computes log-probabilities once (a forward pass, a third of a step) and trains. New weights
    reach each scale-up domain of the engines once, in 16 bits, through the NICs of all accelerators of the narrower
    pool, each a share. Colocated
    pools take turns; split ones do too unless training may be one round stale, when the slower of the two counts (arXiv
    2402.03300 for GRPO; arXiv 2409.19256 for colocation).
    """
    update_rate = trained.tokens_per_second_per_accelerator * system.count
    update = rollout * kept * (passes + 1 / 3) / update_rate
    engines = pool or system
    moved = 2.0 * params(job.arch).total * engines.count / max(engines.accelerator.domain, 1)
    transfer = moved / min(needed(s.accelerator, "nic") * s.count for s in (system, engines))
    generate = rollout / rollout_rate
    busy = max(generate + reward, update) if split and stale else generate + reward + update
    return Round(generate, reward, update, transfer, busy + transfer)
