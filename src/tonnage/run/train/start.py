"""A run begun, resumed or moved: in this process, or in several that torchrun starts and starts again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tonnage.device.checkpoint import Saved, Store
from tonnage.device.kinds import KINDS
from tonnage.errors import InputError, Problem
from tonnage.model import build, params
from tonnage.run.train import journal, network
from tonnage.run.train.journal import Event
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks, join, leave
from tonnage.run.train.trainer import CHECKPOINTS, Disturb, StoppedError, Trainer, refuse_other
from tonnage.units import show_memory

PLAN, ENDED, LOCK = "plan.json", "ended.json", "lock"

RESTARTS = 3
"""How often torchrun starts all processes again when one is lost; each time they resume."""

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Ended:
    """How a run ended: `feasible`, or why not in a word and a sentence; and what it showed.

    gates: by name, in units of eps sqrt(K); switch: seconds and cost of moving; evaluated: by the stage after which.
    """

    reason: str = "feasible"
    text: str = ""
    lift: str = ""
    step: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    gates: dict[str, float] = field(default_factory=dict)
    switch: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One run in a folder at a time; the lock goes with the process that holds it, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(Problem("another process is running in this folder", str(folder))) from None
        yield


def begun_at(folder: Path) -> int | None:
    """The step of the newest whole checkpoint in a folder, None when no run was begun there."""
    if not (folder / PLAN).exists():
        return None
    saved, _ = Store(folder / CHECKPOINTS, 1).newest()
    return saved.step if saved else 0


def carried_out(plan: RunPlan, folder: Path, tell: Tell, until: int | None = None) -> Ended:
    """The run to its end, or to step `until`, from its newest checkpoint where there is one."""
    why = KINDS[plan.device].missing(plan.nproc)
    if why is not None:
        return Ended("device", f"{plan.device} cannot be used: {why}", "another --device")
    if (lacks := beyond_memory(plan)) is not None:
        return Ended("memory", lacks, "a larger --scale, or smaller sizes")
    with locked(folder):
        saved, _ = Store(folder / CHECKPOINTS, plan.keep).newest()
        if saved is not None:
            refuse_other(saved, plan)
        file = folder / PLAN
        before = file.read_text() if file.exists() else None
        file.write_text(json.dumps(plan.to_json(), indent=1))
        ended = (one_process if plan.nproc == 1 else _several)(plan, folder, tell, until)
        if ended.reason == "numerics" and before is not None:
            file.write_text(before)
        return ended


BYTES = 16.0
"""Of a parameter that is trained in fp32 by AdamW: weight, gradient, two moments."""


def beyond_memory(plan: RunPlan) -> str | None:
    """Why the model of a plan cannot lie on its devices; None where it can, or where nothing is known of them.

    Raises InputError for sizes that no model of this architecture can have.
    """
    sizes = network.configuration(plan)
    needs = BYTES * float(params(build(sizes, name=plan.model)).total)
    has = KINDS[plan.device].memory()
    own = needs if plan.device == "cpu" else needs / plan.nproc
    if has is None or own <= has:
        return None
    return f"weights, gradients and moments take {show_memory(own)}, the device has {show_memory(has)}"


def one_process(
    plan: RunPlan, folder: Path, tell: Tell, until: int | None = None, disturb: Disturb | None = None
) -> Ended:
    """The part of a run that falls to this process: all of it unless torchrun started others."""
    began = time.perf_counter()

    def both(event: Event) -> None:
        journal.append(folder, event)
        tell(event)

    ranks = join(KINDS[plan.device], plan.threads, plan.hang)
    try:
        before, _ = Store(folder / CHECKPOINTS, plan.keep).newest()
        if before is not None:
            refuse_other(before, plan)
        trainer = Trainer(plan, folder, ranks, both, disturb)
        try:
            ended = _begun(trainer, ranks, began)
            return ended if ended.reason != "feasible" else _run(trainer, ended, until)
        finally:
            trainer.watch.end()  # whatever stops the run: nobody is left to be ended for a hang
    finally:
        leave(ranks)


def _begun(trainer: Trainer, ranks: Ranks, began: float) -> Ended:
    """Resumed and, where the device, the processes or the precision are others, let through the gates."""
    plan, folder = trainer.plan, trainer.folder
    known = journal.steps(folder)
    saved = trainer.resume()
    for key, name in (("seconds", "spent"), ("cost", "cost")):
        before = max((float(event[name]) for event in known.values()), default=0.0)
        setattr(trainer.progress, key, max(getattr(trainer.progress, key), before))
    here = {"device": plan.device, "nproc": ranks.size, "precision": plan.precision, "threads": plan.threads}
    here["title"] = trainer.kind.title()
    if saved is None:
        trainer.tell("start", **here, name=plan.name, of=plan.steps)
        return Ended()
    redone = max(known, default=saved.step) - saved.step
    if not moved(saved, plan, ranks):
        trainer.tell("resume", **here, redone=redone, seconds=time.perf_counter() - began)
        return Ended()
    found = trainer.gates(saved)
    units = {gate.name: gate.units for gate in found}
    failed = [gate for gate in found if not gate.passes]
    if failed:
        said = ", ".join(f"{gate.name} {gate.units:.3g} (at most {gate.limit:g})" for gate in failed)
        text = f"this device does not compute what the last one did, in units of eps sqrt(K): {said}"
        trainer.tell("refused", text=text, gates=units)
        return Ended("numerics", text, "resume on the device that wrote the checkpoint", saved.step, gates=units)
    took = time.perf_counter() - began
    switch = {"seconds": took, "cost": took * plan.price * ranks.size, "redone": float(redone)}
    trainer.spend(took)
    was = {key: saved.meta[key] for key in ("device", "nproc", "precision")}
    trainer.tell("switch", **here, before=was, gates=units, **switch)
    return Ended(gates=units, switch=switch)


def moved(saved: Saved, plan: RunPlan, ranks: Ranks) -> bool:
    """Whether the run goes on with another device, number of processes or precision."""
    now = {"device": plan.device, "nproc": ranks.size, "precision": plan.precision}
    return any(saved.meta[key] != value for key, value in now.items())


def _run(trainer: Trainer, ended: Ended, until: int | None) -> Ended:
    plan = trainer.plan
    try:
        trainer.run(until)
        if trainer.progress.step >= plan.steps:
            trainer.export()
            trainer.tell("done")
        reason, text, lift = "feasible", "", ""
    except StoppedError as stop:
        reason, text, lift = stop.reason, str(stop), "look at the events of the run; another device with --device"
        trainer.tell("stopped", text=text)
    now = trainer.progress
    return Ended(reason, text, lift, now.step, now.seconds, now.cost, ended.gates, ended.switch)


def _several(plan: RunPlan, folder: Path, tell: Tell, until: int | None) -> Ended:
    """Several processes by torchrun, whose first writes events as lines of JSON."""
    (folder / ENDED).unlink(missing_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={plan.nproc}"]
    command += [f"--max-restarts={RESTARTS}", "-m", "tonnage.run.train.worker", str(folder)]
    command += [] if until is None else [str(until)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    with (
        (folder / "torchrun.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True) as process,
    ):
        try:
            for line in process.stdout or ():
                with contextlib.suppress(ValueError):
                    tell(json.loads(line))
        finally:
            process.terminate()
    if not (folder / ENDED).exists():
        text = f"a process was lost {RESTARTS + 1} times; torchrun.log in {folder} says why"
        return Ended("worker", text, "resume with --resume, or with fewer processes")
    return Ended(**json.loads((folder / ENDED).read_text()))


def worker(folder: Path, until: int | None = None) -> None:
    """One process that torchrun started."""
    from tonnage.run.train.plan import read_kept

    def tell(event: Event) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    plan = read_kept(folder / PLAN)
    ended = one_process(plan, folder, tell, until)
    if int(os.environ.get("RANK", "0")) == 0:
        (folder / ENDED).write_text(json.dumps(asdict(ended)))


def summary(plan: RunPlan, folder: Path, ended: Ended) -> dict[str, Any]:
    """What a run showed, as plain values: for the answer and for whoever keeps predictions against outcomes."""
    lines = journal.steps(folder)
    found = [event for event in journal.events(folder) if event.get("event") == "evaluated"]
    measured: dict[str, list[float]] = {}
    for event in lines.values():
        measured.setdefault(event["stage"], []).append(float(event["seconds"]))
    predicted = {
        event["stage"]: event["step_time"] for event in journal.events(folder) if event.get("event") == "predicted"
    }
    return {
        "plan": plan.to_json(),
        "step": ended.step,
        "steps": plan.steps,
        "seconds": ended.seconds,
        "cost": ended.cost,
        "loss": next((event["loss"] for event in reversed(lines.values())), None),
        "evaluated": {
            event["after"]: {k: v for k, v in event.items() if k not in ("event", "after")} for event in found
        },
        "step_time": {stage: sorted(times)[len(times) // 2] for stage, times in measured.items()},
        "predicted_step_time": predicted,
        "troubles": journal.counts(folder),
        "gates": ended.gates,
        "switch": {**ended.switch, "planned": {k: v for k, v in plan.planned.items() if k.startswith("switch")}},
    }
