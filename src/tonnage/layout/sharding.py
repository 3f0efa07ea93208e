"""Operators of a whole model -> operators of one rank of a layout.

Ranks are ordered tp (innermost), cp, dp, pp; experts lie inside tp x cp x dp. The pipeline is cut by the caller, who
chooses the layers. Everything broadcasts: layouts as arrays, steps as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.layout.notation import Layout
from tonnage.model.operators import Operator


def shard(
    operators: Sequence[Operator],
    layout: Layout,
    *,
    sequence_parallel: bool = True,
    imbalance: Numbers = 1.0,
) -> tuple[Operator, ...]:
    """Operators of one attention replica -> operators of one of its ranks.

    layout: scalars or arrays that broadcast with the operators' numbers. sequence_parallel: work that tensor
    parallelism does not cut (norms, router, residual), and the inputs that it saves, are divided over its ranks
    (Korthikanti et al. 2022, arXiv 2205.05198) instead of repeated. imbalance: rows of the busiest expert rank over
    the mean (1 = balanced); it multiplies the rows of grouped GEMMs.

    A local grouped GEMM has m = distinct tokens that reach its expert group, top_k = visits of one of them to experts
    of this rank, groups = experts held, so that m * top_k are its rows and touched experts are
    groups * (1 - (1 - top_k/groups)**m). `weight` stays what a rank holds; what a step reads of it is priced by
    `system.operator_time`.
    """
    cut = _LayoutCut(layout, sequence_parallel, imbalance)
    return tuple(_shard_one(operator, cut) for operator in operators)


@dataclass(frozen=True)
class _LayoutCut:
    """How a layout cuts, worked out once for all operators of a model."""

    layout: Layout
    sequence_parallel: bool
    imbalance: Numbers
    _shares: dict[float, Numbers] = field(default_factory=dict)

    @cached_property
    def tokens(self) -> Numbers | None:
        """Share of a replica's tokens on one rank of context parallelism; None where it is all of them."""
        alone = isinstance(self.layout.cp, int) and self.layout.cp == 1
        return None if alone else 1.0 / np.asarray(self.layout.cp, dtype=float)

    @cached_property
    def ways(self) -> Numbers:
        """Tensor-parallel ranks."""
        return np.asarray(self.layout.tp, dtype=float)

    @cached_property
    def rest(self) -> Numbers:
        """Share of what tensor parallelism divides without limit."""
        return 1.0 / self.ways

    def share(self, limit: Numbers) -> Numbers:
        """`cut_fraction` of its ranks; operators have few limits between them."""
        if not isinstance(limit, float):
            return cut_fraction(self.ways, limit)
        if limit not in self._shares:
            self._shares[limit] = cut_fraction(self.ways, limit)
        return self._shares[limit]


def cut_fraction(ways: Numbers | Ints, limit: Numbers) -> Numbers:
    """Share of the busiest rank when `limit` indivisible heads go over `ways` ranks: ceil(limit/ways) / limit.

    Beyond `limit` ranks the work is repeated (share 1/limit). limit 0 means divisible without limit.
    """
    limit = np.asarray(limit, dtype=float)
    ways = np.asarray(ways, dtype=float)
    whole = np.ceil(np.maximum(limit, 1.0) / ways) / np.maximum(limit, 1.0)
    return np.where(limit > 0, whole, 1.0 / ways)[()]


def expert_tokens(tokens: Numbers, layout: Layout) -> Numbers:
    """Distinct tokens that reach one expert group: rows of all ep*etp/tp attention replicas in it [tokens]."""
    return tokens / layout.cp * layout.ep * layout.etp / layout.tp


