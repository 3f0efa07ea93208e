"""Engine instances of a plan: what each kind has to be told to run as it was priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tonnage.layout import Layout
from tonnage.serve.search.grid import Grid, Setting

Role = Literal["serve", "prefill", "decode", "attention", "ffn"]


@dataclass(frozen=True)
class AfdUnit:
    """Attention and FFN apart: ranks of each side of one unit, and micro-batches that take turns between them."""

    attention_ranks: int
    ffn_ranks: int
    micro_batches: int


@dataclass(frozen=True)
class Instance:
    """One kind of engine instance: a group of ranks that one engine process group runs on.

    role: what it does; chip, vendor: what it runs on, and whose software moves its data; engine: its name; layout: of
    one instance; count: how many there are; weights, kv: number formats; running: sequences of an attention replica,
    None where it never decodes; chunk: new tokens per step and attention replica, None where it never prefills; drafts:
    tokens drafted per step; own_layers: whether the model's own extra layers draft; memory_share: share of the
    accelerator's memory, the engine's default where None; afd: of sides that are apart.
    """

    role: Role
    chip: str
    vendor: str
    engine: str
    layout: Layout
    count: int
    weights: str
    kv: str
    running: float | None = None
    chunk: int | None = None
    drafts: int = 0
    own_layers: bool = False
    memory_share: float | None = None
    afd: AfdUnit | None = None


def instances(given: Setting, point: Grid) -> tuple[Instance, ...]:
    """Every kind of instance of a chosen point."""
    chunk = int(given.chunk if point.chunk is None else float(point.chunk))
    running, count = float(point.running), int(point.instances)
    if point.mode == "prefill":
        return (_one(given, "prefill", point.layout, count, None, chunk),)
    if point.mode == "aggregated":
        return (_one(given, "serve", point.layout, count, running, chunk),)
    found: tuple[Instance, ...] = ()
    if point.ahead is not None:
        found = (_one(given, "prefill", point.ahead, int(point.ahead_instances), None, chunk),)
    if point.ffn is None or point.micro_batches is None:
        return (*found, _one(given, "decode", point.layout, count, running, None))
    unit = AfdUnit(int(point.layout.ranks), int(point.ffn.ranks), int(point.micro_batches))
    return (
        *found,
        _one(given, "attention", point.layout, count, running, None, unit),
        _one(given, "ffn", point.ffn, count, None, None, unit),
    )


def _one(
    given: Setting,
    role: Role,
    layout: Layout,
    count: int,
    running: float | None,
    chunk: int | None,
    unit: AfdUnit | None = None,
) -> Instance:
    chips = given.partner if role == "ffn" and given.partner is not None else given
    return Instance(
        role=role,
        chip=chips.system.accelerator.name,
        vendor=given.service.die.vendor,
        engine=given.engine.name,
        layout=layout,
        count=count,
        weights=given.formats.weights,
        kv=given.formats.kv,
        running=running,
        chunk=chunk,
        drafts=0 if role == "prefill" else int(np.asarray(given.traffic.drafts)),
        own_layers=given.traffic.own_layers,
        memory_share=given.job.memory_share,
        afd=unit,
    )
