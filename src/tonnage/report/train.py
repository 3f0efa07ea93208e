"""A training plan in words: sentence, rows, tables. What a field is called stands in backticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tonnage import units
from tonnage.catalog import Price
from tonnage.report.answer import Answer, Table
from tonnage.report.train_move import move_rows, move_sentence
from tonnage.report.train_rl import rl_rows, rl_sentence
from tonnage.system import format_of, rate
from tonnage.train import NearPlan, TrainDoubt, TrainFigures, TrainJob, TrainMemory, TrainPlan
from tonnage.train.duration import sentence as sentence_of
from tonnage.train.goodput import Goodput
from tonnage.train.maturity import Dated
from tonnage.train.search import perhaps


def answer(
    plan: TrainPlan,
    quote: Price | None = None,
    dated: Sequence[Dated] = (),
    near: Sequence[NearPlan] = (),
    note: str = "",
) -> Answer:
    """The answer for one kind of accelerators; quote: the catalogue's price, note: said before it; dated: the step with
    earlier software; near: counts and batches that leave fewer over.
    """
    if plan.run is None:
        bind = plan.outcome.binds[0]
        refused = [("bound by", f"{bind.what}: {bind.text}"), *((("nearest", bind.lift),) if bind.lift else ())]
        return Answer(f"No layout: {bind.text}.", tuple(refused), feasible=False)
    tables = (breakdown(plan.run), *((_alternatives(plan),) if plan.alternatives else ()))
    records = tuple({"kind": name, "seconds": value} for name, value in plan.breakdown.items())
    rows = (*_rows(plan, plan.run, quote, note), *_nearby(plan, plan.run, near), *_software(plan.run, dated))
    made = Answer(_sentence(plan, plan.run), rows, tables, records=records, feasible=plan.outcome.feasible)
    if plan.move is not None:
        made = _with(made, move_rows(plan.move), move_sentence(plan.move))
    if plan.rl is not None:
        made = _with(made, rl_rows(plan.rl), rl_sentence(plan.rl))
    return made


def _with(made: Answer, rows: tuple[tuple[str, str], ...], sentence: str) -> Answer:
    return replace(made, rows=(*made.rows, *rows), sentence=f"{made.sentence} {sentence}")


def _rows(plan: TrainPlan, run: TrainFigures, quote: Price | None, note: str) -> tuple[tuple[str, str], ...]:
    lift = None if plan.outcome.feasible else plan.outcome.binds[0].lift
    fallback = _fallback(plan)
    return (
        ("layout", f"{plan.layout}" + (f"  ({_searched(plan)})" if plan.search else "")),
        *_uses(plan, run),
        *((("nearest", lift),) if lift else ()),
        ("memory", memory(run.memory)),
        *_told(plan.job),
        ("speed", speed(run)),
        ("goodput", goodput(run.goodput, plan.unused or 0, run.wall_time.value if run.wall_time else None)),
        *_took(plan),
        ("cost", _cost(plan, run, quote, note)),
        ("bound by", bound(run)),
        ("doubt", doubt(run.doubt)),
        *((("assumed", fallback),) if fallback else ()),
    )


def _uses(plan: TrainPlan, run: TrainFigures) -> tuple[tuple[str, str], ...]:
    """How many of the accelerators work, where some are left over."""
    if not plan.used or not plan.unused:
        return ()
    each = units.show_number(run.tokens_per_second * plan.system.count / plan.used)
    text = f"{plan.used:,} of {plan.system.count:,} accelerators, {each} tokens/s each; {plan.unused:,} are spares"
    return (("uses", text),)


def _nearby(plan: TrainPlan, run: TrainFigures, near: Sequence[NearPlan]) -> tuple[tuple[str, str], ...]:
    """What would leave fewer over, or make each do more."""
    told = [f"{_would(plan, one)}, {_pays(run, one)}" for one in near]
    return (("nearby", "; ".join(told)),) if told else ()


def _pays(run: TrainFigures, one: NearPlan) -> str:
    more = one.tokens_per_second / run.tokens_per_second - 1
    return f"{units.show_number(one.tokens_per_second)} tokens/s per accelerator ({more:+.0%})"


def _would(plan: TrainPlan, one: NearPlan) -> str:
    if one.what == "count":
        return f"of {one.value:,} accelerators " + ("all" if one.used == one.value else f"{one.used:,}") + " would work"
    if not plan.unused:
        return f"with `global_batch` {one.value}"
    return f"with `global_batch` {one.value} {one.used:,} would work"


def _took(plan: TrainPlan) -> tuple[tuple[str, str], ...]:
    """How long such runs took, beside what the steps take."""
    took = plan.duration
    if took is None:
        return ()
    ends = " to ".join(units.show_time(end) for end in (took.time.low, took.time.high))
    return (("such runs", f"took {units.show_time(took.time.value)} (90 %: {ends}): {sentence_of(took)}"),)


def _fallback(plan: TrainPlan) -> str:
    """What a chip without the precision asked for multiplies in instead."""
    return rate(plan.system.accelerator, format_of(plan.job.precision).compute).note


def _sentence(plan: TrainPlan, run: TrainFigures) -> str:
    count = f"{plan.used:,} of {plan.system.count:,}" if plan.used and plan.unused else f"{plan.system.count:,}"
    what = f"{plan.job.arch.title} on {count} {plan.system.accelerator.title}"
    if not plan.outcome.feasible:
        held = run.memory
        if plan.outcome.reason == "memory" and held.low <= held.capacity:
            return f"{what} {perhaps(held.total, held.low, held.high, held.capacity)}."
        return f"{what} does not work as asked: {plan.outcome.binds[0].text}."
    return sentence(plan.job, what, run)


def sentence(job: TrainJob, what: str, run: TrainFigures) -> str:
    """Step, rate, MFU and, where the tokens are given, the time of the whole run."""
    each = units.show_number(run.tokens_per_second)
    text = f"{what}: {units.show_time(run.step_time.value)} a step, {each} tokens/s per accelerator, {mfu(job, run)}"
    if run.wall_time is not None and job.tokens is not None:
        text += f"; {units.show_tokens(job.tokens)} tokens take {units.show_time(run.wall_time.value)}"
    return text + "."


def mfu(job: TrainJob, run: TrainFigures) -> str:
    """`40.5% MFU`; below 16 bits with the peak that is meant, and what it is of the 16-bit peak."""
    if job.precision == job.sixteen:
        return f"{run.mfu:.1%} MFU"
    return f"{run.mfu:.1%} MFU ({job.precision} peak; {run.mfu_16bit:.1%} of the 16-bit peak)"


def _searched(plan: TrainPlan) -> str:
    search = plan.search
    if search is None or search.candidates <= 1:
        return "as given"
    return f"best of {search.candidates:,} that divide, {search.feasible:,} of which fit"


def memory(held: TrainMemory) -> str:
    """Bytes of the fullest rank by kind."""
    kinds = ("weights", "gradients", "optimizer", "activations", "buffers", "slack")
    parts = ", ".join(f"{name} {units.show_memory(getattr(held, name))}" for name in kinds if getattr(held, name) > 5e7)
    span = f"{units.show_memory(held.low)} to {units.show_memory(held.high)}"
    return (
        f"{units.show_memory(held.total)} of {units.show_memory(held.capacity)} on the fullest rank ({span}): {parts}"
        + ("; the upper end of that does not fit" if held.high > held.capacity else "")
        + (f"; {units.show_memory(held.host)} in the memory of its host" if held.host else "")
    )


def _told(job: TrainJob) -> tuple[tuple[str, str], ...]:
    """How parameters are kept, where it is said; what is left out."""
    said = [
        *([f"adapters of rank {job.lora_rank} on {job.lora_on}"] if job.lora_rank else []),
        *([f"frozen weights in {job.stored}"] if job.stored else []),
        *([job.optimizer] if job.optimizer != "adamw" else []),
        *([f"moments in {job.moments}"] if job.moments else []),
        *(["no master copy"] if job.master == "none" else []),
        *(["gradients summed in bf16"] if job.gradients == "bf16" else []),
        *([f"{', '.join(job.offload)} in the host's memory"] if job.offload else []),
        *([f"loss in {job.loss_chunks} chunks"] if job.loss_chunks else []),
        *(["not compiled"] if job.compiled is False else []),
    ]
    if said and job.frozen and job.lora_rank is None:
        said.append("what adapters take is left out (`lora_rank`)")
    return (("keeps", "; ".join(said)),) if said else ()


def speed(run: TrainFigures) -> str:
    """Time of a step with its interval."""
    value, low, high = (units.show_time(x) for x in (run.step_time.value, run.step_time.low, run.step_time.high))
    flop = units.show_flop_rate(run.model_flops_per_second)
    return f"{value} a step (90 %: {low} to {high}), {flop} of model FLOP per accelerator"


def goodput(found: Goodput, idle: int = 0, lasts: float | None = None) -> str:
    """Effective time, what interrupts, how many spares to keep, of which some stand idle already, and where the rate
    is from; lasts: seconds of the whole run, in which there may hardly be an interruption.
    """
    share = f"{found.value:.1%} ({found.low:.0%} to {found.high:.0%})"
    every = f"an interruption every {units.show_time(found.mtbf)}"
    if lasts is not None and lasts < RARE * found.mtbf:
        return f"{share}: none is likely in {units.show_time(lasts)} ({every}); {found.failures.source}"
    spares = f", {found.spares:,} spares beside it{_there(found.spares, idle)}" if found.spares else ""
    return f"{share}: {every}, a checkpoint every {units.show_time(found.interval)}{spares}; {found.failures.source}"


RARE = 0.05
"""Interruptions of a whole run below which spares and checkpoints mean nothing: one run in twenty meets one."""


def _there(spares: int, idle: int) -> str:
    if not idle:
        return ""
    return " (what is left over is enough)" if idle >= spares else f" ({idle:,} of them are left over already)"


def _cost(plan: TrainPlan, run: TrainFigures, quote: Price | None, note: str) -> str:
    bill = run.bill
    if bill is None:
        return "not computed: no `tokens`"
    hours = f"{units.show_tokens(bill.accelerator_hours)} accelerator-hours"
    if plan.unused:
        hours += f" of all {plan.system.count:,}"
    if bill.energy is not None:
        hours += f", at most {units.show_energy(bill.energy)} by the chips' rated power"
    if bill.cost is None or plan.price is None:
        return f"{hours}; unpriced: no price is known for {plan.system.accelerator.name}"
    if quote is None:
        return f"{units.show_money(bill.cost)}: {hours} at {units.show_price(plan.price)}"
    span = f"{units.show_price(quote.low)} to {units.show_price(quote.high)}"
    when = note + basis(quote)
    return f"{units.show_money(bill.cost)}: {hours} at {units.show_price(quote.value)} ({span}; {when})"


def basis(quote: Price) -> str:
    """Term, date and place of a quoted price; of a cost of owning, how it comes about."""
    if quote.tenure == "owned" and quote.source == "computed":
        return quote.basis
    return f"{quote.tenure}, {quote.date or 'undated'}, {', '.join(quote.place) or 'no place'}"


def bound(run: TrainFigures) -> str:
    """The largest parts of a step."""
    largest = sorted(run.breakdown.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name.replace('_', ' ')} {value / run.step_time.value:.0%}" for name, value in largest)


def doubt(sure: TrainDoubt) -> str:
    """How sure, and why."""
    text = f"{sure.evidence}: {sure.reason}"
    if sure.nearest:
        run = sure.nearest.run
        text += f"; nearest published run {run.id} (off by {run.error:+.0%} with its source left out)"
    return text


def _software(run: TrainFigures, dated: Sequence[Dated]) -> tuple[tuple[str, str], ...]:
    """How long the same step took with earlier software, as far as the model knows."""
    slower = [(one.date, one.step_time / run.step_time.value - 1) for one in dated]
    told = [f"{share:+.0%} with that of {date:%Y-%m}" for date, share in slower if share > 0.005]
    return (("software", f"a step would take {', '.join(told)}"),) if told else ()


def breakdown(run: TrainFigures) -> Table:
    """Where the step goes."""
    parts = [(name, value) for name, value in run.breakdown.items() if value > 0]
    rows = tuple((n.replace("_", " "), units.show_time(v), f"{v / run.step_time.value:.1%}") for n, v in parts)
    return Table("where the step goes", ("part", "time", "share"), rows)


def _alternatives(plan: TrainPlan) -> Table:
    rows = tuple((f"{one.slower:+.1%}", units.show_memory(one.memory), one.differs) for one in plan.alternatives)
    return Table("nearly as good", ("step", "memory", "with"), rows)
