"""What is kept for a parameter: optimizers, formats, frozen bases, adapters, the host, chunks of the loss."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.errors import InputError, MissingFact
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import Evaluation, TrainJob, describe, evaluate, plan, plan_again
from tonnage.train.result import TrainPlan
from tonnage.train.upkeep import BASES, FORMATS, OPTIMIZERS, apiece

CATALOG = catalog.load()
PARAMS = 8_030_261_248
"""Of Llama 3.1 8B."""
ENDS = 2 * 128_256 * 4096
"""Of its embedding and its head."""


@functools.cache
def h100(count: int = 1) -> System:
    return System(accelerator("h100-sxm", CATALOG), count)


def job(**words: Any) -> TrainJob:
    usual: dict[str, Any] = {"seq": 4096, "global_batch": 16, "task": "sft"}
    return TrainJob(load("llama-3.1-8b", CATALOG), **(usual | words))


ONE = Layout()


def one(layout: Layout = ONE, **words: Any) -> Evaluation:
    return evaluate(job(**words), h100(), layout)


def states(found: Evaluation) -> float:
    held = found.memory
    return float(np.ravel(held.weights + held.gradients + held.optimizer)[0])


@pytest.mark.parametrize(
    ("words", "each"),
    [
        ({}, 18.0),
        ({"moments": "bf16"}, 14.0),
        ({"optimizer": "adamw-8bit"}, 2 + 4 + 4 + 2 * (1 + 4 / 256)),
        ({"optimizer": "adamw-8bit", "master": "none", "gradients": "bf16"}, 2 + 2 + 2 * (1 + 4 / 256)),
        ({"moments": "bf16", "master": "none", "gradients": "bf16"}, 8.0),
        ({"optimizer": "lion"}, 14.0),
        ({"optimizer": "sgd"}, 14.0),
        ({"optimizer": "adafactor"}, 10.0),
    ],
)
def test_bytes_of_a_parameter_by_hand(words: dict[str, str], each: float) -> None:
    assert states(one(**words)) == pytest.approx(each * PARAMS, rel=1e-6)


def test_muon_keeps_one_moment_of_matrices_and_two_of_embedding_and_head() -> None:
    assert states(one(optimizer="muon")) == pytest.approx(14 * (PARAMS - ENDS) + 18 * ENDS, rel=1e-6)


def test_full_sharding_without_a_master_spares_nothing() -> None:
    """Every byte is divided: the 16-bit weight is what is updated."""
    sharded = Layout(dp=8, zero=3)
    found = evaluate(job(moments="bf16", master="none", gradients="bf16"), h100(8), sharded)
    assert states(found) == pytest.approx(8 * PARAMS / 8, rel=1e-6)
    assert states(evaluate(job(), h100(8), sharded)) == pytest.approx(16 * PARAMS / 8, rel=1e-6)


def test_an_update_moves_what_is_kept_twice() -> None:
    assert apiece("adamw", None, "fp32", "fp32").moved == 2 * 12 + 4 + 2
    assert apiece("adamw", "bf16", "none", "bf16").moved == 2 * 4 + 2 + 2 * 2
    slow, quick = one(), one(optimizer="adamw-8bit")
    assert float(np.ravel(quick.parts["optimizer"])[0]) < float(np.ravel(slow.parts["optimizer"])[0])


def test_muon_multiplies_for_its_update_by_hand() -> None:
    """5 x (4 s^2 l + 2 s^3) FLOP for each matrix: 1.4 s at the datasheet's rate for all of Llama 3.1 8B."""
    shapes = [(4096, 4096, 2), (2048, 4096, 1), (4096, 28672, 1), (4096, 14336, 1)]
    flop = 32 * sum(5 * (4 * s * s * long + 2 * s**3) * n for s, long, n in shapes)
    adam, muon = one(), one(optimizer="muon")
    more = float(np.ravel(muon.parts["optimizer"] - adam.parts["optimizer"])[0])
    assert 1.0 < more / (flop / 989.4e12) < 2.5
    halved = evaluate(job(optimizer="muon"), h100(2), Layout(dp=2)).parts["optimizer"]
    assert float(np.ravel(halved)[0]) < 0.6 * float(np.ravel(muon.parts["optimizer"])[0]), "dealt out by ZeRO"


def test_every_optimizer_and_format_has_a_source_and_fewer_bytes_than_adam_in_32_bits() -> None:
    assert all(kept.source for kept in OPTIMIZERS.values())
    assert max(kept.moments for kept in OPTIMIZERS.values()) * FORMATS["fp32"] == 8.0
    assert BASES["nf4"] == pytest.approx(0.516, abs=0.001), "4.127 bits, arXiv 2305.14314"


