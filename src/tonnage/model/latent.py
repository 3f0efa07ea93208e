"""Multi-head latent attention, and the indexer that makes it sparse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Flags, Ints, Numbers
from tonnage.model.operators import Load, Operator
from tonnage.model.site import Site, capped_pairs, causal_pairs, core

BF16 = 2.0
"""Bytes of an element in 16 bits."""


def scaled(elements: float) -> float:
    """Bytes of `elements` in FP8 with one FP32 scale for each 128 (FlashMLA's and DeepGEMM's cache layouts)."""
    return elements * (1 + 4 / 128)


@dataclass(frozen=True)
class Indexer:
    """The lightning indexer of DeepSeek sparse attention (DeepSeek-V3.2 report, section 2.1).

    heads, dim: index queries, made from the query latent, and one index key; topk: keys a query keeps. Every query
    scores every key: 2 x heads x dim FLOP a pair, and the index keys are cached beside the latent. shared: the layer
    uses the choice of an earlier layer's indexer and has none of its own (GLM-5.2). pool: tokens that share one index
    key, chosen together (GLM-5.3-Flash: 4).
    """

    heads: int
    dim: int
    topk: int
    shared: bool = False
    pool: int = 1


@dataclass(frozen=True)
class Mla:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    q_lora: rank of the query (0: none); kv_lora + rope: elements cached for a token, whole on every tensor-parallel
    rank; nope, rope, value: sizes of a head; bias: elements of the biases of (first projections, output); gate:
    output gate of that width; indexer: sparse selection; window: keys a query may see (0: all); norm: elements of a
    further norm of the keys; plain: its sparse cache in 8 bits is one value an element, rotary part too.

    A load is computed in the cheaper of two equal forms. Expanded: keys and values of all tokens are made from the
    latent (2 x kv_lora x heads x (nope + value) FLOP a token in view) and a pair costs 2 x heads x (nope + rope +
    value). Absorbed: the same matrices are applied to queries and outputs (the same FLOP, per new token only) and a
    pair costs 2 x heads x (2 x kv_lora + rope), reading only the latent. Decode is absorbed; prefill and training,
    with no context, expanded. Sparse layers select latents per query: absorbed as soon as something is left out.
    """

    heads: int
    q_lora: int
    kv_lora: int
    nope: int
    rope: int
    value: int
    bias: tuple[int, int] = (0, 0)
    gate: int = 0
    indexer: Indexer | None = None
    window: int = 0
    norm: int = 0
    plain: bool = False

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        if self.window:
            return f"mla-window{self.window}"
        return "mla-sparse" if self.indexer else "mla"

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Projections to and from the latents, indexer, core of each load, output projection."""
        return (*self._queries(site), self._keys(site), *self._cores(site), *self._output(site))

    def _queries(self, site: Site) -> tuple[Operator, ...]:
        """Projections to the latents and from them to queries, with what the indexer needs."""
        query = self.heads * (self.nope + self.rope)
        latent = self.kv_lora + self.rope
        first = self.q_lora + latent
        made = [
            site.gemm("qkv_a", "attention", first, site.hidden, "none", bias=self.bias[0], saved=site.hidden)
            if self.q_lora
            else site.gemm("kv_a", "attention", latent, site.hidden, "none", bias=self.bias[0], saved=site.hidden),
            site.pointwise(
                "latent_norm",
                "attention",
                2 * (self.q_lora + latent),
                weight=self.q_lora + self.kv_lora + self.norm,
                saved=self.q_lora + self.kv_lora,
            ),
        ]
        source = self.q_lora or site.hidden
        made.append(
            site.gemm(
                "q_b" if self.q_lora else "q_proj",
                "attention",
                query,
                source,
                "column",
                saved=self.q_lora,
                heads=self.heads,
                role="mla_up" if self.q_lora else "other",
            )
        )
        if self.gate:
            made.append(site.gemm("gate_proj", "attention", self.gate, site.hidden, "column", heads=self.heads))
        made.append(site.pointwise("rope", "attention", 2 * self.heads * self.rope, "heads", heads=self.heads))
        return (*made, *self._index_projections(site))

    def _index_projections(self, site: Site) -> tuple[Operator, ...]:
        index = self.indexer
        if index is None or index.shared:
            return ()
        width = index.heads * index.dim
        return (
            site.gemm("index_q", "attention", width, self.q_lora or site.hidden, "none"),
            site.gemm("index_k", "attention", index.dim + index.heads, site.hidden, "none", bias=2 * index.dim),
            site.pointwise("index_rope", "attention", 2 * (width + index.dim)),
        )

    def absorbed(self, load: Load) -> Flags:
        """Where (True) the absorbed form costs fewer FLOP than the expanded one."""
        pairs = causal_pairs(load)
        up = 2.0 * self.kv_lora * self.heads * (self.nope + self.value)
        per_pair = 2.0 * self.heads * (2 * self.kv_lora - self.nope - self.value)
        cheaper = pairs * per_pair < load.sequences * load.context * up
        if self.indexer is None:
            return cheaper
        return cheaper | (load.context + load.new > self.indexer.topk)

    def _keys(self, site: Site) -> Operator:
        """The matrices between latent and heads, applied to keys and values or absorbed into queries and outputs."""
        width = self.heads * (self.nope + self.value)
        rows: Numbers = 0.0
        stream: Numbers = 0.0
        for load in site.step.loads:
            absorbed = self.absorbed(load)
            made = load.sequences * (load.new + np.where(absorbed, 0.0, load.context))
            rows = rows + made
            stream = stream + made * np.where(absorbed, width + 2.0 * self.heads * self.kv_lora, width + self.kv_lora)
        return Operator(
            name="kv_b",
            part="attention",
            kind="gemm",
            block=site.block,
            count=site.count,
            cut="column",
            m=rows,
            n=float(width),
            k=float(self.kv_lora),
            flop=rows * (2.0 * width * self.kv_lora),
            weight=float(width * self.kv_lora),
            stream=stream,
            saved=site.tokens * float(self.kv_lora),
            role="mla_up",
            heads_limit=float(self.heads),
        )

    def _cores(self, site: Site) -> tuple[Operator, ...]:
        made = []
        for load in site.step.loads:
            if self.indexer and not self.indexer.shared:
                made.append(self._scan(site, load, self.indexer))
            made.append(self._core(site, load))
        return tuple(made)

    def _core(self, site: Site, load: Load) -> Operator:
        """Attention in the cheaper of the two forms."""
        absorbed = self.absorbed(load)
        cap = float(self.indexer.topk) if self.indexer else float(self.window)
        dense, read = causal_pairs(load), load.sequences * load.context
        pairs = capped_pairs(load, cap) if cap else dense
        if cap:
            read = load.sequences * (
                np.minimum(load.context, load.new * cap) if self.indexer else self.kept(load.context)
            )
        query = np.where(absorbed, self.kv_lora + self.rope, self.nope + self.rope)
        value = np.where(absorbed, self.kv_lora, self.value)
        new = load.sequences * load.new
        width = query + value
        expanded = self.heads * (self.nope + self.rope + self.value)
        kept = self.heads * (self.nope + self.rope + 2) + expanded
        latent = float(self.kv_lora + self.rope)
        keys_in = np.where(absorbed, new * latent, load.sequences * (load.new + load.context) * float(expanded))
        return Operator(
            name="core",
            part="attention",
            kind="attention",
            block=site.block,
            count=site.count,
            cut="heads",
            m=new,
            n=pairs / np.maximum(new, 1e-30),
            k=width,
            groups=float(self.heads),
            flop=pairs * width * (2.0 * self.heads),
            stream=new * width * float(self.heads) + keys_in,
            cache_read=read * latent,
            cache_write=new * latent,
            saved=new * float(kept),
            heads_limit=1.0,
        )

    def _scan(self, site: Site, load: Load, index: Indexer) -> Operator:
        """Scores of every pair, 2 x heads x dim FLOP, and their weighted sum over heads, 2 x heads."""
        return core(
            site,
            load,
            pairs=causal_pairs(load) / index.pool,
            heads=index.heads,
            query=index.dim,
            value=1,
            keys_read=load.sequences * load.context,
            kv_width=index.dim / index.pool,
            kv_heads=1,
            saved=(index.heads + 1) * index.dim,
            name="index",
            cut="none",
        )

    def _output(self, site: Site) -> tuple[Operator, ...]:
        """The gate where there is one, and the output projection."""
        width = self.heads * self.value
        made = []
        if self.gate:
            made.append(
                site.pointwise(
                    "gate", "attention", 2 * width + self.gate, "heads", saved=width + self.gate, heads=self.heads
                )
            )
        made.append(
            site.gemm(
                "o_proj", "attention", site.hidden, width, "row", bias=self.bias[1], saved=width, heads=self.heads
            )
        )
        return tuple(made)

    def kept(self, context: Numbers) -> Numbers:
        """Tokens of a context that stay in this layer's cache."""
        return np.minimum(context, float(self.window)) if self.window else context

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Elements cached for a sequence of `context` tokens: the latent is whole on each of `tp` ranks."""
        width = float(self.kv_lora + self.rope)
        if self.indexer and not self.indexer.shared:
            width += self.indexer.dim / self.indexer.pool
        return self.kept(context) * width * np.ones_like(tp, dtype=float)

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Bytes of the cache: without an indexer every element alike (8 bit: one scale a tensor).

        With one, the layouts that FlashMLA's sparse kernels read (its README, "FP8 KV cache"; vLLM's
        `flashmla_sparse.py`, SGLang's `calculate_mla_kv_cache_dim`): in 8 bits the latent with an FP32 scale for each
        128 elements and the rotary part in BF16, 656 bytes at DeepSeek-V3.2's sizes; index keys always in FP8 with an
        FP32 scale for each 128, 132 bytes.
        """
        width = (self.kv_lora + self.rope) * element
        if self.indexer:
            if element < BF16 and not self.plain:
                width = scaled(self.kv_lora) + self.rope * BF16
            width += 0.0 if self.indexer.shared else scaled(self.indexer.dim) / self.indexer.pool
        return self.kept(context) * float(width) * np.ones_like(tp, dtype=float)

    def state(self, tp: Ints = 1) -> Numbers:
        """No recurrent state."""
        return 0.0
