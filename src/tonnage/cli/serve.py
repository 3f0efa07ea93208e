"""`tonnage serve MODEL --on 16xh20`: the best way to serve a model on these chips under a service level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.again import command_line
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.reading import place_of
from tonnage.cli.serve_answer import PINNED, answer_of, brief, energy
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import Constants, Power, Price, PriceList, ServeJob, ServePlan, Speculation
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
    afd: Annotated[bool, Parameter(negative="")] = False,
    layout: str | None = None,
    prefill_layout: str | None = None,
    chunk: str | None = None,
    ffn_layout: str | None = None,
    micro_batches: str | None = None,
    speculate: str | None = None,
    batch: str | None = None,
    imbalance: str | None = None,
    price: str | None = None,
    price_list: str | None = None,
    exchange_rate: str | None = None,
    power_share: str | None = None,
    place: Annotated[str | None, Parameter(name="--in")] = None,
    anchor: Path | None = None,
    measured: Annotated[tuple[str, ...], Parameter(negative="")] = (),
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
        limit on the mean time per output token, such as 50ms; `none` for no limit. 50ms, or the nearest that these
        chips can keep, if nothing says how fast (no --rate, --concurrency or --batch).
    rate
        requests that arrive, such as 20/s; the fastest service that carries them is chosen, and the fewest of these
        chips that would do are said.
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
        auto, aggregated, disaggregated, prefill, decode, or afd: decode with attention and FFN on ranks of their own.
    disaggregate
        prefill and decode on pools of their own.
    afd
        attention and FFN of what decodes on ranks of their own: as `--mode afd`; with --disaggregate beside a prefill
        pool. Two --on give the two sides different chips, whichever way round is better.
    layout
        what is fixed, such as tp1,dp16,ep16; the rest is chosen. With --afd of the attention ranks.
    prefill_layout
        the same for a prefill pool.
    chunk
        new tokens per step and attention replica at most, such as 16k; chosen if not given.
    ffn_layout
        the same for the FFN ranks of --afd, such as ep16.
    micro_batches
        batches that take turns between attention and FFN ranks, such as 3; chosen if not given.
    speculate
        tokens drafted per step and their acceptance, such as 1@0.85; by the model's own extra layers, or by a small
        model beside it where it has none.
    batch
        sequences in flight per accelerator, where it is given.
    imbalance
        load of the hottest expert rank over the mean, such as 1.1.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    price_list
        what the tokens are sold at, for the margin of a day: a model of the catalogue, such as deepseek-r1, or the
        list of a day, such as deepseek-v3@2025-03-01. Lists in CNY alone are taken at --exchange-rate.
    exchange_rate
        CNY of one USD, such as 7.1; the catalogue's if not given.
    power_share
        share of its rated power that an accelerator draws, such as 0.8; if not given, all that is provisioned for it
        where that is known, else its whole rating.
    place
        where the price is asked, such as CN.
    anchor
        points measured on these chips with this model: what `vllm bench serve` or `sglang.bench_serving` wrote, CSV, or
        JSON Lines as in docs/cases.md; predictions are brought onto them.
    measured
        price operators by what was measured on the chip: silicon, the tables of the extra of that name, or a file in
        JSON Lines as in docs/method/measured.md; may be repeated, the first counts most.
    """
    inputs = {name: value for name, value in locals().items() if name != "common"}
    inputs |= {"on": list(on), "anchor": None if anchor is None else str(anchor), "as_of": common.as_of}
    inputs["measured"] = list(measured)
    inputs["in"] = inputs.pop("place")
    read = _Reader([])
    asked = read.job(inputs)
    fleets = read.fleets(on, asked["mode"] == "afd")
    quoted = read.price(price)
    drawn = None if power_share is None else read.share(power_share, "--power-share")
    named = ((layout, "--layout"), (prefill_layout, "--prefill-layout"), (ffn_layout, "--ffn-layout"))
    layouts = [read.layout(given, flag) for given, flag in named]
    if ffn_layout is not None and not (afd or mode == "afd"):
        read.problems.append(Problem("needs attention and FFN apart (--afd)", "--ffn-layout"))
    for given, flag in named:
        if given is not None and len(fleets) > 1:
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
    from tonnage.cli import serve_measured
    from tonnage.cli.serve_anchor import anchors
    from tonnage.model import load
    from tonnage.system import System, accelerator

    catalog = common.load_catalog()
    place, (quoted, drawn) = inputs["in"], given
    systems = [System(accelerator(chip, catalog, common.date()), count) for count, chip in fleets]
    systems = serve_measured.measured(systems, inputs["measured"])
    found, fact = (room.Price(quoted, "as given"), "") if quoted else _price(catalog, systems[0], place, common)
    listed = _listed(inputs, catalog, common)
    powers = [_power(catalog, one, drawn, common) for one in systems]
    arch = load(model, catalog, common.date())
    if asked["speculative"] is not None and arch.mtp is None:
        asked["speculative"] = replace(asked["speculative"], method="draft")
    job = room.ServeJob(arch=arch, price=found, power=powers[0], price_list=listed, **asked)
    found_at = anchors(Path(inputs["anchor"]), job, systems, layouts[0], catalog) if inputs["anchor"] else ()
    fitted = [each.constants for each in found_at] or [None] * len(systems)

    def planned(asked_job: ServeJob) -> ServePlan:
        if len(systems) == 1:
            return room.plan(asked_job, systems[0], layouts[0], layouts[1], fitted[0], ffn_fixed=layouts[2])
        jobs = [replace(asked_job, power=power) for power in powers]
        return _mixed(jobs, systems, catalog, place, common, quoted, fitted)

    plan, job, assumed = _usable(job, planned) if inputs["tpot"] is None else (planned(job), job, None)
    more = [fact, *(power.source for power in powers if power is not None)]
    plan = replace(plan, sources=tuple(dict.fromkeys((*plan.sources, *(each for each in more if each)))))
    title = " + ".join(f"{one.count:,} x {brief(one.accelerator.title)}" for one in systems)
    command = command_line(serve, inputs, without=PINNED)
    answer = answer_of(command, job, title, plan, assumed)
    body = plan.to_json() | {"assumed_tpot": None if assumed is None else job.tpot}
    if inputs["power_share"] and plan.day is None:
        answer = replace(answer, rows=(*answer.rows, *energy(plan)))
    if found_at:
        rows = *answer.rows, ("anchored", "; ".join(each.text for each in found_at))
        answer, body["anchored"] = replace(answer, rows=rows), [each.to_json() for each in found_at]
    answer = serve_measured.told(answer, body, systems)
    return finish(Reply("serve", inputs, body, answer, plan.outcome, plan.evidence, plan.sources, catalog), common)


