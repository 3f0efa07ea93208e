"""Numbers that are not known exactly: written as people write them, held as a distribution, drawn with a seed.

    5                     a point
    3 to 8 weeks          a 90 % interval: lognormal when positive, normal when it reaches zero or below, logit-normal
                          for a share between 0 and 1; for dates normal over days
    normal(mean, sd)      lognormal(median, sigma of the logarithm)      uniform(low, high)
    triangular(low, mode, high)      beta(a, b) or beta(a, b, low, high)      one of(a, b, c)

Drawing goes through quantiles: each quantity has a stream of uniform numbers that depends on the seed and on the
quantity's name alone. The same quantity therefore gets the same draws in every what-if (common random numbers), and
adding one input leaves the draws of the others as they were.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tonnage import units

Floats = NDArray[np.float64]

Z90 = NormalDist().inv_cdf(0.95)
"""Half width of a 90 % interval of the standard normal distribution, 1.645."""

_CALL = re.compile(r"^\s*(normal|lognormal|uniform|triangular|beta|one[ _]of)\s*\((.*)\)\s*$", re.IGNORECASE)
_RANGE = re.compile(r"\s+to\s+", re.IGNORECASE)
_UNITLESS = re.compile(r"^\s*\$?\s*[+-]?[\d_,.]+(?:[eE][+-]?\d+)?\s*$")
_ARGUMENTS = {"normal": (2,), "lognormal": (2,), "uniform": (2,), "triangular": (3,), "beta": (2, 4)}


@dataclass(frozen=True)
class Uncertain:
    """A distribution. kind: `point`, `normal` (mean, sd), `lognormal` (median, sigma), `logitnormal` (median, sigma),
    `uniform` (low, high), `triangular` (low, mode, high), `beta` (a, b, low, high) or `choice` (values, equally
    likely). `text` is what the user wrote. within: what the quantity can be at all; draws beyond are held there.
    """

    kind: str
    values: tuple[float, ...]
    text: str = ""
    within: tuple[float, float] | None = None

    @property
    def certain(self) -> bool:
        """Whether it is one number."""
        return self.kind == "point"

    @property
    def median(self) -> float:
        """The value that is as likely to be passed as not."""
        return float(self.quantile(np.array([0.5]))[0])

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval."""
        low, high = self.quantile(np.array([0.05, 0.95]))
        return float(low), float(high)

    def quantile(self, p: Floats) -> Floats:
        """Value that is not passed with probability p; p has any shape, 0 < p < 1."""
        found = _QUANTILE[self.kind](self.values, np.asarray(p, dtype=np.float64))
        return found if self.within is None else np.clip(found, *self.within)

    def scaled(self, factor: float) -> Uncertain:
        """The quantity times a positive factor."""
        count = {"lognormal": 1, "logitnormal": 0}.get(self.kind, len(self.values))
        keep = 2 if self.kind == "beta" else 0
        values = [v * factor if keep <= i < max(count, 1) else v for i, v in enumerate(self.values)]
        within = None if self.within is None else (self.within[0] * factor, self.within[1] * factor)
        return Uncertain(self.kind, tuple(values), self.text, within)


def point(value: float, text: str = "") -> Uncertain:
    """One number."""
    return Uncertain("point", (float(value),), text)


def between(low: float, high: float, text: str = "", *, share: bool = False) -> Uncertain:
    """The distribution whose 90 % interval is low to high: see the module's text for which one."""
    if low == high:
        return point(low, text)
    if share and low > 0 and high < 1:
        a, b = (np.log(x / (1 - x)) for x in (low, high))
        return Uncertain("logitnormal", (1 / (1 + float(np.exp(-(a + b) / 2))), float(b - a) / (2 * Z90)), text)
    if share and low >= 0 and high <= 1:
        return Uncertain("uniform", (low, high), text)
    if low > 0:
        return Uncertain("lognormal", (float(np.sqrt(low * high)), float(np.log(high / low)) / (2 * Z90)), text)
    return Uncertain("normal", ((low + high) / 2, (high - low) / (2 * Z90)), text)


_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
     1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
     687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.74545014278341407640e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip
"""Coefficients of Wichura's AS 241 (Applied Statistics 37, 1988), as in Python's `statistics.NormalDist`."""


def _ratio(form: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    over, under = (np.polyval(np.array(part), x) for part in form)
    return np.asarray(over / under)


def normal_scores(p: Floats) -> Floats:
    """Inverse of the standard normal distribution, accurate to about 16 digits (AS 241)."""
    q = np.asarray(p, dtype=np.float64) - 0.5
    found = _ratio(_CENTRE, 0.180625 - q * q) * q
    far = np.abs(q) > 0.425
    if far.any():
        r = np.sqrt(-np.log(np.where(q[far] < 0, p[far], 1 - p[far])))
        tail = np.where(r <= 5, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5))
        found[far] = np.copysign(tail, q[far])
    return np.asarray(found)