def _shard_one(operator: Operator, cut: _LayoutCut) -> Operator:
    """One operator cut over cp, then as its `cut` says."""
    if operator.cut == "experts":
        return _shard_experts(operator, cut.layout, cut.imbalance)
    local = operator if cut.tokens is None else _cut_tokens(operator, cut.tokens)
    if operator.cut == "none":
        return _cut_tokens(local, cut.rest) if cut.sequence_parallel and operator.kind != "attention" else local
    if operator.kind in ("attention", "scan"):
        return _cut_heads(local, cut)
    share = cut.share(operator.heads_limit)
    if operator.cut == "row":
        return _cut_inputs(local, share)
    return _cut_outputs(local, share, cut.rest if cut.sequence_parallel else 1.0)


def _cut_tokens(operator: Operator, share: Numbers) -> Operator:
    """Rows divided: flop, activations and cache go with them, weights do not."""
    return operator.changed(
        m=operator.m * share,
        flop=operator.flop * share,
        stream=operator.stream * share,
        cache_read=operator.cache_read * share,
        cache_write=operator.cache_write * share,
        saved=operator.saved * share,
    )


def _cut_outputs(operator: Operator, share: Numbers, kept: Numbers) -> Operator:
    """Columns of the weight divided: a GEMM reads its input m x k whole, and saves `kept` of it; its output is divided.

    Other kinds divide all that they move.
    """
    gemm = operator.kind == "gemm"
    moved = (operator.k + operator.n * share) / np.maximum(operator.k + operator.n, 1.0) if gemm else share
    return operator.changed(
        n=operator.n * share,
        flop=operator.flop * share,
        weight=operator.weight * share,
        stream=operator.stream * moved,
        saved=operator.saved * (kept if gemm else share),
    )


def _cut_inputs(operator: Operator, share: Numbers) -> Operator:
    """Rows of the weight divided: the input m x k is divided, the output m x n is a partial sum on each rank."""
    moved = (operator.k * share + operator.n) / np.maximum(operator.k + operator.n, 1.0)
    return operator.changed(
        k=operator.k * share,
        flop=operator.flop * share,
        weight=operator.weight * share,
        stream=operator.stream * moved,
        saved=operator.saved * share,
    )


def _cut_heads(operator: Operator, cut: _LayoutCut) -> Operator:
    """Heads divided: `groups` limits the work, `heads_limit` the cache (1: a latent that every rank keeps whole)."""
    share, cache = cut.share(operator.groups), cut.share(operator.heads_limit)
    return operator.changed(
        groups=operator.groups * share,
        flop=operator.flop * share,
        weight=operator.weight * share,
        stream=operator.stream * share,
        cache_read=operator.cache_read * cache,
        cache_write=operator.cache_write * cache,
        saved=operator.saved * share,
    )


def _shard_experts(operator: Operator, layout: Layout, imbalance: Numbers) -> Operator:
    """Experts over ep ranks, each cut over etp; rows of every attention replica in the expert group.

    Work of one rank = tokens/cp/tp of its own replica's share: flop is divided by tp * cp whatever ep and etp are.
    """
    own = imbalance / np.asarray(layout.tp * layout.cp, dtype=float)
    inner = 1.0 / np.asarray(layout.etp, dtype=float)
    held = inner / layout.ep
    down = operator.role == "down"
    if operator.kind != "grouped_gemm":
        rows = 1.0 if operator.role == "activation" else np.asarray(layout.etp, dtype=float)
        return operator.changed(
            m=expert_tokens(operator.m, layout),
            flop=operator.flop * own * rows,
            stream=operator.stream * own * rows,
            weight=operator.weight * held,
            saved=operator.saved * own,
        )
    width = operator.k if down else operator.n
    other = operator.n if down else operator.k
    kept = (other + width * inner) / np.maximum(other + width, 1.0)
    return operator.changed(
        m=expert_tokens(operator.m, layout),
        n=operator.n if down else operator.n * inner,
        k=operator.k * inner if down else operator.k,
        groups=operator.groups / np.asarray(layout.ep, dtype=float),
        top_k=operator.top_k / np.asarray(layout.ep, dtype=float) * imbalance,
        flop=operator.flop * own,
        stream=operator.stream * own * layout.etp * kept,
        weight=operator.weight * held,
        saved=operator.saved * own,
    )
