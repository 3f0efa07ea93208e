"""`launch --calibration`: what was measured on a chip of the fleet moves its stages, only there, and is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_calibration import DEVICE, file, key

from tonnage.cli import run

PROGRAMME = """
name: small
start: 2026-12-01
horizon: 9 months
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 16, tenure: owned, price: $2/h}
models:
  one:
    model: qwen3-8b
    train: {stages: [{pretrain: {tokens: 20B tokens, seq: 4096, global_batch: 64}}]}
"""


def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    (tmp_path / "p.yaml").write_text(PROGRAMME)
    assert run(["launch", str(tmp_path / "p.yaml"), "--draws", "20", "--json", "-q", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def stages(found: dict[str, Any]) -> list[float]:
    return [one["rate"] for one in found["throughputs"]]


def calibration(tmp_path: Path, chip: str, slow: float) -> str:
    device = replace(DEVICE, chip=key(chip), rates={"bf16": 9.9e14}, memory=8e10)
    return str(file(tmp_path, device, slow))


def test_measured_speeds_change_the_stages_and_the_answer_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By little where other layouts multiply in shapes that were not measured: the search takes one of those."""
    plain = planned(tmp_path, capsys)
    slow = planned(tmp_path, capsys, "--calibration", calibration(tmp_path, "h100-sxm", 9.0))
    assert all(one < before for one, before in zip(stages(slow), stages(plain), strict=True))
    assert slow["inputs"]["calibration"] and "calibration" not in plain["inputs"]
    other = planned(tmp_path, capsys, "--calibration", calibration(tmp_path, "mi300x", 1.3))
    assert stages(other) == stages(plain) and other["launch"] == plain["launch"]


def test_words_name_the_file_of_a_chip_of_the_fleet_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text(PROGRAMME)
    for chip, named in (("h100-sxm", True), ("mi300x", False)):
        words = ["launch", str(tmp_path / "p.yaml"), "--draws", "20", "-q", "--calibration"]
        assert run([*words, calibration(tmp_path, chip, 9.0)]) == 0
        assert ("mine.jsonl" in capsys.readouterr().out) == named
