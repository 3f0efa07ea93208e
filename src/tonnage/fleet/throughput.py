"""Speeds on a lot's accelerators, from `tonnage.serve` and `tonnage.train`: the one seam between them and the fleet.

A `Speed` is what one plan said: how fast one accelerator is, with its 90 % interval, layout, evidence and sources. The
fleet never holds a speed of its own; every one that an answer rests on is in the answer. Plans are made once for each
model, chip and size, and kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from tonnage.fleet.programme import Model, Programme, Stage
from tonnage.fleet.uncertain import Z90

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.system import System
    from tonnage.train import TrainPlan

SERVING_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Accelerators in one deployment that are tried, largest first, until a smaller one serves less per accelerator."""

ROLLOUT = (500.0, 8000.0)
"""Prompt and generated tokens of a rollout where a stage gives none: an assumption, shown in the answer.
DeepSeek-R1-Zero's answers grew to about 10,000 tokens on average (arXiv 2501.12948, figure 3)."""

SEQUENCE, BATCH = 4096.0, 15360
"""Sequence length [token] and global batch [sequences] of a stage that gives none: those of DeepSeek-V3 (arXiv
2412.19437, section 4.2)."""


@dataclass(frozen=True)
class Speed:
    """What one accelerator does, by one plan.

    use: serve [requests/s], pretrain, extend, sft or rl [token/s]; accelerators: size of the deployment or run; rate,
    low, high: per accelerator, 90 % interval; reason: why it cannot be, empty if it can; detail: for the answer.
    """

    use: str
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
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm, from the interval."""
        good = self.low > 0 and self.high > self.low
        return math.log(self.high / self.low) / (2 * Z90) if good else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        unit = "requests/s" if self.use == "serve" else "token/s"
        body = {name: getattr(self, name) for name in ("use", "model", "chip", "accelerators", "rate", "low", "high")}
        return {
            **body,
            "unit": f"{unit} per accelerator",
            "layout": self.layout,
            "evidence": self.evidence,
            "reason": self.reason,
            **self.detail,
        }


def impossible(use: str, model: str, chip: str, accelerators: int, reason: str) -> Speed:
    """A speed of zero, and why."""
    return Speed(use, model, chip, accelerators, 0.0, 0.0, 0.0, reason=reason)


class Planner(Protocol):
    """Where speeds come from."""

    def serve(self, model: Model, chip: str, most: float) -> Speed:
        """Requests/s per accelerator within the service level, in deployments of at most `most` accelerators."""

    def train(self, model: Model, stage: Stage, chip: str, accelerators: int) -> Speed:
        """Tokens/s per accelerator of a stage on a run of that size, goodput included."""


class Planned:
    """Speeds by `tonnage.serve.plan` and `tonnage.train.plan`, each planned once.

    A run's layout is searched freely at the first size; at further sizes tensor and expert parallelism stay as found
    there, if that fits.
    """

    def __init__(self, programme: Programme, catalog: Catalog) -> None:
        self.programme, self.catalog = programme, catalog
        self.kept: dict[tuple[Any, ...], Speed] = {}
        self.hints: dict[tuple[Any, ...], dict[str, int]] = {}

    def _system(self, chip: str, accelerators: int) -> System:
        from tonnage.system import System, accelerator

        return System(accelerator(chip, self.catalog), accelerators)

    def serve(self, model: Model, chip: str, most: float) -> Speed:
        """See `Planner`. Deployments of several sizes are planned; the best per accelerator is kept."""
        largest = next((size for size in SERVING_SIZES if size <= most), 1)
        key = ("serve", model.name, chip, largest)
        if key not in self.kept:
            self.kept[key] = self._serve(model, chip, largest)
        return self.kept[key]

    def _serve(self, model: Model, chip: str, largest: int) -> Speed:
        if model.architecture is None or model.service is None:
            return impossible("serve", model.name, chip, 0, "it has no service")
        service = model.service
        asked = {"isl": service.isl, "osl": service.osl, "ttft": service.ttft, "tpot": service.tpot}
        return self._best("serve", model, chip, largest, {**asked, "cache_hit": service.cache_hit})

    def _best(self, use: str, model: Model, chip: str, largest: int, asked: dict[str, Any]) -> Speed:
        from tonnage.serve import ServeJob, plan

        best = impossible(use, model.name, chip, 0, "no deployment fits")
        if model.architecture is None:
            return best
        for size in (size for size in SERVING_SIZES if size <= largest):
            found = plan(ServeJob(model.architecture, **asked), self._system(chip, size))
            speed = _served(use, model.name, chip, size, found)
            if speed.rate <= best.rate and best.accelerators:
                break
            best = speed
        return best

    def train(self, model: Model, stage: Stage, chip: str, accelerators: int) -> Speed:
        """See `Planner`."""
        key = (
            stage.kind,
            stage.seq,
            stage.global_batch,
            stage.precision,
            stage.isl,
            stage.osl,
            model.name,
            chip,
            accelerators,
        )
        if key not in self.kept:
            made = self._rl if stage.kind == "rl" else self._update
            self.kept[key] = made(model, stage, chip, accelerators)
        return self.kept[key]

    def _update(self, model: Model, stage: Stage, chip: str, accelerators: int) -> Speed:
        from tonnage.train import TrainJob, plan

        if model.architecture is None:
            return impossible(stage.kind, model.name, chip, accelerators, "no architecture")
        system = self._system(chip, accelerators)
        precision = stage.precision or "bf16"
        if precision == "fp8" and "fp8" not in system.accelerator.rates:
            precision = "bf16"
        job = TrainJob(
            model.architecture,
            seq=int(stage.seq or SEQUENCE),
            global_batch=stage.global_batch or BATCH,
            precision=precision,
            task="sft" if stage.kind == "sft" else "pretrain",
            date=self.programme.known,
        )
        key = (model.name, chip, precision, job.task, job.seq)
        found = plan(job, system, self.hints[key]) if key in self.hints else None
        if found is None or not found.outcome.feasible:
            found = plan(job, system)
        if found.outcome.feasible and found.layout is not None:
            self.hints.setdefault(key, {"tp": int(found.layout.tp), "ep": int(found.layout.ep)})
        return _trained(stage.kind, model.name, chip, accelerators, precision, found)

    def _rl(self, model: Model, stage: Stage, chip: str, accelerators: int) -> Speed:
        """Rollouts and updates take turns on the same accelerators: 1 / rate = 1 / rollout rate + 1 / update rate."""
        isl, osl = stage.isl or ROLLOUT[0], stage.osl or ROLLOUT[1]
        largest = next((size for size in SERVING_SIZES if size <= accelerators), 1)
        key = ("rollout", isl, osl, model.name, chip, largest)
        if key not in self.kept:
            self.kept[key] = self._best("rollout", model, chip, largest, {"isl": isl, "osl": osl})
        rollout = self.kept[key]
        longer = Stage("rl", stage.amount, seq=stage.seq or isl + osl, global_batch=stage.global_batch or 1024)
        update = self._update(model, longer, chip, accelerators)
        if rollout.rate <= 0 or update.rate <= 0:
            return impossible("rl", model.name, chip, accelerators, rollout.reason or update.reason)
        generated = [value * osl for value in (rollout.rate, rollout.low, rollout.high)]
        rate, low, high = (
            1 / (1 / g + 1 / u) for g, u in zip(generated, (update.rate, update.low, update.high), strict=True)
        )
        detail = {
            "rollout_tokens_per_second": generated[0],
            "update_tokens_per_second": update.rate,
            "isl": isl,
            "osl": osl,
            "engine": rollout.detail.get("engine", ""),
        }
        layout = f"rollouts {rollout.layout}; updates {update.layout}"
        sources = (*rollout.sources, *update.sources)
        evidence = max(rollout.evidence, update.evidence, key=_EVIDENCE.index)
        return Speed("rl", model.name, chip, accelerators, rate, low, high, layout, evidence, "", sources, detail)


_EVIDENCE = ("interpolated", "extrapolated", "analytic")


def _why(outcome: Any) -> str:
    return str(outcome.binds[0].text if outcome.binds else outcome.reason)


def _missed(outcome: Any) -> dict[str, Any]:
    """The limit of a service level that is not kept, by which factor, and the nearest that is."""
    bind = next((bind for bind in outcome.binds if bind.what in ("tpot", "ttft")), None)
    return {"limit": bind.what, "by": bind.by, "lift": bind.lift} if bind else {}


def _served(use: str, model: str, chip: str, size: int, found: Any) -> Speed:
    """A service plan as a speed: requests/s per accelerator."""
    if not found.outcome.feasible or not found.requests_per_second or found.requests_per_second <= 0:
        speed = impossible(use, model, chip, size, f"{size} x {chip}: {_why(found.outcome)}")
        return replace(speed, detail=_missed(found.outcome))
    rate = found.requests_per_second / found.accelerators
    tokens = found.output_tokens_per_second_per_accelerator
    ends = (
        found.output_tokens_per_second_per_accelerator_low,
        found.output_tokens_per_second_per_accelerator_high,
    )
    low, high = (rate * end / tokens if tokens and end else rate for end in ends)
    detail = {
        "ttft": found.ttft,
        "tpot": found.tpot,
        "output_tokens_per_second": tokens,
        "input_tokens_per_second": found.input_tokens_per_second_per_accelerator,
        "mode": found.mode,
        "engine": found.engine,
    }
    ahead = f" + prefill {found.prefill_layout_text}" if found.prefill_layout_text else ""
    layout = f"{found.layout_text}{ahead}"
    return Speed(use, model, chip, size, rate, low, high, layout, found.evidence, "", tuple(found.sources), detail)


def _trained(use: str, model: str, chip: str, size: int, precision: str, found: TrainPlan) -> Speed:
    """A training plan as a speed: tokens/s per accelerator, goodput included."""
    run = found.run
    if run is None or not found.outcome.feasible:
        return impossible(use, model, chip, size, f"{size} x {chip}: {_why(found.outcome)}")
    kept, step = run.goodput.value, run.step_time
    rate = run.tokens_per_second * kept
    low, high = rate * step.value / step.high, rate * step.value / step.low
    detail = {"mfu": run.mfu, "goodput": kept, "precision": precision, "step_time": step.value}
    facts = found.provenance.facts
    return Speed(use, model, chip, size, rate, low, high, str(found.layout), found.evidence, "", facts, detail)


def round_size(count: float) -> int:
    """Largest number of at most `count` that is a power of two times 1, 3, 5, 7 or 9: one that layouts divide."""
    best = 1
    for odd in (1, 3, 5, 7, 9):
        if count >= odd:
            best = max(best, odd * 2 ** int(math.log2(count / odd) + 1e-9))
    return best
