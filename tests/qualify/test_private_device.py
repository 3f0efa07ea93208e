"""A device kind of its own (torch's place for private ones): operators, both passes, and copies reach it by its name.

The dispatch mode sees the processor's operators; a plug-in such as torch_npu is called as this one is. Attention and
softmax, whose kernels size their own outputs, stay with the mode (docs/method/qualify.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tonnage.qualify.joined import environment

SOUND = [("", probe, word) for probe in ("gemm", "activation", "experts", "lookup") for word in ("fp32", "bf16")]
FAULTS = {
    ("truncated", "gemm", "fp32"): {"forward", "backward", "bias"},
    ("no backward", "gemm", "fp32"): {"backward"},
    ("wobbles", "gemm", "fp32"): {"repeated"},
    ("towards zero", "gemm", "bf16"): {"bias"},
}


@pytest.fixture(scope="module")
def found() -> dict[Any, Any]:
    """What the private device found, by what was asked."""
    asked = [*SOUND, *FAULTS]
    command = [sys.executable, str(Path(__file__).with_name("private_device.py")), json.dumps(asked)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    return {"copied": told["copied"]} | dict(zip(asked, told["states"], strict=True))


@pytest.mark.parametrize("asked", SOUND, ids=lambda asked: " ".join(asked[1:]))
def test_a_sound_one_passes(asked: tuple[str, str, str], found: dict[Any, Any]) -> None:
    assert {"forward", "backward", "repeated"} <= found[asked].keys()
    assert set(found[asked].values()) == {"pass"}, found[asked]


@pytest.mark.parametrize("asked", FAULTS, ids=lambda asked: asked[0])
def test_its_faults_are_found(asked: tuple[str, str, str], found: dict[Any, Any]) -> None:
    assert FAULTS[asked] <= {name for name, state in found[asked].items() if state == "fail"}


def test_tensors_come_and_go_by_copies_between_kinds(found: dict[Any, Any]) -> None:
    told = found["copied"]
    assert told["kind"] == told["name"] and told["same"] and told["links"] == ["pass"]
