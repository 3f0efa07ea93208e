"""From what happened to each request to what a service is held to: percentiles, goodput, use, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.simulate.prepare import Happened
from tonnage.simulate.service import Simulated
from tonnage.simulate.workload import Real, Whole

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

TIMES = ("ttft", "tpot", "e2e", "queueing")


@dataclass(frozen=True)
class PercentileLimit:
    """A limit on a time. what: `ttft`, `tpot` or `e2e`; share: of the requests that keep it, None for the mean;
    limit [s].
    """

    what: str
    share: float | None
    limit: float

    @property
    def key(self) -> str:
        """As in the answer: `p95`, `mean`."""
        return "mean" if self.share is None else f"p{100 * self.share:g}"

    @property
    def name(self) -> str:
        """As people ask for it."""
        return f"{self.what} {self.key}"


@dataclass(frozen=True)
class ServiceFigures:
    """What a run comes to; times in seconds, None where no request has one. times: by what and percentile; goodput:
    requests/s that keep every limit, None without limits; kept: share of all; unfinished: of a run that was stopped;
    refused: of which none could ever be served, and an example; use: share of the time that replicas are at work; kv:
    mean share of the cache that is held; hit: share of the input found in it; cost [USD].
    """

    requests: int
    unfinished: int
    refused: int
    example: int | None
    duration: float
    times: Mapping[str, Mapping[str, float | None]]
    goodput: float | None
    kept: float | None
    requests_per_second: float
    output: float
    input: float
    steps: int
    preemptions: int
    use: float
    kv: float
    hit: float
    cost: float | None
    per_million: float | None
    replicas: float
    partial: bool


def each(run: Happened) -> dict[str, Real]:
    """Times of each request [s], NaN where it has none: one token has no time per token after it."""
    more = np.maximum(run.load.osl - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot = np.where(more > 0, (run.finish - run.first) / np.maximum(more, 1), np.nan)
    return {
        "ttft": run.first - run.arrival,
        "tpot": tpot,
        "e2e": run.finish - run.arrival,
        "queueing": run.start - run.arrival,
    }


def summary(values: Real) -> dict[str, float | None]:
    """Percentiles and mean."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {**dict.fromkeys(SHARES), "mean": None}
    found = np.quantile(known, list(SHARES.values()))
    return {**{name: float(value) for name, value in zip(SHARES, found, strict=True)}, "mean": float(known.mean())}


def reached(values: Real, limit: PercentileLimit) -> float:
    """What a limit is held against [s]; infinite where no request has such a time."""
    known = values[np.isfinite(values)]
    if not known.size:
        return float("inf")
    return float(known.mean() if limit.share is None else np.quantile(known, limit.share))


def by_model(run: Happened) -> tuple[Happened, ...]:
    """What happened to the requests of each model, which shared the replicas."""
    return _parted(run, run.load.model)


def by_priority(run: Happened) -> tuple[Happened, ...]:
    """What happened to the requests of each priority, those that go first before the others."""
    return _parted(run, run.load.priority)


def _parted(run: Happened, kind: Whole) -> tuple[Happened, ...]:
    kinds = np.unique(kind)
    if kinds.size < 2:
        return (run,)
    parts = []
    for one in kinds:
        index = np.flatnonzero(kind == one)
        names = ("arrival", "start", "first", "finish", "replica", "hit", "again", "refused")
        rows = {name: getattr(run, name)[index] for name in names}
        parts.append(replace(run, load=run.load.take(index), **rows))
    return tuple(parts)


def keeps(run: Happened, limits: tuple[PercentileLimit, ...]) -> bool:
    """Whether all requests are done and every limit is kept, for each model by itself; a run without one token after
    the first keeps any tpot.
    """
    return not run.partial and bool(run.done.all()) and all(_keeps(part, limits) for part in by_model(run))


def _keeps(run: Happened, limits: tuple[PercentileLimit, ...]) -> bool:
    times = each(run)
    missing = {"tpot"} if not np.isfinite(times["tpot"]).any() else set()
    return all(reached(times[one.what], one) <= one.limit for one in limits if one.what not in missing)


def good(run: Happened, limits: tuple[PercentileLimit, ...]) -> float:
    """Share of the requests that keep every limit themselves."""
    times, fine = each(run), run.done.copy()
    for one in limits:
        values = times[one.what]
        fine &= ~(values > one.limit)
    return float(fine.mean()) if fine.size else 0.0


