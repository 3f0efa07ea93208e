"""Speeds on a lot's accelerators, from `tonnage.serve` and `tonnage.train`: the one seam between them and the fleet.

A `PlannedSpeed` is what one plan said: how fast one accelerator is, with its 90 % interval, layout, evidence and
sources. The fleet never holds a speed of its own; every one that an answer rests on is in the answer. Plans are made
once for each model, chip and size, and kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

from tonnage.errors import MissingFact, Outcome
from tonnage.files import digest
from tonnage.fleet.programme import Model, Programme, StageKind, TrainingStage
from tonnage.fleet.uncertain import Z90
from tonnage.units import show_memory
from tonnage.values import encode

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.model import Architecture
    from tonnage.serve import ServeJob, ServePlan
    from tonnage.system import System
    from tonnage.train import TrainJob, TrainPlan
    from tonnage.train.layers import LayerBook

SERVING_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Accelerators in one deployment that are tried, largest first, until a smaller one serves less per accelerator."""

ROLLOUT = (500.0, 8000.0)
"""Prompt and generated tokens of a rollout where a stage gives none: an assumption, shown in the answer.
DeepSeek-R1-Zero's answers grew to about 10,000 tokens on average (arXiv 2501.12948, figure 3)."""

RESPONSES = 8192
"""Responses in a round of reinforcement learning, and so in its global batch, where a stage gives none: an assumption.
DeepSeek-R1 generated 8,192 outputs at a time and trained on them in 16 steps of 512, 32 questions of 16 outputs each
(arXiv 2501.12948, supplement, recalled). New weights reach the engines once a round."""

SEQUENCE, BATCH = 4096.0, 15360
"""Sequence length [token] and global batch [sequences] of a stage that gives none: those of DeepSeek-V3 (arXiv
2412.19437, section 4.2)."""


Limit = Literal["tpot", "ttft"]
Use = Literal["serve", "rollout"] | StageKind


@dataclass(frozen=True)
class Missed:
    """A service level that a plan cannot keep. limit: which; by: how many times over; lift: what the plan says of it;
    tpot, ttft: [s] of the nearest that it can keep, None where it found none.
    """

    limit: Limit
    by: float | None
    lift: str | None = None
    tpot: float | None = None
    ttft: float | None = None


