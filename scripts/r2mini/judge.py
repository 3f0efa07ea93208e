"""Whether R2 may be launched: it answers unseen questions better than R1, surely; else the launch waits.

The test is McNemar's, exact and one-sided, on the same questions asked of both (Psychometrika 12, 153, 1947): of the
questions that one of the two alone answers rightly, those of R2 are k of m; if both were equally good k would be
binomial(m, 1/2). Questions are given: chance is in the answers, which are sampled. Where some questions are harder for
one and some for the other, k varies less than that (Hoeffding, Ann. Math. Stat. 27, 713, 1956), and the test errs less.

It is asked in groups: 400 questions first, and more while R2 leads and that may be chance. Each look may err in so much
of what all may (Bonferroni: the sum bounds the error of all of them, however they depend on each other).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

LOOKS = {400: 0.0025, 800: 0.0025, 1600: 0.005}
"""Questions asked so far at each look, and the probability below which chance is no explanation there: 0.01 in all.

A true lead of 6 points, with 3 questions in 10 that one alone answers, is found by then in 24, 61 and 95 of 100 cases.
"""

FEWEST, MOST = min(LOOKS), max(LOOKS)
"""Questions below which nothing is judged, and those after which nothing more is asked."""

SURELY = sum(LOOKS.values())
"""Probability that a release which is no better is launched, at most."""


@dataclass(frozen=True)
class Verdict:
    """What both answered rightly, of n; questions that one alone did; the probability by chance, and below which one
    it is none; what follows: `passes`, or more questions (`undecided`), or the launch waits.
    """

    n: int
    before: float
    after: float
    only_before: int
    only_after: int
    chance: float
    surely: float
    passes: bool
    undecided: bool
    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def verdict(before: Sequence[bool], after: Sequence[bool]) -> Verdict:
    """R1's answers against R2's, right or wrong, to the same questions, at one look."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} answers of one, {len(after)} of the other")
    n = len(before)
    lost = sum(old and not new for old, new in zip(before, after, strict=True))
    won = sum(new and not old for old, new in zip(before, after, strict=True))
    chance = by_chance(won, won + lost)
    old, new = (sum(answers) / max(1, n) for answers in (before, after))
    surely = LOOKS[max(look for look in LOOKS if look <= max(n, FEWEST))]
    passes = n >= FEWEST and chance < surely
    undecided = not passes and n < MOST and (won > lost or n < FEWEST)
    said = f"R1 {old:.1%}, R2 {new:.1%} of {n} unseen tasks; by chance with probability {chance:.2g}"
    if n < FEWEST:
        said = f"the launch waits: {n} tasks are fewer than {FEWEST} ({said})"
    elif not passes:
        stands = "undecided" if undecided else "the launch waits"
        said = f"{stands}: R2 is not surely better ({said}; below {surely:g} is asked)"
    return Verdict(n, old, new, lost, won, chance, surely, passes, undecided, said)


def examined(
    before: Callable[[int], Sequence[bool]], after: Callable[[int], Sequence[bool]], told: Callable[[str], None]
) -> Verdict:
    """One look after the other until it is decided. before, after: whether the first so many answers were right."""
    for look in LOOKS:
        found = verdict(before(look), after(look))
        told(found.text)
        if not found.undecided:
            break
    return found


def by_chance(won: int, of: int) -> float:
    """P(at least `won` of `of`) of a fair coin."""
    ways: int = sum(comb(of, k) for k in range(won, of + 1))
    all_ways: int = 2**of
    return ways / all_ways
