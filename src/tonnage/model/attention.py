"""Softmax attention with keys and values cached per head: grouped-query, windowed, chunked, block-sparse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.model.operators import Load, Operator
from tonnage.model.site import Site, capped_pairs, causal_pairs, chunked_pairs, core, share


@dataclass(frozen=True)
class BlockIndex:
    """The indexer of block-sparse attention (MiniMax-M3): it scores every key, and whole blocks are kept.

    heads, dim: index queries (one key head); blocks: blocks a query keeps; size: tokens in a block; pooled: a block has
    one index key, the mean of its tokens' (Qwen3.8-Flash-Next).
    """

    heads: int
    dim: int
    blocks: int
    size: int
    pooled: bool = False

    @property
    def width(self) -> float:
        """Elements of index keys cached for one token."""
        return self.dim / self.size if self.pooled else float(self.dim)


@dataclass(frozen=True)
class Gqa:
    """Grouped-query attention (Ainslie et al., arXiv 2305.13245); multi-head when kv_heads equals heads.

    dim, value: size of a key and of a value head; bias: elements of the biases of (query, key and value, output);
    norm: elements of the query and key norms; gate: width of an output gate computed with the query,
    or, gate_apart, by a module of its own; sinks: learned
    per-head sinks; window: keys a query may see (0: all); chunk: as window, in fixed chunks; keys_are_values: one
    projection gives both (Gemma 4); borrowed: keys and values come from an earlier layer's cache; index: block-sparse
    selection; conv: (length, channels) of short convolutions over the layer's streams, whose last inputs are a state;
    low_rank: width through which the queries of all heads are made (Step3), 0: from the residual.
    """

    heads: int
    kv_heads: int
    dim: int
    value: int
    bias: tuple[int, int, int] = (0, 0, 0)
    norm: int = 0
    gate: int = 0
    gate_apart: bool = False
    sinks: bool = False
    window: int = 0
    chunk: int = 0
    keys_are_values: bool = False
    borrowed: bool = False
    index: BlockIndex | None = None
    conv: tuple[int, int] = (0, 0)
    low_rank: int = 0

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        name = "mha" if self.kv_heads == self.heads else "gqa"
        if self.window or self.chunk:
            name += f"-window{self.window}" if self.window else f"-chunk{self.chunk}"
        if self.borrowed:
            name += "-shared"
        return name + ("-sparse" if self.index else "")

    @property
    def kv_width(self) -> int:
        """Elements cached for one token, all heads."""
        return self.kv_heads * (self.dim + self.value)

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Projections, rotary embedding, core of each load, output projection."""
        return (*self._projections(site), *self._cores(site), *self._output(site))

    def _projections(self, site: Site) -> tuple[Operator, ...]:
        """To queries, keys and values, and what is done to them before the core."""
        hidden, wide = site.hidden, self.heads * self.dim + self.gate
        made = [site.gemm("q_a", "attention", self.low_rank, hidden, "none", saved=hidden)] if self.low_rank else []
        source = self.low_rank or hidden
        made.append(
            site.gemm("q_proj", "attention", wide, source, "column", bias=self.bias[0], saved=source, heads=self.heads)
        )
        if not self.borrowed:
            width = self.kv_heads * self.dim if self.keys_are_values else self.kv_width
            made.append(
                site.gemm("kv_proj", "attention", width, hidden, "kv_heads", bias=self.bias[1], heads=self.kv_heads)
            )
        made.append(self._rope(site))
        if self.index:
            made.extend(self._index_projections(site, self.index))
        if self.conv[1]:
            made.append(self._convolution(site))
        return tuple(made)

    def _rope(self, site: Site) -> Operator:
        """Rotary embedding, with the norm of queries and keys before it; holds sinks too."""
        rotated = self.heads * self.dim + (0 if self.borrowed else self.kv_heads * self.dim)
        held = self.norm + (self.heads if self.sinks else 0)
        saved = rotated if self.norm else 0
        return site.pointwise("rope", "attention", 2 * rotated, "heads", weight=held, saved=saved, heads=self.heads)

    def _convolution(self, site: Site) -> Operator:
        """A short convolution over each channel of keys, values and the residual."""
        length, channels = self.conv
        held = length * channels
        return site.pointwise(
            "short_conv", "attention", 2 * channels, weight=held, saved=channels, flop=2 * length * channels
        )

    def _index_projections(self, site: Site, index: BlockIndex) -> tuple[Operator, ...]:
        width = (index.heads + 1) * index.dim
        return (
            site.gemm("index_proj", "attention", width, site.hidden, "none"),
            site.pointwise("index_norm", "attention", 2 * width, weight=2 * index.dim, saved=width),
        )

    def _cores(self, site: Site) -> tuple[Operator, ...]:
        made = []
        for load in site.step.loads:
            if self.index:
                made.append(self._scan(site, load, self.index))
            made.append(self._core(site, load))
        return tuple(made)

    def _core(self, site: Site, load: Load) -> Operator:
        return core(
            site,
            load,
            pairs=self.pairs(load),
            heads=self.heads,
            query=self.dim,
            value=self.value,
            keys_read=load.sequences * self._cached(load),
            kv_width=self.kv_width,
            kv_heads=self.kv_heads,
            saved=self.heads * (self.dim + 2) + (0 if self.borrowed else self.kv_width),
            write=not self.borrowed,
        )

    def _scan(self, site: Site, load: Load, index: BlockIndex) -> Operator:
        """Index scores of every pair: the full scan that finds the blocks to keep."""
        return core(
            site,
            load,
            pairs=causal_pairs(load) * (index.width / index.dim),
            heads=index.heads,
            query=index.dim,
            value=0,
            keys_read=load.sequences * load.context,
            kv_width=index.width,
            kv_heads=1,
            saved=(index.heads + 1) * index.dim,
            name="index",
            cut="none",
        )

    def pairs(self, load: Load) -> Numbers:
        """(query, key) pairs that the core computes."""
        if self.index:
            return capped_pairs(load, float(self.index.blocks * self.index.size))
        if self.chunk:
            return chunked_pairs(load, float(self.chunk))
        return capped_pairs(load, float(self.window)) if self.window else causal_pairs(load)

    def _cached(self, load: Load) -> Numbers:
        """Cached tokens that a step reads of one sequence."""
        if self.index:
            return np.minimum(load.context, load.new * float(self.index.blocks * self.index.size))
        return self.kept(load.context)

    def kept(self, context: Numbers) -> Numbers:
        """Tokens of a context that stay in this layer's cache."""
        if self.chunk:
            return np.minimum(context, float(self.chunk))
        return np.minimum(context, float(self.window)) if self.window else context

    def _output(self, site: Site) -> tuple[Operator, ...]:
        """The gate where there is one, and the output projection."""
        width = self.heads * self.value
        made = []
        if self.gate:
            made.append(
                site.pointwise(
                    "gate",
                    "attention",
                    2 * width + self.gate,
                    "heads",
                    saved=width + self.gate,
                    heads=self.heads,
                )
            )
        made.append(
            site.gemm(
                "o_proj", "attention", site.hidden, width, "row", bias=self.bias[2], saved=width, heads=self.heads
            )
        )
        return tuple(made)

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Elements cached for a sequence of `context` tokens on one of `tp` ranks."""
        if self.borrowed:
            return context * 0.0
        per_token = share(self.kv_heads, tp) * (self.dim + self.value)
        scanned = context * self.index.width if self.index else 0.0
        return self.kept(context) * per_token + scanned

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Bytes of the cache: 8-bit keys and values share one scale a tensor, which takes no room worth counting."""
        return self.cache(context, tp) * element

    def state(self, tp: Ints = 1) -> Numbers:
        """The last inputs of short convolutions, if there are any."""
        return float(max(self.conv[0] - 1, 0) * self.conv[1])
