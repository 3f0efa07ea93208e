import datetime
import math

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage import units

HAND = [
    ("80GB", "memory", 80e9),
    ("80 GiB", "memory", 80 * 2**30),
    ("900 GB/s", "bandwidth", 900e9),
    ("400 Gbit/s", "bandwidth", 50e9),
    ("$2.10/h", "price", 2.10 / 3600),
    ("2.10 USD/GPU-hour", "price", 2.10 / 3600),
    ("$5.6M", "money", 5.6e6),
    ("14.8T tokens", "tokens", 14.8e12),
    ("4k", "tokens", 4000),
    ("608B/day", "token_rate", 608e9 / 86400),
    ("168B tokens/day", "token_rate", 168e9 / 86400),
    ("50ms", "time", 0.05),
    ("6 weeks", "time", 6 * 7 * 86400),
    ("18 months", "time", 18 * 365.25 / 12 * 86400),
    ("20/s", "rate", 20),
    ("20 requests/s", "rate", 20),
    ("60 %", "share", 0.6),
    ("0.56", "share", 0.56),
    ("5 %/month", "growth", 0.05 / (365.25 / 12 * 86400)),
    ("989 TFLOP/s", "flop_rate", 989e12),
    ("1.6 PFLOPS", "flop_rate", 1.6e15),
    ("3e24 FLOP", "flop", 3e24),
    ("700 W", "power", 700),
    ("$0.09/kWh", "energy_price", 0.09 / 3.6e6),
    (8, "count", 8),
    ("10k", "count", 10_000),
    ("16,384", "count", 16_384),
]


@pytest.mark.parametrize(("text", "kind", "value"), HAND)
def test_quantities_as_people_write_them(text, kind, value):
    assert units.parse(text, kind) == pytest.approx(value, rel=1e-12)


MISFITS = [
    ("80GB", "time"),
    ("50ms", "memory"),
    ("$2/h", "money"),
    ("2.10", "price"),
    (2.1, "price"),
    ("$5", "tokens"),
    ("900 GB", "bandwidth"),
    ("20", "memory"),
    ("many", "count"),
    ("", "time"),
    ("1e400", "count"),
    ("nan", "number"),
    (True, "count"),
    ("4 parsecs", "time"),
    ("9" * 300, "count"),
]


@pytest.mark.parametrize(("text", "kind"), MISFITS)
def test_a_unit_that_does_not_fit_is_refused_with_a_sentence(text, kind):
    with pytest.raises(ValueError, match=r".{10,}"):
        units.parse(text, kind)


def test_memory_needs_its_unit_when_it_is_text():
    with pytest.raises(ValueError, match="write it like 80GB"):
        units.parse("20", "memory")


PINT_NAMES = {
    "memory": ("GB", "gigabyte", "byte"),
    "time": ("week", "week", "second"),
    "power": ("kW", "kilowatt", "watt"),
}


@pytest.mark.parametrize("kind", PINT_NAMES)
@given(value=st.floats(min_value=1e-3, max_value=1e6))
def test_pint_agrees(kind, value):
    ours, theirs, base = PINT_NAMES[kind]
    registry = pint.application_registry
    assert units.parse(f"{value!r} {ours}", kind) == pytest.approx(registry.Quantity(value, theirs).to(base).magnitude)


@given(value=st.floats(min_value=1e-5, max_value=1e7))
def test_what_is_shown_can_be_read_back(value):
    for show, kind in [(units.show_time, "time"), (units.show_memory, "memory"), (units.show_power, "power")]:
        scaled = value * 1e6 if kind == "memory" else value
        assert units.parse(show(scaled), kind) == pytest.approx(scaled, rel=6e-3)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025-04-16", "2025-04-16", "2025-04-16"),
        ("2025-04", "2025-04-01", "2025-04-30"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2025", "2025-01-01", "2025-12-31"),
        ("2025-Q4", "2025-10-01", "2025-12-31"),
        ("2025-H1", "2025-01-01", "2025-06-30"),
    ],
)
def test_dates(text, first, last):
    assert units.parse_date(text) == datetime.date.fromisoformat(first)
    assert units.parse_date(text, end=True) == datetime.date.fromisoformat(last)


@pytest.mark.parametrize("text", ["tomorrow", "2025-13", "2025-02-30", "9999-Q5", "0000"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match="not a date"):
        units.parse_date(text)


def test_fleets():
    assert units.parse_fleet("8xh20") == (8, "h20")
    assert units.parse_fleet("16384xH100-SXM") == (16384, "h100-sxm")
    assert units.parse_fleet("10k x h800") == (10000, "h800")
    for bad in ("h20", "0xh20", "1.5xh20", "-8xh20", "8x", "x" * 1000):
        with pytest.raises(ValueError, match="chips"):
            units.parse_fleet(bad)


def test_shown_forms():
    assert units.show_time(0.047) == "47 ms"
    assert units.show_time(math.inf) == "never"
    assert units.show_memory(88.4e9) == "88.4 GB"
    assert units.show_tokens(14.8e12) == "14.8T"
    assert units.show_money(5.58e6) == "$5.58M"
    assert units.show_price(2.1 / 3600) == "$2.10/h"
    assert units.show_share(0.61) == "61 %"
    assert units.show_number(1543.2) == "1,543"
