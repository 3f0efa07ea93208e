"""Fit the serving constants on the published results, and print how well they predict what they have not seen.

    python scripts/fit_serve.py            fit, print, write src/tonnage/serve/data/tuning.json
    python scripts/fit_serve.py --dry      fit and print only

Data: the scored serving and silicon cases of tonnage.truth. Loss: mean absolute log error of rate, TPOT and (lightly)
TTFT, smoothed below 5 %; each source one vote, each (model, chip, engine) of a source alike. Each constant is held to a
prior (its physical starting value) by a quadratic penalty in logarithms, so that what the data do not show stays put.
Left out by source and by chip: the fit is repeated without them, and they are predicted with what is left.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.serve.as_run.deployment import Deployment
from tonnage.serve.as_run.predict import figures, grouped, prepare
from tonnage.serve.job import REUSED
from tonnage.serve.replica.points import Traffic, Wave, combine, decode_point, prefill_point
from tonnage.serve.replica.software import ADMISSION, Constants, Software, arithmetic, constants, each, kernels, looking
from tonnage.serve.replica.spread import regime
from tonnage.serve.replica.step import PassTimes
from tonnage.simulate.as_run import finite, is_finite, sent
from tonnage.truth import predict_serving
from tonnage.truth.evaluate import bundled
from tonnage.truth.score import Prediction, quantile, summarise, vote
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT
from tonnage.truth.shapes import Library

OUT = Path(__file__).parents[1] / "src/tonnage/serve/data/tuning.json"
METRICS = {RATE: 1.0, TPOT: 1.0, INPUT_RATE: 0.3, TTFT: 0.4}
FIELD = {RATE: "output_rate", TPOT: "tpot", INPUT_RATE: "input_rate", TTFT: "ttft"}
SMOOTH = 0.05
STRENGTH = 0.003
SMALL = "small sources"
SEEN = 10
"""Scored figures from which a chip counts as one whose services are known; below, its doubt is that of unseen chips."""

STEP = 1e-6
"""Step of a slope, in units of a constant's sigma."""

Costs = Callable[[np.ndarray], np.ndarray]
"""Costs of all figures at a point of the search."""

CROWDING = {"bf16": (0.0, 0.3), "fp8": (0.0, 0.3), "fp4": (0.0, 0.3), "upcast": (1.0, 1.5)}

REQUEST = ("isl", "osl", "hit", "drafts", "accepted", "context")
LOADS = (
    *("pp", "pp_ahead", "dp", "running", "chunk", "mixed", "population", "most", "arrival", "replicas"),
    *("accelerators", "servers", "ttft", "limit", "wave", "rounds", "equal"),
)

BEYOND = 0.5
"""Cost of being faster than a pass mark over that of being slower. A mark of Ascend's tests is what an earlier run
reached, and the test passes from 0.95 to 0.98 of it on, so that it bounds what is reached from below; by how much it is
passed is not published (an assumption, 0 to 1: docs/lab.md has what each does)."""

WAITS = ("polls", "admission", "launch")
"""Constants of an engine that a first token feels most (polls: also how full a step with prefill is; launch: also how
long it is)."""

POLLS = 2.0
"""Where the search for the steps that a request waits for a look of the scheduler starts: one step is scheduled while
another runs. What a recipe says of its own comes on top (`looking`)."""

TOLD = {"sglang": 0.5}
"""How far that is let go for an engine that says how often it looks: at each step, unless it was told."""

ENGINES = ("vllm", "sglang", "trtllm", "atom", "vllm-ascend")


@dataclass(frozen=True)
class Knob:
    """One constant: where it stands, its starting value, and how far (log-sigma, or plainly) it is let go."""

    place: tuple[str, ...]
    start: float
    sigma: float
    log: bool = True
    low: float = 0.0
    high: float = np.inf


