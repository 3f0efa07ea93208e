"""What people write of a service -> `ServeJob`, systems, prices, anchors; and a usable speed where nobody says one."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tonnage.ask import belongs
from tonnage.ask.reading import WordReader
from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.ask.anchor import Anchor
    from tonnage.catalog import Catalog
    from tonnage.model import Architecture
    from tonnage.serve import ChipPrice, LateLimit, PriceList, ServeJob, ServePlan, Speculation
    from tonnage.serve.job import Stack
    from tonnage.simulate.measure import PercentileLimit
    from tonnage.system import System

DEGREES = ("tp", "pp", "dp", "ep", "etp", "cp")
"""Degrees of a layout that have a meaning in serving."""

HOPELESS = ("memory", "context")
"""What no slower service can keep either."""

USABLE = 0.05
"""Seconds per output token that are asked for where nobody says how fast: 20 tokens/s, what DeepSeek served a user on
its published day (20 to 22 tokens/s, 2025-02-27)."""


SOON = 2.0
"""Seconds to the first token, on the mean, that are asked for where nobody says how soon: MLPerf Inference holds the
server scenario of Llama-2-70B (since v4.0), Llama-3.1-8B and DeepSeek-R1 (v5.1) to 2 s of 99 % of the requests
(mlcommons/inference `mlperf.conf`, ttft_latency; recalled). Twice that wait and more is no chat."""

QUEUED = 2.0
"""Times the shortest wait for a first token that are asked for where these chips do not keep `SOON`: a request then
waits for others as long as for its own prompt, which is half of what the chips can do (an assumption)."""

LATE = ("ttft_p90", "ttft_p95", "ttft_p99", "tpot_p90", "tpot_p95", "tpot_p99")
"""Limits on percentiles that can be asked for."""


@dataclass(frozen=True)
class ServeWords:
    """A question as people write it: each field as text, None where nothing is said. The command line says what each
    is.
    """

    on: tuple[str, ...]
    isl: str = "4k"
    osl: str = "1k"
    ttft: str | None = None
    tpot: str | None = None
    ttft_p90: str | None = None
    ttft_p95: str | None = None
    ttft_p99: str | None = None
    tpot_p90: str | None = None
    tpot_p95: str | None = None
    tpot_p99: str | None = None
    rate: str | None = None
    concurrency: str | None = None
    cache_hit: str = "0"
    weights: str | None = None
    kv: str | None = None
    engine: str | None = None
    mode: str = "auto"
    disaggregate: bool = False
    afd: bool = False
    layout: str | None = None
    prefill_layout: str | None = None
    chunk: str | None = None
    ffn_layout: str | None = None
    micro_batches: str | None = None
    speculate: str | None = None
    draft: str | None = None
    batch: str | None = None
    imbalance: str | None = None
    price: str | None = None
    term: str | None = None
    price_list: str | None = None
    exchange_rate: str | None = None
    power_share: str | None = None
    place: str | None = None
    anchor: Path | None = None
    measured: tuple[str, ...] = ()
    running: str | None = None
    memory_share: str | None = None
    eager: bool = False
    stack: str | None = None
    calibration: tuple[str, ...] = ()
    slo: str | None = None


@dataclass(frozen=True)
class ServeAsked:
    """The same as numbers, before model, chips and prices are looked up.

    fleets: (how many, of which chip); limits and lengths as in `ServeJob`; price [USD/accelerator-s]; term: of
    payment; power_share: of the rated power; exchange_rate: CNY of one USD; place: code of a country; slo:
    limits that are simulated.
    """

    words: ServeWords
    fleets: tuple[tuple[int, str], ...]
    isl: float
    osl: float
    ttft: float | None
    tpot: float | None
    rate: float | None
    concurrency: float | None
    batch: float | None
    imbalance: float | None
    cache_hit: float
    speculative: Speculation | None
    mode: str
    afd: bool
    micro_batches: int | None
    chunk: int | None
    layout: dict[str, int] | None
    prefill_layout: dict[str, int] | None
    ffn_layout: dict[str, int] | None
    price: float | None
    term: str | None
    power_share: float | None
    exchange_rate: float | None
    place: str | None
    running: int | None = None
    memory_share: float | None = None
    stack: Stack | None = None
    late: tuple[LateLimit, ...] = ()
    slo: tuple[PercentileLimit, ...] = ()


@dataclass(frozen=True)
class AssumedSpeed:
    """A speed that was asked for because nobody said one, None where one was said or means nothing. tpot: seconds per
    output token; ttft: to the first one; nearest: whether they are the nearest to `USABLE` and `SOON` that these chips
    can keep.
    """

    tpot: float | None
    ttft: float | None
    nearest: bool


@dataclass(frozen=True)
class ServeFound:
    """A plan, what was assumed for it, and what each fleet's measured points say."""

    plan: ServePlan
    assumed: AssumedSpeed | None = None
    anchors: tuple[Anchor, ...] = ()


