"""One shape of doubt."""

import math
from statistics import NormalDist

import pytest

from tonnage.interval import Z90, Interval, around, flat, point, within


def test_a_log_normal_has_its_ends_at_five_and_ninety_five_percent() -> None:
    found = around(2.0, 0.1)
    assert found.low == pytest.approx(2.0 * math.exp(-0.1645), rel=1e-4)
    assert found.sigma == pytest.approx(0.1)
    assert pytest.approx(1.645, abs=1e-3) == Z90


def test_an_inverse_turns_its_ends() -> None:
    assert within(2.0, 2.0).inverse(8.0) == Interval(4.0, 2.0, 8.0)
    assert within(2.0, 2.0).times(3.0) == Interval(6.0, 3.0, 12.0)


def test_a_point_has_no_width() -> None:
    assert point(3.0).sigma == 0.0
    assert point(3.0).flat("tpot") == {"tpot": 3.0, "tpot_low": 3.0, "tpot_high": 3.0}
    assert flat("tpot", None) == {"tpot": None, "tpot_low": None, "tpot_high": None}


def test_the_half_width_is_that_of_the_normal_distribution() -> None:
    """It is written out, for Python's `statistics` takes a while to load."""
    assert NormalDist().inv_cdf(0.95) == Z90
