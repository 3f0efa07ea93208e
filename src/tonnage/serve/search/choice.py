"""Which of all operating points is chosen, and which are shown beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.serve.pools import show_serving
from tonnage.serve.result import PointRow
from tonnage.serve.search.grid import Array, PointGrid, ServeSetting, frontier

KEPT = 5
"""Next best layouts that are shown."""

KINDS = 6
"""Times as many layouts that are looked at for them: several may be the same service."""

LOOKED = 2000
"""Of the points of a mode, best first, those that they are looked for among."""

NEARLY = 0.95
"""Share of the best throughput that is taken as equal where the wait for the first token is not limited: the shortest
such wait is chosen. Less than any prediction here is certain of."""

USUAL = 0.02
"""By how much a setting other than the engine's default has to be better to be chosen: what it brings is less certain
than that, and a default needs no flag (an assumption; half the smallest step of a batch grid)."""


def feasible(given: ServeSetting, grid: PointGrid) -> NDArray[np.bool_]:
    """Which points fit in memory and keep every limit."""
    job = given.job
    good = grid.most >= 1
    good = good & (grid.running <= grid.most + 1e-9)
    if job.tpot is not None and grid.mode != "prefill":
        good = good & (grid.tpot <= job.tpot)
    if grid.mode in ("aggregated", "disaggregated"):
        good = good & np.isfinite(grid.ttft)
    if job.ttft is not None and grid.mode != "decode":
        good = good & (grid.ttft <= job.ttft)
    if grid.late is not None:
        good = good & (grid.late <= 1.0)
    if job.rate is not None:
        good = good & (grid.rate >= job.rate)
    return good & np.isfinite(grid.rate)


def choose(
    given: ServeSetting, grids: tuple[PointGrid, ...]
) -> tuple[int | None, PointGrid | None, dict[str, int], int]:
    """(index, grid) of the best point over all modes; how many were tried by kind, how many kept the limits."""
    best: tuple[float, int | None, PointGrid | None] = (-np.inf, None, None)
    tried: dict[str, int] = {}
    good = 0
    for grid in grids:
        fine = feasible(given, grid)
        tried |= grid.kinds or {grid.mode: grid.candidates}
        good += int(fine.sum()) if grid.keeping is None else grid.keeping
        if fine.any():
            merit = np.where(fine, merit_of(given, grid), -np.inf)
            index = int(np.argmax(merit))
            if merit[index] > best[0]:
                best = (float(merit[index]), _soonest(given, grid, merit, index), grid)
    return best[1], best[2], tried, good


def _soonest(given: ServeSetting, grid: PointGrid, merit: Array, index: int) -> int:
    """Of two pools where no limit on ttft is asked for: of nearly the best merits the one with the lowest ttft. A pool
    that prefills serves a little more with long queues and large batches of prompts, which nobody would run. So where
    one token is all that is asked for, whose wait no time per token limits.
    """
    asked = given.job.ttft is not None and not given.job.usual_ttft
    if asked or (grid.mode != "disaggregated" and given.job.osl >= 2):
        return index
    return int(np.argmin(np.where(merit >= nearly(merit[index]), grid.ttft, np.inf)))


def nearly(best: Numbers) -> Numbers:
    """The least merit that is taken as equal to `best`, which is below zero where a time is the merit."""
    return np.where(best >= 0, NEARLY * best, best / NEARLY)


def merit_of(given: ServeSetting, grid: PointGrid) -> Array:
    """What is maximised: throughput; with a rate to carry, speed per user. Of equals the smaller instance; a chunk that
    the engine has to be told must win by `USUAL`.
    """
    small = 1e-9 * np.asarray(grid.layout.ranks, dtype=float)
    if grid.chunk is not None:
        small = small + np.where(grid.chunk == given.chunk, 0.0, USUAL)
    if given.job.rate is not None and grid.mode != "prefill":
        return -grid.tpot * (1 + small)
    return grid.rate * (1 - small)


def row_of(given: ServeSetting, point: PointGrid) -> PointRow:
    """One point in a table: layout, batch, speed."""
    prefill = None if point.prefill is None else show_serving(point.prefill, float(point.prefill_instances))
    tpot, requests = known(point.tpot), float(point.rate)
    return PointRow(
        mode=point.mode,
        layout=show_point(point),
        prefill_layout=prefill,
        running=float(point.running),
        tpot=tpot,
        ttft=known(point.ttft),
        requests=requests,
        output=requests * float(given.job.osl) / float(given.accelerators),
        user=None if tpot is None else 1.0 / tpot,
    )


def known(value: Numbers) -> float | None:
    """One number, or None where there is none."""
    return float(value) if np.isfinite(value) else None


def show_point(point: PointGrid) -> str:
    """The layout of the ranks that decode: `tp1,dp16`, or `tp1,dp16 + FFN tp1,ep16,dp16, 3 micro-batches`."""
    instances = float(point.instances)
    if point.ffn is None or point.micro_batches is None:
        return show_serving(point.layout, instances)
    m = int(point.micro_batches)
    turns = f"{m} micro-batch" + ("es" if m > 1 else "")
    own, ffn = show_serving(point.layout, instances), show_serving(point.ffn, instances)
    return f"attention {own} + FFN {ffn}, {turns}"


def frontier_of(
    given: ServeSetting, grids: tuple[PointGrid, ...], chosen: PointGrid | None = None
) -> tuple[PointRow, ...]:
    """Points that fit in memory and that no other beats in both throughput and speed per user, at most 40; and the one
    that is chosen, which another limit may keep off that edge.
    """
    rows: list[tuple[float, float, PointGrid, int]] = []
    for grid in grids:
        if grid.mode == "prefill":
            continue
        good = (grid.most >= 1) & (grid.running <= grid.most + 1e-9) & np.isfinite(grid.rate)
        if grid.mode in ("aggregated", "disaggregated"):
            good = good & np.isfinite(grid.ttft)
        fits = np.flatnonzero(good)
        edge = fits[frontier(grid.rate[fits], 1.0 / grid.tpot[fits])] if fits.size else fits
        rows += [(float(grid.rate[i]), float(1.0 / grid.tpot[i]), grid, int(i)) for i in edge]
    if not rows:
        return ()
    rates, users = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    edge = frontier(rates, users)
    step = max(1, -(-len(edge) // 39))
    shown = [*edge[:-1:step], edge[-1]]
    found = [row_of(given, rows[i][2].at(rows[i][3])) for i in shown]
    if chosen is None or chosen.mode == "prefill":
        return tuple(found)
    mine = replace(row_of(given, chosen), chosen=True)
    found = [row for row in found if replace(row, chosen=True) != mine]
    place = sum(row.requests > mine.requests for row in found)
    return (*found[:place], mine, *found[place:])


def alternatives(given: ServeSetting, grids: tuple[PointGrid, ...], chosen: PointGrid) -> tuple[PointRow, ...]:
    """The best point of each other kind that keeps the limits, best first: of each mode and layout of what decodes, for
    another prefill pool beside the same decode is the same service; so is another decode that waits for the same
    prefill pool.
    """
    rows: list[tuple[float, PointGrid]] = []
    for grid in grids:
        fine = np.flatnonzero(feasible(given, grid))
        if not fine.size:
            continue
        merit = merit_of(given, grid)
        best = fine[np.argsort(-merit[fine], kind="stable")[:LOOKED]]
        _, first = np.unique(_cut(grid)[best], axis=0, return_index=True)
        rows += [(float(merit[i]), grid.at(int(i))) for i in best[np.sort(first)[: KINDS * KEPT]]]
    mine = (chosen.mode, *_cut(chosen).ravel())
    picked = [chosen]
    for _, point in sorted(rows, key=lambda row: -row[0]):
        if len(picked) > KEPT:
            break
        waits = given.job.rate is None and any(_fed_alike(point, other) for other in picked)
        if (point.mode, *_cut(point).ravel()) != mine and not waits:
            picked.append(point)
    return tuple(row_of(given, point) for point in picked[1:])


def _fed_alike(one: PointGrid, other: PointGrid) -> bool:
    """Whether two points have the same prefill pool and serve as much: it is what limits both."""
    if one.prefill is None or other.prefill is None:
        return False
    same = np.array_equal(_degrees([one.prefill]), _degrees([other.prefill]))
    same = same and float(one.prefill_instances) == float(other.prefill_instances)
    low, high = sorted((float(one.rate), float(other.rate)))
    return same and low >= NEARLY * high


def _cut(grid: PointGrid) -> NDArray[np.int64]:
    """(point, degree): what tells one layout from another, whatever its batch."""
    return _degrees([layout for layout in (grid.layout, grid.ffn) if layout is not None])


def _degrees(layouts: list[Layout]) -> NDArray[np.int64]:
    """(point, degree) of layouts side by side."""
    degrees = [getattr(layout, name) for layout in layouts for name in ("tp", "pp", "dp", "ep", "etp", "cp")]
    return np.stack(np.broadcast_arrays(*[np.asarray(each) for each in degrees]), axis=-1)
