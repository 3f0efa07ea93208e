"""The pinned adapter of AIConfigurator's tables: shapes as work, the fastest framework, and the traps kept out."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.system import Accelerator, Collective, Precision, accelerator, collective_time, operator_time, silicon
from tonnage.system import samples as made
from tonnage.system.silicon import Silicon

packaged = pytest.mark.skipif(
    sys.platform == "win32" or sys.version_info >= (3, 14),
    reason=f"{silicon.PACKAGE} {silicon.VERSION} is published for Linux and macOS, and for Python below 3.14",
)
"""Elsewhere the extra `test` brings the tables, and a test that lacks them fails."""


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder of tables, each given as columns: (system, {path: columns}) -> Silicon."""
    held: dict[Path, dict[str, Any]] = {}

    def read(file: Path, columns: tuple[str, ...]) -> dict[str, Any] | None:
        found = held[file]
        return {name: np.asarray(found[name]) for name in columns} if set(columns) <= set(found) else None

    def make(system: str, parts: dict[str, dict[str, Any]]) -> Silicon:
        for name, columns in parts.items():
            file = tmp_path / "data" / system / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            held[file] = columns
        return Silicon(tmp_path, system)

    monkeypatch.setattr(silicon, "_read", read)
    return make


def gemm_table(latency: list[float], kind: str = "bfloat16") -> dict[str, Any]:
    sizes = [2**i for i in range(len(latency))]
    shape = {"m": sizes, "n": [4096] * len(sizes), "k": [4096] * len(sizes)}
    return {"gemm_dtype": [kind] * len(sizes), **shape, "latency": latency}


def test_the_fastest_framework_of_each_shape_counts_in_seconds(tables: Any) -> None:
    first, second = gemm_table([1.0, 2.0, 0.0]), gemm_table([3.0, 0.5, float("nan"), 7.0])
    found = tables("h100_sxm", {"gemm/a/1/gemm_perf.parquet": first, "gemm/b/1/gemm_perf.parquet": second})
    (rows,) = silicon.gemms(found)
    assert rows.work[0].m.tolist() == [1.0, 2.0, 8.0]
    assert rows.seconds.tolist() == [0.001, 0.0005, 0.007]


def test_an_a100_multiplies_in_no_narrower_format(tables: Any) -> None:
    parts = {"gemm/a/1/gemm_perf.parquet": gemm_table([1.0] * 3, "fp8")}
    assert list(silicon.gemms(tables("a100_sxm", parts))) == []
    assert len(list(silicon.gemms(tables("h100_sxm", parts)))) == 1


def test_message_sizes_are_elements_of_two_bytes(tables: Any) -> None:
    columns = {"num_gpus": [8], "message_size": [1024], "latency": [0.02]}
    nccl = {**columns, "op_name": ["all_reduce"], "nccl_dtype": ["half"]}
    parts = {"comm/nccl/2/nccl_perf.parquet": nccl, "comm/trtllm/1/custom_allreduce_perf.parquet": columns}
    found = list(silicon.exchanges(tables("h100_sxm", parts)))
    assert [rows.work[0].payload.tolist() for rows in found] == [[2048.0], [2048.0]]
    assert list(silicon.exchanges(tables("l40s", parts))) == []


def test_the_table_that_beats_its_memory_is_not_read(tables: Any) -> None:
    columns = {"attn_dtype": ["bfloat16"], "kv_cache_dtype": ["bfloat16"], "batch_size": [64], "step": [4095]}
    columns |= {"num_heads": [32], "num_key_value_heads": [8], "head_dim": [128], "window_size": [0], "latency": [1.0]}
    bad = tables("a100_sxm", {"attention/trtllm/1.0.0/generation_attention_perf.parquet": columns})
    good = tables("h100_sxm", {"attention/trtllm/1.3.0/generation_attention_perf.parquet": columns})
    assert list(silicon.decodes(bad)) == []
    (rows,) = silicon.decodes(good)
    assert rows.work[0].n.tolist() == [4096.0]
    assert rows.work[0].cache_read.tolist() == [64 * 4096 * 2 * 8 * 128.0]