def read(words: ServeWords) -> ServeAsked:
    """Words as numbers. Raises `InputError` with every problem."""
    reader = WordReader()
    asked = _read(words, reader)
    reader.done()
    return asked


def _read(words: ServeWords, reader: WordReader) -> ServeAsked:
    """Words as numbers; what cannot be read is noted, and has a stand-in."""
    mode, afd = _mode(words)
    turns = None if words.micro_batches is None else reader.whole(words.micro_batches, "micro_batches")
    asked = ServeAsked(
        words=words,
        fleets=_fleets(reader, words.on, together=mode != "afd"),
        ttft=None if words.ttft == "none" else reader.optional(words.ttft, "time", "ttft"),
        tpot=None if words.tpot == "none" else reader.optional(words.tpot, "time", "tpot"),
        rate=reader.optional(words.rate, "rate", "rate"),
        concurrency=reader.optional(words.concurrency, "count", "concurrency"),
        batch=reader.optional(words.batch, "number", "batch"),
        imbalance=reader.optional(words.imbalance, "number", "imbalance"),
        exchange_rate=_exchange_rate(reader, words.exchange_rate),
        isl=reader.whole(words.isl, "isl"),
        osl=reader.whole(words.osl, "osl"),
        cache_hit=reader.number(words.cache_hit, "share", "cache_hit"),
        speculative=speculation(reader, words.speculate),
        mode=mode,
        afd=afd,
        micro_batches=turns,
        chunk=_chunk(reader, words.chunk),
        price=reader.price(words.price),
        term=reader.term(words.term, words.price),
        power_share=None if words.power_share is None else reader.share(words.power_share, "power_share"),
        layout=reader.layout(words.layout, "layout", DEGREES),
        prefill_layout=reader.layout(words.prefill_layout, "prefill_layout", DEGREES),
        ffn_layout=reader.layout(words.ffn_layout, "ffn_layout", DEGREES),
        place=reader.place(words.place),
        running=_running(reader, words.running),
        memory_share=None if words.memory_share is None else reader.share(words.memory_share, "memory_share"),
        stack=_stack(reader, words.stack),
        late=_late(reader, words),
        slo=_slo(reader, words),
    )
    asked = with_limits(asked, asked.slo)
    if asked.late and len(asked.fleets) > 1:
        reader.wrong("percentiles are priced for one kind of accelerators", asked.late[0].name)
    reader.problems.extend(belongs.astray(words, belongs.SERVE))
    if words.ffn_layout is not None and mode != "afd" and not afd:
        reader.wrong("needs attention and FFN apart (--afd)", "ffn_layout")
    if words.prefill_layout is not None and mode not in ("auto", "disaggregated"):
        reader.wrong(f"needs a prefill pool: mode {mode} has none (`disaggregate` has)", "prefill_layout")
    if asked.cache_hit and mode in ("decode", "afd"):
        reader.wrong("decode alone computes no prompt; disaggregate", "cache_hit")
    for name in ("layout", "prefill_layout", "ffn_layout"):
        if getattr(words, name) is not None and len(asked.fleets) > 1:
            reader.wrong("cannot be given for several --on: each has a layout of its own", name)
    return asked


def rest(
    words: ServeWords, catalog: Callable[[], Catalog], as_of: Callable[[], datetime.date | None]
) -> tuple[Callable[[], object], ...]:
    """Checks of a question besides its numbers and the names of model and chips, each of which raises `InputError`."""
    from tonnage.model import load
    from tonnage.serve.job import check
    from tonnage.serve.replica.engines import engine
    from tonnage.serve.replica.formats import known_formats

    def asked() -> ServeAsked:
        return _read(words, WordReader())

    def measured() -> None:
        from tonnage.system.measurements import with_measurements

        with_measurements([], words.measured)

    def checked() -> None:
        said = asked()
        plain = replace(said, words=replace(words, draft=None))
        check(_job(load(catalog().models()[0], catalog()), plain, catalog(), as_of()))

    return (
        lambda: known_formats(words.weights, words.kv),
        lambda: engine(words.engine),
        checked,
        lambda: None if words.draft is None else load(words.draft, catalog(), as_of()),
        lambda: price_list_of(asked(), catalog(), as_of()),
        measured,
    )