def knobs() -> tuple[Knob, ...]:
    """All constants."""
    shared = [
        Knob(("shared", "gemm"), 1.0, 0.05),
        Knob(("shared", "experts"), 1.0, 0.1),
        Knob(("shared", "attention"), 1.0, 0.1),
        Knob(("shared", "pointwise"), 1.0, 0.2),
        Knob(("shared", "reduce"), 1.0, 0.2),
        Knob(("shared", "exchange"), 1.0, 0.2),
        Knob(("shared", "together"), 1.0, 0.2, False, 0.0, 1.0),
        *(Knob(("crowding", kind), start, sigma, False, 0.0, 5.0) for kind, (start, sigma) in CROWDING.items()),
        Knob(("shared", "overlap"), 0.4, 0.2, False, 0.0, 0.95),
        Knob(("shared", "kernel"), 1e-7, 2e-7, False, 0.0, 5e-6),
        Knob(("shared", "widened"), 0.5, 0.3, False, 0.0, 3.0),
        Knob(("shared", "acceptance"), 0.6, 0.1, False, 0.3, 0.95),
    ]
    engines = [
        knob
        for name in ENGINES
        for knob in (
            Knob(("engine", name, "host"), 5e-4, 0.5),
            Knob(("engine", name, "sequence"), 6e-6, 0.5),
            Knob(("engine", name, "interference"), 1.0, 0.1),
            Knob(("engine", name, "polls"), POLLS, TOLD.get(name, 1.0)),
            Knob(("engine", name, "launch"), 1e-4, 0.5),
            Knob(("engine", name, "admission"), 0.02, 0.5),
            Knob(("engine", name, "front"), 5e-3, 0.5),
            Knob(("engine", name, "stream"), 3e-5, 0.5),
            Knob(("engine", name, "untuned"), 1.1, 0.1),
        )
    ]
    vendors = [
        Knob(("vendor", "NVIDIA"), 1.0, 0.3),
        Knob(("vendor", "AMD"), 1.15, 0.1),
        Knob(("vendor", "Huawei"), 2.0, 0.2),
        Knob(("vendor", "Huawei.cloudmatrix-infer"), 1.15, 0.2),
        Knob(("vendor", "Huawei.sglang"), 1.5, 0.2),
        Knob(("vendor", "Google"), 1.0, 0.1),
        Knob(("kernels", "amd.cdna3.w4a16"), 5.0, 0.3),
        Knob(("kernels", "amd.cdna4.w4a16"), 2.5, 0.3),
        Knob(("kernels", "amd.cdna3.fp8"), 1.5, 0.3),
    ]
    return (*shared, *engines, *vendors)


def build(values: Sequence[float], all_knobs: Sequence[Knob], base: Constants) -> Constants:
    """Constants with these values of the knobs."""
    held: dict[str, Any] = {"shared": dict(base.shared), "vendor": dict(base.vendor), "kernels": dict(base.kernels)}
    held["crowding"] = dict(base.crowding)
    engine = {name: dict(base.engine[name]) for name in ENGINES}
    for knob, value in zip(all_knobs, values, strict=True):
        if knob.place[0] == "engine":
            engine[knob.place[1]][knob.place[2]] = float(value)
        else:
            held[knob.place[0]][knob.place[1]] = float(value)
    engine["cloudmatrix-infer"] = dict(engine["vllm-ascend"])
    return replace(base, engine=engine, **held)


def unpack(x: np.ndarray, all_knobs: Sequence[Knob]) -> list[float]:
    """Search variables (in units of each knob's sigma, 0 at its start) to values."""
    found = []
    for value, knob in zip(x, all_knobs, strict=True):
        moved = knob.start * np.exp(value * knob.sigma) if knob.log else knob.start + value * knob.sigma
        found.append(float(np.clip(moved, knob.low, knob.high)))
    return found


