"""A published serving case as what `serve` predicts."""

from __future__ import annotations

import re
from functools import cache
from math import inf

from tonnage.errors import InputError
from tonnage.serve.as_run.deployment import Deployment, LengthSpread, Pool
from tonnage.serve.replica.engines import engine
from tonnage.truth import recipes
from tonnage.truth.cases import DATA, Skip, at, number, required, text, whole
from tonnage.truth.recipes import BenchmarkRun, keeps_prefixes, looks, told
from tonnage.truth.score import Prediction
from tonnage.truth.scored import flags, group, metrics
from tonnage.truth.shapes import Library, family
from tonnage.truth.table import Row, read_table

MODES = ("aggregated", "disaggregated", "prefill", "decode")
CLASSES = {"bf16": "16", "fp16": "16", "fp8": "8", "mxfp8": "8", "int8": "8"}
"""Precision class of weights [bit]; everything else is four bits."""

LONGEST = 1e8


def serving_case(case: Row, library: Library) -> Deployment:
    """The deployment that a row describes. Raises Skip with the reason when it does not describe one."""
    mode = text(case, "mode")
    if mode not in MODES:
        raise Skip("mode is not given" if mode is None else "mode is not known")
    count = float(required(number(case, "count"), "count"))
    prefill = _side(case, "prefill") if mode == "disaggregated" else None
    pool = _side(case, "decode") if mode == "disaggregated" else _pool(case, ("layout",), count)
    isl, osl, context = _lengths(case, mode)
    run = _run(case, _speculation(case)[0] != 0)
    speculation = _speculation(case, run)
    requests = number(case, "workload", "num_requests") or told(run, "prompts")
    return Deployment(
        id=text(case, "id") or "unnamed",
        arch=library.model(str(required(text(case, "model"), "model"))),
        accelerator=library.chip(str(required(text(case, "chip"), "chip"))),
        mode=str(mode),
        pool=pool,
        isl=isl,
        osl=osl,
        prefill=prefill,
        concurrency=_concurrency(case),
        batch=number(case, "workload", "batch_per_accelerator"),
        tokens=_prefill_tokens(case, pool),
        context=context,
        rate=number(case, "workload", "request_rate") if text(case, "workload", "arrival") == "poisson" else None,
        cache_hit=_share(number(case, "workload", "cache_hit", positive=False) or 0.0, "workload.cache_hit"),
        weights=text(case, "weights"),
        kv=text(case, "kv") or ("bf16" if text(case, "engine") in priced_as() else None),
        engine=_engine(text(case, "engine"), _version(case)),
        drafts=speculation[0],
        acceptance=speculation[1],
        accepted=speculation[2],
        random=_random(case),
        requests=requests,
        equal=text(case, "workload", "length_distribution") == "fixed",
        spread=_spread(case),
        at_once=_at_once(case, requests),
        running=whole(case, "workload", "max_num_seqs") or recipes.running(run),
        chunk=(whole(case, "workload", "max_num_batched_tokens") or recipes.chunk(run))
        if mode == "aggregated"
        else None,
        share=told(run, "share"),
        looks=whole(case, "workload", "scheduler_recv_interval") or looks(run),
        prefixes=keeps_prefixes(run),
        stack="default" if "default_untuned" in flags(case) else None,
        eager="eager" in flags(case),
        static=text(case, "workload", "arrival") == "static-batch",
        group=group(case),
        date=_date(case),
    )


def figures(case: Row, arch_moe: bool) -> tuple[Prediction, ...]:
    """What of a row is compared: one entry per metric, the prediction still open (NaN). Raises Skip when nothing is."""
    found = metrics(case)
    if not found:
        raise Skip("no figure that can be compared")
    name, chip, engine = (str(text(case, key) or "not given") for key in ("model", "chip", "engine"))
    weights = text(case, "weights") or "not given"
    tags = {
        "chip": chip,
        "family": family(name),
        "model": name,
        "engine": engine,
        "mode": str(case.get("mode")),
        "kind": "MoE" if arch_moe else "dense",
        "precision": CLASSES.get(weights, "4"),
        "stack": "default" if "default_untuned" in flags(case) else "tuned, or not stated",
        "year": (_date(case) or "not given")[:4],
        "figure": "pass mark" if "pass_mark" in flags(case) else "measured",
        "speculation": "off" if _speculation(case, _run(case, False))[0] == 0 else "on",
    }
    return tuple(
        Prediction(
            id=text(case, "id") or "unnamed",
            group=group(case),
            metric=metric,
            published=value,
            predicted=float("nan"),
            tags=tags,
            cluster=(name, chip, engine),
        )
        for metric, value in found.items()
    )


def _run(case: Row, drafts: bool) -> BenchmarkRun:
    """Which run of its benchmark a row is."""
    engine, model, chip, weights, mode = (
        text(case, key) or "" for key in ("engine", "model", "chip", "weights", "mode")
    )
    return BenchmarkRun(group(case), engine, model, chip, weights, mode, drafts, _concurrency(case) or inf)


def _side(case: Row, side: str) -> Pool:
    count = number(case, "layout", side, "count")
    return _pool(case, ("layout", side), float(required(count, f"layout.{side}.count")))


