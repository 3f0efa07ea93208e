"""How a model is cut over accelerators: layouts, local operators, and the collectives that the cut implies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.arrays import Ints
from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.layout.backward import backward
    from tonnage.layout.collectives import collectives, gradient_collectives, pipeline_transfer, weight_gather
    from tonnage.layout.notation import RECOMPUTE, SCHEDULE, Layout, parse_layout, show_layout
    from tonnage.layout.sharding import cut_fraction, expert_tokens, shard

__all__ = [
    "RECOMPUTE",
    "SCHEDULE",
    "Ints",
    "Layout",
    "backward",
    "collectives",
    "cut_fraction",
    "expert_tokens",
    "gradient_collectives",
    "parse_layout",
    "pipeline_transfer",
    "shard",
    "show_layout",
    "weight_gather",
]

opened(
    __name__,
    {
        "backward": "backward",
        "collectives": "collectives gradient_collectives pipeline_transfer weight_gather",
        "notation": "RECOMPUTE SCHEDULE Layout parse_layout show_layout",
        "sharding": "cut_fraction expert_tokens shard",
    },
)
