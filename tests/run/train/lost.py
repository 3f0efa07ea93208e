"""One of two processes killed in the midst of a run: torchrun starts both again, and they resume.

`python tests/run/train/lost.py FOLDER` compares the losses with those of a run undisturbed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kills import TINY, figures

from tonnage.run.train import journal
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.start import carried_out, one_process

PLAN = replace(TINY, nproc=2, stages=TINY.stages[:1])
LOST = 20
"""Step at which the second process is killed."""

SHORT = replace(PLAN, every=2, stages=(replace(PLAN.stages[0], steps=6),))
SOON = 3
"""The same in `make test`: both forked from a process that has torch imported, started as torchrun would start them."""


def second_of(folder: Path) -> int:
    """Process that trains in a folder as rank 1."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and b"\0RANK=1\0" in environment:
            return int(path.name)
    raise LookupError("no such process")


def lost(root: Path) -> None:
    """Raises AssertionError unless the run ends as the undisturbed one."""
    whole, folder = root / "whole", root / "lost"
    assert carried_out(PLAN, whole, lambda event: None).reason == "feasible"
    killed: list[int] = []

    def tell(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == LOST and not killed:
            killed.append(second_of(folder))
            os.kill(killed[0], signal.SIGKILL)

    how = carried_out(PLAN, folder, tell)
    assert (how.reason, how.step) == ("feasible", PLAN.steps), how
    assert killed and journal.counts(folder)["resume"] >= 1
    assert figures(folder) == figures(whole)


def forked(plan: RunPlan, folder: Path) -> list[int]:
    """Both processes, by their ranks; they find each other at a free port of this machine."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(plan.nproc)}
    children = []
    for rank in range(plan.nproc):
        child = os.fork()
        if not child:
            os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank))
            code = 1
            try:
                code = 0 if one_process(plan, folder, lambda event: None).reason == "feasible" else 1
            finally:
                os._exit(code)
        children.append(child)
    return children


def ended(children: list[int]) -> list[int]:
    """How each ended."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    lost(Path(sys.argv[1]).resolve())
    sys.stdout.write("a process lost: resumed, losses equal to the bit\n")
