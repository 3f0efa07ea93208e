"""What people write of whether a model fits -> the arguments of `fit`."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.ask.reading import WordReader

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import FitPlan

DEGREES = ("tp", "pp", "dp", "ep", "etp")
"""Degrees of a layout that have a meaning where a model is held."""


@dataclass(frozen=True)
class FitWords:
    """A question as people write it. The command line says what each field is."""

    on: str
    context: str | None = None
    weights: str | None = None
    kv: str | None = None
    layout: str | None = None
    engine: str | None = None
    chunk: str | None = None
    running: str | None = None
    memory_share: str | None = None
    eager: bool = False
    speculate: str | None = None
    calibration: tuple[str, ...] = ()


@dataclass(frozen=True)
class FitAsked:
    """The same as numbers, before model and chips are looked up."""

    words: FitWords
    fleet: tuple[int, str]
    context: float | None
    chunk: int | None
    running: int | None
    layout: dict[str, int] | None
    memory_share: float | None
    drafts: int


def read(words: FitWords) -> FitAsked:
    """Words as numbers. Raises `InputError` with every problem."""
    reader = WordReader()
    fleet = reader.fleet(words.on)
    context = None if words.context is None else reader.whole(words.context, "context")
    chunk = reader.within(words.chunk, "chunk", 16, 1e7, "tokens")
    running = reader.within(words.running, "running", 1, 1e6, "sequences")
    layout = reader.layout(words.layout, "layout", DEGREES)
    share = None if words.memory_share is None else reader.share(words.memory_share, "memory_share")
    drafts = 0 if words.speculate is None else drafted(reader, words.speculate)
    reader.done()
    return FitAsked(words, fleet, context, chunk, running, layout, share, drafts)


def drafted(reader: WordReader, text: str) -> int:
    """Tokens drafted in a step, of `3` or `3@0.7`."""
    from tonnage.ask.serve import speculation

    found = speculation(reader, text)
    return 0 if found is None else int(found.tokens)


def plan_asked(
    model: str, asked: FitAsked, catalog: Catalog, as_of: datetime.date | None = None, seed: int = 0
) -> FitPlan:
    """The plan for a model and what was asked, with chips of the catalogue as known on `as_of`."""
    from tonnage.model import load
    from tonnage.serve import fit
    from tonnage.system import System, accelerator

    count, chip = asked.fleet
    system = System(accelerator(chip, catalog, as_of), count)
    found = fit(
        load(model, catalog, as_of),
        system,
        asked.words.weights,
        asked.words.kv,
        asked.layout,
        context=asked.context,
        engine_name=asked.words.engine,
        memory_share=asked.memory_share,
        chunk=asked.chunk,
        running=asked.running,
        eager=asked.words.eager,
        date=as_of,
        drafts=asked.drafts,
    )
    return replace(found, provenance=replace(found.provenance, catalog=catalog.digest, seed=seed))
