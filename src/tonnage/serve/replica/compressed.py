"""DeepSeek-V4's cache as engines keep it: windows, compressed entries, index keys, and tails that wait for theirs.

A tail holds keys and scores in FP32 until its entry closes: two series of the entry's width where two overlap (ratio
4), one where they do not (ratio 128).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Numbers
from tonnage.model import Architecture
from tonnage.model.compressed import Compressed
from tonnage.model.latent import BF16, scaled
from tonnage.serve.replica.engines import Engine

BLOCK, NEAR = 256, 64
"""Tokens of a page of compressed entries, and of a window (vLLM `models/deepseek_v4/attention.py`, `sparse_swa.py`)."""

TAILS = {4: (4, 8), 128: (8, 128)}
"""Tokens of a page of tails and tokens they reach back, by ratio (vLLM `models/deepseek_v4/compressor.py`)."""

ALIGNED = 576.0
"""Bytes that pages of an 8-bit cache are padded to a multiple of (the same file, `alignment`)."""

RING = {4: 8, 128: 128}
"""Tokens of a sequence's tail in SGLang by ratio (`get_compress_state_ring_size`, without drafts)."""

TAIL = 4.0
"""Bytes of an element of a tail: FP32."""

Layers = list[tuple[Compressed, int]]


def kept(arch: Architecture) -> bool:
    """Whether a model has such a cache."""
    return any(isinstance(block.mixer, Compressed) for block in arch.blocks)


def _layers(arch: Architecture, mtp: bool) -> Layers:
    """Mixers with how many layers have them; an extra layer that drafts keeps a window alone."""
    found = [(block.mixer, block.count) for block in arch.blocks if isinstance(block.mixer, Compressed)]
    ahead = arch.drafting if mtp else ()
    found += [(block.mixer, block.count) for block in ahead if isinstance(block.mixer, Compressed)]
    return found


def entry_bytes(mixer: Compressed, element: float) -> float:
    """Bytes of one cached entry, of a window or compressed: what a second token adds to a window."""
    one, two = (mixer.cache_bytes(np.asarray(tokens), element) for tokens in (1.0, 2.0))
    return float(two - one)


def _padded(size: float, element: float) -> float:
    return float(np.ceil(size / ALIGNED) * ALIGNED) if element < BF16 else size


@dataclass(frozen=True)
class PageGroup:
    """Layers that share a table of pages: how many pages a sequence needs of it, and its layers by bytes of a page."""

    needed: Numbers
    layers: Mapping[float, int]

    @property
    def page(self) -> float:
        """Bytes of a page of all its layers."""
        return float(sum(size * count for size, count in self.layers.items()))


