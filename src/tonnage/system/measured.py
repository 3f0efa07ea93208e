"""What was measured on a chip, as a correction of the cost models: measured over modelled time, by shape.

The logarithm of that ratio is smooth where times are not, so it is interpolated (multilinear in the logarithms of the
shape), and beyond the shapes measured it falls to nothing: what is left is the model, never an extrapolated table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Flags, Floats, Ints, Numbers
from tonnage.system.accelerator import Accelerator
from tonnage.system.calibration import calibration
from tonnage.system.collectives import Collective, reach
from tonnage.system.operators import SPLIT, Work, touched
from tonnage.system.precision import Precision
from tonnage.system.samples import Samples, possible

SLOWER = 1.5
"""How much longer than a larger shape of the same kind a row may take; beyond, it is a bad kernel or a disturbed
run, for padding the work would be faster."""

LARGEST_FACTOR = 20.0
"""Measured over modelled time beyond which a row is not believed, either way."""

EACH, EXACT, FINE, COARSE = 1 / 64, 0.125, 0.25, 0.5
"""Octaves that fall on one node of an axis."""

FAR, SAME = 2.0, 0.25
"""Octaves beyond a node in which its ratio fades: along sizes, and along what makes another kernel (head sizes)."""


FILLED = 2
"""How often holes of a table are filled from what lies around them."""


@dataclass(frozen=True)
class Axis:
    """One coordinate of a table: octaves that share a node, and octaves in which the ratio fades beyond."""

    step: float
    fade: float = FAR


AXES: dict[str, tuple[Axis, ...]] = {
    "gemm": (Axis(EACH), Axis(EXACT), Axis(EXACT)),
    "grouped_gemm": (Axis(COARSE), Axis(COARSE), Axis(EXACT), Axis(EXACT)),
    "prefill": (Axis(COARSE), Axis(FINE), Axis(EXACT, SAME)),
    "decode": (Axis(COARSE), Axis(FINE), Axis(COARSE), Axis(EXACT, SAME)),
    "all_reduce": (Axis(FINE), Axis(EXACT)),
    "all_to_all": (Axis(FINE), Axis(EXACT), Axis(EXACT, SAME)),
}
"""Axes of each table, the amount of like work first.

