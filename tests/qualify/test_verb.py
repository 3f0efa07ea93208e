"""`tonnage qualify` as people call it: words, files, what is refused, what a kill leaves; few benches, no real step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tonnage import ledger
from tonnage.cli import run
from tonnage.device import cpu, musa, npu, xpu
from tonnage.device.kinds import KINDS
from tonnage.qualify import carried, joined, loop, speed
from tonnage.qualify.bench import Bench
from tonnage.qualify.gate import Verified
from tonnage.qualify.laptop import Small
from tonnage.qualify.stability import Soaked
from tonnage.qualify.timing import Timed
from tonnage.system.calibrated import read_device

FEW = (
    Bench("launch", "fp32", (1,)),
    Bench("triad", "fp32", (1200,)),
    Bench("gemm", "bf16", (8, 16, 16), "NT"),
    Bench("gemm", "fp32", (8, 16, 16), "NN"),
)


def fine(part: Any, name: str) -> Verified:
    return Verified(name, part, "inference", "pass", subject="operators")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four benches, one gate of numerics, a soak that saw a hundred steps."""

    def soaked(*_: Any, before: Soaked | None = None, after: Any, **__: Any) -> Iterator[Verified]:
        seen = Soaked(steps=100, card_days=0.01, times=(1.0,))
        after(before.and_then(seen) if before else seen)
        yield fine("stability", "hangs")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "benches", lambda kind, effort: FEW)
    monkeypatch.setattr(carried.numerics, "gates", lambda *_, **__: iter([fine("numerics", "operators")]))
    monkeypatch.setattr(carried.stability, "gates", soaked)
    monkeypatch.setattr(carried.resharded, "gates", lambda *_, **__: iter(()))


