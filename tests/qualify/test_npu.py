"""The Ascend module uses only names that torch_npu ships, with arguments that they take."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tonnage.device import npu

SHIPPED: dict[str, str] = json.loads((Path(__file__).parents[1] / "data/torch_npu.json").read_text())["names"]


def calls(text: str) -> list[tuple[str, int]]:
    """Functions of `torch.npu` that a module calls, with how many arguments."""
    held = ("_npu()", "npu")
    return [
        (node.func.attr, len(node.args) + len(node.keywords))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in held
    ]


def wrong(text: str) -> list[str]:
    """Calls that torch_npu does not have, or that it takes otherwise."""
    found = []
    for name, given in calls(text):
        taken = [part for part in SHIPPED.get(name, "").split(", ") if part]
        needed = sum("=" not in part for part in taken)
        if name not in SHIPPED or not needed <= given <= len(taken):
            found.append(f"{name} with {given}")
    return found


def test_only_what_torch_npu_ships_is_used() -> None:
    text = Path(npu.__file__).read_text()
    assert {name for name, _ in calls(text)} >= {"is_available", "device_count", "set_device", "synchronize"}
    assert wrong(text) == []


@pytest.mark.parametrize("call", ["_npu().device_name()", "npu.set_device()", "_npu().synchronize(1, 2)"])
def test_what_it_does_not_ship_is_found(call: str) -> None:
    assert wrong(call)
