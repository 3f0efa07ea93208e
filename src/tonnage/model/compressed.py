"""DeepSeek-V4's attention: one key-value head, a window, and a long range compressed by 4 (chosen) or 128 (all)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.model.latent import BF16, Indexer, scaled
from tonnage.model.operators import Load, Operator
from tonnage.model.site import Site, capped_pairs


@dataclass(frozen=True)
class Compressed:
    """Sliding window plus compressed entries (DeepSeek-V4 report, section 2.3; as in transformers `deepseek_v4`).

    Keys are values: one head of `dim` is cached for each token in the window, and one for every `ratio` tokens beyond
    it. ratio 0: window only. With an `indexer` (ratio 4) a query meets the `topk` entries that score highest, and
    entries are made from two overlapping series; without (ratio 128) it meets all. q_lora: rank of the query; groups,
    o_lora: the output projection is block-diagonal over groups, then mixed. Tokens waiting for their entry to close
    (fewer than `ratio` a sequence) are not counted in the cache.
    """

    heads: int
    q_lora: int
    dim: int
    rope: int
    window: int
    ratio: int
    groups: int
    o_lora: int
    indexer: Indexer | None = None

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        if not self.ratio:
            return f"window{self.window}"
        return f"compressed{self.ratio}" + ("-sparse" if self.indexer else "")

    @property
    def series(self) -> int:
        """Overlapping series that make an entry."""
        return 2 if self.indexer else 1

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Projections, compression, indexer, core of each load, grouped output projection."""
        return (*self._projections(site), *self._compression(site), *self._cores(site), *self._output(site))

    def _projections(self, site: Site) -> tuple[Operator, ...]:
        query = self.heads * self.dim
        first = self.q_lora + self.dim
        return (
            site.gemm("qkv_a", "attention", first, site.hidden, "none", saved=site.hidden),
            site.pointwise("latent_norm", "attention", 2 * first, weight=first, saved=first),
            site.gemm(
                "q_b", "attention", query, self.q_lora, "column", saved=self.q_lora, heads=self.heads, role="mla_up"
            ),
            site.pointwise("rope", "attention", 2 * query, "heads", weight=self.heads, saved=query, heads=self.heads),
        )

    def _compression(self, site: Site) -> tuple[Operator, ...]:
        """Entries of the long range and the index that chooses among them, made from each token."""
        if not self.ratio:
            return ()
        wide = 2 * self.series * self.dim
        made = [
            site.gemm("compress_proj", "attention", wide, site.hidden, "none"),
            site.pointwise(
                "compress",
                "attention",
                wide + self.dim / self.ratio,
                weight=self.ratio * self.series * self.dim + self.dim,
                saved=wide,
            ),
        ]
        if self.indexer:
            index = self.indexer
            held = self.ratio * 2 * index.dim + index.dim
            narrow = 4 * index.dim + index.heads
            made += [
                site.gemm("index_q", "attention", index.heads * index.dim, self.q_lora, "none"),
                site.gemm("index_proj", "attention", narrow, site.hidden, "none"),
                site.pointwise("index_compress", "attention", narrow, weight=held, saved=4 * index.dim),
            ]
        return tuple(made)

    def _cores(self, site: Site) -> tuple[Operator, ...]:
        made = []
        for load in site.step.loads:
            if self.indexer:
                made.append(self._scan(site, load, self.indexer))
            made.append(self._core(site, load))
        return tuple(made)

    def _scan(self, site: Site, load: Load, index: Indexer) -> Operator:
        """Scores of every compressed entry in view."""
        new = load.sequences * load.new
        pairs = load.sequences * self._entries(load, np.inf)
        return Operator(
            name="index",
            part="attention",
            kind="attention",
            block=site.block,
            count=site.count,
            cut="none",
            m=new,
            n=pairs / np.maximum(new, 1e-30),
            k=float(index.dim),
            groups=float(index.heads),
            flop=pairs * (2.0 * index.heads * index.dim),
            stream=new * float(index.heads * index.dim + index.dim / self.ratio),
            cache_read=load.sequences * np.floor_divide(load.context, self.ratio) * float(index.dim),
            cache_write=new * (index.dim / self.ratio),
            saved=new * float(index.heads * index.dim),
            heads_limit=1.0,
        )

    def _core(self, site: Site, load: Load) -> Operator:
        """Attention over the window and the chosen (or all) compressed entries."""
        new = load.sequences * load.new
        pairs = capped_pairs(load, float(self.window)) + load.sequences * self._entries(load, self._cap())
        entries = 1.0 + (1.0 / self.ratio if self.ratio else 0.0)
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
            stream=new * (self.dim * (2.0 * self.heads + entries)),
            cache_read=load.sequences * float(self.dim) * self._read(load),
            cache_write=new * (self.dim * entries),
            saved=new * (self.heads * (self.dim + 2.0) + self.dim * entries),
            heads_limit=1.0,
        )

    def _cap(self) -> float:
        """Compressed entries that one query meets at most."""
        return float(self.indexer.topk) if self.indexer else np.inf

    def _entries(self, load: Load, cap: float) -> Numbers:
        """Compressed entries met by the new queries of a sequence: sum of min(floor(position / ratio), cap)."""
        if not self.ratio:
            return load.context * 0.0
        last, first = load.context + load.new, load.context
        return self._met(last, cap) - self._met(first, cap)

    def _met(self, position: Numbers, cap: float) -> Numbers:
        """Entries met by the queries at the first `position` places of a sequence, together."""
        full = cap * self.ratio
        free = np.minimum(position, full - 1.0) if np.isfinite(full) else position
        closed = np.floor_divide(free, self.ratio)
        counted = self.ratio * closed * (closed - 1.0) / 2.0 + closed * (free - closed * self.ratio + 1.0)
        return counted + (np.maximum(position - full + 1.0, 0.0) * cap if np.isfinite(full) else 0.0)

    def _read(self, load: Load) -> Numbers:
        """Cached entries that a load must read: the window, and the chosen (or all) compressed entries."""
        near = np.minimum(load.context, float(self.window))
        if not self.ratio:
            return near
        far = np.floor_divide(load.context, self.ratio)
        return near + (np.minimum(far, load.new * self._cap()) if self.indexer else far)

    def _output(self, site: Site) -> tuple[Operator, ...]:
        """The block-diagonal projection of each group of heads, then the one that mixes them."""
        wide, mixed = self.heads * self.dim, self.groups * self.o_lora
        first = site.gemm("o_a", "attention", mixed, wide / self.groups, "heads", saved=wide, heads=self.groups)
        return (
            replace(first, stream=first.m * float(wide + mixed)),
            site.gemm("o_proj", "attention", site.hidden, mixed, "row", saved=mixed),
        )

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Elements cached for a sequence of `context` tokens; whole on each of `tp` ranks."""
        kept = np.minimum(context, float(self.window)) * float(self.dim)
        if self.ratio:
            width = self.dim + (self.indexer.dim if self.indexer else 0)
            kept = kept + np.floor_divide(context, self.ratio) * float(width)
        return kept * np.ones(np.shape(tp))

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Bytes of the cache.

        In 8 bits an entry is FlashMLA's for DeepSeek-V4: what has no rotary part in FP8 with a one-byte scale for each
        64 elements (7, padded to 8), the rotary part in BF16, 584 bytes (SGLang's `pool_configurator.py`; vLLM pads a
        page to a multiple of 576). Index keys are FP8 with an FP32 scale for each 128.
        """
        entry = float(self.dim * element)
        if element < BF16:
            entry = self.dim + self.rope * (BF16 - 1) + 8.0 * np.ceil((self.dim - self.rope) / 512)
        kept = np.minimum(context, float(self.window)) * entry
        if self.ratio:
            index = scaled(self.indexer.dim) if self.indexer else 0.0
            kept = kept + np.floor_divide(context, self.ratio) * (entry + index)
        return kept * np.ones(np.shape(tp))

    def state(self, tp: Ints = 1) -> Numbers:
        """No recurrent state."""
        return 0.0
