"""What `tonnage serve` says: a sentence, then layout, memory, speed, cost, what binds, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tonnage import units
from tonnage.report.answer import Answer, Table, show_held

if TYPE_CHECKING:
    from tonnage.serve import ServeJob, ServePlan


def brief(title: str) -> str:
    """A chip's title without what stands in brackets."""
    return title.partition(" (")[0]


def answer_of(command: str, job: ServeJob, title: str, plan: ServePlan, assumed: str | None = None) -> Answer:
    """The answer to `command`; title: of all accelerators; assumed: what was asked for where nothing was."""
    if not plan.outcome.feasible:
        return _refusal(job, title, plan)
    rows = [
        ("layout", _lead(plan) + _layout(plan)),
        ("memory", _lead(plan) + _memory(plan)),
        ("speed", _speed(plan)),
        *_fewest(job, title, plan),
        ("cost", _cost(plan)),
        *_day(plan),
        ("bound by", _lead(plan) + _bound(plan)),
        ("doubt", _doubt(plan)),
        ("assumed", _assumed(job, plan, assumed)),
        *_ends(job, plan, assumed),
        *_variants(plan),
        *_launch(plan),
    ]
    tables = tuple(table for table in (_parts(plan), _frontier(plan), _others(job, plan)) if table.rows)
    return Answer(
        _sentence(job, title, plan),
        tuple(rows),
        tables,
        hints=_hints(command, plan),
        records=plan.frontier,
    )


PINNED = ("chunk", "layout", "prefill_layout", "ffn_layout", "micro_batches", "disaggregate", "afd", "mode")
"""Flags that a hint writes as they were chosen."""


def _sentence(job: ServeJob, title: str, plan: ServePlan) -> str:
    verb = "serves" if title.startswith("1 x ") and not plan.parts else "serve"
    what = f"Yes: {title} {verb} {job.arch.title} ({_weights(plan)})"
    if plan.parts and plan.tpot is not None:
        rate, slow = units.show_number(plan.requests_per_second or 0.0), units.show_time(plan.tpot)
        return f"{what} at {rate} requests/s in all and at most {slow} per token: {_together(plan)}."
    if plan.mode == "prefill":
        rate = units.show_number(plan.input_tokens_per_second_per_accelerator or 0.0)
        return f"{what}, prefill only: {rate} input tokens/s per accelerator."
    if plan.ffn_layout is not None:
        alone = "" if plan.prefill_layout else ", decode only"
        what = f"{what}{alone}, attention and FFN apart,"
    elif plan.mode == "decode":
        what = f"{what}, decode only,"
    what = f"{what} at {units.show_number(plan.requests_per_second or 0.0)} requests/s"
    if job.osl < 2:  # nothing follows the first token
        return f"{what} and {units.show_time(plan.ttft or 0.0)} to the one token asked for."
    return f"{what} and {units.show_time(plan.tpot or 0.0)} per token."


def _weights(plan: ServePlan) -> str:
    """Formats of the weights, of each fleet that works where they differ."""
    busy = [part for part in plan.parts if part["does"] != "idle"]
    if len({part["weights"] for part in busy}) < 2:
        return plan.weights
    return ", ".join(f"{part['weights']} on {brief(part['title'])}" for part in busy)


def _together(plan: ServePlan) -> str:
    """What each of several fleets does, in a clause."""
    does = {"prefill": "prefill", "decode": "decode", "attention": "have the attention", "FFN": "have the FFN"}
    clauses = []
    for part in plan.parts:
        who, verb = f"{brief(part['title'])}", does.get(part["does"])
        if part["does"] == "idle":
            clauses.append(f"{who} stand idle, for they do not keep the limits or do not help")
        elif verb is not None:
            clauses.append(f"{who} {verb}")
        else:
            clauses.append(f"{who} serve {units.show_number(part['requests_per_second'] or 0.0)}/s by themselves")
    return ", ".join(clauses)


def _hints(command: str, plan: ServePlan) -> tuple[str, ...]:
    if plan.layout is None or plan.parts:
        return ("--json has every number",)
    return (f"{command} {_flags(plan)}  pins this layout; --json has every number",)


def _lead(plan: ServePlan) -> str:
    """Whose figures follow, where several fleets serve."""
    busy = [part for part in plan.parts if part["does"] not in ("idle", "prefill", "FFN")]
    if not busy:
        return ""
    best = max(busy, key=lambda part: part["requests_per_second"] or 0.0)
    return f"{brief(best['title'])}: "


