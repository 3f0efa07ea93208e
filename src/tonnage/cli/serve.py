"""`tonnage serve MODEL --on 16xh20`: the best way to serve a model on these chips under a service level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.again import command_line
from tonnage.cli.common import COMMON, Common, Result, finish
from tonnage.cli.reading import place_of
from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer, Table, show_held

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import Constants, Power, Price, ServeJob, ServePlan, Speculation
    from tonnage.system import System


def serve(
    model: str,
    /,
    *,
    on: Annotated[tuple[str, ...], Parameter(negative="")],
    isl: str = "4k",
    osl: str = "1k",
    ttft: str | None = None,
    tpot: str | None = None,
    rate: str | None = None,
    concurrency: str | None = None,
    cache_hit: str = "0",
    weights: str | None = None,
    kv: str | None = None,
    engine: str | None = None,
    mode: str = "auto",
    disaggregate: Annotated[bool, Parameter(negative="")] = False,
    layout: str | None = None,
    prefill_layout: str | None = None,
    speculate: str | None = None,
    batch: str | None = None,
    imbalance: str | None = None,
    price: str | None = None,
    price_list: str | None = None,
    power_share: str | None = None,
    place: Annotated[str | None, Parameter(name="--in")] = None,
    anchor: Path | None = None,
    common: Common = COMMON,
) -> int:
    """The best way to serve a model on these chips under a service level: speed, memory, price.

    Parameters
    ----------
    model
        bundled name, HF id, config.json, folder with one, or an architecture in YAML.
    on
        chips, such as 16xh20; may be repeated for a mixed fleet.
    isl
        input tokens of a request.
    osl
        output tokens of a request.
    ttft
        limit on the mean time to the first token, such as 2s.
    tpot
        limit on the mean time per output token, such as 50ms.
    rate
        requests that arrive, such as 20/s; the fastest service that carries them is chosen.
    concurrency
        requests kept in flight in the whole deployment, instead of a rate.
    cache_hit
        share of the input found in the prefix cache.
    weights
        bf16, fp16, fp8, mxfp8, int8, fp4, mxfp4, w4a8 or w4a16; the release's own if not given.
    kv
        bf16, fp8 or int8 cache.
    engine
        vllm, sglang, trtllm, vllm-ascend or atom.
    mode
        auto, aggregated, disaggregated, prefill or decode.
    disaggregate
        prefill and decode on pools of their own.
    layout
        what is fixed, such as tp1,dp16,ep16; the rest is chosen.
    prefill_layout
        the same for a prefill pool.
    speculate
        tokens drafted per step and their acceptance, such as 1@0.85; by the model's own extra layers.
    batch
        sequences in flight per accelerator, where it is given.
    imbalance
        load of the hottest expert rank over the mean, such as 1.1.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    price_list
        what the tokens are sold at, for the margin of a day: a model of the catalogue, such as deepseek-r1, or the
        list of a day, such as deepseek-v3@2025-03-01.
    power_share
        share of its rated power that an accelerator draws, such as 0.8; if not given, all that is provisioned for it
        where that is known, else its whole rating.
    place
        where the price is asked, such as CN.
    anchor
        points measured on these chips with this model: what `vllm bench serve` or `sglang.bench_serving` wrote, CSV, or
        JSON Lines as in docs/cases.md; predictions are brought onto them.
    """
    inputs = {name: value for name, value in locals().items() if name != "common"}
    inputs |= {"on": list(on), "anchor": None if anchor is None else str(anchor), "as_of": common.as_of}
    inputs["in"] = inputs.pop("place")
    read = _Reader([])
    asked = read.job(inputs)
    fleets = [read.fleet(text) for text in on]
    quoted = read.optional(price, "price", "--price")
    drawn = None if power_share is None else read.share(power_share, "--power-share")
    layouts = [read.layout(layout, "--layout"), read.layout(prefill_layout, "--prefill-layout")]
    for given, flag in ((layout, "--layout"), (prefill_layout, "--prefill-layout")):
        if given is not None and len(on) > 1:
            read.problems.append(Problem("cannot be given for several --on: each has a layout of its own", flag))
    inputs["in"] = place_of(place, common, read.problems)
    if read.problems:
        raise InputError(read.problems)
    return _serve(model, asked, fleets, (quoted, drawn), layouts, inputs, common)


def _serve(
    model: str,
    asked: dict[str, Any],
    fleets: list[tuple[int, str]],
    given: tuple[float | None, float | None],
    layouts: list[dict[str, int] | None],
    inputs: dict[str, Any],
    common: Common,
) -> int:
    """Plan what was read, and print it."""
    from dataclasses import replace

    from tonnage import serve as room
    from tonnage.cli.serve_anchor import anchors
    from tonnage.model import load
    from tonnage.system import System, accelerator

    catalog = common.load_catalog()
    place, (quoted, drawn) = inputs["in"], given
    systems = [System(accelerator(chip, catalog, common.date()), count) for count, chip in fleets]
    found, fact = (room.Price(quoted, "as given"), "") if quoted else _price(catalog, systems[0], place, common)
    listed = room.price_list(inputs["price_list"], catalog, common.date()) if inputs["price_list"] else None
    powers = [_power(catalog, one, drawn, common) for one in systems]
    job = room.ServeJob(arch=load(model, catalog), price=found, power=powers[0], price_list=listed, **asked)
    found_at = anchors(Path(inputs["anchor"]), job, systems, layouts[0], catalog) if inputs["anchor"] else ()
    fitted = [each.constants for each in found_at] or [None] * len(systems)
    if len(systems) > 1:
        jobs = [replace(job, power=power) for power in powers]
        plan = _mixed(jobs, systems, catalog, place, common, quoted, fitted)
    else:
        plan = room.plan(job, systems[0], layouts[0], layouts[1], fitted[0])
    more = [fact, *(power.source for power in powers if power is not None)]
    plan = replace(plan, sources=tuple(dict.fromkeys((*plan.sources, *(each for each in more if each)))))
    title = " + ".join(f"{one.count:,} x {one.accelerator.title}" for one in systems)
    command = command_line(serve, inputs, without=("layout", "prefill_layout", "disaggregate"))
    answer = _answer(command, job, title, plan)
    body = plan.to_json()
    if inputs["power_share"] and plan.day is None:
        answer = replace(answer, rows=(*answer.rows, *_energy(plan)))
    if found_at:
        rows = *answer.rows, ("anchored", "; ".join(each.text for each in found_at))
        answer, body["anchored"] = replace(answer, rows=rows), [each.to_json() for each in found_at]
    return finish(Result("serve", inputs, body, answer, plan.outcome, plan.evidence, plan.sources, catalog), common)


@dataclass(frozen=True)
class _Reader:
    """Reads flags and keeps every problem, to show them together."""

    problems: list[Problem]

    def number(self, text: str, kind: str, flag: str) -> Any:
        try:
            return units.parse(text, kind)
        except ValueError as error:
            self.problems.append(Problem(str(error), flag))
            return 1.0

    def optional(self, text: str | None, kind: str, flag: str) -> Any:
        return None if text is None else self.number(text, kind, flag)

    def share(self, text: str, flag: str) -> float:
        """A share above 0 and at most 1."""
        value = float(self.number(text, "share", flag))
        if not 0 < value <= 1:
            self.problems.append(Problem(f"expected a share above 0 and at most 1, got {value:g}", flag))
        return value

    def job(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Fields of the job, but for the model and the price."""
        kinds = {"ttft": "time", "tpot": "time", "rate": "rate", "concurrency": "count", "batch": "number"}
        kinds |= {"imbalance": "number"}
        fields = {name: self.optional(inputs[name], kind, f"--{name}") for name, kind in kinds.items()}
        fields |= {name: self.number(inputs[name], "tokens", f"--{name}") for name in ("isl", "osl")}
        fields["cache_hit"] = self.number(inputs["cache_hit"], "share", "--cache-hit")
        fields["speculative"] = self.speculation(inputs["speculate"])
        fields["mode"] = "disaggregated" if inputs["disaggregate"] else inputs["mode"]
        return fields | {name: inputs[name] for name in ("weights", "kv", "engine")}

    def layout(self, text: str | None, flag: str) -> dict[str, int] | None:
        """A layout's fields, or None."""
        from tonnage.layout import parse_layout

        if text is None:
            return None
        try:
            read = parse_layout(text, flag)
            unfit = sorted(read.keys() - {"tp", "pp", "dp", "ep", "etp", "cp"})
            self.problems.extend(Problem(f"{name} has no meaning in serving", flag, name) for name in unfit)
            return read
        except InputError as error:
            self.problems.extend(error.problems)
            return None

    def fleet(self, text: str) -> tuple[int, str]:
        try:
            return units.parse_fleet(text)
        except ValueError as error:
            self.problems.append(Problem(str(error), "--on"))
            return 1, ""

    def speculation(self, text: str | None) -> Speculation | None:
        from tonnage.serve import ACCEPTANCE, Speculation

        if text is None:
            return None
        tokens, _, acceptance = text.partition("@")
        drafted = self.number(tokens, "count", "--speculate")
        share = self.number(acceptance, "share", "--speculate") if acceptance else ACCEPTANCE
        if not (1 <= drafted <= 16 and drafted == int(drafted)) or not 0 <= share <= 1:
            self.problems.append(Problem(f'expected something like 1@0.85, got "{text}"', "--speculate"))
            return None
        return Speculation(drafted, share, source="" if acceptance else "arXiv 2412.19437, section 5.4.3")


