"""Calls times what was measured: the time of a step that was counted and not run.

    t = sum over calls of count x (t_measured(shape) + FRAMEWORK x t_view)

t_measured is interpolated between the measured shapes of the operator, the format and the layout: the logarithm of
seconds over ideal seconds, weighted by the inverse square of the distance in octaves (Shepard 1968), for that ratio is
smooth where times are not:

    ideal = launch + FLOP / rate + bytes / bandwidth

with the best rate and bandwidth among the operator's own rows. What the framework does in Python for a call (modules,
dispatch, autograd's bookkeeping) is a multiple of the least call that torch knows, a view.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Floats
from tonnage.qualify.bench import Bench

FRAMEWORK = 3.8
"""Time that transformers and torch take in Python for a call, in launches of a view: fitted on `laptop.FITTED` by
`scripts/fit_framework.py` (torch 2.13, transformers 5.23, one thread; left out: 9 % in the median, 18 % at most)."""

NEAREST = 4
"""Measured shapes that speak of another."""

BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}

INSTEAD = {
    "prefill_backward": ("prefill",),
    "grouped_gemm": ("gemm",),
    "bmm": ("gemm",),
    "scatter": ("gather", "elementwise"),
    "gather": ("elementwise",),
    "norm": ("reduction", "elementwise"),
    "softmax": ("transcendental", "elementwise"),
    "transcendental": ("elementwise",),
    "reduction": ("elementwise",),
    "copy": ("elementwise",),
    "optimiser": ("elementwise",),
    "elementwise": (),
}
"""Whose rows speak where an operator has none of its own: the nearest kind of work."""


@dataclass(frozen=True)
class Measurement:
    """A bench with its seconds."""

    bench: Bench
    seconds: float


def demand(bench: Bench) -> tuple[float, float]:
    """(FLOP, bytes) of a call."""
    shape, size = bench.shape, BYTES[bench.format]
    if bench.operator == "gemm":
        m, n, k = shape
        return 2.0 * m * n * k, size * (m * k + n * k + m * n)
    if bench.operator == "bmm":
        batch, m, n, k = shape
        return 2.0 * batch * m * n * k, size * batch * (m * k + n * k + m * n)
    if bench.operator == "grouped_gemm":
        rows, experts, n, k = shape
        return 2.0 * rows * n * k, size * (rows * (n + k) + experts * n * k)
    if bench.operator in ("prefill", "prefill_backward"):
        batch, tokens, heads, width, cached = shape
        passes = 2.5 if bench.operator == "prefill_backward" else 1.0  # arXiv 2307.08691
        return passes * batch * heads * float(tokens) ** 2 * width, passes * size * batch * tokens * (
            heads * width + cached
        )
    if bench.operator == "decode":
        batch, context, heads, width, cached = shape
        return 2.0 * batch * heads * context * width, size * batch * context * cached
    if len(shape) == 2:
        return 0.0, 2.0 * size * shape[0] * shape[1]
    return 0.0, float(shape[0])


def axes(bench: Bench) -> tuple[float, ...]:
    """Octaves by which shapes are compared."""
    return tuple(float(np.log2(max(1, value))) for value in bench.shape)


class Prices:
    """What was measured, ready to price calls by."""

    def __init__(self, measured: Iterable[Measurement], framework: float = FRAMEWORK) -> None:
        tables: dict[tuple[str, str, str], list[Measurement]] = defaultdict(list)
        for one in measured:
            tables[one.bench.operator, one.bench.format, one.bench.layout].append(one)
        self.framework = framework
        self._tables = {key: _Table(rows) for key, rows in tables.items()}
        self.view = self._least("launch_view")

    def _least(self, operator: str) -> float:
        rows = [row.seconds for key, table in self._tables.items() if key[0] == operator for row in table.rows]
        return min(rows, default=0.0)

    @functools.cache  # noqa: B019 (as long-lived as the prices)
    def of(self, bench: Bench) -> float:
        """Seconds of one call; KeyError where nothing like it was measured."""
        for operator in (bench.operator, *INSTEAD.get(bench.operator, ())):
            for key in (
                (operator, bench.format, bench.layout),
                (operator, bench.format, ""),
                (operator, "fp32", bench.layout),
            ):
                table = self._tables.get(key)
                if table is not None:
                    return table.at(bench if len(bench.shape) == len(table.rows[0].bench.shape) else _flattened(bench))
        raise KeyError(bench.operator)

    def total(self, calls: Mapping[Bench, int]) -> float:
        """Seconds of all calls."""
        return sum(self.parts(calls).values())

    def parts(self, calls: Mapping[Bench, int]) -> dict[str, float]:
        """The same by operator, and `framework`."""
        found: dict[str, float] = defaultdict(float)
        for call, count in calls.items():
            found[call.operator] += count * self.of(call)
            found["framework"] += count * self.framework * self.view
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _flattened(bench: Bench) -> Bench:
    """A call as so many bytes of element-wise work."""
    return Bench("elementwise", bench.format, (max(1, round(demand(bench)[1])),))


class _Table:
    """Rows of one operator in one format and layout."""

    def __init__(self, rows: list[Measurement]) -> None:
        self.rows = rows
        need = np.array([demand(row.bench) for row in rows])
        seconds = np.array([row.seconds for row in rows])
        self.floor = float(seconds.min())
        self.rate = max(float((need[:, 0] / seconds).max()), 1.0)
        self.bandwidth = max(float((need[:, 1] / seconds).max()), 1.0)
        self.points: Floats = np.array([axes(row.bench) for row in rows])
        self.log: Floats = np.log(seconds / np.array([self._ideal(*each) for each in need]))

    def _ideal(self, flop: float, moved: float) -> float:
        return self.floor + flop / self.rate + moved / self.bandwidth

    def at(self, bench: Bench) -> float:
        """Seconds of a call of these."""
        apart = np.sqrt(((self.points - np.array(axes(bench))) ** 2).sum(axis=1))
        near = np.argsort(apart)[:NEAREST]
        weight = 1.0 / np.maximum(apart[near], 1e-3) ** 2
        ratio = float(np.exp((weight * self.log[near]).sum() / weight.sum()))
        return ratio * self._ideal(*demand(bench))
