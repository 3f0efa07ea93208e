"""What software makes of the hardware: few constants, each physical and bounded, fitted on published runs.

`scripts/fit_train.py` fits them and writes `data/software.json` with its errors left out by source and by chip.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.values import Plain, decode


@dataclass(frozen=True)
class TrainSoftware:
    """Constants of the step. Those with bounds in `BOUNDS` are fitted, the others are held at their values.

    Time of a class of operators in a step over its time alone in a kernel benchmark: gemm; expert (grouped products of
    experts); core (attention); core_back (its backward over forward, beyond the FLOP); memory (element-wise); shuffle
    (permuting, activation and combining of routed experts). narrow, narrow_expert: of products in 8 and 4 bits, over
    the same in 16. generic: attention kernels of FlashAttention 2's kind on Hopper and after, over the chip's own (1.5
    to 2.0 in arXiv 2407.08608); first: FlashAttention 1 and Triton's over FlashAttention 2 (1.3 to 2 in arXiv
    2307.08691). foreign, foreign_memory: products, and element-wise work, of vendors whose kernels were not measured.
    power: exponent of watts for each FLOP/s between generations. age: slowdown for each year of software age;
    sparse_age: the same of what only sparse layers have (shuffle, all-to-all, host), as an exponent.

    launch: host seconds for each kernel; sparse: for each local expert of a layer, device: share of that where
    grouped products take their shapes on the device (Blackwell, from 2026); they show where the chip is quicker than
    the host. tensor, tensor_hidden: share of tensor-parallel collectives that shows, without and with overlap;
    expert_wire, context: of ep and cp collectives; cut_core: slowdown of generic attention kernels cut by cp; window:
    share of compute behind which a collective can hide; leak, shard_leak: share of hidden all-to-all, and of hidden
    ZeRO-3 transfers, that shows as slower compute; transfer: share of pipeline transfers that shows; ring: seconds for
    each domain that a data-parallel ring crosses; turn: seconds of one broadcast over many nodes, where ranks
    broadcast their weights in turns; jitter: slowdown for each e-fold of ranks; imbalance: rows of the busiest expert
    rank over the mean under a router balanced by a loss (0.5 to 0.7 more in arXiv 2408.15664); overhead: seconds of a
    step that no class holds; unfused: element-wise time without fused kernels, over with.
    """

    gemm: float = 1.2
    expert: float = 1.1
    core: float = 1.0
    core_back: float = 1.0
    memory: float = 1.3
    power: float = 0.1
    age: float = 0.0
    launch: float = 3e-05
    tensor: float = 0.8
    tensor_hidden: float = 0.3
    expert_wire: float = 0.8
    context: float = 1.0
    window: float = 0.95
    transfer: float = 0.1
    jitter: float = 0.01
    imbalance: float = 1.45
    overhead: float = 0.01
    unfused: float = 1.1
    leak: float = 0.2
    narrow: float = 0.8
    generic: float = 1.75
    first: float = 1.4
    ring: float = 1e-05
    shard_leak: float = 0.3
    shuffle: float = 1.5
    sparse: float = 0.0002
    sparse_age: float = 0.3
    cut_core: float = 0.2
    narrow_expert: float = 0.9
    foreign_memory: float = 1.3
    device: float = 0.5
    turn: float = 1e-3
    foreign: float = 1.0


BOUNDS: dict[str, tuple[float, float]] = {
    "gemm": (0.9, 1.6),
    "expert": (0.9, 1.6),
    "core": (0.7, 1.8),
    "memory": (0.8, 2.5),
    "power": (0.0, 0.6),
    "launch": (0.0, 0.0001),
    "tensor": (0.3, 1.5),
    "tensor_hidden": (0.05, 1.0),
    "expert_wire": (0.3, 1.5),
    "context": (0.2, 2.0),
    "jitter": (0.0, 0.03),
    "imbalance": (1.0, 1.8),
    "overhead": (0.0, 0.1),
    "leak": (0.0, 0.6),
    "narrow": (0.5, 1.2),
    "generic": (1.0, 3.0),
    "shuffle": (0.8, 4.0),
    "sparse": (0.0, 0.001),
    "cut_core": (0.0, 1.0),
    "narrow_expert": (0.5, 1.5),
    "ring": (0.0, 1e-4),
    "shard_leak": (0.0, 1.0),
    "foreign_memory": (0.7, 4.0),
    "sparse_age": (0.0, 1.2),
    "device": (0.0, 1.0),
    "turn": (0.0, 5e-3),
    "foreign": (0.7, 1.5),
}
"""Bounds of the constants that are fitted; the others are held at their values above."""


@dataclass(frozen=True)
class PublishedRun:
    """A run of the fit: its case, chip, accelerators, precision, whether a mixture, parameters, sequence [token], and
    how far off the predicted rate was (share) with its source left out.
    """

    id: str
    chip: str
    count: int
    precision: str
    moe: bool
    params: float
    seq: int
    error: float


Errors = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By what was left out, then by kind of run: number, median, 90th percentile, bias."""


@dataclass(frozen=True)
class SoftwareFit:
    """What `scripts/fit_train.py` found.

    constants: of all runs; spread: half-width of the 90 % interval of the log of a step's time for `dense`, `moe` and a
    `chip` without runs, and what a date that is not known adds (`dense_date`, `moe_date`); runs: what was fitted;
    folds, chip_folds: constants without a source, without a chip; kind_folds: without a year, without a framework.
    """

    source: str
    constants: TrainSoftware
    errors: Errors
    spread: Mapping[str, float]
    runs: tuple[PublishedRun, ...]
    folds: Mapping[str, TrainSoftware]
    chip_folds: Mapping[str, TrainSoftware]
    kind_folds: Mapping[str, Mapping[str, TrainSoftware]]


@functools.cache
def fitted() -> SoftwareFit:
    """The fitted constants, and how far they were off."""
    text = (Path(__file__).parent / "data" / "software.json").read_text(encoding="utf-8")
    held: Plain = json.loads(text)
    return decode(SoftwareFit, held)
