"""What is to be run: a config.json -> architecture -> operators (parameters, FLOP, bytes, cache), per layer kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.model.architecture import Architecture, Block, Drafter, Extra, operators, unit_operators
    from tonnage.model.counts import (
        CacheRow,
        Params,
        cache_bytes,
        cache_elements,
        cache_table,
        checkpoint_bytes,
        flop_per_token,
        kv_per_token,
        params,
        state_elements,
    )
    from tonnage.model.drafts import drafter_of, usual_drafter, with_draft
    from tonnage.model.load import build, bundled_names, derive, is_bundled, is_published, load, released
    from tonnage.model.operators import EMBEDDING, HEAD, MTP, Load, Operator, Step
    from tonnage.model.stored import PartFormat, Release, Stored

__all__ = [
    "EMBEDDING",
    "HEAD",
    "MTP",
    "Architecture",
    "Block",
    "CacheRow",
    "Drafter",
    "Extra",
    "Load",
    "Operator",
    "Params",
    "PartFormat",
    "Release",
    "Step",
    "Stored",
    "build",
    "bundled_names",
    "cache_bytes",
    "cache_elements",
    "cache_table",
    "checkpoint_bytes",
    "derive",
    "drafter_of",
    "flop_per_token",
    "is_bundled",
    "is_published",
    "kv_per_token",
    "load",
    "operators",
    "params",
    "released",
    "state_elements",
    "unit_operators",
    "usual_drafter",
    "with_draft",
]

opened(
    __name__,
    {
        "architecture": "Architecture Block Drafter Extra operators unit_operators",
        "counts": "CacheRow Params cache_bytes cache_elements cache_table checkpoint_bytes "
        "flop_per_token kv_per_token params state_elements",
        "drafts": "drafter_of usual_drafter with_draft",
        "load": "build bundled_names derive is_bundled is_published load released",
        "operators": "EMBEDDING HEAD MTP Load Operator Step",
        "stored": "PartFormat Release Stored",
    },
)
