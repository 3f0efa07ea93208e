"""Moves between systems, rounds of reinforcement learning, mixed fleets: conservation and limits."""

from __future__ import annotations

import pytest

from tonnage import catalog
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, plan
from tonnage.train.mixed import groups
from tonnage.train.result import Move
from tonnage.train.rl import rl_round
from tonnage.train.switch import switch

CATALOG = catalog.load()
JOB = TrainJob(load("llama-3.1-8b", CATALOG), 4096, 1024, 1e12)
H100 = System(accelerator("h100-sxm", CATALOG), 64)
H800 = System(accelerator("h800-sxm", CATALOG), 256)


def test_a_move_to_a_faster_system_pays_after_the_break_even_and_not_before() -> None:
    old, new = plan(JOB, H100), plan(JOB, H800)
    found = switch(old, new, 1e12)
    assert found.break_even_tokens is not None and found.break_even is not None
    assert found.total == pytest.approx(
        found.checkpoint + found.convert + found.transfer + found.warm_up + found.check + found.lost
    )
    assert switch(old, new, 1.01 * found.break_even_tokens).worth
    assert not switch(old, new, 0.99 * found.break_even_tokens).worth


def test_a_move_to_a_slower_system_never_pays() -> None:
    old, new = plan(JOB, H800), plan(JOB, H100)
    found = switch(old, new, 1e15)
    assert found.break_even_tokens is None and not found.worth


def test_a_thin_wire_costs_its_time() -> None:
    old, new = plan(JOB, H100), plan(JOB, H800)
    near, far = switch(old, new, 1e12), switch(old, new, 1e12, Move(wire=1e9))
    assert far.total - near.total == pytest.approx(8_030_261_248 * 14 / 1e9, rel=1e-3)


def test_a_stale_split_round_takes_the_slower_half_and_a_colocated_one_the_sum() -> None:
    trained = plan(JOB, H100)
    together = rl_round(JOB, H100, trained, 1e8, 1e5)
    apart = rl_round(JOB, H100, trained, 1e8, 1e5, split=True, stale=True)
    assert together.total == pytest.approx(together.generate + together.update + together.transfer)
    assert apart.total == pytest.approx(max(apart.generate, apart.update) + apart.transfer)


def test_like_systems_share_a_batch_evenly_and_a_mixed_fleet_beats_its_best_part() -> None:
    even = groups(JOB, (H100, H100))
    assert even.batches == (512, 512)
    both = groups(JOB, (H100, H800))
    assert sum(both.batches) == JOB.global_batch
    assert both.batches[1] > both.batches[0]
    assert both.together is not None and both.alone is not None and both.together > both.alone
