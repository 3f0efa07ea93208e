"""What a software stack makes of the hardware: few constants, each physical and bounded, fitted on published runs.

`scripts/fit_train.py` fits them and writes `data/stack.json` with its errors left out by source and by chip.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Stack:
    """Constants of the step, with the bounds of the fit in `BOUNDS`.

    gemm, expert, core, core_back, memory: time of a class of operators in a whole step over its time alone in a
    kernel benchmark at full clock; power: exponent by which matrix products slow down where a chip has fewer watts for
    each FLOP/s than an A100 (clocks fall under load); age: slowdown of the step for each year that the software is
    older than the newest, saturating; launch: host seconds for each kernel; tensor, expert_wire, context: share of
    tp, ep and cp collectives that is not hidden (tensor_hidden: where the stack overlaps them with GEMMs); window: share of compute behind which data-parallel collectives
    hide; transfer: share of pipeline transfers not hidden; jitter: slowdown for each e-fold of ranks; imbalance: rows
    of the busiest expert rank over the mean under a learned router; overhead: seconds of a step that no class holds;
    unfused: element-wise time without fused kernels over with; leak: share of expert all-to-all that shows even behind
    another micro-batch's compute.
    """

    gemm: float = 1.15
    expert: float = 1.05
    core: float = 1.0
    core_back: float = 1.0
    memory: float = 1.2
    power: float = 0.1
    age: float = 0.03
    launch: float = 2e-05
    tensor: float = 0.8
    tensor_hidden: float = 0.4
    expert_wire: float = 1.0
    context: float = 0.6
    window: float = 0.7
    transfer: float = 0.7
    jitter: float = 0.01
    imbalance: float = 1.1
    overhead: float = 0.02
    unfused: float = 1.5
    leak: float = 0.1
    narrow: float = 0.85
    generic: float = 1.4
    first: float = 1.3
    ring: float = 2e-6
    shard_leak: float = 0.5
    shuffle: float = 1.5
    sparse: float = 0.0002
    sparse_age: float = 0.4
    cut_core: float = 0.2
    foreign: float = 1.15


BOUNDS: dict[str, tuple[float, float]] = {
    "gemm": (0.9, 1.5),
    "expert": (0.9, 1.4),
    "core": (0.8, 1.8),
    "core_back": (0.8, 1.8),
    "memory": (0.8, 2.0),
    "power": (0.0, 0.6),
    "age": (0.0, 0.15),
    "launch": (0.0, 0.0001),
    "tensor": (0.3, 1.5),
    "tensor_hidden": (0.1, 1.0),
    "expert_wire": (0.5, 1.5),
    "context": (0.1, 1.5),
    "window": (0.2, 1.0),
    "transfer": (0.0, 1.5),
    "jitter": (0.0, 0.04),
    "imbalance": (1.0, 1.4),
    "overhead": (0.0, 0.2),
    "unfused": (1.0, 5.0),
    "leak": (0.0, 0.5),
    "narrow": (0.5, 1.3),
    "generic": (1.0, 2.5),
    "first": (1.0, 2.5),
    "ring": (0.0, 3e-5),
    "shard_leak": (0.0, 1.0),
    "shuffle": (0.8, 4.0),
    "sparse": (0.0, 0.002),
    "sparse_age": (0.0, 1.2),
    "cut_core": (0.0, 1.0),
    "foreign": (0.8, 1.6),
}


@functools.cache
def fitted() -> tuple[Stack, dict[str, Any]]:
    """(the fitted constants, how far they were off: spreads by regime and errors left out)."""
    held = json.loads(
        importlib.resources.files("tonnage.train").joinpath("data/stack.json").read_text(encoding="utf-8")
    )
    known = {field.name for field in fields(Stack)}
    return Stack(**{name: value for name, value in held["constants"].items() if name in known}), held
