"""What moved an answer since it was saved."""

import json
from pathlib import Path

import pytest

from tonnage.catalog.models import find
from tonnage.cli import run

SMALL = Path(__file__).parents[1] / "report" / "small.yaml"
Captured = pytest.CaptureFixture[str]


def saved(path: Path, *words: str) -> dict[str, object]:
    assert run([*words, "-o", str(path), "-q"]) == 0
    return dict(json.loads(path.read_text(encoding="utf-8")))


def asked(path: Path, capsys: Captured) -> dict[str, object]:
    capsys.readouterr()
    assert run(["rerun", str(path), "--json", "-q"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "llama-3.1-8b", "--on", "1xh100-sxm"),
        ("serve", "llama-3.1-8b", "--on", "1xh100-sxm", "--tpot", "50ms"),
        ("train", "llama-3.1-8b", "--on", "64xh100-sxm", "--tokens", "1T"),
        ("train", "llama-3.1-8b", "--on", "32xh100-sxm", "--on", "32xh800", "--tokens", "1T"),
        ("launch", str(SMALL), "--draws", "20", "--no-what-ifs"),
    ],
)
def test_nothing_moves_what_is_asked_again_at_once(tmp_path: Path, capsys: Captured, words: tuple[str, ...]) -> None:
    path = tmp_path / "a.json"
    saved(path, *words)
    found = asked(path, capsys)
    assert (found["differences"], found["moved_by"]) == ([], "nothing")


def test_a_number_that_the_saved_question_no_longer_gives_was_moved_by_the_code(
    tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "a.json"
    body = saved(path, "serve", "llama-3.1-8b", "--on", "1xh100-sxm", "--tpot", "50ms")
    path.write_text(json.dumps(body | {"requests_per_second": 1.0}), encoding="utf-8")
    assert asked(path, capsys)["moved_by"] == "the code (same version)"
    path.write_text(json.dumps(body | {"requests_per_second": 1.0, "version": "0.0.1"}), encoding="utf-8")
    assert asked(path, capsys)["moved_by"] == "another version of tonnage"


def test_a_changed_file_is_told_apart_and_a_lost_one_is_not_needed(tmp_path: Path, capsys: Captured) -> None:
    _, config, _ = find("llama-3.1-8b", _bundled())
    model = tmp_path / "config.json"
    model.write_text(json.dumps(config), encoding="utf-8")
    path = tmp_path / "a.json"
    saved(path, "fit", str(model), "--on", "1xh100-sxm")
    model.write_text(json.dumps({**config, "num_hidden_layers": 16}), encoding="utf-8")
    found = asked(path, capsys)
    assert found["moved_by"] == "a file" and found["by_code"] == []
    model.unlink()
    found = asked(path, capsys)
    assert found["moved_by"] == "nothing"


def _bundled() -> dict[str, str]:
    from tonnage.catalog import load

    return dict(load().model_lines)