USABLE = 0.05
"""Seconds per output token that are asked for where nobody says how fast: 20 tokens/s, what DeepSeek served a user on
its published day (20 to 22 tokens/s, 2025-02-27)."""


def _usable(job: ServeJob, planned: Callable[[ServeJob], ServePlan]) -> tuple[ServePlan, ServeJob, str | None]:
    """A plan at a speed that people can use, where nothing says how fast: (plan, job as planned, what was assumed).

    Where these chips cannot keep `USABLE`, the nearest that they can.
    """
    from dataclasses import replace

    free = job.rate is None and job.concurrency is None and job.batch is None
    if not free or job.mode == "prefill" or job.osl < 2:
        return planned(job), job, None
    asked = replace(job, tpot=USABLE)
    plan = planned(asked)
    if plan.outcome.feasible or plan.outcome.reason == "memory":
        return plan, asked, f"{units.show_time(USABLE)} per token, for no --tpot is given"
    if plan.nearest is not None and plan.nearest["tpot"] > USABLE:
        asked = replace(job, tpot=plan.nearest["tpot"] * 1.01)
        nearer = planned(asked)
        if nearer.outcome.feasible:
            return nearer, asked, f"{units.show_time(asked.tpot or 0.0)} per token: these do not keep the usual 50 ms"
    return planned(job), job, None


def _listed(inputs: dict[str, Any], catalog: Catalog, common: Common) -> PriceList | None:
    """The list of prices that is asked for."""
    from tonnage.serve import price_list

    if inputs["price_list"] is None:
        return None
    rate = None if inputs["exchange_rate"] is None else units.parse(inputs["exchange_rate"], "number")
    return price_list(inputs["price_list"], catalog, common.date(), exchange=rate)


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

    def price(self, text: str | None) -> float | None:
        """A price above nothing."""
        value: float | None = self.optional(text, "price", "--price")
        if value is not None and not value > 0:
            self.problems.append(Problem(f"expected more than nothing, such as $2.10/h, got {text}", "--price"))
        return value

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
        given = inputs | ({"tpot": None} if inputs["tpot"] == "none" else {})
        fields = {name: self.optional(given[name], kind, f"--{name}") for name, kind in kinds.items()}
        if not 1 <= (self.optional(inputs["exchange_rate"], "number", "--exchange-rate") or 7.0) <= 100:
            self.problems.append(Problem("expected 1 to 100 CNY of one USD", "--exchange-rate"))
        fields |= {name: self.number(inputs[name], "tokens", f"--{name}") for name in ("isl", "osl")}
        fields["cache_hit"] = self.number(inputs["cache_hit"], "share", "--cache-hit")
        fields["speculative"] = self.speculation(inputs["speculate"])
        fields |= self.mode(inputs)
        turns = self.optional(inputs["micro_batches"], "count", "--micro-batches")
        fields["chunk"] = self.chunk(inputs["chunk"])
        fields["thorough"] = True
        fields["micro_batches"] = None if turns is None else int(turns)
        return fields | {name: inputs[name] for name in ("weights", "kv", "engine")}

    def chunk(self, text: str | None) -> int | None:
        """Tokens of a step, from 16."""
        if text is None:
            return None
        tokens = self.number(text, "tokens", "--chunk")
        if not 16 <= tokens <= 1e7:
            self.problems.append(Problem(f"expected 16 to 1e7 tokens, got {tokens:g}", "--chunk"))
        return int(tokens)

    def mode(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """How prefill, attention and FFN are put together, from --mode, --disaggregate and --afd."""
        mode, apart = inputs["mode"], bool(inputs["afd"]) or inputs["mode"] == "afd"
        if inputs["disaggregate"]:
            mode = "disaggregated"
        elif apart and mode in ("auto", "decode"):
            mode = "afd"
        return {"mode": mode, "afd": apart and mode != "afd"}

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

    def fleets(self, texts: tuple[str, ...], apart: bool) -> list[tuple[int, str]]:
        """(how many, of which chip) of each `--on`; those of one chip are one fleet, but for sides that are apart."""
        read = [self.fleet(text) for text in texts]
        if apart:
            return read
        chips = dict.fromkeys(chip for _, chip in read)
        return [(sum(count for count, own in read if own == chip), chip) for chip in chips]

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
