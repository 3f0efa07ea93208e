"""The table of defects: each fault of the simulated device, the verdict that is right, and what caught it.

`python tests/qualify/defects.py` writes docs/defects.md (`make defects`); the tests ask the same in a short form.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parent))

from simulated import Fault, Mode, tiny

from tonnage.device import checkpoint
from tonnage.model import Architecture
from tonnage.qualify import healthy, links, numerics, stability, training
from tonnage.qualify.gate import Subject, Verified
from tonnage.qualify.rates import share_most
from tonnage.qualify.small import SmallRun, Stepped
from tonnage.qualify.verdict import Verdict, verdict

CARDS, DAYS = 8, 0.5
STEPS, SOAKED = 2, 9
TICK = 2_000.0
"""Seconds that a step of the soak takes on the simulated clock."""


@dataclass(frozen=True)
class Defect:
    """A fault, the word that is right, and the subject of a gate that must have failed."""

    name: str
    kind: str
    word: str
    by: tuple[Subject, ...]
    rate: float = 1.0
    on: int = -1


DEFECTS = (
    Defect("sums truncated to bf16", "truncated", "unfit", ("operators", "bias", "width")),
    Defect("results cut instead of rounded", "towards zero", "inference only", ("bias",)),
    Defect("wrong result for one shape", "one shape", "unfit", ("operators",)),
    Defect("bits flipped in 1 % of products", "flips", "unfit", ("replay",), 0.01),
    Defect("bits flipped in 1 of 2,000 products", "flips", "unfit", ("replay",), 1 / 2000),
    Defect("order of sums changes", "wobbles", "inference only", ("repeat", "replay")),
    Defect("no backward operator", "no backward", "inference only", ("operators", "steps")),
    Defect("one link of eight is slow", "slow link", "inference only", ("",), on=5),
    Defect("time of a step grows", "grows", "inference only", ("latency",)),
    Defect("hangs after 400 products", "hang", "unfit", ("hang",), 400),
    Defect("NaN where results overflow", "nan", "unfit", ("overflow",)),
    Defect("checkpoints come back changed", "disk", "inference only", ("checkpoint",)),
    Defect("one bad card of eight", "truncated", "unfit", ("across",), on=3),
)
SOUND = Defect("none", "", "fit for training", ())


class FaultyRun(SmallRun):
    """The soak's work on a simulated device: the layer is entered in the soak's own thread, time is simulated."""

    def __init__(self, model: Architecture, fault: Fault) -> None:
        super().__init__(model, torch.device("cpu"), "bf16")
        self.fault = fault

    def step(self, number: int) -> Stepped:
        self.fault.time += TICK * (1 + (0.05 * number if self.fault.kind == "grows" else 0.0))
        with Mode(self.fault):
            return super().step(number)


@contextmanager
def world(fault: Fault) -> Iterator[None]:
    """What a dispatch mode cannot do: which card computes, and a disk that changes what it keeps."""
    plain = SmallRun.__init__

    def made(self: SmallRun, model: Architecture, device: torch.device, *more: Any) -> None:
        fault.card = device.index or 0
        plain(self, model, device, *more)

    def spoilt(path: Path) -> None:
        if fault.kind == "disk" and path.suffix == ".pt":
            whole = bytearray(path.read_bytes())
            whole[len(whole) // 2] ^= 1
            path.write_bytes(whole)

    with patch.object(training.SmallRun, "__init__", made), patch.object(checkpoint, "sync", spoilt):
        yield


def gates(defect: Defect, model: Architecture, seed: int, soaked: int = SOAKED) -> Iterator[Verified]:
    """All gates on a device with the defect. Speed is another suite's: it passes."""
    fault = Fault(defect.kind, defect.rate, defect.on)
    cards = [torch.device("cpu", index) for index in range(CARDS if defect.on >= 0 else 2)]
    yield Verified("speed", "speed", "inference", "pass")
    with world(fault):
        if defect.kind != "hang":
            with Mode(fault):
                yield from numerics.gates(cards[0], model, others=cards[1:], seed=seed, steps=STEPS)
        else:
            yield from numerics.gates(cards[0], model, others=cards[1:], seed=seed, steps=STEPS)
        fault.card = fault.seen = 0
        with Mode(fault):
            yield from _links(fault, cards)
        work = FaultyRun(model, fault)
        run = stability.PlannedRun(CARDS, DAYS)
        yield from stability.gates(
            cards[0], model, run, seconds=1e9, steps=soaked, cards=CARDS, watchdog=2.0, clock=lambda: fault.time,
            work=work,
        )  # fmt: skip
        fault.gate.set()


