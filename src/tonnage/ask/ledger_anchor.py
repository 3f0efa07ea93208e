"""What a ledger has measured of runs and services on a chip, as anchors for a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.errors import InputError, Problem
from tonnage.ledger import MeasuredEntry, Plain, PlanEntry, below, reading

if TYPE_CHECKING:
    from tonnage.train import MeasuredRun

RATE, STEP = "tokens_per_second_per_accelerator", "step_time"


def training_runs(path: Path, chip: str) -> list[MeasuredRun]:
    """Every measured rate or step time of a plan of training on this chip. Raises InputError when there is none.

    What was planned is what ran: job, system and layout are the plan's. A plan kept in a form of before is left out.
    """
    found = [run for entry, answer, row in _measured(path, "train", chip) for run in _run(answer, row)]
    if not found:
        raise InputError(Problem(f"no run on {chip} was measured in this ledger", str(path), "anchor"))
    return found


def _run(answer: Plain, row: MeasuredEntry) -> Iterator[MeasuredRun]:
    from tonnage.layout import parse_layout
    from tonnage.train import MeasuredRun, TrainPlan

    try:
        plan = TrainPlan.from_json(dict(answer))  # type: ignore[arg-type]
    except (InputError, LookupError, TypeError, ValueError):
        return
    if plan.layout is None:
        return
    rate = row.values.get(RATE)
    if rate is None and STEP in row.values:
        rate = plan.job.seq * plan.job.global_batch / row.values[STEP] / plan.system.count
    if rate is not None:
        yield MeasuredRun(plan.job, plan.system, parse_layout(str(plan.layout), "layout"), rate)


def service_rows(path: Path, chips: tuple[str, ...], model: str) -> tuple[tuple[str, Plain], ...]:
    """(place, row in the form of docs/cases.md) of everything measured of a service of this model on these chips.

    Raises InputError when there is none. Left out are pools apart, unless the row says their layouts and its load.
    """
    found = [
        (f"{path} {entry.id[:12]}", whole)
        for chip in dict.fromkeys(chips)
        for entry, answer, row in _measured(path, "serve", chip)
        if below(answer, "plan", "question", "job", "arch").get("name") == model
        and (whole := _service(entry, answer, row)) is not None
    ]
    if not found:
        text = f"no service of {model} on {', '.join(dict.fromkeys(chips))} was measured in this ledger"
        raise InputError(Problem(text, str(path), "anchor"))
    return tuple(found)


_FIGURES = ("tpot", "ttft", "output_tokens_per_second_per_accelerator", "input_tokens_per_second_per_accelerator")


def _service(entry: PlanEntry, answer: Plain, row: MeasuredEntry) -> Plain | None:
    """A row whole: what it leaves out is the plan's."""
    metrics = {name: row.values[name] for name in _FIGURES if name in row.values}
    mode, layout = answer.get("mode"), row.row.get("layout") or _layout(answer)
    alone = mode in ("aggregated", "prefill", "decode")
    if not metrics or not (alone or {"layout", "workload"} <= row.row.keys()):
        return None
    said = {key: row.row[key] for key in ("engine", "weights", "kv", "mode", "date") if key in row.row}
    head = {"model": below(answer, "plan", "question", "job", "arch").get("name")}
    head |= {"chip": entry.subject.chip, "count": entry.subject.count, "layout": layout, "mode": mode}
    head |= {name: answer.get(name) for name in ("engine", "weights", "kv")}
    own = below(row.row, "workload")
    workload = _lengths(answer) | ({} if _LOAD & own.keys() else _load(answer)) | dict(own)
    return head | said | {"workload": workload, "metrics": metrics}


_NAMES = {"etp": "moe_tp"}


def _layout(answer: Plain) -> Plain:
    return {_NAMES.get(key, key): value for key, value in below(answer, "layout").items()}


_LOAD = {"concurrency", "request_rate", "batch_per_accelerator", "batch_tokens_per_accelerator", "arrival"}
"""Keys by which a row says the load that it was measured under."""


def _lengths(answer: Plain) -> dict[str, object]:
    """Lengths of the plan's requests, what of them is cached, and what is drafted."""
    job = below(answer, "plan", "question", "job")
    made: dict[str, object] = {"input_len": job.get("isl"), "output_len": job.get("osl")}
    if job.get("cache_hit"):
        made["cache_hit"] = job["cache_hit"]
    drafts = below(job, "speculative")
    if drafts:
        made["speculative"] = {key: drafts.get(key) for key in ("method", "tokens", "acceptance")}
    return made


def _load(answer: Plain) -> dict[str, object]:
    """Load of the plan; where neither rate nor concurrency was asked, the batch that was planned."""
    job = below(answer, "plan", "question", "job")
    if job.get("concurrency"):
        return {"concurrency": job["concurrency"]}
    if job.get("rate"):
        return {"arrival": "poisson", "request_rate": job["rate"]}
    return {"batch_per_accelerator": answer.get("batch_per_accelerator")}


def _measured(path: Path, command: str, chip: str) -> Iterator[tuple[PlanEntry, Plain, MeasuredEntry]]:
    """Plan, its answer, and each row that was measured of it."""
    with reading(path) as ledger:
        for entry in ledger.plans():
            if entry.measured and entry.command == command and entry.subject.chip == chip:
                answer = ledger.answer(entry.id)
                yield from ((entry, answer, row) for row in ledger.rows(entry.id))
