"""A training run in words: each event as a line while it runs, and what it came to."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tonnage import units
from tonnage.errors import Outcome
from tonnage.report.answer import Answer, Table

Event = Mapping[str, Any]

EVERY = 10
"""Steps between two lines for people; programs get each."""

TROUBLES = {
    "nan": "a loss or gradient that is no number",
    "spike": "a loss spike",
    "silent": "a step that did not repeat itself bit for bit",
    "damaged": "a damaged checkpoint was passed over",
    "save_failed": "a checkpoint could not be written; the run goes on with the one before",
    "skipped": "data replaced",
    "hang": "a hang",
    "refused": "the move is refused",
    "stopped": "stopped",
}


def line(event: Event) -> str:
    """An event as a line, empty where people need none."""
    kind, step = event["event"], event["step"]
    if kind == "step":
        return _step(event) if step % EVERY == 0 or step == event["of"] or step <= 1 else ""
    if kind in TROUBLES:
        return f"step {step}: {TROUBLES[kind]}: {event.get('text', '')}"
    if kind in ("start", "resume", "switch"):
        return _beginning(event)
    if kind == "rollback":
        return f"step {event['at']}: rolled back to step {step} ({event['cause']})"
    if kind == "evaluated":
        return (
            f"step {step}: after {event['after']}: {event['sampled']:.1%} right sampled, {event['greedy']:.1%} greedy, "
            f"of {event['n']:.0f} unseen tasks; {event['length']:.1f} tokens each"
        )
    if kind == "predicted":
        return f"predicted: {units.show_time(event['step_time'])} a step of {event['stage']}, from parts timed here"
    if kind == "predicted again":
        time = units.show_time(event["step_time"])
        return f"predicted: {time} each of the steps left of {event['stage']}, from its first {event['warm_up']}"
    return f"step {step}: checkpoint in {units.show_time(event['seconds'])}" if kind == "saved" else ""


def _step(event: Event) -> str:
    parts = [f"step {event['step']}/{event['of']} {event['stage']}", f"loss {event['loss']:.4f}"]
    if "reward" in event:
        parts += [f"reward {event['reward']:.2f}", f"length {event['length']:.1f}", f"groups kept {event['kept']:.0%}"]
    time = units.show_time(event["seconds"])
    if event.get("predicted"):
        time += f" (predicted {units.show_time(event['predicted'])})"
    ends = datetime.datetime.now() + datetime.timedelta(seconds=event["left"])
    return ", ".join([*parts, time, f"{units.show_money(event['cost'])} so far", f"ends {ends:%Y-%m-%d %H:%M}"])


def _beginning(event: Event) -> str:
    here = f"{event['nproc']} x {event['device']}, {event['precision']}"
    if event["event"] == "start":
        return f"{event['name']}: {event['of']} steps on {here} ({event['title']})"
    if event["event"] == "resume":
        return f"resumed at step {event['step']} on {here}; {event['redone']} steps are done again"
    before = event["before"]
    gates = ", ".join(f"{name} {value:.2g}" for name, value in event["gates"].items())
    return (
        f"step {event['step']}: moved from {before['nproc']} x {before['device']}, {before['precision']} to {here} in "
        f"{units.show_time(event['seconds'])}; gates, in eps sqrt(K): {gates}"
    )


def answer(body: Mapping[str, Any], folder: Path, outcome: Outcome) -> Answer:
    """What a run came to."""
    plan = body["plan"]
    if not outcome.feasible:
        bind = outcome.binds[0]
        return Answer(f"The run cannot go on: {bind.text}.", (("instead", str(bind.lift)),), feasible=False)
    done = "done" if body["step"] >= body["steps"] else f"at step {body['step']} of {body['steps']}"
    rows = [
        ("model", f"{plan['model']} with its sizes divided by {plan['scale']:g}"),
        ("where", f"{plan['nproc']} x {plan['device']}, {plan['precision']}"),
        ("time", f"{units.show_time(body['seconds'])} in steps"),
        ("cost", units.show_money(body["cost"]) if plan["price"] else "no price given"),
    ]
    if body["loss"] is not None:
        rows.append(("loss", f"{body['loss']:.4f} at the last step"))
    if body["troubles"]:
        rows.append(
            ("seen", ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in body["troubles"].items()))
        )
    if body["switch"].get("seconds") is not None:
        rows.append(("switch", _switch(body["switch"])))
    rows.append(("folder", f"{folder}: events.jsonl, curve.svg, checkpoints/, and model/ once it is done"))
    tables = tuple(table for table in (_accuracy(body), _times(body)) if table.rows)
    hint = () if body["step"] >= body["steps"] else (f"tonnage run train --resume --into {folder}",)
    return Answer(f"{plan['name']} is {done}.", tuple(rows), tables, hints=hint)


def _switch(found: Mapping[str, Any]) -> str:
    planned = found["planned"]
    text = f"{units.show_time(found['seconds'])}, {units.show_money(found['cost'])}, {found['redone']:.0f} steps again"
    if "switch_time" in planned:
        text += f"; the plan's, at full size: {units.show_time(planned['switch_time'])}"
    if "switch_cost" in planned:
        text += f", {units.show_money(planned['switch_cost'])}"
    return text


def _accuracy(body: Mapping[str, Any]) -> Table:
    rows = tuple(
        (stage, f"{found['sampled']:.1%}", f"{found['greedy']:.1%}", f"{found['length']:.1f}", f"{found['n']:.0f}")
        for stage, found in body["evaluated"].items()
    )
    return Table("unseen tasks", ("after", "sampled", "greedy", "tokens", "n"), rows)


def _times(body: Mapping[str, Any]) -> Table:
    predicted = body["predicted_step_time"]
    rows = tuple(
        (stage, units.show_time(time), units.show_time(predicted[stage]) if stage in predicted else "-",
         f"{predicted[stage] / time - 1:+.0%}" if stage in predicted else "-")
        for stage, time in body["step_time"].items()
    )  # fmt: skip
    return Table("time of a step", ("stage", "measured", "predicted", "error"), rows)