def _late(reader: WordReader, words: ServeWords) -> tuple[LateLimit, ...]:
    """Limits on percentiles."""
    from tonnage.serve import LateLimit

    found = []
    for name in LATE:
        limit = reader.optional(getattr(words, name), "time", name)
        what: Literal["ttft", "tpot"] = "ttft" if name.startswith("ttft") else "tpot"
        if limit is not None:
            found.append(LateLimit(what, float(name[-2:]) / 100, limit))
    return tuple(found)


def _slo(reader: WordReader, words: ServeWords) -> tuple[PercentileLimit, ...]:
    """Limits that a simulation of the plan is held to."""
    if words.slo is None:
        return ()
    from tonnage.simulate.measure import parse_limits

    try:
        limits = parse_limits(words.slo, "slo")
    except InputError as error:
        reader.problems.extend(error.problems)
        return ()
    known = {name.replace("_", " ") for name in LATE} | {"ttft mean", "tpot mean"}
    names = [one.name for one in limits]
    for one in limits:
        if one.what != "e2e" and one.name not in known:
            reader.wrong(f"{one.name} is not planned for; p90, p95, p99 and mean are", "slo")
        if names.count(one.name) > 1:
            reader.wrong(f"{one.name} has two limits", "slo")
        other = one.what if one.share is None else f"{one.what}_{one.key}"
        if getattr(words, other, None) is not None:
            reader.wrong(f"{one.name} is limited by `{other}` as well", "slo")
    if words.concurrency is not None or words.batch is not None:
        reader.wrong("is of requests that come by themselves, not of a `concurrency` or `batch`", "slo")
    return limits


def with_limits(asked: ServeAsked, limits: tuple[PercentileLimit, ...]) -> ServeAsked:
    """The question with limits of the steady state for those of a simulation; the whole request has none there."""
    from tonnage.serve import LateLimit

    late = {one.name: one for one in asked.late}
    mean = {"ttft": asked.ttft, "tpot": asked.tpot}
    for one in limits:
        what: Literal["ttft", "tpot"] = "ttft" if one.what == "ttft" else "tpot"
        if one.what != what:
            continue
        if one.share is None:
            mean[what] = one.limit
        else:
            made = LateLimit(what, one.share, one.limit)
            late[made.name] = made
    return replace(asked, late=tuple(late.values()), ttft=mean["ttft"], tpot=mean["tpot"])


def _mode(words: ServeWords) -> tuple[str, bool]:
    """How prefill, attention and FFN are put together: (mode, whether FFN ranks are apart beside a prefill pool)."""
    mode, apart = words.mode, words.afd or words.mode == "afd"
    if words.disaggregate:
        mode = "disaggregated"
    elif apart and mode in ("auto", "decode"):
        mode = "afd"
    return mode, apart and mode != "afd"


def _fleets(reader: WordReader, texts: Sequence[str], *, together: bool) -> tuple[tuple[int, str], ...]:
    """(how many, of which chip) of each `on`; those of one chip are one fleet, but for sides that are apart."""
    read = [reader.fleet(text) for text in texts]
    if not together:
        return tuple(read)
    chips = dict.fromkeys(chip for _, chip in read)
    return tuple((sum(count for count, own in read if own == chip), chip) for chip in chips)


def _exchange_rate(reader: WordReader, text: str | None) -> float | None:
    value = reader.optional(text, "number", "exchange_rate")
    if value is not None and not 1 <= value <= 100:
        reader.wrong("expected 1 to 100 CNY of one USD", "exchange_rate")
    return value


def _chunk(reader: WordReader, text: str | None) -> int | None:
    """Tokens of a step, from 16."""
    return reader.within(text, "chunk", 16, 1e7, "tokens")


def _running(reader: WordReader, text: str | None) -> int | None:
    """Sequences that run at once at most on a replica."""
    return reader.within(text, "running", 1, 1e6, "sequences")


