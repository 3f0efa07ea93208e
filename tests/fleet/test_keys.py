"""What a mapping of a programme file holds, by kind."""

from __future__ import annotations

import datetime

import pytest

from tonnage.fleet.keys import Keys, Term
from tonnage.fleet.uncertain import point

DAY = datetime.date(2025, 4, 16)
HELD = Keys(
    {"price": point(2.0), "at_most": 0.0, "lot": "a", "since": DAY, "on": ("a", "b"), "term": Term("spot", 0.0)}
)
ACCESSORS = {"price": "uncertain", "at_most": "number", "lot": "text", "since": "date", "on": "names", "term": "term"}


@pytest.mark.parametrize("key", ACCESSORS)
@pytest.mark.parametrize("accessor", ACCESSORS.values())
def test_each_kind_is_read_by_its_own_accessor_alone(key: str, accessor: str) -> None:
    read = getattr(HELD, accessor)
    if ACCESSORS[key] == accessor:
        assert read(key) == HELD.held[key]
    else:
        with pytest.raises(TypeError, match=key):
            read(key)


def test_a_key_that_is_not_there_has_the_default() -> None:
    none = Keys()
    assert (none.uncertain("k"), none.number("k"), none.text("k"), none.date("k")) == (None, None, None, None)
    assert (none.uncertain("k", point(1.0)), none.number("k", 2.0)) == (point(1.0), 2.0)
    assert (none.text("k", "a"), none.date("k", DAY)) == ("a", DAY)
    assert (none.names("k"), none.term("k"), none.span("k"), none.raw("k")) == ((), Term(None, 0.0), None, None)
    assert none.raw("k", {}) == {}


def test_zero_is_there() -> None:
    assert HELD.number("at_most", 5.0) == 0.0
    assert "at_most" in HELD
    assert "k" not in HELD


def test_a_span_is_a_duration_or_a_last_day() -> None:
    assert (Keys({"horizon": 60.0}).span("horizon"), Keys({"horizon": DAY}).span("horizon")) == (60.0, DAY)
    with pytest.raises(TypeError):
        HELD.span("lot")


def test_own_keys_come_before_those_of_another() -> None:
    own, other = Keys({"isl": 1.0}), Keys({"isl": 2.0, "osl": 3.0, "on": ("a",)})
    assert own.over(other.without(("on",))).held == {"isl": 1.0, "osl": 3.0}
