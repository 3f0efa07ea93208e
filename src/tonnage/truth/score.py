"""Errors and how they are summed up: one vote per source, so that a long table does not drown a short one.

The error of a prediction is exp|ln(predicted / published)| - 1: a factor of two is 100 % either way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALL = 10
"""Sources with fewer scored cases than this share one vote."""
POOL = "pooled small sources"


@dataclass(frozen=True)
class Prediction:
    """One published figure and what was predicted for it.

    published_low, published_high: the range that the source allows (equal to `published` where there is none); low,
    high: 90 % interval, None where the predictor gives none; tags: what breakdowns go by (`chip`, `family`, `engine`,
    `mode`, `kind` dense or moe, `precision`, `task`); cluster: cases that share one vote inside their group; share:
    how many cases share this one's configuration.
    """

    id: str
    group: str
    metric: str
    published: float
    predicted: float
    low: float | None = None
    high: float | None = None
    evidence: str | None = None
    outcome: str = "feasible"
    published_low: float | None = None
    published_high: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    cluster: tuple[str, ...] = ()
    share: float = 1.0

    @property
    def target(self) -> float:
        """The published figure; where it is a range, the value of the range nearest to the prediction."""
        if self.published_low is None or self.published_high is None:
            return self.published
        return min(max(self.predicted, self.published_low), self.published_high)

    @property
    def log_error(self) -> float:
        """ln(predicted / published), 0 anywhere inside a published range."""
        return float(np.log(self.predicted / self.target))

    @property
    def covered(self) -> bool | None:
        """Whether the 90 % interval holds the published figure, or touches its range; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return (
            self.low <= (self.published_high or self.published) and (self.published_low or self.published) <= self.high
        )

    def scaled(self, predicted: float) -> Prediction:
        """The same case with another prediction and no interval."""
        return replace(self, predicted=predicted, low=None, high=None)

    def to_json(self) -> dict[str, Any]:
        """Row of `rows[]`; `error` is predicted/published - 1; where the source gives a range, also the error to it."""
        row = {name: getattr(self, name) for name in ("id", "group", "metric", "published", "predicted", "low", "high")}
        row |= {"error": self.predicted / self.published - 1, "evidence": self.evidence, "outcome": self.outcome}
        if self.published_low is not None:
            row |= {"published_low": self.published_low, "published_high": self.published_high}
            row["error_to_range"] = self.predicted / self.target - 1
        return row | {"chip": self.tags.get("chip"), "kind": self.tags.get("kind")}


@dataclass(frozen=True)
class Summary:
    """Errors of a set of predictions, each source one vote.

    n: figures; groups: votes (small sources pooled); median_abs_error, p90_abs_error: of exp|ln| - 1; bias: the
    weighted mean of ln(predicted/published), as a ratio minus 1; coverage_90: share inside the 90 % interval.
    """

    n: int
    groups: int
    median_abs_error: float | None
    p90_abs_error: float | None
    bias: float | None
    coverage_90: float | None

    def to_json(self) -> dict[str, Any]:
        """Keys as above."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def abs_error(predicted: float | Floats, published: float | Floats) -> Any:
    """exp|ln(predicted / published)| - 1; broadcasts."""
    return np.expm1(np.abs(np.log(np.asarray(predicted) / published)))


def summarise(rows: Sequence[Prediction], weights: Floats | None = None) -> Summary:
    """Weighted summary of predictions; without `weights`, one vote per source."""
    if not rows:
        return Summary(0, 0, None, None, None, None)
    weight = vote(rows) if weights is None else weights
    logs = np.array([row.log_error for row in rows])
    errors = np.expm1(np.abs(logs))
    known = np.array([row.covered is not None for row in rows])
    inside = np.array([bool(row.covered) for row in rows])
    return Summary(
        n=len(rows),
        groups=len(set(pooled(rows))),
        median_abs_error=quantile(errors, weight, 0.5),
        p90_abs_error=quantile(errors, weight, 0.9),
        bias=float(np.expm1(np.average(logs, weights=weight))),
        coverage_90=float(np.average(inside[known], weights=weight[known])) if known.any() else None,
    )


def pooled(rows: Sequence[Prediction]) -> list[str]:
    """The vote that each row is part of: its group, or the pool of sources under ten cases."""
    sizes = Counter(row.group for row in rows)
    return [row.group if sizes[row.group] >= SMALL else POOL for row in rows]


BROAD = 3
"""Clusters from which a source has a whole vote."""


def vote(rows: Sequence[Prediction]) -> Floats:
    """Weight of each row, summing to 1: votes alike; inside a vote clusters alike; inside a cluster 1 / `share`.

    The pool of small sources has a whole vote from ten rows on, and a tenth of one for each row below that; a source of
    one or two clusters a third of a vote for each: however many its rows, they tell of one or two levels.
    """
    votes = pooled(rows)
    members = [(name, *row.cluster) for name, row in zip(votes, rows, strict=True)]
    inside: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for member, row in zip(members, rows, strict=True):
        inside[member] += 1 / row.share
    clusters = Counter(member[0] for member in inside)
    whole = {name: min(1.0, size / SMALL, clusters[name] / BROAD) for name, size in Counter(votes).items()}
    total = sum(whole.values())
    return np.array(
        [
            whole[member[0]] / total / clusters[member[0]] / row.share / inside[member]
            for member, row in zip(members, rows, strict=True)
        ]
    )


def quantile(values: Floats, weights: Floats, share: float) -> float:
    """Weighted quantile: each value stands at the middle of its weight, between values it is interpolated."""
    order = np.argsort(values, kind="stable")
    weight = weights[order]
    place = (np.cumsum(weight) - weight / 2) / weight.sum()
    return float(np.interp(share, place, values[order]))


def breakdown(rows: Sequence[Prediction], tag: str) -> dict[str, Summary]:
    """Summary of each value of a tag (`chip`, `family`, `engine`, `mode`, `kind`, `group`), most cases first."""
    return split(rows, lambda row: row.group if tag == "group" else row.tags.get(tag, "not given"))


def split(rows: Iterable[Prediction], key: Callable[[Prediction], str]) -> dict[str, Summary]:
    """Summary of each value of `key`, most cases first."""
    parts: dict[str, list[Prediction]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return {name: summarise(part) for name, part in sorted(parts.items(), key=lambda item: (-len(item[1]), item[0]))}


def beaten(ours: Sequence[Prediction], null: Sequence[Prediction]) -> tuple[int, int]:
    """In how many votes our median error is below the null model's, and the number of votes."""
    better, total = 0, 0
    for name in sorted(set(pooled(ours))):
        mine = [row for row, vote_of in zip(ours, pooled(ours), strict=True) if vote_of == name]
        ids = {(row.id, row.metric) for row in mine}
        other = [row for row in null if (row.id, row.metric) in ids]
        if not other:
            continue
        a, b = summarise(mine).median_abs_error, summarise(other).median_abs_error
        total += 1
        better += a is not None and b is not None and a < b
    return better, total