def test_a_four_bit_base_is_5_8_gb_of_llama_8b_and_costs_time() -> None:
    """Linear layers at 4.127 bits, embedding and head in 16: 5.6 GB by the file of a public release."""
    frozen, narrow = one(task="lora"), one(task="qlora")
    assert states(frozen) == pytest.approx(2 * PARAMS, rel=1e-6)
    assert states(narrow) == pytest.approx(BASES["nf4"] * (PARAMS - ENDS) + 2 * ENDS, rel=1e-5)
    assert states(narrow) == pytest.approx(5.7e9, rel=0.02)
    assert states(one(task="lora", base="int8")) == pytest.approx(PARAMS - ENDS + 2 * ENDS, rel=1e-6)
    slower = float(narrow.step_time[0]) / float(frozen.step_time[0])
    assert 1.005 < slower < 1.2


@pytest.mark.parametrize(("rank", "where", "params"), [(16, "all-linear", 41_943_040), (8, "attention", 6_815_744)])
def test_adapters_have_the_parameters_that_peft_prints(rank: int, where: str, params: int) -> None:
    """Llama 3.1 8B: 41,943,040 trainable for rank 16 on all linear layers, 6,815,744 for rank 8 on attention."""
    plain, beside = one(task="lora"), one(task="lora", lora_rank=rank, lora_on=where)
    assert states(beside) - states(plain) == pytest.approx(18 * params, rel=1e-6)
    assert float(beside.step_time[0]) > float(plain.step_time[0])


def test_a_larger_rank_takes_more_memory_and_time() -> None:
    found = [one(task="qlora", lora_rank=rank) for rank in (8, 64, 512)]
    assert np.all(np.diff([states(each) for each in found]) > 0)
    assert np.all(np.diff([float(each.step_time[0]) for each in found]) > 0)


def test_adapters_of_experts_come_with_all_alone() -> None:
    moe = TrainJob(load("qwen3-30b-a3b", CATALOG), 4096, 16, task="lora", lora_rank=8)
    few, all_of = (evaluate(each, h100(), Layout()) for each in (moe, replace(moe, lora_on="all")))
    assert states(all_of) > 5 * (states(few) - states(evaluate(replace(moe, lora_rank=None), h100(), Layout())))


def test_qlora_of_8b_fits_a_24_gb_card_with_its_rank_said_and_lora_hardly() -> None:
    card = System(accelerator("rtx-4090", CATALOG), 1)
    words: dict[str, Any] = {"seq": 2048, "global_batch": 16}
    found = plan(job(task="qlora", lora_rank=16, **words), card)
    assert found.outcome.feasible and found.memory is not None and found.memory.high < 24e9
    plain = plan(job(task="lora", **words), card)
    assert plain.memory is not None and plain.memory.weights == pytest.approx(16.06e9, rel=0.01)


def test_frozen_shards_are_gathered_where_adapters_are_counted() -> None:
    found = evaluate(job(task="lora", lora_rank=8), h100(8), Layout(dp=8, zero=3))
    narrow = evaluate(job(task="qlora", lora_rank=8), h100(8), Layout(dp=8, zero=3))
    gather, less = (float(np.ravel(each.parts["data_parallel"])[0]) for each in (found, narrow))
    assert gather > less > 0, "four bits on the wire"


def test_chunks_of_the_loss_leave_one_chunk_of_logits() -> None:
    whole, chunked = (float(np.ravel(one(loss_chunks=n).memory.activations)[0]) for n in (None, 8))
    logits = 4096 * 128_256 * 6.0
    assert whole - chunked == pytest.approx(logits * 7 / 8, rel=0.01)


def test_what_the_host_keeps_leaves_the_accelerator_and_takes_its_link() -> None:
    """ZeRO-Offload: 12 bytes a parameter in the host; 4 bytes a parameter over 64 GB/s, and the host's own update."""
    plain, moved = one(), one(offload=("optimizer",))
    assert float(np.ravel(moved.memory.host)[0]) == pytest.approx(12 * PARAMS, rel=1e-6)
    assert states(plain) - states(moved) == pytest.approx(12 * PARAMS, rel=1e-6)
    seconds = float(np.ravel(moved.parts["offload"])[0])
    assert seconds > 4 * PARAMS / 64e9 and seconds == pytest.approx(4 * PARAMS / 64e9 + 8 * PARAMS / 4e9, rel=0.01)
    assert "offload" not in plain.parts