@dataclass(frozen=True)
class PlannedSpeed:
    """What one accelerator does, by one plan.

    use: serve [requests/s], pretrain, extend, sft or rl [token/s]; accelerators: size of the deployment or run; rate,
    low, high: per accelerator, 90 % interval; reason: why it cannot be, empty if it can; missed: the service level that
    it does not keep; detail: for the answer.
    """

    use: Use
    model: str
    chip: str
    accelerators: int
    rate: float
    low: float
    high: float
    layout: str = ""
    evidence: str = "analytic"
    reason: str = ""
    sources: tuple[str, ...] = ()
    detail: Mapping[str, float | str | None] = field(default_factory=dict)
    missed: Missed | None = None

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm, from the interval."""
        good = self.low > 0 and self.high > self.low
        return math.log(self.high / self.low) / (2 * Z90) if good else 0.0

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        missed = self.missed
        unit = "requests/s" if self.use == "serve" else "token/s"
        body = {name: getattr(self, name) for name in ("use", "model", "chip", "accelerators", "rate", "low", "high")}
        return {
            **body,
            "unit": f"{unit} per accelerator",
            "layout": self.layout,
            "evidence": self.evidence,
            "reason": self.reason,
            **self.detail,
            **({"limit": missed.limit, "by": missed.by, "lift": missed.lift} if missed else {}),
        }


def unknown(use: Use, model: str, chip: str, accelerators: int, error: MissingFact) -> PlannedSpeed:
    """No speed, because the catalogue lacks a fact that one would need: it costs the lot, not the answer."""
    return replace(impossible(use, model, chip, accelerators, error.message), detail={"missing_fact": error.attribute})


def impossible(use: Use, model: str, chip: str, accelerators: int, reason: str) -> PlannedSpeed:
    """A speed of zero, and why."""
    return PlannedSpeed(use, model, chip, accelerators, 0.0, 0.0, 0.0, reason=reason)


class Planner(Protocol):
    """Where speeds come from."""

    def serve(self, model: Model, chip: str, most: float) -> PlannedSpeed:
        """Requests/s per accelerator within the service level, in deployments of at most `most` accelerators."""

    def train(self, model: Model, stage: TrainingStage, chip: str, accelerators: int) -> PlannedSpeed:
        """Tokens/s per accelerator of a stage on a run of that size, goodput included."""


class SpeedStore(Protocol):
    """Where speeds that were planned before are found."""

    def find(self, question: str) -> PlannedSpeed | None:
        """The speed that answers a question, if it is known."""

    def add(self, question: str, speed: PlannedSpeed) -> None:
        """Keep a speed."""


class EnginePlanner:
    """Speeds by `tonnage.serve.plan` and `tonnage.train.fastest`, each planned once, whatever was planned before.

    store: where speeds of earlier runs are looked for.
    """

    def __init__(self, programme: Programme, catalog: Catalog, store: SpeedStore | None = None) -> None:
        self.programme, self.catalog, self.store = programme, catalog, store
        self.kept: dict[tuple[object, ...], PlannedSpeed] = {}
        self._written: dict[str, tuple[Architecture | None, str]] = {}
        self._layers: LayerBook | None = None

    def _book(self) -> LayerBook:
        """Layers of runs, priced once for all sizes."""
        from tonnage.train.layers import LayerBook

        self._layers = self._layers or LayerBook()
        return self._layers

    def _cramped(self, job: TrainJob, system: System) -> str:
        """Why no layout can fit, by the states of the layers alone; empty if one may: what most small sizes lack."""
        from tonnage.train import least_memory
        from tonnage.train.search import capacity

        need, room = least_memory(job, system, self._book()), capacity(system)
        if need <= room:
            return ""
        text = f"memory: at least {show_memory(need)} needed of {show_memory(room)} on each rank"
        return f"{system.count} x {system.accelerator.name}: {text}"

    def _system(self, chip: str, accelerators: int) -> System:
        from tonnage.system import System, accelerator

        return System(accelerator(chip, self.catalog), accelerators)

    def serve(self, model: Model, chip: str, most: float) -> PlannedSpeed:
        """See `Planner`. Deployments of several sizes are planned; the best per accelerator is kept."""
        largest = next((size for size in SERVING_SIZES if size <= most), 1)
        s = model.service
        level = () if s is None else (s.isl, s.osl, s.ttft, s.tpot, s.cache_hit)
        return self._once(("serve", *level), model, chip, largest, lambda: self._serve(model, chip, largest))

    def _once(
        self, asked: tuple[object, ...], model: Model, chip: str, size: int, make: Callable[[], PlannedSpeed]
    ) -> PlannedSpeed:
        """The speed of a question, planned if nobody knows it. asked: the use, and all that it depends on."""
        key = (*asked, model.name, chip, size)
        if key not in self.kept:
            question = self._question(key, model) if self.store else ""
            found = self.store.find(question) if self.store else None
            self.kept[key] = found or self._made(asked, model, chip, size, make)
            if self.store and not found:
                self.store.add(question, self.kept[key])
        return self.kept[key]

    def _made(
        self, asked: tuple[object, ...], model: Model, chip: str, size: int, make: Callable[[], PlannedSpeed]
    ) -> PlannedSpeed:
        try:
            return make()
        except MissingFact as error:
            return unknown(cast("Use", asked[0]), model.name, chip, size, error)

    def _question(self, key: tuple[object, ...], model: Model) -> str:
        """A question as a digest: all that its answer depends on beside the code and the catalogue."""
        known = self._written.get(model.name)
        if known is None or known[0] is not model.architecture:
            known = model.architecture, repr(encode(model.architecture))
            self._written[model.name] = known
        days = (str(self.programme.known), str(self.programme.rules.known_at))
        return digest([repr((key, days)).encode(), known[1].encode()])

    def _serve(self, model: Model, chip: str, largest: int) -> PlannedSpeed:
        if model.architecture is None or model.service is None:
            return impossible("serve", model.name, chip, 0, "it has no service")
        from tonnage.serve import ServeJob

        s = model.service
        day = self.programme.rules.known_at
        job = ServeJob(
            model.architecture, s.isl, s.osl, s.ttft, s.tpot, cache_hit=s.cache_hit, engine=s.engine, date=day
        )
        return self._best("serve", model.name, chip, largest, job)

    def _best(self, use: Use, model: str, chip: str, largest: int, job: ServeJob) -> PlannedSpeed:
        """The deployment of at most `largest` accelerators with the most requests/s per accelerator."""
        from tonnage.serve import plan

        best = impossible(use, model, chip, 0, "no deployment fits")
        for size in (size for size in SERVING_SIZES if size <= largest):
            speed = _served(use, model, chip, size, plan(job, self._system(chip, size)))
            if speed.rate <= best.rate and best.accelerators:
                break
            best = speed
        return best

    def train(self, model: Model, stage: TrainingStage, chip: str, accelerators: int) -> PlannedSpeed:
        """See `Planner`."""
        asked = (stage.kind, stage.seq, stage.global_batch, stage.precision, stage.isl, stage.osl)
        make = self._rl if stage.kind == "rl" else self._update
        return self._once(asked, model, chip, accelerators, lambda: make(model, stage, chip, accelerators))

    def _update(self, model: Model, stage: TrainingStage, chip: str, accelerators: int) -> PlannedSpeed:
        if model.architecture is None:
            return impossible(stage.kind, model.name, chip, accelerators, "no architecture")
        from tonnage.train import fastest

        job, system = self._job(model.architecture, stage, chip, accelerators)
        if cramped := self._cramped(job, system):
            return impossible(stage.kind, model.name, chip, accelerators, cramped)
        return _trained(stage.kind, model.name, job.precision, system, fastest(job, system, self._book()))

    def _job(self, arch: Architecture, stage: TrainingStage, chip: str, accelerators: int) -> tuple[TrainJob, System]:
        """One run of a stage; FP8 is trained as BF16 on chips without it."""
        from tonnage.train import TrainJob

        system = self._system(chip, accelerators)
        precision = stage.precision or "bf16"
        if precision == "fp8" and "fp8" not in system.accelerator.rates:
            precision = "bf16"
        job = TrainJob(
            arch,
            seq=int(stage.seq or SEQUENCE),
            global_batch=stage.global_batch or BATCH,
            precision=precision,
            task="sft" if stage.kind == "sft" else "pretrain",
            date=self.programme.known,
        )
        return job, system

    def _rollout(self, arch: Architecture, stage: TrainingStage, system: System) -> PlannedSpeed:
        """Responses/s per accelerator with the whole batch of a round in flight on the run's accelerators."""
        from tonnage.serve import ServeJob, plan

        isl, osl = stage.isl or ROLLOUT[0], stage.osl or ROLLOUT[1]
        job = ServeJob(
            arch,
            isl=isl,
            osl=osl,
            concurrency=float(stage.global_batch or RESPONSES),
            date=self.programme.rules.known_at,
        )
        return _served("rollout", arch.name, system.accelerator.name, system.count, plan(job, system))

    def _rl(self, model: Model, stage: TrainingStage, chip: str, accelerators: int) -> PlannedSpeed:
        """Rounds of rollouts and updates on the same accelerators, in turns: `tonnage.train.rl_rounds`."""
        if model.architecture is None:
            return impossible("rl", model.name, chip, accelerators, "no architecture")
        from tonnage.train import fastest

        isl, osl = stage.isl or ROLLOUT[0], stage.osl or ROLLOUT[1]
        longer = replace(stage, seq=isl + osl, global_batch=stage.global_batch or RESPONSES)
        job, system = self._job(model.architecture, longer, chip, accelerators)
        if cramped := self._cramped(job, system):
            return impossible("rl", model.name, chip, accelerators, cramped)
        rollout = self._rollout(model.architecture, stage, system)
        if rollout.rate <= 0:
            return impossible("rl", model.name, chip, accelerators, rollout.reason)
        trained = fastest(job, system, self._book())
        update = _trained("rl", model.name, job.precision, system, trained)
        if update.rate <= 0:
            return impossible("rl", model.name, chip, accelerators, update.reason)
        return _in_rounds(job, system, trained, update, rollout, isl, osl)


