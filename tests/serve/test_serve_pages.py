"""What a sequence holds of an engine's cache, against the engines' own logs and arithmetic by hand."""

from __future__ import annotations

import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve import fit
from tonnage.serve.fit import FitPlan
from tonnage.serve.replica import compressed
from tonnage.serve.replica.engines import engine
from tonnage.serve.replica.pages import Asked, held, layer_kinds, sequence_bytes, state_bytes, token_bytes
from tonnage.system import System, accelerator

CATALOG = catalog.load()
GIB = 2.0**30


def test_a_sequence_of_deepseek_v4_flash_takes_what_vllm_asks_for() -> None:
    """30,000 tokens at steps of 16,384: 118 pages of entries, 2 x 259 of windows, 4,099 and 2,065 of tails, each of 22
    tuples of 37,440 + 8,640 + 1,728 bytes: "6.66 GiB KV cache is needed" (vLLM issue 44376)."""
    arch = load("deepseek-v4-flash", CATALOG)
    found = held(arch, "fp8", Layout(tp=2), engine("vllm@0.22"), Asked(30_000.0, 16_384.0, start=True))
    assert found == (118 + 2 * 259 + 4099 + 2065) * 22 * (37_440 + 8_640 + 1_728)
    assert found / GIB == pytest.approx(6.66, abs=0.005)


