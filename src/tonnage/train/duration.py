"""What runs took, over their steps: the slip of a whole run, with its spread.

A run is longer than its steps and the failures that goodput counts: layouts that were not the best, evaluations,
restarts that nobody planned, a batch that ramps, stages of longer sequences, software that was young. The slip is the
ratio, fitted on published accelerator-hours by `scripts/fit_durations.py` with sources left out. It is kept apart from
the error of the step time: that is in the interval of the wall time already.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.interval import Interval, around
from tonnage.model.counts import params
from tonnage.provenance import Evidence
from tonnage.system import Accelerator, System
from tonnage.train.job import TrainJob
from tonnage.units import decimal_year
from tonnage.values import Plain, decode

FEW = 1000.0
"""Accelerators from which on more of them no longer add to the slip. Knee chosen before the fit."""
LEAST = 8.0
"""Accelerators below which there was no published run: counts as that many."""
MATURE = 4.0
"""Years after a chip's release from which on it counts as old [year]. Chosen before the fit."""
USUAL_AGE = 2.0
"""Age of a chip whose release is not known [year]: the middle of the scale."""
NEAR = 1.0
"""Distance up to which a published run counts as like the one planned: same generation, sparse or not, an e-fold."""
LIKE = 3
"""Sources with a run within `NEAR` that make a plan interpolated: fewer are examples."""
GENERATION = 0.3
"""Chips whose rates differ by less than this logarithm are of one generation."""
STRANGE = 1.4
"""What the spread of the slip is multiplied by for a vendor of whom no run is published. Assumption."""
ORDER: tuple[Evidence, ...] = ("interpolated", "extrapolated", "analytic")
"""Kinds of evidence, best first."""


@dataclass(frozen=True)
class Properties:
    """What of a run is known before it starts and moves the slip.

    count: accelerators; age: years from the chip's release to the run's software, None if unknown; moe: sparse;
    params: of the model; vendor, rate: of the chip, dense 16-bit [FLOP/s].
    """

    count: int
    age: float | None
    moe: bool
    params: float
    vendor: str
    rate: float

    def akin(self, other: Properties) -> bool:
        """Whether the chips are of one vendor's one generation."""
        return self.vendor == other.vendor and abs(math.log(self.rate / other.rate)) < GENERATION

    @property
    def features(self) -> dict[str, float]:
        """What the fitted coefficients multiply.

        fleet: decades by which the fleet is below `FEW`; age: years of the chip, at most `MATURE`, about `USUAL_AGE`.
        """
        fleet = math.log10(FEW / min(max(float(self.count), LEAST), FEW))
        age = USUAL_AGE if self.age is None else min(max(self.age, 0.0), MATURE)
        return {"fleet": fleet, "age": age - USUAL_AGE}


@dataclass(frozen=True)
class Past:
    """One published run: its source, properties and slip when the source was left out of no fit."""

    id: str
    group: str
    properties: Properties
    slip: float

    def distance(self, other: Properties) -> float:
        """E-folds over model size, half as many over the fleet; steps for vendor, chip generation and sparsity."""
        mine = self.properties
        folds = math.hypot(math.log(mine.params / other.params), 0.5 * math.log(mine.count / other.count))
        return folds + 1.0 * (mine.vendor != other.vendor) + (not mine.akin(other)) + (mine.moe != other.moe)


@dataclass(frozen=True)
class Slips:
    """The fitted slip: ln slip = level + sum of coefficient x feature, never below nought.

    spread, unseen: standard deviation of ln slip about that, without the error of the step time, where runs like it are
    published and on chips of which none is.
    """

    level: float
    coefficients: dict[str, float]
    spread: float
    unseen: float
    runs: tuple[Past, ...] = ()

    def slip(self, properties: Properties) -> float:
        """Time of such runs over their steps."""
        features = properties.features
        return math.exp(max(self.level + sum(value * features[name] for name, value in self.coefficients.items()), 0.0))


@dataclass(frozen=True)
class LikeRun:
    """The published run most like a plan: its id, how far, and its slip."""

    id: str
    distance: float
    slip: float


@dataclass(frozen=True)
class DurationFit:
    """What the fit left, as it is kept.

    constants: level and coefficients of all, folds: without each source; spread, unseen: as in `Slips`; errors: by what
    was left out; runs: the published ones.
    """

    source: str
    constants: Mapping[str, float]
    spread: float
    unseen: float
    errors: Mapping[str, Mapping[str, float | Mapping[str, float]]]
    folds: Mapping[str, Mapping[str, float]]
    runs: tuple[Past, ...]

    def error(self, cut: str, part: str | None = None) -> Mapping[str, float]:
        """Errors of one way to leave out, or of one part of it."""
        held = self.errors[cut]
        found = held if part is None else held[part]
        assert isinstance(found, Mapping)
        return {name: value for name, value in found.items() if isinstance(value, (int, float))}


