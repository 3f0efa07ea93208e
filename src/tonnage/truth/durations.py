"""Published durations of whole runs: rows as jobs, and what steps and slip predict for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tonnage.interval import Interval
from tonnage.model import flop_per_token
from tonnage.system import System
from tonnage.train import search
from tonnage.train.duration import Duration, Slips, duration, fitted, sixteen, slips
from tonnage.train.job import PRECISIONS, TrainJob
from tonnage.train.result import TrainPlan
from tonnage.truth.board import expressed
from tonnage.truth.cases import Skip, number, required, text, whole
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.scored import group
from tonnage.truth.shapes import Library, family
from tonnage.truth.table import Row
from tonnage.truth.training import CLASSES, framework_of, software_date, training_layout
from tonnage.units import DAY, HOUR

HOURS = "accelerator_hours"
FLOORS = ("step_time", "tokens_per_second")
"""`published_from` of rows that hold steps alone: no slip is in them, so they test the step time only."""

USUAL_SEQ = 4096
"""Tokens in a sequence where a source gives none. Assumption."""
USUAL_DAYS = 45.0
"""Length of a run whose fleet is not given [day]: the fleet that does it in so long is taken. Assumption."""
USUAL_MFU = 0.4
"""Share of the 16-bit peak in that fleet. Assumption."""
MOST_BATCH = 16e6
"""Tokens in a step, at most, where a source gives no batch: Llama 3's last (arXiv 2407.21783). Assumption."""


@dataclass(frozen=True)
class DurationRun:
    """A published run: job with its tokens, system, what is known of the layout, the chip's release [year].

    assumed: what the source leaves open and the row had to be given; work: FLOP of the whole run.
    """

    row: Row
    job: TrainJob
    system: System
    layout: dict[str, int]
    assumed: tuple[str, ...]
    work: float

    @property
    def floor(self) -> bool:
        """Whether the published figure is of the steps alone."""
        return text(self.row, "published_from") in FLOORS


@dataclass(frozen=True)
class Planned:
    """A run and the plan of its steps; wall: their time with goodput [s]; steps: without [s]."""

    run: DurationRun
    plan: TrainPlan
    wall: Interval
    steps: Interval
    figure: Prediction


def read(row: Row, library: Library) -> DurationRun:
    """The run of a row. Raises Skip with the reason when it cannot be expressed.

    A batch that is not given follows DeepSeek LLM's scaling of batch with work (arXiv 2401.02954, equation 1), in whole
    sequences for every accelerator where it can; a fleet that is not given is the one that takes `USUAL_DAYS`.
    """
    if text(row, "metric") not in (None, HOURS):
        raise Skip("metric is not accelerator_hours")
    arch = library.shape(row.get("model"))
    chip = library.chip(str(required(text(row, "chip"), "chip")))
    tokens = float(required(number(row, "tokens"), "tokens"))
    precision = text(row, "precision") or "bf16"
    if precision not in PRECISIONS:
        raise Skip(f"precision is not one of {', '.join(PRECISIONS)}")
    seq, count, batch = whole(row, "seq"), whole(row, "count"), whole(row, "global_batch")
    known = {"seq": seq, "count": count, "global_batch": batch, "precision": text(row, "precision")}
    seq = seq or USUAL_SEQ
    if seq > 10**8 or (count or 1) > 10**7 or tokens > 1e18:
        raise Skip("seq, count or tokens is out of range")
    work = 3.0 * float(flop_per_token(arch, seq)) * tokens
    count = count or fleet(work, sixteen(chip))
    layout = training_layout(row, count * chip.dies)
    if not arch.moe:
        layout.pop("ep", None), layout.pop("etp", None)
    job = TrainJob(
        arch=arch,
        seq=seq,
        global_batch=divided(batch, layout.get("dp", 1)) if batch else usual_batch(work, seq, count),
        tokens=tokens,
        precision=precision,
        framework=framework_of(text(row, "framework")),
        date=software_date(row),
    )
    assumed = tuple(name for name, value in known.items() if value is None)
    return DurationRun(row, job, System(chip, count), layout, assumed, work)


