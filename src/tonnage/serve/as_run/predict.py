"""Many deployments as they were run, predicted at once: grouped by model, chip and formats, arrays inside a group."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.errors import Bind, infeasible
from tonnage.interval import around
from tonnage.layout import Layout
from tonnage.serve.as_run.deployment import Deployment, Pool, ServePrediction
from tonnage.serve.job import ACCEPTANCE, REUSED, TRAINED_ON, Speculation
from tonnage.serve.replica import loads
from tonnage.serve.replica.engines import Engine, engine
from tonnage.serve.replica.formats import ServeFormats, formats
from tonnage.serve.replica.memory import as_it_comes
from tonnage.serve.replica.pages import cached_on, sequence_bytes
from tonnage.serve.replica.points import Point, PrefillPoint, Traffic, decode_only, prefill_only, together
from tonnage.serve.replica.room import decode_rank_memory, rank_memory
from tonnage.serve.replica.software import EAGER, Constants, Software, independent, looking, tuning
from tonnage.serve.replica.spread import SpeedSpread, doubt
from tonnage.serve.replica.step import Service
from tonnage.system import Accelerator, needed, per_die

Array = NDArray[np.float64]

Kind = tuple[str | bool | None, ...]
"""What deployments have to have in common to be predicted in one broadcast."""

Columns = TypeVar("Columns", Software, Layout, Traffic)

DRAFTS = 3.0
"""Tokens drafted per step where speculation is on and the number is not stated: what the SGLang and vLLM recipes for
DeepSeek's multi-token prediction set (`--speculative-num-steps 3`)."""


ROUNDS = 10.0
"""How often each client of a closed-loop benchmark asks where that is not stated: InferenceX sends ten prompts a client
(`--num-prompts $((CONC * 10))`)."""

OFFLINE = 3000.0
"""Requests of an offline benchmark where they are not stated: TensorRT-LLM's published tables send 1,500 to 3,000 (its
performance overview, "number of sequences"), so that a large deployment never runs as many at once as it could."""


@dataclass(frozen=True)
class DeploymentGroup:
    """Cases that share model, chip, formats and mode, as arrays.

    layout: of the pool that decodes (or prefills, where it is alone); replicas: attention replicas in it; prefill,
    prefill_replicas: the same of a prefill pool beside it.
    """

    cases: tuple[Deployment, ...]
    service: Service
    formats: ServeFormats
    engines: tuple[Engine, ...]
    traffic: Traffic
    layout: Layout
    replicas: Array
    accelerators: Array
    prefill: Layout | None = None
    prefill_replicas: Array | None = None


@dataclass(frozen=True)
class Figures:
    """What a group is predicted to do: rates in requests/s of the whole deployment, times in seconds, and the points
    they came from.
    """

    rate: Array
    tpot: Array
    ttft: Array
    decode: Point | None
    prefill: PrefillPoint | None
    most: Array


NO_ROOM = infeasible(Bind("memory", "weights leave no room for a sequence on a rank"))
"""What is said of a deployment whose weights alone, as it is described, do not fit: it has no speed."""


def predict(cases: Sequence[Deployment], fitted: Constants | None = None) -> tuple[ServePrediction, ...]:
    """Predictions of `cases`, in their order. `fitted` replaces the constants that come with tonnage."""
    found: dict[int, ServePrediction] = {}
    for indices in grouped(cases).values():
        group = prepare([cases[i] for i in indices], fitted)
        found.update(zip(indices, _predictions(group, figures(group), fitted), strict=True))
    return tuple(found[i] for i in range(len(cases)))


def grouped(cases: Sequence[Deployment]) -> dict[Kind, list[int]]:
    """Indices of cases by what has to be the same for one broadcast."""
    groups: dict[Kind, list[int]] = defaultdict(list)
    for i, case in enumerate(cases):
        own = case.drafts is None or case.drafts > 0
        key = (case.arch.name, case.accelerator.name, case.weights, case.kv or default_cache(case), case.mode)
        groups[*key, own, case.rate is None].append(i)
    return groups