def _assumed(job: ServeJob, plan: ServePlan, assumed: str | None) -> str:
    text = f"{plan.engine}; weights {plan.weights} ({plan.why}), cache {plan.kv}"
    if job.speculative is not None:
        whose = "the model's own layers" if job.speculative.method == "mtp" else "a model beside it, priced as free"
        text += f"; {float(job.speculative.tokens):g} drafted a step by {whose}"
        text += f", each accepted at {float(job.speculative.acceptance):.0%}"
    if plan.left_out is not None:
        text += f"; left out: {plan.left_out}"
    if plan.parts:
        text = f"{_lead(plan)}{text}"
    return text if assumed is None else f"{assumed} (--tpot none: no limit); {text}"


def _fewest(job: ServeJob, title: str, plan: ServePlan) -> list[tuple[str, str]]:
    """The fewest accelerators that carry a rate."""
    if plan.fewest is None or job.rate is None:
        return []
    chip = title.partition(" x ")[2]
    return [("fewest", f"{plan.fewest:,} x {chip} carry {units.show_number(job.rate)} requests/s within the limits")]


def _ends(job: ServeJob, plan: ServePlan, assumed: str | None) -> list[tuple[str, str]]:
    """Both ends of the frontier, where nobody said how fast."""
    if assumed is None or len(plan.frontier) < 2 or plan.parts:
        return []
    most, fast = plan.frontier[0], plan.frontier[-1]
    text = "; ".join(
        f"{what} {units.show_time(row['tpot'])} per token at "
        f"{units.show_number(row['output_tokens_per_second_per_accelerator'])} tokens/s per accelerator ({_where(row)})"
        for what, row in (("most tokens:", most), ("fastest per user:", fast))
    )
    return [("extremes", text)]


def _where(row: Mapping[str, Any]) -> str:
    return str(row["prefill_layout"] + " + " if row["prefill_layout"] else "") + str(row["layout"])


def _variants(plan: ServePlan) -> list[tuple[str, str]]:
    """What was left open, and what it would bring."""
    parts = [
        f"{row['change']}: {units.show_number(row['requests_per_second'])} requests/s"
        + (f" at {units.show_time(row['tpot'])} per token" if row["tpot"] else "")
        for row in plan.variants
    ]
    return [("with", "; ".join(parts) + " (same layouts)")] if parts else []


def _launch(plan: ServePlan) -> list[tuple[str, str]]:
    """What each kind of instance has to be told."""
    rows = []
    for row in plan.launch:
        where = f"{row['chip']} " if "chip" in row else ""
        many = f" x {row['count']}" if row["count"] > 1 else ""
        rows.append(("launch", f"{where}{row['role']}{many}, {row['engine']}: {row['flags'] or row['why']}"))
    both = dict.fromkeys(row["why"] for row in plan.launch if row["flags"] and row["why"])
    return [*rows, *(("", why) for why in both)]


def _layout(plan: ServePlan) -> str:
    tried = (
        f"best of {int(plan.search['candidates']):,} points, {int(plan.search['feasible']):,} of which keep the limits"
    )
    if plan.prefill_layout_text is None:
        where = {"prefill": "prefill only", "decode": "decode only"}.get(plan.mode, "prefill and decode together")
        if plan.ffn_layout is not None:
            return f"{_decode(plan)}; decode only ({tried}){_idle(plan)}"
        return f"{plan.layout_text}; {where} ({tried}){_idle(plan)}"
    return f"prefill {plan.prefill_layout_text}, decode {_decode(plan)} ({tried}){_idle(plan)}"


def _decode(plan: ServePlan) -> str:
    """The layout of what decodes, in words."""
    if plan.ffn_layout is None:
        return plan.layout_text
    turns = f"{plan.micro_batches} micro-batch" + ("es" if (plan.micro_batches or 1) > 1 else "")
    return f"attention {plan.layout_text}, FFN {plan.ffn_layout_text}, {turns} in turns"


def _idle(plan: ServePlan) -> str:
    idle = round(plan.accelerators - plan.used)
    return f"; {idle:,} of {plan.accelerators:,} accelerators stand idle" if idle else ""


def _memory(plan: ServePlan) -> str:
    if plan.ffn_memory is None:
        return _held(plan.memory)
    return f"attention ranks {_held(plan.memory)}; FFN ranks {_held(plan.ffn_memory)}"


def _held(held: Mapping[str, float]) -> str:
    parts = ", ".join(f"{n.replace('_', ' ')} {units.show_memory(v)}" for n, v in held.items() if n not in _SUMS and v)
    return f"{show_held(held)} each: {parts}"


