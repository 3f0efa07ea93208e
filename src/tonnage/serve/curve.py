"""What the cache of a layout holds, context by context: sequences, tokens, and bytes of a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tonnage.layout import Layout
from tonnage.model import Architecture
from tonnage.serve.replica.engines import Engine
from tonnage.serve.replica.memory import PricedRank, RankMemory, usual_step
from tonnage.system import Accelerator, Precision
from tonnage.values import Plain

CONTEXTS = (1024, 8192, 32768, 131072, 262144, 1048576)
"""Contexts of the curve, as far as the model reads [tokens]."""


@dataclass(frozen=True)
class FitPoint:
    """What the whole cache holds at one context: sequences at once, tokens in them, and bytes of a token on a rank."""

    context: int
    sequences: float
    tokens: float
    token_bytes: float

    def to_json(self) -> Mapping[str, Plain]:
        """The fields."""
        return {name: getattr(self, name) for name in ("context", "sequences", "tokens", "token_bytes")}


@dataclass(frozen=True)
class CacheRoom:
    """Replicas of one layout, and what their cache has room for; share: of the memory that the engine takes; told:
    longest sequence that it is told to expect, the model's own limit where None; drafts: tokens drafted for a sequence
    in a step.
    """

    arch: Architecture
    die: Accelerator
    precision: Precision
    layout: Layout
    engine: Engine
    share: float | None
    replicas: float = 1.0
    told: float | None = None
    drafts: int = 0

    @cached_property
    def _rank(self) -> PricedRank:
        mtp = self.drafts > 0 and self.arch.mtp is not None
        return PricedRank(self.arch, self.die, self.precision, self.layout, self.engine, mtp)

    def rank(self, context: float) -> RankMemory:
        """Memory of a rank for sequences of `context` tokens."""
        tokens = usual_step(self.engine, self.die)
        drafts, share = self.drafts, self.share
        return self._rank.memory(context=context, tokens=tokens, drafts=drafts, share=share, longest=self.told)

    def longest(self) -> int:
        """Longest sequence that fits, by bisection over whole blocks."""
        low, high, block = 0, 1 << 34, self.engine.block
        while high - low > block:
            middle = (low + high) // 2 // block * block
            if middle in (low, high):
                break
            fits = bool(self.rank(float(middle)).starts)
            low, high = (middle, high) if fits else (low, middle)
        return low

    def at(self, context: float) -> FitPoint:
        """What all replicas hold at one context."""
        found = self.rank(context)
        pool, tokens = max(float(found.pool), 0.0), max(float(found.tokens), 0.0)
        sequences = max(float(found.sequences), 0.0)
        return FitPoint(int(context), sequences * self.replicas, tokens * self.replicas, pool / max(tokens, 1e-9))

    def curve(self) -> tuple[FitPoint, ...]:
        """What they hold at several contexts."""
        contexts = [c for c in CONTEXTS if not self.arch.context or c <= self.arch.context] or [self.arch.context]
        return tuple(self.at(float(c)) for c in contexts)
