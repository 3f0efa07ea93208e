"""The search: what it tries, that it finds what brute force finds, and that it is quick."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.model import load
from tonnage.serve import ServeJob, plan
from tonnage.serve.search import modes, two_pools
from tonnage.serve.search.choice import USUAL
from tonnage.serve.search.grid import PointGrid, ServeSetting, serve_setting
from tonnage.system import System, accelerator

CATALOG = catalog.load()
V3 = load("deepseek-v3", CATALOG)
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)
H200 = accelerator("h200", CATALOG)
H100 = accelerator("h100-sxm", CATALOG)
LIMITS = (2.0, 0.03)


def job(**changed: Any) -> ServeJob:
    asked = {"arch": V3, "isl": 4000.0, "osl": 1000.0, "ttft": 2.0, "tpot": 0.03, "thorough": True}
    return ServeJob(**{**asked, **changed})


def test_a_thorough_search_tries_more_points_than_aiconfigurator_and_counts_each_kind() -> None:
    """AIConfigurator 0.12 visits 159,600 grid points for DeepSeek-V3 on 32 H200, 4000/1000, TTFT 2 s, TPOT 30 ms."""
    started = time.process_time()
    found = plan(job(), System(H200, 32))
    seconds = time.process_time() - started
    kinds = found.search.kinds
    assert found.search.candidates == sum(kinds.values()) > 159_600
    assert set(kinds) == {"aggregated", "prefill", "decode", "pairs"}
    assert kinds["aggregated"] > 20_000
    assert found.search.candidates > found.search.feasible > 0
    assert seconds < 5


def test_more_is_never_worse() -> None:
    quick, thorough = (plan(job(thorough=each), System(H200, 32)) for each in (False, True))
    assert (thorough.requests_per_second or 0.0) >= (quick.requests_per_second or 0.0) * (1 - USUAL)


@pytest.mark.parametrize("count", [8, 13, 32])
def test_pairs_find_what_every_number_of_instances_finds(count: int) -> None:
    """All points of both pools, all whole numbers of instances, each share of the prefill pool: nothing is better."""
    given = serve_setting(job(arch=LLAMA, thorough=False, ttft=0.5, tpot=0.02), System(H100, count))
    found = two_pools.disaggregated(given, None, None, (0.5, 0.02))
    half = replace(given, ranks=given.ranks - 1)
    first, later = modes.prefilling(half, None, 0.5), modes.decoding(half, None)
    best = max(_served(given, first, later, number, full) for number in range(1, count) for full in two_pools.FULL)
    assert found is not None
    fine = (found.ttft <= 0.5) & (found.tpot <= 0.02)
    assert best >= float(found.rate[fine].max()) >= best * 0.99


def _served(given: ServeSetting, first: PointGrid, later: PointGrid, number: int, full: float) -> float:
    """Best rate with `number` instances that decode, over all pairs that keep the limits."""
    ok_p = (first.most >= 1) & (first.running <= first.most) & (first.ttft <= 0.5)
    ok_d = (later.most >= 1) & (later.running <= later.most) & (later.tpot <= 0.02)
    able = (first.rate / first.instances)[:, None]
    wanted = (later.rate / later.instances)[None, :]
    left = np.floor((given.system.count - number * later.ranks[None, :]) / first.ranks[:, None])
    rate = np.minimum(full * left * able, number * wanted)
    load = rate / np.maximum(left * able, 1e-9)
    moved = 131072.0 * given.traffic.isl
    send = moved / (given.service.die.nic * np.asarray(first.layout.tp))[:, None]
    own = first.ttft[:, None]
    ttft = own * (1 + load / (2 * (1 - load))) + given.service.tuning.admission + send + later.tpot[None, :]
    good = ok_p[:, None] & ok_d[None, :] & (left >= 1) & (ttft <= 0.5)
    return float(np.max(np.where(good, rate, 0.0)))


def test_prefill_points_that_are_left_out_cannot_win() -> None:
    """With the same instances of both pools, a kept point of the same ranks serves as much at no higher ttft."""
    given = serve_setting(job(), System(H200, 32))
    grid = modes.prefilling(replace(given, ranks=31), None, 2.0)
    grid = grid.at(np.flatnonzero((grid.most >= 1) & (grid.ttft <= 2.0)))
    kept = set(two_pools._needed(grid, given.chunk).tolist())
    each = grid.rate / grid.instances
    assert 0 < len(kept) < grid.rate.size
    for i in set(range(grid.rate.size)) - kept:
        for demand, number in itertools.product((0.1, 1.0, 10.0), (1, 3)):
            assert any(
                grid.ranks[k] == grid.ranks[i]
                and grid.layout.tp[k] == grid.layout.tp[i]  # type: ignore[index]
                and _beats(each, grid.ttft, k, i, demand, number)
                for k in kept
            )


def _beats(each: Any, own: Any, k: int, i: int, demand: float, number: int) -> bool:
    def at(index: int) -> tuple[float, float]:
        served = min(0.9 * number * each[index], demand)
        load = served / (number * each[index])
        return served, own[index] * (1 + load / (2 * (1 - load)))

    return at(k)[0] >= at(i)[0] * (1 - 1e-12) and at(k)[1] <= at(i)[1] * (1 + 1e-12)


def test_the_engines_chunk_is_kept_unless_another_is_clearly_better() -> None:
    found = plan(job(mode="aggregated"), System(H200, 32))
    assert found.chunk is not None
    usual = plan(job(mode="aggregated", chunk=8192), System(H200, 32))
    gain = (found.requests_per_second or 0.0) / (usual.requests_per_second or 1.0)
    assert found.chunk == 8192 or gain > 1 + USUAL / 2
    again = plan(job(mode="aggregated", chunk=found.chunk), System(H200, 32))
    assert again.requests_per_second == pytest.approx(found.requests_per_second)


def test_smaller_chunks_leave_more_room_and_are_what_was_asked() -> None:
    small, large = (plan(job(chunk=chunk, mode="aggregated", ttft=None), System(H200, 16)) for chunk in (1024, 32768))
    assert small.chunk == 1024 and large.chunk == 32768
    assert small.memory.activations < large.memory.activations
