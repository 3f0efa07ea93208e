"""One qualification carried out: speed, numerics, stability, one after another, into a verdict and a calibration."""

from __future__ import annotations

import datetime
import importlib.metadata
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.catalog import Catalog
from tonnage.device.kinds import KINDS
from tonnage.errors import InputError, Problem
from tonnage.model import Architecture
from tonnage.qualify import links, numerics, partial, resharded, speed, stability
from tonnage.qualify.bench import Bench
from tonnage.qualify.gate import Verified
from tonnage.qualify.joined import linked
from tonnage.qualify.laptop import CHECKED, QUICK
from tonnage.qualify.loop import Looped, compared
from tonnage.qualify.pricing import Prices
from tonnage.qualify.shapes import Effort
from tonnage.qualify.speed import Clocked, Clockings
from tonnage.qualify.stability import REPLAY, PlannedRun, Soaked
from tonnage.qualify.verdict import Verdict, verdict
from tonnage.system import accelerator
from tonnage.system.calibrated import Device
from tonnage.units import DAY

SOAK: dict[Effort, float] = {"quick": 10.0, "standard": 1800.0, "soak": 86400.0}
"""Seconds of replayed steps where nobody says how many."""

PIECE = 600.0
"""Seconds of a soak after which what it saw is kept."""

LOOP: dict[Effort, float] = {"quick": 0.5, "standard": 2.0, "soak": 2.0}
"""Seconds of one configuration of the closed loop."""

Tell = Callable[[int, int, str], None]
"""Hears how much is done, of how much, and what comes."""


@dataclass(frozen=True)
class Qualification:
    """What is to be qualified. device: its kind; model, cards, days: of the run that is planned; into: the calibration
    file; check: whether the closed loop is run; soak: seconds, None as the effort has it; chip: key of the device,
    None where it is to be found; replay: days between steps that the planned run replays, None where it replays none.
    """

    device: str
    effort: Effort
    model: Architecture
    into: Path
    processes: int = 1
    cards: int = 1
    days: float = 1.0
    resume: bool = False
    check: bool = False
    soak: float | None = None
    chip: str | None = None
    seed: int = 0
    replay: float | None = REPLAY

    @property
    def run(self) -> PlannedRun:
        """The run that is planned."""
        return PlannedRun(self.cards, self.days, self.replay)


@dataclass(frozen=True)
class Qualified:
    """What was found. device: first line of the calibration; clockings: every bench; loop: predicted and measured."""

    device: Device
    clockings: Clockings
    verdict: Verdict
    loop: tuple[Looped, ...] = ()


def journal_of(into: Path) -> Path:
    """Where rows are kept until the file is whole."""
    return into.with_name(into.name + ".partial")


def soaked_of(into: Path) -> Path:
    """Where a soak is kept until the verdict is there."""
    return into.with_name(into.name + ".soak")


def problems(asked: Qualification) -> list[Problem]:
    """What stands in the way, before anything is measured."""
    why = KINDS[asked.device].missing(asked.processes)
    found = [] if why is None else [Problem(why, path="device")]
    if asked.resume and not journal_of(asked.into).is_file():
        found.append(Problem(f"nothing was begun for {asked.into}", path="resume"))
    elif asked.resume and not found:
        kind = KINDS[asked.device]
        partial.rows(journal_of(asked.into), kind)
        partial.read_soak(soaked_of(asked.into), kind)
    return found