def _stack(reader: WordReader, text: str | None) -> Stack | None:
    from tonnage.serve.job import STACKS

    found = next((one for one in STACKS if one == text), None)
    if text is not None and found is None:
        reader.wrong(f'"{text[:20]}" is not one of {", ".join(STACKS)}', "stack")
    return found


def speculation(reader: WordReader, text: str | None) -> Speculation | None:
    """Drafts as people write them: `1@0.85`, or `3` alone."""
    from tonnage.serve import ACCEPTANCE, REUSED, Speculation

    if text is None:
        return None
    tokens, _, acceptance = text.partition("@")
    drafted = reader.number(tokens, "count", "speculate")
    share = reader.number(acceptance, "share", "speculate") if acceptance else ACCEPTANCE
    if not (1 <= drafted <= 16 and drafted == int(drafted)) or not 0 <= share <= 1:
        reader.wrong(f'expected something like 1@0.85, got "{text}"', "speculate")
        return None
    if acceptance:
        return Speculation(drafted, share)
    return Speculation(drafted, share, source="arXiv 2412.19437, section 5.4.3", kept=REUSED)


def plan_asked(
    model: str, asked: ServeAsked, catalog: Catalog, as_of: datetime.date | None = None, seed: int = 0
) -> ServeFound:
    """The plan for a model and what was asked, with prices, powers and chips of the catalogue as known on `as_of`."""
    from tonnage import serve as room
    from tonnage.ask.anchor import anchors
    from tonnage.system import System, accelerator

    systems = [System(accelerator(chip, catalog, as_of), count) for count, chip in asked.fleets]
    systems = with_measured(systems, asked.words.measured)
    jobs = _jobs(model, asked, systems, catalog, as_of)
    arch = jobs[0].arch
    if asked.imbalance is not None and not arch.moe:
        raise InputError(Problem(f"{arch.title} is dense: no experts whose load could differ", path="imbalance"))
    path = asked.words.anchor
    found_at = () if path is None else anchors(path, jobs[0], systems, asked.layout, catalog)
    fitted = [each.constants for each in found_at] or [None] * len(systems)

    def planned(tpot: float | None = None, ttft: float | None = None, soon: float | None = None) -> ServePlan:
        own = [
            replace(job, tpot=tpot or job.tpot, ttft=ttft or job.ttft, usual_ttft=ttft is not None, soon=soon)
            for job in jobs
        ]
        if len(systems) > 1:
            return room.plan_mixed(own, systems, fitted)
        return room.plan(own[0], systems[0], asked.layout, asked.prefill_layout, fitted[0], ffn_fixed=asked.ffn_layout)

    plan, assumed = _usable(jobs[0], asked.words, planned)
    return ServeFound(plan.sourced((), catalog.digest, seed), assumed, tuple(found_at))


def _jobs(
    model: str, asked: ServeAsked, systems: Sequence[System], catalog: Catalog, as_of: datetime.date | None
) -> list[ServeJob]:
    """The job on each fleet, with the price and the power of its accelerators."""
    from tonnage import serve as room
    from tonnage.ask.price import chip_power, chip_price
    from tonnage.model import load

    def priced(system: System) -> ChipPrice | None:
        if asked.price:
            return room.ChipPrice(asked.price, "as given")
        return chip_price(catalog, system, asked.place, as_of, asked.term)

    prices = [priced(system) for system in systems]
    listed = price_list_of(asked, catalog, as_of)
    powers = [chip_power(catalog, system, asked.power_share, as_of) for system in systems]
    job = replace(_job(load(model, catalog, as_of), asked, catalog, as_of), price_list=listed)
    return [replace(job, price=price, power=power) for price, power in zip(prices, powers, strict=True)]


def _drafting(
    arch: Architecture, asked: ServeAsked, catalog: Catalog, as_of: datetime.date | None
) -> tuple[Architecture, Speculation | None]:
    """The model with what drafts for it: the one that is named, its own layers, else an EAGLE-3 head of usual shape;
    and how often that is accepted, where nothing says it.
    """
    from tonnage.model import drafter_of, load, usual_drafter, with_draft
    from tonnage.serve import DRAFTED, Speculation

    named, told = asked.words.draft, asked.speculative
    if named is None and (told is None or arch.mtp is not None):
        return arch, told
    drafter = usual_drafter(arch) if named is None else drafter_of(load(named, catalog, as_of), arch)
    share, source = DRAFTED[drafter.kind]
    if told is None:
        return with_draft(arch, drafter), Speculation(DRAFTS[drafter.kind], share, drafter.kind, source)
    said = replace(told, method=drafter.kind)
    if told.source:  # no acceptance was given
        said = replace(said, acceptance=share, source=source, kept=1.0)
    return with_draft(arch, drafter), said


