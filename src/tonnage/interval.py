"""One shape of doubt: a value with its 90 % interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z90 = 1.6448536269514715
"""Half width of a 90 % interval of the standard normal distribution: 1.645."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 90 % interval, all in one unit; low <= value <= high."""

    value: float
    low: float
    high: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of which low and high are the 5 and 95 % points; 0 for a point."""
        return math.log(self.high / self.low) / (2 * Z90) if 0 < self.low < self.high else 0.0

    def times(self, factor: float) -> Interval:
        """The interval of `factor` (above zero) times the quantity."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def inverse(self, over: float = 1.0) -> Interval:
        """The interval of `over` / quantity: a time from a rate, a rate from a time."""
        return Interval(over / self.value, over / self.high, over / self.low)

    def flat(self, name: str) -> dict[str, float | None]:
        """The keys of JSON answers: NAME, NAME_low, NAME_high."""
        return flat(name, self)


def around(value: float, sigma: float) -> Interval:
    """The interval of a quantity whose logarithm is normal about log(value) with standard deviation sigma."""
    return within(value, math.exp(Z90 * sigma))


def within(value: float, factor: float) -> Interval:
    """The interval from value / factor to value x factor."""
    return Interval(value, value / factor, value * factor)


def point(value: float) -> Interval:
    """A value that is not in doubt."""
    return Interval(value, value, value)


def flat(name: str, found: Interval | None) -> dict[str, float | None]:
    """The keys of JSON answers, each None where there is no such quantity."""
    ends = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