def prepare(cases: Sequence[Deployment], fitted: Constants | None = None) -> DeploymentGroup:
    """The arrays of a group of cases."""
    first = cases[0]
    chip = per_die(first.accelerator)
    how = formats(first.arch, chip, first.weights, first.kv or default_cache(first))
    engines = tuple(running_engine(case, chip) for case in cases)
    tuned = tuning(engines, chip, how.precision, fitted, [case.stack == "default" for case in cases])
    if any(case.looks for case in cases):
        tuned = looking(tuned, _array([np.nan if case.looks is None else float(case.looks) for case in cases]))
    if any(case.eager for case in cases):
        tuned = replace(tuned, eager=np.where([case.eager for case in cases], EAGER, tuned.eager))
    layout, replicas = _layouts([case.pool for case in cases], first)
    prefill = [case.prefill for case in cases]
    second: tuple[Layout | None, Array | None] = (None, None)
    count = _array([case.pool.count for case in cases])
    if first.mode == "disaggregated":
        pools = [pool for pool in prefill if pool is not None]
        second = _layouts(pools, first)
        count = count + _array([pool.count for pool in pools])
    alone = first.rate is not None and first.mode == "aggregated"
    service = Service(
        cached_on(first.arch, chip.generation), chip, how.precision, independent(tuned) if alone else tuned
    )
    return DeploymentGroup(
        tuple(cases), service, how, engines, _traffic(cases, float(tuned.acceptance)), layout, replicas, count, *second
    )


def running_engine(case: Deployment, die: Accelerator) -> Engine:
    """The engine of a case with its limits: those it was told; left as it comes, those of its release on this chip."""
    one, day = engine(case.engine, die.stack), _day(case)
    if not one.version and day is not None:
        one = replace(one, launched=one.of(date=day).launched)
    if case.stack == "default":
        one = as_it_comes(one, case.arch, die, drafts=case.drafts != 0)
    return one.told(case.chunk, case.running, eager=case.eager, prefixes=case.prefixes, share=case.share)


def _day(case: Deployment) -> datetime.date | None:
    """The last day that the date of a case can mean, which is a month or a year."""
    if case.date is None:
        return None
    return datetime.date(int(case.date[:4]), int(case.date[5:7] or 12), 28)


def default_cache(case: Deployment) -> str:
    """Format of the cache where it is not stated: FP8 beside 8- and 4-bit floating-point weights where the recipes that
    are published for an engine on a chip say so, BF16 otherwise.

    They do for TensorRT-LLM and ATOM, for chips with FP4 arithmetic and for AMD's; not for vLLM and SGLang on Hopper,
    nor for four-bit weights that are widened on the way (launch scripts of InferenceX, `benchmarks/`, at 843c625).
    """
    chip = case.accelerator
    four = "fp4" in chip.rates
    narrow = case.weights in ("fp8", "fp4", "nvfp4", "mxfp8") or (case.weights == "mxfp4" and four)
    name = (case.engine or "").partition("@")[0]
    usual = name in ("trtllm", "atom") or four or chip.stack == "rocm"
    return "fp8" if narrow and usual and name in _TUNED else "bf16"


_TUNED = ("trtllm", "atom", "vllm", "sglang")


def _array(values: Sequence[float]) -> Array:
    return np.array(values, dtype=float)


def _traffic(cases: Sequence[Deployment], usual: float) -> Traffic:
    drafts = _array([DRAFTS if case.drafts is None else case.drafts for case in cases])
    own = bool(drafts.any())
    accepted = _array([_accepted(case, k, usual) for case, k in zip(cases, drafts, strict=True)])
    isl, osl = _array([case.isl for case in cases]), _array([max(case.osl, 1.0) for case in cases])
    known = _array([np.nan if case.context is None else case.context for case in cases])
    context = np.where(np.isnan(known), isl + osl / 2, known)
    hit = _array([case.cache_hit for case in cases])
    equal = _array([float(case.equal) for case in cases])
    return Traffic(isl, osl, hit, drafts, accepted, context, own, _array([_rounds(case) for case in cases]), equal)


def _rounds(case: Deployment) -> float:
    """How often each client of a closed loop asks; requests that arrive by themselves never all begin at once."""
    if case.rate is not None:
        return float("inf")
    if case.requests is None or case.concurrency is None:
        return ROUNDS
    return max(case.requests / case.concurrency, 1.0)


def _accepted(case: Deployment, drafts: float, usual: float) -> float:
    if drafts == 0:
        return 1.0
    if case.accepted is not None:
        return case.accepted
    if case.acceptance is not None:
        return Speculation(drafts, case.acceptance).accepted
    real = ACCEPTANCE if case.arch.mtp is not None else TRAINED_ON
    return Speculation(drafts, min(usual, real) if case.random else real, kept=REUSED).accepted


