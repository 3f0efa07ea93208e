"""A checkpoint across numbers of processes: whole ways back, bit by bit; what comes back changed is found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from simulated import tiny  # noqa: E402

from tonnage.device.kinds import KINDS  # noqa: E402
from tonnage.model import Architecture  # noqa: E402
from tonnage.qualify import resharded  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Architecture:
    return tiny(tmp_path_factory.mktemp("tiny"))


def test_one_two_one_gives_every_bit_back(model: Architecture) -> None:
    found = list(resharded.gates("cpu", model))
    assert [(gate.name, gate.state, gate.subject) for gate in found] == [
        (resharded.APART, "pass", "move"),
        (resharded.TOGETHER, "pass", "move"),
    ], [gate.why for gate in found]


def in_one_process(monkeypatch: pytest.MonkeyPatch, spoil: Any = lambda held: held, ended: int = 0) -> None:
    """The several processes played by this one: read, told, saved."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        folder = Path(command[-1])
        held = spoil(resharded.read(folder / resharded.ONE, PLAYED))
        (folder / resharded.FOUND).write_text(json.dumps(resharded.checksums(held)))
        resharded.save(held, folder / resharded.SEVERAL)
        return subprocess.CompletedProcess(command, ended, "", "first\nno such operator\n")

    monkeypatch.setattr(resharded, "state", lambda _: dict(PLAYED))
    monkeypatch.setattr(resharded.subprocess, "run", run)


PLAYED = {"net.weight": torch.arange(7.0), "made.0.exp_avg": torch.ones(3, 2)}


def test_one_bit_is_enough(model: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    def flipped(held: dict[str, Any]) -> dict[str, Any]:
        held["made.0.exp_avg"].view(torch.int32)[2, 1] ^= 1
        return held

    in_one_process(monkeypatch)
    assert [gate.state for gate in resharded.gates("cpu", model)] == ["pass", "pass"]
    in_one_process(monkeypatch, flipped)
    found = list(resharded.gates("cpu", model))
    assert [gate.state for gate in found] == ["fail", "fail"]
    assert found[0].why == "1 of 2 tensors come back with other bits, the first made.0.exp_avg" and found[0].decides


def test_processes_that_end_badly_or_hang_are_a_failure(model: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    in_one_process(monkeypatch, ended=1)
    found = list(resharded.gates("cpu", model))
    assert found[0].state == "fail" and "no such operator" in found[0].why

    def hangs(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 180.0)

    monkeypatch.setattr(resharded.subprocess, "run", hangs)
    found = list(resharded.gates("cpu", model))
    assert [gate.state for gate in found] == ["fail", "fail"] and "timed out" in found[0].why


def test_one_card_alone_is_not_tested(model: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KINDS["cuda"], "missing", lambda nproc: f"torch sees 1 CUDA devices, and {nproc} are asked")
    found = list(resharded.gates("cuda", model))
    assert [(gate.state, gate.decides) for gate in found] == [("not tested", False)] * 2
    assert "and 2 are asked" in found[0].why