def _mixed(
    jobs: list[ServeJob],
    systems: list[System],
    catalog: Catalog,
    place: str | None,
    common: Common,
    quoted: float | None,
    fitted: list[Constants | None],
) -> ServePlan:
    """Several fleets under one service, each with its own price."""
    from dataclasses import replace

    from tonnage.serve import plan_mixed

    if not quoted:
        prices = [_price(catalog, one, place, common)[0] for one in systems]
        jobs = [replace(job, price=price) for job, price in zip(jobs, prices, strict=True)]
    return plan_mixed(jobs, systems, fitted)


def _price(catalog: Catalog, system: System, place: str | None, common: Common) -> tuple[Price | None, str]:
    """The catalogue's best match, with its place and date in words, and the id of its fact."""
    from tonnage.serve import Price

    prices = catalog.price(system.accelerator.name, place, common.date())
    if not prices:
        return None, ""
    best = prices[0]
    text = f"{best.tenure}, {', '.join(best.place) or 'no place'}, {best.date or 'undated'}, {best.kind}"
    return Price(best.value, text, best.low, best.high, best.fact), best.fact


def _power(catalog: Catalog, system: System, share: float | None, common: Common) -> Power | None:
    """What one accelerator draws: all that is provisioned for it, or a share of its rating; None if not known."""
    from tonnage.serve import Power

    facts = catalog.facts_of(system.accelerator.name, common.date())
    rated, whole = facts.get("power"), facts.get("all_in_power")
    if whole is not None and share is None:
        return Power(whole.number, f"all-in, {units.show_number(whole.number)} W, {whole.source}", whole.id)
    watts = rated.number if rated is not None else system.accelerator.power
    if watts is None:
        return None
    part = 1.0 if share is None else share
    return Power(
        watts * part, f"{part:.0%} of the rated {units.show_number(watts)} W", "" if rated is None else rated.id
    )


