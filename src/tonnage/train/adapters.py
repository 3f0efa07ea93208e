"""Low-rank adapters beside frozen weights, and frozen weights that are stored narrower than they are multiplied with.

An adapter of rank r beside a matrix of k x n is two matrices, k x r and r x n (LoRA, arXiv 2106.09685): it adds
r (k + n) parameters that train, and their products forward, backward and for their own gradients. A four-bit base is
unpacked into 16 bits before each product (QLoRA, arXiv 2305.14314): read narrow, written wide, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tonnage.arrays import Numbers
from tonnage.model.operators import Operator
from tonnage.train.upkeep import BASES, WEIGHT

PLACES = ("attention", "all-linear", "all")
"""What adapters stand beside: products of attention; of the feed-forward layers too (PEFT's `all-linear`, whose routed
experts in one tensor are left out); routed experts as well."""

PRODUCTS = ("gemm", "grouped_gemm")


def adapted(local: Iterable[Operator], where: str) -> tuple[Operator, ...]:
    """Products that have an adapter."""
    parts = {"attention": ("attention",), "all-linear": ("attention", "ffn", "shared_experts")}
    kept = parts.get(where, ("attention", "ffn", "shared_experts", "experts"))
    return tuple(op for op in local if op.kind in PRODUCTS and op.part in kept)


def adapters(local: Iterable[Operator], rank: int, where: str) -> tuple[Operator, ...]:
    """The two products of each adapter, as a rank of the layout has them: the first reads what the matrix reads, the
    second is added to what it gives.
    """
    every = tuple(local)
    chosen = [(op, rank * _matrices(op, every)) for op in adapted(every, where)]
    return tuple(one for op, wide in chosen for one in (_first(op, wide), _second(op, rank)))


def _matrices(op: Operator, local: Sequence[Operator]) -> int:
    """Matrices of a release that one product joins: keys and values, a gate and what it gates."""
    if op.cut == "kv_heads":
        return 2
    down = [other for other in local if other.role == "down" and (other.block, other.part) == (op.block, op.part)]
    gated = op.role == "up" and any(bool(np.all(np.asarray(op.n) == 2 * np.asarray(other.k))) for other in down)
    return 2 if gated else 1


def _first(op: Operator, wide: int) -> Operator:
    moved = (op.k + wide) / (op.k + op.n)
    return _resized(replace(op, n=float(wide)), op, wide / op.n, moved)


def _second(op: Operator, rank: int) -> Operator:
    moved = (rank + 3 * op.n) / (op.k + op.n)  # its own output, and the sum with that of the matrix
    return _resized(replace(op, k=float(rank)), op, rank / op.k, moved)


def _resized(made: Operator, op: Operator, share: Numbers, moved: Numbers) -> Operator:
    return replace(
        made,
        name=f"{op.name}_adapter",
        role="other",
        flop=op.flop * share,
        weight=op.weight * share,
        stream=op.stream * moved,
        saved=0.0,
    )


def unpacking(local: Iterable[Operator], base: str) -> tuple[Operator, ...]:
    """Unpacking of the weights of each product into 16 bits, as element-wise work."""
    elements = (BASES[base] + WEIGHT) / WEIGHT
    return tuple(
        Operator("unpack", op.part, "pointwise", op.block, op.count, "none", stream=elements * op.weight)
        for op in local
        if op.kind in PRODUCTS and op.part != "router"
    )


def largest(local: Sequence[Operator]) -> Numbers:
    """Elements of the largest matrix of a product, of one expert where there are many."""
    found: Numbers = 0.0
    for op in local:
        if op.kind in PRODUCTS:
            found = np.maximum(found, np.asarray(op.n) * np.asarray(op.k))
    return found


def orthogonalisation(whole: Iterable[Operator], rounds: int) -> tuple[tuple[Operator, float], ...]:
    """Muon's products for the matrices of all layers, uncut, and how many there are of each.

    An iteration on X of s x l, s <= l: A = X X', B = b A + c A A, X <- a X + B X: 2 s^2 l, 2 s^3 and 2 s^2 l FLOP.
    """
    found: list[tuple[Operator, float]] = []
    for op in whole:
        if op.kind not in PRODUCTS or op.part == "router":
            continue
        short, long = sorted((float(_one(op.n)), float(_one(op.k))))
        copies = rounds * op.count * (float(_one(op.groups)) if op.kind == "grouped_gemm" else 1.0)
        for n, k in ((short, long), (short, short), (long, short)):
            flop, stream = 2 * short * n * k, short * (n + k) + n * k
            product = Operator("muon", op.part, "gemm", op.block, 1, "none", m=short, n=n, k=k, flop=flop)
            found.append((replace(product, stream=stream), copies))
    return tuple(found)


def _one(value: Numbers) -> float:
    return float(np.ravel(value)[0])
