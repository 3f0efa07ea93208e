"""People's quantities in, people's quantities out.

Inside tonnage everything is a plain float in a base unit: byte, FLOP, second, USD, watt, joule, token, and their ratios
(byte/s, FLOP/s, USD per accelerator-second, token/s). Strings such as `"80GB"`, `"900 GB/s"`, `"$2.10/h"`,
`"14.8T tokens"` or `"6 weeks"` are parsed and printed here and nowhere else. GB is 1e9 and GiB is 2**30, never mixed.
"""

from __future__ import annotations

import datetime
import math
import re

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
WEEK, YEAR = 7 * DAY, 365.25 * DAY
MONTH = YEAR / 12

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15}
_BYTES |= {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40, "byte": 1.0, "bytes": 1.0}
_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": MINUTE, "minute": MINUTE}
_TIME |= {"h": HOUR, "hr": HOUR, "hour": HOUR, "d": DAY, "day": DAY, "w": WEEK, "wk": WEEK, "week": WEEK}
_TIME |= {"mo": MONTH, "month": MONTH, "y": YEAR, "yr": YEAR, "year": YEAR}
_FLOP = {"flop": 1.0} | {f"{p}flop": s for p, s in _SCALE.items() if p} | {f"{p}op": s for p, s in _SCALE.items()}
_POWER = {"w": 1.0, "kw": 1e3, "mw": 1e6, "gw": 1e9}
_COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}

_NUMBER = re.compile(r"^\s*([+-]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)$")

KINDS = (
    "number",
    "count",
    "tokens",
    "memory",
    "bandwidth",
    "flop",
    "flop_rate",
    "time",
    "rate",
    "token_rate",
    "money",
    "price",
    "energy_price",
    "power",
    "share",
    "growth",
)
"""What a quantity can be; the base unit of each is in `base_unit`."""

_BASE = {
    "number": "",
    "count": "",
    "tokens": "token",
    "memory": "byte",
    "bandwidth": "byte/s",
    "flop": "FLOP",
    "flop_rate": "FLOP/s",
    "time": "s",
    "rate": "1/s",
    "token_rate": "token/s",
    "money": "USD",
    "price": "USD/accelerator-s",
    "energy_price": "USD/J",
    "power": "W",
    "share": "",
    "growth": "1/s",
}
_EXAMPLE = {
    "number": "1.5",
    "count": "8 or 10k",
    "tokens": "14.8T tokens or 4k",
    "memory": "80GB",
    "bandwidth": "900 GB/s",
    "flop": "3e24 FLOP",
    "flop_rate": "989 TFLOP/s",
    "time": "50ms, 4 weeks",
    "rate": "20/s",
    "token_rate": "608B/day",
    "money": "$5.6M",
    "price": "$2.10/h",
    "energy_price": "$0.09/kWh",
    "power": "700 W",
    "share": "60 %",
    "growth": "5 %/month",
}


def lacks_unit(text: str | float, kind: str) -> bool:
    """Whether a time is written as a number alone: seconds, weeks or months could be meant. Nothing needs no unit."""
    if kind != "time" or isinstance(text, bool):
        return False
    match = _NUMBER.match(str(text)[:200])
    return match is not None and not match[2] and float(match[1].replace(",", "").replace("_", "")) != 0


def base_unit(kind: str) -> str:
    """Unit in which quantities of this kind are held."""
    return _BASE[kind]


def example(kind: str) -> str:
    """How people write a quantity of this kind."""
    return _EXAMPLE[kind]


def _kind_of(value: object) -> str:
    """What a value of a file is, in words."""
    return "nothing" if value is None else "a list" if isinstance(value, list) else "keys and values"


def parse(text: str | float | int, kind: str) -> float:
    """A quantity as people write it -> float in the base unit of `kind`.

    A bare number is taken in base units (a `price` must carry its unit). Raises ValueError, whose text is a sentence
    that says what was expected, when the unit does not fit.
    """
    if isinstance(text, bool):
        raise ValueError(f"expected {_article(kind)} such as {_EXAMPLE[kind]}, got {str(text).lower()}")
    if isinstance(text, (int, float)):
        return _bare(float(text), kind)
    if not isinstance(text, str):
        raise ValueError(f"expected {_article(kind)} such as {_EXAMPLE[kind]}, got {_kind_of(text)}")
    if len(text) > 200:
        raise ValueError("longer than 200 characters")
    cleaned = text.strip().replace("USD", "$").replace("usd", "$")
    dollars = cleaned.startswith("$")
    match = _NUMBER.match(cleaned.lstrip("$"))
    if not match:
        raise ValueError(f'expected {_article(kind)} such as {_EXAMPLE[kind]}, got "{text}"')
    value = float(match[1].replace(",", "").replace("_", ""))
    unit = match[2].strip()
    if unit.endswith("$") or unit.startswith("$"):
        dollars, unit = True, unit.strip("$").strip()
    if dollars != (kind in ("money", "price", "energy_price")) and (dollars or unit):
        raise ValueError(_mismatch(text, kind))
    factor = _factor(unit, kind)
    if factor is None:
        raise ValueError(_mismatch(text, kind))
    return _finite(value * factor)


