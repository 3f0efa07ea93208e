"""Uncertain quantities read as people write them and draw what they say."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from tonnage.fleet import uncertain


def test_a_range_is_a_90_percent_interval():
    for text, kind in [("3 to 8 weeks", "time"), ("60 % to 90 %", "share"), ("-2 to 5", "number")]:
        quantity = uncertain.parse(text, kind)
        sample = uncertain.draw(quantity, 1, "x", 20_000)
        low, high = np.quantile(sample, [0.05, 0.95])
        assert (low, high) == pytest.approx(quantity.interval, rel=0.01)
    assert uncertain.parse("3 to 8 weeks", "time").interval == pytest.approx((3 * 604800, 8 * 604800))


def test_the_lower_end_takes_the_unit_of_the_upper():
    price = uncertain.parse("$0.9 to $1.6/h", "price")
    assert price.interval == pytest.approx((0.9 / 3600, 1.6 / 3600))
    assert uncertain.parse("$0.9/h to $1.6/h", "price").values == price.values
    assert (
        uncertain.parse("5 %/month to 15 %/month", "growth").values
        == uncertain.parse("5 to 15 %/month", "growth").values
    )


def test_shares_stay_shares():
    sample = uncertain.draw(uncertain.parse("60 % to 99 %", "share"), 0, "s", 5000)
    assert sample.min() > 0 and sample.max() < 1
    full = uncertain.draw(uncertain.parse("0 % to 100 %", "share"), 0, "s", 5000)
    assert full.min() >= 0 and full.max() <= 1


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("normal(10, 2)", 10),
        ("uniform(2, 4)", 3),
        ("triangular(0, 1, 5)", 2),
        ("beta(2, 6)", 0.25),
        ("beta(2, 2, 10, 20)", 15),
        ("one of(1, 2, 6)", 3),
        ("lognormal(5, 0)", 5),
        ("7", 7),
    ],
)
def test_distributions_have_their_means(text, mean):
    assert uncertain.draw(uncertain.parse(text, "number"), 3, "m", 20_000).mean() == pytest.approx(mean, rel=0.01)


def test_dates():
    span = uncertain.parse_date("2025-05-01 to 2025-07-01")
    assert datetime.date.fromordinal(round(span.median)) == datetime.date(2025, 5, 31)
    low, high = span.interval
    assert datetime.date.fromordinal(round(low)) == datetime.date(2025, 5, 1)
    assert datetime.date.fromordinal(round(high)) == datetime.date(2025, 7, 1)
    assert uncertain.parse_date(datetime.date(2025, 1, 1)).certain
    assert uncertain.parse_date("uniform(2025-01, 2025-03)").kind == "uniform"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("8 to 3 weeks", "time", "reversed"),
        ("3 to 8 kg", "time", "not a time"),
        ("normal(1)", "number", "takes 2"),
        ("normal(1, -2)", "number", "negative"),
        ("uniform(5, 1)", "number", "rising"),
        ("beta(0, 1)", "number", "beta"),
        ("lognormal(0, 1)", "number", "positive"),
        ("1 to 2 to 3", "number", "not a range"),
        ("x" * 300, "number", "200 characters"),
        ("1e999", "number", "finite"),
        ("normal(" * 20, "number", "expected"),
    ],
)
def test_what_is_no_quantity_is_refused_with_a_sentence(text, kind, expected):
    with pytest.raises(ValueError, match=expected):
        uncertain.parse(text, kind)


def test_dates_refuse_what_they_cannot_be():
    for text in ("2025-07-01 to 2025-05-01", "normal(2025-01-01, 2025-02-01)", "soon", "2025-02-30"):
        with pytest.raises(ValueError):
            uncertain.parse_date(text)


def test_draws_depend_on_seed_and_name_alone():
    quantity = uncertain.parse("1 to 10", "number")
    one = uncertain.draw(quantity, 5, "fleet.a.count", 100)
    assert np.array_equal(one, uncertain.draw(quantity, 5, "fleet.a.count", 100))
    assert not np.array_equal(one, uncertain.draw(quantity, 5, "fleet.b.count", 100))
    assert not np.array_equal(one, uncertain.draw(quantity, 6, "fleet.a.count", 100))
    numbers = uncertain.uniforms(5, "x", 100)
    for part in uncertain.blocks(100):
        assert np.array_equal(np.sort(numbers[part] * 20).astype(int), np.arange(20))


def test_scaling():
    for text in ("5", "1 to 10", "normal(3, 1)", "uniform(1, 2)", "beta(2, 2, 1, 3)", "one of(1, 2)"):
        quantity = uncertain.parse(text, "number")
        p = np.array([0.1, 0.5, 0.9])
        assert quantity.scaled(2).quantile(p) == pytest.approx(2 * quantity.quantile(p))