def _triangular(v: tuple[float, ...], p: Floats) -> Floats:
    low, mode, high = v
    width = high - low
    turn = (mode - low) / width if width else 0.0
    left = low + np.sqrt(p * width * (mode - low))
    return np.asarray(np.where(p < turn, left, high - np.sqrt((1 - p) * width * (high - mode))))


def _beta(v: tuple[float, ...], p: Floats) -> Floats:
    """Inverse of the beta distribution by its density summed on a grid of 20,000 cells (error below 1e-3)."""
    a, b, low, high = v
    x = (np.arange(20_000) + 0.5) / 20_000
    log_density = (a - 1) * np.log(x) + (b - 1) * np.log1p(-x)
    cumulative = np.cumsum(np.exp(log_density - log_density.max()))
    return np.asarray(low + (high - low) * np.interp(p, cumulative / cumulative[-1], x))


def _choice(v: tuple[float, ...], p: Floats) -> Floats:
    return np.asarray(np.array(v)[np.minimum((p * len(v)).astype(int), len(v) - 1)])


def _logitnormal(v: tuple[float, ...], p: Floats) -> Floats:
    return np.asarray(1 / (1 + (1 - v[0]) / v[0] * np.exp(-v[1] * normal_scores(p))))


_QUANTILE: dict[str, Callable[[tuple[float, ...], Floats], Floats]] = {
    "point": lambda v, p: np.full(p.shape, v[0]),
    "normal": lambda v, p: v[0] + v[1] * normal_scores(p),
    "lognormal": lambda v, p: v[0] * np.exp(v[1] * normal_scores(p)),
    "logitnormal": _logitnormal,
    "uniform": lambda v, p: v[0] + (v[1] - v[0]) * p,
    "triangular": _triangular,
    "beta": _beta,
    "choice": _choice,
}


class Streams(Protocol):
    """Uniform numbers that are laid out by a design, in place of those that a seed gives."""

    def of(self, name: str, draws: int) -> Floats:
        """Those of the quantity `name` [draws]."""

    def arrange(self, make: Callable[[int, int], dict[str, Floats]]) -> dict[str, Floats]:
        """Those of quantities that are made together, by a function of a seed and a number of draws."""


Seed = int | Streams
"""Where uniform numbers come from."""


def uniforms(seed: Seed, name: str, draws: int) -> Floats:
    """Uniform numbers [draws] of the quantity `name`: `latin` of a seed, or those of a design."""
    return latin(seed, name, draws) if isinstance(seed, int) else seed.of(name, draws)


BLOCKS = 10
"""Latin hypercubes that the draws are made of, so that what an answer owes to chance is seen from how they differ."""

BLOCK = 20
"""Fewest draws of one of them."""


