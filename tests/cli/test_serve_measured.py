"""`tonnage serve --measured`: what was measured is used, told, and asked for again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tonnage.cli import run

ASKED = ["serve", "llama-3.1-8b", "--on", "1xh20", "--concurrency", "64", "--layout", "tp1", "--json", "--quiet"]


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Decode that takes 5 ms a layer, ten times what its memory needs."""
    shape = {"batch": 64, "context": 4608, "heads": 32, "width": 256, "cached": 2048}
    whole = {"operator": "decode", "shape": shape, "seconds": 5e-3, "chip": "h20-96gb", "software": "bench 1"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_slow_kernel_makes_a_slow_service_and_the_answer_says_whose_it_is(
    slow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = answer(ASKED, capsys)
    saved = tmp_path / "answer.json"
    with_it = answer([*ASKED, "--measured", str(slow), "-o", str(saved)], capsys)
    assert with_it["tpot"] > 2 * plain["tpot"]
    assert with_it["measured"] == {"h20-96gb": "h20-96gb by bench 1"}
    assert 0.5 < with_it["measured_share"] < 1.0
    assert plain["measured_share"] is None
    assert with_it["inputs"]["measured"] == [str(slow)]
    assert "measured" not in plain
    again = answer(["rerun", str(saved), "--json", "--quiet"], capsys)
    assert again["differences"] == []


def test_a_file_that_is_wrong_is_an_input_error_with_its_place(slow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow.write_text('{"operator": "decode"}\n', encoding="utf-8")
    assert run([*ASKED, "--measured", str(slow)]) == 2
    assert f"{slow}:1" in capsys.readouterr().err
