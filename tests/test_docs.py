"""The Python page runs and prints what it says; the method's chapters name what is in the code and fit a terminal."""

import ast
import functools
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


# ---------------------------------------------------------------- names of classes, fields and files

CLASS_AND_FIELD = re.compile(r"`(?:\w+\.)*([A-Z]\w*[a-z]\w*)\.(\w+)")
"""`ServeJob.micro_batches`, also behind a module."""
CODE_LINE = re.compile(r"^Code: .*(?:\n(?!\n).*)*", re.M)
CODE_FILE = re.compile(r"`([\w/]+\.(?:py|json))`")
OTHERS = {"EngineArgs"}
"""Classes of vLLM that chapters speak of."""


@functools.cache
def classes() -> dict[str, tuple[set[str], set[str]]]:
    """(fields and methods, bases) of each class of tonnage and its scripts."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                own = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
                own |= {ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)}
                bases = {ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases}
                held = found.setdefault(node.name, (set(), set()))
                held[0].update(own)
                held[1].update(bases)
    return found


def members(name: str) -> set[str]:
    """Fields and methods of a class, inherited ones too; none where there is no such class."""
    own, bases = classes().get(name, (set(), set()))
    return own.union(*map(members, bases))


def not_there(text: str) -> list[str]:
    """Classes with a field that a text names and the code does not have."""
    pairs = CLASS_AND_FIELD.findall(text)
    return [f"{name}.{field}" for name, field in pairs if name not in OTHERS and field not in members(name)]


def no_files(text: str) -> list[str]:
    """Files of a text's lines `Code:` that are not there, from the package or the root."""
    named = [name for line in CODE_LINE.findall(text) for name in CODE_FILE.findall(line)]
    return [name for name in named if not any((ROOT / place / name).is_file() for place in ("src/tonnage", "."))]


def test_a_field_or_file_that_is_not_there_is_found():
    assert not_there("`Layout.tp`, `serve.ServePlan.tpot`, `TrainPlan.outcome`") == []
    assert not_there("`Layout.tq`, `Layouts.tp`, `RankMemory.sequences`") == ["Layout.tq", "Layouts.tp"]
    assert no_files("Code: `serve/plan.py`, `scripts/fit_serve.py`.\n\n`serve/launch.py`") == []
    assert no_files("Code: `serve/plan.py`,\n`serve/launch.py`; data `train/data/durations.json`.") == [
        "serve/launch.py"
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "method").glob("*.md")), ids=lambda path: path.stem)
def test_fields_and_code_lines_of_a_chapter_are_there(path):
    text = path.read_text(encoding="utf-8")
    assert not not_there(text)
    assert not no_files(text)


def test_fields_that_the_code_speaks_of_are_there():
    found = {str(path.relative_to(ROOT)): not_there(path.read_text(encoding="utf-8")) for path in MODULES}
    assert not {path: names for path, names in found.items() if names}
