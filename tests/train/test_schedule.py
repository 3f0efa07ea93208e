"""Pipeline schedules against the papers' formulas and counted micro-batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.train import schedule
from tonnage.train.schedule import DUALPIPE, F1B1, INTERLEAVED, ZERO_BUBBLE


def test_llama_405b_has_seven_layers_on_both_ends() -> None:
    stages = schedule.split(126, np.array([16]), 0.6)
    assert (int(stages.first[0]), int(stages.middle[0]), int(stages.last[0])) == (7, 8, 7)


@given(st.integers(1, 130), st.integers(1, 32), st.floats(0, 6), st.sampled_from([F1B1, DUALPIPE]))
def test_stages_hold_every_layer(layers: int, pp: int, head: float, kind: int) -> None:
    pp = min(pp, layers) if kind != DUALPIPE else max(2, 2 * (min(pp, layers) // 2))
    if pp > layers:
        return
    stages = schedule.split(layers, np.array([pp]), head, kind)
    first, middle, last = (float(np.asarray(x).reshape(-1)[0]) for x in (stages.first, stages.middle, stages.last))
    assert first + last + max(pp - 2, 0) * middle >= layers - 1e-9 or pp == 1
    assert middle >= layers / pp - 1


def test_bubbles_are_those_of_deepseek_v3_table_2() -> None:
    p, f, b, w = 16, 1.0, 2.0, 0.9
    others = (p - 1) * (f + b)
    assert schedule.bubble(F1B1, p, 1, others, w, f, b) == pytest.approx((p - 1) * (f + b))
    assert schedule.bubble(INTERLEAVED, p, 4, others, w, f, b) == pytest.approx((p - 1) * (f + b) / 4)
    assert schedule.bubble(ZERO_BUBBLE, p, 1, others, w, f, b) == pytest.approx((p - 1) * (f + b - 2 * w))
    assert schedule.bubble(DUALPIPE, p, 1, others, w, f, b) == pytest.approx((p / 2 - 1) * (f + b + b - 3 * w))


def test_in_flight_micro_batches_of_the_first_stage() -> None:
    p, v = np.array(8), 4
    assert schedule.in_flight(F1B1, p, 1, 64, 0) == 8
    assert schedule.in_flight(INTERLEAVED, p, v, 64, 0) == pytest.approx(8 * (1 + 7 / (8 * v)), rel=0.01)
    assert schedule.in_flight(DUALPIPE, p, 1, 64, 0) == 9
    assert schedule.in_flight(F1B1, p, 1, 3, 0) == 3, "never more than there are"
    assert schedule.in_flight(F1B1, p, 1, 64, -1) == 1


def test_one_dimension_less_idle_with_more_chunks() -> None:
    idle = [float(schedule.bubble(INTERLEAVED, 8, v, 100.0, 0, 1, 2)) for v in (1, 2, 4, 8)]
    assert idle == sorted(idle, reverse=True)
