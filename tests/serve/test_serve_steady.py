"""Balances of continuous batching, and loops that must close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.serve import loop, steady
from tonnage.serve.job import Speculation

some = st.floats(1.0, 1e4)


@given(running=some, fresh=some, steps=some, chunk=some, decode=st.floats(1e-3, 0.1), extra=st.floats(0, 1))
def test_prefill_tokens_equal_those_of_the_requests_that_leave(
    running: float, fresh: float, steps: float, chunk: float, decode: float, extra: float
) -> None:
    """Prefill tokens per second = requests per second x fresh tokens of each."""
    flow = steady.Flow(running, fresh, steps, chunk)
    step = steady.step_time(flow, decode, extra, steady.busy(flow))
    rate = steady.request_rate(flow, step)
    assert steady.busy(flow) * chunk / step == pytest.approx(rate * fresh)
    assert rate * steps == pytest.approx(running / step)


@given(share=st.floats(0, 3), replicas=st.integers(1, 64), together=st.floats(0, 1))
def test_replicas_never_wait_less_than_for_their_own_prefill(share: float, replicas: int, together: float) -> None:
    assert share <= steady.held_up(share, replicas, together) <= max(share, 1.0) + 1e-12
    assert steady.held_up(share, 1, together) == pytest.approx(share)


def test_accepted_tokens_are_a_geometric_sum() -> None:
    assert Speculation(1, 0.85).accepted == pytest.approx(1.85)
    assert Speculation(3, 0.5).accepted == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    assert Speculation(2, 0.0).accepted == pytest.approx(1.0)


def test_waiting_is_that_of_md1_and_never_more_than_half_the_population() -> None:
    assert steady.waiting(0.5, 1.0, 1e9, 1.0) == pytest.approx(0.5)
    assert steady.waiting(0.0, 1.0, 1e9, 1.0) == 0.0
    assert steady.waiting(0.999, 2.0, 10.0, 30.0) == pytest.approx(10.0)


def test_crossing_interpolates() -> None:
    ratio = (2.0 * loop.SHARES)[None, :]
    assert loop._crossing(ratio)[0] == pytest.approx(0.5)
    assert loop._crossing(np.zeros((1, loop.SHARES.size)))[0] == 1.0
