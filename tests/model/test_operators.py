"""Properties of operators: pairs of attention, the two forms of latent attention, what training keeps, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.model import Architecture, Load, Operator, Step, bundled_names, flop_per_token, load, operators, params
from tonnage.model.compressed import Compressed
from tonnage.model.operators import MTP
from tonnage.model.site import capped_pairs, causal_pairs, chunked_pairs

IDS = [name for name in bundled_names() if "/" in name]


def by_name(made: Sequence[Operator], block: int = 0) -> dict[str, Operator]:
    return {op.name: op for op in made if op.block == block}


def forward(name: str, *loads: Load, **more: Any) -> tuple[Architecture, tuple[Operator, ...]]:
    arch = load(name)
    return arch, operators(arch, Step(loads, more.pop("logits", 1.0), **more))


@given(st.integers(0, 300), st.integers(1, 60), st.integers(1, 200))
def test_pairs_are_counted_one_by_one(context: int, new: int, size: int) -> None:
    work = Load(2.0, float(new), float(context))
    seen = [context + i + 1 for i in range(new)]
    assert causal_pairs(work) == 2 * sum(seen)
    assert capped_pairs(work, float(size)) == 2 * sum(min(keys, size) for keys in seen)
    assert chunked_pairs(work, float(size)) == pytest.approx(2 * sum((keys - 1) % size + 1 for keys in seen))


@given(st.integers(0, 300), st.integers(1, 60), st.sampled_from([4, 128]), st.sampled_from([3.0, 512.0, np.inf]))
def test_compressed_entries_are_counted_one_by_one(context: int, new: int, ratio: int, cap: float) -> None:
    mixer = Compressed(8, 16, 8, 4, 128, ratio, 2, 4)
    found = mixer._entries(Load(1.0, float(new), float(context)), cap)
    assert found == sum(min((context + i + 1) // ratio, cap) for i in range(new))


@pytest.mark.parametrize("name", IDS)
def test_numbers_are_finite_and_not_negative(name: str) -> None:
    arch = load(name)
    loads = (Load(np.array([1.0, 8.0]), 1.0, np.array([0.0, 200_000.0])), Load(1.0, np.array([5.0, 3000.0]), 7.0))
    for op in operators(arch, Step(loads, 9.0, mtp=True)):
        for field in ("m", "n", "k", "flop", "weight", "stream", "cache_read", "cache_write", "saved"):
            value = np.asarray(getattr(op, field), dtype=float)
            assert np.isfinite(value).all(), (op.name, field)
            assert (value >= 0).all(), (op.name, field)


@pytest.mark.parametrize("name", ["deepseek-v3", "gpt-oss-120b", "qwen3-next", "deepseek-v4-pro", "nemotron-3-super"])
def test_an_array_is_the_scalars_side_by_side(name: str) -> None:
    contexts = [0.0, 17.0, 4096.0]
    _, wide = forward(name, Load(2.0, 3.0, np.array(contexts)), logits=6.0)
    for index, context in enumerate(contexts):
        _, narrow = forward(name, Load(2.0, 3.0, context), logits=6.0)
        for one, many in zip(narrow, wide, strict=True):
            for field in ("flop", "stream", "cache_read", "saved", "n"):
                value = np.broadcast_to(getattr(many, field), 3)[index]
                assert value == pytest.approx(getattr(one, field)), (one.name, field)


@pytest.mark.parametrize("name", IDS)
def test_sequences_add_up(name: str) -> None:
    """Two loads of one sequence cost what one load of two does; weights are not counted twice."""
    _, apart = forward(name, Load(1.0, 4.0, 100.0), Load(1.0, 4.0, 100.0))
    _, together = forward(name, Load(2.0, 4.0, 100.0))
    for field in ("flop", "weight", "cache_read", "cache_write", "saved"):
        total = [sum(getattr(op, field) * op.count for op in made) for made in (apart, together)]
        assert total[0] == pytest.approx(total[1]), field


@pytest.mark.parametrize("name", [n for n in IDS if "gemma-4-E" not in n])
def test_gemm_flop_are_twice_the_active_parameters(name: str) -> None:
    """With attention's core, scans and element-wise work left out, a token costs 2 FLOP for each active parameter."""
    arch, made = forward(name, Load(1.0, 64.0), logits=64.0)
    work = sum(op.flop * op.count for op in made if op.kind in ("gemm", "grouped_gemm")) / 64
    assert work == pytest.approx(2 * params(arch).active, rel=0.012)


def test_llama_405b_costs_six_flop_a_parameter_and_attention() -> None:
    """Megatron's formula (arXiv 2104.04473, equation 3), with causal attention: 72 b s l h^2 (...) for GPT shapes."""
    arch = load("gpt-3-175b")
    seq, hidden, layers, vocab = 2048, 12288, 96, 50257
    formula = 72 * seq * layers * hidden**2 * (1 + (seq + 1) / (12 * hidden) + vocab / (12 * layers * hidden))
    assert flop_per_token(arch, float(seq), training=True) * seq == pytest.approx(formula, rel=1e-6)