_SUMS = ("total", "capacity", "reported")


def _speed(plan: ServePlan) -> str:
    parts = []
    if plan.ttft is not None:
        late = plan.ttft_p50, plan.ttft_p99
        spread = f" (p50 {units.show_time(late[0])}, p99 {units.show_time(late[1])})" if late[0] and late[1] else ""
        parts.append(f"TTFT {units.show_time(plan.ttft)}{spread}")
    if plan.tpot is not None:
        parts.append(f"TPOT {units.show_time(plan.tpot)}")
    for name, value in (
        ("input", plan.input_tokens_per_second_per_accelerator),
        ("output", plan.output_tokens_per_second_per_accelerator),
    ):
        if value is not None:
            parts.append(f"{units.show_number(value)} {name} tokens/s per accelerator")
    if plan.batch_per_accelerator is not None:
        parts.append(f"{units.show_number(plan.batch_per_accelerator)} sequences per accelerator")
    return ", ".join(parts)


def _cost(plan: ServePlan) -> str:
    if plan.price is None or plan.price_per_accelerator is None:
        return "unpriced: no price is known for all of these chips; give one with --price"
    parts = []
    named = [("input", plan.cost_per_million_input_tokens), ("output", plan.cost_per_million_output_tokens)]
    if plan.cost_per_million_cached_tokens is not None:
        named[:1] = [("fresh", plan.cost_per_million_fresh_tokens), ("cached", plan.cost_per_million_cached_tokens)]
    for name, value in named:
        if value is not None:
            parts.append(f"${units.show_number(value)} per M {name} tokens")
    return f"{', '.join(parts)} at {units.show_price(plan.price_per_accelerator)} ({plan.price})"


def _day(plan: ServePlan) -> list[tuple[str, str]]:
    """Revenue, cost and margin of a day, and energy, where a price list is asked for."""
    if plan.day is None:
        return []
    held = plan.day
    text = f"${units.show_number(held['revenue_per_day'])} at list prices ({held['price_list']})"
    if held["margin"] is not None:
        text += f", ${units.show_number(held['cost_per_day'])} of accelerators: margin {held['margin']:.0%} of revenue"
    return [("a day", text), *energy(plan)]


def energy(plan: ServePlan) -> list[tuple[str, str]]:
    """Energy of a million output tokens, where the power is known."""
    if plan.energy_per_million_output_tokens is None:
        return []
    kwh = units.show_number(plan.energy_per_million_output_tokens / 3.6e6)
    return [("energy", f"{kwh} kWh per M output tokens ({plan.power})")]


def _bound(plan: ServePlan) -> str:
    largest = sorted(plan.breakdown.items(), key=lambda item: -item[1])[:4]
    if plan.busy is not None:
        shares = ", ".join(f"{_SIDES[name]} {value:.0%}" for name, value in plan.busy.items())
        return f"{_held_up(plan)}; at work: {shares} of a step"
    return ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in largest) + " of a mean step"


_SIDES = {"attention": "attention ranks", "ffn": "FFN ranks", "wire": "wire"}


def _held_up(plan: ServePlan) -> str:
    """What sets the length of a step with attention and FFN apart."""
    names = {"attention_ranks": "attention ranks", "ffn_ranks": "FFN ranks", "wire": "the wire between them"}
    found = [names[name] for name in plan.breakdown if name in names]
    return f"{found[0]}, always busy" if len(found) == 1 else "one micro-batch through all in a row"


def _doubt(plan: ServePlan) -> str:
    parts = []
    for name in ("tpot", "ttft"):
        low, high = getattr(plan, f"{name}_low"), getattr(plan, f"{name}_high")
        if low is not None:
            parts.append(f"{name.upper()} {units.show_time(low)} to {units.show_time(high)}")
    low, high = plan.output_tokens_per_second_per_accelerator_low, plan.output_tokens_per_second_per_accelerator_high
    if low is not None and high is not None:
        parts.append(f"output {units.show_number(low)} to {units.show_number(high)} tokens/s")
    held = plan.measured_share
    kernels = "" if held is None else f"; {held:.0%} of the time in kernels measured on the chip, the rest modelled"
    return f"{', '.join(parts)} (90 %); {plan.evidence}{kernels}"


