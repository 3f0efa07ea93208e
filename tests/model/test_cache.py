"""Cache per layer kind against figures derived by hand, and its growth with the context."""

from __future__ import annotations

import numpy as np
import pytest

from tonnage.model import Load, Step, bundled_names, cache_elements, cache_table, kv_per_token, load, operators
from tonnage.model.counts import state_elements


# elements of one more token, all layers, by hand from the published sizes
@pytest.mark.parametrize(
    ("name", "elements"),
    [
        ("deepseek-v3", (512 + 64) * 61),
        ("kimi-k2", (512 + 64) * 61),
        ("deepseek-v3.2", (512 + 64 + 128) * 61),
        ("glm-5.2", (512 + 64) * 78 + 128 * 21),
        ("llama-3.1-405b", 2 * 8 * 128 * 126),
        ("qwen3-235b-a22b", 2 * 4 * 128 * 94),
        ("gpt-3-175b", 2 * 96 * 128 * 96),
        ("gpt-oss-120b", 2 * 8 * 64 * 36),
        ("qwen3-next", 2 * 2 * 256 * 12),
        ("nemotron-3-nano", 2 * 2 * 128 * 6),
        ("kimi-k3", (512 + 64) * 24),
        ("minimax-m3", 2 * 4 * 128 * 60 + 128 * 57),
        ("gemma-4-31b", 2 * 16 * 256 * 50 + 2 * 4 * 512 * 10),
        # window of one shared key and value, an entry of 512 (+ 128 for its indexer) for 4 tokens, 512 for 128 tokens
        ("deepseek-v4-flash", 512 * 43 + (512 + 128) / 4 * 21 + 512 / 128 * 20),
    ],
)
def test_elements_of_one_token(name: str, elements: float) -> None:
    assert kv_per_token(load(name)) == elements


def test_deepseek_v3_takes_70272_bytes_a_token_in_bf16() -> None:
    assert kv_per_token(load("deepseek-r1")) * 2 == 70_272


def test_state_of_qwen3_next() -> None:
    """36 layers of 32 heads x 128 x 128, and the last 3 inputs of a convolution over queries, keys and values."""
    assert state_elements(load("qwen3-next")) == 36 * (32 * 128 * 128 + 3 * (2 * 16 * 128 + 32 * 128))


def test_state_of_nemotron_3_nano() -> None:
    """23 Mamba-2 layers of 64 heads x 64 x 128, convolution over 4096 + 2 x 8 x 128 channels."""
    assert state_elements(load("nemotron-3-nano")) == 23 * (64 * 64 * 128 + 3 * (4096 + 2048))


def test_windows_stop_growing() -> None:
    arch = load("gpt-oss-120b")
    per_layer = 2 * 8 * 64
    cached = cache_elements(arch, np.array([64.0, 128.0, 1000.0, 100_000.0]))
    assert cached.tolist() == [per_layer * (18 * min(c, 128) + 18 * c) for c in (64, 128, 1000, 100_000)]


def test_borrowed_layers_cache_nothing() -> None:
    arch = load("gemma-4-e2b")  # 35 layers, the last 20 borrow; one KV head of 256 in windows of 512, of 512 in full
    assert cache_elements(arch, 10_000.0) == 12 * 512 * 2 * 256 + 3 * 10_000 * 2 * 512


def test_chunks_of_llama_4() -> None:
    arch = load("llama-4-maverick")
    assert cache_elements(arch, 100_000.0) == 2 * 8 * 128 * (36 * 8192 + 12 * 100_000)


def test_compression_of_deepseek_v4() -> None:
    """Beyond the windows the two compressed kinds cost 1/4 x (512 + 128) and 1/128 x 512 a token."""
    arch = load("deepseek-v4-flash")
    grown = cache_elements(arch, 256_000.0) - cache_elements(arch, 128_000.0)
    assert grown == 128_000 * (21 * 640 / 4 + 20 * 512 / 128)


def test_tensor_parallel_shares_kv_heads_until_one_is_left() -> None:
    arch = load("llama-3.1-405b")
    whole = cache_elements(arch, 4096.0)
    assert cache_elements(arch, 4096.0, np.array([1, 2, 8, 16])).tolist() == [whole, whole / 2, whole / 8, whole / 8]


def test_latent_is_whole_on_every_rank() -> None:
    arch = load("deepseek-v3")
    assert set(cache_elements(arch, 4096.0, np.array([1, 2, 8, 16])).tolist()) == {cache_elements(arch, 4096.0)}


@pytest.mark.parametrize("name", [name for name in bundled_names() if "/" in name])
def test_cache_grows_and_matches_what_decode_reads(name: str) -> None:
    """The sum over layers of what a decode step may read never exceeds what is cached (but for borrowed layers)."""
    arch = load(name)
    contexts = np.array([0.0, 1.0, 100.0, 5000.0, 100_000.0])
    cached = cache_elements(arch, contexts)
    assert (np.diff(cached) >= 0).all()
    made = operators(arch, Step((Load(1.0, 1.0, contexts),), 1.0))
    lent = {n for n, block in enumerate(arch.blocks) if getattr(block.mixer, "borrowed", False)}
    read = sum((op.cache_read * op.count for op in made if op.block not in lent), start=contexts * 0.0)
    assert (read <= cached + 1e-6).all()


@pytest.mark.parametrize("name", ["deepseek-v3", "llama-3.1-8b", "gpt-oss-20b", "deepseek-v4-pro", "qwen3-next"])
def test_what_prefill_writes_is_what_is_cached(name: str) -> None:
    """While no window is full: a prefill of 128 tokens writes the cache of a context of 128."""
    arch = load(name)
    made = operators(arch, Step((Load(1.0, 128.0),), 1.0))
    assert sum(op.cache_write * op.count for op in made) == cache_elements(arch, 128.0)


def test_table_adds_up() -> None:
    arch = load("qwen3-next")
    rows = cache_table(arch, 8192.0)
    assert {row.kind for row in rows} == {"gqa", "gated-deltanet"}
    assert sum(row.layers * (row.kv + row.state) for row in rows) == cache_elements(arch, 8192.0)
