"""The words of a question about a training run, field by field: the same for a command line, a page and a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainWords:
    """A question as people write it: each field as text, None where nothing is said. The command line says what each
    is.
    """

    on: tuple[str, ...]
    tokens: str | None = None
    seq: str = "4096"
    global_batch: str = "1024"
    precision: str = "bf16"
    task: str = "pretrain"
    layout: str | None = None
    shard_group: str | None = None
    software: str | None = None
    routing: str = "learned"
    framework: str | None = None
    lora_rank: str | None = None
    lora_on: str = "all-linear"
    base: str | None = None
    optimizer: str = "adamw"
    moments: str | None = None
    master: str = "fp32"
    gradients: str = "fp32"
    offload: str | None = None
    loss_chunks: str | None = None
    no_compile: bool = False
    price: str | None = None
    term: str | None = None
    place: str | None = None
    anchor: Path | None = None
    move_to: str | None = None
    move_at: str | None = None
    move_on: str | None = None
    move_wire: str | None = None
    start: str | None = None
    rollout_tokens: str | None = None
    rollout_length: str | None = None
    rollout_prompt: str = "1k"
    rollout_on: str | None = None
    rollout_stale: bool = False
    rollout_tail: str | None = None
    reward: str = "0s"
    calibration: tuple[str, ...] = ()