def test_a_table_without_a_column_is_passed_over(tables: Any) -> None:
    assert list(silicon.gemms(tables("h100_sxm", {"gemm/a/1/gemm_perf.parquet": {"m": [1], "latency": [1.0]}}))) == []


def test_every_chip_of_the_package_is_a_chip_of_the_catalogue() -> None:
    held = catalog.load()
    for name in silicon.CHIPS.values():
        assert accelerator(name, held).name == name


def test_a_missing_or_another_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = accelerator("h200-sxm", catalog.load())

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(InputError, match="is not installed") as error:
        silicon.silicon(chip)
    assert error.value.hint is not None and "tonnage[silicon]" in error.value.hint
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.13.0")
    with pytest.raises(InputError, match=r"0\.13\.0 is installed"):
        silicon.silicon(chip)


def told(system: str, pattern: str, **shape: object) -> list[float]:
    """Seconds that the package's files have for one shape, read past the adapter: one a framework and version."""
    from pyarrow import parquet

    files = sorted((silicon.installed() / "data" / system).glob(pattern))
    where = [(name, "=", value) for name, value in shape.items()]
    tables = [parquet.read_table(file, columns=["latency"], filters=where) for file in files]
    return [milliseconds * 1e-3 for table in tables for milliseconds in table["latency"].to_pylist()]


def priced(name: str) -> Accelerator:
    """A chip of the catalogue with the package's tables."""
    chip = accelerator(name, catalog.load())
    return replace(chip, measured=silicon.silicon(chip))


def of_gemm(system: str, m: int, n: int, k: int, kind: str) -> list[float]:
    return told(system, "gemm/*/*/gemm_perf.parquet", m=m, n=n, k=k, gemm_dtype=kind)


@packaged
@pytest.mark.parametrize(
    ("m", "n", "k", "kind", "name"),
    [
        (1, 4096, 7168, "fp8_block", "fp8_block"),
        (16, 7168, 7168, "fp8_block", "fp8_block"),
        (64, 2048, 4096, "fp8", "fp8"),
        (8192, 8192, 1024, "bfloat16", "bf16"),
    ],
)
def test_a_measured_multiplication_takes_what_the_table_says(m: int, n: int, k: int, kind: str, name: str) -> None:
    held = of_gemm("h200_sxm", m, n, k, kind)
    found = operator_time(made.gemm(float(m), n, k), priced("h200-sxm"), Precision(linear=name))
    assert len(held) == 3
    assert found.seconds == pytest.approx(min(held), rel=1e-6)
    assert found.measured == pytest.approx(1.0)


@packaged
def test_rows_that_share_a_node_are_met_between_them() -> None:
    """1025 rows need a wave more than 1024; they lie a 700th of an octave apart."""
    held = [min(of_gemm("h200_sxm", m, 4096, 7168, "fp8_block")) for m in (1024, 1025)]
    found = operator_time(made.gemm(1024.0, 4096, 7168), priced("h200-sxm"), Precision(linear="fp8_block"))
    assert min(held) < found.seconds < max(held)


@packaged
@pytest.mark.parametrize(
    ("batch", "context", "heads", "kv", "kind", "name"),
    [(64, 4096, 32, 8, "bfloat16", "bf16"), (128, 1024, 64, 8, "fp8", "fp8"), (32, 8192, 16, 1, "fp8", "fp8")],
)
def test_a_measured_decode_takes_what_the_table_says(
    batch: int, context: int, heads: int, kv: int, kind: str, name: str
) -> None:
    """Within 2 %: shapes half an octave apart share a node."""
    pattern = "attention/*/*/generation_attention_perf.parquet"
    shape = {"batch_size": batch, "step": context - 1, "num_heads": heads, "num_key_value_heads": kv}
    held = told("h200_sxm", pattern, **shape, head_dim=128, kv_cache_dtype=kind, window_size=0)
    work = made.decode(float(batch), float(context), float(heads), 256.0, 256.0 * kv)
    found = operator_time(work, priced("h200-sxm"), Precision(cache=name))
    assert len(held) == 3
    assert found.seconds == pytest.approx(min(held), rel=0.02)


