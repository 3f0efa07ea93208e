"""results.json, report.md and the pictures, from what all steps left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r2mini import pictures
from r2mini.judge import LOOKS, SURELY
from r2mini.results import BAR, CLEAR, GAIN, WHOLE, held_to


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """All files of the report."""
    (folder / "results.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", "utf-8")
    for name, text in drawn(found).items():
        (folder / name).write_text(text, "utf-8")


def drawn(found: Mapping[str, Any]) -> dict[str, str]:
    """The report and its pictures, by file."""
    shown = {seed: one for seed, one in found["seeds"].items() if one.get("canary")}
    files = {"training.svg": pictures.training(found), "learning.svg": pictures.learning(found)}
    if shown:
        files["canary.svg"] = pictures.canaries(next(iter(shown.values())))
    return {**files, "report.md": report(found, next(iter(shown), None))}


def report(found: Mapping[str, Any], shown: str | None) -> str:
    """The report in Markdown."""
    seeds = found["seeds"]
    parts = [
        "# R2 in miniature: what was predicted, what happened",
        "Written by `make r2-mini` from [results.json](results.json). CPU: seconds on the processor, with children.",
        "## Did it work",
        _table(("seed", "", "after pretraining", "after GRPO", "points", f"bar {100 * GAIN:+.0f}"), _accuracies(seeds)),
        f"Accuracy on unseen tasks in the trainer, n = {_examined(seeds):.0f} each. "
        "The base is weak by construction (README).",
        "![reward and length](learning.svg)",
        "## Predictions beside outcomes",
        _table(("seed", "what", "predicted", "measured", "error", f"bar {BAR:.0%}"), _predictions(seeds)),
        "Step times are medians, of one process in fp32. Not in the predictions of the whole training: "
        "that two processes share two cores, and that bf16 has a pace of its own.",
        "## Killed, moved, its precision changed",
        _table(("seed", "step", "what", "steps done again", "time", "gates (eps sqrt(K))"), _moves(seeds)),
        "![joined loss](training.svg)",
        "## Step times of every leg",
        _table(("seed", "stage", "leg", "steps", "predicted CPU", "median CPU", "error", "median wall"), _times(seeds)),
        "## Examined, launched",
        _table(("seed", "n", "R1", "R2", "right by R1 alone", "by R2 alone", "by chance", "verdict"), _verdicts(seeds)),
        f"Both engines answered the same unseen questions, sampled: {_looks()} (McNemar's exact test, one-sided, below "
        f"{', '.join(f'{surely:g}' for surely in LOOKS.values())}: {SURELY:g} in all).",
    ]
    if shown is not None:
        parts += [
            _table(
                ("seed", "release", "ended", "after", "answers R1 / R2", "hidden failures", "failed requests"),
                _canaries(seeds),
            ),
            f"![both canaries of seed {shown}](canary.svg)",
            "## R2's service",
            _table(("seed", "clients", "TTFT", "TPOT", "n", ""), _services(seeds, found.get("served") or {})),
            *_turns(seeds),
        ]
    parts += [
        "## What it took",
        _table(("what", "CPU min", "wall min", "load when begun"), _costs(found)),
        f"All of it: **{found['cpu'] / 60:.1f} CPU minutes** (bar {WHOLE / 60:.0f}), installation apart. Engine: "
        f"{', '.join(dict.fromkeys(str(one.get('engine')) for one in seeds.values()))}.{_waiting(seeds)}",
    ]
    return "\n\n".join(parts) + "\n"


def _waiting(seeds: Mapping[str, Any]) -> str:
    """Which launches are not in the cost, for they wait."""
    waits = [seed for seed, one in seeds.items() if one.get("verdict") and not one["verdict"]["passes"]]
    return f" Not in it: the launch of seed {', '.join(waits)}, which waits." if waits else ""


Rows = Iterable[Sequence[str]]


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _examined(seeds: Mapping[str, Any]) -> float:
    """Tasks of each examination in the trainer."""
    return min(float(one["evaluated"]["grpo"]["n"]) for one in seeds.values())


def _accuracies(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        before, after = one["evaluated"]["pretrain"], one["evaluated"]["grpo"]
        gain = after["sampled"] - before["sampled"]
        yield (
            seed,
            "sampled",
            f"{before['sampled']:.1%}",
            f"{after['sampled']:.1%}",
            f"{100 * gain:+.1f}",
            _kept(gain >= GAIN),
        )
        yield (
            seed,
            "greedy",
            f"{before['greedy']:.1%}",
            f"{after['greedy']:.1%}",
            f"{100 * (after['greedy'] - before['greedy']):+.1f}",
            "",
        )
        yield seed, "length [tokens]", f"{before['length']:.1f}", f"{after['length']:.1f}", "", ""


def _kept(good: bool) -> str:
    return "kept" if good else "**missed**"


def _predictions(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        for row in one["predictions"]:
            bar = _kept(abs(row["error"]) <= BAR) if held_to(row) else "not to be told" if row["barred"] else ""
            error = f"{row['error']:+.1%}" + (f" +- {row['doubt']:.0%}" if row.get("doubt") else "")
            yield seed, row["what"], f"{row['predicted']:.4g}", f"{row['measured']:.4g}", error, bar


def _moves(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        yield seed, str(one["killed_at"]), "kill -9", "", "", ""
        for event in one["beginnings"]:
            if event["event"] == "start":
                continue
            where = f"{event['nproc']} x {event['device']}, {event['precision']}"
            what = f"{'resumed' if event['event'] == 'resume' else 'moved'} on {where}"
            gates = ", ".join(f"{name} {value:.2g}" for name, value in event.get("gates", {}).items())
            yield seed, str(event["step"]), what, f"{event['redone']:.0f}", f"{event['seconds']:.2f} s", gates


def _times(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        for row in one["times"]:
            ahead = row["predicted"]
            said = ("-", "-") if ahead is None else (f"{ahead:.3f} s", f"{ahead / row['cpu'] - 1:+.1%}")
            yield (
                seed, row["stage"], row["leg"], str(row["steps"]), said[0], f"{row['cpu']:.3f} s", said[1],
                f"{row['wall']:.3f} s",
            )  # fmt: skip


def _verdicts(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        found = one["verdict"]
        if found is None:
            yield seed, "", "", "", "", "", "", "not examined yet"
            continue
        yield (
            seed, str(found["n"]), f"{found['before']:.1%}", f"{found['after']:.1%}",
            str(found["only_before"]), str(found["only_after"]),
            f"{found['chance']:.1g}", "launch" if found["passes"] else "the launch waits",
        )  # fmt: skip


def _looks() -> str:
    """How many questions are asked."""
    first, *more = (f"{look:,}" for look in LOOKS)
    return f"{first}, and {' and '.join(more)} while R2 leads and that may be chance"


def _canaries(seeds: Mapping[str, Any]) -> Rows:
    for seed, one in seeds.items():
        for name, key in (("bad", "bad"), ("good", "canary")):
            if part := one.get(key):
                answers = f"{part['answers'].get('r1', 0)} / {part['answers'].get('r2', 0)}"
                why = f"{part['state']}: {part['why']}" if part["why"] else part["state"]
                yield seed, name, why, f"{part['took']:.1f} s", answers, f"{part['hidden']:.0f}", str(part["failed"])


def _services(seeds: Mapping[str, Any], served: Mapping[str, Any]) -> Rows:
    for clients, point in served.get("calibrated", {}).items():
        yield "", clients, _ms(point["ttft"]), _ms(point["tpot"]), f"{point['n']:.0f}", "R1, measured"
    for seed, one in seeds.items():
        for clients, point in (one.get("calibrated") or {}).items():
            yield seed, clients, _ms(point["ttft"]), _ms(point["tpot"]), f"{point['n']:.0f}", "R1, measured"
        if one.get("measured"):
            ahead, found = one["predicted"], one["measured"]
            yield seed, "8", _ms(ahead["ttft"]), _ms(ahead["tpot"]), "", "R2, predicted from R1's"
            yield (
                seed,
                "8",
                _ms(found["ttft"]),
                _ms(found["tpot"]),
                f"{found['n']:.0f}",
                "R2, measured after its launch",
            )


def _turns(seeds: Mapping[str, Any]) -> list[str]:
    """How the time of a token was predicted, where it was."""
    if not any(one.get("per_token") for one in seeds.values()):
        return []
    return [
        "TTFT and TPOT are medians of what clients saw, TPOT by the gaps between chunks. A busy machine hands chunks "
        "on in bursts, at times a whole answer in one: then TTFT holds most of the answer and the gaps say nothing. "
        "Judged is the time of all answers over all their tokens, R2's against R1's under the same load in the same "
        "minutes, by turns, at the length of R2's answers in its examination; and, as steps of training are, "
        "the same on the processor (engines and their fronts). By the clock no bar is held to a comparison whose own "
        f"standard error, from turn to turn, is above {CLEAR:.1%}."
    ]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def _costs(found: Mapping[str, Any]) -> Rows:
    r1 = found["r1"]
    yield "R1 trained", f"{r1['cpu'] / 60:.2f}", f"{r1['wall'] / 60:.2f}", f"{r1['spent'][0]['load']:.1f}"
    if served := found.get("served"):
        wall = f"{served['wall'] / 60:.2f}"
        yield "R1's engine started, timed and examined, once", f"{served['cpu'] / 60:.2f}", wall, ""
    for seed, one in found["seeds"].items():
        load = max(spent["load"] for spent in one["spent"])
        yield f"R2 trained, seed {seed}", f"{one['cpu'] / 60:.2f}", f"{one['wall'] / 60:.2f}", f"up to {load:.1f}"
        yield (
            f"engines, examination and launch, seed {seed}",
            f"{one['launch_cpu'] / 60:.2f}",
            f"{one['launch_wall'] / 60:.2f}",
            "",
        )