@dataclass(frozen=True)
class Flat:
    """All cases as arrays, with what their steps are spent on at the load they ran."""

    mode: np.ndarray
    engine: np.ndarray
    vendor: np.ndarray
    immature: np.ndarray
    arithmetic: np.ndarray
    traffic: Traffic
    unknown_acceptance: np.ndarray
    pp: np.ndarray
    pp_ahead: np.ndarray
    dp: np.ndarray
    running: np.ndarray
    chunk: np.ndarray
    mixed: np.ndarray
    decode: PassTimes
    both: PassTimes
    first: PassTimes
    population: np.ndarray
    most: np.ndarray
    arrival: np.ndarray
    replicas: np.ndarray
    accelerators: np.ndarray
    servers: np.ndarray
    ttft: np.ndarray
    limit: np.ndarray
    wave: np.ndarray
    rounds: np.ndarray
    equal: np.ndarray
    untouched: np.ndarray
    launched: np.ndarray
    looks: np.ndarray
    online: np.ndarray
    finite: np.ndarray
    finite_tpot: np.ndarray


def flatten(cases: Sequence[Deployment], fitted: Constants) -> Flat:
    """Evaluate all cases once; their steps stay as they are while the constants move a little."""
    n = len(cases)
    names = [f.name for f in fields(PassTimes)]
    store = {key: np.zeros(n) for key in (*LOADS, *REQUEST)}
    decode, both, wave = ({name: np.zeros(n) for name in names} for _ in range(3))
    mode, engine, vendor, immature, formats = (np.empty(n, dtype=object) for _ in range(5))
    unknown, launched = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for indices in grouped(cases).values():
        group = prepare([cases[i] for i in indices], fitted)
        found = figures(group)
        at = np.array(indices)
        put(store, at, group, found)
        for name in names:
            if found.prefill is not None:
                decode[name][at] = both[name][at] = getattr(found.prefill.spent, name)
            elif found.decode is not None:
                both[name][at] = getattr(found.decode.mixed, name)
            if found.decode is not None:
                decode[name][at] = getattr(found.decode.decode, name)
            if found.decode is not None and found.decode.wave is not None:
                wave[name][at] = getattr(found.decode.wave.spent, name)
        for i, one, case in zip(indices, group.engines, group.cases, strict=True):
            mode[i], engine[i], vendor[i] = case.mode, one.name, case.accelerator.vendor
            launched[i] = one.launched
            immature[i] = kernels(group.service.die, group.service.precision)
            formats[i] = arithmetic(group.service.die, group.service.precision)
            unknown[i] = case.random and case.drafts != 0 and case.accepted is None and case.acceptance is None
            unknown[i] = unknown[i] and case.arch.mtp is not None
    whole = runs(cases, fitted)
    requests: dict[str, Any] = {key: store[key] for key in REQUEST}
    loads: dict[str, Any] = {key: store[key] for key in LOADS}
    return Flat(
        mode=mode,
        engine=engine,
        vendor=vendor,
        immature=immature,
        arithmetic=formats,
        traffic=Traffic(**requests),
        unknown_acceptance=unknown,
        decode=PassTimes(**decode),
        both=PassTimes(**both),
        first=PassTimes(**wave),
        untouched=np.array([case.stack == "default" for case in cases]),
        launched=launched,
        looks=np.array([np.nan if case.looks is None else float(case.looks) for case in cases]),
        online=whole[0],
        finite=whole[1],
        finite_tpot=whole[2],
        **loads,
    )


