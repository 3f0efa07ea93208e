"""A training plan as every engine needs it: its layout on servers, its steps, and whether an engine may have it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from tonnage.catalog.capabilities import in_server
from tonnage.export.exported import CannotExport
from tonnage.layout import RECOMPUTE, SCHEDULE, Layout
from tonnage.system import Accelerator
from tonnage.train.frameworks import canonical
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan

MODEL = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""An id that stands in a script as one word."""


@dataclass(frozen=True)
class TrainLaunch:
    """nodes: servers that work; each: ranks of one; microbatches: of a step on a replica; steps: of the whole run, None
    where its tokens are not given; model: its id, `$MODEL` where it has none.
    """

    job: TrainJob
    layout: Layout
    chip: Accelerator
    nodes: int
    each: int
    microbatches: int
    steps: int | None
    model: str
    plan: TrainPlan

    @property
    def ranks(self) -> int:
        """Ranks that work."""
        return int(self.layout.ranks)

    @property
    def schedule(self) -> str:
        """Order of micro-batches in the pipeline, by name."""
        return SCHEDULE[int(self.layout.schedule)]

    @property
    def recompute(self) -> str:
        """What is computed again, by name."""
        return RECOMPUTE[int(self.layout.recompute)]


def launched(plan: TrainPlan, engine: str) -> TrainLaunch:
    """The plan on its servers. Raises CannotExport where there is nothing to start, or where ranks fill no servers."""
    layout = plan.layout
    if not plan.outcome.feasible or layout is None:
        raise CannotExport(engine, "the plan is infeasible: there is nothing to start")
    job, chip = plan.job, plan.system.accelerator
    ranks, each = int(layout.ranks), in_server(chip.name) * chip.dies
    if ranks > each and ranks % each:
        raise CannotExport(engine, f"{ranks:,} ranks fill no whole servers of {each}")
    batch = int(layout.dp) * int(layout.mbs)
    if job.global_batch % batch:
        raise CannotExport(engine, f"{job.global_batch} sequences do not divide over dp x mbs = {batch}")
    steps = None if job.tokens is None else max(1, ceil(job.tokens / job.tokens_per_step - 1e-9))
    model = _word(job.arch.name) or "$MODEL"
    return TrainLaunch(
        job, layout, chip, -(-ranks // each), min(ranks, each), job.global_batch // batch, steps, model, plan
    )


def _word(text: str) -> str | None:
    """An id that a script takes as one word; None for another text, which a saved plan may have from anybody."""
    return text if MODEL.fullmatch(text) else None


def priced_for(run: TrainLaunch, engine: str, names: Collection[str | None], usual: str) -> None:
    """Raises CannotExport where the plan was priced for another framework, whose steps and memory differ.

    names: frameworks whose plans the engine carries out, None where none was named; usual: what to ask for.
    """
    said = None if run.job.framework is None else canonical(run.job.framework)
    if said not in names:
        priced = said or "the newest Megatron-like stack"
        hint = f"tonnage train ... --framework {usual} -o plan.json, then export that"
        raise CannotExport(engine, f"the plan was priced for {priced}, whose steps and memory differ", hint)


def refuse(engine: str, refused: bool, why: str, hint: str = "") -> None:
    """Raises CannotExport with what an engine cannot do."""
    if refused:
        raise CannotExport(engine, why, hint)


def runs_on(run: TrainLaunch, engine: str, stacks: Collection[str]) -> None:
    """Raises CannotExport for a chip that the engine is not known to run on."""
    if run.chip.stack not in stacks:
        raise CannotExport(engine, f"is not known to train on {run.chip.name} ({run.chip.stack or 'stack unknown'})")


__all__ = ["TrainLaunch", "launched", "priced_for", "refuse", "runs_on"]
