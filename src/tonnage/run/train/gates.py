"""Whether a device computes what the last one did: gates before a run moves.

Each checkpoint holds a probe: on a fixed batch, samples of the logits, of the gradient and of the change that a step
would make, as the device that wrote it computed them. Before a run goes on with another kind of device, number of
processes or precision, the probe is computed there, from the same weights and moments, and compared. A sum of K
products in a format of spacing eps has a rounding error of about eps sqrt(K) (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 2.8, for errors that are independent): differences are told in that unit,

    u = rms(found - kept) / (rms(kept) eps sqrt(K)),    eps of the coarser of the two precisions,

with K the width of the residual stream for logits and the learned tokens of the batch for gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.device.network import tensors
from tonnage.device.rounding import EPSILON, LIMIT, units
from tonnage.run.train import data
from tonnage.run.train.network import cast, norm_clipped, resharded
from tonnage.run.train.plan import RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.stages import supervised
from tonnage.run.train.tasks import TaskSource

if TYPE_CHECKING:
    import torch

FILE = "probe.pt"

SAMPLES = 64
"""Elements that are kept of each tensor."""

NAMES = ("forward", "backward", "step")


@dataclass(frozen=True)
class Gate:
    """One comparison: its name, the difference in units of eps sqrt(K), the limit."""

    name: str
    units: float
    limit: float = LIMIT

    @property
    def passes(self) -> bool:
        """Whether the difference is one of rounding (a difference that is no number is not)."""
        return self.units <= self.limit


def probed(
    model: Any, made: torch.optim.Optimizer, tasks: TaskSource, plan: RunPlan, ranks: Ranks, rate: float
) -> dict[str, torch.Tensor]:
    """Samples of what this device computes; the model and the moments are as they were afterwards."""
    import torch

    batch = data.probe(tasks, plan)
    with torch.no_grad():
        before = [value.clone() for value in tensors(model, made)]
    logits = _logits(model, batch, plan.precision, ranks)
    model.zero_grad()
    supervised(model, batch, plan.precision, ranks)
    slopes = torch.cat([_sample(value.grad) for value in model.parameters()])
    norm_clipped(model, 1.0)
    held = [_sample(value) for value in model.parameters()]
    for group in made.param_groups:
        group["lr"] = rate
    made.step()
    change = torch.cat([_sample(value) - old for value, old in zip(model.parameters(), held, strict=True)])
    with torch.no_grad():
        for value, old in zip(tensors(model, made), before, strict=True):
            value.copy_(old)
    model.zero_grad()
    return {"forward": logits, "backward": slopes, "step": change}


def _logits(model: Any, batch: data.Sequences, precision: str, ranks: Ranks) -> torch.Tensor:
    import torch

    with torch.no_grad(), cast(precision, ranks):
        ids = torch.from_numpy(batch.ids).to(ranks.place)
        found = model(input_ids=ids, use_cache=False).logits.float()
    resharded(model)
    learned: torch.Tensor = found[torch.from_numpy(batch.labels).to(ranks.place) != data.IGNORED].flatten().cpu()
    return learned


def _sample(value: Any) -> torch.Tensor:
    """Elements of a tensor at equal distances, whole tensors gathered where they are cut."""
    import torch

    whole = (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().flatten()
    places = torch.linspace(0, whole.numel() - 1, min(SAMPLES, whole.numel())).long().to(whole.device)
    picked: torch.Tensor = whole[places].float().cpu().clone()
    return picked


def write(folder: Path, found: dict[str, torch.Tensor]) -> None:
    """The probe beside the weights."""
    import torch

    with (folder / FILE).open("wb") as file:
        torch.save(found, file)


def compared(
    folder: Path, found: dict[str, torch.Tensor], precisions: tuple[str, str], width: int, learned: int
) -> tuple[Gate, ...]:
    """The gates: what was kept in a checkpoint against what is found now."""
    import torch

    kept: dict[str, torch.Tensor] = torch.load(folder / FILE, weights_only=True)
    eps = max(EPSILON[precision] for precision in precisions)
    sums = {"forward": width, "backward": learned, "step": learned}
    return tuple(Gate(name, units(kept[name], found[name], eps * sums[name] ** 0.5)) for name in NAMES)