def runs(cases: Sequence[Deployment], fitted: Constants) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(1 for runs whose requests are sent to a server at once; rate and TPOT of finite runs over the steady state's).

    The two ratios are what ramp and tail make of a run; like the steps they stay while the constants move a little. The
    time of the process before the engine is not in them.
    """
    size, online, rate, tpot = (np.full(len(cases), start) for start in (0.0, 0.0, 1.0, 1.0))
    for i, case in enumerate(cases):
        if is_finite(case):
            steady, run = figures(prepare([case], fitted)), finite(case, fitted)
            size[i], online[i] = sent(case), float(run.front > 0)
            rate[i] = size[i] / (run.duration - run.front) / float(np.ravel(steady.rate)[0])
            tpot[i] = run.tpot / float(np.ravel(steady.tpot)[0])
    return online, rate, np.where(np.isfinite(tpot), tpot, 1.0)


def put(store: dict[str, np.ndarray], at: np.ndarray, group: Any, found: Any) -> None:
    """The arrays of one group into those of all."""
    traffic, point = group.traffic, found.decode
    for key in REQUEST:
        store[key][at] = getattr(traffic, key)
    store["pp"][at] = group.layout.pp
    store["dp"][at] = group.layout.dp
    store["mixed"][at] = [float(one.mixed) for one in group.engines]
    store["most"][at] = found.most
    store["replicas"][at] = group.replicas
    store["accelerators"][at] = group.accelerators
    store["ttft"][at] = found.ttft
    store["limit"][at] = [float(one.chunk) for one in group.engines]
    store["rounds"][at] = traffic.rounds
    store["equal"][at] = traffic.equal
    if point is not None and point.wave is not None:
        store["wave"][at] = point.wave.tokens
    population = [
        (c.concurrency / r if c.concurrency is not None else np.inf)
        for c, r in zip(group.cases, group.replicas, strict=True)
    ]
    store["population"][at] = population
    store["arrival"][at] = [(c.rate or np.nan) / r for c, r in zip(group.cases, group.replicas, strict=True)]
    if point is not None:
        store["running"][at] = point.running
        store["chunk"][at] = point.chunk
    if found.prefill is not None:
        store["chunk"][at] = found.prefill.chunk
        store["pp_ahead"][at] = (group.prefill or group.layout).pp
        if group.prefill is not None:
            store["servers"][at] = group.prefill_replicas / group.replicas


def spread_out(values: Constants, flat: Flat) -> Software:
    """The tuning of each case; one whose requests arrive by themselves is asked as `serve.tuning.independent` says."""
    named = (flat.engine.tolist(), flat.vendor.tolist(), flat.immature.tolist(), flat.arithmetic.tolist())
    told = (flat.untouched.tolist(), flat.launched.tolist())
    tuned = looking(each(values, *named, *told), flat.looks)
    alone = np.isfinite(flat.arrival)
    polls, admission = np.where(alone, 0.0, tuned.polls), np.where(alone, ADMISSION, tuned.admission)
    return replace(tuned, polls=polls, admission=admission)


def speeds(values: Constants, flat: Flat) -> dict[str, np.ndarray]:
    """Rate, TPOT and TTFT of all cases with their steps held fixed."""
    tuning = spread_out(values, flat)
    a, k = values.shared["acceptance"], np.asarray(flat.traffic.drafts, dtype=float)
    most = int(np.max(k, initial=0.0))
    guess = np.ones(k.shape)
    for i in range(1, most + 1):
        guess = guess + np.where(k >= i, a**i * REUSED ** (i * (i - 1) / 2), 0.0)
    accepted = np.where(flat.unknown_acceptance, guess, flat.traffic.accepted)
    traffic = replace(flat.traffic, accepted=accepted, rounds=flat.rounds, equal=flat.equal)
    chunk = np.maximum(flat.chunk, 1.0)
    layout, limit = Layout(pp=flat.pp, dp=flat.dp), np.maximum(flat.limit, 1.0)
    wave = Wave(np.maximum(flat.wave, 1.0), flat.first)
    point = combine(tuning, traffic, layout, flat.running, chunk, flat.mixed, flat.decode, flat.both, limit, wave)
    alone = decode_point(tuning, traffic, flat.running, flat.decode)
    ahead = prefill_point(tuning, traffic, np.maximum(flat.pp_ahead, 1), chunk, flat.both)
    whole = flat.mode == "aggregated"
    step = np.where(whole, point.step, alone.step)
    steps = traffic.steps
    little = flat.population / (point.ttft + steps * point.step)
    free = np.where(flat.population > flat.most, point.rate, little)
    together = np.where(np.isfinite(flat.population), free, point.rate)
    together = np.where(np.isfinite(flat.arrival), np.minimum(flat.arrival, point.rate), together)
    waits = np.where(np.isfinite(flat.ttft), flat.ttft, 0.0)
    pools = np.minimum(ahead.capacity * flat.servers, flat.population / (waits + steps * alone.step))
    rate = np.select(
        [whole, flat.mode == "decode", flat.mode == "prefill"], [together, alone.rate, ahead.capacity], pools
    )
    over = (flat.population > flat.most) & np.isfinite(flat.population)
    queued = np.maximum(point.ttft, flat.population / np.maximum(together, 1e-9) - steps * point.step)
    each_ = 1.0 / np.maximum(rate * flat.replicas * flat.finite, 1e-12) + flat.online * np.asarray(tuning.front)
    rate = 1.0 / each_ / flat.replicas
    per = rate * flat.replicas / flat.accelerators
    return {
        RATE: per * traffic.osl,
        INPUT_RATE: per * traffic.isl,
        TPOT: step / accepted * flat.finite_tpot,
        TTFT: np.where(over, queued, point.ttft),
    }


@dataclass(frozen=True)
class Target:
    """One published figure: which case, which metric, its logarithm, its weight, its source and chip; mark: whether it
    is what a test wants at least.
    """

    case: np.ndarray
    metric: np.ndarray
    log: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    chip: np.ndarray
    mark: np.ndarray


def targets(ready: Sequence[Any]) -> tuple[Target, list[Prediction]]:
    """All scored figures; rates of prefill pools count as input rates, others as output rates."""
    rows = [(i, one.figure) for i, each in enumerate(ready) for one in each.anchored]
    rows = [(i, f) for i, f in rows if f.metric != INPUT_RATE or ready[i].case.mode == "prefill"]
    weight = np.zeros(len(rows))
    for metric, share in METRICS.items():
        index = [j for j, (_, f) in enumerate(rows) if f.metric == metric]
        if index:
            weight[index] = share * vote([rows[j][1] for j in index])
    found = Target(
        case=np.array([i for i, _ in rows]),
        metric=np.array([f.metric for _, f in rows], dtype=object),
        log=np.log([f.published for _, f in rows]),
        weight=weight,
        group=np.array([f.group for _, f in rows], dtype=object),
        chip=np.array([f.tags["chip"] for _, f in rows], dtype=object),
        mark=np.array([f.tags["figure"] == "pass mark" for _, f in rows]),
    )
    return found, [f for _, f in rows]


def errors(values: Constants, flat: Flat, aim: Target) -> np.ndarray:
    """ln(predicted / published) of every figure."""
    found = speeds(values, flat)
    out = np.empty(aim.case.size)
    for metric, array in found.items():
        at = aim.metric == metric
        out[at] = np.log(np.maximum(array[aim.case[at]], 1e-12)) - aim.log[at]
    return out


def cost(error: np.ndarray, aim: Target) -> np.ndarray:
    """What errors cost: beyond a mark that a test wants at least (faster), a part; their size else."""
    faster = np.where(aim.metric == TPOT, error < 0, error > 0) & (aim.metric != TTFT)
    return np.asarray(np.abs(error) * np.where(aim.mark & faster, BEYOND, 1.0))


def reach(flat: Flat, aim: Target, base: Constants) -> np.ndarray:
    """Which figures each constant can move, by constant."""
    every, start = knobs(), np.zeros(len(knobs()))
    usual = errors(build(unpack(start, every), every, base), flat, aim)
    found = np.zeros((len(every), aim.case.size), dtype=bool)
    for j in range(len(every)):
        moved = start.copy()
        moved[j] = 0.5
        found[j] = errors(build(unpack(moved, every), every, base), flat, aim) != usual
    return found


def slopes(each_cost: Costs, z: np.ndarray, here: np.ndarray, which: np.ndarray, touched: np.ndarray) -> np.ndarray:
    """Slope of the cost along each constant: constants that move no figure together are moved in one evaluation."""
    out, left = np.zeros(z.size), list(which)
    while left:
        together, busy = [], np.zeros(here.size, dtype=bool)
        for j in left:
            if not (busy & touched[j]).any():
                together.append(j)
                busy |= touched[j]
        moved = z.copy()
        moved[together] += STEP
        change = (each_cost(moved) - here) / STEP
        for j in together:
            out[j] = change[touched[j]].sum()
        left = [j for j in left if j not in together]
    return out


def fit(
    flat: Flat, aim: Target, keep: np.ndarray, base: Constants, start: np.ndarray | None, iterations: int = 60
) -> tuple[Constants, np.ndarray]:
    """Constants that predict the kept figures best: those of speed first, then those that only a first token feels."""
    every = knobs()
    x = np.zeros(len(every)) if start is None else start.copy()
    waits = np.array([knob.place[-1] in WAITS for knob in every])
    touched = reach(flat, aim, base)
    for free, figures_ in ((~waits, aim.metric != TTFT), (waits, aim.metric == TTFT)):
        weight = np.where(keep & figures_, aim.weight, 0.0)
        weight = weight / weight.sum()

        def each_cost(z: np.ndarray, weight: np.ndarray = weight) -> np.ndarray:
            error = errors(build(unpack(z, every), every, base), flat, aim)
            return np.asarray(weight * (np.sqrt(np.minimum(cost(error, aim), 2.0) ** 2 + SMOOTH**2) - SMOOTH))

        def loss(y: np.ndarray, free: np.ndarray = free, each_cost: Costs = each_cost) -> tuple[float, np.ndarray]:
            z = x.copy()
            z[free] = y
            here = each_cost(z)
            slope = slopes(each_cost, z, here, np.flatnonzero(free), touched)[free]
            return float(here.sum() + STRENGTH * (y**2).sum()), slope + 2 * STRENGTH * y

        bounds = [(-3.0, 3.0)] * int(free.sum())
        found = minimize(loss, x[free], method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": iterations})
        x[free] = found.x
    return build(unpack(x, every), every, base), x


def report(title: str, error: np.ndarray, aim: Target, rows: Sequence[Prediction]) -> None:
    """Weighted summaries of a set of errors, by metric."""
    parts = []
    for metric in METRICS:
        at = np.flatnonzero((aim.metric == metric) & np.isfinite(error)).tolist()
        s = summarise([rows[i].scaled(rows[i].published * float(np.exp(error[i]))) for i in at])
        if s.median_abs_error is not None and s.p90_abs_error is not None:
            middle, far = 100 * s.median_abs_error, 100 * s.p90_abs_error
            parts.append(f"{metric[:9]} {middle:5.1f} / {far:5.1f} ({s.bias:+.0%}) n {s.n}")
    print(f"{title:28}", " | ".join(parts), flush=True)


def folds_of(aim: Target) -> np.ndarray:
    """The source of each figure; those with few figures are left out together, which is stricter."""
    sizes = Counter(aim.group)
    return np.array([name if sizes[name] >= 30 else SMALL for name in aim.group], dtype=object)


def left_out(
    flat: Flat, aim: Target, base: Constants, by: np.ndarray, iterations: int = 40
) -> tuple[np.ndarray, dict[str, Constants]]:
    """Errors of every figure with its source (or chip) in no fit, and the constants of each fold."""
    out = np.full(aim.case.size, np.nan)
    folds = {}
    for name in sorted(set(by) - {""}):
        held = by == name
        values, _ = fit(flat, aim, ~held, base, None, iterations)
        out[held] = errors(values, flat, aim)[held]
        folds[str(name)] = values
    return out, folds


def main() -> None:
    """Fit, cross-validate, print, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dry", action="store_true")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--no-folds", action="store_true")
    options.add_argument("--no-chips", action="store_true")
    options.add_argument("--quick", type=int, default=20, help="iterations of a fit without a chip or a kind")
    options.add_argument("--strength", type=float, default=STRENGTH)
    options.add_argument("--beyond", type=float, default=BEYOND)
    given = options.parse_args()
    globals()["STRENGTH"], globals()["BEYOND"] = given.strength, given.beyond
    ready = predict_serving.prepare(bundled("serve"), Library(catalog.load()), Counter())
    cases = [one.case for one in ready]
    aim, rows = targets(ready)
    base, start = constants(), np.zeros(len(knobs()))
    base = replace(base, chips=tuple(sorted(name for name, many in Counter(aim.chip).items() if many >= SEEN)))
    began = time.time()
    for round_ in range(given.rounds):
        flat = flatten(cases, base)
        report(f"round {round_} before", errors(base, flat, aim), aim, rows)
        base, start = fit(flat, aim, np.ones(aim.case.size, dtype=bool), base, start)
        report(f"round {round_} after", errors(base, flat, aim), aim, rows)
        print(f"  {time.time() - began:.0f} s", flush=True)
    for knob, value in zip(knobs(), unpack(start, knobs()), strict=True):
        print("  ", ".".join(knob.place), f"{value:.4g}", f"(start {knob.start:g})")
    if not given.no_folds:
        error, kept = left_out(flat, aim, base, folds_of(aim))
        report("source left out", error, aim, rows)
        kept_kinds: dict[str, dict[str, Constants]] = {}
        worst = np.abs(error)
        apart_kind: dict[str, np.ndarray] = {}
        for kind, by in kinds_of(aim, cases).items():
            apart_kind[kind], kept_kinds[kind] = left_out(flat, aim, base, by, given.quick)
            report(f"{kind} left out", apart_kind[kind], aim, rows)
            worst = np.fmax(worst, np.abs(apart_kind[kind]))
            print(f"  {time.time() - began:.0f} s", flush=True)
        widths = spreads(worst, aim, cases, rows)
        tiers(widths, "untouched", apart_kind["stack"], aim, rows)
        rest, levels = level_known(error, aim, cases)
        report("anchored, rest of sweep", rest, aim, rows)
        base = replace(base, spread=widths, anchored=spreads(rest, aim, cases, rows))
        print("  anchored clusters:", levels)
        sources = {name: kept[fold] for name, fold in zip(aim.group, folds_of(aim), strict=True)}
        chips: dict[str, Constants] = {}
        if not given.no_chips:
            apart, chips = left_out(flat, aim, base, aim.chip, given.quick)
            report("chip left out", apart, aim, rows)
            tiers(widths, "unseen", apart, aim, rows)
        print(json.dumps(widths, indent=1))
        if not given.dry:
            write_folds({"source": sources, "chip": chips, **kept_kinds}, base)
        for name in sorted(set(aim.group)):
            report(f"  {name}", np.where(aim.group == name, error, np.nan), aim, rows)
    if not given.dry:
        write(base)


