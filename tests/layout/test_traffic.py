"""The collectives that a layout implies, by hand."""

from __future__ import annotations

import numpy as np

from tonnage.catalog import load as catalog
from tonnage.layout import Layout, collectives, gradient_collectives, pipeline_transfer, weight_gather
from tonnage.model import load, operators
from tonnage.model.operators import Load, Step
from tonnage.system import Collective

TOKENS = 4096.0


def of(name: str, layout: Layout, **options: object) -> list[Collective]:
    step = Step((Load(1.0, TOKENS),), TOKENS)
    found = collectives(operators(load(name, catalog()), step), layout, **options)  # type: ignore[arg-type]
    return [c for c in found if np.all(np.asarray(c.size) > 1)]


def test_two_reductions_a_layer_for_tensor_parallelism() -> None:
    """Llama-70B: 80 layers, one reduction of tokens x 8192 x 2 bytes after attention and one after the FFN."""
    found = [c for c in of("llama-3.1-70b", Layout(tp=8), sequence_parallel=False) if c.count == 80]
    assert [c.kind for c in found] == ["all_reduce", "all_reduce"]
    assert all(c.payload == TOKENS * 8192 * 2 and c.stride == 1 for c in found)


def test_sequence_parallelism_moves_the_same_bytes() -> None:
    found = [c for c in of("llama-3.1-70b", Layout(tp=8), sequence_parallel=True) if c.count == 80]
    assert sorted(c.kind for c in found) == ["all_gather", "all_gather", "reduce_scatter", "reduce_scatter"]
    assert {c.payload for c in found} == {TOKENS * 8192 * 2}


def test_dispatch_in_fp8_is_half_of_combine_in_bf16() -> None:
    """DeepSeek-V3 on 64 expert ranks: each rank sends its tokens x 7168, one copy of each payload, 58 layers."""
    layout = Layout(ep=64, dp=64)
    found = {c.name: c for c in of("deepseek-v3", layout, dispatch=1.0, combine=2.0, domain_limit=4.0)}
    sent, back = found["ep.dispatch"], found["ep.combine"]
    assert sent.payload == TOKENS * 7168
    assert back.payload == 2 * sent.payload
    assert (sent.size, sent.copies, sent.limit, sent.count) == (64, 8, 4.0, 58)


def test_experts_inside_one_tensor_group_need_only_an_all_reduce() -> None:
    names = {c.name for c in of("deepseek-v3", Layout(tp=8, ep=8), sequence_parallel=False)}
    assert "ep.all_reduce" in names
    assert "ep.dispatch" not in names
    apart = {c.name for c in of("deepseek-v3", Layout(tp=8, ep=8), sequence_parallel=True)}
    assert "ep.dispatch" in apart


def test_experts_cut_inside_gather_each_copy_once() -> None:
    """One expert over 2 ranks: what reaches either goes to both; with ep 1 a token travels once, not top_k times."""
    alone = {c.name: c for c in of("deepseek-v3", Layout(tp=2, etp=2, ep=1), sequence_parallel=True)}
    assert alone["etp.gather"].payload == TOKENS * 7168 * 2
    spread = {c.name: c for c in of("deepseek-v3", Layout(tp=2, etp=2, ep=16, dp=16), sequence_parallel=True)}
    assert spread["etp.gather"].payload == 8 * TOKENS * 7168 * 2


def test_context_parallelism_gathers_keys_and_values() -> None:
    """Llama-70B, cp 4, tp 8: one KV head of 128 a rank, keys and values, two bytes, over ranks 8 apart."""
    (found,) = [c for c in of("llama-3.1-70b", Layout(tp=8, cp=4)) if c.name == "cp.keys_values"]
    assert found.payload == TOKENS * 1 * 128 * 2 * 2
    assert (found.size, found.stride, found.count) == (4, 8, 80)


def test_gradients_over_data_parallel_ranks() -> None:
    layout = Layout(tp=2, cp=2, dp=16, ep=8, zero=np.array([0, 1]))
    by_name = {c.name: c for c in gradient_collectives(1e9, 4e9, layout)}
    assert by_name["dp.all_reduce"].size.tolist() == [32, 1]
    assert by_name["dp.reduce_scatter"].size.tolist() == [1, 32]
    assert by_name["dp.reduce_scatter"].payload == 4e9
    assert by_name["dp.all_gather"].payload == 2e9
    assert by_name["edp.reduce_scatter"].size.tolist() == [1, 8]
    assert by_name["edp.reduce_scatter"].stride == 8
    assert by_name["dp.reduce_scatter"].stride == 2


def test_pipeline_and_sharded_weights() -> None:
    layout = Layout(tp=4, cp=2, dp=8, pp=4, zero=3)
    send = pipeline_transfer(TOKENS, 8192, layout)
    assert send.payload == TOKENS * 8192 * 2 / 8
    assert (send.size, send.stride) == (2, 64)
    gather = weight_gather(1e8, layout)
    assert (gather.payload, gather.size, gather.stride) == (2e8, 16, 4)
    assert weight_gather(1e8, Layout(dp=8, zero=1)).size == 1
