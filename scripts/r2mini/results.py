"""What all steps left, in one mapping: every prediction beside its outcome, and what the pictures are drawn from."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r2mini.training import journal

BAR = 0.15
"""Largest error of a prediction of time that counts as kept."""

GAIN = 0.30
"""Least gain of sampled accuracy by reinforcement learning, of each seed."""

WHOLE = 1800.0
"""Most time on the processor of everything [s]: 30 CPU minutes."""

CLEAR = BAR / 2
"""Largest standard error of a comparison by the clock with which a bar can be held to it."""

BIN = 0.5
"""Width of a bar in the pictures of canaries [s]."""

Plain = dict[str, Any]


def gathered(folder: Path, seeds: Sequence[int]) -> Plain:
    """Everything, from the files of the steps."""
    r1 = _training(folder / "r1", _read(folder / "r1.json"))
    found: Plain = {"r1": r1, "seeds": {}}
    for seed in seeds:
        own = folder / f"seed-{seed}"
        trained = _read(own / "trained.json")
        launched = _read(own / "launched.json") if (own / "launched.json").exists() else {}
        one = {"killed_at": trained["killed_at"], **_training(own / "r2", trained), **_launch(launched)}
        one["predictions"] = predictions(one, r1)
        found["seeds"][str(seed)] = one
    served = folder / "served.json"
    found["served"] = _only(_read(served), "starting", "calibrated", "length", "cpu", "wall") if served.exists() else {}
    found["cpu"] = (
        r1["cpu"]
        + found["served"].get("cpu", 0.0)
        + sum(one["cpu"] + one["launch_cpu"] for one in found["seeds"].values())
    )
    return found


def _read(path: Path) -> Plain:
    found: Plain = json.loads(path.read_text("utf-8"))
    return found


def _training(run: Path, step: Mapping[str, Any]) -> Plain:
    """A run from its journal: accuracies, moves, times, curves."""
    events = journal(run)
    plan = _read(run / "plan.json")
    legs = list(_legs(events))
    last = {event["step"]: (name, event) for name, part in legs for event in part if event["event"] == "step"}
    return {
        "spent": step["spent"],
        "cpu": sum(one["cpu"] for one in step["spent"]),
        "wall": sum(one["wall"] for one in step["spent"]),
        "stages": [{"kind": stage["kind"], "steps": stage["steps"]} for stage in plan["stages"]],
        "mixed_from": [
            round(phase["until"] * stage["steps"])
            for stage in plan["stages"]
            if stage["kind"] == "pretrain"
            for phase in stage["curriculum"][:-1]
        ],
        "price": plan["price"],
        "every": plan["every"],
        "replay": plan["replay"],
        "evaluated": {
            e["after"]: _only(e, "n", "sampled", "greedy", "length") for e in events if e["event"] == "evaluated"
        },
        "times": times(legs),
        "beginnings": [
            {
                **_only(e, "event", "step", "device", "nproc", "precision", "redone", "gates", "cost"),
                "seconds": e.get("seconds", 0.0),
            }
            for e in events
            if e["event"] in ("start", "resume", "switch")
        ],
        "troubles": _count(e["event"] for e in events if e["event"] in TROUBLES),
        "in_steps": max(e["spent"] for e in events if e["event"] == "step"),
        "cost": max(e["cost"] for e in events if e["event"] == "step"),
        "curve": [
            [
                step,
                name,
                e["stage"],
                round(e["loss"], 5),
                e.get("reward"),
                round(e["length"], 3) if "length" in e else None,
            ]
            for step, (name, e) in sorted(last.items())
        ],
    }


TROUBLES = ("nan", "spike", "silent", "rollback", "skipped", "damaged", "save_failed", "hang")


def _count(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def _only(event: Mapping[str, Any], *keys: str) -> Plain:
    return {key: event[key] for key in keys if key in event}


def _legs(events: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, list[Mapping[str, Any]]]]:
    """The parts of a run between its beginnings, by processes and precision."""
    part: list[Mapping[str, Any]] = []
    name = ""
    for event in events:
        if event["event"] in ("start", "resume", "switch"):
            if part:
                yield name, part
            many = f"{event['nproc']} processes" if event["nproc"] > 1 else "1 process"
            name, part = f"{many}, {event['precision']}", []
        part.append(event)
    if part:
        yield name, part


def times(legs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[Plain]:
    """Times of a step by stage and leg: the first prediction for it, and the median of what was measured [s]."""
    rows: dict[tuple[str, str], Plain] = {}
    for name, part in legs:
        for event in part:
            key = (str(event.get("stage")), name)
            row: Plain = {"stage": key[0], "leg": name, "predicted": None, "again": None, "warm": 0}
            row = rows.setdefault(key, {**row, "cpu": [], "wall": []})
            if event["event"] == "predicted" and row["predicted"] is None:
                row["predicted"], row["predicted_wall"] = event["step_cpu_time"], event["step_time"]
            elif event["event"] == "predicted again" and row["again"] is None:
                row["again"], row["warm"] = event["step_cpu_time"], len(row["cpu"])
            elif event["event"] == "step":
                row["cpu"].append(event["cpu_seconds"])
                row["wall"].append(event["seconds"])
    return [
        {
            **row,
            "steps": len(row["cpu"]),
            "after": statistics.median(row["cpu"][row["warm"] :] or row["cpu"]),
            "sum": sum(row["cpu"]),
            "cpu": statistics.median(row["cpu"]),
            "wall": statistics.median(row["wall"]),
        }
        for row in rows.values()
        if row["cpu"]
    ]


def _launch(step: Mapping[str, Any]) -> Plain:
    """A launch, its answers counted by time."""
    found = {
        key: step.get(key)
        for key in (
            "starting",
            "calibrated",
            "predicted",
            "measured",
            "per_token",
            "token_cpu",
            "verdict",
            "engine",
            "drained",
            "by",
            "canary_ahead",
        )
    }
    for name in ("bad", "canary"):
        if one := step.get(name):
            kept = _only(one, "state", "why", "took", "answers", "failed", "hidden")
            found[name] = {**kept, "seen": one["seen"], "bins": bins(one["replies"])}
    times = {"launch_cpu": "cpu", "engines_cpu": "engines_cpu", "launch_wall": "wall"}
    return {**found, **{name: step.get(key, 0.0) for name, key in times.items()}}


def bins(replies: Sequence[Sequence[Any]]) -> list[list[float]]:
    """Rows (time [s], answers of R1, of R2, failed) of answers by when they were asked for."""
    rows: dict[int, list[int]] = {}
    for at, release, wrong, _ in replies:
        row = rows.setdefault(int(at // BIN), [0, 0, 0])
        row[2 if wrong else 1 if release == "r2" else 0] += 1
    return [[index * BIN, *rows[index]] for index in sorted(rows)]


def predictions(one: Mapping[str, Any], r1: Mapping[str, Any]) -> list[Plain]:
    """Every prediction of a seed beside its outcome. Times of steps and of the run are on the processor."""
    first = {row["stage"]: row for row in reversed(one["times"]) if row["predicted"]}
    rows = [
        _row("step of pretraining [s]", first["pretrain"]["predicted"], first["pretrain"]["cpu"], True),
        *_of_grpo(first["grpo"]),
    ]
    ahead = run_ahead(one, r1)
    rows += [
        _row("whole training, on the processor [s]", ahead["cpu"], one["cpu"], False),
        _row("whole training, by the clock [s]", ahead["cpu"], one["wall"], False),
        _row("cost of the steps [USD]", ahead["cost"], one["cost"], False),
    ]
    if one.get("measured"):
        rows += [
            *_per_token(one),
            _row("TTFT of R2 under load [s]", one["predicted"]["ttft"], one["measured"]["ttft"], False),
            _row("canary from R1 to R2 [s]", one["canary_ahead"], one["canary"]["took"], False),
        ]
    return rows


def _of_grpo(row: Mapping[str, Any]) -> list[Plain]:
    """Before the first step, when nobody knows how many groups will disagree; and from the warm-up, for the rest."""
    if row.get("again") is None:
        return [_row("step of GRPO [s]", row["predicted"], row["cpu"], True)]
    return [
        _row("step of GRPO, before the first [s]", row["predicted"], row["cpu"], False),
        _row("step of GRPO, from its warm-up [s]", row["again"], row["after"], True),
    ]


def _per_token(one: Mapping[str, Any]) -> list[Plain]:
    """On the processor, said before the launch and from R1 under the same load by turns; and by the clock, by turns.

    By the gaps between chunks, where there is nothing better: on a busy machine whole answers come in one read.
    """
    gaps = one["predicted"]["tpot"], one["measured"]["tpot"]
    if not one.get("per_token"):
        return [_row("TPOT of R2 under load [s]", *gaps, True)]
    found, cpu = one["per_token"], one.get("token_cpu")
    rows = [] if cpu else [_row("TPOT of R2 by gaps, before the launch [s]", *gaps, False)]
    if cpu:
        rows = [
            _row("CPU time per token of R2, before the launch [s]", one["predicted"]["cpu"], cpu["measured"], False),
            _row("CPU time per token of R2 under load [s]", cpu["predicted"], cpu["measured"], True),
        ]
    clock = _row("time per token of R2 under load [s]", found["predicted"], found["measured"], True)
    return [*rows, {**clock, "doubt": found.get("doubt", 0.0)}]


def _row(what: str, predicted: float, measured: float, barred: bool) -> Plain:
    return {
        "what": what,
        "predicted": predicted,
        "measured": measured,
        "error": predicted / measured - 1,
        "barred": barred,
    }


def run_ahead(one: Mapping[str, Any], r1: Mapping[str, Any]) -> dict[str, float]:
    """The whole run, from what was predicted before its first step and what R1's run took besides its steps.

    CPU = sum of steps x time of a step + replays + half a checkpoint's steps lost by the kill
          + starts x R1's start + R1's checkpoints and examinations
    """
    each = {row["stage"]: row["predicted"] for row in reversed(one["times"]) if row["predicted"]}
    steps = sum(stage["steps"] for stage in one["stages"])
    work = sum(stage["steps"] * each[stage["kind"]] for stage in one["stages"])
    again = (one["every"] / 2 + (steps - 1) // one["replay"]) * each["pretrain"]
    start = r1["spent"][0]["begun"]
    rest = r1["cpu"] - start - sum(row["sum"] for row in r1["times"])
    return {"cpu": work + again + len(one["spent"]) * start + rest, "cost": (work + again) * one["price"]}


def told(found: Mapping[str, Any]) -> list[str]:
    """The outcome in lines, with the bars."""
    lines = []
    for seed, one in found["seeds"].items():
        before, after = (one["evaluated"][stage]["sampled"] for stage in ("pretrain", "grpo"))
        said = "" if after - before >= GAIN else f", below the bar of {100 * GAIN:g}"
        lines.append(f"seed {seed}: sampled {before:.1%} -> {after:.1%} ({100 * (after - before):+.0f} points{said})")
        lines.append(f"seed {seed}: {outcome(one)}")
        missed = [row for row in one["predictions"] if held_to(row) and abs(row["error"]) > BAR]
        lines += [
            f"seed {seed}: {row['what']}: predicted {row['predicted']:.4g}, measured {row['measured']:.4g}"
            for row in missed
        ]
    said = "" if found["cpu"] <= WHOLE else f", above the bar of {WHOLE / 60:g}"
    return [*lines, f"all of it: {found['cpu'] / 60:.1f} CPU minutes{said}"]


def held_to(row: Mapping[str, Any]) -> bool:
    """Whether a bar can be held to a prediction: not where what was measured is itself in doubt."""
    return bool(row["barred"]) and row.get("doubt", 0.0) <= CLEAR


def outcome(one: Mapping[str, Any]) -> str:
    """How a seed ended: launched, or the launch waits with the reason, or it was not asked for."""
    judged = one["verdict"]
    if judged is None:
        return "trained; no launch was asked for"
    if not judged["passes"]:
        return str(judged["text"])
    failed = one["bad"]["failed"] + one["canary"]["failed"]
    back = f"a bad release went back after {one['bad']['took']:.1f} s"
    return f"launched in {one['canary']['took']:.1f} s; {back}; {failed} requests failed"