def _pool(case: Row, path: tuple[str, ...], count: float) -> Pool:
    """The pool at a place of the layout; data parallel is what the accelerators leave when it is not written.

    Attention in data parallel (`dp` written) of a mixture shares one set of experts, over all its ranks where the row
    says no more: full copies of a model on each rank are replicas, not data parallel.
    """
    name = ".".join(path)
    sizes = {key: whole(case, *path, key) for key in ("tp", "pp", "dp", "ep", "moe_tp", "workers", "replicas", "cp")}
    if sizes["tp"] is None and sizes["ep"] is None:
        raise Skip(f"{name} is not given")
    ranks = count * (whole(case, "layout", "ranks_per_accelerator") or 1)
    tp, pp = (sizes["tp"] or 1), (sizes["pp"] or 1)
    workers = sizes["workers"]
    left = ranks / (tp * pp * (workers or 1))
    dp = (sizes["dp"] or 0) * (sizes["replicas"] or 1) or max(int(left), 1)
    if sizes["dp"] is None and left < 1:
        raise Skip(f"{name} needs more accelerators than there are")
    together = sizes["dp"] is not None and sizes["dp"] > 1 and sizes["ep"] is None and sizes["moe_tp"] is None
    ep = tp * (sizes["dp"] or 1) if together else sizes["ep"]
    return Pool(count, tp, pp, dp, ep, sizes["moe_tp"], workers)


def _lengths(case: Row, mode: str | None) -> tuple[float, float, float | None]:
    isl, osl = number(case, "workload", "input_len"), number(case, "workload", "output_len")
    context = number(case, "workload", "mean_context")
    if mode == "decode":
        isl = isl if isl is not None else required(context, "workload.input_len")
        osl = osl if osl is not None else 1.0
    elif mode == "prefill":
        osl = osl if osl is not None else 1.0
    isl, osl = required(isl, "workload.input_len"), required(osl, "workload.output_len")
    if isl > LONGEST or osl > LONGEST or isl < 1 or osl < 1:
        raise Skip("lengths are out of range")
    return float(isl), float(osl), context


def _concurrency(case: Row) -> float | None:
    load = at(case, "workload", "concurrency")
    if load == "saturated":
        return None
    if load is None and text(case, "workload", "arrival") == "all-at-once":
        return number(case, "workload", "num_requests")
    return number(case, "workload", "concurrency")


def _prefill_tokens(case: Row, pool: Pool) -> float | None:
    tokens = number(case, "workload", "batch_tokens_per_accelerator")
    step = number(case, "workload", "max_num_batched_tokens")
    return tokens if tokens is not None or step is None else step / pool.tp


def _share(value: float, name: str) -> float:
    if not 0 <= value < 1:
        raise Skip(f"{name} is not a share below 1")
    return value


def _speculation(case: Row, run: BenchmarkRun | None = None) -> tuple[float | None, float | None, float | None]:
    """(tokens drafted: 0 off, None unknown; acceptance; mean accepted length). Not stated at all counts as off, or as
    what the launch script of the run sets.
    """
    method = text(case, "workload", "speculative", "method")
    if method is None and run is not None:
        drafted = told(run, "drafted") or 0.0
        return drafted, None, told(run, "accepted") if drafted else None
    if method in (None, "none"):
        return 0.0, None, None
    place = ("workload", "speculative")
    acceptance = number(case, *place, "acceptance")
    return number(case, *place, "tokens"), acceptance, number(case, *place, "mean_accepted_length")


@cache
def priced_as() -> dict[str, str]:
    """Published engines whose own settings are not known, and the engine that each is priced as (`data/engines.csv`).

    What a source leaves open of their cache is BF16: the recipes that say otherwise are of other engines.
    """
    return {row["name"]: row["priced_as"] for row in read_table(DATA / "engines.csv")}


def _engine(name: str | None, version: str | None = None) -> str | None:
    """The engine, of its version where that is known, where its defaults, or those it is priced by, are known; None
    (the usual one of the chip's software stack) where they are not.
    """
    own = priced_as().get(name or "", name)
    for given in ([f"{name}@{version}"] if version and own == name else []) + [own]:
        try:
            engine(given)
        except InputError:
            continue
        return given
    return None


def _version(case: Row) -> str | None:
    """The engine's version, where the row states a release: that of an orchestrator's run can be the orchestrator's,
    and a build between releases counts from where its tree was cut.
    """
    found = text(case, "engine_version")
    return None if found is None or text(case, "orchestrator") is not None or "dev" in found else found


def _at_once(case: Row, requests: float | None) -> bool:
    """Whether all requests are sent at the start: so does an offline benchmark with made-up prompts of one length, and
    a loop of more clients than requests. Runs over data sets (MLPerf's) last for many thousands of samples, so that
    their ends do not count.
    """
    arrival, clients = text(case, "workload", "arrival"), _concurrency(case)
    if arrival == "closed-loop":
        return 1 < (requests or inf) <= (clients or 0.0)
    made_up = text(case, "workload", "length_distribution") == "fixed"
    return arrival == "all-at-once" or (arrival == "offline" and made_up and clients is None)


def _spread(case: Row) -> LengthSpread:
    """How lengths vary: those of a named data set of conversations about exponentially around their mean; those that a
    load generator draws evenly over 80 to 100 % of what was asked for. Of a set that is not named nothing is known.
    """
    how = text(case, "workload", "length_distribution")
    if how == "dataset":
        return "exponential" if text(case, "workload", "dataset") is not None else "fixed"
    return "uniform" if how in ("uniform", "random-ratio") else "fixed"


def _random(case: Row) -> bool:
    """Whether the prompts are random tokens: a load generator ran, and no data set is named."""
    return text(case, "workload", "dataset") is None and text(case, "workload", "arrival") is not None


def _date(case: Row) -> str | None:
    match = re.match(r"\d{4}(-\d{2})?", text(case, "date") or "")
    return match[0] if match else None
