"""`tonnage train MODEL --on 2048xh800`: the best layout to train a model on these chips."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.common import COMMON, Common, Result, finish
from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tonnage.catalog import Catalog, Price
    from tonnage.system import System
    from tonnage.train import TrainJob, TrainPlan
    from tonnage.train.maturity import Dated

T = TypeVar("T")


def train(
    model: str,
    /,
    *,
    on: str,
    tokens: str | None = None,
    seq: str = "4096",
    global_batch: str = "1024",
    precision: str = "bf16",
    task: str = "pretrain",
    layout: str | None = None,
    software: str | None = None,
    routing: str = "learned",
    framework: str | None = None,
    price: str | None = None,
    place: Annotated[str | None, Parameter(name="--in")] = None,
    common: Common = COMMON,
) -> int:
    """The best layout to train a model on these chips: step time, memory, days, cost.

    Parameters
    ----------
    model
        bundled name, config.json, folder with one, or an architecture in YAML.
    on
        chips, such as 2048xh800.
    tokens
        tokens of the whole run, such as 14.8T; without it no days and no cost.
    seq
        tokens in a sequence.
    global_batch
        sequences in a step.
    precision
        bf16, fp16, fp8, mxfp8 or nvfp4.
    task
        pretrain, sft or lora.
    layout
        what is fixed, such as tp8,pp16,dp128; the search chooses the rest.
    software
        date of the training software; default --as-of, else the newest known.
    routing
        learned, or forced (benchmarks that balance experts by force).
    framework
        such as Megatron-Core, NeMo or torchtitan; default the newest Megatron-like stack.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    place
        where the price is asked, such as CN.
    """
    from tonnage import train as room
    from tonnage.layout import parse_layout
    from tonnage.model import load
    from tonnage.system import System, accelerator
    from tonnage.train.maturity import history

    catalog = common.load_catalog()
    count, chip = _parsed("--on", on, units.parse_fleet)
    quoted = None if price is None else _quantity("--price", price, "price")
    fixed = parse_layout(layout) if layout else {}
    when = _parsed("--software", software, units.parse_date) if software else common.date()
    job = room.TrainJob(
        arch=load(model, catalog),
        seq=_whole("--seq", seq),
        global_batch=_whole("--global-batch", global_batch),
        tokens=None if tokens is None else _quantity("--tokens", tokens, "tokens"),
        precision=precision,
        task=task,
        date=when,
        routing=routing,
        framework=framework,
    )
    system = System(accelerator(chip, catalog, common.date()), count)
    found = _price(catalog, system, place, common.date()) if quoted is None else None
    plan = room.plan(job, system, fixed, price=found.value if found else quoted)
    if found:
        plan = replace(plan, sources=(*plan.sources, found.fact))
    inputs = {
        "model": model,
        "on": on,
        "tokens": tokens,
        "seq": seq,
        "global_batch": global_batch,
        "precision": precision,
        "task": task,
        "layout": layout,
        "software": software,
        "routing": routing,
        "framework": framework,
        "price": price,
        "in": place,
        "as_of": common.as_of,
    }
    answer = _answer(job, system, plan, found, quoted, f"tonnage train {model} --on {on}")
    dated = () if plan.layout is None else history(job, system, plan.layout)
    body = plan.to_json() | {"price": found.value if found else quoted, "software": [vars(one) for one in dated]}
    answer = replace(answer, rows=(*answer.rows, *_software(plan, dated)))
    result = Result("train", inputs, body, answer, plan.outcome, plan.evidence, plan.sources, catalog)
    return finish(result, common)


def _parsed(flag: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(Problem(str(error), flag)) from None


def _quantity(flag: str, text: str, kind: str) -> float:
    return _parsed(flag, text, lambda words: units.parse(words, kind))


def _whole(flag: str, text: str) -> int:
    value = _quantity(flag, text, "tokens")
    if value != int(value) or not 1 <= value <= 1e9:
        raise InputError(Problem(f'"{text}" is not a whole number of at least 1', flag))
    return int(value)


def _price(catalog: Catalog, system: System, place: str | None, date: datetime.date | None) -> Price | None:
    found = catalog.price(system.accelerator.name, place, date)
    return found[0] if found else None


def _answer(
    job: TrainJob, system: System, plan: TrainPlan, price: Price | None, quoted: float | None, command: str
) -> Answer:
    if plan.layout is None or plan.memory is None:
        bind = plan.outcome.binds[0]
        rows = [("bound by", f"{bind.what}: {bind.text}")]
        if bind.lift:
            rows.append(("nearest", bind.lift))
        return Answer(f"No layout: {bind.text}.", tuple(rows), feasible=False, hints=(f"{command}  (no --layout)",))
    rows = [
        ("layout", f"{plan.layout}" + (f"  ({_searched(plan)})" if plan.search else "")),
        ("memory", _memory(plan)),
        ("speed", _speed(plan)),
        ("goodput", _goodput(plan)),
        ("cost", _cost(job, system, plan, price, quoted)),
        ("bound by", _bound(plan)),
        ("doubt", _doubt(plan)),
    ]
    if not plan.outcome.feasible and plan.outcome.binds[0].lift:
        rows.insert(1, ("nearest", str(plan.outcome.binds[0].lift)))
    tables = (_breakdown(plan), *((_alternatives(plan),) if plan.alternatives else ()))
    records = tuple({"kind": name, "seconds": value} for name, value in plan.breakdown.items())
    hints = (f"{command} --layout {plan.layout}  pins this layout; --json has every number",)
    sentence = _sentence(job, system, plan)
    return Answer(sentence, tuple(rows), tables, hints=hints, records=records, feasible=plan.outcome.feasible)


def _sentence(job: TrainJob, system: System, plan: TrainPlan) -> str:
    what = f"{job.arch.title} on {system.count:,} {system.accelerator.title}"
    if not plan.outcome.feasible:
        return f"{what} does not work as asked: {plan.outcome.binds[0].text}."
    rate = units.show_number(plan.tokens_per_second_per_accelerator)
    text = f"{what}: {units.show_time(plan.step_time)} a step, {rate} tokens/s per accelerator, {plan.mfu:.1%} MFU"
    if plan.wall_time is not None and job.tokens is not None:
        text += f"; {units.show_tokens(job.tokens)} tokens take {units.show_time(plan.wall_time)}"
    return text + "."


def _searched(plan: TrainPlan) -> str:
    search = plan.search
    if search is None or search.candidates <= 1:
        return "as given"
    return f"best of {search.candidates:,} that divide, {search.feasible:,} of which fit"


def _memory(plan: TrainPlan) -> str:
    held = plan.memory
    if held is None:
        return "unknown"
    kinds = ("weights", "gradients", "optimizer", "activations", "buffers", "slack")
    parts = ", ".join(f"{name} {units.show_memory(getattr(held, name))}" for name in kinds if getattr(held, name) > 5e7)
    span = f"{units.show_memory(held.low)} to {units.show_memory(held.high)}"
    return (
        f"{units.show_memory(held.total)} of {units.show_memory(plan.capacity)} on the fullest rank ({span}): {parts}"
    )


def _speed(plan: TrainPlan) -> str:
    low, high = units.show_time(plan.step_time_low), units.show_time(plan.step_time_high)
    rate = units.show_flop_rate(plan.model_flops_per_second_per_accelerator)
    return f"{units.show_time(plan.step_time)} a step (90 %: {low} to {high}), {rate} of model FLOP per accelerator"


def _goodput(plan: TrainPlan) -> str:
    found = plan.goodput
    if found is None:
        return "unknown"
    every = f"an interruption every {units.show_time(found.mtbf)}"
    return f"{found.value:.1%} ({found.low:.0%} to {found.high:.0%}): {every}, a checkpoint every " + (
        f"{units.show_time(found.interval)}; {found.failures.source}"
    )


def _cost(job: TrainJob, system: System, plan: TrainPlan, price: Price | None, quoted: float | None) -> str:
    if plan.accelerator_hours is None:
        return "not computed: no --tokens"
    hours = f"{units.show_tokens(plan.accelerator_hours)} accelerator-hours"
    if plan.energy is not None:
        hours += f", at most {units.show_energy(plan.energy)} by the chips' rated power"
    if plan.cost is None:
        return f"{hours}; unpriced: no price is known for {system.accelerator.name}"
    if price is None:
        return f"{units.show_money(plan.cost)}: {hours} at {units.show_price(quoted or math.nan)}"
    span = f"{units.show_price(price.low)} to {units.show_price(price.high)}"
    when = f"{price.tenure}, {price.date or 'undated'}, {', '.join(price.place) or 'no place'}"
    return f"{units.show_money(plan.cost)}: {hours} at {units.show_price(price.value)} ({span}; {when})"


def _bound(plan: TrainPlan) -> str:
    largest = sorted(plan.breakdown.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name.replace('_', ' ')} {value / plan.step_time:.0%}" for name, value in largest)


def _doubt(plan: TrainPlan) -> str:
    sure = plan.doubt
    if sure is None:
        return "unknown"
    text = f"{sure.evidence}: {sure.reason}"
    if sure.nearest:
        text += f"; nearest published run {sure.nearest['id']}"
        if "error" in sure.nearest:
            text += f" (off by {sure.nearest['error']:+.0%} with its source left out)"
    return text


def _software(plan: TrainPlan, dated: tuple[Dated, ...]) -> tuple[tuple[str, str], ...]:
    """How long the same step took with earlier software, as far as the model knows."""
    slower = [(one.date, one.step_time / plan.step_time - 1) for one in dated]
    told = [f"{share:+.0%} with that of {date:%Y-%m}" for date, share in slower if share > 0.005]
    return (("software", ", ".join(told)),) if told else ()


def _breakdown(plan: TrainPlan) -> Table:
    parts = [(name, value) for name, value in plan.breakdown.items() if value > 0]
    rows = tuple((n.replace("_", " "), units.show_time(v), f"{v / plan.step_time:.1%}") for n, v in parts)
    return Table("where the step goes", ("part", "time", "share"), rows)


def _alternatives(plan: TrainPlan) -> Table:
    rows: list[tuple[Any, ...]] = [
        (f"{other.slower:+.1%}", units.show_memory(other.memory), other.differs) for other in plan.alternatives
    ]
    return Table("nearly as good", ("step", "memory", "with"), tuple(rows))
