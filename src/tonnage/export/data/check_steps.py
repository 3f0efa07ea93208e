#!/usr/bin/env python3
"""Hold the steps of a run against its plan.

    python3 check.py train.log

Reads the log that the engine wrote, leaves the first steps out (they compile and fill caches), and compares the median
of the rest with the plan's step time and its 90 % interval. Writes measured.jsonl; with PLAN and RUN in the environment
(ids of `tonnage ledger`) it is added to the ledger, SINCE being the day on which a new run began.
Exit code: 0 within the interval, 1 outside, 2 where the log has no steps.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

PLANNED: dict[str, float | str] = {}

WARM_UP = 5
"""Steps left out at the beginning, where there are more than twice as many."""

NUMBER = r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)"

MEGATRON = (r"iteration\s+(\d+)\s*/", rf"elapsed time per iteration \(ms\): {NUMBER}", rf"lm loss: {NUMBER}", 1e-3)

PATTERNS: dict[str, tuple[str, str, str, float]] = {
    "megatron": MEGATRON,
    "mindspeed": MEGATRON,
    "bridge": MEGATRON,
    "verl": (
        r"step:(\d+)",
        rf"perf/time_per_step:(?:np\.float64\()?{NUMBER}",
        rf"critic/score/mean:(?:np\.float64\()?{NUMBER}",
        1.0,
    ),
    "torchtitan": (r"step:\s*(\d+)", rf"tps: {NUMBER}", rf"loss:\s*{NUMBER}", 0.0),
}
"""Engine -> (number of the step, its time, its loss or of verl its score, seconds of a unit of the time); torchtitan
says tokens a second of a device instead."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def steps(text: str, engine: str) -> dict[int, tuple[float, float | None]]:
    """Step -> (seconds, loss), the last line that says it."""
    number, time, loss, unit = (re.compile(one) if isinstance(one, str) else one for one in PATTERNS[engine])
    found: dict[int, tuple[float, float | None]] = {}
    for line in COLOUR.sub("", text).splitlines():
        which, took = number.search(line), time.search(line)  # type: ignore[union-attr]
        if not which or not took or "validate" in line:
            continue
        value = float(took[1].replace(",", ""))
        if value <= 0:
            continue
        if unit == 0.0:
            value = float(PLANNED["tokens"]) / (value * float(PLANNED["ranks"]))
        else:
            value *= float(unit)  # type: ignore[arg-type]
        said = loss.search(line)  # type: ignore[union-attr]
        found[int(which[1])] = (value, None if said is None else float(said[1].replace(",", "")))
    return found


def main(arguments: list[str]) -> int:
    """Compare, write, add."""
    if len(arguments) != 1:
        print("usage: check.py LOG", file=sys.stderr)
        return 2
    found = steps(Path(arguments[0]).read_text(encoding="utf-8", errors="replace"), str(PLANNED["engine"]))
    if not found:
        print(f"{arguments[0]}: no steps as {PLANNED['engine']} writes them", file=sys.stderr)
        return 2
    kept = sorted(found)[WARM_UP if len(found) > 2 * WARM_UP else 0 :]
    middle = statistics.median(found[step][0] for step in kept)
    planned, low, high = (float(PLANNED[name]) for name in ("step_time", "low", "high"))
    inside = low <= middle <= high
    row: dict[str, float] = {"step": max(found), "step_time": middle}
    losses = [found[step][1] for step in kept if found[step][1] is not None]
    if losses:
        row["score" if PLANNED["engine"] == "verl" else "loss"] = float(losses[-1] or 0.0)
    Path("measured.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    where = "within" if inside else "outside"
    print(f"{middle:.4g} s a step over {len(kept)} steps; planned {planned:.4g} s, {where} {low:.4g} to {high:.4g} s")
    if os.environ.get("PLAN"):
        words = ["tonnage", "ledger", "add", os.environ["PLAN"], "--measured", "measured.jsonl"]
        words += ["--run", os.environ["RUN"]] if os.environ.get("RUN") else []
        words += ["--since", os.environ["SINCE"]] if os.environ.get("SINCE") else []
        subprocess.run(words, check=True)
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