def _answer(command: str, job: ServeJob, title: str, plan: ServePlan) -> Answer:
    if not plan.outcome.feasible:
        return _refusal(job, title, plan)
    rows = [
        ("layout", _layout(plan)),
        ("memory", _memory(plan)),
        ("speed", _speed(plan)),
        ("cost", _cost(job, plan)),
        *_day(plan),
        ("bound by", _bound(plan)),
        ("doubt", _doubt(plan)),
        ("assumed", f"{plan.engine}; weights {plan.weights} ({plan.why}), cache {plan.kv}"),
    ]
    tables = tuple(table for table in (_parts(plan), _frontier(plan), _others(plan)) if table.rows)
    return Answer(
        _sentence(job, title, plan),
        tuple(rows),
        tables,
        hints=(f"{command} {_flags(plan)}  pins this layout; --json has every number",) if plan.layout else (),
        records=plan.frontier,
    )


def _sentence(job: ServeJob, title: str, plan: ServePlan) -> str:
    what = f"Yes: {title} serve {job.arch.title} ({plan.weights})"
    if plan.mode == "prefill":
        rate = units.show_number(plan.input_tokens_per_second_per_accelerator or 0.0)
        return f"{what}, prefill only: {rate} input tokens/s per accelerator."
    what = f"{what} at {units.show_number(plan.requests_per_second or 0.0)} requests/s"
    if job.osl < 2:  # nothing follows the first token
        return f"{what} and {units.show_time(plan.ttft or 0.0)} to the one token asked for."
    return f"{what} and {units.show_time(plan.tpot or 0.0)} per token."


def _layout(plan: ServePlan) -> str:
    tried = (
        f"best of {int(plan.search['candidates']):,} points, {int(plan.search['feasible']):,} of which keep the limits"
    )
    if plan.prefill_layout_text is None:
        where = {"prefill": "prefill only", "decode": "decode only"}.get(plan.mode, "prefill and decode together")
        return f"{plan.layout_text}; {where} ({tried}){_idle(plan)}"
    return f"prefill {plan.prefill_layout_text}, decode {plan.layout_text} ({tried}){_idle(plan)}"


def _idle(plan: ServePlan) -> str:
    idle = round(plan.accelerators - plan.used)
    return f"; {idle:,} of {plan.accelerators:,} accelerators stand idle" if idle else ""


def _memory(plan: ServePlan) -> str:
    held = plan.memory
    parts = ", ".join(f"{n.replace('_', ' ')} {units.show_memory(v)}" for n, v in held.items() if n not in _SUMS)
    return f"{show_held(held)} each: {parts}"


