"""What `tonnage serve` says: a sentence, then layout, memory, speed, cost, what binds, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.interval import Interval
from tonnage.report.answer import Answer, Table
from tonnage.report.memory import show_held

if TYPE_CHECKING:
    from tonnage.ask.serve import AssumedSpeed, ServeFound
    from tonnage.model import Drafter
    from tonnage.serve import ServePlan
    from tonnage.serve.pools import PoolLayout
    from tonnage.serve.result import MemoryUse, PointRow
    from tonnage.values import Plain


def brief(title: str) -> str:
    """A chip's title without what stands in brackets."""
    return title.partition(" (")[0]


def body_of(found: ServeFound) -> dict[str, Plain]:
    """Keys of the JSON answer."""
    from tonnage.export import launches

    plan = found.plan
    body = plan.to_json()
    body["launch"] = [row.to_json(chip=bool(plan.shares)) for row in launches(plan)]
    body["assumed_tpot"] = None if found.assumed is None else found.assumed.tpot
    body["assumed_ttft"] = None if found.assumed is None else found.assumed.ttft
    if found.anchors:
        body["anchored"] = [each.to_json() for each in found.anchors]
    measured: dict[str, Plain] = {**_measured(plan)}
    return body | {"measured": measured} if measured else body


def answer_of(command: str, found: ServeFound, *, energy: bool = False) -> Answer:
    """The answer to `command`, without what pins a layout; energy: whether it is asked for without a price list."""
    plan = found.plan
    answer = _served(command, plan, found.assumed) if plan.outcome.feasible else _refusal(plan)
    rows = list(answer.rows)
    if energy and plan.bill.day is None:
        rows += _energy(plan)
    if found.anchors:
        rows.append(("anchored", "; ".join(each.text for each in found.anchors)))
    if measured := _measured(plan):
        rows.append(("measured", "; ".join(measured.values())))
    return replace(answer, rows=tuple(rows))


def _measured(plan: ServePlan) -> dict[str, str]:
    """Whose measurements were used, by chip."""
    fleets = plan.question.fleets
    return {fleet.system.accelerator.name: fleet.measured for fleet in fleets if fleet.measured is not None}


def _title(plan: ServePlan) -> str:
    """All accelerators."""
    return " + ".join(f"{one.count:,} x {brief(one.accelerator.title)}" for one in plan.systems)


def _served(command: str, plan: ServePlan, assumed: AssumedSpeed | None) -> Answer:
    rows = [
        ("layout", _lead(plan) + _layout(plan)),
        ("memory", _lead(plan) + _memory(plan)),
        ("speed", _speed(plan)),
        *_fewest(plan),
        ("cost", _cost(plan)),
        *_day(plan),
        ("bound by", _lead(plan) + _bound(plan)),
        ("doubt", _doubt(plan)),
        ("assumed", _assumed(plan, assumed)),
        *_ends(plan, assumed),
        *_variants(plan),
        *_refused(plan),
        *_launch(plan),
    ]
    tables = tuple(table for table in (_shares(plan), _frontier(plan), _others(plan)) if table.rows)
    records: tuple[dict[str, object], ...] = tuple(dict(row.to_json()) for row in plan.frontier)
    return Answer(_sentence(plan), tuple(rows), tables, hints=_hints(command, plan), records=records)


PINNED = ("chunk", "layout", "prefill_layout", "ffn_layout", "micro_batches", "disaggregate", "afd", "mode")
"""Flags that a hint writes as they were chosen."""


def _sentence(plan: ServePlan) -> str:
    title, job = _title(plan), plan.job
    verb = "serves" if title.startswith("1 x ") and not plan.shares else "serve"
    what = f"Yes: {title} {verb} {job.arch.title} ({_weights(plan)})"
    rate = units.show_number(plan.requests_per_second or 0.0)
    if plan.shares and plan.tpot is not None:
        slow = units.show_time(plan.tpot.value)
        return f"{what} at {rate} requests/s in all and at most {slow} per token: {_together(plan)}."
    if plan.mode == "prefill":
        given = units.show_number(plan.input_rate or 0.0)
        return f"{what}, prefill only: {given} input tokens/s per accelerator."
    if plan.ffn is not None:
        alone = "" if plan.prefill_pool else ", decode only"
        what = f"{what}{alone}, attention and FFN apart,"
    elif plan.mode == "decode":
        what = f"{what}, decode only,"
    what = f"{what} at {rate} requests/s"
    if job.osl < 2:  # nothing follows the first token
        return f"{what} and {_mean(plan.ttft)} to the one token asked for."
    return f"{what} and {_mean(plan.tpot)} per token."


