"""Cutting a model over ranks keeps its work, its weights and its tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tonnage.catalog import load as catalog
from tonnage.layout import Layout, backward, cut_fraction, shard
from tonnage.model import load, operators
from tonnage.model.operators import Load, Operator, Step
from tonnage.system import touched

TOKENS = 4096.0


def whole(name: str, sequences: float = 2.0, new: float = 2048.0, context: float = 0.0) -> tuple[Operator, ...]:
    step = Step((Load(sequences, new, context),), sequences * new)
    return operators(load(name, catalog()), step)


@pytest.mark.parametrize("name", ["llama-3.1-70b", "deepseek-v3", "qwen3-235b-a22b"])
@pytest.mark.parametrize(
    ("layout", "replicas"),
    [
        (Layout(tp=8), 1),
        (Layout(tp=4, cp=2), 1),
        (Layout(tp=2, ep=8, dp=4), 4),
        (Layout(tp=1, ep=16, dp=16), 16),
        (Layout(tp=4, ep=4, etp=2, dp=2), 2),
        (Layout(tp=8, ep=8, etp=1, dp=1), 1),
    ],
)
def test_the_work_of_all_ranks_is_the_work_of_the_model(name: str, layout: Layout, replicas: int) -> None:
    """FLOP over tp x cp x dp ranks = FLOP of dp replicas, for what a cut divides evenly."""
    full = whole(name)
    local = shard(full, layout, sequence_parallel=True)
    ranks = layout.tp * layout.cp * layout.dp
    for before, after in zip(full, local, strict=True):
        if before.kind in ("gemm", "grouped_gemm", "attention") and before.cut != "none":
            if before.cut == "kv_heads" and before.heads_limit < layout.tp:
                continue
            assert after.flop * ranks == pytest.approx(before.flop * replicas, rel=1e-9), before.name


@pytest.mark.parametrize("layout", [Layout(tp=8, dp=8), Layout(tp=2, ep=16, dp=8), Layout(tp=4, ep=8, etp=2, dp=4)])
def test_the_weights_of_one_copy_are_the_weights_of_the_model(layout: Layout) -> None:
    full = whole("deepseek-v3")
    for before, after in zip(full, shard(full, layout), strict=True):
        if before.cut == "experts":
            assert after.weight * layout.ep * layout.etp == pytest.approx(before.weight)
        elif before.cut in ("column", "row", "vocab"):
            assert after.weight * layout.tp == pytest.approx(before.weight)
        elif before.cut == "none":
            assert after.weight == before.weight


def test_rows_of_experts_come_from_every_replica_of_the_group() -> None:
    """16 replicas of 128 tokens over 16 expert ranks, 8 of 256 each: 1024 rows for each rank's 16 experts."""
    full = whole("deepseek-v3", 128.0, 1.0, 4096.0)
    local = next(op for op in shard(full, Layout(ep=16, dp=16)) if op.kind == "grouped_gemm")
    assert local.m == 16 * 128
    assert local.groups == 16
    assert local.m * local.top_k == pytest.approx(128 * 8)
    assert touched(local.groups, local.top_k, local.m) == pytest.approx(16 * (1 - (1 - 8 / 256) ** 2048))


def test_imbalance_multiplies_the_rows_of_experts_only() -> None:
    full = whole("deepseek-v3")
    even, skewed = (shard(full, Layout(ep=8, dp=8), imbalance=x) for x in (1.0, 1.5))
    for a, b in zip(even, skewed, strict=True):
        assert b.flop == pytest.approx(a.flop * (1.5 if a.cut == "experts" else 1.0)), a.name
        assert b.weight == a.weight


def test_heads_that_do_not_divide_leave_the_fullest_rank_with_more() -> None:
    """8 KV heads over 3 ranks: 3 on the fullest; over 16: one each, twice held."""
    assert cut_fraction(3, 8) == pytest.approx(3 / 8)
    assert cut_fraction(16, 8) == pytest.approx(1 / 8)
    assert cut_fraction(16, 0) == pytest.approx(1 / 16)
    assert cut_fraction(np.array([1, 2, 8, 64]), 8).tolist() == pytest.approx([1, 1 / 2, 1 / 8, 1 / 8])


def test_grouped_keys_stop_dividing_and_latents_never_divide() -> None:
    llama = next(op for op in whole("llama-3.1-70b", 16.0, 1.0, 8192.0) if op.kind == "attention")
    deepseek = next(op for op in whole("deepseek-v3", 16.0, 1.0, 8192.0) if op.kind == "attention")
    wide = Layout(tp=16)
    (cut,) = shard((llama,), wide)
    assert cut.flop == pytest.approx(llama.flop / 16)
    assert cut.cache_read == pytest.approx(llama.cache_read / 8)
    (latent,) = shard((deepseek,), wide)
    assert latent.flop == pytest.approx(deepseek.flop / 16)
    assert latent.cache_read == deepseek.cache_read


def test_sequence_parallelism_divides_norms_and_saved_inputs() -> None:
    full = whole("llama-3.1-70b")
    plain, parallel = (shard(full, Layout(tp=8), sequence_parallel=flag) for flag in (False, True))
    for before, a, b in zip(full, plain, parallel, strict=True):
        if before.part == "norm":
            assert a.stream == before.stream
            assert b.stream == pytest.approx(before.stream / 8)
        assert b.saved <= a.saved
    saved = [sum(op.saved * op.count for op in ops) for ops in (plain, parallel)]
    assert saved[1] < saved[0]


def test_arrays_of_layouts_give_what_single_ones_give() -> None:
    full = whole("deepseek-v3")
    many = Layout(tp=np.array([1, 2, 8]), ep=np.array([8, 16, 8]), dp=np.array([8, 8, 1]), cp=np.array([1, 2, 1]))
    together = shard(full, many)
    for index in range(3):
        alone = shard(full, many.at(index))
        for a, b in zip(together, alone, strict=True):
            for field in ("m", "n", "k", "flop", "weight", "stream", "cache_read", "saved"):
                picked = np.broadcast_to(getattr(a, field), (3,))[index]
                assert picked == pytest.approx(getattr(b, field)), (a.name, field)


def test_backward_has_twice_the_flop_and_turned_shapes() -> None:
    gemm = replace(next(op for op in whole("llama-3.1-70b") if op.kind == "gemm"))
    dgrad, wgrad = backward(gemm)
    assert dgrad.flop == wgrad.flop == gemm.flop
    assert (dgrad.m, dgrad.n, dgrad.k) == (gemm.m, gemm.k, gemm.n)
    assert (wgrad.m, wgrad.n, wgrad.k) == (gemm.k, gemm.n, gemm.m)
    core = next(op for op in whole("llama-3.1-70b") if op.kind == "attention")
    (back,) = backward(core)
    assert back.flop == 2.5 * core.flop