def test_what_runs_at_once_is_counted_in_pages_of_the_first_group() -> None:
    """131,072 tokens at steps of 8,192: 512 pages of 21 x 46,080 + 20 x 1,728 bytes, 131 of 22 and of 21 windows, 2,051
    and 1,041 of tails, in blocks of 22 x 37,440 + 21 x 8,640 + 20 x 1,728 (vLLM 0.23: 32.08 GiB hold 1,247,687)."""
    arch = load("deepseek-v4-flash", CATALOG)
    entries = 21 * (37_440 + 8_640) + 20 * 1_728
    others = 131 * 43 * 37_440 + 2_051 * 21 * (37_440 + 8_640) + 1_041 * 20 * 37_440
    pages = 512 + -(-others // entries)
    found = held(arch, "fp8", Layout(tp=2), engine("vllm@0.23"), Asked(131_072.0, 8192.0))
    assert found == pages * (22 * 37_440 + 21 * 8_640 + 20 * 1_728)
    assert 32.08 * GIB / float(found) * 131_072 == pytest.approx(1_247_687, rel=0.0003)


def test_drafts_take_tokens_from_a_step_in_flight() -> None:
    """7.71 GiB hold 150,992 tokens in sequences of 121,344: steps of 8,192 less a draft for 32 sequences, held for two
    steps (vLLM issue 51041, 0.26)."""
    arch = load("deepseek-v4-flash-0731", CATALOG)
    one = held(arch, "fp8", Layout(tp=2), engine("vllm@0.26"), Asked(121_344.0, 8192.0 - 32.0, 1.0, True))
    assert 7.71 * GIB / float(one) * 121_344 == pytest.approx(150_992, rel=0.004)


def test_a_page_of_latents_beside_states_holds_a_multiple_of_64_tokens() -> None:
    """2.30 GiB of Kimi-Linear over two cards hold 75,840 tokens: pages of 960, not of 944 (vLLM issue 28228)."""
    arch = load("kimi-linear", CATALOG)
    found = held(arch, "bf16", Layout(tp=2), engine("vllm@0.11.1"), Asked(120_000.0, 2048.0))
    assert found == 7 * 960 * 1152 * (125 + 3)


@pytest.mark.parametrize(("version", "gib"), [("0.25.1", 45.79), ("0.26", 70.79)])
def test_windows_of_gemma_4_hold_the_tokens_in_flight(version: str, gib: float) -> None:
    """8,192 pages of full layers and five groups of 2,113 (4,161 with two steps in flight), of 10 layers x 256 KiB
    (vLLM issue 49878)."""
    arch = load("gemma-4-31b-it", CATALOG)
    found = held(arch, "bf16", Layout(), engine(f"vllm@{version}"), Asked(262_144.0, 32_768.0))
    assert found / GIB == pytest.approx(gib, abs=0.005)


def test_a_page_of_keys_is_as_large_as_a_state() -> None:
    """Qwen3.6-27B over two cards with an 8-bit cache: pages of 1,568 tokens; 84 of them and three groups of states
    (github.com/mitchross/talos-argocd-proxmox/pull/1995)."""
    arch = load("qwen3.6-27b", CATALOG)
    found = held(arch, "fp8", Layout(tp=2), engine("vllm@0.27"), Asked(131_072.0, 8192.0))
    assert found == 16 * 1568 * 1024 * (84 + 3)


def test_plain_models_hold_the_same_in_every_engine() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    for name in ("vllm", "sglang", "trtllm"):
        assert held(arch, "bf16", Layout(), engine(name), Asked(4096.0, 8192.0)) == 4096 * 131_072


def test_layers_that_borrow_a_cache_have_none_and_layers_alike_are_one_kind() -> None:
    arch = load("gpt-oss-120b", CATALOG)
    kinds = {kind.window: kind.layers for kind in layer_kinds(arch, 2.0, Layout())}
    assert kinds == {128.0: 18, float("inf"): 18}


def test_sglang_gives_windows_a_share_of_the_full_pool() -> None:
    """cell_size_bytes=184320.0 for Gemma 4 26B-A4B: 5 layers x 4,096 + 0.8 x 25 x 8,192."""
    arch = load("gemma-4-26b-a4b", CATALOG)
    sglang = engine("sglang")
    assert token_bytes(arch, "bf16", Layout(), sglang) == 5 * 4096 + 0.8 * 25 * 8192
    short, long = (held(arch, "bf16", Layout(), sglang, Asked(c, 8192.0)) for c in (512.0, 32_768.0))
    assert short == 512 / 0.8 * 184_320  # the windows' pool is the narrower one
    assert long == 32_768 * 184_320


def test_sglang_pools_of_deepseek_v4_take_what_it_logs_by_version() -> None:
    flash, pro = load("deepseek-v4-flash", CATALOG), load("deepseek-v4-pro", CATALOG)
    assert compressed.pool_token(flash, 1.0, engine("sglang"), False) == pytest.approx(7705.45)
    new, old = (compressed.pool_token(pro, 1.0, engine(f"sglang@{v}"), False) for v in ("0.5.15", "0.5.13"))
    assert old - new == pytest.approx(0.1 * 31 * 2 * 512 * 4)
    assert compressed.fixed_bytes(flash, engine("sglang@0.5.13"), 256) == 0
    assert compressed.fixed_bytes(flash, engine("sglang"), 256) > 2e9


def test_keys_alive_are_a_floor() -> None:
    for name in ("gpt-oss-20b", "gemma-4-31b-it", "deepseek-v4-flash", "qwen3.6-35b-a3b"):
        arch = load(name, CATALOG)
        for context in (1000.0, 50_000.0):
            alive = float(sequence_bytes(arch, "bf16", Layout(), context))
            for which in ("vllm", "sglang"):
                assert float(held(arch, "bf16", Layout(), engine(which), Asked(context, 2048.0))) >= 0.98 * alive


def planned(model: str, chips: str, count: int, name: str, **asked: float) -> FitPlan:
    context, share = asked.get("context", 8192.0), asked.get("share")
    system = System(accelerator(chips, CATALOG), count)
    return fit(load(model, CATALOG), system, kv="fp8", engine_name=name, context=context, memory_share=share)


@pytest.mark.parametrize(
    "model", ["deepseek-v4-flash", "gpt-oss-120b", "gemma-4-31b-it", "qwen3.6-35b-a3b", "glm-4.5-air"]
)
@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm"])
def test_bytes_a_token_times_tokens_are_the_cache(model: str, name: str) -> None:
    """Nothing that is printed of the cache contradicts the rest, at any context of the curve."""
    found = planned(model, "h200-sxm", 4, name)
    assert found.outcome.feasible
    assert found.token_bytes * found.tokens_each == pytest.approx(found.memory.kv_cache)
    replicas = found.cached_tokens / found.tokens_each
    for point in found.curve:
        assert point.token_bytes * point.tokens / replicas == pytest.approx(found.memory.kv_cache)
        assert point.sequences * point.context <= 1.02 * point.tokens


def test_what_deepseek_v4_holds_of_long_sequences_is_what_vllm_says() -> None:
    """20.43 sequences of 1M over eight B200 with tp8, 156.9 with dp8 (vLLM issue 51454); counted alive: 38 and 280."""
    system = System(accelerator("b200-sxm", CATALOG), 8)
    arch = load("deepseek-v4-flash", CATALOG)
    for layout, logged in (({"tp": 8, "ep": 8}, 20.43), ({"tp": 1, "dp": 8, "ep": 8}, 156.9)):
        found = fit(
            arch,
            system,
            kv="fp8",
            fixed=layout,
            context=1_048_576.0,
            engine_name="vllm@0.25",
            memory_share=0.95,
            running=256,
        )
        assert found.curve[-1].sequences == pytest.approx(logged, rel=0.08)


def test_the_curve_stops_at_what_the_model_reads() -> None:
    found = planned("gpt-oss-20b", "h100-sxm", 1, "vllm")
    assert found.curve[-1].context == 131_072 and found.curve[0].token_bytes > found.curve[-1].token_bytes


def test_attention_chunks_are_kept_until_vllm_frees_them() -> None:
    """`VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE` was off: every token of every layer of Llama 4 is held."""
    arch = load("llama-4-scout", CATALOG)
    old, new = (held(arch, "bf16", Layout(), engine(f"vllm@{v}"), Asked(65_536.0, 8192.0)) for v in ("0.11", "0.28"))
    assert old == 65_536 * 48 * 2 * 8 * 128 * 2
    assert new == 12 * 16 * 4096 * (65_536 // 16 + 3 * (8192 + 2 * 8192) // 16)


def test_states_are_the_same_in_the_table_and_in_the_memory() -> None:
    """48 layers of 48 heads x 128 x 128 in FP32, and three inputs of 10,240 channels in 16 bits."""
    found = planned("qwen3.6-27b", "h200-sxm", 1, "trtllm")
    assert sum(row.state_bytes for row in found.cache) == 48 * (48 * 128 * 128 * 4 + 3 * 10_240 * 2)


def test_tensorrt_llm_keeps_windows_whole() -> None:
    """Unless `max_attention_window` is told: gpt-oss keeps 36 layers x 2 x 8 x 64 x 2 bytes of every token, where its
    windows of 128 keep half of that alive."""
    arch, asked = load("openai/gpt-oss-120b", CATALOG), Asked(33_792.0, 8192.0)
    assert held(arch, "bf16", Layout(), engine("trtllm"), asked) == 33_792 * 36 * 2048
    assert token_bytes(arch, "bf16", Layout(), engine("trtllm")) == 36 * 2048
    assert sequence_bytes(arch, "bf16", Layout(), 33_792.0) < 0.51 * 33_792 * 36 * 2048


def test_without_prefixes_sglang_keeps_one_state_of_a_sequence() -> None:
    """`--disable-radix-cache`: one state instead of five, taken from the room that keys share."""
    arch, one = load("qwen3.6-27b", CATALOG), engine("sglang")
    plain = one.told(prefixes=False)
    assert (one.states, one.state_share is None) == (5, False) and (plain.states, plain.state_share) == (1, None)
    state = state_bytes(arch, Layout())
    kept, alone = (held(arch, "bf16", Layout(), each, Asked(8192.0)) for each in (one, plain))
    assert kept - alone == pytest.approx(4 * float(state))


@pytest.mark.parametrize(("chip", "token"), [("h200", 656 + 132), ("b200", 576 + 132), ("rtx-pro-6000", 656 + 132)])
def test_an_eight_bit_cache_of_sparse_latents_is_as_the_chips_kernels_keep_it(chip: str, token: int) -> None:
    from tonnage import catalog
    from tonnage.model import cache_bytes, load
    from tonnage.serve.replica.pages import cached_on
    from tonnage.system import accelerator

    known = catalog.load()
    arch = load("deepseek-v3.2", known)
    kept = cached_on(arch, accelerator(chip, known).generation)
    assert float(cache_bytes(kept, 1000.0, 1.0)) == 1000 * 61 * token
    assert float(cache_bytes(kept, 1000.0, 2.0)) == float(cache_bytes(arch, 1000.0, 2.0))
