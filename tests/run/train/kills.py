"""Training killed with SIGKILL at random moments and resumed, against the same training undisturbed.

`python tests/run/kills.py 50 0 FOLDER` kills 50 times with seed 0. Children are forked from a process that has torch
imported and has computed nothing, so that an attempt costs what it trains.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch._dynamo
import torch.distributed.checkpoint.state_dict
import torch.distributed.fsdp
import transformers.models.deepseek_v3.modeling_deepseek_v3

from tonnage.run.train import journal
from tonnage.run.train.plan import GRPO, PRETRAIN, RunPlan
from tonnage.run.train.start import one_process

IMPORTED = (torch, transformers)
"""Before the forks: what a run imports."""

STEPS, RL = 36, 3
TINY = RunPlan(
    name="tiny",
    scale=112,
    stages=(
        replace(PRETRAIN, steps=STEPS, warm_up=4, batch=6),
        replace(GRPO, steps=RL, prompts=2, group=3, tokens=10),
    ),
    every=3,
    keep=2,
    evaluate=0,
    hang=0,
)


def attempt(plan: RunPlan, folder: Path) -> int:
    """Starts or resumes the run in a child."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = 0 if one_process(plan, folder, lambda event: None).reason == "feasible" else 1
    finally:
        os._exit(code)


def to_the_end(plan: RunPlan, folder: Path) -> float:
    """Lets it run; returns the time it took."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    _, status = os.waitpid(attempt(plan, folder), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.monotonic() - began


def kill(plan: RunPlan, folder: Path, after: float, saves: int) -> bool:
    """Kills an attempt after a time that counts from its start or, where `saves` says how many, from the beginning of
    its n-th save, which lasts about a tenth of a second; whether it was still running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    child = attempt(plan, folder)
    seen: set[str] = set()
    while len(seen) < saves and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        seen |= {path.name for path in folder.glob("checkpoints/*.tmp")}
        time.sleep(0.002)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def figures(folder: Path) -> dict[int, tuple[float, int]]:
    """Loss and checksum of the data of each step."""
    return {step: (event["loss"], event["data"]) for step, event in journal.steps(folder).items()}


def killed(kills: int, seed: int, root: Path) -> tuple[int, int, int]:
    """(kills, of them while a checkpoint was written, runs): every run's steps equal those undisturbed, to the bit."""
    plan, draw = replace(TINY, seed=seed), random.Random(seed)
    whole = to_the_end(plan, root / "whole")
    expected = figures(root / "whole")
    assert len(expected) == plan.steps
    done = saving = runs = 0
    while done < kills:
        folder, runs = root / f"run-{runs}", runs + 1
        while done < kills:
            saves = draw.choice((0, 1, 2))
            if not kill(plan, folder, draw.uniform(0, 0.1) if saves else draw.uniform(0.02, 0.6) * whole, saves):
                break
            done += 1
            saving += any((folder / "checkpoints").glob("*.tmp"))
        to_the_end(plan, folder)
        assert figures(folder) == expected, f"run {runs - 1} of seed {seed}"
    return done, saving, runs


if __name__ == "__main__":
    count, first, where = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    done, saving, runs = killed(count, first, where)
    sys.stdout.write(
        f"{done} kills, {saving} during a save, {done} resumes, {runs} runs: all losses equal to the bit\n"
    )