def _links(fault: Fault, cards: list[torch.device]) -> Iterator[Verified]:
    times: list[float] = []

    def clock() -> float:
        """Each card takes a second; a slow one the fault's more."""
        fault.card = min(len(cards) - 1, len(times) // (2 * links.REPEATS))
        times.append(1.0)
        return len(times) + fault.time

    yield from links.gates(cards, clock)
    fault.card, fault.time = 0, 0.0


def judged(defect: Defect, model: Architecture, seed: int = 0) -> Verdict:
    """The verdict on a device with the defect; a rare one needs a longer soak."""
    soaked = 4 * SOAKED if defect.rate < 0.01 else SOAKED
    return verdict(gates(defect, model, seed, soaked), "simulated", "tiny", CARDS, DAYS)


def caught(found: Verdict, defect: Defect) -> list[Verified]:
    """Gates that failed, of a subject that must have."""
    return [gate for gate in found.gates if gate.state == "fail" and gate.subject in defect.by]


# the table

RUNS = 20


def main() -> None:
    """Writes the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder))
        rows = [row(defect, model) for defect in DEFECTS]
        sound = [judged(SOUND, model, seed) for seed in range(RUNS)]
    alarms = sum(found.verdict != SOUND.word for found in sound)
    text = HEAD.format(
        day=time.strftime("%Y-%m-%d"), torch=torch.__version__, runs=RUNS, last=RUNS - 1, good=RUNS - alarms,
        alarms=alarms, bound=100 * share_most(alarms, RUNS), gates=len(sound[0].gates),
        bars=healthy.measured_on(),
    )  # fmt: skip
    names = ("defect", "verdict", "right", "gates that failed", "the first", "seconds to it")
    head = "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---"] * len(names)))
    file = Path(__file__).parents[2] / "docs/defects.md"
    file.write_text("\n".join([text, head, *rows, ""]), encoding="utf-8")


def row(defect: Defect, model: Architecture) -> str:
    """One line of the table."""
    found = judged(defect, model)
    failed = [gate for gate in found.gates if gate.state == "fail"]
    until = found.gates[: found.gates.index(caught(found, defect)[0]) + 1] if caught(found, defect) else ()
    first = until[-1].name if until else "none"
    right = "yes" if found.verdict == defect.word and until else "NO"
    seconds = sum(gate.seconds for gate in until)
    return f"| {defect.name} | {found.verdict} | {right} | {len(failed)} | {first} | {seconds:.2g} |"


HEAD = """\
# Defects that qualification catches

Faults put into a simulated device (a torch dispatch mode: tests/qualify/simulated.py), the verdict on each, and the
first gate that must have caught it. Seconds are those of the gates up to it, on one core of a processor on which others
worked too; the soak's clock is simulated. Written by `make defects` on {day}, torch {torch}.

A sound device was *fit for training* {good} times of {runs} (seeds 0 to {last}, {gates} gates each):
{alarms} false alarms, at most {bound:.0f} % at 95 % (Clopper-Pearson). The bars of sound devices were set on
other seeds: {bars}. Each defect is asked with seed 0.
"""


if __name__ == "__main__":
    main()
