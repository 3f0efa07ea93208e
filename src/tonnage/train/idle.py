"""Layouts that leave some ranks idle: only those that can still be faster than the best one known.

Of a count that does not divide well the best subset is used, so that more accelerators never train slower. All degrees
of the search are tried with every number of replicas that divides the batch; a lower bound of the step, which needs the
time of one layer and of the head alone, leaves few of them to be priced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Floats
from tonnage.layout import Layout
from tonnage.system import System
from tonnage.train import candidates, pieces, schedule, step
from tonnage.train.candidates import Column
from tonnage.train.evidence import UNPROVEN
from tonnage.train.job import TrainJob
from tonnage.train.layers import LayerBook
from tonnage.train.software import TrainSoftware

BLOCK = 1 << 11
"""Rows whose replicas are chosen at once, the most promising first."""
CHUNK = 1 << 14
"""Candidates that are priced at once, before the bound is drawn tighter."""


@dataclass(frozen=True)
class _Layers:
    """Combinations of the degrees that one layer depends on, and seconds of a layer and of the head by schedule.

    step: replicas must be a multiple of this, for the experts to divide.
    """

    layout: Layout
    layer: dict[int, Floats]
    head: dict[int, Floats]
    step: Column


@dataclass(frozen=True)
class _Pipes:
    """Pipelines and what can be chosen in each: one entry a (pp, schedule), with the most chunks of a rank.

    start, size: of its part of `inner`, whose columns are vpp, zero and recompute.
    """

    pp: Column
    schedule: Column
    vpp: Column
    start: Column
    size: Column
    inner: tuple[Column, Column, Column]


@dataclass(frozen=True)
class _Rows:
    """A combination, a pipeline, replicas, and a step time that it cannot beat [s]."""

    combination: Column
    pipe: Column
    dp: Column
    bound: Floats

    def sorted(self, below: float) -> _Rows:
        """Those that can be faster than a time [s], the most promising first."""
        kept = np.flatnonzero(self.bound < below)
        return self.at(kept[np.argsort(self.bound[kept], kind="stable")])

    def at(self, index: NDArray[np.int64]) -> _Rows:
        return _Rows(self.combination[index], self.pipe[index], self.dp[index], self.bound[index])


def layouts(
    job: TrainJob,
    system: System,
    fixed: Mapping[str, int],
    software: TrainSoftware,
    best: Callable[[], float],
    book: LayerBook,
) -> Iterator[Layout]:
    """Layouts of fewer ranks than the system has, in chunks, none of which is sure to be slower than `best()` [s].

    `best` is asked again before each chunk. Times are with the doubt of the schedule, as the search ranks them.
    """
    values = candidates.choices(job, system, fixed, idle=True)
    pipes = _pipes(job, fixed, values)
    if not pipes.pp.size:
        return
    layers = _layers(job, system, fixed, values, software, book)
    bounds = _Bound(job, candidates.ranks(system), layers, pipes, software)
    rows = _widest(bounds, best())
    for begin in range(0, rows.dp.size, BLOCK):
        if rows.bound[begin] >= best():
            return
        whole = _replicas(bounds, rows.at(np.arange(begin, min(begin + BLOCK, rows.dp.size))), fixed, best())
        yield from _chunks(bounds, whole, best)


def _chunks(bounds: _Bound, rows: _Rows, best: Callable[[], float]) -> Iterator[Layout]:
    """Rows with all that can be chosen in them, the most promising first, until none can be better."""
    begin = 0
    while begin < rows.dp.size:
        end = begin + max(int(np.searchsorted(np.cumsum(bounds.pipes.size[rows.pipe[begin:]]), CHUNK)), 1)
        end = begin + int(np.searchsorted(rows.bound[begin:end], best()))
        if end == begin:
            return
        yield _expanded(bounds, rows.at(np.arange(begin, end)))
        begin = end


def _expanded(bounds: _Bound, rows: _Rows) -> Layout:
    pipes, one = bounds.pipes, bounds.layers.layout
    size = pipes.size[rows.pipe]
    wide = np.repeat(np.arange(rows.dp.size), size)
    place = np.arange(wide.size) - np.repeat(np.cumsum(size) - size, size) + pipes.start[rows.pipe][wide]
    combination, pipe = rows.combination[wide], rows.pipe[wide]
    vpp, zero, recompute = (column[place] for column in pipes.inner)
    return replace(
        one.at(combination),
        dp=rows.dp[wide],
        pp=pipes.pp[pipe],
        schedule=pipes.schedule[pipe],
        vpp=vpp,
        zero=zero,
        recompute=recompute,
    )


def _pipes(job: TrainJob, fixed: Mapping[str, int], values: dict[str, Column]) -> _Pipes:
    """Every pipeline in which layers and chunks come out even enough."""
    names = ("pp", "schedule", "vpp", "zero", "recompute")
    pp, kind, vpp, zero, recompute = candidates.product([values[name] for name in names])
    keep = candidates.fits_schedule(job, Layout(pp=pp, schedule=kind, vpp=vpp))
    if "zero" not in fixed:
        keep &= (zero < 3) | (pp == 1)
    pp, kind, vpp, zero, recompute = (column[keep] for column in (pp, kind, vpp, zero, recompute))
    new = np.flatnonzero(np.diff(pp, prepend=0) | np.diff(kind, prepend=-1))
    size = np.diff(new, append=pp.size)
    chunks = np.maximum.reduceat(vpp, new) if new.size else vpp
    return _Pipes(pp[new], kind[new], chunks, new, size, (vpp, zero, recompute))


def combinations(job: TrainJob, system: System, fixed: Mapping[str, int], values: dict[str, Column]) -> Layout:
    """Every combination of the degrees that one layer depends on, those of all layouts of the search among them."""
    tp, cp, ep, etp, mbs = candidates.product([values[name] for name in ("tp", "cp", "ep", "etp", "mbs")])
    keep = (tp * cp <= candidates.ranks(system)) & (job.global_batch % mbs == 0)
    if "etp" not in fixed:
        keep &= (etp == 1) | (etp == tp)
    if not pieces.expert_count(job):
        keep &= ep == 1
    tp, cp, ep, etp, mbs = (column[keep] for column in (tp, cp, ep, etp, mbs))
    ones = np.ones_like(tp)
    return Layout(tp, ones, ones, cp, ep, etp, ones, 0 * ones, mbs, 0 * ones, 0 * ones)


def _layers(
    job: TrainJob,
    system: System,
    fixed: Mapping[str, int],
    values: dict[str, Column],
    software: TrainSoftware,
    book: LayerBook,
) -> _Layers:
    """The time of a layer in every combination, with nothing recomputed: it is longer with."""
    one = combinations(job, system, fixed, values)
    ones = np.ones_like(one.tp)
    measured = pieces.measure(job, system, one, book)
    layer, head = {}, {}
    for kind in values["schedule"].tolist():
        told = replace(measured, layout=replace(one, schedule=kind * ones))
        layer[kind], head[kind] = (np.broadcast_to(t, ones.shape) for t in step.layer_times(told, software))
    experts, attention = np.asarray(one.ep * one.etp), np.asarray(one.tp * one.cp)
    return _Layers(one, layer, head, experts // np.gcd(experts, attention))


@dataclass(frozen=True)
class _Bound:
    """What bounds the step of a row from below."""

    job: TrainJob
    total: int
    layers: _Layers
    pipes: _Pipes
    software: TrainSoftware

    def model(self, combination: Column, pipe: Column) -> Column:
        """Ranks of one replica."""
        one = self.layers.layout
        tensors: Column = np.asarray(one.tp * one.cp, dtype=np.int64)
        ranks: Column = tensors[combination] * self.pipes.pp[pipe]
        return ranks

    def most(self, combination: Column, pipe: Column) -> Column:
        """Replicas at most: by the ranks, by the batch, by the micro-batches of the schedule."""
        each = self.job.global_batch // np.asarray(self.layers.layout.mbs)[combination]
        dual = self.pipes.schedule[pipe] == schedule.DUALPIPE
        each = np.where(dual, each // (2 * self.pipes.pp[pipe]), each)
        multiple = self.layers.step[combination]
        most: Column = np.minimum(self.total // self.model(combination, pipe), each) // multiple * multiple
        return most

    def of(self, combination: Column, pipe: Column, dp: Column) -> Floats:
        """Seconds that a step of `dp` replicas, or of fewer, takes at least, with the doubt of its schedule.

        With layer l, head h, m micro-batches, the slowest of p stages holds ceil(L/p) layers and no less than a p-th of
        the work, s = max(ceil(L/p) l, (L l + h)/p); a step is m s and the bubble (L l + h - s)/v for v chunks of a
        rank at most (DualPipe: 0; half of the head), both longer by the jitter of the ranks. What data parallelism,
        transfers and recomputation add is left out. With fewer replicas m s (1 + jitter) grows, and the jitter of the
        bubble is at least that of one replica.
        """
        p, depth = self.pipes, self.job.arch.depth
        pp, kind = p.pp[pipe], p.schedule[pipe]
        layer, head = (self._chosen(table, kind, combination) for table in (self.layers.layer, self.layers.head))
        dual = kind == schedule.DUALPIPE
        whole = depth * layer + np.where(dual, 0.5, 1.0) * head
        slow = np.maximum(-(-depth // pp) * layer, whole / pp)
        plain = np.isin(kind, (schedule.F1B1, schedule.INTERLEAVED)) & (pp > 1)
        bubble = np.where(plain, (whole - slow) / p.vpp[pipe], 0.0)
        m = self.job.global_batch / (dp * np.asarray(self.layers.layout.mbs)[combination])
        ranks = self.model(combination, pipe)
        jitter = self.software.jitter
        seconds: Floats = m * slow * (1 + jitter * np.log(ranks * dp)) + bubble * (1 + jitter * np.log(ranks))
        doubtful: Floats = np.select([kind == name for name in UNPROVEN], list(UNPROVEN.values()), 0.0)
        return seconds * np.exp(doubtful)

    def _chosen(self, table: dict[int, Floats], kind: Column, combination: Column) -> Floats:
        """Each row's entry of the table of its schedule."""
        chosen: Floats = np.select([kind == one for one in table], [column[combination] for column in table.values()])
        return chosen