@packaged
@pytest.mark.parametrize(("ranks", "elements"), [(8, 8192), (4, 65536), (8, 16 * 2**20)])
def test_a_measured_reduction_takes_what_the_table_says(ranks: int, elements: int) -> None:
    chip, work = priced("h200-sxm"), Collective("tp", "all_reduce", 2.0 * elements, ranks)
    shape = {"num_gpus": ranks, "message_size": elements}
    own = told("h200_sxm", "comm/*/*/custom_allreduce_perf.parquet", **shape)
    library = told("h200_sxm", "comm/nccl/*/nccl_perf.parquet", **shape, op_name="all_reduce", nccl_dtype="half")
    assert collective_time(work, chip) == pytest.approx(min(library), rel=1e-6)
    assert collective_time(work, chip, fused=True) == pytest.approx(min(own + library), rel=1e-6)


@packaged
@pytest.mark.parametrize(
    ("system", "name", "shape", "kind", "width", "bandwidth"),
    [
        ("h100_sxm", "h100-sxm", (8, 8192, 2048), "bfloat16", 2, 3.35e12),
        ("l40s", "l40s", (2, 16384, 6144), "fp8_block", 1, 864e9),
    ],
)
def test_a_row_that_outruns_the_memory_is_not_believed(
    system: str, name: str, shape: tuple[int, int, int], kind: str, width: int, bandwidth: float
) -> None:
    """Weights alone, at the bandwidth of the datasheet, take longer than the table has: they came from a cache."""
    m, n, k = shape
    least = n * k * width / bandwidth
    assert min(of_gemm(system, m, n, k, kind)) < 0.8 * least
    chip, precision = priced(name), Precision(linear=silicon.FORMATS[kind])
    (rows,) = (each for each in silicon.gemms(Silicon(silicon.installed(), system)) if each.label == precision.linear)
    kept = made.possible(rows, chip)
    assert kept is not None
    assert [is_among(each.work[0], shape) for each in (rows, kept)] == [True, False]
    assert operator_time(made.gemm(float(m), n, k), chip, precision).seconds >= least


def is_among(work: Any, shape: tuple[int, int, int]) -> bool:
    return bool(np.any((work.m == shape[0]) & (work.n == shape[1]) & (work.k == shape[2])))


@packaged
def test_a_table_of_which_a_third_outruns_the_memory_is_left_out() -> None:
    """A100, TensorRT-LLM 1.0.0: decodes over 200 MB and more at up to 3.4 TB/s, from a memory of 2.039 TB/s."""
    root, pattern = silicon.installed(), "attention/*/*/generation_attention_perf.parquet"
    every, kept = set((root / "data/a100_sxm").glob(pattern)), Silicon(root, "a100_sxm").files(pattern)
    (bad,) = every - set(kept)
    assert bad.parts[-3:-1] == ("trtllm", "1.0.0")
    assert too_fast(bad, 2.039e12) > 1 / 3
    assert kept
    assert [too_fast(file, 2.039e12) for file in kept] == [0.0] * len(kept)


def too_fast(file: Path, bandwidth: float) -> float:
    """Share of the decodes over more than 200 MB of 16-bit cache that exceed the memory bandwidth."""
    from pyarrow import parquet

    names = ("batch_size", "step", "num_key_value_heads", "head_dim", "latency")
    table = parquet.read_table(file, columns=list(names))
    batch, step, kv, dim, milliseconds = (table[name].to_numpy() for name in names)
    moved = batch * (step + 1.0) * 2 * kv * dim * 2
    large = moved > 200e6
    assert large.sum() > 100
    return float(np.mean(moved[large] / (milliseconds[large] * 1e-3) > bandwidth))


@packaged
def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data/h100_sxm/gemm/a/1/gemm_perf.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 this is no table PAR1")
    with pytest.raises(InputError, match="not a table"):
        list(silicon.gemms(Silicon(tmp_path, "h100_sxm")))