def _mean(found: Interval | None) -> str:
    return units.show_time(0.0 if found is None else found.value)


def _weights(plan: ServePlan) -> str:
    """Formats of the weights, of each fleet that works where they differ."""
    busy = [part for part in plan.shares if part.does != "idle"]
    if len({part.weights for part in busy}) < 2:
        return plan.formats.weights
    return ", ".join(f"{part.weights} on {brief(part.title)}" for part in busy)


def _together(plan: ServePlan) -> str:
    """What each of several fleets does, in a clause."""
    does = {"prefill": "prefill", "decode": "decode", "attention": "have the attention", "FFN": "have the FFN"}
    clauses = []
    for part in plan.shares:
        who, verb = f"{brief(part.title)}", does.get(part.does)
        if part.does == "idle":
            clauses.append(f"{who} stand idle, for they do not keep the limits or do not help")
        elif verb is not None:
            clauses.append(f"{who} {verb}")
        else:
            clauses.append(f"{who} serve {units.show_number(part.requests or 0.0)}/s by themselves")
    return ", ".join(clauses)


def _hints(command: str, plan: ServePlan) -> tuple[str, ...]:
    if plan.pool is None or plan.shares:
        return ("--json has every number",)
    return (f"{command} {_flags(plan)}  pins this layout; --json has every number",)


def _lead(plan: ServePlan) -> str:
    """Whose figures follow, where several fleets serve."""
    busy = [part for part in plan.shares if part.does not in ("idle", "prefill", "FFN")]
    if not busy:
        return ""
    best = max(busy, key=lambda part: part.requests or 0.0)
    return f"{brief(best.title)}: "


def _assumed(plan: ServePlan, assumed: AssumedSpeed | None) -> str:
    formats, drafts = plan.formats, plan.job.speculative
    how = {"default": ", run as it comes", "tuned": ", tuned for this service"}.get(plan.job.stack or "", "")
    how += ", without graphs" if plan.job.eager else ""
    text = f"{plan.engine_rules or plan.engine}{how}; weights {formats.weights} ({formats.why}), cache {formats.kv}"
    if drafts is not None:
        free = drafts.method == "draft" and plan.job.arch.drafter is None
        whose = "a model beside it, priced as free" if free else _whose(plan.job.arch.drafter)
        text += f"; {drafts.tokens:g} drafted a step by {whose}, each accepted at {drafts.acceptance:.0%}"
    if any(one.what == "tpot" for one in plan.job.late):
        text += "; percentiles of TPOT: what prefill of others adds varies, nothing else"
    if plan.left_out is not None:
        text += f"; left out: {plan.left_out}"
    if plan.shares:
        text = f"{_lead(plan)}{text}"
    return text if assumed is None else f"{_assumed_speed(assumed)}; {text}"


def _whose(drafter: Drafter | None) -> str:
    """Who drafts, in words."""
    if drafter is None:
        return "the model's own layers"
    if not drafter.name:
        return "an EAGLE-3 head of usual shape, counted"
    return {"eagle3": "EAGLE-3 head ", "eagle": "EAGLE head ", "dflash": "DFlash "}.get(drafter.kind, "") + drafter.name


def _assumed_speed(assumed: AssumedSpeed) -> str:
    """What was asked for where nothing was said."""
    known = (("per token", "tpot", assumed.tpot, "50 ms"), ("to the first", "ttft", assumed.ttft, "2 s"))
    said = [
        f"{units.show_time(value)} {what}"
        + (
            f": these do not keep the usual {usual}"
            if usual != units.show_time(value)
            else f", for no --{flag} is given"
        )
        for what, flag, value, usual in known
        if value is not None
    ]
    free = ", ".join(f"--{flag} none" for _, flag, value, _ in known if value is not None)
    return f"{' and '.join(said)} ({free}: no limit)"


def _fewest(plan: ServePlan) -> list[tuple[str, str]]:
    """The fewest accelerators that carry a rate."""
    if plan.fewest is None or plan.job.rate is None:
        return []
    chip, rate = _title(plan).partition(" x ")[2], units.show_number(plan.job.rate)
    return [("fewest", f"{plan.fewest:,} x {chip} carry {rate} requests/s within the limits")]