def test_a_verdict_and_a_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["qualify", "--name", "my-cpu", "--into", "c.jsonl", "--report", "v.html", "--model", "qwen3-8b"]) == 0
    told = capsys.readouterr()
    assert "my-cpu" in told.out and "3 benches" not in told.err and "missing" in told.out
    assert "of one card without one" in told.err, "how long a soak must be is said first"
    assert "qualify 0% launch" in told.err
    device = read_device(tmp_path / "c.jsonl")
    assert device is not None and device.chip == "my-cpu" and set(device.rates) == {"bf16", "fp32"}
    assert (tmp_path / "v.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "v.html"], "no journal is left"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["qualify", "--name", "my-cpu", "--json", "-q"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert told.err == ""
    assert found["verdict"]["schema"] == "tonnage.verdict/1" and found["calibration"] == "calibration.jsonl"
    assert found["speed"]["benches"] == len(FEW) and found["verdict"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("words", "days", "assumed"),
    [((), 1.0, True), (("--replay", "12h"), 0.5, False), (("--replay", "none"), None, False)],
)
def test_how_often_the_run_replays_is_asked_or_said_to_be_assumed(
    words: tuple[str, ...],
    days: float | None,
    assumed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs: list[Any] = []

    def soaked(place: Any, model: Any, run: Any, **_: Any) -> Iterator[Verified]:
        runs.append(run)
        yield fine("stability", "hangs")

    monkeypatch.setattr(carried.stability, "gates", soaked)
    assert run(["qualify", "--name", "my-cpu", "-q", *words]) == 0
    assert [one.replay for one in runs] == [days]
    told = " ".join(capsys.readouterr().out.split())
    assert ("replays a step every 24 h to find silent errors; --replay" in told) == assumed


def test_an_unfit_device_is_an_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Verified("GEMM, bf16, forward", "numerics", "inference", "fail", 9000.0, 2.0, "units", subject="operators")
    monkeypatch.setattr(carried.numerics, "gates", lambda *_, **__: iter([bad]))
    assert run(["qualify", "--name", "my-cpu"]) == 1
    assert "unfit" in (told := capsys.readouterr().out) and "GEMM, bf16, forward" in told


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--device cud", 'did you mean "cuda"'),
        ("--device npu", "--device torch_npu cannot be imported"),
        ("--device musa", "--device torch_musa cannot be imported"),
        ("--nproc 0 --cards -3", "2 problems"),
        ("--quick --standard", "--standard goes without --quick"),
        ("--soak soon", "--soak"),
        ("--replay often", "--replay"),
        ("--replay 0h", "expected a time above zero, or none"),
        ("--resume", "--resume nothing was begun for calibration.jsonl"),
        ("--model qwen3-9b", "did you mean"),
        ("--into /nowhere/c.jsonl", "/nowhere"),
    ],
)
def test_what_is_refused(words: str, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["qualify", *words.split()]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", ["speed", "numerics"])
def test_a_kill_leaves_a_journal_or_a_whole_file_and_resume_goes_on(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def kill(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    plain = speed.work
    with monkeypatch.context() as patch:
        if at == "speed":
            patch.setattr(speed, "work", lambda one, place: kill() if one.layout == "NT" else plain(one, place))
        else:
            patch.setattr(carried.numerics, "gates", kill)
        assert run(["qualify", "--name", "my-cpu", "--into", "c.jsonl"]) == 130
    assert "--resume goes on" in (err := capsys.readouterr().err) or "--resume go on" in err
    assert (tmp_path / "c.jsonl").exists() == (at == "numerics")
    asked: list[Bench] = []
    monkeypatch.setattr(speed, "work", lambda one, place: (asked.append(one), plain(one, place))[1])
    assert run(["qualify", "--name", "my-cpu", "--into", "c.jsonl", "--resume"]) == 0
    assert len(asked) == (3 if at == "speed" else 1)
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def test_a_soak_is_kept_in_pieces_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    plain = carried.stability.gates

    def counted(*given: Any, seconds: float, **more: Any) -> Iterator[Verified]:
        told.append(seconds)
        if len(told) == 3:
            raise KeyboardInterrupt
        return plain(*given, seconds=seconds, **more)

    monkeypatch.setattr(carried.stability, "gates", counted)
    assert run(["qualify", "--name", "my-cpu", "--into", "c.jsonl", "--soak", "1h", "-q"]) == 130
    assert told == [600.0] * 3
    kept = json.loads((tmp_path / "c.jsonl.soak").read_text())
    assert kept["seen"]["steps"] == 200
    assert run(["qualify", "--name", "my-cpu", "--into", "c.jsonl", "--soak", "1h", "-q", "--resume"]) == 0
    assert 3600 - sum(told[3:]) == pytest.approx(0.02 * 86400), "two pieces of 864 s were seen"
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def test_the_check_goes_into_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (Small("dense", "train", 64, 2, 1, 16), Small("grouped", "serve", 64, 2, 1, 16))
    rows = {
        small[0]: [loop.Looped(small[0], "step_time", 1.1, 1.0, 9)],
        small[1]: [loop.Looped(small[1], "ttft", 0.9, 1.0, 9), loop.Looped(small[1], "tpot", 0.02, 0.025, 9)],
    }
    monkeypatch.setattr(carried, "QUICK", small)
    monkeypatch.setattr(carried, "compared", lambda one, prices, kind, budget: rows[one])
    assert run(["qualify", "--name", "my-cpu", "--check", "--ledger", "l.sqlite"]) == 0
    told = capsys.readouterr()
    assert "3 predictions: off by 10% in the median, 20% at most" in told.out
    assert "3 predictions with what was measured recorded in l.sqlite" in told.err
    with ledger.open(tmp_path / "l.sqlite") as book:
        plans = {one.subject.model: one for one in book.plans()}
        assert {one.command for one in plans.values()} == {"train", "serve"}
        assert all(one.subject.chip == "my-cpu" and one.measured == 1 for one in plans.values())
        assert book.rows(plans["llama 64x2 fp32, train 1x16"].id)[0].values == {"step_time": 1.0}


def test_collectives_of_two_processes_are_rows_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = Timed(1e-3, 1e-3, 1e-3, 0.01, 5)
    found = joined.Linked(((Bench("all_reduce", "bf16", (2**20, 2)), timed),), (1.0, 1.3))
    monkeypatch.setattr(carried, "linked", lambda device, processes, folder: found)
    assert run(["qualify", "--name", "my-cpu", "--nproc", "2", "--json", "-q"]) == 0
    gates = json.loads(capsys.readouterr().out)["verdict"]["gates"]
    one = next(gate for gate in gates if gate["name"] == "slowest rank over the median")
    assert one["state"] == "pass" or one["measured"] > 1.1
    device = read_device(tmp_path / "calibration.jsonl")
    assert device is not None and device.processes == 2 and device.link == pytest.approx(2**20 / 1e-3)


def test_two_real_processes_measure_their_collectives(tmp_path: Path) -> None:
    found = joined.linked("cpu", 2, tmp_path)
    assert {bench.operator for bench, _ in found.rows} == {"all_reduce", "all_gather", "broadcast", "all_to_all"}
    assert len(found.ranks) == 2 and all(timed.seconds > 0 for _, timed in found.rows)


# ---------------------------------------------------------------- devices


def test_every_kind_of_device_has_every_function() -> None:
    assert list(KINDS) == ["cpu", "cuda", "npu", "musa", "xpu"]
    names = (
        "KIND",
        "BACKEND",
        "missing",
        "prepare",
        "place",
        "settle",
        "title",
        "driver",
        "memory",
        "health",
        "clocked",
    )
    for kind, module in KINDS.items():
        assert all(hasattr(module, name) for name in names), kind
    assert [KINDS[kind].BACKEND for kind in KINDS] == ["gloo", "nccl", "hccl", "mccl", "xccl"]


def test_this_processor_says_what_it_is() -> None:
    assert (cpu.title() and "Linux" in cpu.driver()) or cpu.driver()
    assert (cpu.memory() or 1e9) > 1e8
    assert cpu.clocked(lambda: sum(range(1000)), 100) < 1e-3


def test_devices_that_are_not_here_say_so() -> None:
    assert "torch_npu" in str(npu.missing(1)) and "torch_musa" in str(musa.missing(1))
    assert xpu.missing(1) is not None


class Layer:
    """An accelerator's layer of torch whose events are a thousand milliseconds apart."""

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None: ...

        def elapsed_time(self, other: object) -> float:
            return 1000.0

    def synchronize(self) -> None: ...

    def get_device_properties(self, index: int) -> object:
        return type("Properties", (), {"total_memory": 64 * 2**30})

    def current_device(self) -> int:
        return 0


def test_events_of_an_accelerator_are_milliseconds() -> None:
    from tonnage.device import events

    done: list[int] = []
    assert events.clocked(Layer(), lambda: done.append(1), 20) == pytest.approx(0.05)
    assert len(done) == 20
    assert events.memory(Layer()) == 64 * 2**30
    assert events.memory(object()) is None

    def refuses() -> float:
        raise RuntimeError("no NVML")

    assert events.read({"clock": refuses, "power": lambda: 300.0}) == {"power": 300.0}
