"""Collectives by size, timed in several processes: torchrun starts them, the first one writes what it found.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m tonnage.qualify.joined KIND FILE

A collective takes as long as its slowest rank: each sample begins at a barrier, and the longest of the ranks counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.device.ending import end
from tonnage.device.kinds import KINDS
from tonnage.errors import InputError, Problem
from tonnage.qualify.bench import Bench, work
from tonnage.qualify.timing import Timed, spread_of, timed

if TYPE_CHECKING:
    import torch

SIZES = (2**12, 2**16, 2**20, 2**24)
"""Bytes of a payload: from a decode step's to a layer's gradients."""

SAMPLES = 15
"""Of each collective: its latency is the scheduler's on a shared machine, so the median of many counts."""

PRODUCT = Bench("gemm", "bf16", (512, 512, 512), "NT")
"""What every rank multiplies, to find one that is slower than the others."""

PATIENCE = 300.0
"""Longest wait for all of it [s]."""


@dataclass(frozen=True)
class Linked:
    """What several processes found. rows: collectives; ranks: seconds of the same product on each."""

    rows: tuple[tuple[Bench, Timed], ...]
    ranks: tuple[float, ...]


def linked(device: str, processes: int, folder: Path) -> Linked:
    """Collectives between so many processes. Raises InputError where they do not end well."""
    out = folder / "joined.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "tonnage.qualify.joined", device, str(out)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    except subprocess.TimeoutExpired:
        raise InputError(
            Problem(f"{processes} processes did not end in {PATIENCE:g} s: a hang", path="nproc")
        ) from None
    if ended.returncode or not out.is_file():
        last = ended.stderr.strip().splitlines()[-1:] or ["no word"]
        raise InputError(Problem(f"{processes} processes could not be joined: {last[0][:200]}", path="nproc"))
    held = json.loads(out.read_text(encoding="utf-8"))
    rows = tuple((Bench(row[0], row[1], tuple(row[2])), Timed(*row[3])) for row in held["rows"])
    return Linked(rows, tuple(held["ranks"]))


def environment() -> dict[str, str]:
    """One thread a process; this package where it is."""
    here = str(Path(__file__).parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def main(device: str, out: Path) -> None:
    """One of the processes."""
    import torch.distributed as dist

    kind = KINDS[device]
    kind.prepare(1)
    place = kind.place(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(kind.BACKEND)
    try:
        alone = timed(work(PRODUCT, place), kind, 0.2).seconds
        rows = [_timed(name, size, place, kind.settle) for name in _CALLS for size in SIZES]
        ranks: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(ranks, alone)
        if dist.get_rank() == 0:
            out.write_text(json.dumps({"rows": rows, "ranks": ranks}), encoding="utf-8")
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _timed(name: str, size: int, place: torch.device, settle: Callable[[], None]) -> list[Any]:
    """Operator, format, shape, and the numbers of `Timed`: the longest of the ranks, sample by sample."""
    import torch
    import torch.distributed as dist

    world = dist.get_world_size()
    call = _CALLS[name](size // 2, world, place)
    walls, cpus = [], []
    for _ in range(SAMPLES + 2):
        dist.barrier()
        settle()
        began, used = time.perf_counter(), time.process_time()
        call()
        settle()
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - used)
    longest = torch.tensor(walls[2:], dtype=torch.float32, device=place)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    found = [float(value) for value in longest.tolist()]
    middle = statistics.median(found)
    shape = [size, world, 1] if name == "all_to_all" else [size, world]
    return [name, "bf16", shape, [middle, middle, statistics.median(cpus[2:]), spread_of(found), len(found)]]


def _all_reduce(numbers: int, world: int, place: torch.device) -> Callable[[], object]:
    import torch
    import torch.distributed as dist

    held = torch.zeros(numbers, dtype=torch.bfloat16, device=place)
    return lambda: dist.all_reduce(held)


def _all_gather(numbers: int, world: int, place: torch.device) -> Callable[[], object]:
    import torch
    import torch.distributed as dist

    part = torch.zeros(numbers // world, dtype=torch.bfloat16, device=place)
    whole = [torch.zeros_like(part) for _ in range(world)]
    return lambda: dist.all_gather(whole, part)


def _broadcast(numbers: int, world: int, place: torch.device) -> Callable[[], object]:
    import torch
    import torch.distributed as dist

    held = torch.zeros(numbers, dtype=torch.bfloat16, device=place)
    return lambda: dist.broadcast(held, src=0)


def _all_to_all(numbers: int, world: int, place: torch.device) -> Callable[[], object]:
    import torch
    import torch.distributed as dist

    sent = torch.zeros(numbers // world * world, dtype=torch.bfloat16, device=place)
    got = torch.empty_like(sent)
    return lambda: dist.all_to_all_single(got, sent)


_CALLS: dict[str, Callable[[int, int, Any], Callable[[], object]]] = {
    "all_reduce": _all_reduce,
    "all_gather": _all_gather,
    "broadcast": _broadcast,
    "all_to_all": _all_to_all,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    end()
