"""Several kinds of chips under one service: who does what, how a rate is shared, and what a first token waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.model import load
from tonnage.serve import ChipPrice, ServeJob, plan, plan_mixed
from tonnage.serve.result import ServePlan
from tonnage.system import System, accelerator

CATALOG = catalog.load()
R1 = load("deepseek-r1", CATALOG)
H20, H200, H800 = (accelerator(name, CATALOG) for name in ("h20", "h200-sxm", "h800-sxm"))
ASCEND = accelerator("ascend-910c", CATALOG)
JOB = ServeJob(R1, 4096.0, 1024.0, tpot=0.05)
FLEETS = [System(H20, 16), System(ASCEND, 16)]


def conserved(found: ServePlan, isl: float = 4096.0, osl: float = 1024.0) -> None:
    """Tokens in and out are those of the same requests."""
    requests = found.requests_per_second
    given, made = found.input_rate, found.output_rate
    assert requests and given and made
    assert given * found.accelerators == pytest.approx(requests * isl)
    assert made.value * found.accelerators == pytest.approx(requests * osl)
    assert found.speed.batch is not None and found.tpot is not None
    decoding = found.speed.batch * found.accelerators  # Little's law: requests/s x time of decode, in whole sequences
    assert decoding == pytest.approx(requests * (osl - 1) * found.tpot.value, rel=0.03)


def test_the_other_kind_prefills_and_a_first_token_waits_for_all_there_is() -> None:
    found = plan_mixed([JOB, JOB], FLEETS)
    assert [part.does for part in found.shares] == ["prefill", "decode"]
    assert found.ttft is not None and found.tpot is not None
    ahead = found.shares[0]
    assert found.ttft.value > (ahead.ttft or 0.0) + found.tpot.value
    assert (ahead.requests or 0.0) >= (found.requests_per_second or 0.0) / 0.9 * (1 - 1e-9)
    conserved(found)


def test_a_limit_on_the_first_token_counts_queue_and_transfer() -> None:
    found = plan_mixed([replace(JOB, ttft=1.0)] * 2, FLEETS)
    assert found.outcome.feasible and found.ttft is not None and found.ttft.value <= 1.0
    free = plan_mixed([JOB, JOB], FLEETS)
    assert (found.requests_per_second or 0.0) <= (free.requests_per_second or 0.0) * (1 + 1e-9)


@pytest.mark.parametrize("asked", [1.0, 4.0])
def test_a_rate_is_carried_once_by_all_fleets_together(asked: float) -> None:
    found = plan_mixed([replace(JOB, rate=asked)] * 2, FLEETS)
    assert found.outcome.feasible and found.requests_per_second == pytest.approx(asked)
    assert found.tpot is not None and found.tpot.value <= 0.05


def test_a_rate_that_is_too_high_says_how_much_there_is() -> None:
    found = plan_mixed([replace(JOB, rate=500.0)] * 2, FLEETS)
    assert found.outcome.reason == "rate"
    assert found.outcome.binds[0].lift is not None


def test_a_concurrency_is_shared_and_not_given_to_each() -> None:
    found = plan_mixed([replace(JOB, tpot=None, concurrency=64.0)] * 2, FLEETS)
    assert found.outcome.feasible and found.speed.batch is not None
    assert found.speed.batch * found.accelerators <= 64.0 * (1 + 1e-6)


def test_what_neither_prefills_nor_decodes_for_another_serves_by_itself() -> None:
    fleets = [System(H20, 16), System(H200, 16), System(H800, 16)]
    found = plan_mixed([JOB] * 3, fleets)
    pair = plan_mixed([JOB] * 2, fleets[1:])
    alone = plan(JOB, fleets[0])
    assert sorted(part.does for part in found.shares) == ["aggregated", "decode", "prefill"]
    sums = (pair.requests_per_second or 0.0) + (alone.requests_per_second or 0.0)
    assert found.requests_per_second == pytest.approx(sums)


def test_each_kind_that_cannot_is_named_and_one_way_out_is_given() -> None:
    found = plan_mixed([replace(JOB, tpot=0.003)] * 2, FLEETS)
    assert not found.outcome.feasible
    assert {bind.text.partition(":")[0] for bind in found.outcome.binds} == {"H20 SXM 96 GB", "Ascend 910C"}
    assert sum(bind.lift is not None for bind in found.outcome.binds) == 1


def test_the_bill_is_at_the_mean_price_that_is_said() -> None:
    prices = [replace(JOB, price=ChipPrice(value / 3600, "as given")) for value in (1.0, 3.0)]
    found = plan_mixed(prices, [System(H20, 32), System(H800, 16)])
    assert found.bill.price.value == pytest.approx((32 * 1.0 + 16 * 3.0) / 48 / 3600)
    prices[1] = replace(prices[1], price=replace(prices[1].price, term="owned"))
    assert plan_mixed(prices, [System(H20, 32), System(H800, 16)]).bill.price.term == "mixed"
    into, out = found.bill.input, found.bill.output
    assert into and out and found.requests_per_second
    bill = found.requests_per_second * (4096 * into + 1024 * out) / 1e6
    assert bill == pytest.approx((32 * 1.0 + 16 * 3.0) / 3600)


def test_attention_and_ffn_are_told_to_their_own_chips() -> None:
    found = plan_mixed([replace(JOB, mode="afd")] * 2, [System(H20, 32), System(H800, 16)])
    roles = {part.does.lower(): part.chip for part in found.shares}
    assert {one.role: one.chip for one in found.instances} == roles