def _bare(value: float, kind: str) -> float:
    if kind in ("price", "energy_price"):
        raise ValueError(f"a {kind.replace('_', ' ')} needs its unit, such as {_EXAMPLE[kind]}")
    return _finite(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _article(kind: str) -> str:
    noun = {"tokens": "number of tokens", "count": "number", "growth": "rate of growth"}.get(
        kind, kind.replace("_", " ")
    )
    return f"a {noun}" if noun != "energy price" else "an energy price"


def _mismatch(text: str, kind: str) -> str:
    return f'"{text}" is not {_article(kind)}; write it like {_EXAMPLE[kind]}'


def _factor(unit: str, kind: str) -> float | None:
    """Base units per written unit, or None when the unit does not fit the kind."""
    low = unit.lower().strip()
    if kind in ("number", "count"):
        return _COUNT.get(low)
    if kind == "tokens":
        return _COUNT.get(re.sub(r"\s*(tokens?|tok)$", "", low))
    if kind == "memory":
        return _BYTES.get(low)
    if kind == "flop":
        return _FLOP.get(low.rstrip("s"))
    if kind == "time":
        return _time(low)
    if kind == "power":
        return _POWER.get(low)
    if kind == "share":
        return 0.01 if low == "%" else 1.0 if not low else None
    if kind == "money":
        return _COUNT.get(low)
    return _ratio_factor(low, kind)


def _ratio_factor(low: str, kind: str) -> float | None:
    top, slash, bottom = low.replace(" per ", "/").partition("/")
    top, bottom = top.strip(), bottom.strip()
    if kind == "flop_rate" and not slash:
        return _FLOP.get(low.removesuffix("s")) if low.endswith("s") else None
    if not slash:
        return None
    if kind == "bandwidth":
        bits = {"gbit": 1.25e8, "mbit": 1.25e5, "tbit": 1.25e11}
        return _over(_BYTES.get(top, bits.get(top)), _time(bottom))
    if kind == "flop_rate":
        return _over(_FLOP.get(top), _time(bottom))
    if kind == "rate":
        return _over(_COUNT.get(re.sub(r"\s*(requests?|req)$", "", top)), _time(bottom))
    if kind == "token_rate":
        return _over(_COUNT.get(re.sub(r"\s*(tokens?|tok)$", "", top)), _time(bottom))
    if kind == "price":
        bottom = re.sub(r"^(gpu|chip|card|npu|accelerator)[-\s]*", "", bottom)
        return _over(_COUNT.get(top), _time(bottom))
    if kind == "energy_price":
        return {"kwh": 1 / 3.6e6, "mwh": 1 / 3.6e9}.get(bottom) if not top else None
    if kind == "growth":
        return _over({"%": 0.01, "": 1.0}.get(top), _time(bottom))
    return None


def _time(unit: str) -> float | None:
    return _TIME.get(unit) or _TIME.get(unit.rstrip("s")) if unit else None


def _over(top: float | None, bottom: float | None) -> float | None:
    return None if top is None or bottom is None else top / bottom


def parse_date(value: str | datetime.date, *, end: bool = False) -> datetime.date:
    """`2025-04-16`, `2025-04`, `2025`, `2025-Q2` or `2025-H2` -> a date: the first day, or the last with `end`.

    Raises ValueError with a sentence.
    """
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    text = str(value).strip()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    match = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|H([12])|(0[1-9]|1[0-2])))?", text, re.IGNORECASE)
    if not match or not 1 <= int(match[1]) <= 9998:
        raise ValueError(f'"{text[:40]}" is not a date; write it like 2025-04-16')
    year, first, months = int(match[1]), 1, 12
    if match[2]:
        first, months = 3 * int(match[2]) - 2, 3
    elif match[3]:
        first, months = 6 * int(match[3]) - 5, 6
    elif match[4]:
        first, months = int(match[4]), 1
    if not end:
        return datetime.date(year, first, 1)
    after = first + months
    return datetime.date(year + (after > 12), (after - 1) % 12 + 1, 1) - datetime.timedelta(days=1)


