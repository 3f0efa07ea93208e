"""DeepSeek-V4.1's attention: a window in every layer, and a long range that a few layers keep for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.model.architecture import Block, Extra
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import Body, Family, body, deepseek_experts
from tonnage.model.hybrids import hyper_connections
from tonnage.model.latent import BF16, Indexer, scaled
from tonnage.model.operators import Load, Operator
from tonnage.model.site import Site, capped_pairs


@dataclass(frozen=True)
class Encoded:
    """Sliding window plus entries of a long range that other layers may have made (DeepSeek-V4.1-Flash's model card,
    "Compressed Sparse Attention 2"; shapes as in vLLM's `models/deepseek_v41`).

    Keys are values: one head of `dim`. ratio: tokens of an entry, 0: window only; topk: entries that a query meets;
    source: the layer makes the entries and index keys that it and the layers after it read, and alone caches them;
    indexer: it chooses the entries itself; without, as the layer before. The window's keys of a sequence are a state
    of fixed size. groups, o_lora: the output projection is block-diagonal over groups, then mixed.
    """

    heads: int
    q_lora: int
    dim: int
    rope: int
    window: int
    ratio: int
    groups: int
    o_lora: int
    topk: int
    source: bool = False
    indexer: Indexer | None = None

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        if not self.ratio:
            return f"window{self.window}"
        return f"encoded{self.ratio}-{'full' if self.source else 'reindex' if self.indexer else 'reuse'}"

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Projections, entries and index where the layer makes them, core of each load, grouped output projection."""
        return (*self._projections(site), *self._entries(site), *self._cores(site), *self._output(site))

    def _projections(self, site: Site) -> tuple[Operator, ...]:
        query, first = self.heads * self.dim, self.q_lora + self.dim
        return (
            site.gemm("qkv_a", "attention", first, site.hidden, "none", saved=site.hidden),
            site.pointwise("latent_norm", "attention", 2 * first, weight=first, saved=first),
            site.gemm(
                "q_b", "attention", query, self.q_lora, "column", saved=self.q_lora, heads=self.heads, role="mla_up"
            ),
            site.pointwise("rope", "attention", 2 * query, "heads", weight=self.heads, saved=query, heads=self.heads),
        )

    def _entries(self, site: Site) -> tuple[Operator, ...]:
        """Entries of the long range, their index keys, and the queries of an index."""
        made = []
        if self.source:
            wide = self.dim * (2 if self.ratio > 1 else 1)
            made.append(site.gemm("compress_proj", "attention", wide, site.hidden, "none", saved=wide))
            made.append(site.pointwise("compress", "attention", 2 * self.dim, weight=self.dim))
        if self.indexer:
            index = self.indexer
            made.append(site.gemm("index_q", "attention", index.heads * index.dim, self.q_lora, "none"))
            made.append(site.gemm("index_proj", "attention", index.heads, site.hidden, "none"))
            if self.source:
                made.append(site.gemm("index_k", "attention", index.dim, self.dim, "none", bias=index.dim))
        return tuple(made)

    def _cores(self, site: Site) -> tuple[Operator, ...]:
        made = []
        for load in site.step.loads:
            if self.indexer:
                made.append(self._scan(site, load, self.indexer))
            made.append(self._core(site, load))
        return tuple(made)

    def _scan(self, site: Site, load: Load, index: Indexer) -> Operator:
        """Scores of every entry in view: context / ratio of them for each query, those made on the way by half."""
        new = load.sequences * load.new
        each = (load.context + load.new / 2.0) / self.ratio
        return Operator(
            name="index",
            part="attention",
            kind="attention",
            block=site.block,
            count=site.count,
            cut="none",
            m=new,
            n=each,
            k=float(index.dim),
            groups=float(index.heads),
            flop=new * each * (2.0 * index.heads * index.dim),
            stream=new * float(index.heads * index.dim),
            cache_read=load.sequences * load.context * (index.dim / self.ratio),
            cache_write=new * (index.dim / self.ratio if self.source else 0.0),
            saved=new * float(index.heads * index.dim),
            heads_limit=1.0,
        )

    def _core(self, site: Site, load: Load) -> Operator:
        """Attention over the window and the chosen entries."""
        new = load.sequences * load.new
        pairs = capped_pairs(load, float(self.window))
        read = np.minimum(load.context, float(self.window))
        if self.ratio:
            far = load.context / self.ratio
            pairs = pairs + new * np.minimum(far + load.new / (2.0 * self.ratio), float(self.topk))
            read = read + np.minimum(far, load.new * float(self.topk))
        made = 1.0 + (1.0 / self.ratio if self.source else 0.0)
        return Operator(
            name="core",
            part="attention",
            kind="attention",
            block=site.block,
            count=site.count,
            cut="heads",
            m=new,
            n=pairs / np.maximum(new, 1e-30),
            k=2.0 * self.dim,
            groups=float(self.heads),
            flop=pairs * (4.0 * self.heads * self.dim),
            stream=new * (self.dim * (2.0 * self.heads + made)),
            cache_read=load.sequences * float(self.dim) * read,
            cache_write=new * (self.dim * made),
            saved=new * (self.heads * (self.dim + 2.0) + self.dim * made),
            heads_limit=1.0,
        )

    def _output(self, site: Site) -> tuple[Operator, ...]:
        """The block-diagonal projection of each group of heads, then the one that mixes them."""
        wide, mixed = self.heads * self.dim, self.groups * self.o_lora
        first = site.gemm("o_a", "attention", mixed, wide / self.groups, "heads", saved=wide, heads=self.groups)
        return (
            replace(first, stream=first.m * float(wide + mixed)),
            site.gemm("o_proj", "attention", site.hidden, mixed, "row", saved=mixed),
        )

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Elements of the long range cached for a sequence of `context` tokens; whole on each of `tp` ranks."""
        width = (self.dim + (self.indexer.dim if self.indexer else 0)) / self.ratio if self.source else 0.0
        return context * float(width) * np.ones_like(tp, dtype=float)

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Bytes of that cache: in 8 bits an FP32 scale for each 128 elements, 528 of an entry and 132 of an index key
        (1,650 a token over the four layers that keep them: github.com/ztxz16/fastllm docs/deepseek_v41.md).
        """
        if not self.source:
            return context * 0.0 * np.ones_like(tp, dtype=float)
        entry = scaled(self.dim) if element < BF16 else float(self.dim * element)
        index = scaled(self.indexer.dim) if self.indexer else 0.0
        return context * ((entry + index) / self.ratio) * np.ones_like(tp, dtype=float)

    def state(self, tp: Ints = 1) -> Numbers:
        """The window's keys, whole on each of `tp` ranks."""
        return float(self.window * self.dim) * np.ones_like(tp, dtype=float)


def deepseek_v41(read: ConfigReader) -> Body:
    """DeepSeek-V4.1-Flash: four residual streams, windows with a long range kept by few layers, experts in every layer,
    tables looked up by n-grams before some (Engram), drafts of three layers with fewer experts (DSpark).
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    moe = deepseek_experts(read)
    moe = replace(moe, router_bias=2 * moe.experts)  # for text, and for images
    streams = read.whole("hc_mult", default=4, high=64)
    mixing = hyper_connections(hidden, streams)
    tables = sorted(read.numbers("engram_layer_ids"))
    engram = _engram(read, hidden, streams)
    layers = []
    for layer, mixer in enumerate(_mixers(read, depth)):
        layers.append(Block(1, mixer, moe, extras=(*mixing, engram) if layer in tables else mixing))
    rows = read.listing("engram_num_embeddings", len(tables)) if tables else []
    width = read.whole("engram_head_dim", default=256)
    held = [
        (f"engram_table_{number}", count * width)
        for number, count in enumerate(rows or [])
        if isinstance(count, int) and 0 < count < 10**12
    ]
    return body(read, layers, hidden, mtp=_drafts(read, hidden, mixing), embeddings=tuple(held))


def _mixers(read: ConfigReader, depth: int) -> list[Encoded]:
    """The attention of each layer."""
    ratios = read.listing("compress_ratios", depth) or [0] * depth
    sources, choosers = read.numbers("kv_source_layer_ids"), read.numbers("index_source_layer_ids")
    plain = _window(read)
    indexer = Indexer(
        heads=read.whole("index_n_heads", high=LARGEST["heads"]), dim=read.whole("index_head_dim"), topk=plain.topk
    )
    made = []
    for layer, ratio in enumerate(ratios):
        if isinstance(ratio, bool) or not isinstance(ratio, int) or not 0 <= ratio <= 4096:
            read.wrong("compress_ratios", f"expected how many tokens an entry has, got {ratio!r}"[:90])
            ratio = 0
        chosen = indexer if ratio and layer in choosers else None
        made.append(replace(plain, ratio=ratio, source=bool(ratio) and layer in sources, indexer=chosen))
    return made


def _window(read: ConfigReader) -> Encoded:
    """The attention of a layer with a window alone."""
    return Encoded(
        heads=read.whole("num_attention_heads", high=LARGEST["heads"]),
        q_lora=read.whole("q_lora_rank"),
        dim=read.whole("head_dim"),
        rope=read.whole("qk_rope_head_dim", default=64),
        window=read.whole("sliding_window", high=10**9),
        ratio=0,
        groups=read.whole("o_groups", high=LARGEST["heads"]),
        o_lora=read.whole("o_lora_rank"),
        topk=read.whole("index_topk"),
    )


def _engram(read: ConfigReader, hidden: int, streams: int) -> Extra:
    """What a layer does with the rows of its n-grams: a projection to keys of every stream and a value, gates."""
    orders = read.whole("engram_max_ngram_size", default=4, low=2, high=64) - 1
    rows = orders * read.whole("engram_n_heads", default=8, high=1024)
    wide = (streams + 1) * hidden
    size = rows * read.whole("engram_head_dim", default=256)
    return Extra("engram_proj", size * wide + 2 * streams * hidden, n=wide, k=size, saved=size)


def _drafts(read: ConfigReader, hidden: int, mixing: tuple[Extra, ...]) -> Block | None:
    """The layers of DSpark: windows, fewer experts, and a share each of what they have together: a projection of the
    layers that they look at, and a table of the last token's successors of low rank.
    """
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    if not modules:
        return None
    moe = deepseek_experts(read)
    moe = replace(
        moe,
        experts=read.whole("dspark_n_routed_experts", default=moe.experts, high=LARGEST["experts"]),
        top_k=read.whole("dspark_num_experts_per_tok", default=moe.top_k),
    )
    looked = len(read.numbers("dspark_target_layer_ids"))
    rank = read.whole("dspark_markov_rank", default=0, low=0)
    vocab = read.whole("vocab_size", high=LARGEST["vocab"])
    together = looked * hidden * hidden + 2 * rank * vocab
    # the projection of a draft that is counted besides takes two widths of the residual
    spare = max(together - 2 * modules * hidden * hidden, 0) // modules
    extras = (*mixing, Extra("draft_tables", spare, n=max(rank, 1), k=hidden))
    return Block(modules, _window(read), replace(moe, router_bias=moe.experts), extras=extras)


ENCODED: dict[str, Family] = {"deepseek_v41": deepseek_v41, "deepseek_v41_text": deepseek_v41}
"""Readers of this family by `model_type`."""
