"""Where operators are made: one block of a model in one step, with the arithmetic that all layer kinds share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.model.operators import Cut, Load, Operator, Part, Role, Step


@dataclass(frozen=True)
class Site:
    """One block in one step.

    block: index into `Architecture.blocks` (or EMBEDDING, HEAD, MTP); count: layers that have it; hidden: width of the
    residual stream; step: what is computed.
    """

    block: int
    count: int
    hidden: int
    step: Step
    tokens: Numbers

    def gemm(
        self,
        name: str,
        part: Part,
        n: float,
        k: float,
        cut: Cut,
        *,
        bias: float = 0,
        saved: float = 0,
        rows: Numbers | None = None,
        heads: float = 0,
        weight: float | None = None,
        role: Role = "other",
    ) -> Operator:
        """A dense GEMM of `rows` (default: the step's tokens) x k by k x n; bias in elements, saved per row."""
        m = self.tokens if rows is None else rows
        return Operator(
            name=name,
            part=part,
            kind="gemm",
            block=self.block,
            count=self.count,
            cut=cut,
            m=m,
            n=float(n),
            k=float(k),
            flop=m * (2.0 * n * k),
            weight=float(n * k + bias if weight is None else weight),
            stream=m * float(n + k),
            saved=m * float(saved),
            role=role,
            heads_limit=float(heads),
        )

    def grouped(
        self,
        name: str,
        role: Literal["up", "down"],
        n: float,
        k: float,
        groups: int,
        top_k: int,
        *,
        bias: float = 0,
        saved: float = 0,
    ) -> Operator:
        """The GEMM of all routed experts: each token visits `top_k` of `groups`; bias per expert, saved per visit."""
        visits = self.tokens * float(top_k)
        return Operator(
            name=name,
            part="experts",
            kind="grouped_gemm",
            block=self.block,
            count=self.count,
            cut="experts",
            m=self.tokens,
            n=float(n),
            k=float(k),
            groups=float(groups),
            top_k=float(top_k),
            flop=visits * (2.0 * n * k),
            weight=float(groups * (n * k + bias)),
            stream=visits * float(n + k),
            saved=visits * float(saved),
            role=role,
        )

    def pointwise(
        self,
        name: str,
        part: Part,
        stream: float,
        cut: Cut = "none",
        *,
        weight: float = 0,
        saved: float = 0,
        rows: Numbers | None = None,
        heads: float = 0,
        top_k: float = 1,
        flop: float = 0,
        role: Role = "other",
    ) -> Operator:
        """A fused element-wise kernel; stream, saved and flop per row (and per visit when top_k is over 1)."""
        m = self.tokens if rows is None else rows
        return Operator(
            name=name,
            part=part,
            kind="pointwise",
            block=self.block,
            count=self.count,
            cut=cut,
            m=m,
            top_k=float(top_k),
            flop=m * float(flop * top_k),
            weight=float(weight),
            stream=m * float(stream * top_k),
            saved=m * float(saved * top_k),
            role=role,
            heads_limit=float(heads),
        )

    def norm(self, name: str, size: float, *, weight: float | None = None, residual: bool = True) -> Operator:
        """A normalisation fused with the residual addition before it: two reads and two writes of a row."""
        held = size if weight is None else weight
        return self.pointwise(name, "norm", (4 if residual else 2) * size, weight=held, saved=size)


def core(
    site: Site,
    load: Load,
    *,
    pairs: Numbers,
    heads: int,
    query: float,
    value: float,
    keys_read: Numbers,
    kv_width: float,
    kv_heads: int,
    saved: float,
    name: str = "core",
    cut: Cut = "heads",
    write: bool = True,
) -> Operator:
    """Softmax attention of one load: `pairs` (query, key) pairs, each 2 x (query + value) FLOP a head.

    query, value: size of one head's key and value; keys_read: cached keys that must be read; kv_width: elements
    cached for one token, all heads; saved: elements a new token keeps for the backward pass.
    """
    new = load.sequences * load.new
    width = query + value
    return Operator(
        name=name,
        part="attention",
        kind="attention",
        block=site.block,
        count=site.count,
        cut=cut,
        m=new,
        n=pairs / np.maximum(new, 1e-30),
        k=float(width),
        groups=float(heads),
        flop=pairs * (2.0 * heads * width),
        stream=new * float(heads * width + kv_width),
        cache_read=keys_read * float(kv_width),
        cache_write=new * float(kv_width if write else 0.0),
        saved=new * float(saved),
        heads_limit=float(kv_heads),
    )


def causal_pairs(load: Load) -> Numbers:
    """(query, key) pairs of causal attention: new x (context + (new + 1) / 2) for each sequence."""
    return load.sequences * load.new * (load.context + (load.new + 1.0) / 2.0)


def capped_pairs(load: Load, cap: float) -> Numbers:
    """Pairs when a query sees at most `cap` keys, itself among them: a sliding window, or the top-k of an indexer."""
    short = np.clip(cap - load.context, 0.0, load.new)
    return load.sequences * (short * load.context + short * (short + 1.0) / 2.0 + (load.new - short) * cap)


def chunked_pairs(load: Load, chunk: float) -> Numbers:
    """Pairs when a query sees only the keys of its own chunk of `chunk` tokens (Llama 4)."""
    return load.sequences * (_chunk_sum(load.context + load.new, chunk) - _chunk_sum(load.context, chunk))


def _chunk_sum(position: Numbers, chunk: float) -> Numbers:
    """Pairs of the first `position` tokens of a sequence."""
    whole = np.floor_divide(position, chunk)
    rest = position - whole * chunk
    return whole * (chunk * (chunk + 1.0) / 2.0) + rest * (rest + 1.0) / 2.0


def share(heads: int, tp: Ints) -> Numbers:
    """Heads of the fullest tensor-parallel rank: ceil(heads / tp), at least one (then it is repeated)."""
    return np.maximum(np.ceil(heads / np.asarray(tp, float)), 1.0)