def _ends(plan: ServePlan, assumed: AssumedSpeed | None) -> list[tuple[str, str]]:
    """Both ends of the frontier, where nobody said how fast."""
    rows = [row for row in plan.frontier if row.mode != "prefill"]
    if assumed is None or assumed.tpot is None or len(rows) < 2 or plan.shares:
        return []
    text = "; ".join(
        f"{what} {units.show_time(row.tpot or 0.0)} per token at "
        f"{units.show_number(row.output)} tokens/s per accelerator ({row.where})"
        for what, row in (("most tokens:", _most(plan)), ("fastest per user:", _fastest(plan)))
    )
    return [("extremes", text)]


def _most(plan: ServePlan) -> PointRow:
    return max(plan.frontier, key=lambda row: row.requests)


def _fastest(plan: ServePlan) -> PointRow:
    return max(plan.frontier, key=lambda row: row.user or 0.0)


def _refused(plan: ServePlan) -> list[tuple[str, str]]:
    """A better point that the engine does not start."""
    if plan.refused is None:
        return []
    row = plan.refused.row
    times = f" at {units.show_time(row.tpot)} per token" if row.tpot else ""
    would = f"{row.where} ({row.mode}) would do {units.show_number(row.requests)} requests/s{times}"
    return [("refused", f"{would}: {plan.refused.why}")]


def _variants(plan: ServePlan) -> list[tuple[str, str]]:
    """What was left open, and what it would bring."""
    parts = [
        f"{row.change}: {units.show_number(row.requests)} requests/s"
        + (f" at {units.show_time(row.tpot)} per token" if row.tpot else "")
        + (f" ({row.where})" if row.where else " (same layouts)")
        for row in plan.variants
    ]
    return [("with", "; ".join(parts))] if parts else []


def _launch(plan: ServePlan) -> list[tuple[str, str]]:
    """What each kind of instance has to be told."""
    from tonnage.export import launches

    rows, told = [], launches(plan)
    for row in told:
        where = f"{row.chip} " if plan.shares else ""
        many = f" x {row.count}" if row.count > 1 else ""
        head = f"{where}{row.role}{many}, {row.engine}{f' {row.version}' if row.version else ''}"
        if not row.flags:
            rows.append(("launch", f"{head}: {row.why}"))
        for place, command in row.commands if row.flags else ():
            on = "" if row.nodes == 1 else f", {place}"
            rows.append(("launch", f"{head}{on}: {command}"))
    both = dict.fromkeys(row.why for row in told if row.flags and row.why)
    return [*rows, *(("", why) for why in both if why)]


def _layout(plan: ServePlan) -> str:
    tried = f"best of {plan.search.candidates:,} points, {plan.search.feasible:,} of which keep the limits"
    if plan.prefill_pool is None:
        where = {"prefill": "prefill only", "decode": "decode only"}.get(plan.mode, "prefill and decode together")
        if plan.ffn is not None:
            return f"{_decode(plan)}; decode only ({tried}){_idle(plan)}"
        return f"{plan.layout_text}; {where} ({tried}){_idle(plan)}{_ranks(plan)}"
    return f"prefill {plan.prefill_layout_text}, decode {_decode(plan)} ({tried}){_idle(plan)}{_ranks(plan)}"


def _ranks(plan: ServePlan) -> str:
    """Accelerators that are several ranks."""
    many = [one.accelerator for one in plan.systems if one.accelerator.dies > 1]
    return "".join(f"; one {brief(one.title)} is {one.dies} ranks" for one in many)


def _decode(plan: ServePlan) -> str:
    """The layout of what decodes, in words."""
    if plan.ffn is None:
        return plan.layout_text
    turns = f"{plan.ffn.micro_batches} micro-batch" + ("es" if plan.ffn.micro_batches > 1 else "")
    return f"attention {plan.layout_text}, FFN {plan.ffn.pool.text}, {turns} in turns"


def _idle(plan: ServePlan) -> str:
    idle = round(plan.accelerators - plan.used)
    return f"; {idle:,} of {plan.accelerators:,} accelerators stand idle" if idle else ""


def _memory(plan: ServePlan) -> str:
    if plan.ffn is None:
        return _held(plan.memory)
    return f"attention ranks {_held(plan.memory)}; FFN ranks {_held(plan.ffn.memory)}"


def _held(held: MemoryUse | None) -> str:
    if held is None:
        return ""
    named = ("weights", "kv_cache", "activations", "buffers")
    used = [(name, getattr(held, name)) for name in named]
    parts = ", ".join(f"{name.replace('_', ' ')} {units.show_memory(value)}" for name, value in used if value)
    return f"{show_held(held)} each: {parts}"


