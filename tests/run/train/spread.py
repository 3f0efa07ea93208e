"""A change of precision through the steep part of training, beside what bf16 itself leaves open there.

`python tests/run/train/spread.py FOLDER`: a run with products in bf16 goes on from the same step uninterrupted; moved
to fp32 and back; with its weights rounded to bf16 once, each up or down by chance, as every product rounds them anyway;
and, as a control, with its moments lost. Moved runs must lie as near to the uninterrupted one as rounded ones do, as
far as their ranks can tell (5 %), and the control far outside.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from kills import TINY

from tonnage.run.train import curve, journal
from tonnage.run.train.plan import Phase, RunPlan
from tonnage.run.train.start import one_process
from tonnage.run.train.trainer import Disturb, Trainer

STEPS, AT, MOVED = 45, 15, (8, 10, 12)
"""Steps of the run, the step from which runs differ, and steps in fp32."""
ROUNDED = 5
SURELY = 0.05

STAGE = replace(TINY.stages[0], steps=STEPS, rate=3e-3, batch=12, curriculum=(Phase(1.0, 1.0),))
PLAN = replace(TINY, precision="bf16", every=AT, keep=3, stages=(STAGE, TINY.stages[1]))


def once(change: Disturb) -> Disturb:
    """A change before the step from which runs differ, done once."""
    done: list[int] = []

    def disturb(trainer: Trainer, step: int) -> None:
        if step == AT and not done:
            done.append(step)
            change(trainer, step)

    return disturb


def rounded(seed: int) -> Disturb:
    """Each weight to one of its neighbours in bf16, by chance as near as it is: no bias."""

    def change(trainer: Trainer, step: int) -> None:
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in trainer.model.parameters():
                bits = value.view(torch.int32)
                low = torch.randint(0, 1 << 16, bits.shape, generator=random, dtype=torch.int32)
                bits.add_(low).bitwise_and_(-(1 << 16))

    return once(change)


def lost(trainer: Trainer, step: int) -> None:
    """AdamW's moments as at the beginning."""
    for state in trainer.made.state.values():
        for value in state.values():
            value.zero_()


def smoothed(folder: Path, name: str, legs: list[tuple[RunPlan, int]], disturb: Disturb | None = None) -> np.ndarray:
    """The smoothed losses of a run that goes on from the common beginning."""
    run = folder / name
    shutil.copytree(folder / "begun", run)
    for plan, until in legs:
        assert one_process(plan, run, lambda event: None, until, disturb).reason == "feasible"
    losses = {**journal.losses(folder / "begun"), **journal.losses(run)}
    return np.array(curve.smoothed([losses[step] for step in sorted(losses)]))[:STEPS]


def rarity(moved: list[float], others: list[float]) -> float:
    """Probability, were all alike, that the moved ones lie as far out by the sum of their ranks (Wilcoxon's test)."""
    ranks = np.argsort(np.argsort([*moved, *others]))
    seen = ranks[: len(moved)].sum()
    sums = [sum(pick) for pick in combinations(range(len(ranks)), len(moved))]
    return float(np.mean([one >= seen for one in sums]))


def main(folder: Path) -> None:
    """Run all, print, and fail where the statement does not hold."""
    (folder / "begun").mkdir(parents=True)
    one_process(PLAN, folder / "begun", lambda event: None, AT)
    whole = smoothed(folder, "whole", [(PLAN, STEPS)])
    other = replace(PLAN, precision="fp32")
    runs = {f"moved {n}": smoothed(folder, f"moved-{n}", [(other, AT + n), (PLAN, STEPS)]) for n in MOVED}
    runs |= {f"rounded {k}": smoothed(folder, f"rounded-{k}", [(PLAN, STEPS)], rounded(k)) for k in range(ROUNDED)}
    runs["moments lost"] = smoothed(folder, "lost", [(PLAN, STEPS)], once(lost))
    apart = {name: float(np.abs(losses / whole - 1).max()) for name, losses in runs.items()}
    for name, value in apart.items():
        sys.stdout.write(f"{name}: {100 * value:.2f} % from the uninterrupted run, smoothed\n")
    moved, others = ([apart[name] for name in apart if name.startswith(kind)] for kind in ("moved", "rounded"))
    rare = rarity(moved, others)
    sys.stdout.write(f"moved runs as far out, were all alike: probability {rare:.2f}\n")
    assert rare > SURELY, "the move does more than bf16's own rounding"
    assert apart["moments lost"] > 3 * max(*moved, *others), "the comparison would not see a move that is wrong"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
