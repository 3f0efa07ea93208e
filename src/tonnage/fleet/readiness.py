"""Whether a training run completes on a chip and its software: a probability from the public record.

Feasible on paper is not ready. The record holds runs that were completed or given up in public, each with its chip,
size, owner and the day on which it became known; only runs known by the day of the plan count. A run bears on another
as far as it is like it (its weight is a product of the factors in `WEIGHTS`):

    P(completes) = (PRIOR + sum of weights of completed runs) / (2 PRIOR + sum of all weights)

the mean of a Beta distribution with Jeffreys' prior Beta(1/2, 1/2) and weighted pseudo-counts. A run that completes on
a stack of readiness P takes 1 + (slip - 1) (1 - P) of its planned time, `slip` being an assumption of the programme;
one that does not is given up after a share `give_up` of the planned work of its first stage, nothing of it is kept, and
the next place begins anew.

Assumptions, none of them fitted: the weights; that failures are as likely to be published as successes (they are not,
so that P is too high for stacks with few runs); that attempts fail independently of one another; that a programme's
own stages all share one outcome. `assumptions: readiness:` replaces P by what a programme knows better, such as its
own trial.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet.uncertain import Floats, Uncertain, uniforms

if TYPE_CHECKING:
    from tonnage.catalog import Catalog, Record
    from tonnage.fleet.programme import Programme

Date = datetime.date

PRIOR = 0.5
"""Pseudo-count of completed and of failed runs before any evidence (Jeffreys)."""

WEIGHTS = {
    "another chip of the same vendor": 0.5,
    "a run of less than a quarter of the accelerators, or of unknown size": 0.5,
    "a run of the chip's own maker": 0.5,
    "a dense model, where a sparse one is planned": 0.5,
    "a statement in the press, not a technical report": 0.5,
}
"""Factors by which a run counts less when it is unlike the planned one: assumptions."""

LIKE = 4.0
"""A run of up to so many times the accelerators of one in the record is like it in size."""

_VENDOR = {"ascend": "huawei", "mi": "amd", "tpu": "google", "gaudi": "intel", "arc": "intel"}


@dataclass(frozen=True)
class Run:
    """One training run in public. chips: None where unknown; attested: report or press; source: fact id."""

    name: str
    chip: str
    chips: float | None
    by_maker: bool
    sparse: bool
    attested: str
    known_on: Date
    completed: bool
    source: str


@dataclass(frozen=True)
class Evidence:
    """One run and what it counts."""

    run: Run
    weight: float


@dataclass(frozen=True)
class Readiness:
    """Probability that a run completes on a place, the record behind it, best evidence first, and one sentence."""

    chip: str
    probability: float
    evidence: tuple[Evidence, ...]
    text: str
    given: bool = False


def vendor(chip: str) -> str:
    """Vendor by whose software stack a chip is driven: the prefix of its key, NVIDIA unless it is another's."""
    return next((name for prefix, name in _VENDOR.items() if chip.startswith(prefix)), "nvidia")


def record(catalog: Catalog, as_of: Date) -> tuple[Run, ...]:
    """Every run of the catalogue known on a day that says whether it was completed, oldest first. Stages of
    reinforcement learning alone (the flag `rl_stage_only`) are left out.
    """
    found = [item for item in catalog.training_runs(as_of=as_of) if {"completed", "chip"} <= item.facts.keys()]
    whole = [_run(item) for item in found if not ("rl_stage_only" in item and item["rl_stage_only"].flag)]
    return tuple(sorted(whole, key=lambda run: (run.known_on, run.name)))


def _run(item: Record) -> Run:
    """A run; where the record does not say, it was not the chip's maker's, the model was sparse, and it is attested by
    a report if its facts are firm.
    """
    done = item["completed"]
    return Run(
        name=item["model"].text if "model" in item else item.id,
        chip=item["chip"].text,
        chips=item["chips"].number if "chips" in item else None,
        by_maker="by_maker" in item and item["by_maker"].flag,
        sparse="sparse" not in item or item["sparse"].flag,
        attested=item["attested"].text if "attested" in item else "report" if done.mark == "firm" else "press",
        known_on=item.since or Date.min,
        completed=done.flag,
        source=done.id,
    )


def readiness(chip: str, accelerators: float, sparse: bool, runs: Iterable[Run]) -> Readiness:
    """Probability that a run of that size completes on `chip`, from the runs known."""
    evidence = [
        Evidence(run, _weight(run, chip, accelerators, sparse)) for run in runs if vendor(run.chip) == vendor(chip)
    ]
    evidence.sort(key=lambda item: (-item.weight, item.run.known_on))
    good = sum(item.weight for item in evidence if item.run.completed)
    bad = sum(item.weight for item in evidence if not item.run.completed)
    chance = (PRIOR + good) / (2 * PRIOR + good + bad)
    return Readiness(chip, chance, tuple(evidence), _sentence(chip, chance, evidence))


def _weight(run: Run, chip: str, accelerators: float, sparse: bool) -> float:
    small = run.chips is None or run.chips < accelerators / LIKE
    unlike = (run.chip != chip, small, run.by_maker, sparse and not run.sparse, run.attested == "press")
    return float(np.prod([factor for factor, applies in zip(WEIGHTS.values(), unlike, strict=True) if applies]))


def _sentence(chip: str, chance: float, evidence: list[Evidence]) -> str:
    failed = [item for item in evidence if not item.run.completed]
    same = sum(item.run.chip == chip for item in evidence)
    text = f"{len(evidence)} public runs on chips of {vendor(chip)}, {same} of them on {chip}"
    named = ", ".join(item.run.name for item in evidence[:2])
    text += f" (nearest: {named})" if named else ""
    text += (
        f"; {len(failed)} given up: {', '.join(item.run.name for item in failed)}"
        if failed
        else "; none known to be given up"
    )
    return f"a run completes there with probability {100 * chance:.0f} %: {text}"


def given(chip: str, share: Uncertain) -> Readiness:
    """A readiness that the programme states itself."""
    return Readiness(
        chip, share.median, (), f"a run completes there with probability {share.text}, as the programme says", True
    )


def of_place(
    name: str, chip: str, accelerators: float, sparse: bool, programme: Programme, runs: Iterable[Run]
) -> Readiness:
    """Readiness of one place: what the programme says of the lot or chip, else the public record's."""
    for key in (name, chip):
        if key in programme.readiness:
            return given(chip, programme.readiness[key])
    return readiness(chip, accelerators, sparse, runs)


def completes(chance: float, seed: int, name: str, draws: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether the run completes, in each draw. The same stream of numbers serves every probability: a place that
    becomes more ready never loses a draw in which it completed.
    """
    if draws == 0:
        return np.array([chance >= 0.5])
    return np.asarray(uniforms(seed, f"readiness.{name}", draws) < chance)


def slipped(slip: Floats, chance: float) -> Floats:
    """Time over plan of a run that completes: 1 + (slip - 1) (1 - chance)."""
    return np.asarray(1 + np.maximum(slip - 1, 0.0) * (1 - chance))
