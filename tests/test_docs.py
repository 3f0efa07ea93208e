"""The Python page runs and prints what it says; the method's chapters name what is in the code and fit a terminal."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("examples", ROOT / "scripts" / "examples.py")
examples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(examples)

TEXT = (".py", ".json")
MODULES = (*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py"))


def test_the_python_page_prints_what_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / examples.PYTHON_PAGE).read_text(encoding="utf-8")
    assert text.count("```python\n") > 8
    assert examples.python_page(text) == text


def test_what_a_statement_prints_replaces_what_stood_there():
    code = "x = 2\nprint(x)\n# -> 3\n# a remark\nfor i in range(2):\n    print(i)\n"
    assert examples.ran(code, {}) == (
        "x = 2\nprint(x)\n# -> 2\n# a remark\nfor i in range(2):\n    print(i)\n# -> 0\n# -> 1\n"
    )


def test_a_section_does_not_see_the_names_of_another():
    with pytest.raises(NameError):
        examples.python_page("## one\n```python\nx = 1\n```\n## two\n```python\nprint(x)\n```\n")


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "method").glob("*.md")), ids=lambda path: path.stem)
def test_a_chapter_opens_with_its_symbols_and_fits_a_terminal(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "| symbol | meaning | unit | name in code |" in lines
    assert all(len(line) <= 130 for line in lines if not line.startswith("{"))


def test_the_names_in_code_are_in_the_code():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*") if path.suffix in TEXT)
    words = set(re.findall(r"\w+", source))
    missing = [
        (path.name, name)
        for path in (ROOT / "docs" / "method").glob("*.md")
        for row in re.findall(r"^\|.*\| ([^|]*`[^|]*) \|$", path.read_text(encoding="utf-8"), re.M)
        for name in re.findall(r"`([^`]+)`", row)
        if not set(re.findall(r"[a-z]\w+", name, re.I)) <= words | {path.stem for path in MODULES}
    ]
    assert not missing
