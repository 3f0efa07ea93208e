"""What a replica of a service has room for: memory of one rank, and sequences that run at once."""

from __future__ import annotations

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.serve.replica.engines import Engine
from tonnage.serve.replica.memory import RankMemory, decode_memory, memory
from tonnage.serve.replica.points import Traffic
from tonnage.serve.replica.step import Service


def rank_memory(
    service: Service,
    engine: Engine,
    layout: Layout,
    traffic: Traffic,
    tokens: Numbers,
    *,
    decoding: bool = True,
    share: float | None = None,
) -> RankMemory:
    """Memory of one rank with at most `tokens` in a step; a pool that only prefills keeps a prompt's cache until it is
    sent.
    """
    later = engine.reserved * traffic.osl if decoding else 0.0
    return memory(
        service.arch,
        service.die,
        service.precision,
        layout,
        engine,
        context=traffic.isl + later,
        tokens=tokens,
        drafts=traffic.drafts,
        mtp=traffic.own_layers,
        share=share,
    )


def decode_rank_memory(
    service: Service, engine: Engine, layout: Layout, traffic: Traffic, *, share: float | None = None
) -> RankMemory:
    """Memory of one rank of a pool that only decodes: it keeps no room for the tokens of a prompt."""
    return decode_memory(
        service.arch,
        service.die,
        service.precision,
        layout,
        engine,
        context=traffic.isl + engine.reserved * traffic.osl,
        drafts=traffic.drafts,
        mtp=traffic.own_layers,
        share=share,
    )
