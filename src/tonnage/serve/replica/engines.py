"""Serving engines: the settings they come with, and what each cannot be told to run.

The settings are data (`catalog/data/software.toml`), each engine's from its own documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Ints
from tonnage.catalog import software
from tonnage.catalog.capabilities import EngineCapabilities, capabilities
from tonnage.errors import InputError, Problem, nearest
from tonnage.layout import Layout
from tonnage.system import Accelerator

USUAL = "sglang"
"""Engine on a software stack that none is the usual one of, or that is not known."""


@dataclass(frozen=True)
class Startup:
    """What decides beside the layout whether an engine starts. experts: routed ones of a layer, 0 for dense models;
    drafts: whether tokens are drafted; server: ranks of one server; ranks: of the whole deployment.
    """

    experts: int = 0
    drafts: bool = False
    server: int | None = None
    ranks: int | None = None


def redundant(layout: Layout, experts: int) -> NDArray[np.int64]:
    """Copies of experts of a layer that fill up what `ep` ranks hold: as many slots on each."""
    ep = np.asarray(layout.ep, dtype=np.int64)
    return np.where(ep > 1, -np.asarray(experts, dtype=np.int64) % ep, 0)


def fills(ranks: Ints, server: int, whole: int | None) -> NDArray[np.bool_]:
    """Whether so many ranks lie in servers of `server` ranks equally: whole servers, or an equal part of one; a
    deployment (`whole` ranks) that is less than a server is one of its own size.
    """
    size = np.asarray(ranks, dtype=np.int64)
    part = server % size == 0
    if whole is not None and whole <= server:
        part = part | (whole % size == 0)
    return np.asarray(np.where(size > server, size % server == 0, part), dtype=np.bool_)


class Engine(software.EngineFacts):
    """An engine with its settings, and what it refuses."""

    @property
    def can(self) -> EngineCapabilities:
        """What a release of it was read to run."""
        return capabilities().engines[self.name]

    def refuses(self, layout: Layout, kv: str | None = None, start: Startup | None = None) -> str | None:
        """Why it cannot be told to run a layout with a format of cache; None where it can."""
        return next((why for bad, why in self._limits(layout, kv, start or Startup()) if np.any(bad)), None)

    def runs(self, layout: Layout, kv: str | None = None, start: Startup | None = None) -> NDArray[np.bool_]:
        """Which of the layouts (arrays) it can be told to run."""
        good = np.ones(np.shape(np.asarray(layout.ranks)), dtype=np.bool_)
        for bad, _ in self._limits(layout, kv, start or Startup()):
            good = good & ~np.asarray(bad)
        return good

    def _starts(self, layout: Layout, start: Startup) -> Iterator[tuple[Any, str]]:
        """(where it holds, why) of what the model, drafts and servers forbid."""
        if start.drafts and self.can.staged_drafts is False:
            yield np.asarray(layout.pp) > 1, f"{self.name} does not draft tokens over pipeline stages (pp)"
        if start.experts and not self.can.redundant:
            why = f"{self.name} wants the {start.experts} experts of a layer to divide over the ranks that hold them"
            yield redundant(layout, start.experts) > 0, why
        if start.server is not None:
            why = f"ranks of an instance fill servers of {start.server} equally: whole ones, or an equal part of one"
            yield ~fills(layout.ranks, start.server, start.ranks), why
        shared = np.asarray(layout.cp) > 1
        if not self.can.shared_prompts:
            yield shared, f"{self.name} is not known to let ranks share a prompt (cp)"
        yield shared & (np.asarray(layout.pp) > 1), "ranks that share a prompt (cp) have no pipeline stages (pp)"

    def _limits(self, layout: Layout, kv: str | None, start: Startup) -> Iterator[tuple[Any, str]]:
        """(where it holds, why) of each thing that the engine cannot do."""
        tp, dp, ep = (np.asarray(value) for value in (layout.tp, layout.dp, layout.ep))
        if self.replicas == "one rank":
            why = "TensorRT-LLM gives each attention replica one rank (enable_attention_dp), or has one replica"
            yield (tp > 1) & (dp > 1), why
        if kv is not None and self.caches is not None and kv not in self.caches:
            yield True, f"{self.name} keeps no {kv} cache"
        if self.experts == "together":
            why = "vLLM deals experts over all ranks of an instance or cuts all of them, not both"
            yield (ep > 1) & (ep != tp * dp * np.asarray(layout.cp)), why
        yield from self._starts(layout, start)


ENGINES = {name: Engine(**one.__dict__) for name, one in software.software().engines.items()}

SORTED = ENGINES["vllm-ascend"].sampled
"""Bytes for each sequence and vocabulary entry of vLLM's sampler where it sorts: until 0.15, and on chips without
Triton."""


def running_on(stack: str | None) -> tuple[str, ...]:
    """Engines that are known to run on chips of a stack."""
    return tuple(one.name for one in ENGINES.values() if one.can.runs_on(stack))


def starting_on(name: str | None, chip: Accelerator, *, afd: bool = False) -> Engine:
    """The engine of this name, or the usual one of those that are known to run on a chip; afd: with attention and FFN
    apart. Raises `InputError` where one that was asked for does not run there, with those that do, or cannot.
    """
    if name is None:
        usual = engine(None, chip.stack)
        able = [ENGINES[other] for other in running_on(chip.stack)]
        able = [one for one in able if one.can.afd] or able if afd else able
        return usual if usual in able or not able else able[0]
    asked = engine(name)
    if asked.can.runs_on(chip.stack) is False:
        others = running_on(chip.stack)
        there = f"{', '.join(others)} {'do' if len(others) > 1 else 'does'}" if others else "none is known that does"
        message = f"{asked.name} {asked.can.version} does not run on {chip.title} ({chip.stack}); {there}"
        raise InputError(Problem(message, "", "engine", others[0] if others else None))
    if afd and not asked.can.afd:
        others = tuple(one.name for one in ENGINES.values() if one.can.afd)
        message = f"{asked.name} has no plugin that keeps attention and FFN apart; {', '.join(others)} have"
        raise InputError(Problem(message, "", "engine"))
    return asked


def engine(name: str | None, stack: str | None = None) -> Engine:
    """The engine of this name, or the usual one on a software stack. Raises InputError for an unknown name."""
    if name is None:
        return next((one for one in ENGINES.values() if stack in one.stacks), ENGINES[USUAL])
    key = software.named(name, ((one.name, one.aliases) for one in ENGINES.values()))
    if key is None:
        known = (*ENGINES, *(alias for one in ENGINES.values() for alias in one.aliases))
        message = f'no engine named "{name[:40]}"; known: {", ".join(ENGINES)}'
        raise InputError(Problem(message, "", "engine", nearest(name[:40], known)))
    return ENGINES[key]