def _flags(plan: ServePlan) -> str:
    """The flags that pin what was chosen: every pool there is, and its layout."""
    from tonnage.serve.engines import engine

    own = plan.layout or {}
    words = [f"--layout {_flag(own if plan.ffn_layout else _all(own))}"]
    if plan.ffn_layout is not None:
        words = ["--afd", *words, f"--ffn-layout {_flag(plan.ffn_layout)}", f"--micro-batches {plan.micro_batches}"]
    if plan.prefill_layout is not None:
        words = ["--disaggregate", *words, f"--prefill-layout {_flag(_all(plan.prefill_layout))}"]
    if plan.chunk is not None and plan.chunk != engine(plan.engine).chunk:
        words.append(f"--chunk {plan.chunk}")
    if plan.mode in ("prefill", "decode"):
        words = [f"--mode {plan.mode}", *words]
    return " ".join(words)


def _all(own: Mapping[str, Any]) -> dict[str, Any]:
    """A layout as `--layout` reads it: dp counts the replicas of all instances."""
    return {**own, "dp": own["dp"] * own["replicas"] if own.get("dp", 1) > 1 else 1}


def _flag(own: Mapping[str, Any]) -> str:
    parts = [f"{name}{value}" for name, value in own.items() if name != "replicas" and (value != 1 or name == "tp")]
    return ",".join(parts)


def _frontier(plan: ServePlan) -> Table:
    rows = [*plan.frontier[: -1 : max(1, len(plan.frontier) // 8)], *plan.frontier[-1:]]
    cells = tuple(
        (
            units.show_number(row["output_tokens_per_second_per_accelerator"]),
            units.show_number(row["tokens_per_second_per_user"]),
            units.show_time(row["ttft"]) if row["ttft"] == row["ttft"] else "-",
            str(row["mode"]),
            str(row["prefill_layout"] + " + " if row["prefill_layout"] else "") + str(row["layout"]),
        )
        for row in rows
    )
    header = ("tokens/s each", "tokens/s a user", "TTFT", "mode", "layout")
    whose = _lead(plan).removesuffix(": ")
    title = "throughput against speed per user, limits aside" + (f", of {whose}" if whose else "")
    return Table(title, header, cells)


def _parts(plan: ServePlan) -> Table:
    rows = tuple(
        (
            f"{part['count']:,} x {part['chip']}",
            "by itself" if part["does"] in ("aggregated", "disaggregated") else str(part["does"]),
            str(f"{part['prefill_layout']} + " if part["prefill_layout"] else "") + str(part["layout"] or "-"),
            units.show_number(part["requests_per_second"] or 0.0),
            units.show_time(part["tpot"]) if part["tpot"] else "-",
            _dollars(part["cost_per_million_output_tokens"]),
        )
        for part in plan.parts
    )
    header = ("fleet", "does", "layout", "requests/s it can", "TPOT", "$ per M output")
    return Table("what each fleet does", header, rows)


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${units.show_number(value)}"


def _others(job: ServeJob, plan: ServePlan) -> Table:
    cells = tuple(
        (
            units.show_number(row["requests_per_second"]),
            units.show_time(row["tpot"]) if row["tpot"] == row["tpot"] else "-",
            units.show_time(row["ttft"]) if row["ttft"] == row["ttft"] else "-",
            str(row["mode"]),
            str(row["prefill_layout"] + " + " if row["prefill_layout"] else "") + str(row["layout"]),
        )
        for row in plan.alternatives
    )
    title = "next best"
    served = plan.requests_per_second or 0.0
    if (
        plan.mode == "disaggregated"
        and job.rate is None
        and any(row["requests_per_second"] > served for row in plan.alternatives)
    ):
        title += "; those that serve more let first tokens wait longer, for less than 5 % of the requests"
    return Table(title, ("requests/s", "TPOT", "TTFT", "mode", "layout"), cells)


def _refusal(job: ServeJob, title: str, plan: ServePlan) -> Answer:
    bind = plan.outcome.binds[0]
    rows = [("also", f"{one.what}: {one.text}") for one in plan.outcome.binds[1:]]
    rows += [("what would do", one.lift) for one in plan.outcome.binds if one.lift]
    if plan.nearest:
        rows.append(("nearest", _near(plan.nearest)))
    sentence = f"No: {title} cannot serve {job.arch.title} as asked: {bind.text}."
    tables = (_frontier(plan),) if plan.frontier else ()
    return Answer(sentence, tuple(rows), tables, feasible=False)


def _near(row: Mapping[str, Any]) -> str:
    """The nearest service level that can be kept."""
    known = [name for name in ("tpot", "ttft") if row[name] is not None and row[name] == row[name]]
    times = [f"{name.upper()} {units.show_time(row[name])}" for name in known]
    return f"{', '.join(times)}, {units.show_number(row['requests_per_second'])} requests/s on {_where(row)}"
