"""Services of the tests: steps of one length, whatever they hold, unless said otherwise."""

from __future__ import annotations

import numpy as np

from tonnage.simulate.service import EngineLimits, ReplicaSet, Simulated, StepTables

STEP = 10_000_000_000
"""Of 10 ms."""


def steps(sequences: int, base: int = STEP, slope: int = 0, token: int = 0) -> StepTables:
    """Decode steps of `base`, each token of context `slope`, each new token of a prompt `token` [ps]."""
    decode = np.concatenate([[0], np.full(sequences, base)])
    return StepTables(decode, np.full(sequences + 1, slope), token * np.arange(20_000), 0)


def service(sequences: int = 8, blocks: int = 10_000, base: int = STEP, token: int = 0, **given: object) -> Simulated:
    limits = EngineLimits(sequences, 2048, blocks)
    return Simulated(limits, (steps(sequences, base, 0, token),), ReplicaSet(**given))  # type: ignore[arg-type]