@dataclass(frozen=True)
class Duration:
    """How long a run takes: time [s] with its 90 % interval; slip: over the wall time of its steps, with its own.

    evidence: `interpolated` only where runs like it are published; reason: a sentence; nearest: the published run most
    like it, how far, and its slip.
    """

    time: Interval
    slip: Interval
    evidence: Evidence
    reason: str
    nearest: LikeRun | None

    def to_json(self) -> dict[str, Plain]:
        """The keys of a training answer."""
        return {
            **self.time.flat("duration"),
            **self.slip.flat("slip"),
            "duration_evidence": self.evidence,
            "duration_reason": self.reason,
            "nearest_run": None if self.nearest is None else vars(self.nearest),
        }


@functools.cache
def fitted() -> tuple[Slips, DurationFit]:
    """(the fitted slip, all that the fit left: errors, slips without each source)."""
    path = Path(__file__).parent / "data" / "durations.json"
    held = decode(DurationFit, json.loads(path.read_text(encoding="utf-8")))
    return slips(held, held.constants), held


def slips(held: DurationFit, constants: Mapping[str, float], without: str | None = None) -> Slips:
    """The slip of some constants, and the published runs, those of one source left out."""
    runs = tuple(run for run in held.runs if run.group != without)
    coefficients = {name: value for name, value in constants.items() if name != "level"}
    return Slips(constants["level"], coefficients, held.spread, held.unseen, runs)


def properties(job: TrainJob, system: System) -> Properties:
    """What of a run moves its slip."""
    chip = system.accelerator
    return Properties(
        count=system.count,
        age=None if chip.released is None else decimal_year(job.when) - decimal_year(chip.released),
        moe=job.arch.moe,
        params=float(params(job.arch).total),
        vendor=chip.vendor or "",
        rate=sixteen(chip),
    )


def sixteen(chip: Accelerator) -> float:
    """Dense rate in 16 bits [FLOP/s]."""
    return chip.rates.get("bf16") or chip.rates.get("fp16") or max(chip.rates.values())


def duration(
    job: TrainJob,
    system: System,
    wall: Interval,
    evidence: Evidence = "interpolated",
    known: Slips | None = None,
) -> Duration:
    """How long such runs took.

    wall: time of the steps with goodput, and its interval [s]; evidence: that of the step time, which the answer cannot
    exceed; known: other constants than the fitted ones (a source left out).
    """
    known = known or fitted()[0]
    here = properties(job, system)
    own, spread, why = _evidence(here, known)
    slip = around(known.slip(here), spread)
    return Duration(
        time=compound(wall, slip),
        slip=slip,
        evidence=max(own, evidence, key=ORDER.index),
        reason=f"{_said(known)}; {why}",
        nearest=_nearest(here, known),
    )


def compound(wall: Interval, slip: Interval) -> Interval:
    """The product of two independent quantities: deviations of the logarithm add as squares, each side by itself."""
    value = wall.value * slip.value
    below = math.hypot(math.log(wall.value / wall.low), math.log(slip.value / slip.low))
    above = math.hypot(math.log(wall.high / wall.value), math.log(slip.high / slip.value))
    return Interval(value, value * math.exp(-below), value * math.exp(above))


def sentence(found: Duration) -> str:
    """The line of an answer, without the time itself."""
    slip = found.slip
    return f"{slip.value:.2g} times their steps; 90 % {slip.low:.2g} to {slip.high:.2g}; {found.reason}"


def _evidence(here: Properties, known: Slips) -> tuple[Evidence, float, str]:
    """(evidence, standard deviation of ln slip, why)."""
    if not any(past.properties.vendor == here.vendor for past in known.runs):
        return "analytic", STRANGE * known.unseen, f"no run on chips of {here.vendor} is among them"
    if not any(past.properties.akin(here) for past in known.runs):
        return "extrapolated", known.unseen, "none of them on chips of this generation"
    like = {past.group for past in known.runs if past.distance(here) <= NEAR}
    if len(like) < LIKE:
        return "extrapolated", known.unseen, f"{len(like) or 'none'} of them like this one"
    return "interpolated", known.spread, f"{len(like)} sources with runs like it"


def _said(known: Slips) -> str:
    return f"from {len(known.runs)} published runs of {len({past.group for past in known.runs})} sources"


def _nearest(here: Properties, known: Slips) -> LikeRun | None:
    if not known.runs:
        return None
    best = min(known.runs, key=lambda past: past.distance(here))
    return LikeRun(best.id, round(best.distance(here), 2), best.slip)
