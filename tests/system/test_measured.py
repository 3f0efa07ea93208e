"""Measured operators: they are returned where they stand, fade to the model, and never beat the datasheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import InputError
from tonnage.system import Accelerator, Calibration, Collective, Precision, calibration, collective_time, operator_time
from tonnage.system import measured as room
from tonnage.system import samples as made
from tonnage.system.measurements import Layers, with_measurements
from tonnage.system.qualified import qualified, read_qualified
from tonnage.system.samples import Samples, possible

H20 = Accelerator(
    "h20-96gb", "H20", "NVIDIA", {"bf16": 148e12, "fp8": 296e12}, 96e9, 4.0e12, 450e9, 8, 50e9, power=400.0
)
FP8 = Precision(linear="fp8")


def times(work: Any, precision: Precision = FP8, factor: Any = 1.0) -> Samples:
    """Measurements that took `factor` times what the model says."""
    whole = Samples("x", precision, (work,), np.zeros(1), fused=True)
    return replace(whole, seconds=whole.predicted(H20, calibration()) * factor)


def bumpy(m: Any, n: Any, k: Any) -> Any:
    """A smooth way in which a chip may differ from the model: 20 to 80 % slower."""
    return 1.5 + 0.2 * np.sin(np.log2(m)) + 0.1 * np.cos(np.log2(n) + np.log2(k))


def shapes(step: float = 1.0) -> tuple[Any, Any, Any]:
    exponents = np.meshgrid(np.arange(0, 13, step), np.arange(9, 14, step), np.arange(9, 14, step))
    return tuple(2.0 ** each.ravel() for each in exponents)  # type: ignore[return-value]


def carrying(*held: Samples) -> Accelerator:
    found = room.grids(held, H20, believed=True)
    return replace(H20, measured=room.Measured("here", H20, found.get))


@pytest.fixture(scope="module")
def chip() -> Accelerator:
    return carrying(times(made.gemm(*shapes()), factor=bumpy(*shapes())))


def test_a_measured_shape_takes_what_it_took(chip: Accelerator) -> None:
    work = made.gemm(256.0, 4096.0, 1024.0)
    model = operator_time(work, H20, FP8)
    found = operator_time(work, chip, FP8)
    assert found.seconds == pytest.approx(model.seconds * bumpy(256.0, 4096.0, 1024.0), rel=1e-6)
    assert found.measured == pytest.approx(1.0)
    assert model.measured == 0.0


def test_shapes_between_are_nearer_to_the_measured_time_than_the_model(chip: Accelerator) -> None:
    m, n, k = (each * 2**0.5 for each in shapes())
    inside = (m < 4096) & (n < 8192) & (k < 8192)
    work = made.gemm(m[inside], n[inside], k[inside])
    truth = times(work, factor=bumpy(m, n, k)[inside]).seconds
    model, table = (np.abs(np.log(operator_time(work, on, FP8).seconds / truth)) for on in (H20, chip))
    assert np.median(table) < 0.25 * np.median(model)
    assert np.quantile(table, 0.9) < 0.06


def test_it_fades_to_the_model_beyond_what_was_measured(chip: Accelerator) -> None:
    m = 2.0 ** np.array([12.0, 13.0, 15.0])
    shares = operator_time(made.gemm(m, 4096.0, 4096.0), chip, FP8).measured
    assert shares.tolist() == pytest.approx([1.0, 0.5, 0.0])
    for work, precision in (
        (made.gemm(2.0**20, 4096.0, 4096.0), FP8),
        (made.gemm(256.0, 4096.0, 4096.0), Precision()),
        (made.pointwise(1e9), FP8),
    ):
        assert operator_time(work, chip, precision).seconds == operator_time(work, H20, precision).seconds


def test_coefficients_that_are_given_are_used_alone(chip: Accelerator) -> None:
    work, fitted = made.gemm(256.0, 4096.0, 1024.0), calibration()
    assert operator_time(work, chip, FP8, fitted).seconds == operator_time(work, H20, FP8, fitted).seconds
    send = Collective("x", "all_reduce", 2.0**20, 8)
    assert collective_time(send, chip, fitted) == collective_time(send, H20, fitted)


@given(m=st.floats(1, 1e6), n=st.floats(64, 1e5), k=st.floats(64, 1e5), factor=st.floats(0.05, 1.0))
def test_nothing_is_faster_than_the_datasheet(m: float, n: float, k: float, factor: float) -> None:
    chip = carrying(times(made.gemm(*shapes(2.0)), factor=factor))
    found = operator_time(made.gemm(m, n, k), chip, FP8)
    least = max(found.flop / 296e12, found.traffic / 4.0e12)
    assert found.seconds >= min(least, operator_time(made.gemm(m, n, k), H20, FP8).seconds) * (1 - 1e-9)


def test_arrays_are_priced_as_their_elements_are(chip: Accelerator) -> None:
    m, n = np.array([[3.0], [100.0], [3e4]]), np.array([700.0, 6e3])
    whole = operator_time(made.gemm(m, n, 2048.0), chip, FP8)
    each = [[operator_time(made.gemm(a, b, 2048.0), chip, FP8).seconds for b in n] for a in m[:, 0]]
    assert np.asarray(whole.seconds) == pytest.approx(np.array(each))


def attention(phase: str, batch: Any, length: Any, heads: Any = 64.0, kv: float = 8.0) -> Any:
    return getattr(made, phase)(batch, length, heads, 256.0, 256.0 * kv)


def grid_of(*axes: Any) -> Iterator[Any]:
    return (each.ravel().astype(float) for each in np.meshgrid(*axes))


def test_decode_and_prefill_are_kept_apart() -> None:
    batch, length = grid_of(2.0 ** np.arange(8), 2.0 ** np.arange(7, 15))
    heads = np.full_like(batch, 64.0)
    slow = carrying(times(attention("decode", batch, length, heads), factor=2.0))
    one = attention("decode", 8.0, 4096.0)
    assert operator_time(one, slow).seconds == pytest.approx(2.0 * operator_time(one, H20).seconds, rel=1e-3)
    other = attention("prefill", 8.0, 4096.0)
    assert operator_time(other, slow).seconds == operator_time(other, H20).seconds
    narrow = operator_time(one, slow, Precision(cache="fp8"))
    assert narrow.seconds == operator_time(one, H20, Precision(cache="fp8")).seconds


def test_another_head_size_is_another_kernel() -> None:
    batch, length = grid_of(2.0 ** np.arange(8), 2.0 ** np.arange(7, 15))
    slow = carrying(times(attention("prefill", batch, length, np.full_like(batch, 64.0)), factor=2.0))
    latent = made.prefill(8.0, 4096.0, 64.0, 1088.0, 576.0)
    assert operator_time(latent, slow).measured == 0.0


def test_grouped_multiplications_are_found_by_the_experts_that_are_touched() -> None:
    rows, active = grid_of(2.0 ** np.arange(3, 15), [8.0, 16.0, 32.0, 64.0])
    work = made.grouped(rows, np.minimum(active, rows), 4096.0, 7168.0)
    slow = carrying(times(work, factor=1.5))
    one = made.grouped(2048.0, 32.0, 4096.0, 7168.0)
    assert operator_time(one, slow, FP8).seconds == pytest.approx(1.5 * operator_time(one, H20, FP8).seconds, rel=0.02)


def test_collectives_inside_a_domain_are_measured_and_others_are_not() -> None:
    payload, ranks = grid_of(2.0 ** np.arange(10, 28), [2.0, 4.0, 8.0])
    reduce = Collective("fused", "all_reduce", payload, ranks)
    chip = carrying(times(reduce, factor=1.4))
    inside, across = Collective("x", "all_reduce", 2.0**16, 4), Collective("x", "all_reduce", 2.0**16, 64)
    ratio = collective_time(inside, chip, fused=True) / collective_time(inside, H20, fused=True)
    assert ratio == pytest.approx(1.4, rel=1e-6)
    assert collective_time(across, chip, fused=True) == collective_time(across, H20, fused=True)


# what cannot be


def test_rows_that_beat_the_roofline_are_rejected() -> None:
    m, n, k = shapes()
    honest = times(made.gemm(m, n, k))
    seconds = honest.seconds.copy()
    seconds[::10] = honest.ideal(H20)[::10] * 0.9
    kept = possible(replace(honest, seconds=seconds), H20)
    assert kept is not None
    assert len(kept.seconds) == len(seconds) - len(seconds[::10])


def test_a_table_that_is_mostly_impossible_is_not_believed() -> None:
    honest = times(made.gemm(*shapes()))
    assert possible(replace(honest, seconds=honest.ideal(H20) * 0.9), H20) is None


def test_bytes_taken_for_elements_are_impossible() -> None:
    """Counting 2 bytes an element twice doubles what large messages would have moved."""
    payload, ranks = grid_of(2.0 ** np.arange(24, 30, 0.25), [2.0, 4.0, 8.0])
    honest = Samples("exchange", Precision(), (Collective("x", "all_to_all", payload, ranks),), payload / 450e9)
    assert possible(honest, H20) is not None
    twice = replace(honest, work=(Collective("x", "all_to_all", 4 * payload, ranks),))
    assert possible(twice, H20) is None


def test_weights_that_lay_in_a_large_cache_are_rejected() -> None:
    chip = replace(H20, name="l40s", bandwidth=0.864e12)
    m, n, k = (
        np.repeat(each, 20) for each in (np.array([16.0, 16.0]), np.array([2048.0, 65536.0]), np.array([2048.0] * 2))
    )
    rows = Samples("x", Precision(), (made.gemm(m, n, k),), np.full(40, 1.0))
    kept = possible(rows, chip)
    assert kept is not None
    assert set(kept.work[0].n) == {65536.0}


def test_a_shape_that_took_longer_than_a_larger_one_is_rejected() -> None:
    size, other = np.array([1.0, 2.0, 4.0, 8.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    seconds = np.array([1.0, 9.0, 4.0, 4.4, 90.0, 99.0])
    assert room.orderly((size, other), seconds).tolist() == [True, False, True, True, True, True]


# files


def lines(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(**changes: Any) -> dict[str, Any]:
    shape = {"m": 64, "n": 4096, "k": 4096}
    whole = {"operator": "gemm", "shape": shape, "format": "fp8", "seconds": 2e-5, "chip": "h20-96gb"}
    return whole | {"software": "vllm 0.24.0"} | changes


def test_a_file_of_ones_own_prices_its_shapes(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        row(),
        "",
        row(chip="h800-sxm"),
        row(operator="all_reduce", format="bf16", seconds=3e-5, shape={"bytes": 65536, "ranks": 8}),
    )
    (chip,) = with_measurements([H20], [str(path)])
    assert operator_time(made.gemm(64.0, 4096.0, 4096.0), chip, FP8).seconds == pytest.approx(2e-5)
    assert collective_time(Collective("x", "all_reduce", 65536.0, 8), chip, fused=True) == pytest.approx(3e-5)
    assert chip.measured is not None
    assert "vllm 0.24.0" in chip.measured.source


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"seconds": NaN}', "NaN"),
        (row(operator="sort"), "not one of"),
        (row(format="int3"), "not one of"),
        (row(shape={"m": 1, "n": 1}), "expected m, n, k"),
        (row(shape={"m": True, "n": 64, "k": 64}), "expected a number"),
        (row(shape={"m": 10**400, "n": 64, "k": 64}), "expected a number"),
        (row(seconds="1 ms"), "expected a number"),
        (row(seconds=-1), "expected a number"),
        (row(software=None), "expected a text"),
        (row(second=1), 'did you mean "seconds"'),
        (row(seconds=1e-7), "faster than h20-96gb's datasheet"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, bad: Any, says: str) -> None:
    path = lines(tmp_path, row(), bad)
    with pytest.raises(InputError) as error:
        with_measurements([H20], [str(path)])
    assert says in str(error.value)
    assert f"{path}:2" in str(error.value)


def test_many_mistakes_are_not_all_printed(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_qualified(lines(tmp_path, *["x"] * 1000))
    assert len(error.value.problems) == 21


def test_a_source_that_knows_none_of_the_chips_says_which_it_knows(tmp_path: Path) -> None:
    path = lines(tmp_path, row(chip="h800-sxm"))
    assert qualified(read_qualified(path), H20) is None
    with pytest.raises(InputError, match="h800-sxm"):
        with_measurements([H20], [str(path)])
    with pytest.raises(InputError, match="has no tables of h20-96gb"):
        with_measurements([H20], ["silicon"])


def test_chips_that_a_source_does_not_know_stay_as_they_are(tmp_path: Path) -> None:
    other = replace(H20, name="ascend-910c")
    first, second = with_measurements([H20, other], [str(lines(tmp_path, row()))])
    assert first.measured is not None
    assert second is other


def test_the_first_source_counts_and_the_others_fill_in(tmp_path: Path) -> None:
    def constant(factor: float, share: float) -> room.Measured:
        class One:
            source = "one"

            def factor(self, work: Any, precision: Any = None, *, fused: bool = False) -> tuple[Any, Any]:
                return factor**share, share

        return One()  # type: ignore[return-value]

    both = Layers((constant(2.0, 1.0), constant(5.0, 1.0)))
    assert both.factor(None) == (pytest.approx(2.0), pytest.approx(1.0))
    half = Layers((constant(2.0, 0.5), constant(8.0, 1.0)))
    assert half.factor(None) == (pytest.approx(2.0**0.5 * 8.0**0.5), pytest.approx(1.0))


def test_the_model_stays_untouched_without_measurements() -> None:
    fitted: Callable[[], Calibration] = calibration
    work = made.gemm(256.0, 4096.0, 1024.0)
    assert operator_time(work, H20, FP8).seconds == operator_time(work, H20, FP8, fitted()).seconds


def test_the_form_that_the_method_shows_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/method/measured.md").read_text(encoding="utf-8")
    block = text.split("## A file of one's own")[1].split("```json\n")[1].split("```")[0]
    rows = read_qualified(lines(tmp_path, block))
    assert {each.operator for each in rows} == {"gemm", "grouped_gemm", "decode", "all_reduce"}
    assert qualified(rows, H20) is not None