def carried_out(asked: Qualification, catalog: Catalog, tell: Tell) -> Qualified:
    """All of it. The calibration file is written as soon as speeds are known: a verdict may take days."""
    kind = KINDS[asked.device]
    kind.prepare(1)
    journal = journal_of(asked.into)
    found = speed.measured(kind, asked.effort, journal, asked.resume, lambda done, of, b: tell(done, of, _said(b)))
    if asked.processes > 1:
        tell(0, 1, f"collectives of {asked.processes} processes")
        found = _with_links(found, asked)
    name = chip_of(asked.chip or kind.title(), catalog)
    device = speed.device_of(kind, name, software(), found, datetime.datetime.now(datetime.UTC).date(), asked.processes)
    speed.write(asked.into, device, found)
    known = accelerator(name, catalog) if name in catalog.chips() else None
    cards = [kind.place(rank) for rank in range(asked.processes)] if asked.device != "cpu" else []
    kind.place(0)
    gates = [*speed.gates(found, known), *links.gates(cards), *_numbers(asked, tell), *_soaked(asked, tell)]
    judged = verdict(
        gates, device.title, asked.model.name, asked.cards, asked.days, software=f"{device.driver}; {device.software}",
        date=device.date.isoformat(),
    )  # fmt: skip
    done = Qualified(device, found, judged, tuple(_loop(asked, found, tell)) if asked.check else ())
    for each in (journal, soaked_of(asked.into)):
        each.unlink(missing_ok=True)
    return done


def _said(bench: Bench) -> str:
    return f"{bench.operator} {bench.format} {bench.layout} {'x'.join(map(str, bench.shape))}"


def _with_links(found: Clockings, asked: Qualification) -> Clockings:
    with tempfile.TemporaryDirectory() as folder:
        joined = linked(asked.device, asked.processes, Path(folder))
    rows = tuple(Clocked(bench, timed) for bench, timed in joined.rows)
    return replace(found, held=(*found.held, *rows), ranks=joined.ranks)


def _numbers(asked: Qualification, tell: Tell) -> Iterable[Verified]:
    kind = KINDS[asked.device]
    tell(0, 1, "numerics against float64")
    others = [kind.place(rank) for rank in range(1, asked.processes)] if asked.device != "cpu" else []
    place = kind.place(0)
    full = asked.effort != "quick"
    for number, gate in enumerate(numerics.gates(place, asked.model, others=others, full=full, seed=asked.seed)):
        tell(number, number + 4, f"numerics: {gate.name}")
        yield gate
    tell(0, 1, "numerics: a checkpoint across numbers of processes")
    yield from resharded.gates(asked.device, asked.model, asked.seed)


def _soaked(asked: Qualification, tell: Tell) -> Iterable[Verified]:
    """In pieces, each kept when it is over: a soak of days that is killed loses one piece of it."""
    whole = SOAK[asked.effort] if asked.soak is None else asked.soak
    kind, run, kept = KINDS[asked.device], asked.run, soaked_of(asked.into)
    place = kind.place(0)
    seen = partial.read_soak(kept, kind) if asked.resume else None
    left = whole - (0.0 if seen is None else seen.card_days * DAY)
    gates: list[Verified] = []
    while left > 0 or not gates:
        tell(round(whole - left), max(1, round(whole)), "stability: steps, each done twice")
        told: list[Soaked] = []
        piece = max(0.0, min(PIECE, left))
        gates = list(stability.gates(place, asked.model, run, seconds=piece, before=seen, after=told.append))
        left -= PIECE
        if not told:
            break
        seen = told[-1]
        partial.keep_soak(kept, seen, kind)
        if seen.hangs:
            break
    yield from gates


def _loop(asked: Qualification, found: Clockings, tell: Tell) -> Iterable[Looped]:
    prices = Prices(found.measurements())
    some = QUICK if asked.effort == "quick" else CHECKED
    for number, small in enumerate(some):
        tell(number, len(some), f"predicted, then run: {small.title}")
        yield from compared(small, prices, KINDS[asked.device], LOOP[asked.effort])


def software() -> str:
    """What multiplies."""
    return f"torch {importlib.metadata.version('torch')}"


def chip_of(title: str, catalog: Catalog) -> str:
    """Key of a device by what it calls itself: the catalogue's where it knows it, else its own words."""
    plain = "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60].strip("-") or "device"
    try:
        return catalog.chip(plain)
    except InputError:
        return plain