_EVIDENCE = ("interpolated", "extrapolated", "analytic")


def _in_rounds(
    job: TrainJob,
    system: System,
    trained: TrainPlan,
    update: PlannedSpeed,
    rollout: PlannedSpeed,
    isl: float,
    osl: float,
) -> PlannedSpeed:
    """Rounds as a speed: generated tokens/s per accelerator, goodput included."""
    from tonnage.train import Rollouts, rl_rounds
    from tonnage.train.rl import TAIL

    rate, low, high = (value * osl * system.count for value in (rollout.rate, rollout.low, rollout.high))
    latency = rollout.detail.get("tpot")
    waits = latency if isinstance(latency, float) else 0.0
    batch = Rollouts(isl, osl, job.global_batch, rate, low, high, latency=waits, tail=TAIL)
    made = rl_rounds(job, system, trained, batch)
    slow, fast = made.interval
    detail: dict[str, float | str | None] = {
        "rollout_tokens_per_second": rollout.rate * osl,
        "update_tokens_per_second": update.rate,
        "round": made.each.total,
        "generate": made.each.generate,
        "latency": waits,
        "responses": float(job.global_batch),
        "isl": isl,
        "osl": osl,
        "engine": rollout.detail.get("engine", ""),
    }
    return PlannedSpeed(
        "rl",
        update.model,
        update.chip,
        system.count,
        made.rate / system.count,
        slow / system.count,
        fast / system.count,
        f"rollouts {rollout.layout}; updates {update.layout}",
        max(rollout.evidence, update.evidence, key=_EVIDENCE.index),
        sources=(*rollout.sources, *update.sources),
        detail=detail,
    )