def spreads(error: np.ndarray, aim: Target, cases: Sequence[Deployment], rows: Sequence[Prediction]) -> dict[str, Any]:
    """Per metric and regime, the log-spread whose 1.645-fold holds 90 % of the errors, each source one vote."""
    out: dict[str, Any] = {}
    for name, metrics in (("rate", (RATE, INPUT_RATE)), ("tpot", (TPOT,)), ("ttft", (TTFT,))):
        found: dict[str, list[int]] = defaultdict(list)
        for i in np.flatnonzero(np.isin(aim.metric, metrics) & np.isfinite(error)).tolist():
            case = cases[aim.case[i]]
            drafts = case.drafts is None or (case.drafts > 0 and case.accepted is None)
            for key in regime(case.accelerator, case.mode, drafts):
                found[key].append(i)
        out[name] = {
            key: round_to(quantile(np.abs(error[at]), vote([rows[i] for i in at]), 0.9) / 1.645)
            for key, at in sorted(found.items())
            if len(at) >= 15 or key == "all"
        }
    return out


def tiers(
    widths: dict[str, dict[str, float]], tier: str, error: np.ndarray, aim: Target, rows: Sequence[Prediction]
) -> None:
    """Adds the log-spread of a tier: that whose 1.645-fold holds 90 % of the errors with the whole kind left out."""
    for name, metrics in (("rate", (RATE, INPUT_RATE)), ("tpot", (TPOT,)), ("ttft", (TTFT,))):
        at = np.flatnonzero(np.isin(aim.metric, metrics) & np.isfinite(error)).tolist()
        if len(at) >= 15:
            widths[name][tier] = round_to(quantile(np.abs(error[at]), vote([rows[i] for i in at]), 0.9) / 1.645)