gemm: m, n, k; grouped_gemm: rows of a touched expert, touched experts, n, k; prefill: prompts x heads, mean keys,
width; decode: sequences x KV heads, keys, query rows that share a KV head, width; all_reduce: payload, ranks;
all_to_all: payload, ranks, copies.
"""


@dataclass(frozen=True)
class Place:
    """Where work stands in a table. key: class and format; shape: its coordinates; here: whether it belongs there;
    otherwise: the table that speaks where there is none of that key.
    """

    key: str
    shape: tuple[Numbers | Ints, ...]
    here: Flags = True
    otherwise: str = ""


def places(
    work: Work | Collective, precision: Precision, accelerator: Accelerator, fused: bool = False
) -> tuple[Place, ...]:
    """Where an operator or collective is looked up; nothing for what is never measured."""
    if isinstance(work, Collective):
        return _of_collective(work, accelerator, fused)
    if work.kind == "gemm":
        forward = f"gemm.{_format(precision, work.part)}"
        key = forward if work.direction == "forward" else f"{forward}.{work.direction}"
        return (Place(key, (work.m, work.n, work.k), otherwise=forward),)
    if work.kind == "grouped_gemm":
        active = np.maximum(touched(work.groups, work.top_k, work.m), 1e-9)
        shape = (work.m * work.top_k / active, active, work.n, work.k)
        return (Place(f"grouped_gemm.{_format(precision, work.part)}", shape),)
    if work.kind == "attention" and work.direction == "forward":
        return _of_attention(work, precision)
    return ()


def _format(precision: Precision, part: str) -> str:
    """Format of the weights of a part, both of 16 bit as one."""
    name = precision.weights(part).name
    return "bf16" if name == "fp16" else name


def _of_attention(work: Work, precision: Precision) -> tuple[Place, ...]:
    """Where attention is looked up: as a prefill and as a decode, of which one is here."""
    read = np.asarray(work.cache_read, dtype=float)
    rows = work.flop / np.maximum(2.0 * read, 1e-9)
    keys = np.maximum(work.n, 1e-9)
    alone = work.m / (2.0 * keys) * work.groups
    split = read / np.maximum(keys * work.k, 1e-9)
    return (
        Place(f"prefill.{precision.attention}", (alone, keys, work.k), rows >= SPLIT),
        Place(f"decode.{precision.cache}", (split, keys, rows, work.k), rows < SPLIT),
    )


def _of_collective(work: Collective, accelerator: Accelerator, fused: bool) -> tuple[Place, ...]:
    """Where a collective is looked up: reductions inside one domain, all-to-all by its kernels."""
    _, domains = reach(work, accelerator)
    if work.kind == "all_reduce":
        key = "all_reduce.fused" if fused else "all_reduce.library"
        return (Place(key, (work.payload, work.size), domains == 1),)
    if work.kind == "all_to_all":
        mode = "forwarded" if work.forwarding else "direct"
        return (Place(f"all_to_all.{mode}", (work.payload, work.size, work.copies)),)
    return ()


@dataclass(frozen=True)
class Grid:
    """Log of measured over modelled time on nodes. axes: log2 of the shape; held: at each node, 0 where none; seen."""

    axes: tuple[Floats, ...]
    held: Floats
    seen: Floats

    def at(self, shape: tuple[Numbers | Ints, ...]) -> tuple[Numbers, Numbers]:
        """(log ratio, share of the neighbouring nodes that were seen), by multilinear interpolation."""
        lower, weight = [], []
        for nodes, value in zip(self.axes, shape, strict=True):
            x = np.log2(np.maximum(np.asarray(value, dtype=float), 1e-30))
            i = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
            lower.append(i)
            weight.append(np.clip((x - nodes[i]) / (nodes[i + 1] - nodes[i]), 0.0, 1.0))
        log: Numbers = 0.0
        share: Numbers = 0.0
        for corner in product((0, 1), repeat=len(self.axes)):
            index: Ints = 0
            part: Numbers = 1.0
            for size, i, w, up in zip(self.held.shape, lower, weight, corner, strict=True):
                index = index * size + i + up
                part = part * (w if up else 1.0 - w)
            log = log + part * self.held.ravel()[index]
            share = share + part * self.seen.ravel()[index]
        return log, share


def grid(shape: tuple[Floats, ...], log: Floats, axes: tuple[Axis, ...]) -> Grid:
    """The grid through scattered points: the mean of those that share a node."""
    found = [_nodes(np.log2(np.maximum(values, 1e-30)), axis) for values, axis in zip(shape, axes, strict=True)]
    size = tuple(len(nodes) for nodes, _ in found)
    flat = np.ravel_multi_index(tuple(index for _, index in found), size)
    many = np.bincount(flat, minlength=int(np.prod(size)))
    held = (np.bincount(flat, weights=log, minlength=len(many)) / np.maximum(many, 1)).reshape(size)
    seen = (many > 0).reshape(size)
    nodes = tuple(each for each, _ in found)
    for _ in range(FILLED):
        held, seen = _filled(nodes, held, seen, axes)
    return Grid(nodes, held, seen.astype(float))


def _filled(
    nodes: tuple[Floats, ...], held: Floats, seen: NDArray[np.bool_], axes: tuple[Axis, ...]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Empty nodes between two seen ones of a line, no wider apart than both fade, take what lies between them; where
    several lines cross, the mean.
    """
    total, many = np.zeros_like(held), np.zeros_like(held)
    for along, (x, axis) in enumerate(zip(nodes, axes, strict=True)):
        row, full = np.moveaxis(held, along, -1), np.moveaxis(seen, along, -1)
        number = np.arange(len(x))
        before = np.maximum.accumulate(np.where(full, number, -1), axis=-1)
        after = np.minimum.accumulate(np.where(full, number, len(x))[..., ::-1], axis=-1)[..., ::-1]
        inside = ~full & (before >= 0) & (after < len(x))
        low, high = np.maximum(before, 0), np.minimum(after, len(x) - 1)
        inside &= x[high] - x[low] <= 2.0 * axis.fade
        weight = (x - x[low]) / np.where(inside, x[high] - x[low], 1.0)
        ends = np.take_along_axis(row, low, -1), np.take_along_axis(row, high, -1)
        between = np.where(inside, ends[0] + weight * (ends[1] - ends[0]), 0.0)
        total += np.moveaxis(between, -1, along)
        many += np.moveaxis(inside, -1, along)
    return np.where(seen, held, total / np.maximum(many, 1.0)), seen | (many > 0)


