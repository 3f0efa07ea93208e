"""The processes of a run: who this one is, and what they say to one another."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from tonnage.device.kinds import DeviceKind


@dataclass(frozen=True)
class Ranks:
    """One process of `size`; alone, nothing is sent."""

    rank: int
    size: int
    place: torch.device

    def total(self, *values: float) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        sent = torch.tensor(values, dtype=torch.float64 if self.place.type == "cpu" else torch.float32).to(self.place)
        dist.all_reduce(sent)
        return [float(value) for value in sent.tolist()]

    def any(self, flag: bool) -> bool:
        """Whether it holds in some process."""
        return self.total(float(flag))[0] > 0

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()


def join(kind: DeviceKind, threads: int, limit: float) -> Ranks:
    """The process among those that torchrun started; alone where it did not. limit: of a collective [s]."""
    kind.prepare(threads)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    place = kind.place(int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        return Ranks(0, 1, place)
    import torch.distributed as dist

    dist.init_process_group(kind.BACKEND, timeout=datetime.timedelta(seconds=limit or 600.0))
    return Ranks(dist.get_rank(), size, place)


def leave(ranks: Ranks) -> None:
    """Closes what was joined."""
    if ranks.size > 1:
        import torch.distributed as dist

        dist.destroy_process_group()
