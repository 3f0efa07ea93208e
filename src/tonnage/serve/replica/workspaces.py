"""What vLLM sets aside in its trial step for attention that chooses its keys (DeepSeek-V3.2, GLM-5, DeepSeek-V4).

Read in vLLM 0.23; what is not read of a model (a width of its configuration that is not there) is left out.
"""

from __future__ import annotations

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.model import Architecture
from tonnage.model.compressed import Compressed
from tonnage.model.latent import BF16, Indexer, Mla, scaled

GATHERED = 40.0
"""Longest sequences whose index keys are gathered at once (`get_max_prefill_buffer_size`,
`v1/attention/backends/mla/indexer.py`): at a million tokens 5.2 GiB, a quarter of it where entries close by 4."""

SCORES = 512 * 2.0**20
"""Bytes of scores of a prefill step at most (`VLLM_SPARSE_INDEXER_MAX_LOGITS_MB`, `sparse_attn_indexer.py`)."""

RADIX = 2.0**20
"""Bytes in which the keys are chosen (`RADIX_TOPK_WORKSPACE_SIZE`, the same file)."""

TOGETHER = 4.0
"""Prompts whose entries and windows are unpacked to 16 bits at once (`PREFILL_CHUNK_SIZE`,
`models/deepseek_v4/attention.py`, `nvidia/flashmla.py`)."""

HEADS = (64, 128)
"""Heads that FlashMLA's kernels of DeepSeek-V4 take: queries and outputs are held at that many on a rank, however few
it has (`get_padded_num_q_heads`, `nvidia/flashmla.py`, `nvidia/flashinfer_sparse.py`)."""

TABLES, TABLE = 2.0, 4.0
"""Tables of rotary angles, one of entries and one of windows (`common/rope.py`), and bytes of a number of them: FP32
for each place that the model reads."""


def chooses(arch: Architecture) -> bool:
    """Whether some layers are latent attention over keys that an indexer chooses."""
    return any(isinstance(mixer, Mla) and mixer.indexer is not None for mixer in _mixers(arch))


def workspace_bytes(arch: Architecture, tokens: Numbers, expected: float | None = None) -> Numbers:
    """Bytes that stay set aside on a rank from the trial step on, whatever its other peak [byte]; expected: longest
    sequence that the engine is told of, the model's own limit where None.
    """
    longest, step = float(arch.context if expected is None else expected), np.asarray(tokens, dtype=float)
    found: Numbers = np.asarray(0.0)
    for mixer in _mixers(arch):
        index = mixer.indexer
        ratio = mixer.ratio if isinstance(mixer, Compressed) else 1
        gather = GATHERED * longest / ratio * scaled(index.dim) + RADIX if index and not index.shared else 0.0
        found = np.maximum(found, gather)
        if isinstance(mixer, Compressed) and mixer.ratio:
            rows = longest / mixer.ratio + mixer.window + step
            found = np.maximum(found, TOGETHER * rows * mixer.dim * BF16)
    return np.where(step > 0, found + _tables(arch, step), 0.0)


def _tables(arch: Architecture, step: Numbers) -> Numbers:
    """Rotary angles, and what a step leaves of its streams for a layer that drafts (`_mtp_hidden_buffer`)."""
    found: Numbers = np.asarray(0.0)
    for mixer in _mixers(arch):
        if isinstance(mixer, Compressed):
            streams = arch.config.get("hc_mult")
            wide = float(streams) * arch.hidden if isinstance(streams, (int, float)) else 0.0
            found = TABLES * arch.context * mixer.rope * TABLE + step * wide * BF16
    return found


def attention_bytes(arch: Architecture, layout: Layout, tokens: Numbers) -> Numbers:
    """What a forward pass holds beside its widest operator [byte]: scores of the index, and queries and outputs at the
    heads that the kernels take.
    """
    found: Numbers = np.asarray(0.0)
    for mixer in _mixers(arch):
        index: Indexer | None = mixer.indexer
        scores = SCORES if index is not None and not index.shared else 0.0
        padded: Numbers = np.asarray(0.0)
        if isinstance(mixer, Compressed):
            own = np.ceil(mixer.heads / np.asarray(layout.tp, dtype=float))
            taken = np.where(own <= HEADS[0], HEADS[0], np.maximum(own, HEADS[1]))
            padded = 2.0 * taken * mixer.dim * BF16 * np.asarray(tokens, dtype=float)
        found = np.maximum(found, scores + padded)
    return np.where(np.asarray(tokens) > 0, found, 0.0)


def _mixers(arch: Architecture) -> list[Compressed | Mla]:
    return [block.mixer for block in arch.blocks if isinstance(block.mixer, (Compressed, Mla))]