def _why(outcome: Outcome) -> str:
    return str(outcome.binds[0].text if outcome.binds else outcome.reason)


def _missed(found: ServePlan) -> Missed | None:
    """The service level that a plan does not keep, and the nearest that it can."""
    near = (None, None) if found.nearest is None else (found.nearest.tpot, found.nearest.ttft)
    levels: tuple[Limit, Limit] = ("tpot", "ttft")
    for bind in found.outcome.binds:
        for level in levels:
            if bind.what == level:
                return Missed(level, bind.by, bind.lift, *near)
    return None


def _served(use: Use, model: str, chip: str, size: int, found: ServePlan) -> PlannedSpeed:
    """A service plan as a speed: requests/s per accelerator."""
    if not found.outcome.feasible or not found.requests_per_second or found.requests_per_second <= 0:
        speed = impossible(use, model, chip, size, f"{size} x {chip}: {_why(found.outcome)}")
        return replace(speed, missed=_missed(found))
    rate = found.requests_per_second / found.accelerators
    made = found.output_rate
    low, high = (rate, rate) if made is None else (rate * end / made.value for end in (made.low, made.high))
    detail: dict[str, float | str | None] = {
        "ttft": None if found.ttft is None else found.ttft.value,
        "tpot": None if found.tpot is None else found.tpot.value,
        "output_tokens_per_second": None if made is None else made.value,
        "input_tokens_per_second": found.input_rate,
        "mode": found.mode,
        "engine": found.engine,
    }
    ahead = f" + prefill {found.prefill_layout_text}" if found.prefill_layout_text else ""
    layout = f"{found.layout_text}{ahead}"
    sources = tuple(found.sources)
    return PlannedSpeed(use, model, chip, size, rate, low, high, layout, found.evidence, "", sources, detail)


def _trained(use: Use, model: str, precision: str, system: System, found: TrainPlan) -> PlannedSpeed:
    """A training plan as a speed: tokens/s per accelerator, goodput included."""
    chip, size = system.accelerator.name, system.count
    run = found.run
    if run is None or not found.outcome.feasible:
        return impossible(use, model, chip, size, f"{size} x {chip}: {_why(found.outcome)}")
    kept, step = run.goodput.value, run.step_time
    rate = run.tokens_per_second * kept
    low, high = rate * step.value / step.high, rate * step.value / step.low
    detail: dict[str, float | str | None] = {
        "mfu": run.mfu,
        "goodput": kept,
        "precision": precision,
        "step_time": step.value,
    }
    facts = found.provenance.facts
    return PlannedSpeed(use, model, chip, size, rate, low, high, str(found.layout), found.evidence, "", facts, detail)
