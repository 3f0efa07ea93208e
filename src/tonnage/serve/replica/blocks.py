"""Widths of layers whose weights are in FP8 in blocks that share a scale: ranks may only cut between blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonnage.layout import Layout

BLOCK = 128
"""Elements of a side of a block of weights in FP8 that share a scale (`weight_block_size` of DeepSeek-V3, Qwen3-FP8,
MiniMax-M2, GLM-5-FP8)."""


@dataclass(frozen=True)
class BlockWidth:
    """Width of feed-forward layers whose weights are in FP8 in blocks, which ranks cut; routed: by those that cut
    experts.
    """

    width: int
    routed: bool

    def broken(self, layout: Layout) -> NDArray[np.bool_]:
        """Where a rank would hold a part of a block."""
        cut = np.asarray(layout.etp if self.routed else layout.tp, dtype=np.int64)
        return np.asarray((cut > 1) & (self.width % (cut * BLOCK) != 0), dtype=np.bool_)