def _groups(layers: Layers, element: float, context: Numbers, flight: Numbers) -> tuple[list[PageGroup], int]:
    """Groups of layers as vLLM makes them (`_get_kv_cache_groups_uniform_groups`), and the tuples of each.

    The first has all entries and their index, a page for every 256 tokens. Windows take one for every 64, tails of
    ratio 4 and 128 one for every 4 and 8 of the tokens that are in reach or in flight, and one more each; their pages
    are as large as the next larger one of the first.
    """
    counts = {ratio: sum(count for mixer, count in layers if mixer.ratio == ratio) for ratio in TAILS}
    whole, window = sum(count for _, count in layers), float(layers[0][0].window)
    first = max(counts.values())
    size = _tuples([first, whole, *[count for count in counts.values() if count]], first)
    entries, tails = _entry_pages(layers, element), _tail_pages(layers, element)
    near = {_fitting(_padded(NEAR * entry_bytes(layers[0][0], element), element), entries): whole}
    made = [PageGroup(np.ceil(context / BLOCK), entries)]
    for pages, tokens, reach in ((near, NEAR, window), *((tails[ratio], *TAILS[ratio]) for ratio in TAILS)):
        alive = np.ceil(np.minimum(reach - 1 + flight, context) / tokens) + 1
        ways = max(-(-count // size) for count in pages.values()) if pages else 0
        made.extend(PageGroup(alive, _part(pages, part, ways)) for part in range(ways))
    return made, size


def _part(pages: Mapping[float, int], part: int, ways: int) -> dict[float, int]:
    """Every `ways`-th of the layers, from the one numbered `part` on."""
    return {page: (count - part + ways - 1) // ways for page, count in pages.items()}


def _entry_pages(layers: Layers, element: float) -> dict[float, int]:
    """Bytes of a page of entries of each ratio and of their index -> layers that have such."""
    found: dict[float, int] = {}
    for mixer, count in layers:
        if mixer.ratio:
            sizes = [entry_bytes(mixer, element), *([scaled(mixer.indexer.dim)] if mixer.indexer else [])]
            for size in (_padded(BLOCK // mixer.ratio * one, element) for one in sizes):
                found[size] = found.get(size, 0) + count
    return found


def _tail_pages(layers: Layers, element: float) -> dict[int, dict[float, int]]:
    """The same of tails, by ratio: keys and scores of each series in FP32, of the index beside."""
    found: dict[int, dict[float, int]] = {ratio: {} for ratio in TAILS}
    entries = _entry_pages(layers, element)
    for mixer, count in layers:
        if mixer.ratio in TAILS:
            widths = [mixer.dim, *([mixer.indexer.dim] if mixer.indexer else [])]
            for width in widths:
                tail = TAILS[mixer.ratio][0] * 2 * mixer.series * width * TAIL
                page = _fitting(_padded(tail, element), entries)
                found[mixer.ratio][page] = found[mixer.ratio].get(page, 0) + count
    return found


def _fitting(size: float, pages: Mapping[float, int]) -> float:
    """The smallest page that holds so much; itself where none does."""
    return min((page for page in pages if page >= size), default=size)


def pages(arch: Architecture, element: float, context: Numbers, flight: Numbers, mtp: bool) -> Numbers:
    """Bytes that vLLM wants free for a sequence when it starts (`_max_memory_usage_bytes_from_groups`): every page of
    every group as large as a tuple of one layer each of the compressed kinds and the index, times the tuples.
    """
    layers = _layers(arch, mtp)
    groups, size = _groups(layers, element, np.asarray(context, dtype=float), flight)
    needed = sum((group.needed for group in groups), start=np.asarray(0.0))
    return needed * size * float(sum(groups[0].layers))


def shared_pages(arch: Architecture, element: float, context: Numbers, flight: Numbers, mtp: bool) -> Numbers:
    """Bytes of the cache that a sequence takes of it as vLLM counts them that run at once
    (`get_max_concurrency_for_kv_cache_config`, 0.23): its groups' pages, in pages of the first group, each of which has
    as many slots of a size as the group that has most of them (`_bucket_layers_by_page_size`).
    """
    groups, _ = _groups(_layers(arch, mtp), element, np.asarray(context, dtype=float), flight)
    first, sizes = groups[0].page, {size for group in groups for size in group.layers}
    needed = np.ceil(sum((group.needed * group.page for group in groups), start=np.asarray(0.0)) / first)
    block = sum(size * max(group.layers.get(size, 0) for group in groups) for size in sizes)
    found: Numbers = needed * float(block)
    return found


def _tuples(groups: list[int], least: int) -> int:
    """Tuples of a group, from `least` on: those that pad all groups least together, the most of those that tie."""
    pads = {size: sum(-count % size for count in groups) for size in range(least, max(groups) + 1)}
    return max(size for size, pad in pads.items() if pad == min(pads.values()))


def pool_token(arch: Architecture, element: float, engine: Engine, mtp: bool) -> float:
    """Bytes of a token of SGLang's pools (`DSV4PoolConfigurator`): compressed entries and index keys; windows and the
    tails of ratio 4, in older versions of ratio 128 too, for `compressed_share` of the tokens.
    """
    layers = _layers(arch, mtp)
    total = 0.0
    for mixer, count in layers:
        entry = entry_bytes(mixer, element)
        total += count * engine.compressed_share * entry
        if mixer.ratio:
            total += count * entry / mixer.ratio
        if mixer.ratio == 128 and engine.tails == "tokens":
            total += count * engine.compressed_share * 2 * mixer.dim * TAIL * RING[mixer.ratio] / mixer.window
        if mixer.ratio and mixer.indexer:
            total += count * scaled(mixer.indexer.dim) / mixer.ratio
            tail = 4 * (mixer.dim + mixer.indexer.dim) * TAIL * RING[mixer.ratio] / mixer.window
            total += count * engine.compressed_share * tail
    return total


def pools(arch: Architecture, element: float, engine: Engine, context: Numbers, mtp: bool) -> Numbers:
    """Bytes that a sequence holds in SGLang: the larger of its shares of the entries' pool and of the windows'."""
    context = np.asarray(context, dtype=float)
    window = float(_layers(arch, mtp)[0][0].window)
    near = np.minimum(context, window) / engine.compressed_share
    return np.maximum(context, near) * pool_token(arch, element, engine, mtp)


def fixed_bytes(arch: Architecture, engine: Engine, running: float) -> float:
    """Bytes that SGLang sets aside for tails of ratio 128, as many as sequences may run and one more."""
    if engine.tails == "tokens":
        return 0.0
    layers = [(mixer, count) for mixer, count in _layers(arch, False) if mixer.ratio == 128]
    rows = np.ceil(((running + 1) * RING[128] + RING[128] + 1) / 128) * 128
    return float(sum(count * rows * 2 * mixer.dim * TAIL for mixer, count in layers))
