"""What a plan predicts and a run can be measured for, by the names of the answers' keys, in base units."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.units import DAY

Plain = Mapping[str, object]
"""An answer or a row as JSON has it."""

WIDE, NARROW = 0.9, 0.8
"""Share that an interval is to hold: from NAME_low to NAME_high, and from P10 to P90."""


@dataclass(frozen=True)
class Quantity:
    """kind: one of `units.KINDS`, or `date`; total: of a whole run or stage, so that the last reading of a run counts,
    where of the others it is the median; progress: says how far a run is, and is predicted by no plan; like: of which
    quantity it has the interval, a minus before it where it falls as that one rises.
    """

    kind: str
    total: bool = False
    progress: bool = False
    like: str = ""


_RATE = "output_tokens_per_second_per_accelerator"

QUANTITIES: Mapping[str, Quantity] = {
    "step_time": Quantity("time"),
    "step_cpu_time": Quantity("time"),
    "tokens_per_second_per_accelerator": Quantity("token_rate", like="-step_time"),
    "mfu": Quantity("share", like="-step_time"),
    "wall_time": Quantity("time", total=True),
    "duration": Quantity("time", total=True),
    "cpu_time": Quantity("time", total=True),
    "accelerator_hours": Quantity("number", total=True, like="wall_time"),
    "cost": Quantity("money", total=True, like="wall_time"),
    "goodput": Quantity("share", total=True),
    "memory": Quantity("memory"),
    "ttft": Quantity("time"),
    "tpot": Quantity("time"),
    "latency": Quantity("time"),
    "output_tokens_per_second_per_accelerator": Quantity("token_rate"),
    "input_tokens_per_second_per_accelerator": Quantity("token_rate", like=_RATE),
    "requests_per_second": Quantity("rate", like=_RATE),
    "cost_per_million_input_tokens": Quantity("money", like=f"-{_RATE}"),
    "cost_per_million_output_tokens": Quantity("money", like=f"-{_RATE}"),
    "launch": Quantity("date", total=True),
    "first_users": Quantity("date", total=True),
    "all_users": Quantity("date", total=True),
    "step": Quantity("count", progress=True),
    "tokens": Quantity("tokens", progress=True),
    "done": Quantity("share", progress=True),
    "interruptions": Quantity("count", progress=True),
}
"""By name, in the order in which they are shown. Dates are held as seconds from the first day of the plan."""


@dataclass(frozen=True)
class Foretold:
    """What was predicted of one quantity. low, high: the interval that is to hold a `share` of what happens; both None
    where none was given, high alone where a P90 lies beyond the horizon.
    """

    quantity: str
    value: float
    low: float | None = None
    high: float | None = None
    share: float | None = None


def foretold(answer: Plain) -> tuple[Foretold, ...]:
    """All that an answer predicts, in the order of `QUANTITIES`."""
    found = {name: _one(answer, name, what) for name, what in QUANTITIES.items() if not what.progress}
    known = {name: one for name, one in found.items() if one is not None}
    return tuple(_like(known, one) for one in known.values())


def _one(answer: Plain, name: str, what: Quantity) -> Foretold | None:
    value = answer.get(name)
    if name == "memory" and isinstance(value, Mapping):
        return _with_ends(name, value.get("total"), value.get("total_low"), value.get("total_high"), WIDE)
    if isinstance(value, Mapping) and "p50" in value:
        ends = [_since(answer, value.get(key)) if what.kind == "date" else value.get(key) for key in _PERCENTILES]
        return _with_ends(name, ends[1], ends[0], ends[2], NARROW)
    return _with_ends(name, value, answer.get(f"{name}_low"), answer.get(f"{name}_high"), WIDE)


_PERCENTILES = ("p10", "p50", "p90")


def _with_ends(name: str, value: object, low: object, high: object, share: float) -> Foretold | None:
    """None where there is no such number. A P90 that lies beyond the horizon leaves the interval open above."""
    middle, least, most = number(value), number(low), number(high)
    if middle is None:
        return None
    if least is None or (most is None and share == WIDE):
        return Foretold(name, middle)
    return Foretold(name, middle, least, most, share)


def _like(known: Mapping[str, Foretold], one: Foretold) -> Foretold:
    """With the interval of the quantity that it goes with, where it has none of its own."""
    like = QUANTITIES[one.quantity].like
    other = known.get(like.removeprefix("-"))
    if one.low is not None or other is None or other.low is None or other.high is None:
        return one
    low, high = other.low / other.value, other.high / other.value
    if like.startswith("-"):
        low, high = 1 / high, 1 / low
    return Foretold(one.quantity, one.value, one.value * low, one.value * high, other.share)


def number(value: object) -> float | None:
    """A finite number above zero, or None: errors are ratios."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def first_day(answer: Plain) -> datetime.date | None:
    """First day of a plan, from which its dates count."""
    try:
        return datetime.date.fromisoformat(str(answer.get("start")))
    except ValueError:
        return None


def _since(answer: Plain, day: object) -> float | None:
    """Seconds from the first day of the plan to a date."""
    start = first_day(answer)
    try:
        return None if start is None else (datetime.date.fromisoformat(str(day)) - start).days * DAY
    except ValueError:
        return None