def _speed(plan: ServePlan) -> str:
    parts, late = [], plan.speed.late
    if plan.ttft is not None:
        spread = "" if late is None else f" (p50 {units.show_time(late.p50)}, p99 {units.show_time(late.p99)})"
        parts.append(f"TTFT {units.show_time(plan.ttft.value)}{spread}")
    if plan.tpot is not None:
        parts.append(f"TPOT {units.show_time(plan.tpot.value)}")
    if plan.input_rate is not None:
        parts.append(f"{units.show_number(plan.input_rate)} input tokens/s per accelerator")
    if plan.output_rate is not None:
        parts.append(f"{units.show_number(plan.output_rate.value)} output tokens/s per accelerator")
    if plan.speed.batch is not None:
        parts.append(f"{units.show_number(plan.speed.batch)} sequences per accelerator")
    return ", ".join(parts)


def _cost(plan: ServePlan) -> str:
    bill = plan.bill
    if bill.price is None:
        return "unpriced: no price is known for all of these chips; give one with --price"
    named = [("input", bill.input), ("output", bill.output)]
    if bill.cached is not None:
        named[:1] = [("fresh", bill.fresh), ("cached", bill.cached)]
    parts = [f"${units.show_number(value)} per M {name} tokens" for name, value in named if value is not None]
    return f"{', '.join(parts)} at {units.show_price(bill.price.value)} ({bill.price.basis})"


def _day(plan: ServePlan) -> list[tuple[str, str]]:
    """Revenue, cost and margin of a day, and energy, where a price list is asked for."""
    sold = plan.bill.day
    if sold is None:
        return []
    text = f"${units.show_number(sold.revenue_per_day)} at list prices ({sold.price_list})"
    if sold.margin is not None and sold.cost_per_day is not None:
        text += f", ${units.show_number(sold.cost_per_day)} of accelerators: margin {sold.margin:.0%} of revenue"
    return [("a day", text), *_energy(plan)]


def _energy(plan: ServePlan) -> list[tuple[str, str]]:
    """Energy of a million output tokens, where the power is known."""
    bill = plan.bill
    if bill.output_energy is None or bill.power is None:
        return []
    kwh = units.show_number(bill.output_energy / 3.6e6)
    return [("energy", f"{kwh} kWh per M output tokens ({bill.power.basis})")]


def _bound(plan: ServePlan) -> str:
    largest = sorted(plan.breakdown.items(), key=lambda item: -item[1])[:4]
    if plan.ffn is not None:
        busy = (plan.ffn.attention_busy, plan.ffn.ffn_busy, plan.ffn.wire_busy)
        shares = ", ".join(f"{name} {value:.0%}" for name, value in zip(_SIDES, busy, strict=True))
        return f"{_held_up(plan)}; at work: {shares} of a step"
    return ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in largest) + " of a mean step"


_SIDES = ("attention ranks", "FFN ranks", "wire")


def _held_up(plan: ServePlan) -> str:
    """What sets the length of a step with attention and FFN apart."""
    names = {"attention_ranks": "attention ranks", "ffn_ranks": "FFN ranks", "wire": "the wire between them"}
    found = [names[name] for name in plan.breakdown if name in names]
    return f"{found[0]}, always busy" if len(found) == 1 else "one micro-batch through all in a row"


def _doubt(plan: ServePlan) -> str:
    from tonnage.serve.replica.spread import CROWDED, crowded

    parts = [
        f"{name} {units.show_time(found.low)} to {units.show_time(found.high)}"
        for name, found in (("TPOT", plan.tpot), ("TTFT", plan.ttft))
        if found is not None
    ]
    out = plan.output_rate
    if out is not None:
        parts.append(f"output {units.show_number(out.low)} to {units.show_number(out.high)} tokens/s")
    held = plan.measured_share
    kernels = "" if held is None else f"; {held:.0%} of the time in kernels measured on the chip, the rest modelled"
    many = ""
    if plan.speed is not None and crowded(plan.question.job.arch.moe, plan.speed.batch):
        many = f", for published mixtures with over {CROWDED} sequences an accelerator are mostly slower than this"
    return f"{', '.join(parts)} (90 %); {plan.evidence}{many}{kernels}"