DRAFTS = {"eagle3": 3.0, "eagle": 3.0, "dflash": 7.0, "model": 4.0}
"""Tokens drafted a step where nobody says it: SGLang's and vLLM's recipes for EAGLE (3), blocks of eight of DFlash of
which one is sure (7), and what Leviathan et al. find best for a small model (arXiv 2211.17192, section 4)."""


def _job(arch: Architecture, asked: ServeAsked, catalog: Catalog, as_of: datetime.date | None) -> ServeJob:
    """The job without what its accelerators cost."""
    from tonnage.serve import ServeJob

    arch, drafts = _drafting(arch, asked, catalog, as_of)
    return ServeJob(
        arch=arch,
        isl=asked.isl,
        osl=asked.osl,
        ttft=asked.ttft,
        tpot=asked.tpot,
        rate=asked.rate,
        cache_hit=asked.cache_hit,
        weights=asked.words.weights,
        kv=asked.words.kv,
        engine=asked.words.engine,
        concurrency=asked.concurrency,
        mode=asked.mode,
        afd=asked.afd,
        micro_batches=asked.micro_batches,
        speculative=drafts,
        imbalance=asked.imbalance,
        batch=asked.batch,
        chunk=asked.chunk,
        running=asked.running,
        memory_share=asked.memory_share,
        eager=asked.words.eager,
        stack=asked.stack,
        thorough=True,
        date=as_of,
        late=asked.late,
    )


def price_list_of(asked: ServeAsked, catalog: Catalog, as_of: datetime.date | None) -> PriceList | None:
    """The list of prices that is asked for."""
    from tonnage.serve import price_list

    if asked.words.price_list is None:
        return None
    return price_list(asked.words.price_list, catalog, as_of, exchange=asked.exchange_rate)


def with_measured(systems: Sequence[System], names: Sequence[str]) -> list[System]:
    """The systems with the measurements that were asked for; as they are where none were."""
    if not names:
        return list(systems)
    from tonnage.system.measurements import with_measurements

    chips = with_measurements([one.accelerator for one in systems], names)
    return [replace(one, accelerator=chip) for one, chip in zip(systems, chips, strict=True)]


def _usable(
    job: ServeJob, words: ServeWords, planned: Callable[..., ServePlan]
) -> tuple[ServePlan, AssumedSpeed | None]:
    """A plan at a speed that people can use, where nothing says how fast or how soon, and what was assumed.

    The wait for the first token is only limited where it would be longer than `SOON`. Where these chips cannot keep
    `USABLE` and `SOON`, the nearest that they can, and `QUEUED` times the shortest wait.
    """
    given = job.concurrency is not None or job.batch is not None
    decodes = job.mode != "prefill" and job.osl >= 2
    tpot = USABLE if words.tpot is None and job.rate is None and not given and decodes else None
    waits = job.mode in ("auto", "aggregated", "disaggregated") and not any(one.what == "ttft" for one in job.late)
    ttft = SOON if words.ttft is None and not given and waits else None
    if tpot is None and ttft is None:
        return planned(), None
    plan = planned(tpot, soon=ttft)
    if plan.outcome.reason not in HOPELESS and ttft is not None and not (plan.ttft and plan.ttft.value <= ttft):
        plan = planned(tpot, ttft)
    if plan.outcome.feasible or plan.outcome.reason in HOPELESS:
        return plan, AssumedSpeed(tpot, ttft, nearest=False)
    near = plan.nearest
    if near is not None:
        slower = None if tpot is None else max(tpot, (near.tpot or 0.0) * 1.01)
        later = None if ttft is None else max(ttft, (near.ttft or 0.0) * QUEUED)
        nearer = planned(slower, later)
        if nearer.outcome.feasible:
            return nearer, AssumedSpeed(slower, later, nearest=True)
    return planned(), None