def fleet(work: float, rate: float) -> int:
    """Accelerators, a power of two from a server on, that do `work` [FLOP] in `USUAL_DAYS`; rate: peak [FLOP/s]."""
    need = work / (USUAL_MFU * rate * USUAL_DAYS * DAY)
    return 1 << min(max(round(math.log2(max(need, 1.0))), 3), 17)


def usual_batch(work: float, seq: int, count: int) -> int:
    """Sequences in a step: 0.292 work^0.327 tokens, a multiple of the fleet where it is at least one each."""
    sequences = min(0.2920 * math.pow(work, 0.3271), MOST_BATCH) / seq
    if sequences >= count:
        return count * round(sequences / count)
    return 1 << round(math.log2(max(sequences, 1.0)))


def divided(batch: int, dp: int) -> int:
    """The multiple of the data-parallel degree nearest to a batch: published batches are rounded."""
    return dp * max(round(batch / dp), 1)


def prepare(rows: Iterable[Row], library: Library, skipped: Counter[str]) -> list[Planned]:
    """Rows that can be expressed, with the plan of their steps; the others are counted by reason."""
    return expressed(rows, lambda row: _planned(read(row, library)), skipped)


def _planned(run: DurationRun) -> Planned:
    figure = _figure(run)
    plan = search.predict(run.job, run.system, run.layout)
    step, wall = plan.step_time, plan.wall_time
    if step is None or wall is None or not math.isfinite(wall.value):
        raise Skip(f"no layout is predicted to run: {plan.outcome.reason}")
    return Planned(run, plan, wall, step.times(float(run.job.tokens or 0) / run.job.tokens_per_step), figure)


def _figure(run: DurationRun) -> Prediction:
    """What of a row is compared, the prediction still open (NaN)."""
    row, chip = run.row, run.system.accelerator.name
    name = text(row, "model", "bundled") or text(row, "model", "name") or "not given"
    tags = {
        "chip": chip,
        "family": family(text(row, "model", "name") or name),
        "kind": "MoE" if run.job.arch.moe else "dense",
        "precision": CLASSES.get(run.job.precision, "other"),
        "year": (text(row, "date") or "not given")[:4],
    }
    return Prediction(
        id=text(row, "id") or "unnamed",
        group=group(row),
        metric=HOURS,
        published=float(required(number(row, "published"), "published")),
        predicted=float("nan"),
        tags=tags,
        cluster=(name, chip),
    )


def took(one: Planned, known: Slips | None = None) -> Duration:
    """How long such a run takes by the fitted slip, or by other constants."""
    return duration(one.run.job, one.run.system, one.wall, one.plan.evidence, known)


def whole_run(one: Planned, known: Slips | None = None) -> Prediction:
    """Hours of the whole run, slip in it."""
    found = took(one, known)
    return _hours(one, found.time, found.evidence)


def steps_and_failures(one: Planned) -> Prediction:
    """Hours of the steps with goodput and no slip."""
    return _hours(one, one.wall, one.plan.evidence)


def steps_alone(one: Planned) -> Prediction:
    """Hours of the steps: what rows of `FLOORS` hold."""
    return _hours(one, one.steps, one.plan.evidence)


def _hours(one: Planned, time: Interval, evidence: str) -> Prediction:
    spent = time.times(one.run.system.count / HOUR)
    made = replace(one.figure, predicted=spent.value, low=spent.low, high=spent.high, evidence=evidence)
    return replace(made, outcome=one.plan.outcome.reason)


def without_source(made: Iterable[Planned]) -> list[Prediction]:
    """Hours of whole runs with the slip fitted without their source, and without its runs beside them."""
    held = fitted()[1]
    known = {name: slips(held, constants, name) for name, constants in held.folds.items()}
    return [whole_run(one, known.get(one.figure.group)) for one in made]


def anchored(one: Planned) -> Anchored:
    """The figure with what the null model scales: the time of its FLOP at the peak of its precision class."""
    rates = one.run.system.accelerator.rates
    peak = rates.get(one.run.job.compute) or sixteen(one.run.system.accelerator)
    return Anchored(one.figure, base=one.run.work / HOUR, peak=1 / peak)