def _flags(plan: ServePlan) -> str:
    """The flags that pin what was chosen: every pool there is, and its layout."""
    from tonnage.serve.replica.engines import engine
    from tonnage.serve.replica.memory import usual_step
    from tonnage.system import per_die

    assert plan.pool is not None
    words = [f"--layout {_flag(plan.pool, whole=plan.ffn is None)}"]
    if plan.ffn is not None:
        ffn = _flag(plan.ffn.pool, whole=False)
        words = ["--afd", *words, f"--ffn-layout {ffn}", f"--micro-batches {plan.ffn.micro_batches}"]
    if plan.prefill_pool is not None:
        words = ["--disaggregate", *words, f"--prefill-layout {_flag(plan.prefill_pool, whole=True)}"]
    usual = usual_step(engine(plan.job.engine or plan.engine), per_die(plan.systems[0].accelerator))
    if plan.chunk is not None and plan.chunk != usual:
        words.append(f"--chunk {plan.chunk}")
    if plan.mode in ("prefill", "decode"):
        words = [f"--mode {plan.mode}", *words]
    return " ".join(words)


def _flag(pool: PoolLayout, *, whole: bool) -> str:
    """A layout as `--layout` reads it; whole: with the replicas of all instances as its dp."""
    own = {name: int(getattr(pool.layout, name)) for name in ("tp", "pp", "dp", "ep", "etp", "cp")}
    if whole and own["dp"] > 1:
        own["dp"] *= pool.instances
    return ",".join(f"{name}{value}" for name, value in own.items() if value != 1 or name == "tp")


ALONE = 0.01
"""Share of the most tokens below which a point is one user on all chips, which nobody runs: JSON has it, the table not.
Assumption."""


def _frontier(plan: ServePlan) -> Table:
    each, last = max(1, len(plan.frontier) // 8), len(plan.frontier) - 1
    most = max((row.output for row in plan.frontier), default=0.0)
    rows = [row for i, row in enumerate(plan.frontier) if (i % each == 0 and i < last) or i == last or row.chosen]
    rows = [row for row in rows if row.output >= ALONE * most or row.chosen]
    cells = tuple(
        (
            units.show_number(row.output),
            units.show_number(row.user or 0.0),
            _time(row.ttft),
            row.mode,
            f"{row.where}  <- chosen" if row.chosen else row.where,
        )
        for row in rows
    )
    header = ("tokens/s each", "tokens/s a user", "TTFT", "mode", "layout")
    whose = _lead(plan).removesuffix(": ")
    title = "throughput against speed per user, limits aside" + (f", of {whose}" if whose else "")
    return Table(title, header, cells)


def _time(value: float | None) -> str:
    return "-" if value is None else units.show_time(value)


def _shares(plan: ServePlan) -> Table:
    rows = tuple(
        (
            f"{part.count:,} x {part.chip}",
            "by itself" if part.does in ("aggregated", "disaggregated") else str(part.does),
            str(f"{part.prefill_layout} + " if part.prefill_layout else "") + str(part.layout or "-"),
            units.show_number(part.requests or 0.0),
            units.show_time(part.tpot) if part.tpot else "-",
            _dollars(part.output_cost),
        )
        for part in plan.shares
    )
    header = ("fleet", "does", "layout", "requests/s it can", "TPOT", "$ per M output")
    return Table("what each fleet does", header, rows)


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${units.show_number(value)}"


def _others(plan: ServePlan) -> Table:
    cells = tuple(
        (units.show_number(row.requests), _time(row.tpot), _time(row.ttft), row.mode, row.where)
        for row in plan.alternatives
    )
    title, served = "next best", plan.requests_per_second or 0.0
    more = any(row.requests > served for row in plan.alternatives)
    if plan.mode == "disaggregated" and plan.job.rate is None and more:
        title += "; those that serve more let first tokens wait longer, for less than 5 % of the requests"
    return Table(title, ("requests/s", "TPOT", "TTFT", "mode", "layout"), cells)


def _refusal(plan: ServePlan) -> Answer:
    bind = plan.outcome.binds[0]
    rows = [("also", f"{one.what}: {one.text}") for one in plan.outcome.binds[1:]]
    rows += [("what would do", one.lift) for one in plan.outcome.binds if one.lift]
    rows += _refused(plan)
    if plan.nearest is not None:
        rows.append(("nearest", _near(plan.nearest)))
    sentence = f"No: {_title(plan)} cannot serve {plan.job.arch.title} as asked: {bind.text}."
    tables = (_frontier(plan),) if plan.frontier else ()
    return Answer(sentence, tuple(rows), tables, feasible=False)


def _near(row: PointRow) -> str:
    """The nearest service level that can be kept."""
    known = (("TPOT", row.tpot), ("TTFT", row.ttft))
    times = [f"{name} {units.show_time(value)}" for name, value in known if value is not None]
    return f"{', '.join(times)}, {units.show_number(row.requests)} requests/s on {row.where}"
