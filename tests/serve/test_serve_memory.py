"""Memory and cache figures against arithmetic done by hand."""

from __future__ import annotations

import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load, params
from tonnage.serve import fit
from tonnage.serve.engines import ENGINES
from tonnage.serve.memory import RUNTIME, memory, sequence_bytes, weight_bytes
from tonnage.serve.precision import formats
from tonnage.system import Precision, System, accelerator, per_die

CATALOG = catalog.load()


def test_llama_8b_cache_is_128_kib_a_token() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    by_hand = 32 * 2 * 8 * 128 * 2  # layers, keys and values, KV heads, head size, bytes
    assert sequence_bytes(arch, "bf16", Layout(), 1000.0) == 1000 * by_hand
    assert sequence_bytes(arch, "fp8", Layout(tp=8), 1000.0) == 1000 * by_hand / 2 / 8


def test_deepseek_latent_is_whole_on_every_tensor_parallel_rank() -> None:
    arch = load("deepseek-v3", CATALOG)
    by_hand = 61 * (512 + 64) * 2
    for tp in (1, 8):
        assert sequence_bytes(arch, "bf16", Layout(tp=tp), 4096.0) == 4096 * by_hand


def test_cache_is_rounded_up_to_whole_blocks() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    one = sequence_bytes(arch, "bf16", Layout(), 1.0, block=16)
    assert one == sequence_bytes(arch, "bf16", Layout(), 16.0, block=16)
    assert sequence_bytes(arch, "bf16", Layout(), 17.0, block=16) == 2 * one


def test_weights_of_all_ranks_hold_every_parameter() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    assert weight_bytes(arch, Precision(), Layout()) == 2 * params(arch).total
    each = float(weight_bytes(arch, Precision(), Layout(tp=4)))
    assert 2 * params(arch).total <= 4 * each <= 2.01 * params(arch).total  # norms are repeated


def test_experts_dealt_out_leave_attention_on_every_replica() -> None:
    arch = load("deepseek-v3", CATALOG)
    how = Precision(linear="fp8_block")
    dealt = float(weight_bytes(arch, how, Layout(tp=1, dp=16, ep=16)))
    cut = float(weight_bytes(arch, how, Layout(tp=16, etp=16)))
    assert dealt > cut
    experts = 58 * 256 * 3 * 7168 * 2048  # layers, experts, matrices, sizes: one byte each
    assert dealt > experts / 16


def test_an_engine_that_shares_what_is_free_leaves_less_than_the_free_memory() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    die = per_die(accelerator("h100-sxm", CATALOG))
    free = memory(arch, die, Precision(), Layout(), ENGINES["trtllm"], context=4096, tokens=8192)
    whole = memory(arch, die, Precision(), Layout(), ENGINES["vllm"], context=4096, tokens=8192)
    assert free.pool == pytest.approx(0.9 * (free.capacity - free.weights - free.activations - RUNTIME))
    assert whole.pool == pytest.approx(0.9 * whole.capacity - whole.weights - whole.activations - RUNTIME)


def test_kv_capacity_of_llama_8b_on_an_rtx_4090_is_what_vllm_allows() -> None:
    """24,081 MiB at 0.9 less 16.06 GB of weights leave 5 to 7 GB: 35 to 50 thousand tokens."""
    plan = fit(
        load("meta-llama/Llama-3.1-8B", CATALOG), System(accelerator("rtx-4090", CATALOG), 1), engine_name="vllm"
    )
    assert plan.outcome.feasible
    assert 25_000 < plan.cached_tokens < 50_000


def test_hybrid_states_limit_sequences_where_the_engine_sets_them_apart() -> None:
    arch = load("Qwen/Qwen3-Next-80B-A3B-Instruct", CATALOG)
    die = per_die(accelerator("h200-sxm", CATALOG))
    apart = memory(arch, die, Precision(), Layout(tp=4, etp=4), ENGINES["sglang"], context=1024, tokens=8192)
    shared = memory(arch, die, Precision(), Layout(tp=4, etp=4), ENGINES["vllm"], context=1024, tokens=8192)
    assert apart.sequences < shared.sequences / 3


def test_released_formats_follow_the_chip() -> None:
    arch = load("deepseek-r1", CATALOG)
    assert formats(arch, accelerator("h20", CATALOG)).weights == "fp8"
    assert formats(arch, accelerator("a100-sxm-80gb", CATALOG)).weights == "bf16"
    assert formats(arch, accelerator("ascend-910c", CATALOG)).weights == "int8"
    assert formats(load("openai/gpt-oss-120b", CATALOG), accelerator("h100-sxm", CATALOG)).precision.experts == "mxfp4"


def test_fit_names_what_is_missing_and_what_would_do() -> None:
    arch = load("deepseek-r1", CATALOG)
    plan = fit(arch, System(accelerator("h800", CATALOG), 8))
    assert plan.outcome.reason == "memory"
    bind = plan.outcome.binds[0]
    assert bind.by is not None and bind.by > 0
    assert bind.lift is not None
    chips = int(bind.lift.split(" x ")[0])
    assert chips > 8
    assert fit(arch, System(accelerator("h800", CATALOG), 2 * chips)).outcome.feasible


def test_fit_has_the_keys_of_the_interface() -> None:
    body = fit(load("deepseek-r1", CATALOG), System(accelerator("h20", CATALOG), 8)).to_json()
    assert {"weights", "kv_cache", "activations", "buffers", "total", "capacity", "reported"} == set(body["memory"])
    assert body["memory"]["capacity"] == pytest.approx(96e9)  # the data sheet's; drivers report more
    assert body["params"] == 671_026_404_352
    assert body["kv_bytes_per_token"] == 61 * 576 * 2
    for name in ("max_context", "max_batch", "mtp_params", "active_params"):
        assert body[name] > 0
    assert body["memory"]["total"] <= body["memory"]["capacity"]