def _nodes(x: Floats, axis: Axis) -> tuple[Floats, NDArray[np.int64]]:
    """(nodes with empty ones around and in wide gaps, node of each point)."""
    _, code = np.unique(np.round(x / axis.step), return_inverse=True)
    nodes = np.bincount(code, weights=x) / np.bincount(code)
    apart = np.diff(nodes) > 2.0 * axis.fade
    ends = np.concatenate(([True], apart)), np.concatenate((apart, [True]))
    empty = np.concatenate((nodes[ends[0]] - axis.fade, nodes[ends[1]] + axis.fade))
    every = np.sort(np.concatenate((nodes, empty)))
    return every, np.searchsorted(every, nodes)[code]


@dataclass(frozen=True)
class Measured:
    """Measurements of one chip. source: whose; grids: the grid of a key of `Place`, None where there is none; it may be
    made when it is first asked for.
    """

    source: str
    chip: Accelerator
    grids: Callable[[str], Grid | None]

    def factor(
        self, work: Work | Collective, precision: Precision | None = None, *, fused: bool = False
    ) -> tuple[Numbers, Numbers]:
        """(measured over modelled time, share of it that rests on measured shapes); 1 and 0 far from all of them."""
        log: Numbers = 0.0
        share: Numbers = 0.0
        for place in places(work, precision or Precision(), self.chip, fused):
            held = self.grids(place.key)
            if held is None and place.otherwise:
                held = self.grids(place.otherwise)
            if held is not None:
                ratio, seen = held.at(place.shape)
                log = log + np.where(place.here, ratio, 0.0)
                share = share + np.where(place.here, seen, 0.0)
        return np.exp(log), share


def kind_of(key: str) -> str:
    """Class of operator of a key."""
    return key.split(".")[0]


def keys(samples: Samples, accelerator: Accelerator) -> set[str]:
    """Keys of the tables to which samples may belong."""
    found = (places(work, samples.precision, accelerator, samples.fused) for work in samples.work)
    return {place.key for each in found for place in each}


def grids(samples: Iterable[Samples], accelerator: Accelerator, believed: bool = False) -> dict[str, Grid]:
    """Measurements of a chip as corrections of the cost models, by key of `Place`.

    What cannot be is left out, unless `believed`: checked already.
    """
    chip = replace(accelerator, measured=None)
    points: dict[str, list[tuple[tuple[Floats, ...], Floats]]] = defaultdict(list)
    for found in samples:
        kept = found if believed else possible(found, chip)
        for key, shape, log in () if kept is None else ratios(kept, chip):
            points[key].append((shape, log))
    return {key: _joined(key, held) for key, held in points.items()}


def _joined(key: str, held: list[tuple[tuple[Floats, ...], Floats]]) -> Grid:
    """One grid of all the rows of a key."""
    shape = tuple(np.concatenate(parts) for parts in zip(*(shape for shape, _ in held), strict=True))
    return grid(shape, np.concatenate([log for _, log in held]), AXES[kind_of(key)])


def ratios(samples: Samples, chip: Accelerator) -> list[tuple[str, tuple[Floats, ...], Floats]]:
    """(key, shape, log of measured over modelled time) of the rows that are believed, for each part of the samples."""
    log = np.log(samples.seconds / samples.predicted(chip, calibration()))
    found = []
    for work in samples.work:
        for place in places(work, samples.precision, chip, samples.fused):
            fine = np.broadcast_to(place.here, log.shape) & (np.abs(log) < np.log(LARGEST_FACTOR))
            shape = tuple(np.broadcast_to(values, log.shape)[fine] for values in place.shape)
            if not fine.any():
                continue
            steady = orderly(shape, samples.seconds[fine])
            found.append((place.key, tuple(values[steady] for values in shape), log[fine][steady]))
    return found


def orderly(shape: tuple[Floats, ...], seconds: Floats) -> NDArray[np.bool_]:
    """Which rows are no more than SLOWER times as slow as any larger one: larger in the first axis, else equal."""
    order = np.lexsort((-shape[0], *shape[1:]))
    rest = np.stack([values[order] for values in shape[1:]])
    new = np.concatenate(([True], np.any(rest[:, 1:] != rest[:, :-1], axis=0)))
    group = np.cumsum(new)
    # running minimum inside each group, from the largest down: groups are kept apart by adding to the logarithm
    lifted = np.log(seconds[order]) - 200.0 * group
    least = np.minimum.accumulate(lifted) + 200.0 * group
    fine = np.empty(len(seconds), dtype=bool)
    fine[order] = np.log(seconds[order]) <= least + np.log(SLOWER)
    return fine
