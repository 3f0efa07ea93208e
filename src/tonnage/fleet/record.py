"""The public record of training runs as evidence: of each run, on what it ran, how it ended, and how far it counts.

A run that was announced before it ended tells how often runs end well. One that became public with its result tells
less, since failures are seldom published. One that was announced and has not been heard of for longer than its plan,
or than like runs took, is evidence of failure that grows by the day.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.catalog.runs import TrainingRun

Date = datetime.date
End = Literal["completed", "failed", "running"]

NOTICE = 30
"""A run announced so many days before its end counts as announced: an assumption."""

LIKE_RUNS = 125
"""Days from announcement to completion in which half of like runs are done: median of the 14 announced runs of the
record that were completed (15 to 479 days).
"""

LATE = 0.5
"""Share of runs that will be completed and are not when due: 15 of the 30 launches of the record that came after their
window, and half of like runs at their median.
"""

HALF_LATE, HALF_LIKE = 25.0, 90.0
"""Days over which half of the late ones still come: past a stated window (of 16: 8 after 30 days, 4 after 60, 2 after
150, 1 after 400), and past the median of like runs where none was stated (of 7: 3 after 90 days, 1 after 350).
"""

HALF = 0.5
"""What a doubtful run counts: one of the chip's own maker, a statement of press or vendor only, a disputed one,
training that continues from other weights, a run over two stacks, one that stopped short of its plan. A run that was
left for reasons of the model, or without a reason, counts a quarter as a failure. Assumptions.
"""

APART = ("reinforcement learning", "acceptance test")
"""Tasks that say nothing of a pre-training run."""

OF_THE_MODEL = frozenset({"quality", "efficiency", "data"})
"""Troubles of the model, not of the accelerators and their software."""


@dataclass(frozen=True)
class ChipKind:
    """What a chip is, by the catalogue's facts, empty where it has none. stack: its software (cuda, cann, xla ...)."""

    chip: str
    vendor: str
    stack: str
    generation: str


@dataclass(frozen=True)
class PublicRun:
    """One training run in public, as known on a day.

    kind: on what, without a chip where none was named; params: of the model, chips: accelerators, sparse: a mixture of
    experts, all None where unknown; ahead: announced well before its end; overdue: days past its plan, or past the time
    that like runs took, of one that is running; halves: days over which half of the late ones still come; share: how
    far it counts; source: fact id; place: country, empty where unknown.
    """

    name: str
    kind: ChipKind
    params: float | None
    chips: float | None
    sparse: bool | None
    end: End
    ahead: bool
    known_on: Date
    share: float = 1.0
    overdue: float = 0.0
    halves: float = HALF_LATE
    source: str = ""
    place: str = ""

    @property
    def completed(self) -> bool:
        """Whether it was completed."""
        return self.end == "completed"

    @property
    def chip(self) -> str:
        """Key of its chip, empty where none was named."""
        return self.kind.chip

    @property
    def silence(self) -> float:
        """Probability that one that will be completed is not heard of yet: 1 until it is due."""
        return LATE / (1 + self.overdue / self.halves) if self.overdue > 0 else 1.0


def kind_of(catalog: Catalog, chip: str) -> ChipKind:
    """What a chip is. Vendor, stack and generation are facts; they are never taken from its name."""
    facts = catalog.facts_of(chip)
    vendor, stack, generation = (
        facts[name].text if name in facts else "" for name in ("vendor", "stack", "generation")
    )
    return ChipKind(chip, vendor, stack, generation)


@lru_cache(maxsize=8)
def record(catalog: Catalog, as_of: Date) -> tuple[PublicRun, ...]:
    """Every run of the catalogue known on a day that bears on pre-training, oldest first."""
    kinds = {chip: kind_of(catalog, chip) for chip in catalog.chips()}
    stacks: dict[str, set[str]] = {}
    for kind in kinds.values():
        stacks.setdefault(kind.stack, set()).add(kind.vendor)
    due = _due(catalog, as_of)
    items = catalog.training_runs(as_of=as_of)
    where = {item.id: " ".join(item.first.place) for item in items}
    apart = {item.id for item in items if "rl_stage_only" in item and item["rl_stage_only"].flag}
    found = [
        _run(run, _kind(run, kinds, stacks), due.get(run.id), where[run.id], as_of)
        for run in catalog.runs(as_of)
        if run.task not in APART and run.id not in apart
    ]
    return tuple(sorted(found, key=lambda run: (run.known_on, run.name)))


def _kind(run: TrainingRun, kinds: Mapping[str, ChipKind], stacks: Mapping[str, set[str]]) -> ChipKind:
    """Of the chip; else of the stack, where it is one vendor's."""
    if run.chip in kinds:
        return kinds[run.chip]
    vendors = stacks.get(run.stack, set()) if run.stack else set()
    return ChipKind("", next(iter(vendors)) if len(vendors) == 1 else "", run.stack, "")


def _due(catalog: Catalog, as_of: Date) -> dict[str, Date]:
    """Last day of the first window stated for the launch of the model of each run."""
    launches = {launch.id: launch for launch in catalog.launches(as_of)}
    promised: dict[str, Date] = {}
    for record in catalog.records("launches", as_of):
        said = launches[record.id].promised
        if said and said.last:
            promised |= dict.fromkeys(record.about, said.last)
    found = {}
    for record in catalog.training_runs(as_of=as_of):
        days = [promised[name] for name in record.about if name in promised]
        if days:
            found[record.id] = min(days)
    return found


def _run(run: TrainingRun, kind: ChipKind, due: Date | None, place: str, as_of: Date) -> PublicRun:
    end = _end(run)
    heard = run.known_on or run.announced or as_of
    ahead = bool(run.announced and (end == "running" or (heard - run.announced).days >= NOTICE))
    made = PublicRun(run.name, kind, run.params, run.chips, run.sparse, end, ahead, heard, _share(run, end))
    made = replace(made, source=run.source, place=place)
    return _overdue(made, run, due, as_of) if end == "running" and run.announced else made


def _overdue(made: PublicRun, run: TrainingRun, due: Date | None, as_of: Date) -> PublicRun:
    """How long a run is overdue. News that it goes on puts off the day on which it was due; one whose end nobody
    stated is not overdue once there was such news.
    """
    like = made.known_on + datetime.timedelta(days=LIKE_RUNS)
    if due is None and run.known_on is not None:
        return made
    late = like if due is None else max(due, made.known_on)
    halves = HALF_LATE if due and due > made.known_on else HALF_LIKE
    return replace(made, overdue=max(0.0, float((as_of - late).days)), halves=halves)


def _end(run: TrainingRun) -> End:
    """A run that was moved or begun again ended as it did in the end; one that was left was not completed."""
    outcome = run.ended_as or run.outcome
    if outcome == "running":
        return "running"
    return "completed" if outcome == "completed" else "failed"


def _share(run: TrainingRun, end: End) -> float:
    doubts = [bool(run.task), run.mark == "disputed", "+" in run.stack or run.stack == "mixed"]
    if end == "completed":
        doubts += [run.by_maker, run.attested in ("press", "vendor")]
    if end == "failed":
        own = run.outcome == "abandoned" and not set(run.troubles) - OF_THE_MODEL
        doubts += [own, own, run.outcome == "unfinished"]
    return float(HALF ** sum(doubts))