def test_zero_2_hands_gradients_over_and_zero_3_weights_too() -> None:
    eight = h100(8)
    second = evaluate(job(offload=("optimizer",)), eight, Layout(dp=8, zero=2))
    assert float(np.ravel(second.memory.gradients)[0]) == 0
    third = evaluate(job(offload=("params",)), eight, Layout(dp=8, zero=3))
    assert states(third) == 0
    assert float(np.ravel(third.memory.host)[0]) == pytest.approx(16 * PARAMS / 8, rel=1e-6)


def test_activations_in_the_host_let_long_sequences_fit() -> None:
    long: dict[str, Any] = {"seq": 131_072, "global_batch": 8}
    layout = Layout(dp=8, zero=3, recompute=2)
    here, there = (evaluate(job(offload=kept, **long), h100(8), layout) for kept in ((), ("activations",)))
    assert there.memory.activations < here.memory.activations
    assert here.memory.activations - there.memory.activations == pytest.approx(float(there.memory.host[0]), rel=1e-6)


def test_a_chip_whose_host_link_nobody_has_said_names_the_fact() -> None:
    system = System(accelerator("ascend-910b", CATALOG), 8)
    with pytest.raises(MissingFact, match="host_link for ascend-910b"):
        plan(job(offload=("optimizer",)), system)
    told = replace(system, accelerator=replace(system.accelerator, host_link=32e9))
    assert plan(job(offload=("optimizer",), global_batch=64), told).outcome.feasible


def test_nothing_compiled_costs_time_and_memory_as_torchtitan_measured() -> None:
    """Llama 3.1 8B, 8 H100 of 2.4 TB/s: 6,667 against 5,762 tokens/s, 82.7 against 88.5 GB."""
    system = System(accelerator("h100-sxm-hbm2e-500w", CATALOG), 8)
    words: dict[str, Any] = {"seq": 8192, "global_batch": 16, "framework": "torchtitan", "task": "pretrain"}
    layout = Layout(dp=8, zero=3, mbs=2, recompute=1)
    fused, eager = (describe(job(compiled=how, **words), system, layout) for how in (True, False))
    assert rate(fused) / rate(eager) == pytest.approx(6667 / 5762, rel=0.02)
    assert fused.memory is not None and eager.memory is not None
    assert eager.memory.total - fused.memory.total == pytest.approx(5.8e9, rel=0.15)


@pytest.mark.parametrize(("mbs", "held"), [(16, 46.7e9), (32, 76.0e9)])
def test_qwen3_32b_in_torchtitan_without_compile_holds_what_was_measured(mbs: int, held: float) -> None:
    """32 H100, FSDP 4, TP 8: 43.45 and 70.79 GiB, out of memory at 64 sequences; 876 tokens/s."""
    made = TrainJob(load("qwen3-32b", CATALOG), 4096, 4 * mbs, framework="torchtitan", compiled=False)
    system = System(accelerator("h100-sxm-hbm2e-500w", CATALOG), 32)
    found = describe(made, system, Layout(tp=8, dp=4, zero=3, mbs=mbs, recompute=2))
    assert found.memory is not None and found.memory.low < held < found.memory.high
    assert found.memory.total == pytest.approx(held, rel=0.05)
    assert rate(found) == pytest.approx(880, rel=0.25)
    assert found.run is not None and found.run.step_time.high > 4 * mbs * 4096 / 32 / 880
    double = describe(replace(made, global_batch=256), system, Layout(tp=8, dp=4, zero=3, mbs=64, recompute=2))
    assert double.memory is not None and double.memory.low > 80e9


def rate(found: TrainPlan) -> float:
    assert found.tokens_per_second is not None
    return found.tokens_per_second


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"optimizer": "adamw8"}, "optimizer"),
        ({"moments": "fp4"}, "moments"),
        ({"master": "bf16"}, "master"),
        ({"gradients": "fp16"}, "gradients"),
        ({"offload": ("everything",)}, "offload"),
        ({"lora_rank": 0, "task": "lora"}, "lora_rank"),
        ({"lora_rank": 8}, "lora_rank"),
        ({"base": "nf4"}, "base"),
        ({"base": "int3", "task": "lora"}, "base"),
        ({"lora_on": "mlp", "task": "lora"}, "lora_on"),
        ({"loss_chunks": 0}, "loss_chunks"),
    ],
)
def test_what_cannot_be_is_told_by_its_place(words: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as raised:
        job(**words)
    assert path in {problem.path for problem in raised.value.problems}


def test_a_plan_keeps_what_was_asked_through_json() -> None:
    asked = job(
        task="qlora", lora_rank=8, lora_on="attention", optimizer="adamw-8bit", offload=("activations",), loss_chunks=4
    )
    found = plan(replace(asked, compiled=False), h100())
    kept = TrainPlan.from_json(found.to_json())
    assert kept == found
    assert plan_again(kept) == found
