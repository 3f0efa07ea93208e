"""What all engines' flags are written with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil

from tonnage.serve.instances import Instance
from tonnage.serve.replica.engines import redundant

DRAFT_MODEL = "DRAFT_MODEL"
"""Stands for the path of a draft model, where the model has no layers of its own that draft."""

HEAD = "$HEAD_ADDR"
"""Stands for the address of the first server of an instance."""

NODE = "$NODE_RANK"
"""Stands for the number of a server of an instance, from 0."""

EXCHANGE = {
    ("cuda", "hopper"): "deepep",
    ("cuda", "blackwell"): "deepep",
    ("rocm", "cdna3"): "mori",
    ("rocm", "cdna4"): "mori",
}
"""Library whose kernels send tokens to experts on other ranks, by stack and generation of the chip: DeepEP
(github.com/deepseek-ai/DeepEP: Hopper and Blackwell), MoRI (github.com/ROCm/mori: MI300 and MI355)."""

DISPATCHED = (128, 1024)
"""Tokens of a rank that DeepEP's low-latency kernels send in a step: SGLang's default, and at most
(sglang `srt/environ.py` and `layers/moe/token_dispatcher/deepep.py`, 0.5.23)."""


def quoted(fields: Mapping[str, object]) -> str:
    """JSON as one word of a shell."""
    return f"'{json.dumps(fields)}'"


def copies(one: Instance) -> int:
    """Redundant experts of a layer that an instance has to be told."""
    return int(redundant(one.layout, one.experts)) if one.experts else 0


def exchange(one: Instance) -> str | None:
    """The library that sends tokens to experts of other replicas; None where none is to be told."""
    own = one.layout
    whole = int(own.ep) == int(own.tp) * int(own.dp) * int(own.cp)
    if not whole or int(own.dp) < 2:
        return None
    return EXCHANGE.get((one.stack or "", one.generation or ""))


def held(one: Instance) -> int:
    """Sequences that a replica is told it may run at once: not so many that DeepEP's low-latency kernels cannot send
    their tokens, where they can send those of the mean.
    """
    most = DISPATCHED[1] * int(one.layout.tp) // (1 + one.drafts)
    running, asked = ceil((one.running or 0.0) - 1e-9), ceil((one.sequences or 0.0) - 1e-9)
    return min(asked, most) if exchange(one) == "deepep" and running <= most else asked


def dispatched(one: Instance) -> int:
    """New tokens of a decode step on one rank."""
    return ceil((held(one) * (1 + one.drafts)) / int(one.layout.tp) - 1e-9)