def held_share(run: Happened, service: Simulated) -> float:
    """Mean share of the caches that requests hold, as each one's context grows from its start to its end."""
    done = run.done
    tokens = (run.load.isl + run.load.osl / 2)[done] * (run.finish - run.start)[done]
    room = service.limits.blocks * service.limits.block * float(np.sum(run.lit))
    return min(float(tokens.sum()) / room, 1.0) if room > 0 else 0.0


def figures(run: Happened, service: Simulated, limits: tuple[PercentileLimit, ...] = ()) -> ServiceFigures:
    """What a run comes to."""
    done, load = run.done, run.load
    span = max(run.duration, 1e-12)
    out = float(load.osl[done].sum())
    share = good(run, limits) if limits else None
    lit = float(run.lit.sum())
    cost = None if service.prices is None else service.prices * lit
    return ServiceFigures(
        requests=int(done.sum()),
        unfinished=int((~done & ~run.refused).sum()),
        refused=int(run.refused.sum()),
        example=int(np.flatnonzero(run.refused)[0]) if run.refused.any() else None,
        duration=run.duration,
        times={name: summary(values) for name, values in each(run).items()},
        goodput=None if share is None else share * load.size / span,
        kept=share,
        requests_per_second=float(done.sum()) / span,
        output=out / span,
        input=float(load.isl[done].sum()) / span,
        steps=int(run.steps.sum()),
        preemptions=int(run.again.sum()),
        use=min(float(run.busy.sum()) / lit, 1.0) if lit > 0 else 0.0,
        kv=held_share(run, service),
        hit=float(run.hit.sum()) / max(float(load.isl[run.start >= 0].sum()), 1.0),
        cost=cost,
        per_million=None if cost is None or out == 0 else cost / out * 1e6,
        replicas=lit / span,
        partial=run.partial,
    )


def series(run: Happened, points: int = 240) -> dict[str, Real]:
    """Over time: time [s]; arriving, done [requests/s]; waiting, running [requests]; output [tokens/s], even between a
    request's first token and its last.
    """
    begin = float(np.nanmin(run.arrival, initial=np.inf))
    if not np.isfinite(begin):
        return {name: np.zeros(0) for name in ("time", "arriving", "done", "waiting", "running", "output")}
    edges = begin + np.linspace(0, max(run.duration, 1e-9), points + 1)
    width = edges[1] - edges[0]

    def before(times: Real) -> Real:
        return np.searchsorted(np.sort(times[np.isfinite(times)]), edges).astype(float)

    came, began, ended = before(run.arrival), before(run.start), before(run.finish)
    fine = run.done & (run.load.osl > 1)
    rate = np.zeros(points + 1)
    length = np.maximum((run.finish - run.first)[fine], 1e-9)
    speed = (run.load.osl[fine] - 1) / length
    for times, sign in ((run.first[fine], 1.0), (run.finish[fine], -1.0)):
        at = np.clip(np.ceil((times - begin) / width).astype(int), 0, points)
        np.add.at(rate, at, sign * speed)
    return {
        "time": edges[:-1] - begin,
        "arriving": np.diff(came) / width,
        "done": np.diff(ended) / width,
        "waiting": (came - began)[:-1],
        "running": (began - ended)[:-1],
        "output": np.cumsum(rate)[:-1],
    }


def parse_limits(text: str, where: str) -> tuple[PercentileLimit, ...]:
    """Limits as people write them: `ttft p95 2s, tpot p95 50ms, e2e mean 30s`."""
    from tonnage import units

    found, problems = [], []
    for part in text.split(","):
        words = part.split()
        if len(words) != 3 or words[0] not in ("ttft", "tpot", "e2e"):
            problems.append(Problem(f'expected such as "ttft p95 2s", got "{part.strip()[:40]}"', where))
            continue
        share: float | None = None
        try:
            if words[1] != "mean":
                share = float(words[1].removeprefix("p")) / 100
                if not (words[1].startswith("p") and 0 < share < 1):
                    raise ValueError
        except ValueError:
            problems.append(Problem(f'expected a percentile such as p95, or mean, got "{words[1][:40]}"', where))
            continue
        try:
            limit = units.parse(words[2], "time")
            if limit <= 0:
                raise ValueError("expected more than zero")
        except ValueError as error:
            problems.append(Problem(str(error), where))
            continue
        found.append(PercentileLimit(words[0], share, limit))
    if problems:
        raise InputError(problems)
    return tuple(found)
