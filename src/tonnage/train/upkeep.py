"""What is kept for each parameter that trains: weight, gradient, master copy, moments; and what an update moves.

References: Rajbhandari 2020 (ZeRO, arXiv 1910.02054) for the kinds; Dettmers 2022 (8-bit optimizers, arXiv 2110.02861)
and bitsandbytes for blocks; Dettmers 2023 (QLoRA, arXiv 2305.14314) for four-bit bases; Jordan 2024 (Muon,
https://kellerjordan.github.io/posts/muon/) and Liu 2025 (Muon for LLMs, arXiv 2502.16982).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tonnage.errors import Problem, nearest

WEIGHT = 2.0
"""Bytes of a weight as it is multiplied with: 16 bits."""

BLOCK = 256
"""Numbers of an 8-bit moment that share one 32-bit scale: bitsandbytes, `bitsandbytes/optim/optimizer.py` (blocks of
256 since 0.44; 2,048 before)."""

FORMATS = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0 + 4.0 / BLOCK}
"""Bytes of one number of a moment, by format; int8 with its scales."""

MASTERS = {"fp32": 4.0, "none": 0.0}
"""Bytes of the copy of a weight that is updated beside that which is multiplied with."""

GRADIENTS = {"fp32": 4.0, "bf16": 2.0}
"""Bytes of the sum of a gradient."""

BASES = {"nf4": 0.5 + (8 / 64 + 32 / (64 * 256)) / 8, "fp4": 0.5 + (8 / 64 + 32 / (64 * 256)) / 8, "int8": 1.0}
"""Bytes of a frozen weight that is stored narrower: four bits with a scale for 64, itself in 8 bits with one for 256 of
them (double quantisation: 0.127 bit a parameter, arXiv 2305.14314, section 3); LLM.int8() with a scale a row, which is
left out (arXiv 2208.07339)."""

OFFLOADS = ("optimizer", "params", "activations")
"""What may be kept in the host's memory."""


@dataclass(frozen=True)
class Optimizer:
    """An optimizer: moments: numbers that it keeps for each parameter; usual: their format unless told otherwise;
    rounds: Newton-Schulz iterations for each matrix of a layer (embedding, head and vectors have AdamW then).
    """

    name: str
    moments: int
    source: str
    usual: str = "fp32"
    rounds: int = 0


OPTIMIZERS = {
    one.name: one
    for one in (
        Optimizer("adamw", 2, "arXiv 1711.05101"),
        Optimizer("adamw-8bit", 2, "bitsandbytes AdamW8bit, arXiv 2110.02861", usual="int8"),
        Optimizer("adafactor", 0, "arXiv 1804.04235 without momentum: a row and a column of each matrix, left out"),
        Optimizer("lion", 1, "arXiv 2302.06675"),
        Optimizer("muon", 1, "https://kellerjordan.github.io/posts/muon/: five iterations", rounds=5),
        Optimizer("sgd", 1, "stochastic gradient descent with momentum"),
    )
}


@dataclass(frozen=True)
class Apiece:
    """Bytes of one parameter that trains: the weight that is multiplied with, the sum of its gradient, what is updated
    beside it, and moments.
    """

    weight: float = WEIGHT
    gradient: float = 4.0
    master: float = 4.0
    moments: float = 8.0

    @property
    def states(self) -> float:
        """Of what an optimizer keeps beside the weight."""
        return self.master + self.moments

    @property
    def spared(self) -> float:
        """Of states that full sharding does without: the shard of the master copy is the weight (FSDP)."""
        return self.weight if self.master else 0.0

    @property
    def moved(self) -> float:
        """Of an update: states read and written, the gradient read, the weight written (read too without a master)."""
        return 2 * self.states + self.gradient + self.weight * (1 if self.master else 2)


def apiece(optimizer: str, moments: str | None, master: str, gradients: str) -> Apiece:
    """Bytes of a parameter under an optimizer; moments: their format, None for the optimizer's own."""
    kept = OPTIMIZERS[optimizer]
    each = FORMATS[moments or kept.usual]
    return Apiece(WEIGHT, GRADIENTS[gradients], MASTERS[master], kept.moments * each)


def of_the_ends(optimizer: str) -> str:
    """The optimizer of embedding, head and vectors, which are no matrices of a layer."""
    return "adamw" if OPTIMIZERS[optimizer].rounds else optimizer


def problems(
    frozen: bool,
    words: dict[str, tuple[str | None, tuple[str, ...]]],
    counts: dict[str, int | None],
    offload: tuple[str, ...],
) -> Iterator[Problem]:
    """What is wrong with how parameters are kept; words: each said word with those that it may be."""
    for name, (value, names) in words.items():
        if value is not None and value not in names:
            yield Problem(
                f'"{value[:40]}" is not one of {", ".join(names)}', path=name, suggestion=nearest(value, names)
            )
    for name, count in counts.items():
        if count is not None and (count < 1 or count != int(count)):
            yield Problem(f"expected a whole number of at least 1, got {count}", path=name)
    for word in offload:
        if word not in OFFLOADS:
            text = f'"{word[:40]}" is not one of {", ".join(OFFLOADS)}'
            yield Problem(text, path="offload", suggestion=nearest(word, OFFLOADS))
    if not frozen:
        for name, said in (("lora_rank", counts.get("lora_rank")), ("base", words.get("base", (None, ()))[0])):
            if said is not None:
                yield Problem("needs `task` lora or qlora", path=name)
