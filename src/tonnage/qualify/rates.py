"""From counts to rates, with exact bounds; and how long one must watch to see enough.

k failures in T card-days bound the rate lambda from above, at confidence c, by the largest one under which as few as k
are seen with probability 1 - c: P(X <= k | lambda T) = 1 - c, X of Poisson (Garwood 1936). With k = 0 that is
lambda = -ln(1 - c) / T: no failure in 64 card-days shows 47 in 1,000 card-days at most, at 95 %. Of n trials the same
question about a share is Clopper and Pearson's (1934).
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
"""Share of cases in which a bound holds (the convention of both references)."""

STEPS = 200
"""Halvings of an interval: more than the 52 bits of a number need."""


def most(count: int, confidence: float = CONFIDENCE) -> float:
    """Upper bound on the mean of a Poisson count of which `count` were seen."""
    return _crossing(lambda mean: _few(count, mean), 1 - confidence, 0.0, 10.0 * (count + 5))


def least(count: int, confidence: float = CONFIDENCE) -> float:
    """Lower bound on the same; 0 where none was seen."""
    if count == 0:
        return 0.0
    return _crossing(lambda mean: _few(count - 1, mean), confidence, 0.0, 10.0 * (count + 5))


def share_most(count: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Upper bound on a share of which `count` of so many trials were seen; 1 where nothing was tried."""
    if count >= trials:
        return 1.0
    return _crossing(lambda share: _few_of(count, trials, share), 1 - confidence, 0.0, 1.0)


def share_least(count: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Lower bound on the same."""
    return 1 - share_most(trials - count, trials, confidence) if trials else 0.0


def exposure(rate: float, count: int = 0, confidence: float = CONFIDENCE) -> float:
    """Time to watch until `count` failures bound the rate by `rate`: in the inverse of its unit."""
    return most(count, confidence) / rate if rate > 0 else math.inf


def _few(count: int, mean: float) -> float:
    """P(X <= count) of a Poisson X."""
    if mean <= 0:
        return 1.0
    terms = (math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1))
    return math.fsum(terms)


def _few_of(count: int, trials: int, share: float) -> float:
    """P(X <= count) of a binomial X."""
    if share <= 0 or share >= 1:
        return float(share <= 0)
    whole = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(i + 1)
            - math.lgamma(trials - i + 1)
            + i * math.log(share)
            + (trials - i) * math.log1p(-share)
        )
        for i in range(count + 1)
    )


def _crossing(falling: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a falling function takes a value."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2
