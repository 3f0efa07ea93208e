"""A user's own measurements as an anchor: one level of time that brings predictions onto them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.serve.as_run.deployment import Deployment
from tonnage.serve.as_run.predict import predict
from tonnage.serve.replica.software import Constants, constants

ROUNDS = 3
LARGEST = 20.0
"""Factor beyond which a measurement is not of what was described."""


@dataclass(frozen=True)
class MeasuredService:
    """What was measured of a case: tpot [s], output and input tokens per second per accelerator, ttft [s]. The first of
    them that is known sets the level: ttft last, for much of it is waiting.
    """

    case: Deployment
    tpot: float | None = None
    output_rate: float | None = None
    input_rate: float | None = None
    ttft: float | None = None


UNLIKE = 2.0
"""How much less a measured point counts (log of its weight) for each of mode, weights and speculation in which it
differs from what is asked: the better of 0, 1 and 2 over the rest of the published sweeps (docs/lab.md)."""


@dataclass(frozen=True)
class Alike:
    """What is asked, as far as it is known: mode, weights, and whether it speculates; None counts as alike."""

    mode: str | None = None
    weights: str | None = None
    drafts: bool | None = None

    def weight(self, case: Deployment) -> float:
        """How much a measured case counts: 1 when alike."""
        pairs = ((self.mode, case.mode), (self.weights, case.weights), (self.drafts, case.drafts != 0))
        return float(np.exp(-UNLIKE * sum(ours is not None and its not in (None, ours) for ours, its in pairs)))


def anchored(
    points: Sequence[MeasuredService], fitted: Constants | None = None, like: Alike | None = None
) -> Constants:
    """Constants with device and host times scaled by one factor, so that the weighted median of the measured points is
    met; each counts by how much it is like what is asked.

    Most of what a prediction lacks is a level per model, engine and chip, not a shape over load and length; the spread
    left is that of the rest of a sweep once one to three of its points are known. Raises InputError when nothing was
    measured, or when the factor is over `LARGEST` either way.
    """
    base, asked = fitted or constants(), like or Alike()
    weights = np.array([asked.weight(point.case) for point in points])
    factor = 1.0
    for _ in range(ROUNDS):
        scaled = _scaled(base, factor)
        found = predict([point.case for point in points], scaled)
        logs, counts = [], []
        for point, guess, count in zip(points, found, weights, strict=True):
            for name, sign in (("tpot", 1.0), ("output_rate", -1.0), ("input_rate", -1.0), ("ttft", 1.0)):
                value, estimate = getattr(point, name), getattr(guess, name)
                if value is not None and estimate is not None and estimate.value > 0:
                    logs.append(sign * np.log(value / estimate.value))
                    counts.append(count)
                    break
        if not logs:
            raise InputError(Problem("no point has a tpot, a rate or a ttft that can be predicted", path="anchor"))
        factor *= float(np.exp(_median(np.array(logs), np.array(counts))))
        if not 1 / LARGEST <= factor <= LARGEST:
            raise InputError(
                Problem(f"the measured times are {factor:.2g} times the predicted ones: another set-up", path="anchor")
            )
    return replace(_scaled(base, factor), spread=base.anchored)


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weighted median: mean of the two values around half of the weight where it falls between them."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    below = np.cumsum(weights) / weights.sum()
    lower = int(np.searchsorted(below, 0.5 - 1e-12))
    upper = int(np.searchsorted(below, 0.5 + 1e-12))
    return float((values[lower] + values[min(upper, len(values) - 1)]) / 2.0)


def level(found: Constants, fitted: Constants | None = None) -> float:
    """Factor by which `anchored` constants make everything slower than `fitted` ones."""
    base = fitted or constants()
    name = next(iter(base.vendor))
    return found.vendor[name] / base.vendor[name]


def _scaled(base: Constants, level: float) -> Constants:
    engine = {
        name: {key: value * level if key in ("host", "sequence") else value for key, value in held.items()}
        for name, held in base.engine.items()
    }
    vendor = {name: value * level for name, value in base.vendor.items()}
    return replace(base, engine=engine, vendor=vendor)
