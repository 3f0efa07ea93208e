"""Every example, and every console block of the README and the guide, prints what it says."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("examples", ROOT / "scripts" / "examples.py")
examples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(examples)

CONSOLES = sorted((ROOT / "examples").glob("*.console"))


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")


def test_there_are_examples():
    assert {path.stem for path in CONSOLES} >= {"fit", "train", "serve", "show"}


@pytest.mark.parametrize("path", CONSOLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("$ tonnage ")
    assert examples.again(text) == text


@pytest.mark.parametrize("name", examples.PAGES)
def test_a_page_prints_what_it_says(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "```console\n$ tonnage " in text
    assert examples.page(text) == text
