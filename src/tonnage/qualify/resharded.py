"""A checkpoint across numbers of processes: saved by one, read by several, saved by those, read by one; bit by bit.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m tonnage.qualify.resharded KIND FOLDER

Each tensor of the small run, weights and moments, is divided over the processes by its rows (torch's `DTensor`), and
goes through each one's device; torch's distributed checkpoint puts the parts of the file where they belong.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.device import distributed
from tonnage.device.ending import end
from tonnage.device.kinds import KINDS
from tonnage.errors import InputError
from tonnage.qualify.gate import State, Verified
from tonnage.qualify.joined import environment
from tonnage.qualify.small import SmallRun
from tonnage.qualify.training import first_line

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture

PROCESSES = 2
ONE, SEVERAL, FOUND = "one", "several", "found.json"
"""Checkpoints of one process and of several; checksums of what several read."""

PATIENCE = 180.0
"""Longest wait for the processes [s]."""

APART, TOGETHER = "a checkpoint of 1 process read by 2", "a checkpoint of 2 processes read by 1"


def gates(device: str, model: Architecture, seed: int = 0, patience: float = PATIENCE) -> Iterator[Verified]:
    """Both ways. Not tested where so many devices are not here, or there is no small model of the architecture."""
    why = KINDS[device].missing(PROCESSES)
    held: dict[str, torch.Tensor] = {}
    if why is None:
        try:
            held = state(SmallRun(model, KINDS[device].place(0), "fp32", seed))
        except InputError as error:
            why = str(error)
    if why is not None:
        yield from (_gate(name, "not tested", why) for name in (APART, TOGETHER))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, right = Path(name), checksums(held)
        yield _compared(APART, right, lambda: _by_several(device, held, folder, patience))
        yield _compared(TOGETHER, right, lambda: checksums(read(folder / SEVERAL, held)))


def _gate(name: str, found: State, why: str = "") -> Verified:
    decides = found != "not tested"
    return Verified(name, "numerics", "training", found, why=why, subject="move", decides=decides)


def _compared(name: str, right: Mapping[str, str], find: Callable[[], Mapping[str, str]]) -> Verified:
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
            found = find()
    except (OSError, RuntimeError, ValueError, CheckpointException, subprocess.SubprocessError) as error:
        return _gate(name, "fail", f"stopped: {first_line(error)}")
    odd = [key for key, value in right.items() if found.get(key) != value]
    why = f"{len(odd)} of {len(right)} tensors come back with other bits, the first {odd[0]}" if odd else ""
    return _gate(name, "fail" if odd else "pass", why)


def state(run: SmallRun) -> dict[str, torch.Tensor]:
    """Weights, moments and counters after one step, by name."""
    import torch

    run.step(0)
    kept: Any = run.state()
    found = {f"net.{name}": value for name, value in kept["net"].items()}
    for index, moments in kept["made"]["state"].items():
        found |= {f"made.{index}.{name}": value for name, value in moments.items()}
    return {name: torch.atleast_1d(value).contiguous() for name, value in found.items()}


def checksums(held: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Of the bits of each tensor."""
    return {name: hashlib.sha256(value.cpu().numpy().tobytes()).hexdigest() for name, value in held.items()}


def save(held: dict[str, Any], folder: Path, alone: bool = True) -> None:
    """Writes a checkpoint: by one process, or by all of a group."""
    import torch.distributed.checkpoint as dcp

    dcp.save(held, storage_writer=dcp.FileSystemWriter(folder, sync_files=False), no_dist=alone)


def read(folder: Path, like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a checkpoint holds, whole, in one process."""
    import torch

    found: dict[str, Any] = {name: torch.zeros_like(value) for name, value in like.items()}
    distributed.load(found, folder, alone=True)
    return found


def _by_several(device: str, held: dict[str, torch.Tensor], folder: Path, patience: float) -> dict[str, str]:
    """Checksums of what several processes read of the checkpoint of one; they leave one of their own."""
    save(dict(held), folder / ONE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]
    command += ["-m", "tonnage.qualify.resharded", device, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=patience, env=environment())
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:] or ["no word"]
        raise RuntimeError(f"{PROCESSES} processes ended with {ended.returncode}: {last[0]}")
    found: dict[str, str] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    return found


def main(device: str, folder: Path) -> None:
    """One of the processes."""
    import torch.distributed as dist

    kind = KINDS[device]
    kind.prepare(1)
    place = kind.place(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(kind.BACKEND)
    try:
        held = _parts(folder / ONE, place.type)
        found = checksums({name: value.full_tensor() for name, value in held.items()})
        if dist.get_rank() == 0:
            (folder / FOUND).write_text(json.dumps(found), encoding="utf-8")
        save(held, folder / SEVERAL, alone=False)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _parts(folder: Path, kind: str) -> dict[str, Any]:
    """The rows of each tensor of a checkpoint that fall to this process."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, zeros

    mesh = init_device_mesh(kind, (dist.get_world_size(),))
    told: Mapping[str, Any] = distributed.index(folder / ".metadata").state_dict_metadata
    held: dict[str, Any] = {
        name: zeros(*one.size, dtype=one.properties.dtype, device_mesh=mesh, placements=[Shard(0)])
        for name, one in told.items()
    }
    distributed.load(held, folder, alone=False)
    return held


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    end()
