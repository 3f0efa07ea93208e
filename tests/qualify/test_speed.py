"""What is timed, kept, written and judged of speed; nothing here trusts a clock."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tonnage import catalog
from tonnage.device import cpu
from tonnage.device.kinds import KINDS
from tonnage.qualify import bench, shapes, speed
from tonnage.qualify.bench import Bench
from tonnage.qualify.gate import Verified
from tonnage.qualify.shapes import benches
from tonnage.qualify.speed import Clocked, Clockings
from tonnage.qualify.timing import Steal, Timed, spread_of, timed, turns
from tonnage.system import accelerator
from tonnage.system.calibrated import read_device
from tonnage.system.qualified import read_qualified

PLACE = torch.device("cpu")
GOOD = Timed(1e-3, 1e-3, 1e-3, 0.02, 5)


def clockings(**more: Any) -> Clockings:
    """Every bench of a quick run, each as fast as 100 GFLOP/s and 10 GB/s allow."""
    held = []
    for one in benches("cpu", "quick"):
        flop, moved = speed.demand(one)
        held.append(Clocked(one, replace(GOOD, seconds=max(flop / 1e11, moved / 1e10, 1e-6))))
    return replace(Clockings(tuple(held)), **more)


def gate(gates: list[Verified], start: str) -> Verified:
    return next(one for one in gates if one.name.startswith(start))


# ---------------------------------------------------------------- benches


def test_every_kind_of_operator_is_measured_in_both_formats_and_all_layouts() -> None:
    some = benches("cpu", "quick")
    for name in ("gemm", "bmm", "grouped_gemm", "prefill", "prefill_backward", "decode", "norm", "softmax", "gather"):
        assert {one.format for one in some if one.operator == name} >= {"fp32", "bf16"}, name
    assert {one.layout for one in some if one.operator == "gemm"} == {"NT", "NN", "TN"}
    assert {one.format for one in some if one.operator == "gemm"} == {"fp32", "bf16", "fp16", "fp8", "int8"}
    assert len(set(some)) == len(some)
    assert not [one for one in some if one.operator == "to_host"], "a processor is its own host"
    assert [one for one in benches("cuda", "quick") if one.operator == "to_host"]
    heads = {one.shape[2:] for one in some if one.operator == "decode"}
    assert {(4, 128, 512), (8, 128, 256), (16, 1088, 576)} <= heads, "all heads, grouped ones, absorbed latents"


def test_a_bench_computes_what_its_row_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.Tensor] = []
    plain = torch.mm

    def seen(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        made.extend((left, right))
        return plain(left, right)

    monkeypatch.setattr(torch, "mm", seen)
    for layout, turned in (("NT", (False, True)), ("NN", (False, False)), ("TN", (True, False))):
        made.clear()
        bench.work(Bench("gemm", "fp32", (6, 10, 14), layout), PLACE)()
        assert [tuple(each.shape) for each in made[-2:]] == [(6, 14), (14, 10)]
        assert tuple(each.stride(-1) != 1 for each in made[-2:]) == turned, layout


SMALL = [
    *(Bench(name, form, (4, 8, 16, 32)) for name in ("bmm", "grouped_gemm") for form in ("fp32", "bf16")),
    *(
        Bench(name, "bf16", (2, 16, 4, 32, groups * 32))
        for name in ("prefill", "prefill_backward")
        for groups in (1, 4)
    ),
    Bench("decode", "fp32", (2, 16, 8, 32, 64)),
    Bench("decode", "fp32", (2, 16, 4, 1088, 576)),
    *(Bench(name, "fp32", (3072,)) for name in ("elementwise", "transcendental", "reduction", "copy", "triad")),
    *(Bench(name, "bf16", (6, 64)) for name in ("norm", "softmax", "cross_entropy", "gather", "scatter")),
    Bench("optimiser", "fp32", (2800,)),
    *(Bench(name, "fp32", (1,)) for name in ("launch", "launch_view", "launch_tracked")),
    *(Bench(name, "int8", (64,)) for name in ("to_device", "to_host")),
    Bench("gemm", "int8", (32, 32, 32), "NT"),
]


@pytest.mark.parametrize("one", SMALL, ids=lambda one: f"{one.operator}-{one.format}")
def test_each_operator_runs(one: Bench) -> None:
    cpu.prepare(1)
    bench.work(one, PLACE)()


def test_operands_are_cycled_so_that_no_cache_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b: (seen.append(b.data_ptr()), plain(a, b))[1])
    call = bench.work(Bench("gemm", "fp32", (1, 512, 1024), "NT"), PLACE)
    for _ in range(40):
        call()
    assert len(set(seen)) == bench.CYCLED // (512 * 1024 * 4)


# ---------------------------------------------------------------- time


def test_spread_and_medians() -> None:
    assert spread_of([1.0, 1.0, 1.0, 1.0]) == 0.0
    assert spread_of([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert spread_of([1.0, 1.5]) == pytest.approx(0.4)


class Watch:
    """A device whose clock says what it is told to."""

    KIND = "cpu"

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.calls, self.seconds = 0, seconds

    def clocked(self, work: Callable[[], object], times: int) -> float:
        self.calls += 1
        work()
        return self.seconds(self.calls)


def test_the_first_call_does_not_count_and_one_disturbed_sample_changes_nothing() -> None:
    watch = Watch(lambda call: {1: 50.0, 4: 9.0}.get(call, 0.01))
    found = timed(lambda: None, watch, 1.0)  # type: ignore[arg-type]
    assert found.seconds == 0.01 and found.samples == 9 and found.spread < 0.01


def test_a_processor_that_waits_is_told_from_one_that_works() -> None:
    assert turns(1.0, 1.0, KINDS["cpu"]) == 0.0
    assert turns(1.0, 2.0, KINDS["cpu"]) == 0.5
    assert turns(1.0, 2.0, KINDS["cuda"]) == 0.0, "there the processor waits for the device"


def test_steal_is_a_share() -> None:
    assert 0.0 <= Steal().share() <= 1.0


# ---------------------------------------------------------------- gates


def test_a_healthy_device_passes_every_gate_of_speed() -> None:
    assert {one.state for one in speed.gates(clockings())} == {"pass"}


def test_a_noisy_machine_gets_no_verdict() -> None:
    noisy = clockings()
    noisy = replace(noisy, held=tuple(replace(one, timed=replace(one.timed, spread=0.2)) for one in noisy.held))  # type: ignore[type-var]
    for found in (noisy, clockings(steal=0.06), clockings(waited=0.06)):
        one = gate(speed.gates(found), "quiet")
        assert found.noisy and one.state == "not enough evidence" and "others work on the machine" in one.why


def without(keep: Callable[[Bench], bool]) -> Clockings:
    full = clockings()
    held = (one if keep(one.bench) else Clocked(one.bench, None, "NotImplementedError: no kernel") for one in full.held)
    return replace(full, held=tuple(held))


def test_a_missing_backward_operator_stops_training_only() -> None:
    gates = speed.gates(without(lambda one: one.operator != "prefill_backward"))
    assert gate(gates, "forward operators").state == "pass"
    lost = gate(gates, "backward operators")
    assert (
        lost.state == "fail"
        and lost.needed == "training"
        and "prefill_backward" in lost.why
        and "no kernel" in lost.why
    )
    gates = speed.gates(without(lambda one: (one.operator, one.layout) != ("gemm", "TN")))
    assert gate(gates, "backward operators").state == "fail"


def test_a_missing_forward_operator_stops_both_but_a_missing_format_neither() -> None:
    assert gate(speed.gates(without(lambda one: one.operator != "decode")), "forward").state == "fail"
    assert gate(speed.gates(without(lambda one: one.format != "fp8")), "forward").state == "pass"


def test_slow_backward_layouts_growing_latency_and_a_bad_card_are_found() -> None:
    full = clockings()
    slow = (
        replace(one, timed=replace(one.timed, seconds=3 * one.timed.seconds))
        if one.bench.layout == "TN" and one.timed
        else one
        for one in full.held
    )
    one = gate(speed.gates(replace(full, held=tuple(slow))), "backward GEMM")
    assert one.state == "fail" and one.measured == pytest.approx(3.0) and "TN" in one.why
    assert gate(speed.gates(clockings(grown=2.0)), "launch latency").state == "fail"
    one = gate(speed.gates(clockings(ranks=(1.0,) * 5 + (1.3, 1.0, 1.0))), "slowest rank")
    assert one.state == "fail" and one.needed == "training" and "rank 5" in one.why
    assert gate(speed.gates(clockings(ranks=(1.0, 1.05))), "slowest rank").state == "pass"


def test_where_a_datasheet_is_known_its_shares_are_asked_for() -> None:
    chip = accelerator("h200", catalog.load())
    gates = speed.gates(clockings(), chip)
    assert gate(gates, "GEMM, bf16").state == "fail", "100 GFLOP/s are little of an H200"
    fine = replace(chip, rates={"bf16": 1.5e11}, bandwidth=1.1e10)
    assert gate(speed.gates(clockings(), fine), "GEMM, bf16").state == "pass"
    assert gate(speed.gates(clockings(), fine), "memory").state == "pass"
    linked = Clocked(Bench("all_reduce", "bf16", (2**24, 8)), replace(GOOD, seconds=1.0))
    slow = replace(clockings(), held=(*clockings().held, linked))
    assert gate(speed.gates(slow, chip), "all-reduce").state == "fail"


# ---------------------------------------------------------------- the file, and its journal


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, ...]:
    """Three benches instead of all."""
    some = (
        Bench("launch", "fp32", (1,)),
        Bench("elementwise", "fp32", (1200,)),
        Bench("gemm", "fp32", (8, 16, 16), "NT"),
    )
    monkeypatch.setattr(speed, "benches", lambda kind, effort: some)
    return some


def test_a_killed_run_leaves_a_journal_and_resume_goes_on(
    few: tuple[Bench, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, done = tmp_path / "c.jsonl.partial", []

    def killed(number: int, of: int, one: Bench) -> None:
        if number == 2:
            raise KeyboardInterrupt
        done.append(one)

    with pytest.raises(KeyboardInterrupt):
        speed.measured(KINDS["cpu"], "quick", journal, False, killed)
    assert len(journal.read_text().splitlines()) == 3, "the device, and two rows"
    journal.write_text(journal.read_text() + '{"operator": "ge')  # cut off in the midst of a line
    plain, asked = speed.work, []

    def counted(one: Bench, place: Any) -> Any:
        asked.append(one.operator)
        return plain(one, place)

    monkeypatch.setattr(speed, "work", counted)
    found = speed.measured(KINDS["cpu"], "quick", journal, True, lambda *_: None)
    assert asked == ["gemm", "launch"], "what was measured is not measured again; the launch is, for its growth"
    assert [one.bench for one in found.held] == list(few) and all(one.timed for one in found.held)


def test_a_device_without_an_operator_says_why(few: tuple[Bench, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(one: Bench, place: Any) -> Any:
        if one.operator == "gemm":
            raise NotImplementedError("no kernel for this\nand much more")
        return bench.work(one, place)

    monkeypatch.setattr(speed, "work", refuses)
    lost = speed.measured(KINDS["cpu"], "quick", None, False, lambda *_: None).held[-1]
    assert lost.timed is None and lost.why == "NotImplementedError: no kernel for this"


def written(tmp_path: Path, name: str = "my-card") -> Path:
    path = tmp_path / "c.jsonl"
    found = clockings()
    device = speed.device_of(KINDS["cpu"], name, "torch 2.13", found, datetime.date(2026, 11, 30))
    speed.write(path, device, found)
    return path


def test_the_file_reads_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    device, rows = read_device(path), read_qualified(path)
    assert device is not None
    assert (device.chip, device.device, device.date.isoformat()) == ("my-card", "cpu", "2026-11-30")
    assert device.rates["bf16"] == pytest.approx(1e11) and device.bandwidth == pytest.approx(1e10)
    assert len(rows) == len(benches("cpu", "quick"))
    assert {row.layout for row in rows if row.operator == "gemm"} == {"NT", "NN", "TN"}
    assert rows[0].chip == "my-card" and rows[0].spread == 0.02
    assert not json.loads(path.read_text().splitlines()[0])["noisy"]


def test_extents_have_no_shape_twice() -> None:
    for extent in (shapes.PROCESSOR, shapes.ACCELERATOR):
        assert len(set(extent.matrices)) == len(extent.matrices)