def blocks(draws: int) -> tuple[slice, ...]:
    """The draws of each Latin hypercube, of sizes that differ by one at most."""
    count = max(1, min(BLOCKS, draws // BLOCK))
    ends = [draws * i // count for i in range(count + 1)]
    return tuple(slice(a, b) for a, b in itertools.pairwise(ends))


@functools.lru_cache(maxsize=64)
def latin(seed: int, name: str, draws: int) -> Floats:
    """Latin hypercube samples [draws] of the unit interval for the quantity `name` (McKay et al. 1979), one after the
    other (`blocks`).

    Within each one number falls into each of as many equal strata as it has draws; the order is random and depends on
    seed and name alone.
    """
    generator = np.random.default_rng([seed & 0xFFFFFFFF, zlib.crc32(name.encode())])
    sizes = [block.stop - block.start for block in blocks(draws)]
    made = np.concatenate([(generator.permutation(n) + generator.uniform(1e-9, 1 - 1e-9, n)) / n for n in sizes])
    made.flags.writeable = False
    return made


def rank(values: Floats, p: float) -> float:
    """The smallest value that a share p of the draws does not pass (an order statistic: nothing is interpolated)."""
    ordered = np.sort(values)
    return float(ordered[max(0, int(np.ceil(p * values.size)) - 1)])


def rank_error(values: Floats, p: float) -> float | None:
    """Standard error of `rank`, of draws in their order: half the distance of the order statistics that lie one
    standard error of the share p on either side (`share_error`); None where one of the two is infinite or lies beyond
    the draws.
    """
    n = values.size
    spread = n * share_error(values <= rank(values, p), p)
    low, high = int(np.floor(n * p - spread)) - 1, int(np.ceil(n * p + spread)) - 1
    if low < 0 or high >= n:
        return None
    ordered = np.sort(values)
    found = float(ordered[high] - ordered[low]) / 2 if np.isfinite(ordered[high]) else np.inf
    return found if np.isfinite(found) else None


def share_error(which: NDArray[np.bool_], p: float) -> float:
    """Standard error of the share of draws of which something holds, by batch means: the spread over the hypercubes, by
    the root of their number. Of a single one it is that of a binomial count of share p, which is too much.

    Hypercubes are drawn for themselves, so this holds for any answer; within one the draws are not independent, and a
    binomial count would say several times too much where few inputs decide.
    """
    parts = [which[block].mean() for block in blocks(which.size)]
    if len(parts) == 1:
        return float(np.sqrt(p * (1 - p) / which.size))
    return float(np.std(parts, ddof=1) / np.sqrt(len(parts)))


def draw(quantity: Uncertain, seed: Seed, name: str, draws: int) -> Floats:
    """Sample [draws] of a quantity; a point gives equal numbers and uses no randomness."""
    if quantity.certain:
        return np.full(draws, quantity.values[0])
    return quantity.quantile(uniforms(seed, name, draws))


def parse(text: str | float | int, kind: str) -> Uncertain:
    """A point, a range or a distribution of a quantity of `kind` (see `units.KINDS`), in base units.

    Raises ValueError with a sentence: the unit is missing or does not fit, the range is reversed, a distribution has no
    such shape.
    """

    def one(part: str | float | int) -> float:
        if units.lacks_unit(part, kind):
            raise ValueError(f'"{str(part)[:40]}" needs its unit, such as {units.example(kind)}')
        return units.parse(part, kind)

    return _parse(text, one, share=kind == "share", kind=kind)


def parse_date(text: str | datetime.date) -> Uncertain:
    """A date, a range of dates (90 % interval, normal over days) or a distribution, as day numbers (ordinals).

    `2025-05 to 2025-07` runs from the first day of May to the last of July.
    """
    if isinstance(text, datetime.date):
        return point(float(units.parse_date(text).toordinal()), str(text))
    parts = _RANGE.split(str(text)) if not _CALL.match(str(text)) else []
    if len(parts) == 2:
        low, high = units.parse_date(parts[0]).toordinal(), units.parse_date(parts[1], end=True).toordinal()
        _ordered(low, high, str(text))
        return (
            Uncertain("normal", ((low + high) / 2, (high - low) / (2 * Z90)), str(text)) if low < high else point(low)
        )
    found = _parse(str(text), lambda part: float(units.parse_date(str(part)).toordinal()), share=False, kind="date")
    if found.kind not in ("point", "uniform", "choice"):
        raise ValueError(f'a date is a point, "A to B", uniform(A, B) or one of(A, B), not {found.kind}')
    return found


def _parse(text: str | float | int, one: Callable[[str | float | int], float], *, share: bool, kind: str) -> Uncertain:
    if not isinstance(text, str):
        return point(one(text), str(text))
    if len(text) > 200:
        raise ValueError("longer than 200 characters")
    call = _CALL.match(text)
    if call:
        return _distribution(call[1].lower().replace("_", " "), call[2], one, text)
    parts = _RANGE.split(text.strip())
    if len(parts) == 1:
        return point(one(text), text)
    if len(parts) != 2:
        raise ValueError(f'"{text}" is not a range; write it like 3 to 8')
    high = one(parts[1])
    low = _lower(parts[0], parts[1], one)
    _ordered(low, high, text)
    return between(low, high, text, share=share)


def _lower(low: str, high: str, one: Callable[[str | float | int], float]) -> float:
    """The lower end; one written without a unit takes the unit of the upper end: `3 to 8 weeks`, `$1 to $2/h`."""
    unit = re.sub(r"^\s*\$?\s*[+-]?[\d_,.]+(?:[eE][+-]?\d+)?", "", high)
    if _UNITLESS.match(low) and unit.strip():
        dollar = "$" if "$" in high and "$" not in low else ""
        return one(f"{dollar}{low.strip()}{unit}")
    return one(low)


def _ordered(low: float, high: float, text: str) -> None:
    if low > high:
        raise ValueError(f'the range "{text}" is reversed: its first end is the larger')


def _distribution(name: str, arguments: str, one: Callable[[str | float | int], float], text: str) -> Uncertain:
    parts = [part.strip() for part in arguments.split(",")]
    if name == "one of":
        return Uncertain("choice", tuple(one(part) for part in parts), text)
    if len(parts) not in _ARGUMENTS[name]:
        expected = " or ".join(map(str, _ARGUMENTS[name]))
        raise ValueError(f"{name}(...) takes {expected} numbers, got {len(parts)}")
    if name == "beta":
        a, b = (units.parse(part, "number") for part in parts[:2])
        low, high = (one(part) for part in parts[2:]) if len(parts) == 4 else (0.0, 1.0)
        values: tuple[float, ...] = (a, b, low, high)
    elif name == "lognormal":
        values = (one(parts[0]), units.parse(parts[1], "number"))
    else:
        values = tuple(one(part) for part in parts)
    _check_distribution(name, values, text)
    return Uncertain(name, values, text)


def _check_distribution(name: str, values: tuple[float, ...], text: str) -> None:
    if name in ("normal", "lognormal") and values[1] < 0:
        raise ValueError(f'the spread in "{text}" is negative')
    if name == "lognormal" and values[0] <= 0:
        raise ValueError(f'the median in "{text}" is not positive')
    if name == "beta" and (min(values[:2]) <= 0 or values[2] > values[3]):
        raise ValueError(f'"{text}" is not a beta distribution: a and b are positive and low is below high')
    if name in ("uniform", "triangular") and list(values) != sorted(values):
        raise ValueError(f'the numbers in "{text}" are not in rising order')
