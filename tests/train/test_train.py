"""Training plans against published runs, and properties that any such model must have."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.layout import Layout, parse_layout
from tonnage.model import load
from tonnage.system import Accelerator, System, accelerator
from tonnage.train import TrainJob, evaluate, plan, predict
from tonnage.train.goodput import daly, goodput

CATALOG = catalog.load()


@functools.cache
def job(model: str, seq: int, batch: int, precision: str = "bf16", tokens: float | None = None) -> TrainJob:
    return TrainJob(load(model, CATALOG), seq, batch, tokens, precision)


def chip(name: str) -> Accelerator:
    return accelerator(name, CATALOG)


LLAMA = ("llama-3.1-405b", 8192, 2048)


def test_llama_405b_on_16384_h100_fits_and_is_as_fast_as_published() -> None:
    found = plan(job(*LLAMA), System(chip("h100-sxm"), 16384), parse_layout("tp8,pp16,dp128"))
    assert found.outcome.feasible
    assert found.memory is not None and found.memory.total < 80e9
    assert found.tokens_per_second == pytest.approx(155, rel=0.08), "arXiv 2407.21783, table 4"


def test_llama_405b_on_8192_h100_without_recomputation_fits() -> None:
    fixed = parse_layout("tp8,pp16,dp64,zero2,recompute=none")
    assert plan(job(*LLAMA), System(chip("h100-sxm"), 8192), fixed).outcome.feasible, "it ran so"
    found = predict(job(*LLAMA), System(chip("h100-sxm"), 8192), fixed)
    assert found.tokens_per_second == pytest.approx(166.7, rel=0.08)


def test_deepseek_v3_on_2048_h800_fits_and_is_as_fast_as_published() -> None:
    fixed = parse_layout("tp1,pp16,ep64,dp128,zero1,schedule=dualpipe,recompute=selective")
    found = plan(job("deepseek-v3", 4096, 15360, "fp8"), System(chip("h800"), 2048), fixed)
    assert found.outcome.feasible
    assert found.tokens_per_second == pytest.approx(1543, rel=0.12), "arXiv 2412.19437: 180K h per T"


def test_breakdown_sums_to_the_step_and_tokens_are_conserved() -> None:
    found = plan(job("llama-3.1-8b", 8192, 128), System(chip("h100-sxm"), 8))
    assert sum(found.breakdown.values()) == pytest.approx(found.step_time.value)
    assert found.tokens_per_second * 8 * found.step_time.value == pytest.approx(8192 * 128)
    assert found.step_time.low < found.step_time.value < found.step_time.high


def test_memory_kinds_sum_to_the_total() -> None:
    found = plan(job("llama-3.1-8b", 8192, 128), System(chip("h100-sxm"), 8))
    held = found.memory
    assert held is not None
    kinds = (held.weights, held.gradients, held.optimizer, held.activations, held.buffers, held.slack)
    assert sum(kinds) == pytest.approx(held.total)


def test_states_are_18_bytes_a_parameter_undivided_and_shrink_with_zero() -> None:
    small = job("llama-3.1-8b", 8192, 64)
    system = System(chip("h100-sxm"), 8)
    found = evaluate(small, system, Layout(dp=8, zero=np.array([0, 1, 2, 3])))
    states = found.memory.weights + found.memory.gradients + found.memory.optimizer
    params = 8_030_261_248
    assert states[0] == pytest.approx(18 * params, rel=1e-6)
    assert states[1] == pytest.approx((6 + 12 / 8) * params, rel=1e-6), "arXiv 1910.02054"
    assert states[3] == pytest.approx(16 / 8 * params, rel=1e-6)
    assert np.all(np.diff(states) < 0)


def candidates() -> Layout:
    grid = np.meshgrid([1, 2, 4, 8], [1, 2, 4], [1, 2], [0, 1, 2], indexing="ij")
    tp, pp, mbs, recompute = (axis.reshape(-1) for axis in grid)
    return Layout(tp=tp, pp=pp, dp=64 // (tp * pp), mbs=mbs, recompute=recompute)


@pytest.mark.parametrize("field", ["bandwidth", "link", "nic"])
def test_more_bandwidth_is_never_slower(field: str) -> None:
    small, base = job("llama-3.1-8b", 8192, 128), chip("h100-sxm")
    more = replace(base, **{field: 2 * getattr(base, field)})
    before = evaluate(small, System(base, 64), candidates()).step_time
    after = evaluate(small, System(more, 64), candidates()).step_time
    assert np.all(after <= before * (1 + 1e-9))
    assert np.any(after < before)


def test_more_memory_never_has_fewer_feasible_layouts() -> None:
    small, base = job("llama-3.1-70b", 8192, 128), chip("h100-sxm")
    counts = []
    for memory in (40e9, 80e9, 141e9):
        found = plan(small, System(replace(base, memory=memory), 64))
        assert found.search is not None
        counts.append(found.search.feasible)
    assert counts == sorted(counts) and counts[0] < counts[-1]


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b"])
def test_doubling_replicas_at_a_fixed_batch_each_is_never_faster_per_chip(model: str) -> None:
    """Without ZeRO, which divides the update of the weights over the replicas and so can win a little."""
    rates = []
    for dp in (8, 16, 32, 64, 128):
        layout = Layout(dp=dp, ep=8 if "a3b" in model else 1, zero=0)
        found = evaluate(job(model, 4096, 4 * dp), System(chip("h100-sxm"), dp), layout)
        rates.append(4 * 4096 / float(found.step_time[0]))
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(rates))


def test_one_layout_and_an_array_give_the_same() -> None:
    small, system = job("llama-3.1-8b", 8192, 128), System(chip("h100-sxm"), 64)
    every = candidates()
    together = evaluate(small, system, every).step_time
    for i in (0, 17, 71):
        assert evaluate(small, system, every.at(i)).step_time[0] == pytest.approx(together[i], rel=1e-12)


def test_a_model_that_is_too_large_says_by_how_much_and_what_would_do() -> None:
    found = plan(job(*LLAMA), System(chip("h100-sxm"), 64))
    assert found.outcome.reason == "memory"
    bind = found.outcome.binds[0]
    assert bind.by is not None and bind.by > 0.1
    assert bind.lift


def test_a_fixed_setting_that_does_not_fit_names_the_nearest_that_does() -> None:
    fixed = parse_layout("tp8,pp8,dp16,zero0,recompute=none,mbs2")
    found = plan(job("llama-3.1-405b", 8192, 2048), System(chip("h100-sxm"), 1024), fixed)
    assert found.outcome.reason == "memory"
    assert found.nearest_feasible is not None


@pytest.mark.parametrize(
    ("fixed", "reason"),
    [("tp8,pp16,dp100", "divisibility"), ("tp8,pp16,dp256", "divisibility"), ("dp2048,tp8,mbs4", "batch")],
)
def test_what_does_not_divide_is_said(fixed: str, reason: str) -> None:
    found = plan(job(*LLAMA), System(chip("h100-sxm"), 16384), parse_layout(fixed))
    assert found.outcome.reason == reason
    assert found.layout is None


def test_lora_costs_about_two_thirds_of_pretraining() -> None:
    full = job("llama-3.1-8b", 8192, 128)
    lora = replace(full, task="lora")
    system = System(chip("h100-sxm"), 8)
    ratio = (
        evaluate(lora, system, Layout(dp=8)).step_time[0] / evaluate(full, system, Layout(dp=8, zero=3)).step_time[0]
    )
    assert 0.6 < ratio < 0.85


def test_unpriced_is_not_free() -> None:
    run = job("llama-3.1-8b", 8192, 128, "bf16", 1e12)
    system = System(chip("h100-sxm"), 8)
    free, priced = plan(run, system).bill, plan(run, system, price=2.0 / 3600).bill
    assert free is not None and free.cost is None
    assert priced is not None and priced.cost == pytest.approx(2.0 * priced.accelerator_hours)


def test_goodput_falls_with_size_and_daly_is_the_best_distance() -> None:
    shares = [goodput(System(chip("h100-sxm"), n)).value for n in (64, 1024, 16384, 100_000)]
    assert shares == sorted(shares, reverse=True)
    mtbf, write = 3 * 3600.0, 20.0

    def lost(distance: float) -> float:
        return write / distance + distance / 2 / mtbf

    best = daly(mtbf, write)
    assert lost(best) <= min(lost(0.8 * best), lost(1.25 * best))


def test_bad_jobs_are_refused_with_every_problem() -> None:
    with pytest.raises(InputError) as caught:
        TrainJob(load("llama-3.1-8b", CATALOG), 0, 0, precision="bf61", task="pretraining")
    assert len(caught.value.problems) == 4
