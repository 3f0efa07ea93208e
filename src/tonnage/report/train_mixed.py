"""A training plan on a mixed fleet in words: the whole, and what each part does."""

from __future__ import annotations

from collections.abc import Sequence

from tonnage import units
from tonnage.layout import show_layout
from tonnage.report import train as rows
from tonnage.report.answer import Answer, Table
from tonnage.train import MixedPart, MixedPlan, TrainFigures


def answer(plan: MixedPlan, asked: str, bases: Sequence[str] = ()) -> Answer:
    """The answer; asked: the fleets, as they were asked for; bases: term, date and place of each price, where said."""
    if plan.run is None:
        return _refused(plan, asked)
    title = " + ".join(f"{part.system.count:,} {part.system.accelerator.title}" for part in plan.parts)
    told = (
        ("split", _split(plan)),
        *((("why", plan.why),) if plan.why else ()),
        ("memory", "fullest part: " + rows.memory(plan.run.memory)),
        ("speed", f"{rows.speed(plan.run)}; {units.show_tokens(plan.together or 0.0)} tokens/s in all"),
        ("gain", _gain(plan)),
        ("goodput", rows.goodput(plan.run.goodput)),
        ("cost", _cost(plan, plan.run, bases)),
        ("bound by", rows.bound(plan.run)),
        ("doubt", rows.doubt(plan.run.doubt)),
    )
    tables = (_table(plan), rows.breakdown(plan.run))
    records = tuple(_record(plan, place, part) for place, part in enumerate(plan.parts))
    return Answer(rows.sentence(plan.job, f"{plan.job.arch.title} on {title}", plan.run), told, tables, records=records)


def _refused(plan: MixedPlan, asked: str) -> Answer:
    binds = plan.outcome.binds
    told = [("bound by", f"{bind.what}: {bind.text}") for bind in binds]
    told += [("lifted by", bind.lift) for bind in binds if bind.lift]
    if plan.alone is not None:
        rate = units.show_tokens(plan.alone)
        told.append(("nearest", f"without what cannot take part: {rate} tokens/s of the best part alone"))
    return Answer(f"No: {plan.job.arch.title} on {asked}: {binds[0].text}.", tuple(told), feasible=False)


def _record(plan: MixedPlan, place: int, part: MixedPart) -> dict[str, object]:
    return {
        "chip": part.system.accelerator.name,
        "count": part.system.count,
        "layout": show_layout(part.layout),
        "global_batch": part.batch,
        "share": plan.share(part),
        "layers": part.layers,
        "step_time": part.step_time,
        "price": plan.prices[place],
        "cost": plan.cost(place),
    }


def _split(plan: MixedPlan) -> str:
    if plan.way == "stages":
        order = sorted(plan.parts, key=lambda part: part.place)
        shares = ", ".join(f"{part.layers} layers on {part.system.accelerator.name}" for part in order)
        return f"pipeline stages in this order: {shares}"
    shares = ", ".join(f"{part.batch:,} on {part.system.accelerator.name}" for part in plan.parts)
    return f"data-parallel groups: of {plan.job.global_batch:,} sequences {shares}"


def _gain(plan: MixedPlan) -> str:
    if plan.gain is None or plan.alone is None:
        return "no part could do it alone"
    verb = "more" if plan.gain >= 0 else "less: leave the other part out,"
    return f"{abs(plan.gain):.1%} {verb} than the best part alone ({units.show_tokens(plan.alone)} tokens/s)"


def _cost(plan: MixedPlan, run: TrainFigures, bases: Sequence[str]) -> str:
    if run.bill is None:
        return "not computed: no `tokens`"
    each = []
    for place, system in enumerate(plan.systems):
        cost, price = plan.cost(place), plan.prices[place]
        chip = system.accelerator.name
        if cost is None or price is None:
            each.append(f"{chip} unpriced: no price is known")
        else:
            basis = f" ({bases[place]})" if bases else ""
            each.append(f"{chip} {units.show_money(cost)} at {units.show_price(price)}{basis}")
    total = "" if run.bill.cost is None else f"{units.show_money(run.bill.cost)}: "
    return total + ", ".join(each)


def _working(part: MixedPart) -> str:
    count = f"{part.system.count:,}"
    return count if part.used == part.system.count else f"{part.used:,} of {count}"


def _table(plan: MixedPlan) -> Table:
    cells = tuple(
        (
            f"{_working(part)} x {part.system.accelerator.name}",
            f"{plan.share(part):.1%}",
            units.show_time(part.step_time),
            units.show_number(plan.share(part) * (plan.together or 0.0) / part.system.count),
            show_layout(part.layout),
        )
        for part in plan.parts
    )
    return Table("what each part does", ("part", "share", "its step", "tokens/s each", "layout"), cells)
