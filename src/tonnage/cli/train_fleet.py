"""What is printed of a training run on a mixed fleet: the whole, and what each part does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tonnage import units
from tonnage.cli import train_extras as extras
from tonnage.cli import train_rows as rows
from tonnage.report.answer import Answer, Table
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tonnage.catalog import Catalog
    from tonnage.cli.train_extras import Asked
    from tonnage.train import Mixed, TrainJob, TrainPlan


def result(job: TrainJob, asked: Asked, catalog: Catalog) -> Reply:
    """Plan a run over all fleets together."""
    from tonnage import train as room

    began = time.perf_counter()
    systems = [extras.system(fleet, catalog, asked) for fleet in asked.fleets]
    paid = [extras.paid(catalog, system, asked) for system in systems]
    prices = [value for value, _ in paid]
    found = room.mixed(job, systems, asked.layouts)
    whole = room.whole(job, found, prices, time.perf_counter() - began)
    sources = (*whole.sources, *(fact for _, facts in paid for fact in facts))
    parts = _parts(job, found, prices, whole)
    body = whole.to_json() | {
        "layout": room.show_parts(found),
        "parts": parts,
        "way": found.way,
        "between": found.between,
        "why": found.why or None,
        "other": found.other,
        "gain": found.gain,
        "alone": found.alone,
    }
    answer = _answer(job, asked, found, whole, parts)
    return Reply("train", asked.inputs, body, answer, whole.outcome, whole.evidence, sources, catalog)


def _parts(job: TrainJob, found: Mixed, prices: Sequence[float | None], whole: TrainPlan) -> list[dict[str, Any]]:
    """What each part does; cost over the whole run [USD]."""
    made = []
    for part, price in zip(found.parts, prices, strict=False):
        plan = part.plan.to_json()
        share = part.batch / job.global_batch if found.way == "groups" else part.layers / job.arch.depth
        bill = None if price is None or whole.wall_time is None else price * whole.wall_time * part.system.count
        made.append(
            {
                "chip": part.system.accelerator.name,
                "count": part.system.count,
                "global_batch": part.batch,
                "share": share,
                "layers": part.layers,
                "place": part.place,
                "step_time": part.step_time,
                "tokens_per_second_per_accelerator": share * found.tokens_per_second / part.system.count,
                "price": price,
                "cost": bill,
                **{name: plan[name] for name in ("layout", "degrees", "memory", "breakdown", "mfu")},
            }
        )
    return made


def _answer(job: TrainJob, asked: Asked, found: Mixed, whole: TrainPlan, parts: list[dict[str, Any]]) -> Answer:
    title = " + ".join(f"{count:,} {chip}" for count, chip in asked.fleets)
    if not found.parts:
        told = [("bound by", f"{bind.what}: {bind.text}") for bind in found.binds]
        told += [("lifted by", bind.lift) for bind in found.binds if bind.lift]
        if found.alone == found.alone:
            rate = units.show_tokens(found.alone)
            told.append(("nearest", f"without what cannot take part: {rate} tokens/s of the best part alone"))
        sentence = f"No: {job.arch.title} on {title}: {found.binds[0].text}."
        return Answer(sentence, tuple(told), feasible=False, hints=_freed(asked))
    title = " + ".join(f"{part.system.count:,} {part.system.accelerator.title}" for part in found.parts)
    told = [
        ("split", _split(job, found)),
        *((("why", found.why),) if found.why else ()),
        ("memory", "fullest part: " + rows.memory(whole)),
        ("speed", f"{rows.speed(whole)}; {units.show_tokens(found.tokens_per_second)} tokens/s in all"),
        ("gain", _gain(found)),
        ("goodput", rows.goodput(whole)),
        ("cost", _cost(whole, parts)),
        ("bound by", rows.bound(whole)),
        ("doubt", rows.doubt(whole)),
    ]
    hint = f'{asked.command} --layout "{" + ".join(str(part["layout"]) for part in parts)}"  pins these layouts'
    tables = (_table(parts), rows.breakdown(whole))
    records = tuple({name: part[name] for name in _COLUMNS} for part in parts)
    return Answer(_sentence(job, title, whole), tuple(told), tables, hints=(hint,), records=records)


def _freed(asked: Asked) -> tuple[str, ...]:
    return () if asked.inputs["layout"] is None else (f"{asked.command}  (no --layout)",)


_COLUMNS = ("chip", "count", "layout", "global_batch", "share", "layers", "step_time", "price", "cost")


def _sentence(job: TrainJob, title: str, whole: TrainPlan) -> str:
    rate = units.show_number(whole.tokens_per_second_per_accelerator)
    text = f"{job.arch.title} on {title}: {units.show_time(whole.step_time)} a step, {rate} tokens/s per accelerator, "
    text += rows.mfu(job, whole)
    if whole.wall_time is not None and job.tokens is not None:
        text += f"; {units.show_tokens(job.tokens)} tokens take {units.show_time(whole.wall_time)}"
    return text + "."


def _split(job: TrainJob, found: Mixed) -> str:
    if found.way == "stages":
        order = sorted(found.parts, key=lambda part: part.place)
        shares = ", ".join(f"{part.layers} layers on {part.system.accelerator.name}" for part in order)
        return f"pipeline stages in this order: {shares}"
    shares = ", ".join(f"{part.batch:,} on {part.system.accelerator.name}" for part in found.parts)
    return f"data-parallel groups: of {job.global_batch:,} sequences {shares}"


def _gain(found: Mixed) -> str:
    if found.alone != found.alone:
        return "no part could do it alone"
    verb = "more" if found.gain >= 0 else "less: leave the other part out,"
    return f"{abs(found.gain):.1%} {verb} than the best part alone ({units.show_tokens(found.alone)} tokens/s)"


def _cost(whole: TrainPlan, parts: list[dict[str, Any]]) -> str:
    if whole.wall_time is None:
        return "not computed: no --tokens"
    each = []
    for part in parts:
        bill, price = part["cost"], part["price"]
        if bill is None:
            each.append(f"{part['chip']} unpriced: no price is known")
        else:
            each.append(f"{part['chip']} {units.show_money(bill)} at {units.show_price(price)}")
    total = "" if whole.cost is None else f"{units.show_money(whole.cost)}: "
    return total + ", ".join(each)


def _table(parts: list[dict[str, Any]]) -> Table:
    cells = tuple(
        (
            f"{part['count']:,} x {part['chip']}",
            f"{part['share']:.1%}",
            units.show_time(part["step_time"]),
            units.show_number(part["tokens_per_second_per_accelerator"]),
            str(part["layout"]),
        )
        for part in parts
    )
    return Table("what each part does", ("part", "share", "its step", "tokens/s each", "layout"), cells)
