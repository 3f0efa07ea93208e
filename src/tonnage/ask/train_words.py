"""The words of a question about a training run, field by field: the same for a command line, a page and a file.

What `Parameter` says is for command lines alone: each field is a flag of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainWords:
    """The words of a question, as a person writes them.

    Parameters
    ----------
    on
        chips, such as 2048xh800; may be repeated for a mixed fleet.
    tokens
        tokens of the whole run, such as 14.8T; without it no days and no cost.
    seq
        tokens in a sequence.
    global_batch
        sequences in a step.
    precision
        bf16, fp16, fp8, mxfp8 or nvfp4.
    task
        pretrain, sft or lora.
    layout
        what is fixed, such as tp8,pp16,dp128; the search chooses the rest; of each fleet in turn with " + " between.
    shard_group
        ranks over which ZeRO shards (HSDP), such as 64; all data-parallel ranks by default.
    software
        date of the training software; default --as-of, else the newest known.
    routing
        learned, or forced (benchmarks that balance experts by force).
    framework
        such as Megatron-Core, NeMo or torchtitan; default the newest Megatron-like stack.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    place
        where the price is asked, such as CN.
    anchor
        JSON Lines of runs measured on these chips; predictions are brought onto them.
    move_to
        chips that the run moves to on the way, such as 2048xh800.
    move_at
        share of the tokens trained before the move, such as 30 %.
    move_on
        date of the move instead; needs --start.
    move_wire
        bandwidth between the two sites, such as 10 GB/s; storage is shared by default.
    start
        date on which the run starts; default --as-of.
    rollout_tokens
        tokens generated in a stage of reinforcement learning, such as 0.5T.
    rollout_length
        tokens of a response; default --seq.
    rollout_prompt
        tokens of a prompt.
    rollout_on
        chips that generate, such as 512xh20; by default those that train, in turns.
    rollout_stale
        responses may be one round old, so that two pools work at the same time.
    rollout_tail
        longest response of a round over the mean; default 2, an assumption.
    reward
        time of scoring in each round that generation does not hide, such as 30s.
    """

    on: Annotated[tuple[str, ...], Parameter(negative="")]
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
    price: str | None = None
    place: Annotated[str | None, Parameter(name="--in")] = None
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
    rollout_stale: Annotated[bool, Parameter(negative="")] = False
    rollout_tail: str | None = None
    reward: str = "0s"
