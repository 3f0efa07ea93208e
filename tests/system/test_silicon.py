"""The pinned adapter of AIConfigurator's tables: shapes as work, the fastest framework, and the traps kept out."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.system import Precision, accelerator, operator_time, silicon
from tonnage.system import samples as made
from tonnage.system.silicon import Silicon

INSTALLED = importlib.util.find_spec("aiconfigurator_core") is not None


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


@pytest.mark.skipif(not INSTALLED, reason="the extra `silicon` is not installed")
@pytest.mark.parametrize(
    ("m", "n", "k", "milliseconds"), [(1.0, 4096.0, 7168.0, 0.0150), (1024.0, 4096.0, 7168.0, 0.0620)]
)
def test_a_row_of_the_package_comes_back(m: float, n: float, k: float, milliseconds: float) -> None:
    """Rows of H200, TensorRT-LLM 1.3.0rc20, FP8 in blocks. Another framework may be faster; 1025 rows, which need
    a wave more, share the node of 1024.
    """
    chip = accelerator("h200-sxm", catalog.load())
    held = silicon.silicon(chip)
    assert held is not None
    found = operator_time(made.gemm(m, n, k), replace(chip, measured=held), Precision(linear="fp8_block"))
    assert found.measured == pytest.approx(1.0)
    assert 0.6 * milliseconds <= found.seconds * 1e3 <= 1.2 * milliseconds


@pytest.mark.skipif(not INSTALLED, reason="the extra `silicon` is not installed")
def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data/h100_sxm/gemm/a/1/gemm_perf.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 this is no table PAR1")
    with pytest.raises(InputError, match="not a table"):
        list(silicon.gemms(Silicon(tmp_path, "h100_sxm")))
