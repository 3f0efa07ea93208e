"""One of two processes killed in the midst of a run: torchrun starts both again, and they resume.

`python tests/run/train/lost.py FOLDER` compares the losses with those of a run undisturbed.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kills import TINY, figures

from tonnage.run.train import journal
from tonnage.run.train.start import carried_out

PLAN = replace(TINY, nproc=2, stages=TINY.stages[:1])
LOST = 20
"""Step at which the second process is killed."""


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

    ended = carried_out(PLAN, folder, tell)
    assert (ended.reason, ended.step) == ("feasible", PLAN.steps), ended
    assert killed and journal.counts(folder)["resume"] == 1
    assert figures(folder) == figures(whole)


if __name__ == "__main__":
    lost(Path(sys.argv[1]).resolve())
    sys.stdout.write("a process lost: resumed, losses equal to the bit\n")
