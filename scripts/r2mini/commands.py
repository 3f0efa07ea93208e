"""Commands of `tonnage` run as processes: events read as they come, time by the clock and on the processor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TONNAGE = (sys.executable, "-m", "tonnage")

BEGINNINGS = ("start", "resume", "switch")
"""Events with which a training run begins or goes on."""

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Spent:
    """What one command took: its name, seconds by the clock and on the processor (children too), those on the processor
    until its run began, load of the machine before it, and its exit code (negative: the signal that ended it).
    """

    name: str
    wall: float
    cpu: float
    begun: float
    load: float
    code: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run(
    name: str, words: Sequence[str], log: Path, seen: Callable[[Event], bool] = lambda event: False
) -> tuple[Spent, Event]:
    """A command with --json to its end: what it took, and its last event. Where `seen` is true it is killed."""
    began, load = time.monotonic(), os.getloadavg()[0]
    last: Event = {}
    begun = 0.0
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*TONNAGE, *words, "--json"], stdout=subprocess.PIPE, stderr=out, env=environment(), start_new_session=True
        )
        for event in events(process):
            last = event
            if event.get("event") in BEGINNINGS:
                begun = busy(process.pid)
            if seen(event):
                os.killpg(process.pid, signal.SIGKILL)
                break
        assert process.stdout
        process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, cpu = time.monotonic() - began, used.ru_utime + used.ru_stime
    return Spent(name, wall, cpu, begun, load, process.returncode), last


def events(process: subprocess.Popen[bytes]) -> Iterator[Event]:
    """The lines of a process that are JSON objects."""
    for line in process.stdout or ():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def environment() -> dict[str, str]:
    """Ours; what is printed comes at once, and tonnage is found where this program finds it."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, ahead = [], [root]
    while ahead:
        found.append(ahead.pop())
        ahead += parents.get(found[-1], [])
    return found


def busy(root: int) -> float:
    """Seconds on the processor of a process and its descendants, those that have ended included."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _stat(pid))) / ticks


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name (proc(5)); none where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def kept(path: Path, step: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What a step found; done now unless its file is there."""
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found
    made = dict(step())
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".tmp")
    new.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    new.replace(path)
    return made
