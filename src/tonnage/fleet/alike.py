"""Lots that differ in nothing but their name: what is asked of one of them is answered for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tonnage.fleet.programme import Lot, Programme

LotKind = tuple[object, ...]
"""What lots that are alike have in common."""


def kinds(programme: Programme) -> dict[str, LotKind]:
    """The kind of each lot by name: all that is said of it but its name, and where models name it."""
    return {lot.name: (_nameless(lot), *_named(programme, lot)) for lot in programme.lots}


def _nameless(lot: Lot) -> Lot:
    quotes = tuple(replace(quote, lot="") for quote in lot.quotes)
    return replace(lot, name="", quotes=quotes)


def _named(programme: Programme, lot: Lot) -> Iterable[object]:
    """For each model whether its service, and which of its places, names a lot."""
    for model in programme.models:
        service = model.service is not None and lot.name in model.service.lots
        places = model.training.places if model.training else ()
        yield service, tuple(index for index, (_, lots) in enumerate(places) if lot.name in lots)
