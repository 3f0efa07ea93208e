"""Serving engines: the settings they come with, by version, and what each cannot be told to run.

The settings are data (`catalog/data/software.toml`), each engine's from its own documentation and sources.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.catalog import software
from tonnage.errors import InputError, Problem, nearest
from tonnage.layout import Layout

USUAL = "sglang"
"""Engine on a software stack that none is the usual one of, or that is not known."""


class Engine(software.EngineFacts):
    """An engine with its settings, and what it refuses."""

    def refuses(self, layout: Layout, kv: str | None = None) -> str | None:
        """Why it cannot be told to run a layout with a format of cache; None where it can."""
        return next((why for bad, why in self._limits(layout, kv) if np.any(bad)), None)

    def runs(self, layout: Layout, kv: str | None = None) -> NDArray[np.bool_]:
        """Which of the layouts (arrays) it can be told to run."""
        good = np.ones(np.shape(np.asarray(layout.ranks)), dtype=np.bool_)
        for bad, _ in self._limits(layout, kv):
            good = good & ~np.asarray(bad)
        return good

    def _limits(self, layout: Layout, kv: str | None) -> Iterator[tuple[Any, str]]:
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

    def told(self, chunk: int | None = None, running: int | None = None, *, eager: bool = False) -> Engine:
        """The engine told how many new tokens a step has and how many sequences run at most, and not to use graphs."""
        made = self if chunk is None else replace(self, chunk=chunk, few_chunk=None)
        if running is not None:
            made = replace(made, running=running, few=None, drafting=None, compressing=None)
        return replace(made, graphs=0.0) if eager else made

    @property
    def rules(self) -> str:
        """Whose rules these are: `vllm 0.11 rules`, `vllm 0.28 rules` of the newest that is known."""
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
    if found is None:
        message = f'"{text[:20]}" is not a version of {one.name}; the newest known is {one.newest}'
        raise InputError(Problem(message, "", "engine", f"{one.name}@{one.newest}"))
    return found[1]