def _widest(bounds: _Bound, below: float) -> _Rows:
    """Every combination in every pipeline that can be faster than a time [s], with as many replicas as there may be,
    the most promising first.
    """
    combination, pipe = candidates.product([np.arange(bounds.layers.step.size), np.arange(bounds.pipes.pp.size)])
    most = bounds.most(combination, pipe)
    combination, pipe, most = (column[most >= 1] for column in (combination, pipe, most))
    bound = bounds.of(combination, pipe, most)
    return _Rows(combination, pipe, most, bound).sorted(below)


def _replicas(bounds: _Bound, rows: _Rows, fixed: Mapping[str, int], below: float) -> _Rows:
    """Rows with every number of replicas that divides batch and experts and leaves a rank idle, of those that can be
    faster than a time [s].
    """
    batch = bounds.job.global_batch
    tried = np.array([fixed["dp"]] if "dp" in fixed else candidates.divisors(batch), dtype=np.int64)
    row, which = np.nonzero(tried <= rows.dp[:, None])
    combination, pipe, dp = rows.combination[row], rows.pipe[row], tried[which]
    keep = (dp % bounds.layers.step[combination] == 0) & (bounds.model(combination, pipe) * dp < bounds.total)
    keep &= batch % (dp * np.asarray(bounds.layers.layout.mbs)[combination]) == 0
    cp = np.broadcast_to(bounds.layers.layout.cp, bounds.layers.step.shape)[combination]
    keep &= candidates.whole_groups(bounds.job, dp * cp) & ((bounds.job.shard_group or 1) <= bounds.total)
    combination, pipe, dp = (column[keep] for column in (combination, pipe, dp))
    bound = bounds.of(combination, pipe, dp)
    return _Rows(combination, pipe, dp, bound).sorted(below)
