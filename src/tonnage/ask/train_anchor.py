"""A user's own measured training runs, as written in JSON Lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tonnage.ask.ledger_anchor import training_runs
from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem
from tonnage.layout import RECOMPUTE, SCHEDULE, parse_layout
from tonnage.ledger import is_ledger
from tonnage.system import System
from tonnage.train import MeasuredRun, TrainJob
from tonnage.truth.cases import Skip, number, read_cases, required
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row
from tonnage.truth.training import training_job


def measured(path: Path, job: TrainJob, system: System, catalog: Catalog) -> list[MeasuredRun]:
    """Runs of a file; what a row leaves out is taken from the job. Every row that cannot be read is a problem. Of a
    ledger, those that it has on this chip.
    """
    if is_ledger(path):
        return training_runs(path, system.accelerator.name)
    usual = _usual(job, system)
    library = Library(catalog, {json.dumps(usual["model"], sort_keys=True): job.arch, job.arch.name: job.arch})
    found = read_cases(path)
    problems = [Problem(reason, f"{path}:{line}") for reason, line in found.first.items()]
    runs = []
    for line, row in enumerate(found.cases, start=1):
        try:
            whole = _row(usual | dict(row), catalog)
            rate = float(required(number(whole, "published"), "published"))
            runs.append(MeasuredRun(*training_job(whole, library), rate))
        except Skip as reason:
            problems.append(Problem(str(reason), f"{path}:{line}"))
        except InputError as error:
            problems += [replace(one, where=f"{path}:{line}") for one in error.problems]
    if problems:
        raise InputError(problems, hint="rows are written as in docs/cases.md, with published tokens/s per accelerator")
    return runs


def _usual(job: TrainJob, system: System) -> Row:
    """A row of the run that is asked for."""
    usual: Row = {
        "model": {"bundled": job.arch.name},
        "chip": system.accelerator.name,
        "count": system.count,
        "precision": job.precision,
        "seq": job.seq,
        "global_batch": job.global_batch,
        "task": job.task,
        "framework": job.framework,
        "date": None if job.date is None else f"{job.date:%Y-%m}",
    }
    return {key: value for key, value in usual.items() if value is not None}


def _row(row: Row, catalog: Catalog) -> Row:
    """Short ways to write a row: a model by its name, a chip by a short one, a layout as people write it."""
    if isinstance(row["model"], str):
        row["model"] = {"bundled": row["model"]}
    if isinstance(row["chip"], str):
        row["chip"] = catalog.chip(row["chip"])
    if isinstance(row.get("layout"), str):
        degrees: Row = dict(parse_layout(row["layout"], "layout"))
        if "recompute" in degrees:
            degrees["recompute"] = RECOMPUTE[degrees["recompute"]]
        if "schedule" in degrees:
            name = SCHEDULE[degrees["schedule"]]
            degrees["schedule"] = "interleaved-1f1b" if name == "interleaved" else name
        if "mbs" in degrees:
            row["micro_batch"] = degrees.pop("mbs")
        row["layout"] = degrees
    return row
