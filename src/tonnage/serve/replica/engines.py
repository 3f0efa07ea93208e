"""Serving engines: the settings they come with, and what each cannot be told to run.

The settings are data (`catalog/data/software.toml`), each engine's from its own documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
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


ENGINES = {name: Engine(**one.__dict__) for name, one in software.software().engines.items()}

SORTED = ENGINES["vllm-ascend"].sampled
"""Bytes for each sequence and vocabulary entry of vLLM's sampler where it sorts: until 0.15, and on chips without
Triton."""


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
