"""What one fact is: a value with its unit, interval, source, date and kind, or nothing at all."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

KINDS = ("datasheet", "measured", "vendor claim", "press", "estimate")
"""How far a fact can be trusted, best first, by where it was said."""

Value = str | float | bool | datetime.date

UNITS: dict[str, tuple[float, str]] = {
    "TFLOP/s": (1e12, "FLOP/s"),
    "TOP/s": (1e12, "FLOP/s"),
    "PFLOP/s": (1e15, "FLOP/s"),
    "GB": (1e9, "byte"),
    "GiB": (2.0**30, "byte"),
    "GB/s": (1e9, "byte/s"),
    "GB/s both ways": (0.5e9, "byte/s"),
    "TB/s": (1e12, "byte/s"),
    "Gbit/s": (1.25e8, "byte/s"),
    "W": (1.0, "W"),
    "kW": (1e3, "W"),
    "mm2": (1.0, "mm2"),
    "nm": (1.0, "nm"),
    "count": (1.0, ""),
    "share": (1.0, ""),
    "%": (0.01, ""),
    "token": (1.0, "token"),
    "token/s": (1.0, "token/s"),
    "s": (1.0, "s"),
    "h": (3600.0, "s"),
    "accelerator-h": (3600.0, "accelerator-s"),
    "USD": (1.0, "USD"),
    "CNY": (1.0, "CNY"),
    "CNY/USD": (1.0, "CNY/USD"),
    "USD/day": (1 / 86400, "USD/s"),
    "USD/h": (1 / 3600, "USD/accelerator-s"),
    "CNY/h": (1 / 3600, "CNY/accelerator-s"),
    "USD/kWh": (1 / 3.6e6, "USD/J"),
    "CNY/kWh": (1 / 3.6e6, "CNY/J"),
    "USD/Mtoken": (1e-6, "USD/token"),
    "CNY/Mtoken": (1e-6, "CNY/token"),
}
"""Printed unit -> (base units per printed unit, base unit). `both ways` counts two directions and is halved."""

WORDS = ("text", "date", "flag")
"""Units of facts that are not numbers."""


@dataclass(frozen=True)
class Source:
    """Where facts come from. known: `fetched` (the figure was seen there) or `recalled` (from memory, not re-read);
    via: the copy or second-hand report in which it was seen; licence: what the source's terms ask for, if known.
    """

    key: str
    title: str
    url: str = ""
    via: str = ""
    licence: str = ""
    known: str = "fetched"

    def __post_init__(self) -> None:
        if not self.key or not self.title:
            raise ValueError("a source needs a key and a title")
        if self.known not in ("fetched", "recalled", "own"):
            raise ValueError(f'"{self.known}" is not fetched, recalled or own')


@dataclass(frozen=True)
class Fact:
    """One thing that is known of one entity. Raises ValueError without a source: no fact without one.

    value: in base units (a number), or text, a date or a flag; unit: its base unit; low, high: what the sources span;
    printed: value and unit as the source prints them; source: key of a `Source`; locator: where in it; retrieved: when
    it was last read, None if recalled; date: the day it speaks of or holds from; disclosed: the day it became public,
    where that is later; about: chips or models that the record is about; place: ISO-like codes, `world` for anywhere;
    tenure: how a price is paid; until: end of validity; period: the time it covers; mark: firm, disputed or recalled,
    and of a price how it was come by (`prices.QUOTES`).
    """

    id: str
    entity: str
    attribute: str
    value: Value
    unit: str
    source: str
    kind: str
    low: float | None = None
    high: float | None = None
    locator: str = ""
    retrieved: datetime.date | None = None
    date: datetime.date | None = None
    note: str = ""
    known: str = "fetched"
    printed: str = ""
    disclosed: datetime.date | None = None
    about: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    tenure: str = ""
    until: datetime.date | None = None
    period: str = ""
    mark: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError(f"{self.entity} {self.attribute}: a fact needs a source")
        if not self.entity or not self.attribute:
            raise ValueError("a fact needs an entity and an attribute")
        if self.kind not in KINDS:
            raise ValueError(f'"{self.kind}" is not a kind of fact; kinds: {", ".join(KINDS)}')
        self._check_interval()

    def _check_interval(self) -> None:
        if not isinstance(self.value, float):
            return
        if not math.isfinite(self.value):
            raise ValueError("not a finite number")
        slack = 1e-9 * abs(self.value)
        if (self.low is not None and self.low > self.value + slack) or (
            self.high is not None and self.high < self.value - slack
        ):
            raise ValueError("the value lies outside its own interval low to high")

    @property
    def number(self) -> float:
        """The value of a fact that is a number, in base units. Raises TypeError for text, dates and flags."""
        if isinstance(self.value, bool) or not isinstance(self.value, float):
            raise TypeError(f"{self.id} is {self.unit}, not a number")
        return self.value

    @property
    def text(self) -> str:
        """The value as text: as it is printed in the source, with its unit."""
        return self.printed

    @property
    def day(self) -> datetime.date:
        """The value of a fact that is a date (a month, quarter or year is its first day)."""
        if not isinstance(self.value, datetime.date):
            raise TypeError(f"{self.id} is not a date")
        return self.value

    @property
    def flag(self) -> bool:
        """The value of a fact that is yes or no."""
        if not isinstance(self.value, bool):
            raise TypeError(f"{self.id} is not yes or no")
        return self.value

    @property
    def since(self) -> datetime.date | None:
        """The first day on which it could be known: when it was disclosed, else the day it speaks of."""
        return self.disclosed or self.date

    @property
    def recalled(self) -> bool:
        """Whether it rests on memory of a source that was not read again."""
        return self.known == "recalled"

    def known_on(self, day: datetime.date | None) -> bool:
        """Whether the fact itself was known on `day`; always, when no day is asked or none is recorded."""
        return day is None or self.since is None or self.since <= day


def entity_of(identifier: str) -> str:
    """The entity that a fact's id names: `h20-96gb` of `own:h20-96gb/memory.size@2025-01`."""
    return identifier.removeprefix("own:").partition("/")[0]


def convert(text: str, unit: str) -> tuple[Value, str]:
    """A printed value and its printed unit -> (value in base units, base unit). Raises ValueError with a sentence."""
    from tonnage.units import parse_date

    if unit == "text":
        return text, "text"
    if unit == "date":
        return parse_date(text), "date"
    if unit == "flag":
        if text not in ("yes", "no"):
            raise ValueError(f'"{text}" is neither yes nor no')
        return text == "yes", "flag"
    if unit not in UNITS:
        raise ValueError(f'no unit named "{unit}"; units: {", ".join((*UNITS, *WORDS))}')
    factor, base = UNITS[unit]
    return number(text) * factor, base


def number(text: str) -> float:
    """A plain decimal number. Raises ValueError with a sentence (also for nan, inf and absurd lengths)."""
    try:
        value = float(text) if len(text) <= 40 and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'"{text[:40]}" is not a number')
    return value
