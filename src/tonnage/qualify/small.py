"""A small model of the architecture that is asked for, trained on a language that a table of followers makes.

Everything is a function of (seed, step): the same steps may be done twice, on any device, in any precision. After a
token comes its follower, nine times of ten, so that a loss falls within few steps and shows what it does then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.device import network
from tonnage.errors import InputError, Problem
from tonnage.model.scaled import EXPERTS, scaled

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture

VOCABULARY, CONTEXT, ROWS, WIDTH = 64, 48, 8, 64
"""Sizes of the small run: tokens, positions, sequences of a batch, width of the residual stream about."""

RULED = 0.9
"""Share of tokens that are the follower of the one before."""

RATE = 3e-3
"""Learning rate of AdamW at this size."""

MARKS = (1, 2, 0)
"""Begin, end and padding among the tokens; none is treated apart."""

RECURRENT = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
}  # fmt: skip
"""Sizes of layers with a recurrent state, which do not follow the width: at a release's own a step takes seconds."""


@dataclass(frozen=True)
class TrainedStep:
    """One step: loss [nat/token], norm of the gradient."""

    loss: float
    norm: float


@dataclass(frozen=True)
class Stepped:
    """What a step gave: a checksum of all its bits, and figures by which two that differ may be compared."""

    bits: bytes
    figures: tuple[float, ...]


class SmallRun:
    """A training of the small model on a device. precision: fp32, bf16 (weights in fp32), or fp64 as the reference."""

    def __init__(self, model: Architecture, device: torch.device, precision: str, seed: int = 0) -> None:
        import torch

        if not model.config:
            raise InputError(Problem(f"{model.name} has no configuration to make a small one of", path="model"))
        scale = max(1.0, model.hidden / WIDTH)
        text = model.config.get("text_config")
        said = text if isinstance(text, Mapping) else model.config
        own = {key: size for key, size in RECURRENT.items() if key in said}
        sizes = scaled(model.config, scale, VOCABULARY, CONTEXT, own)
        eager = any(sizes.get(key) for key in EXPERTS)
        self.device, self.precision, self.seed, self.learns = device, precision, seed, True
        self.width = int(str(sizes["hidden_size"]))
        self.net = network.made(sizes, seed, torch.device("cpu"), MARKS, eager)
        self.net.to(device, torch.float64 if precision == "fp64" else torch.float32)
        self.made = torch.optim.AdamW(self.net.parameters(), lr=RATE, weight_decay=0.0, foreach=False)
        self._kept: Any = None

    def batch(self, number: int) -> torch.Tensor:
        """Tokens of a step."""
        import torch

        followers = np.random.default_rng([self.seed, 0]).permutation(VOCABULARY)
        random = np.random.default_rng([self.seed, 1, number])
        ids = random.integers(0, VOCABULARY, (ROWS, CONTEXT))
        for at in range(1, CONTEXT):
            ruled = random.random(ROWS) < RULED
            ids[:, at] = np.where(ruled, followers[ids[:, at - 1]], ids[:, at])
        return torch.from_numpy(ids).to(self.device)

    def loss(self, number: int) -> torch.Tensor:
        """Loss of a step's batch."""
        import torch

        ids = self.batch(number)
        logits = self.logits(ids)
        found: torch.Tensor = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        return found

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits in the precision of the weights."""
        plain = "fp32" if self.precision == "fp64" else self.precision
        net: Any = self.net
        with network.cast(plain, self.device):
            found: torch.Tensor = net(input_ids=ids, use_cache=False).logits
        return found.to(next(self.net.parameters()).dtype)

    def trained(self, number: int) -> TrainedStep:
        """One step."""
        import torch

        self.net.zero_grad()
        loss = self.loss(number)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0, foreach=False)
        self.made.step()
        return TrainedStep(float(loss.detach()), float(norm))

    def step(self, number: int) -> Stepped:
        """One step, or its forward pass where nothing is learned: a checksum of loss, gradient and all weights."""
        import torch

        if self.learns:
            done = self.trained(number)
        else:
            with torch.no_grad():
                done = TrainedStep(float(self.loss(number)), 0.0)
        total = hashlib.sha256(np.array([done.loss, done.norm]).tobytes())
        for value in self.net.parameters():
            total.update(value.detach().cpu().numpy().tobytes())
        return Stepped(total.digest(), (done.loss, done.norm))

    def state(self) -> dict[str, object]:
        """Weights and moments, a copy on the processor."""
        found: dict[str, object] = _copied({"net": dict(self.net.state_dict()), "made": self.made.state_dict()})
        return found

    def set(self, state: dict[str, Any]) -> None:
        """The inverse."""
        self.net.load_state_dict(state["net"])
        self.made.load_state_dict(_copied(state["made"]))

    def keep(self) -> None:
        """Keeps the state."""
        self._kept = self.state()

    def back(self) -> None:
        """Sets it back to what was kept."""
        self.set(self._kept)


def _copied(value: Any) -> Any:
    """Every tensor within, copied to the processor."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value
