"""R1 trained; R2 trained, killed, resumed, moved to two processes and back, its precision changed once."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2mini.commands import Event, Spent, run, say

KILLED = (60, 190)
"""Steps between which the moment of the kill is drawn."""


@dataclass(frozen=True)
class Leg:
    """A part of the run: its name, flags, and the step at which it ends (None: that of the run)."""

    name: str
    flags: tuple[str, ...] = ()
    until: int | None = None

    def words(self) -> list[str]:
        """Its flags, with where it ends."""
        return [*self.flags, *([] if self.until is None else ["--until", str(self.until)])]


ONE, TWO = ("--nproc", "1"), ("--nproc", "2")
FP32, BF16 = ("--precision", "fp32"), ("--precision", "bf16")

LEGS = (
    Leg("resumed after kill -9", (*ONE, *FP32), 220),
    Leg("moved to two processes", (*TWO, *FP32), 250),
    Leg("moved back to one", (*ONE, *FP32), 280),
    Leg("bf16 products, fp32 masters", (*ONE, *BF16), 300),
    Leg("fp32 again, to the end", (*ONE, *FP32)),
)


def trained(plan: Path, folder: Path, seed: int | None, extra: Sequence[str]) -> list[Spent]:
    """A run from its beginning to its end without troubles (R1)."""
    words = _words(plan, folder, seed, extra)
    spent, last = run("trained", words, _log(folder), _teller(folder.name))
    return [_sound(spent, last)]


def carried_out(plan: Path, folder: Path, seed: int, extra: Sequence[str]) -> list[Spent]:
    """R2's run with its kill and moves; goes on where it was left, should this program have been killed too."""
    at, told, done = kill_at(seed), _teller(f"{folder.parent.name}: R2"), []
    if newest(folder) == 0:
        words = _words(plan, folder, seed, extra)
        spent, _ = run("begun, killed", words, _log(folder), lambda e: told(e) or e.get("step") == at)
        say(f"kill -9 at step {at} ({spent.code})")
        done.append(spent)
    for leg in LEGS:
        if leg.until is not None and newest(folder) >= leg.until:
            continue
        say(leg.name)
        words = ["run", "train", "--resume", "--into", str(folder), *leg.words(), *extra]
        spent, last = run(leg.name, words, _log(folder), told)
        done.append(_sound(spent, last))
    return done


def kill_at(seed: int) -> int:
    """The step at which a seed's run is killed."""
    return random.Random(seed).randint(*KILLED)


def newest(folder: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*[0-9]")), default=0)


def journal(folder: Path) -> list[dict[str, Any]]:
    """All events of a run."""
    found = []
    for line in (folder / "events.jsonl").read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # a line that a killed process left half
            continue
    return found


def _words(plan: Path, folder: Path, seed: int | None, extra: Sequence[str]) -> list[str]:
    words = ["run", "train", str(plan), "--into", str(folder), *extra]
    words += [] if seed is None else ["--seed", str(seed)]
    return [*words, "--resume"] if (folder / "plan.json").exists() else words


def _log(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.parent / f"{folder.name}.log"


def _teller(name: str) -> Any:
    def told(event: Event) -> bool:
        if event.get("event") == "step" and event["step"] % 50 == 0:
            score = f", reward {event['reward']:.2f}" if "reward" in event else ""
            say(
                f"{name}: step {event['step']}/{event['of']}, loss {event['loss']:.3f}{score}, {event['seconds']:.2f} s"
            )
        elif event.get("event") == "evaluated":
            say(f"{name}: after {event['after']}: {event['sampled']:.1%} sampled, {event['greedy']:.1%} greedy")
        return False

    return told


def _sound(spent: Spent, last: Event) -> Spent:
    if spent.code != 0:
        raise SystemExit(f"{spent.name}: ended with {spent.code}: {json.dumps(last)[:500]}")
    return spent
