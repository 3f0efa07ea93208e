"""The notebooks of examples/ run, say what is kept in them, and stay small."""

import json
from pathlib import Path

import pytest

import notebooks

FILES = sorted(notebooks.EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_says_what_is_kept_in_it(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert notebooks.said(notebooks.executed(path)) == notebooks.said(kept), "run scripts/notebooks.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_is_whole_and_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    held = json.loads(text)
    assert held["nbformat"] == 4 and len({cell["id"] for cell in held["cells"]}) == len(held["cells"])
    assert held["cells"][0]["cell_type"] == "markdown" and len(text) < 250_000
    assert all(cell["outputs"] for cell in held["cells"] if cell["cell_type"] == "code")
    assert "Traceback" not in text


def test_there_are_four() -> None:
    assert [path.stem for path in FILES] == ["choose-chips", "does-my-run-match", "r2-launch", "what-a-rule-changes"]


def test_a_cell_shows_what_it_prints_and_its_last_value() -> None:
    names: dict[str, object] = {}
    made = notebooks.run_cell("x = 2\nprint('a')\nx + 1", names)
    assert made[0]["text"] == ["a\n"] and made[1]["data"] == {"text/plain": ["3"]} and names["x"] == 2
    assert notebooks.run_cell("y = 1", names) == []
