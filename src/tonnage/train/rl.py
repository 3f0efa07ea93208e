"""Training after pretraining: rounds of reinforcement learning, the one model of them for a run and for a launch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tonnage.model.counts import params
from tonnage.system import System
from tonnage.train.goodput import together
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan

TAIL = 2.0
"""Longest over mean response of a round: an assumption. DeepSeek-R1-Zero could generate 32,768 tokens at a mean of up
to about 10,000 (arXiv 2501.12948, recalled); rollouts that carry unfinished responses over to the next round are nearer
to 1."""


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
    straggles: float = 0.0,
) -> Round:
    """Time of a round that generates `rollout` tokens at `rollout_rate` tokens/s (the pool's, by the serving model).

    pool: the system that generates, the training one itself if None; kept: tokens trained on for each that is generated
    (over 1 where prompts count); passes: how often; reward: seconds of scoring that generation does not hide;
    straggles: seconds that the longest response takes after those of mean length. The update computes log-probabilities
    once (a forward pass, a third of a step) and trains. New weights reach each scale-up domain of the engines once, in
    16 bits, through the NICs of all accelerators of the narrower pool, each a share. Colocated pools take turns; split
    ones do too unless training may be one round stale, when the slower of the two counts (arXiv 2402.03300 for GRPO;
    arXiv 2409.19256 for colocation).
    """
    update_rate = trained.tokens_per_second_per_accelerator * system.count
    update = rollout * kept * (passes + 1 / 3) / update_rate
    engines = pool or system
    moved = 2.0 * params(job.arch).total * engines.count / max(engines.accelerator.domain, 1)
    transfer = moved / min(s.accelerator.nic * s.count for s in (system, engines))
    generate = rollout / rollout_rate + straggles
    busy = max(generate + reward, update) if split and stale else generate + reward + update
    return Round(generate, reward, update, transfer, busy + transfer)


@dataclass(frozen=True)
class Rollouts:
    """How the responses of a round are generated.

    prompt, response: [token] of each; responses: in a round; rate, low, high: generated tokens/s of the whole pool with
    the batch in flight, by the serving model, 90 % interval; latency: [s] of a token of one response in that batch, no
    faster than which a response comes however many accelerators there are; tail: longest over mean response; pool: the
    system that generates, the training one itself if None; reward: [s] of scoring that generation does not hide; stale:
    a pool apart may be one round ahead of the update.
    """

    prompt: float
    response: float
    responses: float
    rate: float
    low: float
    high: float
    pool: System | None = None
    reward: float = 0.0
    stale: bool = False
    latency: float = 0.0
    tail: float = 1.0

    def straggles(self, rate: float) -> float:
        """Seconds from the end of a response of mean length to that of the longest, at another rate of the pool too:
        the latency moves with it.
        """
        return max(self.tail - 1, 0.0) * self.response * self.latency * self.rate / rate

    @property
    def tokens(self) -> float:
        """Tokens generated in a round."""
        return self.responses * self.response


@dataclass(frozen=True)
class Rounds:
    """Equal rounds of a stage. tokens: generated in one; each: its parts [s]; shortest, longest: its length [s] when
    generation and update are both at the fast or the slow end of their intervals; goodput: of all pools together.
    """

    tokens: float
    each: Round
    shortest: float
    longest: float
    goodput: float

    @property
    def rate(self) -> float:
        """Generated tokens/s, goodput included."""
        return self._rate(self.each.total)

    @property
    def interval(self) -> tuple[float, float]:
        """The same at the slow and at the fast end."""
        return self._rate(self.longest), self._rate(self.shortest)

    def _rate(self, seconds: float) -> float:
        return self.tokens / seconds * self.goodput


def rl_rounds(job: TrainJob, system: System, trained: TrainPlan, rollouts: Rollouts) -> Rounds:
    """The rounds of a stage that trains by `trained`, the plan of its update on sequences of prompt and response.

    Every token of prompt and response is trained on once: see `rl_round`. With the whole batch in flight a round cannot
    be shorter than its longest response; more accelerators stop helping where the latency stops falling.
    """
    pools = (system,) if rollouts.pool is None else (system, rollouts.pool)

    def one(generates: float, step: float) -> Round:
        speed = trained.tokens_per_second_per_accelerator * trained.step_time / step
        return rl_round(
            job,
            system,
            replace(trained, tokens_per_second_per_accelerator=speed),
            rollouts.tokens,
            generates,
            pool=rollouts.pool,
            kept=job.seq / rollouts.response,
            reward=rollouts.reward,
            split=rollouts.pool is not None,
            stale=rollouts.stale,
            straggles=rollouts.straggles(generates),
        )

    return Rounds(
        rollouts.tokens,
        one(rollouts.rate, trained.step_time),
        one(rollouts.high, trained.step_time_low).total,
        one(rollouts.low, trained.step_time_high).total,
        together(pools).value,
    )
