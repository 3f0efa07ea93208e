"""Whether a training run completes on a chip and its software: a probability from the public record, with an interval.

Feasible on paper is not ready. The rate at which runs complete is drawn around that of what is like it:

    all accelerators > vendor > software stack > generation > runs of this chip, kind (dense, sparse) and scale

each level around its parent as `ALIKE` says (`pooling`). Of a run with rate p (`record`), of weight w, one sees

    announced beforehand       completed: p^w        failed: (1 - p)^w
    running, not heard of      (p silence + 1 - p)^w, silence falling once it is overdue
    known by its result        completed: (p / (p + f (1 - p)))^w      failed: ((1 - p) / (p + f (1 - p)))^w

with f the share of failures that are published (`PUBLISHED`): published successes are a biased record. f is stated,
not learnt from the record, and the answer is averaged over its range. What a failure leaves unknown, such as its size,
is read as like the planned run; what a success leaves unknown, as unlike.

In the draws, the rate of a stack is one number a draw, shared by all attempts on it (`rates`): where a first attempt
failed, a second is likelier to fail. A run that completes on a stack of readiness P takes 1 + (slip - 1) (1 - P) of its
planned time; one that does not is debugged and tried again for months before it is given up (`DEBUG`).

Neglected: that software becomes better with time; that labs differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet.judged import QUARTER, Judged, Word
from tonnage.fleet.pooling import CELLS, GRID, Path, posterior, quantiles
from tonnage.fleet.record import HALF, ChipKind, PublicRun, kind_of, record
from tonnage.fleet.uncertain import Floats, Seed, Uncertain, uniforms
from tonnage.model import params

if TYPE_CHECKING:
    from tonnage.fleet.programme import Programme
    from tonnage.model import Architecture

__all__ = [
    "ChipKind",
    "Evidence",
    "PublicRun",
    "Readiness",
    "completes",
    "given",
    "kind_of",
    "of_place",
    "rates",
    "readiness",
    "record",
    "slipped",
]

PRIOR = (16.0, 16.0)
"""Of the rate of all accelerators, before any evidence: as many runs completed as not, counting as 32, so that little
of it is learnt. Accelerators on which somebody trained are the ones that it worked for; an untried one is not their
equal. An assumption.
"""

ALIKE = (4.0, 16.0, 8.0, 2.0)
"""How alike vendors are, stacks of a vendor, generations of a stack, kinds of run of a generation: each counts as so
many runs of its parent's rate. Assumptions; docs/method/readiness.md has the log score for others.
"""

PUBLISHED = ((0.06, 0.25), (0.12, 0.5), (0.25, 0.25))
"""Share of failures that are published, with weights. Of 20 runs of the record that were announced beforehand 7 were
not completed, of 100 that became known by their result 5. Were both as likely to fail, 5/95 = f x 7/13, f = 0.10, and
0.13 with each run as far as it counts; the range is half to twice that.
"""

SILENT = 1.0
"""Failed runs that a stack counts for on which no run was completed in public: who tried and failed did not say so. An
assumption.
"""

STACK = 2
"""Depth of a stack in the tree."""

LARGE = 8000
"""Accelerators from which on the run of a model of unknown size counts as one of any scale: an assumption."""

VERDICTS: Mapping[Word, tuple[float, float]] = {
    "fit": (2.0, 0.0),
    "inference only": (0.0, 2.0),
    "unfit": (0.0, 4.0),
    "unknown": (0.0, 0.0),
}
"""What a verdict from trials of one's own counts as: runs of this kind on this chip that completed and that failed.
An assumption: a trial is shorter than a run.
"""

DEBUG = "75 days to 350 days"
"""Time in which a run that fails is looked into and tried again until it is given up (90 %). DeepSeek-R2 on Ascend: 75
days from the first report to the missed date, 206 from R1 to the report of the failure; Llama 4 Behemoth 100;
BigScience 104B 191; Viking 33B 210; StableLM 274; Arrakis 350 (training_runs and launches of the catalogue). Median 162
days.
"""

AT = tuple((i + 0.5) / 40 for i in range(40))
"""Probabilities of the quantiles that are kept of a rate."""


@dataclass(frozen=True)
class Evidence:
    """One run and what it counts. near: how near its place in the tree is to the planned run's, from 1 (a chip of the
    same vendor) to 4 (the same chip, kind and scale).
    """

    run: PublicRun
    weight: float
    near: int = 0


@dataclass(frozen=True)
class Readiness:
    """Probability that a run completes on a place, its 90 % interval, the record behind it, best evidence first, and
    one sentence. quantiles: of the rate, at `AT`; stack: whose attempts share one rate in a draw; judged: a verdict of
    one's own that is part of the evidence.
    """

    chip: str
    probability: float
    evidence: tuple[Evidence, ...]
    text: str
    given: bool = False
    low: float = 0.0
    high: float = 1.0
    quantiles: tuple[float, ...] = ()
    stack: str = ""
    judged: Judged | None = None


def readiness(
    kind: ChipKind,
    size: float,
    sparse: bool,
    runs: Iterable[PublicRun],
    place: str = "",
    judged: Judged | None = None,
    card_days: float = 0.0,
) -> Readiness:
    """Probability that the run of a model of `size` parameters completes on a chip at a place, from the runs known
    and a verdict of one's own. card_days: that the run takes at least.
    """
    found = _readiness(kind, size, sparse, tuple(runs), place, judged, card_days)
    return _forbidden(found, judged) if judged and judged.forbids_training(card_days) else found


@lru_cache(maxsize=256)
def _readiness(
    kind: ChipKind,
    size: float,
    sparse: bool,
    runs: tuple[PublicRun, ...],
    place: str,
    judged: Judged | None,
    card_days: float,
) -> Readiness:
    """The same; what-ifs ask again and again."""
    target = _path(kind, True, True)
    used = _evidence(kind, size, sparse, runs, place)
    own = _path(kind, judged.like(sparse), judged.large(size, card_days)) if judged else target
    untried = not any(run.completed and kind.stack and run.kind.stack == kind.stack for run in runs)
    silent = np.asarray(SILENT * untried * np.log1p(-GRID))
    chances = np.zeros(CELLS)
    for published, weight in PUBLISHED:
        seen: dict[Path, Floats] = {own: _said(judged), target[:STACK]: silent}
        for path, item in used:
            seen[path] = seen.get(path, np.zeros(CELLS)) + _seen(item.run, item.weight, published)
        chances += weight * posterior(seen, target, ALIKE, PRIOR)
    evidence = tuple(sorted((item for _, item in used if item.near), key=_order))
    return _as_value(kind, chances, evidence, judged)


def _as_value(kind: ChipKind, chances: Floats, evidence: tuple[Evidence, ...], judged: Judged | None) -> Readiness:
    chance = float(chances @ GRID)
    low, high = (float(x) for x in quantiles(chances, (0.05, 0.95)))
    kept = tuple(float(x) for x in quantiles(chances, AT))
    text = _sentence(kind, chance, (low, high), evidence, judged)
    return Readiness(kind.chip, chance, evidence, text, False, low, high, kept, kind.stack or kind.chip, judged)


def _forbidden(found: Readiness, judged: Judged) -> Readiness:
    """The readiness of a place whose gates refuse training."""
    binds = f": {judged.binds[0]}" if judged.binds else ""
    text = f"not ready: no run is to be begun there; own trials: {judged.text}{binds}"
    return replace(found, probability=0.0, low=0.0, high=0.0, quantiles=(0.0,) * len(AT), text=text)


def _order(item: Evidence) -> tuple[object, ...]:
    return (-item.near, -item.weight, item.run.known_on, item.run.name)


# where a run stands in the tree, and what it says


def _path(kind: ChipKind, like: bool, large: bool) -> Path:
    """Vendor, stack, generation, kind of run. What is not known is a branch of its own."""
    stack = kind.stack or f"{kind.vendor or kind.chip} software"
    generation = kind.generation or kind.chip or "not named"
    group = f"{kind.chip or 'not named'}, {'like' if like else 'other kind'}, {'large' if large else 'small'}"
    return (kind.vendor or f"maker of {kind.chip}", stack, generation, group)


def _evidence(
    kind: ChipKind, size: float, sparse: bool, runs: tuple[PublicRun, ...], place: str
) -> list[tuple[Path, Evidence]]:
    """Each run with its path. One of which no stack is known, and that was not completed, may have been on any stack
    that is in use at its place: it counts half.
    """
    target = _path(kind, True, True)
    trained_on = {run.kind.stack for run in runs if run.completed and run.kind.stack}
    made = []
    for run in runs:
        weight = run.share
        if run.kind.vendor:
            path = _path(run.kind, _like(run, sparse), _large(run, size))
        elif not run.completed and kind.stack in trained_on and place and run.place == place:
            path, weight = target, HALF * run.share
        else:
            continue
        near = next((depth for depth in range(len(path)) if path[depth] != target[depth]), len(path))
        made.append((path, Evidence(run, weight, near)))
    return made


def _like(run: PublicRun, sparse: bool) -> bool:
    """Whether a run is of the planned kind: a sparse one says as much of dense models, not the other way round."""
    if not sparse or run.sparse is None:
        return not sparse or not run.completed
    return run.sparse


def _large(run: PublicRun, size: float) -> bool:
    """Whether a run is of the planned scale or above it: by the model, so that a larger fleet is never less ready."""
    if run.params is not None:
        return run.params >= QUARTER * size
    return not run.completed or (run.chips or 0.0) >= LARGE


def _seen(run: PublicRun, weight: float, published: float) -> Floats:
    """Log-likelihood of the rate, on the grid."""
    if run.end == "running":
        return np.asarray(weight * np.log(GRID * run.silence + 1 - GRID))
    share = GRID if run.completed else 1 - GRID
    told = 1.0 if run.ahead else GRID + published * (1 - GRID)
    return np.asarray(weight * np.log(share / told))


def _said(judged: Judged | None) -> Floats:
    good, bad = VERDICTS[judged.word] if judged else (0.0, 0.0)
    return np.asarray(good * np.log(GRID) + bad * np.log1p(-GRID))


# in words


def _sentence(
    kind: ChipKind,
    chance: float,
    interval: tuple[float, float],
    evidence: tuple[Evidence, ...],
    judged: Judged | None,
) -> str:
    own = [item for item in evidence if item.run.kind.vendor]
    says = [f"a run completes there with probability {_interval(chance, *interval)}"]
    if not own:
        whose = f"chips of {kind.vendor}" if kind.vendor else f"{kind.chip}, whose vendor is not known"
        says.append(f"no public run on {whose}: the prior of all accelerators, and their silence")
    else:
        same = sum(item.run.chip == kind.chip for item in own)
        says.append(f"{len(own)} public runs on chips of {kind.vendor}, {same} of them on {kind.chip}")
    says += _named("nearest", [item for item in own if item.run.completed][:2])
    says += _named("not completed", [item for item in evidence if item.run.end == "failed"])
    says += _named("overdue", [item for item in evidence if item.run.overdue > 0])
    if judged:
        says.append(f"own trials: {judged.text}")
    return "; ".join(says)


def _interval(chance: float, low: float, high: float) -> str:
    return f"{_percent(chance)} % ({_percent(low)} to {_percent(high)} %)"


def _percent(share: float) -> int:
    """Whole percent; never 0 or 100, for nothing is certain."""
    return min(99, max(1, round(100 * share)))


MOST_NAMED = 4


def _named(what: str, items: list[Evidence]) -> list[str]:
    names = [item.run.name for item in items[:MOST_NAMED]]
    more = f" and {len(items) - MOST_NAMED} more" if len(items) > MOST_NAMED else ""
    return [f"{what}: {', '.join(names)}{more}"] if names else []


# what a programme says itself


def given(kind: ChipKind, share: Uncertain) -> Readiness:
    """A readiness that the programme states itself."""
    low, high = share.interval
    kept = tuple(float(x) for x in share.quantile(np.array(AT)))
    text = f"a run completes there with probability {share.text}, as the programme says"
    return Readiness(kind.chip, share.median, (), text, True, low, high, kept, kind.stack or kind.chip)


def of_place(
    name: str,
    kind: ChipKind,
    arch: Architecture | None,
    programme: Programme,
    runs: Iterable[PublicRun],
    lots: tuple[str, ...] = (),
    card_days: float = 0.0,
) -> Readiness:
    """Readiness of one place: what the programme says of the lot or chip, else the public record's with the verdict on
    it. lots: their names; card_days: that the run takes there at least.
    """
    said = programme.said_ready(name, kind.chip, lots)
    if said is not None:
        return given(kind, said)
    judged = programme.judged(name, kind.chip, lots)
    size = float(params(arch).total) if arch else 0.0
    return readiness(kind, size, bool(arch and arch.moe), runs, programme.place, judged, card_days)


# in the draws


def rates(found: Readiness, seed: Seed, draws: int) -> Floats:
    """The rate at which runs complete there, in each draw; one stream of numbers for all places on a stack."""
    if draws == 0 or not found.quantiles:
        return np.full(max(draws, 1), found.probability)
    shared = uniforms(seed, f"readiness.stack.{found.stack}", draws)
    return np.asarray(np.interp(shared, AT, found.quantiles))


def completes(
    chance: float | Floats, seed: Seed, name: str, draws: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether an attempt completes, in each draw, at a rate or at the rates of the draws. The same stream of numbers
    serves every rate: a place that becomes more ready never loses a draw in which it completed.
    """
    if draws == 0:
        return np.atleast_1d(np.asarray(chance)) >= 0.5
    return np.asarray(uniforms(seed, f"readiness.{name}", draws) < chance)


def slipped(slip: Floats, chance: float) -> Floats:
    """Time over plan of a run that completes: 1 + (slip - 1) (1 - chance)."""
    return np.asarray(1 + np.maximum(slip - 1, 0.0) * (1 - chance))
