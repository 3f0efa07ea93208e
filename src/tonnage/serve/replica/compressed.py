"""DeepSeek-V4's cache as engines keep it: windows, compressed entries, index keys, and tails that wait for theirs.

A tail holds keys and scores in FP32 until its entry closes: two series of the entry's width where two overlap (ratio
4), one where they do not (ratio 128).
"""

from __future__ import annotations

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
    if mtp and arch.mtp is not None and isinstance(arch.mtp.mixer, Compressed):
        found.append((arch.mtp.mixer, arch.mtp.count))
    return found


def entry_bytes(mixer: Compressed, element: float) -> float:
    """Bytes of one cached entry, of a window or compressed: what a second token adds to a window."""
    one, two = (mixer.cache_bytes(np.asarray(tokens), element) for tokens in (1.0, 2.0))
    return float(two - one)


def _padded(size: float, element: float) -> float:
    return float(np.ceil(size / ALIGNED) * ALIGNED) if element < BF16 else size


def pages(arch: Architecture, element: float, engine: Engine, context: Numbers, flight: Numbers, mtp: bool) -> Numbers:
    """Bytes that a sequence holds in vLLM (`_get_kv_cache_groups_uniform_groups`).

    A page is a tuple of one layer each of every compressed kind and its index, times as many tuples as a group has.
    Entries take one for every 256 tokens; windows one for every 64, tails of ratio 4 and 128 one for every 4 and 8 of
    the tokens that are in reach or in flight, and one more each.
    """
    layers = _layers(arch, mtp)
    context = np.asarray(context, dtype=float)
    counts = {ratio: sum(count for mixer, count in layers if mixer.ratio == ratio) for ratio in TAILS}
    whole, window = sum(count for _, count in layers), float(layers[0][0].window)
    first = max(counts.values())
    groups = [first, whole, *[count for count in counts.values() if count]]
    size = _tuples(groups, first)
    needed = np.ceil(context / BLOCK)
    for count, tokens, reach in ((whole, NEAR, window), *((counts[ratio], *TAILS[ratio]) for ratio in TAILS)):
        alive = np.ceil(np.minimum(reach - 1 + flight, context) / tokens) + 1
        needed = needed + np.ceil(count / size) * alive
    return needed * size * _tuple_bytes(layers, element)


def _tuple_bytes(layers: Layers, element: float) -> float:
    """Bytes of one page of every compressed kind and of its index."""
    sizes = set()
    for mixer, _ in layers:
        if mixer.ratio:
            sizes.add(_padded(BLOCK // mixer.ratio * entry_bytes(mixer, element), element))
        if mixer.ratio and mixer.indexer:
            sizes.add(_padded(BLOCK // mixer.ratio * scaled(mixer.indexer.dim), element))
    return float(sum(sizes))


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


def pools(arch: Architecture, element: float, engine: Engine, context: Numbers, flight: Numbers, mtp: bool) -> Numbers:
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