def test_deepseek_v3_costs_what_is_published() -> None:
    """250 GFLOP a token at 4,096 tokens in training, 260 with multi-token prediction (Megatron-Bridge's summary)."""
    arch = load("deepseek-v3")
    assert round(flop_per_token(arch, 4096.0, training=True) / 1e9) == 250
    assert flop_per_token(arch, 4096.0, training=True, mtp=True) / 1e9 == pytest.approx(260, rel=0.005)


def test_deepseek_v3_decode_is_absorbed_and_prefill_expanded() -> None:
    _, decode = forward("deepseek-v3", Load(8.0, 1.0, 4096.0))
    _, prefill = forward("deepseek-v3", Load(1.0, 4096.0, 0.0))
    assert by_name(decode)["core"].k == 512 + 64 + 512
    assert by_name(decode)["core"].flop == 8 * 4097 * 2 * 128 * (512 + 64 + 512)
    assert by_name(decode)["kv_b"].m == 8
    assert by_name(decode)["core"].cache_read == 8 * 4096 * 576
    assert by_name(prefill)["core"].k == 128 + 64 + 128
    assert by_name(prefill)["kv_b"].m == 4096


@given(st.integers(1, 5000), st.integers(0, 50_000))
def test_the_form_of_latent_attention_is_the_cheaper_one(new: int, context: int) -> None:
    mixer = load("deepseek-v3").blocks[0].mixer
    work = Load(1.0, float(new), float(context))
    pairs, up = causal_pairs(work), 2 * 512 * 128 * 256
    expanded = pairs * 2 * 128 * 320 + (new + context) * up
    absorbed = pairs * 2 * 128 * 1088 + new * up
    assert bool(mixer.absorbed(work)) == (absorbed < expanded)  # type: ignore[union-attr]


def test_mixed_step_keeps_both_forms_apart() -> None:
    arch = load("deepseek-v3")
    made = operators(arch, Step((Load(32.0, 1.0, 2000.0), Load(1.0, 512.0, 0.0)), 33.0))
    cores = [op for op in made if op.name == "core" and op.block == 1]
    assert [float(op.k) for op in cores] == [1088.0, 320.0]
    assert by_name(made, 1)["kv_b"].m == 32 + 512
    assert by_name(made, 1)["kv_b"].weight == 512 * 128 * 256


def test_sparse_attention_reads_what_is_chosen_and_scans_all() -> None:
    _, made = forward("deepseek-v3.2", Load(1.0, 1.0, 100_000.0))
    names = by_name(made)
    assert names["core"].n == 2048
    assert names["core"].cache_read == 2048 * 576
    assert names["index"].n == 100_001
    assert names["index"].cache_read == 100_000 * 128


def test_windows_bound_keys_and_reads() -> None:
    arch, made = forward("gpt-oss-120b", Load(1.0, 1.0, 100_000.0))
    windowed = next(n for n, block in enumerate(arch.blocks) if block.mixer.window)  # type: ignore[union-attr]
    assert by_name(made, windowed)["core"].n == 128
    assert by_name(made, windowed)["core"].cache_read == 128 * 2 * 8 * 64
    assert by_name(made, 1 - windowed)["core"].n == 100_001


def test_gpt_keeps_what_korthikanti_counts_without_dropout_masks() -> None:
    """Equation 1 of arXiv 2205.05198: 34 sbh bytes a layer, of which two dropout masks take 2 sbh.

    Beside the 32 sbh, flash attention keeps a log-sum-exp (4 bytes a head and token) and recomputes the 5as/h term.
    """
    _, made = forward("gpt-3-175b", Load(1.0, 2048.0), logits=2048.0)
    saved = sum(op.saved for op in made if op.block == 0)
    assert 2 * saved == 2048 * (32 * 12288 + 4 * 96)


def test_swiglu_keeps_its_two_inputs_and_their_product() -> None:
    _, made = forward("llama-3.1-8b", Load(1.0, 10.0), logits=10.0)
    hidden, ffn, kv = 4096, 14336, 1024
    per_token = 4 * hidden + (hidden + 2 * kv + 2 * 32) + hidden + 3 * ffn
    assert sum(op.saved for op in made if op.block == 0) == 10 * per_token


def test_experts_keep_for_each_visit() -> None:
    _, made = forward("mixtral-8x7b", Load(1.0, 10.0), logits=10.0)
    kept = sum(op.saved for op in made if op.part == "experts")
    assert kept == 10 * 2 * (4096 + 3 * 14336)


def test_multi_token_prediction_runs_when_asked() -> None:
    _, without = forward("deepseek-v3", Load(1.0, 8.0), logits=8.0)
    _, with_it = forward("deepseek-v3", Load(1.0, 8.0), logits=8.0, mtp=True)
    more = [op for op in with_it if op.block == MTP]
    assert len(with_it) == len(without) + len(more)
    assert {"mtp_proj", "core", "expert_gate_up", "head"} <= {op.name for op in more}
    assert next(op for op in more if op.name == "head").weight == 0


def test_few_operators_a_block() -> None:
    for name in IDS:
        arch, made = forward(name, Load(1.0, 1.0, 10.0))
        for number in range(len(arch.blocks)):
            assert len([op for op in made if op.block == number]) <= 32
