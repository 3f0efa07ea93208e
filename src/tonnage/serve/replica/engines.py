"""Serving engines: the settings they come with, by version, and what each cannot be told to run.

The settings are data (`catalog/data/software.toml`), each engine's from its own documentation and sources.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Ints
from tonnage.catalog import software
from tonnage.catalog.capabilities import EngineCapabilities, capabilities
from tonnage.errors import InputError, Problem, nearest
from tonnage.layout import Layout
from tonnage.serve.replica.blocks import BLOCK, BlockWidth
from tonnage.system import Accelerator

USUAL = "sglang"
"""Engine on a software stack that none is the usual one of, or that is not known."""


ANYTHING, CHOSEN = "anything", "chosen keys"
NEVER = {ANYTHING: "any model", CHOSEN: "latent attention that chooses its keys (DeepSeek-V3.2, GLM-5)"}
"""What an engine does not start on some chips, in words, where it is no format."""


@dataclass(frozen=True)
class Startup:
    """What decides beside the layout whether an engine starts. experts: routed ones of a layer, 0 for dense models;
    drafts: whether tokens are drafted; server: ranks of one server; ranks: of the whole deployment; blocks: layers in
    FP8 that ranks may only cut between blocks.
    """

    experts: int = 0
    drafts: bool = False
    server: int | None = None
    ranks: int | None = None
    blocks: tuple[BlockWidth, ...] = ()


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
        for one in start.blocks if self.whole_blocks else ():
            what = "experts" if one.routed else "feed-forward layers"
            why = f"{self.name} wants what a rank holds of {what} of {one.width} in FP8 to be whole blocks of {BLOCK}"
            yield one.broken(layout), why
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

    def never(self, kinds: tuple[str, ...], chip: Accelerator) -> str | None:
        """What of these it does not start on a chip in any layout (a format of weights, `chosen keys`); None where it
        starts all.
        """
        for one in capabilities().refusals:
            here = one.engine == self.name and chip.generation in one.generations
            old = not one.until or _key(self.version or self.can.version)[:2] <= _key(one.until)
            if here and old and one.what in (*kinds, ANYTHING):
                return f"{self.name} does not start {NEVER.get(one.what, f'weights in {one.what}')} on {chip.title}"
        return None

    def told(
        self,
        chunk: int | None = None,
        running: int | None = None,
        *,
        eager: bool = False,
        prefixes: bool = True,
        share: float | None = None,
    ) -> Engine:
        """The engine told how many new tokens a step has, how many sequences run at most and which share of the memory
        it takes, not to use graphs, and not to keep prefixes: recurrent states are then one for a sequence, and take
        what they need of the room.
        """
        made = self if chunk is None else replace(self, chunk=chunk, few_chunk=None, many_chunk=0)
        if running is not None:
            made = replace(made, running=running, few=None, drafting=None, compressing=None)
        if share is not None:
            made = replace(made, memory_share=share)
        if not prefixes:
            made = replace(made, states=1, state_share=None)
        return replace(made, graphs=0.0) if eager else made

    @property
    def rules(self) -> str:
        """Whose rules these are: `vllm 0.11 rules`, `vllm 0.33.0 rules` of the newest that is known."""
        if not self.newest:
            return f"{self.name} rules"
        if self.version and _key(self.version) > _key(self.newest):
            return f"{self.name} {self.newest} rules, the newest known ({self.version} is newer)"
        return f"{self.name} {self.version or self.newest} rules"

    def of(self, version: str = "", date: datetime.date | None = None) -> Engine:
        """The engine of a version, or of a day where none is given; a version above the newest has its rules."""
        made = self
        for rule in self.before:
            older = _key(version) < _key(rule.version) if version else date is not None and _later(rule, date)
            if older:
                made = replace(made, **rule.changes)
        return replace(made, version=version or made._then(date))

    def _then(self, date: datetime.date | None) -> str:
        """`before 0.26`, where a day is before the release of a version whose rules are known."""
        older = [rule.version for rule in self.before if date is not None and _later(rule, date)]
        return f"before {older[-1]}" if older else ""


def _later(rule: software.EngineRule, date: datetime.date) -> bool:
    return rule.released is not None and date < rule.released


def _key(version: str) -> tuple[int, ...]:
    """A version as it is compared: 0.5.9 < 0.5.10 < 0.11; `before 0.26` is just below it."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    return (*numbers[:-1], numbers[-1] - 1) if version.startswith("before") and numbers else numbers


ENGINES = {name: Engine(**one.__dict__) for name, one in software.software().engines.items()}


def running_on(stack: str | None) -> tuple[str, ...]:
    """Engines that are known to run on chips of a stack."""
    return tuple(one.name for one in ENGINES.values() if one.can.runs_on(stack))


def starting_on(name: str | None, chip: Accelerator, *, afd: bool = False, date: datetime.date | None = None) -> Engine:
    """The engine of this name (of a day, where it has no version), or the usual one of those that are known to run on
    a chip; afd: with attention and FFN apart. Raises `InputError` where one that was asked for does not run there, with
    those that do, or cannot.
    """
    if name is None:
        usual = engine(None, chip.stack, date)
        able = [ENGINES[other] for other in running_on(chip.stack)]
        able = [one for one in able if one.can.afd] or able if afd else able
        fine = not able or any(one.name == usual.name for one in able)
        return usual if fine else engine(able[0].name, chip.stack, date)
    asked = engine(name, chip.stack, date)
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


def engine(name: str | None, stack: str | None = None, date: datetime.date | None = None) -> Engine:
    """The engine of this name (`vllm`, `vllm@0.11`), or the usual one on a software stack; without a version that of a
    day, or the newest. Raises InputError for an unknown name or version.
    """
    if name is None:
        return next((one for one in ENGINES.values() if stack in one.stacks), ENGINES[USUAL]).of(date=date)
    plain, _, version = name.partition("@")
    key = software.named(plain, ((one.name, one.aliases) for one in ENGINES.values()))
    if key is None:
        known = (*ENGINES, *(alias for one in ENGINES.values() for alias in one.aliases))
        message = f'no engine named "{plain[:40]}"; known: {", ".join(ENGINES)}'
        raise InputError(Problem(message, "", "engine", nearest(plain[:40], known)))
    if "@" in name:
        return ENGINES[key].of(_version(ENGINES[key], version))
    return ENGINES[key].of(date=date)


def _version(one: Engine, text: str) -> str:
    """A version as people write it (`0.11`, `v0.11.2`). Raises InputError where it is none, or none is known."""
    found = re.fullmatch(r"v?(\d{1,4}(?:\.\d{1,4}){0,3})(?:[.\-+]?(?:post|rc|dev)\d*)?", text.strip().lower())
    if not one.newest:
        raise InputError(Problem(f"no versions of {one.name} are known; leave it out", "", "engine", one.name))
    if found is None or not any(_key(found[1])):
        message = f'"{text[:20]}" is not a version of {one.name}; the newest known is {one.newest}'
        raise InputError(Problem(message, "", "engine", f"{one.name}@{one.newest}"))
    return found[1]
