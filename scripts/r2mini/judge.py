"""Whether R2 may be launched: it answers unseen questions better than R1, surely; else the launch waits.

The test is McNemar's, exact and one-sided, on the same questions asked of both (Psychometrika 12, 153, 1947): of the
questions that one of the two alone answers rightly, those of R2 are k of m; if both were equally good k would be
binomial(m, 1/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

FEWEST = 400
"""Questions below which nothing is judged."""

SURELY = 0.01
"""Probability below which chance is no explanation."""


@dataclass(frozen=True)
class Verdict:
    """What both answered rightly, of n; questions that one alone did; the probability by chance; what follows."""

    n: int
    before: float
    after: float
    only_before: int
    only_after: int
    chance: float
    passes: bool
    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def verdict(before: Sequence[bool], after: Sequence[bool]) -> Verdict:
    """R1's answers against R2's, right or wrong, to the same questions."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} answers of one, {len(after)} of the other")
    n = len(before)
    lost = sum(old and not new for old, new in zip(before, after, strict=True))
    won = sum(new and not old for old, new in zip(before, after, strict=True))
    chance = by_chance(won, won + lost)
    old, new = (sum(answers) / max(1, n) for answers in (before, after))
    enough, surely = n >= FEWEST, chance < SURELY
    said = f"R1 {old:.1%}, R2 {new:.1%} of {n} unseen tasks; by chance with probability {chance:.2g}"
    if not enough:
        said = f"the launch waits: {n} tasks are fewer than {FEWEST} ({said})"
    elif not surely:
        said = f"the launch waits: R2 is not surely better ({said}; below {SURELY:g} is asked)"
    return Verdict(n, old, new, lost, won, chance, enough and surely, said)


def by_chance(won: int, of: int) -> float:
    """P(at least `won` of `of`) of a fair coin."""
    ways: int = sum(comb(of, k) for k in range(won, of + 1))
    return ways / float(2**of)
