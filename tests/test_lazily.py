"""Rooms whose names are loaded when they are asked for: each name is there, from where type checkers think it is."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tonnage
from tonnage.lazily import Room, opened

HOME = Path(tonnage.__file__).parent
ROOMS = sorted(
    ".".join(("tonnage", *path.relative_to(HOME).parts[:-1]))
    for path in HOME.rglob("__init__.py")
    if "\nopened(" in path.read_text(encoding="utf-8")
)


def test_these_rooms_are_opened_when_asked() -> None:
    assert {"tonnage.serve", "tonnage.train", "tonnage.export", "tonnage.model"} <= set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_name_comes_from_the_module_that_type_checkers_know(name: str) -> None:
    room = importlib.import_module(name)
    tree = ast.parse(Path(str(room.__file__)).read_text(encoding="utf-8"))
    told = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{name}.")
        for alias in node.names
    }
    assert {key: f"{name}.{home}" for key, home in room._HOMES.items()} == told
    assert set(told) <= set(room.__all__) <= set(dir(room))
    for key, home in told.items():
        assert getattr(room, key) is getattr(importlib.import_module(str(home)), key)


def test_a_name_stays_itself_when_the_module_of_that_name_is_loaded() -> None:
    code = "import tonnage.serve.plan, tonnage.serve; from tonnage.serve import plan; print(plan, tonnage.serve.plan)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("<function plan") == 2


def test_a_name_that_is_not_there_is_an_attribute_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "room", ModuleType("room"))
    opened("room", {"walls": "north south"})
    room = sys.modules["room"]
    assert isinstance(room, Room)
    assert {"north", "south"} <= set(dir(room))
    with pytest.raises(AttributeError, match="module 'room' has no attribute 'east'"):
        _ = room.east
    room.north = 1
    assert room.north == 1
