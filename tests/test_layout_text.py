import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.layout import Layout, parse_layout, show_layout


def test_what_is_written_is_read_and_nothing_else():
    assert parse_layout("tp8,pp16,dp128") == {"tp": 8, "pp": 16, "dp": 128}
    assert parse_layout("tp1, pp16 ,vpp2,cp1,ep64,dp128,zero1,mbs1,recompute=full,schedule=dualpipe") == {
        "tp": 1, "pp": 16, "vpp": 2, "cp": 1, "ep": 64, "dp": 128, "zero": 1, "mbs": 1, "recompute": 2, "schedule": 3,
    }  # fmt: skip


def test_every_mistake_is_listed_with_the_nearest_name():
    with pytest.raises(InputError) as caught:
        parse_layout("tp0,dq4,pp16,pp8,recompute=ful,zero7,mbs=x")
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    for part in ('did you mean "dp"', 'did you mean "full"', "given twice", "from 0 to 3", 'got "0"', 'got "x"'):
        assert part in text


def test_a_layout_shows_as_it_is_written():
    layout = Layout(tp=8, pp=16, dp=128, zero=1, mbs=1)
    assert str(layout) == "tp8,pp16,dp128,zero1,mbs1,recompute=none,schedule=1f1b"
    assert Layout(**parse_layout(show_layout(layout))) == layout
    assert layout.ranks == 8 * 16 * 128


def test_an_array_layout_gives_back_its_candidates():
    layouts = Layout(tp=np.array([1, 2, 4]), dp=np.array([8, 4, 2]))
    assert np.all(layouts.ranks == 8)
    assert layouts.at(1) == Layout(tp=2, dp=4)
    assert str(layouts) == "3 layouts"
