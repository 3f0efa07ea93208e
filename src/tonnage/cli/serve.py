"""`tonnage serve MODEL --on 16xh20`: the best way to serve a model on these chips under a service level."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tonnage.ask.serve import ServeWords
from tonnage.cli.again import command_line
from tonnage.cli.calibration import catalog_with, said
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.launch_file import dated, read_from
from tonnage.cli.ledger_file import anchor_file
from tonnage.report.checked import check_json, with_check
from tonnage.report.envelope import Reply
from tonnage.report.serve import PINNED, answer_of, body_of
from tonnage.report.written import serve_change, with_written, written_json


@Parameter(name="*")
@dataclass(frozen=True)
class ServeOptions(ServeWords):
    """What is asked of a service.

    Parameters
    ----------
    on
        chips, such as 16xh20; may be repeated for a mixed fleet.
    isl
        input tokens of a request.
    osl
        output tokens of a request.
    ttft
        limit on the mean time to the first token, such as 2s; `none` for no limit. 2s, or the nearest that these chips
        can keep, if nothing says how soon (no --concurrency, --batch or percentile).
    tpot
        limit on the mean time per output token, such as 50ms; `none` for no limit. 50ms, or the nearest that these
        chips can keep, if nothing says how fast (no --rate, --concurrency or --batch).
    ttft_p90
        limit on the time to the first token that 90 % of the requests do not exceed, such as 2s.
    ttft_p95
        the same of 95 %.
    ttft_p99
        the same of 99 %.
    tpot_p90
        limit on the time per output token that 90 % of the requests do not exceed: what prefill of others adds varies.
    tpot_p95
        the same of 95 %.
    tpot_p99
        the same of 99 %.
    rate
        requests that arrive, such as 20/s; the fastest service that carries them is chosen, and the fewest of these
        chips that would do are said.
    concurrency
        requests kept in flight in the whole deployment, instead of a rate.
    cache_hit
        share of the input found in the prefix cache.
    weights
        bf16, fp16, fp8, mxfp8, int8, fp4, nvfp4, mxfp4, w4a8, w4a16, w8a16; the release's own if not given.
    kv
        bf16, fp16, fp8 or int8 cache.
    engine
        vllm, sglang, trtllm, vllm-ascend, cloudmatrix-infer or atom; of a version as vllm@0.11, else the newest known.
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
        tokens drafted per step and their acceptance, such as 1@0.85; by the model's own extra layers, or by an EAGLE-3
        head of usual shape where it has none.
    draft
        the model that drafts, instead of layers of its own: an EAGLE or DFlash head's config.json, or a small model
        such as qwen3-0.6b; its weights, cache and passes are counted.
    batch
        sequences in flight per accelerator, where it is given.
    imbalance
        load of the hottest expert rank over the mean, such as 1.1.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    term
        of payment, for the catalogue's price: on-demand, monthly, 1-year, 3-year, reserved or spot; default what can
        be rented and left.
    price_list
        what the tokens are sold at, for the margin of a day: a model of the catalogue, such as deepseek-r1, or the
        list of a day, such as deepseek-v3@2025-03-01. Lists in CNY alone are taken at --exchange-rate.
    exchange_rate
        CNY of one USD, such as 7.1; the catalogue's if not given.
    power_share
        share of its rated power that an accelerator draws, such as 0.8; if not given, all that is provisioned for it
        where that is known, else its whole rating.
    place
        where the price is asked, such as CN, DE or EU: the country's, else its region's, else the world's; what owning
        costs where no rent is known.
    anchor
        points measured on these chips with this model: what `vllm bench serve` or `sglang.bench_serving` wrote, CSV, or
        JSON Lines as in docs/cases.md, or a ledger (`ledger`: the one that --ledger names); predictions are brought
        onto them.
    measured
        price operators by what was measured on the chip: silicon, the tables of the extra of that name, or a file in
        JSON Lines as in docs/method/measured.md; may be repeated, the first counts most.
    running
        sequences that run at once at most on an attention replica, such as 256; by memory if not given.
    memory_share
        share of the memory that the engine takes, such as 0.95; the engine's default if not given.
    eager
        without captured graphs: the host launches every kernel of a step.
    stack
        `default`: the engine is run as it comes, with its own limits on this chip, and as much slower as published
        runs that nobody tuned; `tuned`: with settings chosen for this service, which is meant if not given.
    calibration
        a file of `tonnage qualify`, measured on these chips; its device can be asked for by its name. May be repeated.
    slo
        limits that a simulation of the plan is held to as well, such as "ttft p95 2s, tpot p95 50ms, e2e p99 30s".
    launch_file
        a launch file of yours to ask of: a script, manifest or configuration of an engine; flags override what it says.
    """

    on: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    disaggregate: Annotated[bool, Parameter(negative="")] = False
    afd: Annotated[bool, Parameter(negative="")] = False
    place: Annotated[str | None, Parameter(name="--in")] = None
    anchor: Path | None = None
    measured: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    chunk: Annotated[str | None, Parameter(name=["--chunk", "--max-batched-tokens"])] = None
    running: Annotated[str | None, Parameter(name=["--running", "--max-running"])] = None
    eager: Annotated[bool, Parameter(negative="")] = False
    stack: str | None = None
    calibration: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    launch_file: Annotated[Path | None, Parameter(name="--from", negative="")] = None


NAMES = frozenset({*(field.name for field in fields(ServeOptions)), "in"})
"""Fields that have a flag."""


UNSAID = ServeOptions()


def serve(model: str | None = None, /, *, options: ServeOptions = UNSAID, common: Common = COMMON) -> int:
    """The best way to serve a model on these chips under a service level: speed, memory, price.

    Parameters
    ----------
    model
        bundled name, HF id, config.json, folder with one, or an architecture in YAML.
    """
    from tonnage.ask.beside import best_beside
    from tonnage.ask.checked import plan_checked
    from tonnage.ask.serve import read, rest
    from tonnage.ask.together import names, with_the_rest

    options = replace(options, anchor=anchor_file(options.anchor, common))
    with as_flags(NAMES):
        model, options, written = read_from(options.launch_file, model, options.on, options, common)
    common = dated(common, written)
    load = catalog_with(options.calibration, common)
    more = (*names(model, options.on, load, common.date), *rest(options, load, common.date))
    with as_flags(NAMES), with_the_rest(lambda: read(options), *more):
        asked = read(options)
        catalog = load()
        found, check = plan_checked(model, asked, catalog, common.date(), common.seed, common.note)
    inputs = {"model": model, **said(vars(options)), "in": asked.place, "as_of": common.as_of}
    del inputs["place"]
    path = inputs.pop("launch_file")
    inputs |= {} if path is None else {"from": str(path)}
    inputs |= {"on": list(options.on), "measured": list(options.measured)}
    inputs["anchor"] = None if options.anchor is None else str(options.anchor)
    plan = found.plan
    answer = answer_of(command_line(serve, inputs, without=PINNED), found, energy=options.power_share is not None)
    body, formats = body_of(found), f"{plan.formats.weights} {plan.formats.kv}"
    if written is not None:
        change = serve_change(plan, best_beside(model, asked, found, catalog, common.date(), common.seed))
        answer, body = with_written(answer, written, change), body | {"written": written_json(written, change)}
    if check is not None:
        answer, body = with_check(answer, check), body | {"simulated": check_json(check)}
    outcome = plan.outcome if check is None else check.outcome
    result = Reply("serve", inputs, body, answer, outcome, plan.evidence, plan.sources, catalog, formats=formats)
    return finish(result, common)