_SUMS = ("total", "capacity", "reported")


def _speed(plan: ServePlan) -> str:
    parts = []
    if plan.ttft is not None:
        parts.append(f"TTFT {units.show_time(plan.ttft)}")
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


def _cost(job: ServeJob, plan: ServePlan) -> str:
    if job.price is None or plan.price is None:
        return "unpriced: no price is known for all of these chips; give one with --price"
    parts = []
    named = [("input", plan.cost_per_million_input_tokens), ("output", plan.cost_per_million_output_tokens)]
    if plan.cost_per_million_cached_tokens is not None:
        named[:1] = [("fresh", plan.cost_per_million_fresh_tokens), ("cached", plan.cost_per_million_cached_tokens)]
    for name, value in named:
        if value is not None:
            parts.append(f"${units.show_number(value)} per M {name} tokens")
    return f"{', '.join(parts)} at {units.show_price(job.price.value)} ({job.price.basis})"


def _day(plan: ServePlan) -> list[tuple[str, str]]:
    """Revenue, cost and margin of a day, and energy, where a price list is asked for."""
    if plan.day is None:
        return []
    held = plan.day
    text = f"${units.show_number(held['revenue_per_day'])} at list prices ({held['price_list']})"
    if held["margin"] is not None:
        text += f", ${units.show_number(held['cost_per_day'])} of accelerators: margin {held['margin']:.0%} of revenue"
    return [("a day", text), *_energy(plan)]


def _energy(plan: ServePlan) -> list[tuple[str, str]]:
    """Energy of a million output tokens, where the power is known."""
    if plan.energy_per_million_output_tokens is None:
        return []
    kwh = units.show_number(plan.energy_per_million_output_tokens / 3.6e6)
    return [("energy", f"{kwh} kWh per M output tokens ({plan.power})")]


def _bound(plan: ServePlan) -> str:
    largest = sorted(plan.breakdown.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in largest) + " of a mean step"


def _doubt(plan: ServePlan) -> str:
    parts = []
    for name in ("tpot", "ttft"):
        low, high = getattr(plan, f"{name}_low"), getattr(plan, f"{name}_high")
        if low is not None:
            parts.append(f"{name.upper()} {units.show_time(low)} to {units.show_time(high)}")
    low, high = plan.output_tokens_per_second_per_accelerator_low, plan.output_tokens_per_second_per_accelerator_high
    if low is not None and high is not None:
        parts.append(f"output {units.show_number(low)} to {units.show_number(high)} tokens/s")
    return f"{', '.join(parts)} (90 %); {plan.evidence}"


def _flags(plan: ServePlan) -> str:
    """The flags that pin what was chosen: the layout, that of a prefill pool, and that there is one."""
    pinned = f"--layout {_flag(plan.layout or {})}"
    if plan.prefill_layout is None:
        return pinned
    return f"--disaggregate {pinned} --prefill-layout {_flag(plan.prefill_layout)}"


def _flag(own: Mapping[str, Any]) -> str:
    parts = [f"{name}{value}" for name, value in own.items() if name != "replicas" and (value != 1 or name == "tp")]
    return ",".join(parts)


def _frontier(plan: ServePlan) -> Table:
    rows = plan.frontier[:: max(1, len(plan.frontier) // 8)]
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
    return Table("throughput against speed per user, limits aside", header, cells)


def _parts(plan: ServePlan) -> Table:
    rows = tuple(
        (
            f"{part['count']:,} x {part['chip']}",
            str(part["does"]),
            str(part["layout"] or "-"),
            units.show_number(part["requests_per_second"] or 0.0),
        )
        for part in plan.parts
    )
    return Table("what each fleet does", ("fleet", "does", "layout", "requests/s it can"), rows)


def _others(plan: ServePlan) -> Table:
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
    return Table("next best", ("requests/s", "TPOT", "TTFT", "mode", "layout"), cells)


def _refusal(job: ServeJob, title: str, plan: ServePlan) -> Answer:
    bind = plan.outcome.binds[0]
    rows = [("bound by", f"{one.what}: {one.text}") for one in plan.outcome.binds]
    if bind.lift:
        rows.append(("lifted by", bind.lift))
    if plan.nearest:
        near = plan.nearest
        text = f"TPOT {units.show_time(near['tpot'])}, TTFT {units.show_time(near['ttft'])}"
        rows.append(
            ("nearest", f"{text}, {units.show_number(near['requests_per_second'])} requests/s on {near['layout']}")
        )
    sentence = f"No: {job.arch.title} on {title} does not keep what is asked: {bind.text}."
    tables = (_frontier(plan),) if plan.frontier else ()
    return Answer(sentence, tuple(rows), tables, feasible=False)
