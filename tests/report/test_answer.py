"""Answers as text: nothing is wider than the terminal, and nothing is lost by that."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.report.answer import Answer, Table, render

LAYOUT = "tp2,pp4,vpp20,cp2,ep128,dp1024,zero1,mbs1,recompute=selective,schedule=interleaved"
WIDE = Table(
    "speeds " * 30,
    ("speed", "per accelerator (90 %)", "layout"),
    (("a run that is " * 8, "1,562 tokens/s (394 to 1,800)", LAYOUT), ("b", "2,335 tokens/s", LAYOUT)),
    "note " * 60,
)


@pytest.mark.parametrize("width", [72, 90, 118])
def test_no_line_is_wider_than_asked(width):
    text = render(Answer("yes " * 60, (("memory", "word " * 60),), (WIDE,), hints=("try " * 60,)), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "1,562 tokens/s (394 to 1,800)" in text, "numbers fold last"
    assert not re.search(r"\b1,$", text, re.MULTILINE), "nor does a number break"


def test_a_narrow_table_stays_as_it_is():
    text = render(Answer("yes", tables=(Table("t", ("a", "b"), (("one two", "x,y"),)),)))
    assert "one two  x,y" in text


@given(st.lists(st.tuples(st.text("ab ,1", max_size=90), st.text("ab ,1", max_size=90)), min_size=1, max_size=4))
def test_no_mark_of_a_cell_is_lost(rows):
    text = render(Answer("s", tables=(Table("t", ("h", "i"), tuple(rows)),)))
    wanted = "".join(sorted(re.sub(r"\s", "", "sthi" + "".join(a + b for a, b in rows))))
    assert "".join(sorted(re.sub(r"\s", "", text))) == wanted
