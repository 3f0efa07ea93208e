"""Memory and cache figures against arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load, params
from tonnage.model.compressed import Compressed
from tonnage.serve import fit
from tonnage.serve.replica.engines import ENGINES, engine
from tonnage.serve.replica.formats import formats
from tonnage.serve.replica.memory import (
    CONTEXT,
    FORWARD,
    VISIBLE,
    PricedRank,
    RankMemory,
    decode_memory,
    memory,
    static_share,
    weight_bytes,
)
from tonnage.serve.replica.pages import sequence_bytes
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


def test_each_engine_leaves_room_by_its_own_rule() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    die = per_die(accelerator("h100-sxm", CATALOG))

    def room(name: str) -> RankMemory:
        return memory(arch, die, Precision(), Layout(), ENGINES[name], context=4096, tokens=8192.0, share=0.9)

    vllm, sglang, trtllm = room("vllm"), room("sglang"), room("trtllm")
    whole = vllm.capacity
    captured = (51 + 51) * ENGINES["vllm"].graphs  # graphs of prefill and of decode
    assert vllm.pool == pytest.approx(0.9 * whole - vllm.weights - vllm.activations - FORWARD - captured)
    assert sglang.pool == pytest.approx(0.9 * (whole - CONTEXT) - sglang.weights)
    kept = trtllm.weights + trtllm.activations + CONTEXT + FORWARD
    assert trtllm.pool == pytest.approx(0.9 * (whole - kept))


def test_the_trial_step_of_vllm_is_a_forward_pass_or_sampling_whichever_is_more() -> None:
    """8,192 tokens x 110.6 kB, but 1,024 sequences x 128,256 logits x 22 bytes are more; 256 of them are less."""
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    large = memory(
        arch,
        per_die(accelerator("h100-sxm", CATALOG)),
        Precision(),
        Layout(),
        engine("vllm@0.26"),
        context=4096,
        tokens=8192,
    )
    small = memory(
        arch,
        per_die(accelerator("rtx-4090", CATALOG)),
        Precision(),
        Layout(),
        engine("vllm@0.26"),
        context=4096,
        tokens=8192,
    )
    assert large.activations == 1024 * 128_256 * 22
    assert small.activations == 8192 * 2 * (3 * 14_336 + 3 * 4096)


def test_what_a_program_finds_is_near_what_the_label_says() -> None:
    """GiB printed as GB make 1.074 at most; the fallback lies inside of what was printed."""
    known = [accelerator(name, CATALOG) for name in ("h100-sxm", "h200-sxm", "b200-sxm", "mi355x", "rtx-4090")]
    shares = [(chip.visible or 0.0) / chip.memory for chip in known]
    assert all(1.0 < share <= 2**30 / 1e9 for share in shares)
    assert min(shares) < VISIBLE < max(shares)
    pair = per_die(replace(known[0], dies=2))
    assert pair.visible == (known[0].visible or 0.0) / 2


def test_sglang_takes_the_share_of_its_formula() -> None:
    """80 GB: 512 + 8,192 x 1.5 + 1,024 + 2 x 512 MiB on 8 ranks; decode alone is at the floor of 10 GiB."""
    size = 81_559 * 2.0**20
    step = float(static_share(Layout(tp=8), size, 8192.0))
    assert step == pytest.approx(1 - (512 + 12_288 + 1024 + 1024) / 81_559)
    assert float(static_share(Layout(tp=8), size, 256.0)) == pytest.approx(1 - 10_240 / 81_559)


def test_a_pool_that_only_decodes_keeps_no_room_for_a_chunk() -> None:
    arch = load("deepseek-r1", CATALOG)
    die = per_die(accelerator("h800", CATALOG))
    how, wide = Precision(linear="fp8_block"), Layout(tp=1, dp=144, ep=144)
    both = memory(arch, die, how, wide, ENGINES["sglang"], context=4989, tokens=8192)
    alone = decode_memory(arch, die, how, wide, ENGINES["sglang"], context=4989, drafts=1)
    assert alone.pool > both.pool
    assert alone.activations < both.activations / 4


def test_an_8_bit_cache_of_sparse_latents_keeps_scales_and_rotary_parts() -> None:
    """SGLang allocates 43.67 GB for 975,424 tokens of DeepSeek-V3.2: 788 bytes in each of 61 layers; FlashMLA's 656 and
    132 of the indexer (github.com/sgl-project/sglang/pull/11309). Dense latents have one scale a tensor."""
    arch = load("deepseek-ai/DeepSeek-V3.2", CATALOG)
    one = sequence_bytes(arch, "fp8", Layout(), 1.0)
    assert one == 61 * (512 + 4 * 4 + 64 * 2 + 128 + 4)
    assert one * 975_424 / 2**30 == pytest.approx(43.67, abs=0.01)
    assert sequence_bytes(arch, "bf16", Layout(), 1.0) == 61 * (576 * 2 + 132)
    assert sequence_bytes(load("deepseek-r1", CATALOG), "fp8", Layout(), 1.0) == 61 * 576


def test_an_8_bit_entry_of_deepseek_v4_is_584_bytes() -> None:
    """448 in FP8 with 7 scales of one byte, padded to 8, and 64 in BF16 (SGLang `pool_configurator.py`)."""
    arch = load("deepseek-ai/DeepSeek-V4-Flash", CATALOG)
    near, far = (sequence_bytes(arch, "fp8", Layout(), context) for context in (128 * 1024.0, 128 * 1025.0))
    kinds = [block.mixer for block in arch.blocks]
    counts = {mixer.ratio: 0 for mixer in kinds if isinstance(mixer, Compressed)}
    for block in arch.blocks:
        if isinstance(block.mixer, Compressed):
            counts[block.mixer.ratio] += block.count
    assert far - near == counts[4] * 32 * (584 + 132) + counts[128] * 584


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
    assert formats(arch, accelerator("a100-sxm-80gb", CATALOG)).weights == "w8a16"
    assert formats(arch, accelerator("v100-sxm2-32gb", CATALOG)).weights == "bf16"
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
    assert body["memory"]["total"] <= body["memory"]["reported"]


def test_tensorrt_llm_sets_aside_what_experts_take_of_every_replica() -> None:
    """DeepSeek-R1 with attention in data parallel on 8 H200: 8 x 8,192 tokens x 8 experts of rows 7,168 + 2,048 wide,
    and their streams in and out, in 16 bits (`MoeConfig.max_num_tokens` is all of them unless told)."""
    arch, die = load("deepseek-r1", CATALOG), per_die(accelerator("h200-sxm", CATALOG))
    layout = Layout(tp=1, dp=8, ep=8)
    found = memory(arch, die, Precision("fp8"), layout, ENGINES["trtllm"], context=2048, tokens=8192)
    assert found.activations == 2 * 65_536 * 8 * (7168 + 2048) + 4 * 65_536 * 7168
    alone = memory(arch, die, Precision("fp8"), Layout(tp=8, etp=8), ENGINES["trtllm"], context=2048, tokens=8192)
    assert alone.activations < found.activations / 5


@pytest.mark.parametrize("name", ["qwen3.5-397b-a17b", "deepseek-r1"])
def test_nvfp4_keeps_dense_layers_and_shared_experts_in_four_bits_too(name: str) -> None:
    """As DeepSeek-R1-FP4, which leaves attention and head; only a release that is known says more."""
    found = formats(load(name, CATALOG), per_die(accelerator("b200-sxm", CATALOG)), "fp4").precision
    assert [found.weights(part).name for part in ("ffn", "shared_experts", "experts")] == ["nvfp4"] * 3
    assert [found.weights(part).name for part in ("attention", "head", "router")] == ["bf16"] * 3


def test_what_a_layout_holds_is_counted_once_for_all_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` finds its longest context in some thirty steps, each of which had cut the whole model again."""
    arch, die = load("deepseek-r1", CATALOG), per_die(accelerator("h20", CATALOG))
    counted, real = [], weight_bytes

    def counting(*given: object, **more: object) -> object:
        counted.append(given)
        return real(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("tonnage.serve.replica.memory.weight_bytes", counting)
    fit(arch, System(accelerator("h20", CATALOG), 8))
    assert 0 < len(counted) < 10
    rank = PricedRank(arch, die, formats(arch, die).precision, Layout(tp=8, ep=8), engine("sglang"))
    found = rank.memory(context=4096.0, tokens=8192.0)
    assert found == memory(arch, die, rank.precision, rank.layout, rank.engine, context=4096.0, tokens=8192.0)
    assert rank.memory(context=8192.0, tokens=8192.0).sequences < found.sequences


def test_nvfp4_narrows_the_projections_of_state_space_layers() -> None:
    """As Nemotron 3's releases, not those of gated delta layers (Qwen3.5); attention beside them stays as it is."""
    die = per_die(accelerator("dgx-spark", CATALOG))
    arch = load("nemotron-3-super-120b-a12b", CATALOG)
    found = formats(arch, die, "fp4").precision.weights("attention")
    assert found.name == "nvfp4" and 0.5625 < found.element < 0.75
    held = float(np.max(weight_bytes(arch, formats(arch, die, "fp4").precision, Layout())))
    assert held == pytest.approx(70.4e9, rel=0.01)
    other = formats(load("qwen3.5-397b-a17b", CATALOG), die, "fp4").precision
    assert other.weights("attention").name == "bf16"
