"""What is printed of one training plan: rows, tables, hints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tonnage import units
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.catalog import Price
    from tonnage.cli.train_extras import Asked
    from tonnage.system import System
    from tonnage.train import TrainJob, TrainPlan
    from tonnage.train.maturity import Dated


def answer(job: TrainJob, system: System, plan: TrainPlan, price: Price | None, asked: Asked) -> Answer:
    """The answer for one kind of accelerators."""
    command, quoted = asked.command, asked.quoted
    if plan.layout is None or plan.memory is None:
        bind = plan.outcome.binds[0]
        rows = [("bound by", f"{bind.what}: {bind.text}")]
        if bind.lift:
            rows.append(("nearest", bind.lift))
        return Answer(f"No layout: {bind.text}.", tuple(rows), feasible=False, hints=(f"{command}  (no --layout)",))
    rows = [
        ("layout", f"{plan.layout}" + (f"  ({_searched(plan)})" if plan.search else "")),
        ("memory", memory(plan)),
        ("speed", speed(plan)),
        ("goodput", goodput(plan)),
        ("cost", _cost(job, system, plan, price, quoted)),
        ("bound by", bound(plan)),
        ("doubt", doubt(plan)),
    ]
    if fallback := _fallback(job, system):
        rows.append(("assumed", fallback))
    if not plan.outcome.feasible and plan.outcome.binds[0].lift:
        rows.insert(1, ("nearest", str(plan.outcome.binds[0].lift)))
    tables = (breakdown(plan), *((_alternatives(plan),) if plan.alternatives else ()))
    records = tuple({"kind": name, "seconds": value} for name, value in plan.breakdown.items())
    pin = f"{command} --layout {plan.layout}  pins this layout; --json has every number"
    hints = (pin,) if plan.outcome.feasible else ()
    sentence = _sentence(job, system, plan)
    return Answer(sentence, tuple(rows), tables, hints=hints, records=records, feasible=plan.outcome.feasible)


def _fallback(job: TrainJob, system: System) -> str:
    """What a chip without the precision asked for multiplies in instead."""
    from tonnage.system import format_of, rate

    return rate(system.accelerator, format_of(job.precision).compute).note


def _sentence(job: TrainJob, system: System, plan: TrainPlan) -> str:
    what = f"{job.arch.title} on {system.count:,} {system.accelerator.title}"
    if not plan.outcome.feasible:
        return f"{what} does not work as asked: {plan.outcome.binds[0].text}."
    rate = units.show_number(plan.tokens_per_second_per_accelerator)
    text = f"{what}: {units.show_time(plan.step_time)} a step, {rate} tokens/s per accelerator, {mfu(job, plan)}"
    if plan.wall_time is not None and job.tokens is not None:
        text += f"; {units.show_tokens(job.tokens)} tokens take {units.show_time(plan.wall_time)}"
    return text + "."


def mfu(job: TrainJob, plan: TrainPlan) -> str:
    """`40.5% MFU`; below 16 bits with the peak that is meant, and what it is of the 16-bit peak."""
    if job.precision == job.sixteen:
        return f"{plan.mfu:.1%} MFU"
    return f"{plan.mfu:.1%} MFU ({job.precision} peak; {plan.mfu_16bit:.1%} of the 16-bit peak)"


def _searched(plan: TrainPlan) -> str:
    search = plan.search
    if search is None or search.candidates <= 1:
        return "as given"
    return f"best of {search.candidates:,} that divide, {search.feasible:,} of which fit"


def memory(plan: TrainPlan) -> str:
    """Bytes of the fullest rank by kind."""
    held = plan.memory
    if held is None:
        return "unknown"
    kinds = ("weights", "gradients", "optimizer", "activations", "buffers", "slack")
    parts = ", ".join(f"{name} {units.show_memory(getattr(held, name))}" for name in kinds if getattr(held, name) > 5e7)
    span = f"{units.show_memory(float(held.low))} to {units.show_memory(float(held.high))}"
    return (
        f"{units.show_memory(float(held.total))} of {units.show_memory(plan.capacity)} on the fullest rank"
        f" ({span}): {parts}" + ("; the upper end of that does not fit" if held.high > plan.capacity else "")
    )


def speed(plan: TrainPlan) -> str:
    """Time of a step with its interval."""
    low, high = units.show_time(plan.step_time_low), units.show_time(plan.step_time_high)
    rate = units.show_flop_rate(plan.model_flops_per_second_per_accelerator)
    return f"{units.show_time(plan.step_time)} a step (90 %: {low} to {high}), {rate} of model FLOP per accelerator"


def goodput(plan: TrainPlan) -> str:
    """Effective time, what interrupts, and where the rate is from."""
    found = plan.goodput
    if found is None:
        return "unknown"
    every = f"an interruption every {units.show_time(found.mtbf)}"
    return f"{found.value:.1%} ({found.low:.0%} to {found.high:.0%}): {every}, a checkpoint every " + (
        f"{units.show_time(found.interval)}, {found.spares:,} spares beside it; {found.failures.source}"
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


def bound(plan: TrainPlan) -> str:
    """The largest parts of a step."""
    largest = sorted(plan.breakdown.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name.replace('_', ' ')} {value / plan.step_time:.0%}" for name, value in largest)


def doubt(plan: TrainPlan) -> str:
    """How sure, and why."""
    sure = plan.doubt
    if sure is None:
        return "unknown"
    text = f"{sure.evidence}: {sure.reason}"
    if sure.nearest:
        text += f"; nearest published run {sure.nearest['id']}"
        if "error" in sure.nearest:
            text += f" (off by {sure.nearest['error']:+.0%} with its source left out)"
    return text


def software(plan: TrainPlan, dated: tuple[Dated, ...]) -> tuple[tuple[str, str], ...]:
    """How long the same step took with earlier software, as far as the model knows."""
    slower = [(one.date, one.step_time / plan.step_time - 1) for one in dated]
    told = [f"{share:+.0%} with that of {date:%Y-%m}" for date, share in slower if share > 0.005]
    return (("software", ", ".join(told)),) if told else ()


def breakdown(plan: TrainPlan) -> Table:
    """Where the step goes."""
    parts = [(name, value) for name, value in plan.breakdown.items() if value > 0]
    rows = tuple((n.replace("_", " "), units.show_time(v), f"{v / plan.step_time:.1%}") for n, v in parts)
    return Table("where the step goes", ("part", "time", "share"), rows)


def _alternatives(plan: TrainPlan) -> Table:
    rows: list[tuple[Any, ...]] = [
        (f"{other.slower:+.1%}", units.show_memory(other.memory), other.differs) for other in plan.alternatives
    ]
    return Table("nearly as good", ("step", "memory", "with"), tuple(rows))
