"""A script that reads an engine's log, holds its steps against the plan's, and writes what the ledger takes."""

from __future__ import annotations

import json
from pathlib import Path

from tonnage.export.exported import ExportedFile
from tonnage.interval import Interval
from tonnage.train.result import TrainPlan

SCRIPT = Path(__file__).parent / "data" / "check_steps.py"

MARK = "PLANNED: dict[str, float | str] = {}"
"""The line of the script that the plan takes."""


def files(plan: TrainPlan, engine: str) -> tuple[ExportedFile, ...]:
    """The check of a plan's run; `tonnage run` keeps a ledger itself."""
    if engine == "run":
        return ()
    step = _step(plan, engine)
    tokens = float(plan.job.seq) * plan.job.global_batch
    told = {"engine": engine, "step_time": step.value, "low": step.low, "high": step.high}
    told |= {"tokens": tokens, "ranks": int(plan.layout.ranks) if plan.layout is not None else 0}
    text = SCRIPT.read_text(encoding="utf-8").replace(MARK, f"{MARK.partition(' =')[0]} = {json.dumps(told)}", 1)
    return (ExportedFile("check.py", text, True),)


def _step(plan: TrainPlan, engine: str) -> Interval:
    """Seconds of what the engine logs as a step: of verl a round."""
    if engine == "verl" and plan.rl is not None and plan.rl.rounds is not None:
        rounds = plan.rl.rounds
        return Interval(rounds.each.total, rounds.shortest, rounds.longest)
    assert plan.step_time is not None
    return plan.step_time
