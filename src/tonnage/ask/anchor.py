"""A user's measured points of a service: read, checked against what is asked, one level a fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import Constants, MeasuredService, ServeJob
    from tonnage.system import System
    from tonnage.values import Plain


@dataclass(frozen=True)
class Anchor:
    """What the points of one fleet say. constants: None where it has no points; level: measured over predicted time."""

    chip: str
    title: str
    points: int
    level: float | None
    constants: Constants | None

    @property
    def text(self) -> str:
        """In words."""
        if self.level is None:
            return f"{self.title}: no point, predicted as it is"
        points = f"{self.points} point" + ("s" if self.points > 1 else "")
        return f"{self.title}: {points}, measured times {self.level:.2f} x the predicted ones"

    def to_json(self) -> dict[str, Plain]:
        """Without the constants."""
        return {"chip": self.chip, "points": self.points, "level": self.level}


def anchors(
    path: Path, job: ServeJob, systems: Sequence[System], layout: dict[str, int] | None, catalog: Catalog
) -> tuple[Anchor, ...]:
    """The level of each fleet, by a file of rows or by a ledger. What a row leaves out is taken from the command; of
    several fleets, a row has to say by `chip` which it was measured on. Raises InputError with every problem of the
    file.
    """
    from tonnage.ask.ledger_anchor import service_rows
    from tonnage.ledger import is_ledger
    from tonnage.serve import read_measured
    from tonnage.truth.shapes import Library

    library = Library(catalog, {job.arch.name: job.arch})
    chips = tuple(system.accelerator.name for system in systems)
    held: dict[str, list[MeasuredService]] = {system.accelerator.name: [] for system in systems}
    problems: list[Problem] = []
    rows = service_rows(path, chips, job.arch.name) if is_ledger(path) else read_measured(path)
    for place, row in rows:
        try:
            system = _system(row, systems, catalog)
            held[system.accelerator.name].append(_point(row, job, system, layout, library))
        except ValueError as reason:
            problems.append(Problem(str(reason), place))
    if problems:
        raise InputError(problems[:20])
    return tuple(_anchor(system, held[system.accelerator.name], job) for system in systems)


def _anchor(system: System, points: list[MeasuredService], job: ServeJob) -> Anchor:
    from tonnage.serve import anchored, level
    from tonnage.serve.as_run.anchor import Alike

    chip, title = system.accelerator.name, system.accelerator.title
    if not points:
        return Anchor(chip, title, 0, None, None)
    mode = None if job.mode in ("auto", "afd") else job.mode
    found = anchored(points, like=Alike(mode, job.weights, job.speculative is not None))
    return Anchor(chip, title, len(points), level(found), found)


def _system(row: Mapping[str, object], systems: Sequence[System], catalog: Catalog) -> System:
    """The fleet that a row was measured on. Raises ValueError when it does not say, or it is none of them."""
    names = [system.accelerator.name for system in systems]
    asked = row.get("chip")
    if asked is None:
        if len(set(names)) > 1:
            raise ValueError(f"chip is not given, and there are several: {', '.join(names)}")
        return systems[0]
    try:
        chip = asked if asked in names else catalog.chip(str(asked))
    except InputError as error:
        raise ValueError(error.problems[0].message) from None
    if chip not in names:
        raise ValueError(f"measured on {chip}, which is not asked for: {', '.join(names)}")
    return systems[names.index(chip)]


def _point(
    row: Mapping[str, object], job: ServeJob, system: System, layout: dict[str, int] | None, library: Any
) -> MeasuredService:
    """One row as a measured case. Raises ValueError with what is wrong with it."""
    from tonnage.serve import MeasuredService, complete
    from tonnage.truth.cases import Skip, number
    from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT
    from tonnage.truth.serving import serving_case

    if job.mode == "disaggregated" and "mode" not in row:
        raise ValueError("mode is not given: whether prefill was apart when this was measured")
    whole: dict[str, Any] = dict(complete(row, _usual(job, system, layout)))
    try:
        case = serving_case(whole, library)
        figures = [number(whole, "metrics", name) for name in (TPOT, RATE, INPUT_RATE, TTFT)]
    except Skip as reason:
        hint = "; give it in the row (tp, ...), or of a single fleet with --layout" if "layout" in str(reason) else ""
        raise ValueError(f"{reason}{hint}") from None
    if case.arch.name != job.arch.name:
        raise ValueError(f"measured with {case.arch.name}, not with {job.arch.name}")
    if case.rate is not None:
        figures[1] = figures[2] = None
    if not any(figures):
        more = " beside a rate that the arrivals set" if case.rate is not None else ""
        raise ValueError(f"no tpot, rate or ttft{more}")
    return MeasuredService(case, *figures)


def _usual(job: ServeJob, system: System, layout: dict[str, int] | None) -> dict[str, Any]:
    """What the command says of a measurement."""
    names = {"etp": "moe_tp"}
    if system.count * system.accelerator.dies == 1:
        layout = {"tp": 1}
    drafts = job.speculative
    workload: dict[str, Any] = {"input_len": job.isl, "output_len": job.osl}
    if float(job.cache_hit) > 0:
        workload["cache_hit"] = job.cache_hit
    if drafts is not None:
        workload["speculative"] = {"method": drafts.method, "tokens": drafts.tokens, "acceptance": drafts.acceptance}
    return {
        "model": job.arch.name,
        "chip": system.accelerator.name,
        "count": system.count,
        "mode": job.mode if job.mode in ("prefill", "decode") else "aggregated",
        "engine": job.engine,
        "weights": job.weights,
        "kv": job.kv or "bf16",
        "layout": {names.get(key, key): value for key, value in layout.items()} if layout else None,
        "workload": workload,
    }
