"""docs/nomenclature.md: each name once, with a file that defines it; every value that a room offers stands there."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

import tonnage

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "tonnage"
TEXT = (ROOT / "docs" / "nomenclature.md").read_text(encoding="utf-8")

NAMES = re.compile(r"^\| \*?`(\w+)`\*?(?:, there `(\w+)`)? \| `([\w/]+\.py)` \| [^|]+ \|[^|]*\|$", re.M)
"""Rows of a room's names: name, what the room calls it, file."""
WORDS = re.compile(r"^\| ([^|`]+) \| `(\w+)` \| `([\w/]+\.py)` \| [^|]+ \|$", re.M)
"""Rows of words: word, name in code, file."""
ROOMS = ("model", "layout", "system", "train", "serve", "export", "fleet", "catalog", "law", "truth")


def defined(path: Path) -> set[str]:
    """What a file defines: its own name, classes, functions and constants, and fields of its classes."""
    found = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return found


def homeless(rows: list[tuple[str, str]]) -> list[str]:
    """Names that their file does not define, or whose file is not there."""
    return [
        f"{name} in {file}"
        for name, file in rows
        if not (PACKAGE / file).is_file() or name not in defined(PACKAGE / file)
    ]


def test_a_name_without_its_file_is_found() -> None:
    rows = [("ServePlan", "serve/result.py"), ("ServePlan", "serve/plan.py"), ("fit", "serve/capacity.py")]
    assert homeless(rows) == ["ServePlan in serve/plan.py", "fit in serve/capacity.py"]


def test_each_name_lives_where_its_row_says() -> None:
    names = [(there or name, file) for name, there, file in NAMES.findall(TEXT)]
    words = [(name, file) for _, name, file in WORDS.findall(TEXT)]
    assert len(names) > 90 and len(words) > 30
    assert not homeless(names) and not homeless(words)


def test_each_row_with_a_file_is_read() -> None:
    rows = [line for line in TEXT.splitlines() if re.search(r"\| `[\w/]+\.py` \|", line)]
    assert len(rows) == len(NAMES.findall(TEXT)) + len(WORDS.findall(TEXT))


def test_each_name_and_each_word_stands_once() -> None:
    for found in (NAMES.findall(TEXT), WORDS.findall(TEXT)):
        assert not [name for name, count in Counter(row[0] for row in found).items() if count > 1]


def test_public_names_are_marked_and_live_where_they_are_loaded_from() -> None:
    marked = dict(re.findall(r"^\| \*`(\w+)`\*.*? \| `([\w/]+\.py)` \|", TEXT, re.M))
    assert sorted(marked) == tonnage.__all__
    for name, file in marked.items():
        assert getattr(tonnage, name).__module__ == "tonnage." + file.removesuffix(".py").replace("/", "."), name


@pytest.mark.parametrize("room", ROOMS)
def test_every_value_that_a_room_offers_stands_here(room: str) -> None:
    offered = importlib.import_module(f"tonnage.{room}")
    kinds = {name: getattr(offered, name) for name in offered.__all__}
    values = {name for name, kind in kinds.items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
    assert values <= {name for name, _, _ in NAMES.findall(TEXT)}


def test_lines_fit() -> None:
    assert not [line for line in TEXT.splitlines() if len(line) >= 130]
