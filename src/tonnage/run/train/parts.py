"""A run in parts, for the ledger: what each stage was predicted to take on each device, and what it took.

A part is a stage on one kind of device, number of processes and precision. The first prediction that was said for it
counts, which was said before its first step.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tonnage import __version__, files
from tonnage.ledger import CarriedOut, Plain, run_name
from tonnage.provenance import SCHEMA
from tonnage.run.train import journal
from tonnage.run.train.curve import BEGINNINGS
from tonnage.run.train.journal import Event
from tonnage.run.train.plan import RunPlan

INTERRUPTS = ("resume", "rollback")
"""Events that say that a run was interrupted, once a step follows."""

FORETOLD = ("step_time", "step_time_low", "step_time_high", "step_cpu_time")
"""What a prediction says, by the ledger's names."""


@dataclass
class RunPart:
    """Where a stage ran and what was seen of it. place: stage, device, processes, precision, title of the device;
    steps: the last line of each.
    """

    place: tuple[int, str, int, str, str]
    predicted: dict[str, float] = field(default_factory=dict)
    steps: dict[int, Event] = field(default_factory=dict)
    spent: float = 0.0
    cost: float = 0.0
    interruptions: int = 0


def parts(plan: RunPlan, folder: Path) -> tuple[RunPart, ...]:
    """The parts of a run in the order in which they began."""
    found: dict[tuple[int, str, int, str], RunPart] = {}
    owner: dict[int, RunPart] = {}
    here, spent, cost, interrupted = ("", 1, "", ""), 0.0, 0.0, 0
    for event in journal.events(folder):
        kind, step = event.get("event"), int(event.get("step", 0))
        if kind in BEGINNINGS:
            here = (event["device"], event["nproc"], event["precision"], str(event.get("title", event["device"])))
        number = min(plan.stage_at(step - (kind == "step"))[0], len(plan.stages) - 1)
        part = found.setdefault((number, *here[:3]), RunPart((number, *here)))
        if kind == "predicted" and not part.predicted:
            part.predicted = {name: float(event[name]) for name in FORETOLD if event.get(name)}
        if kind in INTERRUPTS:
            interrupted += 1
        if kind == "step":
            part.interruptions, interrupted = part.interruptions + interrupted, 0
            if (before := owner.get(step)) is not None and before is not part:
                before.steps.pop(step)
            owner[step], part.steps[step] = part, event
            part.spent, spent = part.spent + max(0.0, float(event["spent"]) - spent), float(event["spent"])
            part.cost, cost = part.cost + max(0.0, float(event["cost"]) - cost), float(event["cost"])
    return tuple(part for part in found.values() if part.steps)


def carried(plan: RunPlan, folder: Path) -> tuple[CarriedOut, ...]:
    """Each part as a ledger keeps it."""
    first: Event = next(journal.events(folder), {})
    at = float(first.get("at", 0.0))
    started = datetime.datetime.fromtimestamp(at, datetime.UTC).date()
    token = files.digest([plan.identity().encode(), repr(at).encode()])[:6]
    return tuple(_kept(plan, part, f"{plan.name[:24]}-{token}", started, folder) for part in parts(plan, folder))


def _kept(plan: RunPlan, part: RunPart, name: str, started: datetime.date, folder: Path) -> CarriedOut:
    number, device, nproc, precision, title = part.place
    stage = plan.stages[number]
    inputs = {
        "model": f"{plan.model} 1:{plan.scale:g}",
        "name": plan.name,
        "stage": stage.kind,
        "steps": stage.steps,
        "device": device,
        "nproc": nproc,
        "precision": precision,
        "seed": plan.seed,
    }
    answer: dict[str, object] = {
        "schema": SCHEMA,
        "command": "run train",
        "version": __version__,
        "inputs": inputs,
        "engine": "torch",
        "plan": {"system": {"accelerator": {"name": title}, "count": nproc}},
        "carried_out": plan.identity(),
        **part.predicted,
        **_of_the_stage(part.predicted, stage.steps, plan.price * nproc),
    }
    run = run_name(name, f"{number}{stage.kind}", f"{device}{nproc}", precision)
    return CarriedOut(answer, run, started, _values(part, stage.steps), _row(plan, part), str(folder / journal.FILE))


def _of_the_stage(predicted: Mapping[str, float], steps: int, price: float) -> dict[str, float]:
    """What the whole stage was to take there: its steps, and their price."""
    found: dict[str, float] = {}
    for end in ("", "_low", "_high"):
        if (step := predicted.get(f"step_time{end}")) is not None:
            found[f"wall_time{end}"] = step * steps
            if price:
                found[f"cost{end}"] = step * steps * price
    return found


def _values(part: RunPart, steps: int) -> dict[str, float]:
    """What was measured; of the whole stage only where all of it ran there."""
    busy = [float(event["cpu_seconds"]) for event in part.steps.values()]
    took = [float(event["seconds"]) for event in part.steps.values()]
    values = {
        "step_time": median(took),
        "step_cpu_time": median(busy),
        "cpu_time": sum(busy),
        "step": float(max(part.steps)),
        "interruptions": float(part.interruptions),
    }
    if len(part.steps) == steps:
        values |= {"wall_time": sum(took), "duration": part.spent, "cost": part.cost}
    return {name: value for name, value in values.items() if value > 0 or name == "interruptions"}


def _row(plan: RunPlan, part: RunPart) -> Plain:
    """Everything that was seen, whole stage or not."""
    last = part.steps[max(part.steps)]
    seen: Sequence[str] = ("loss", "reward", "length", "kept")
    row: dict[str, Any] = {"steps": len(part.steps), "of": plan.stages[part.place[0]].steps}
    row |= {"seconds": part.spent, "dollars": part.cost, "interruptions": part.interruptions}
    return row | {name: last[name] for name in seen if name in last}
