"""Spares beside a run."""

import pytest

from tonnage.train.goodput import LLAMA, REPAIR, spares


def test_spares_of_the_llama_run_by_hand() -> None:
    """16,384 H100, 0.47 interruptions per 1,000 accelerator-days: 15.4 servers in repair; 15.4 + 1.645 x 3.9 -> 22."""
    assert LLAMA.rate * 16384 * REPAIR == pytest.approx(15.4, rel=0.01)
    assert spares(LLAMA.rate, 16384, 8) == 22 * 8


def test_a_run_inside_one_server_keeps_none_and_more_accelerators_never_fewer() -> None:
    counts = [spares(LLAMA.rate, n, 8) for n in (1, 8, 16, 512, 2048, 16384)]
    assert counts[:3] == [0, 0, 8], "beside a single machine there is nothing to swap in"
    assert counts == sorted(counts)
