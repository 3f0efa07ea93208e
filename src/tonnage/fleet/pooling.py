"""Partial pooling: rates of success on a tree, each drawn around its parent's. Exact, on a grid.

    root ~ Beta(a, b),   child | parent ~ Beta(k parent, k (1 - parent))

k, one for each depth, says how alike the children of one parent are: it counts as k runs of the parent's rate. What is
seen at a node is a likelihood of its rate. Messages go up from every leaf to the root and down to the node that is
asked for (Pearl 1988), so that nothing is sampled. The logit of a child is a monotone-likelihood-ratio family in its
parent (Karlin and Rubin 1956), and the grid keeps that: evidence of success anywhere never lowers a quantile anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import lgamma

import numpy as np

from tonnage.fleet.uncertain import Floats

Path = tuple[str, ...]
"""Where a node is: the name of each node below the root, down to it."""

CELLS, REACH = 96, 6.0
"""Grid: cells even in the logit of the rate, from -REACH to REACH (rates of 0.25 % to 99.75 %)."""

_EDGES = 1 / (1 + np.exp(-np.linspace(-REACH, REACH, CELLS + 1)))
GRID: Floats = 1 / (1 + np.exp(-(np.arange(CELLS) + 0.5) * 2 * REACH / CELLS + REACH))
"""Rates at the middle of the cells."""


def posterior(
    evidence: Mapping[Path, Floats], target: Path, alike: tuple[float, ...], prior: tuple[float, float]
) -> Floats:
    """Probabilities [cells] of the rate at `target`. evidence: log-likelihoods [cells] of the nodes, by path; alike: k
    of each depth; prior: a and b.
    """
    on_path: dict[int, Floats] = {}
    level = dict(evidence)
    for depth in range(len(alike), 0, -1):
        above: dict[Path, Floats] = {}
        for path, seen in level.items():
            if len(path) < depth:
                _add(above, path, seen)
            elif path == target[:depth]:
                on_path[depth] = seen
            else:
                _add(above, path[:-1], _up(seen, alike[depth - 1]))
        level = above
    belief = level.get((), np.zeros(CELLS)) + prior[0] * np.log(GRID) + prior[1] * np.log1p(-GRID)
    for depth, k in enumerate(alike, 1):
        belief = np.log(np.maximum(_scaled(belief) @ _kernel(k), 1e-300)) + on_path.get(depth, 0.0)
    found = _scaled(belief)
    return np.asarray(found / found.sum())


def quantiles(chances: Floats, at: Iterable[float]) -> Floats:
    """Quantiles of a rate whose cells have these probabilities, linear within a cell."""
    cumulative = np.concatenate([[0.0], np.cumsum(chances)])
    return np.asarray(np.interp(np.asarray(tuple(at)) * cumulative[-1], cumulative, _EDGES))


def _add(nodes: dict[Path, Floats], path: Path, seen: Floats) -> None:
    nodes[path] = nodes[path] + seen if path in nodes else seen


def _up(seen: Floats, k: float) -> Floats:
    """Log-likelihood of the parent's rate from that of the child's."""
    return np.asarray(np.log(np.maximum(_kernel(k) @ _scaled(seen), 1e-300)))


def _scaled(logarithm: Floats) -> Floats:
    return np.asarray(np.exp(logarithm - logarithm.max()))


@lru_cache(maxsize=16)
def _kernel(k: float) -> Floats:
    """Probabilities of the child's cells [parent, child]: the Beta density in the logit, normalised on the grid."""
    a, b = k * GRID[:, None], k * (1 - GRID[:, None])
    norm = np.array([lgamma(k) - lgamma(k * x) - lgamma(k * (1 - x)) for x in GRID])
    density = np.exp(norm[:, None] + a * np.log(GRID) + b * np.log1p(-GRID))
    return np.asarray(density / density.sum(axis=1, keepdims=True))