def parse_fleet(text: str) -> tuple[int, str]:
    """`8xh20`, `10k x h800` or `16384xh100-sxm` -> (count, chip name). Raises ValueError with a sentence."""
    match = re.fullmatch(r"\s*([\d.,_]+[kKmM]?)\s*[x×*]\s*([A-Za-z0-9][\w.\-]*)\s*", text[:200])
    if not match:
        raise ValueError(f'"{text[:60]}" is not a number of chips; write it like 8xh20')
    count = parse(match[1], "count")
    if count != int(count) or not 1 <= count <= 1e9:
        raise ValueError(f'"{match[1]}" is not a whole number of chips from 1 to 1e9')
    return int(count), match[2].lower()


def _scaled(value: float, steps: tuple[tuple[float, str], ...], digits: int = 3) -> str:
    size = abs(value)
    for factor, name in steps:
        if size >= factor * 0.9995:
            return f"{_digits(value / factor, digits)} {name}".strip()
    factor, name = steps[-1]
    return f"{_digits(value / factor, digits)} {name}".strip()


def _digits(value: float, digits: int = 3) -> str:
    """`digits` significant digits, no exponent, thousands kept whole."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show_number(value: float, digits: int = 3) -> str:
    """`1,234`, `0.123`: significant digits, no exponent."""
    return _digits(value, digits)


def show_memory(value: float) -> str:
    """Byte -> `88.4 GB` (1e9)."""
    return _scaled(value, ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))


def show_bandwidth(value: float) -> str:
    """Byte/s -> `900 GB/s`."""
    return show_memory(value) + "/s"


def show_flop(value: float) -> str:
    """FLOP -> `3.1 PFLOP`."""
    return _scaled(
        value,
        (
            (1e24, "YFLOP"),
            (1e21, "ZFLOP"),
            (1e18, "EFLOP"),
            (1e15, "PFLOP"),
            (1e12, "TFLOP"),
            (1e9, "GFLOP"),
            (1.0, "FLOP"),
        ),
    )


def show_flop_rate(value: float) -> str:
    """FLOP/s -> `989 TFLOP/s`."""
    return _scaled(value, ((1e18, "EFLOP/s"), (1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s")), 4)


def show_time(value: float) -> str:
    """Second -> `47 ms`, `3.2 s`, `5.1 h`, `54 d`."""
    if not math.isfinite(value):
        return "never"
    size = abs(value)
    if size >= 2 * DAY:
        return f"{_digits(value / DAY)} d"
    if size >= 2 * HOUR:
        return f"{_digits(value / HOUR)} h"
    if size >= 2 * MINUTE:
        return f"{_digits(value / MINUTE)} min"
    return _scaled(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")))


def show_tokens(value: float) -> str:
    """Token -> `14.8T`."""
    return _scaled(value, ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, ""))).replace(" ", "")


show_count = show_tokens


def show_money(value: float) -> str:
    """USD -> `$5.58M`."""
    sign = "-" if value < 0 else ""
    return f"{sign}${show_tokens(abs(value))}"


def show_price(value: float) -> str:
    """USD per accelerator-second -> `$2.10/h`."""
    return f"${value * HOUR:.2f}/h"


def show_share(value: float) -> str:
    """0.61 -> `61 %`."""
    return f"{_digits(100 * value, 2 if abs(value) < 0.995 else 3)} %"


def show_counted(count: float, noun: str) -> str:
    """A count with its noun: `1 price`, `2,022 cases`."""
    return f"{count:,.0f} {noun}{'' if count == 1 else 's'}"


def show_power(value: float) -> str:
    """Watt -> `560 kW`."""
    return _scaled(value, ((1e9, "GW"), (1e6, "MW"), (1e3, "kW"), (1.0, "W")))


def show_energy(value: float) -> str:
    """Joule -> `1.2 MWh`."""
    return _scaled(value, ((3.6e12, "GWh"), (3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh"), (1.0, "J")))


def decimal_year(day: datetime.date) -> float:
    """A day as a year and its fraction, for ages and trends [year]."""
    return day.year + (day.timetuple().tm_yday - 1) / 365.25