def level_known(error: np.ndarray, aim: Target, cases: Sequence[Deployment]) -> tuple[np.ndarray, int]:
    """Errors of the rest of each sweep once three of its points are known (the least, the middle and the most loaded).

    A sweep is what one source measured of one model, engine, chip, format and mode; the three give one level, as
    `tonnage serve --anchor` takes it.
    """
    out = np.full(error.size, np.nan)
    sweeps: dict[Any, list[int]] = defaultdict(list)
    for i in np.flatnonzero(np.isfinite(error)).tolist():
        case = cases[aim.case[i]]
        run = (case.arch.name, case.engine, case.accelerator.name, case.weights, case.mode, case.drafts == 0)
        sweeps[aim.group[i], aim.metric[i], *run].append(i)
    used = 0
    for at in sweeps.values():
        if len(at) < 5:
            continue
        used += 1
        order = sorted(at, key=lambda i: cases[int(aim.case[i])].concurrency or 0.0)
        known = [order[0], order[len(order) // 2], order[-1]]
        left = [i for i in order if i not in known]
        out[left] = error[left] - np.median(error[known])
    return out, used


def kinds_of(aim: Target, cases: Sequence[Deployment]) -> dict[str, np.ndarray]:
    """Whole kinds of runs, each to be left out at once: default stacks, all of an engine, all of a year."""
    of = [cases[i] for i in aim.case]
    stacks = np.array(["default" if case.stack == "default" else "" for case in of], dtype=object)
    engines = np.array([(case.engine or "").partition("@")[0] for case in of], dtype=object)
    years = np.array([(case.date or "")[:4] for case in of], dtype=object)
    return {"stack": stacks, "engine": engines, "year": years}


def write_folds(kept: dict[str, dict[str, Constants]], shipped: Constants) -> None:
    """Constants of each fold, so that anybody can see what is predicted without a source or a chip."""
    held = {
        kind: {
            name: body(replace(values, spread=shipped.spread, anchored=shipped.anchored))
            for name, values in found.items()
        }
        for kind, found in kept.items()
    }
    (OUT.parent / "folds.json").write_text(json.dumps(held) + "\n", encoding="utf-8")


def write(values: Constants) -> None:
    """The constants as they are shipped."""
    OUT.write_text(json.dumps(body(values), indent=1) + "\n", encoding="utf-8")


def body(values: Constants) -> dict[str, Any]:
    """Constants as JSON."""
    return {
        "shared": {k: round_to(v) for k, v in values.shared.items()},
        "engine": {e: {k: round_to(v) for k, v in c.items()} for e, c in values.engine.items()},
        "vendor": {k: round_to(v) for k, v in values.vendor.items()},
        "kernels": {k: round_to(v) for k, v in values.kernels.items()},
        "crowding": {k: round_to(v) for k, v in values.crowding.items()},
        "spread": values.spread,
        "anchored": values.anchored,
        "source": "scripts/fit_serve.py on the scored serving and silicon cases",
        "chips": list(values.chips),
    }


def round_to(value: float) -> float:
    """Three digits."""
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
