"""Operator times: published fractions of the roofline, monotone in what should be monotone, and fast."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.model.operators import Operator
from tonnage.system import COMPUTE, LAUNCH, MEMORY, Accelerator, Precision, operator_time, operator_times, touched

H100 = Accelerator(
    "h100-sxm", "H100", "NVIDIA", {"bf16": 989e12, "fp8": 1978e12}, 80e9, 3.35e12, 450e9, 8, 50e9, power=700.0
)
H200 = replace(H100, name="h200-sxm", memory=141e9, bandwidth=4.8e12)
A100 = Accelerator("a100", "A100", "NVIDIA", {"bf16": 312e12}, 80e9, 2.04e12, 300e9, 8, 25e9)
B200 = Accelerator(
    "b200", "B200", "NVIDIA", {"bf16": 2250e12, "fp8": 4500e12, "fp4": 9000e12}, 180e9, 7.7e12, 900e9, 8, 50e9
)
MI300X = replace(H100, name="mi300x", vendor="AMD", rates={"bf16": 1307e12, "fp8": 2615e12}, bandwidth=5.3e12)


def gemm(m: float, n: float, k: float, part: str = "ffn") -> Operator:
    return Operator(
        "x", part, "gemm", 0, 1, "column", m=m, n=n, k=k, flop=2 * m * n * k, weight=n * k, stream=m * (n + k)
    )


def experts(m: float, groups: float, top_k: float, n: float = 4096.0, k: float = 7168.0) -> Operator:
    rows = m * top_k
    return Operator(
        "up",
        "experts",
        "grouped_gemm",
        0,
        1,
        "experts",
        m=m,
        n=n,
        k=k,
        groups=groups,
        top_k=top_k,
        flop=2 * rows * n * k,
        weight=groups * n * k,
        stream=rows * (n + k),
    )


def attention(
    sequences: float, new: float, context: float, heads: float = 32.0, kv: float = 8.0, dim: float = 128.0
) -> Operator:
    """Grouped-query core; causal among the new tokens."""
    pairs = sequences * new * (context + (new + 1) / 2)
    return Operator(
        "core",
        "attention",
        "attention",
        0,
        1,
        "heads",
        m=sequences * new,
        n=pairs / (sequences * new),
        k=2 * dim,
        groups=heads,
        flop=4 * pairs * heads * dim,
        stream=sequences * new * (2 * heads + 2 * kv) * dim,
        cache_read=sequences * context * 2 * kv * dim,
        cache_write=sequences * new * 2 * kv * dim,
        heads_limit=kv,
    )


# fractions of the roofline in NVIDIA AIConfigurator 0.12's tables: ideal time / best measured time


@pytest.mark.parametrize(
    ("chip", "weights", "m", "fraction", "tolerance"),
    [
        (A100, "bf16", 8192, 0.91, 0.15),
        (H100, "bf16", 8192, 0.81, 0.12),
        (H100, "fp8", 8192, 0.64, 0.12),
        (H100, "fp8_block", 8192, 0.67, 0.15),
        (H200, "bf16", 8192, 0.81, 0.12),
        (B200, "bf16", 8192, 0.71, 0.15),
        (B200, "fp8_block", 8192, 0.60, 0.15),
        (B200, "nvfp4", 8192, 0.48, 0.25),
        (H100, "bf16", 1, 0.83, 0.15),
        (H200, "fp8_block", 1, 0.57, 0.25),
        (B200, "nvfp4", 1, 0.31, 0.30),
    ],
)
def test_gemm_reaches_the_measured_fraction(
    chip: Accelerator, weights: str, m: int, fraction: float, tolerance: float
) -> None:
    """Median over n, k from 4096 to 16384."""
    size = np.array([4096.0, 8192.0, 16384.0])
    n, k = (axis.ravel() for axis in np.meshgrid(size, size))
    timing = operator_time(gemm(float(m), n, k), chip, Precision(linear=weights))
    element = {"bf16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "nvfp4": 0.5625}[weights]
    peak = chip.rates[{"nvfp4": "fp4"}.get(weights, weights[:3] if weights != "bf16" else "bf16")]
    ideal = np.maximum(2 * m * n * k / peak, (n * k * element + m * k * element + m * n * 2) / chip.bandwidth)
    assert np.median(ideal / timing.seconds) == pytest.approx(fraction, rel=tolerance)


@pytest.mark.parametrize(
    ("chip", "sequences", "length", "fraction", "tolerance"),
    [(H100, 1, 16384, 0.78, 0.25), (H100, 2, 4096, 0.57, 0.15), (H200, 8, 1024, 0.36, 0.2), (B200, 1, 8192, 0.60, 0.3)],
)
def test_prefill_attention_reaches_the_measured_fraction(
    chip: Accelerator, sequences: int, length: int, fraction: float, tolerance: float
) -> None:
    core = attention(float(sequences), float(length), 0.0)
    assert core.flop / chip.rates["bf16"] / operator_time(core, chip).seconds == pytest.approx(fraction, rel=tolerance)


@pytest.mark.parametrize(
    ("chip", "batch", "context", "fraction", "tolerance"),
    [
        (H100, 128, 4096, 0.93, 0.15),
        (H100, 8, 4096, 0.73, 0.2),
        (B200, 128, 4096, 0.94, 0.2),
        (H200, 1, 4096, 0.26, 0.4),
    ],
)
def test_decode_attention_reaches_the_measured_fraction(
    chip: Accelerator, batch: int, context: int, fraction: float, tolerance: float
) -> None:
    core = attention(float(batch), 1.0, float(context))
    ideal = 2 * (core.cache_read + core.stream) / chip.bandwidth
    assert ideal / operator_time(core, chip).seconds == pytest.approx(fraction, rel=tolerance)


def test_absorbed_latent_decode_leans_on_compute() -> None:
    """128 heads over one latent: 0.55 of the BF16 rate measured on H100 at 128 x 4K."""
    batch, context, heads = 128.0, 4096.0, 128.0
    core = Operator(
        "core",
        "attention",
        "attention",
        0,
        1,
        "heads",
        m=batch,
        n=context,
        k=1088.0,
        groups=heads,
        flop=2 * batch * context * heads * 1088,
        stream=batch * heads * 1088,
        cache_read=batch * context * 576,
        heads_limit=1.0,
    )
    timing = operator_time(core, H100)
    assert core.flop / 989e12 / timing.seconds == pytest.approx(0.55, rel=0.2)
    assert timing.seconds > 1.5 * 2 * core.cache_read / 3.35e12  # cache bytes alone say 0.18 ms


def test_a_faster_chip_reaches_a_smaller_fraction_of_a_small_product() -> None:
    """The floor is an absolute time: .20 (A100), .21 (H100), .12 (B200) measured for m=256, n, k in 512 to 2048."""
    work = gemm(256.0, 1024.0, 1024.0)
    share = [work.flop / chip.rates["bf16"] / operator_time(work, chip).seconds for chip in (A100, H100, B200)]
    assert share[0] > share[1] > share[2]
    assert operator_time(work, B200).bound == LAUNCH


# properties

SIZES = st.integers(min_value=1, max_value=20000)


@given(m=SIZES, n=SIZES, k=SIZES, factor=st.floats(1.0, 10.0), name=st.sampled_from(["bf16", "fp8", "fp8_block"]))
def test_more_bandwidth_or_more_flops_is_never_slower(m: int, n: int, k: int, factor: float, name: str) -> None:
    for work in (gemm(m, n, k), experts(m, 64.0, 4.0, n, k), attention(2.0, m, n)):
        base = operator_time(work, H100, Precision(linear=name)).seconds
        wide = replace(H100, bandwidth=H100.bandwidth * factor)
        assert operator_time(work, wide, Precision(linear=name)).seconds <= base * (1 + 1e-9)
        fast = replace(H100, rates={key: value * factor for key, value in H100.rates.items()})
        assert operator_time(work, fast, Precision(linear=name)).seconds <= base * (1 + 1e-9)


@given(m=st.integers(1, 8000), n=SIZES, k=SIZES)
def test_more_rows_never_take_less_time(m: int, n: int, k: int) -> None:
    rows = np.array([m, m + 1, m + 64, 2 * m], dtype=float)
    seconds = operator_time(gemm(rows, float(n), float(k)), H100).seconds
    assert np.all(seconds[1:] >= seconds[0] * (1 - 1e-12))


@given(context=st.integers(1, 200_000), more=st.integers(1, 200_000), batch=st.integers(1, 512))
def test_a_longer_context_never_decodes_faster(context: int, more: int, batch: int) -> None:
    near, far = (operator_time(attention(batch, 1.0, c), H100).seconds for c in (context, context + more))
    assert far >= near * (1 - 1e-12)


@given(m=SIZES, n=SIZES, k=SIZES)
def test_nothing_beats_the_roofline(m: int, n: int, k: int) -> None:
    work = gemm(m, n, k)
    ideal = max(work.flop / 989e12, (n * k * 2 + m * (n + k) * 2) / 3.35e12)
    assert operator_time(work, H100).seconds >= ideal


def test_arrays_give_what_scalars_give() -> None:
    m = np.array([1.0, 64.0, 1000.0, 8192.0])
    together = operator_time(gemm(m, 4096.0, 7168.0), H100)
    alone = [operator_time(gemm(float(x), 4096.0, 7168.0), H100) for x in m]
    assert together.seconds == pytest.approx([t.seconds for t in alone])
    assert list(together.bound) == [t.bound for t in alone]
    assert together.bound[0] == MEMORY
    assert together.bound[-1] == COMPUTE


# experts


def test_touched_experts_by_hand() -> None:
    """DeepSeek-V3: 256 experts, 8 a token. One token touches 8; 32 tokens 256 (1 - (1 - 1/32)^32) = 163.3."""
    assert touched(256.0, 8.0, 1.0) == pytest.approx(8.0)
    assert touched(256.0, 8.0, 32.0) == pytest.approx(256 * (1 - (31 / 32) ** 32))
    assert touched(256.0, 8.0, 1e6) == pytest.approx(256.0)
    assert touched(4.0, 4.0, 1.0) == pytest.approx(4.0)


def test_one_token_reads_only_its_experts() -> None:
    one = operator_time(experts(1.0, 256.0, 8.0), H100, Precision(experts="fp8_block"))
    many = operator_time(experts(1e4, 256.0, 8.0), H100, Precision(experts="fp8_block"))
    held = 4096 * 7168 * (1 + 4 / 128**2)
    assert one.traffic == pytest.approx(8 * held, rel=0.01)
    assert many.traffic > 256 * held


def test_expert_layer_on_h100_against_the_measured_decode() -> None:
    """DeepGEMM decode, 128 tokens a rank, uniform routing, EP32: 0.162 ms for gate, up, activation and down."""
    tokens, ep = 128.0 * 32, 32.0
    up = experts(tokens, 256 / ep, 8 / ep)
    down = experts(tokens, 256 / ep, 8 / ep, 7168.0, 2048.0)
    seconds = operator_times((up, down), H100, Precision(experts="fp8_block")).seconds
    assert seconds == pytest.approx(0.162e-3, rel=0.25)


def test_sums_count_layers_and_carry_the_doubt() -> None:
    layer = replace(gemm(1.0, 4096.0, 4096.0), count=60)
    times = operator_times((layer, attention(8.0, 1.0, 4096.0)), H100)
    assert times.seconds == pytest.approx(60 * times.each[0].seconds + times.each[1].seconds)
    assert 0.0 < times.sigma <= max(timing.sigma for timing in times.each)
    assert operator_time(layer, MI300X).sigma > operator_time(layer, H100).sigma


def test_an_operator_without_work_takes_no_time() -> None:
    assert operator_time(gemm(0.0, 0.0, 4096.0), H100).seconds == 0.0


def test_twenty_five_operators_on_a_hundred_thousand_layouts_in_a_second() -> None:
    m = np.linspace(1, 8192, 100_000)
    work = [gemm(m, 4096.0, 7168.0)] * 20 + [attention(m, 1.0, 4096.0)] * 5
    start = time.process_time()
    operator_times(work, H100)
    assert time.process_time() - start < 1.0