def _layouts(pools: Sequence[Pool], first: Deployment) -> tuple[Layout, Array]:
    """Layouts of one instance, and attention replicas in all instances of a pool."""
    dies = first.accelerator.dies
    rows = [instance(pool, first.arch.moe, dies) for pool in pools]
    columns = {name: np.array([row[name] for row in rows], dtype=np.int64) for name in ("tp", "pp", "dp", "ep", "etp")}
    return Layout(**columns), _array([row["replicas"] for row in rows])


def instance(pool: Pool, moe: bool, dies: int) -> dict[str, float]:
    """One instance of a pool: the ranks that share one set of experts, and how many attention replicas the pool has.

    Experts lie over ep x etp ranks. Where only ep is known one expert is cut over what tensor parallelism has left;
    where nothing is, experts are cut as the rest of the layer is.
    """
    ranks = pool.count * dies
    replicas = max(ranks / (pool.tp * pool.pp), 1.0)
    if not moe:
        return {"tp": pool.tp, "pp": pool.pp, "dp": 1, "ep": 1, "etp": 1, "replicas": replicas}
    ep = pool.ep or 1
    etp = pool.etp or max(pool.tp // ep, 1)
    if ep * etp < pool.tp:
        etp = max(pool.tp // ep, 1)
    dp = max(ep * etp // pool.tp, 1)
    return {"tp": pool.tp, "pp": pool.pp, "dp": dp, "ep": ep, "etp": etp, "replicas": max(replicas, dp)}


def _limit(group: DeploymentGroup) -> Array:
    return _array([float(one.chunk) for one in group.engines])


def _most(group: DeploymentGroup) -> Array:
    """Sequences that an attention replica holds at once, at least one: by memory, and by the engine's own limit."""
    return np.maximum(_held(group), 1.0)


def _held(group: DeploymentGroup) -> Array:
    """The same by memory alone where that is less than one: 0 or below where the weights leave no room."""
    traffic, service = group.traffic, group.service
    alone = group.cases[0].mode in ("decode", "disaggregated")
    found = np.empty(len(group.cases))
    keys = [
        (one.name, one.version, one.chunk, one.running, one.graphs, one.states, one.memory_share)
        for one in group.engines
    ]
    for key, kind in dict(zip(keys, group.engines, strict=True)).items():
        here = np.array([each == key for each in keys])
        if alone:
            held = decode_rank_memory(service, kind, group.layout, traffic)
        else:
            held = rank_memory(service, kind, group.layout, traffic, float(kind.chunk))
        most = np.minimum(held.sequences, kind.running)
        found[here] = np.broadcast_to(most, here.shape)[here]
    return found


def figures(group: DeploymentGroup) -> Figures:
    """What a group is predicted to do, by its mode."""
    mode = group.cases[0].mode
    if mode == "prefill":
        return _prefill(group)
    if mode == "decode":
        return _decode(group)
    return _disaggregated(group) if mode == "disaggregated" else _aggregated(group)


def _population(group: DeploymentGroup, most: Array) -> Array:
    """Requests in flight per attention replica; saturated: as many as run, or as a benchmark sends."""
    given = [case.concurrency for case in group.cases]
    batch = [case.batch for case in group.cases]
    per = group.accelerators / group.replicas
    found = [
        c / r if c is not None else b * p if b is not None else min(m, OFFLINE / r)
        for c, b, r, p, m in zip(given, batch, group.replicas, per, most, strict=True)
    ]
    return np.maximum(_array(found), 1e-3)


def _aggregated(group: DeploymentGroup) -> Figures:
    """Figures of deployments that prefill and decode on the same ranks: by arrivals, or by a closed loop of clients."""
    traffic, most = group.traffic, _most(group)
    population = _population(group, most)
    mixed = _array([float(one.mixed) for one in group.engines])
    limit = _limit(group)
    clients = None if group.cases[0].rate is not None else np.minimum(population, most)

    def evaluate(running: Numbers) -> Point:
        return together(group.service, group.layout, traffic, running, limit, mixed, clients)

    if group.cases[0].rate is not None:
        arrival = _array([case.rate or 0.0 for case in group.cases]) / group.replicas
        sent = _array([case.requests or np.inf for case in group.cases]) / group.replicas
        point = loads.open_loop(evaluate, traffic, arrival, np.minimum(most, np.maximum(sent / 2.0, 1.0)))
        served = np.asarray(np.minimum(point.rate, arrival) * group.replicas, dtype=float)
        return Figures(served, np.asarray(point.tpot), np.asarray(point.ttft), point, None, most)
    point, ttft = loads.closed_loop(evaluate, traffic, population, most)
    return Figures(point.rate * group.replicas, np.asarray(point.tpot), ttft, point, None, most)


def _decode(group: DeploymentGroup) -> Figures:
    most = _most(group)
    population = _population(group, most)
    point = decode_only(group.service, group.layout, group.traffic, population)
    nothing = np.full(len(group.cases), np.nan)
    return Figures(point.rate * group.replicas, np.asarray(point.tpot), nothing, point, None, most)


def _prefill(group: DeploymentGroup) -> Figures:
    given = [case.tokens for case in group.cases]
    per = group.accelerators / group.replicas
    chunk = np.where([t is None for t in given], _limit(group), _array([t or 0.0 for t in given]) * per)
    point = prefill_only(group.service, group.layout, group.traffic, chunk)
    nothing = np.full(len(group.cases), np.nan)
    return Figures(point.capacity * group.replicas, nothing, np.asarray(point.prefill), None, point, nothing)


def _disaggregated(group: DeploymentGroup) -> Figures:
    """Figures of deployments with a prefill pool and a decode pool, the move of the cache between them."""
    assert group.prefill is not None and group.prefill_replicas is not None
    traffic, most, service = group.traffic, _most(group), group.service
    population = _population(group, most)
    chunk = np.minimum(_limit(group), np.maximum(traffic.fresh, 1.0))
    prefill = prefill_only(service, group.prefill, traffic, chunk)
    moved = sequence_bytes(service.arch, service.precision.cache, Layout(), traffic.isl)
    transfer = moved / np.asarray(needed(service.die, "nic") * group.prefill.tp, dtype=float)

    def evaluate(running: Numbers) -> Point:
        if np.ndim(running) == 1:
            return decode_only(service, group.layout, traffic, running)
        wide = replace(service, tuning=_column(service.tuning))
        return decode_only(wide, _column(group.layout), _column(traffic), running)

    servers = group.prefill_replicas / group.replicas
    point, rate, ttft = loads.two_pools(
        evaluate, prefill, traffic, population, most, servers, transfer, service.tuning.admission
    )
    return Figures(rate * group.replicas, np.asarray(point.tpot), np.asarray(ttft), point, prefill, most)


def _column(value: Columns) -> Columns:
    """The same dataclass with every array of cases turned into a column."""
    changed = {f.name: getattr(value, f.name)[:, None] for f in fields(value) if np.ndim(getattr(value, f.name)) == 1}
    return replace(value, **changed)


def _predictions(group: DeploymentGroup, found: Figures, fitted: Constants | None) -> list[ServePrediction]:
    """The figures of each deployment of a group with the interval of its evidence."""
    traffic = group.traffic
    without = np.zeros(len(group.cases)) if found.decode is None else _held(group)
    output = found.rate * traffic.osl / group.accelerators
    given = found.rate * traffic.isl / group.accelerators
    rows = []
    for i, case in enumerate(group.cases):
        wide = _spread(case, fitted)
        if found.decode is not None and without[i] <= 0.0:
            rows.append(ServePrediction(evidence=wide.evidence, outcome=NO_ROOM))
            continue
        rows.append(
            ServePrediction(
                output_rate=None if case.mode == "prefill" else around(float(output[i]), wide.rate),
                input_rate=None if case.mode == "decode" else around(float(given[i]), wide.rate),
                tpot=None if case.mode == "prefill" else around(float(found.tpot[i]), wide.tpot),
                ttft=None if case.mode == "decode" else around(float(found.ttft[i]), wide.ttft),
                evidence=wide.evidence,
            )
        )
    return rows


def _spread(case: Deployment, fitted: Constants | None = None) -> SpeedSpread:
    """The doubt of a prediction of `case`."""
    unknown = case.drafts is None or (case.drafts > 0 and case.accepted is None)
    return doubt(case.accelerator, case.mode, unknown, fitted, untouched=case.stack == "default")
