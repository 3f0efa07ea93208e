"""The null model: "this chip reaches its usual fraction". One constant per (chip, precision class, dense or MoE).

Training: the constant is the achieved model FLOP/s per accelerator. Serving: the achieved share of a bare roofline
(`ceilings`), one constant for each metric. Constants are medians over published cases, each source one vote. Where a
cell has no case (a source left out, a new chip), the constant is the median share of peak over all chips of that
precision class and kind. A model of ours earns its place by beating this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.truth.score import Prediction, quantile, vote

Key = tuple[str, ...]


@dataclass(frozen=True)
class Anchored:
    """A published figure and what the null model scales: `base` is predicted at constant 1, so that published / base
    is the case's own constant; `peak` makes constants of different chips comparable (1 for the roofline).
    """

    figure: Prediction
    base: float
    peak: float = 1.0

    @property
    def level(self) -> float:
        """Ln of the case's own constant, as a share of `peak`."""
        return math.log(self.figure.published / self.base / self.peak)


def cell(figure: Prediction) -> Key:
    """(metric, chip, precision class, dense or MoE)."""
    return (figure.metric, figure.tags["chip"], figure.tags["precision"], figure.tags["kind"])


_WIDER: tuple[Callable[[Key], Key], ...] = (
    lambda key: key,
    lambda key: (key[0], key[2], key[3]),
    lambda key: (key[0], key[3]),
    lambda key: (key[0],),
)
"""A cell, and what stands in for it when it is empty: all chips, then all precisions, then all models."""


def fit(cases: Sequence[Anchored]) -> dict[Key, float]:
    """Median level of every cell and of its stand-ins, each source one vote."""
    return {key: _median(part) for key, part in _members(cases).items()}


def _members(cases: Sequence[Anchored]) -> dict[Key, list[Anchored]]:
    members: dict[Key, list[Anchored]] = {}
    for case in cases:
        for wider in _WIDER:
            members.setdefault(wider(cell(case.figure)), []).append(case)
    return members


def _median(cases: Sequence[Anchored]) -> float:
    levels = np.array([case.level for case in cases])
    return quantile(levels, vote([case.figure for case in cases]), 0.5)


def predict(cases: Sequence[Anchored], constants: dict[Key, float]) -> list[Prediction]:
    """The null model's prediction of every case, with no interval; cases for which nothing is known are left out."""
    rows = []
    for case in cases:
        keys = (wider(cell(case.figure)) for wider in _WIDER)
        level = next((constants[key] for key in keys if key in constants), None)
        if level is not None:
            rows.append(case.figure.scaled(case.base * case.peak * math.exp(level)))
    return rows


def in_sample(cases: Sequence[Anchored], known: Sequence[Anchored]) -> list[Prediction]:
    """Predictions with constants of all the known cases."""
    return predict(cases, fit(known))


def left_out(cases: Sequence[Anchored], known: Sequence[Anchored], by: str = "group") -> list[Prediction]:
    """Predictions of each source (`by="group"`) or chip (`by="chip"`) with constants fitted without it."""

    def side(figure: Prediction) -> str:
        return figure.group if by == "group" else figure.tags[by]

    members = _members(known)
    whole = {key: _median(part) for key, part in members.items()}
    rows: list[Prediction] = []
    for name in dict.fromkeys(side(case.figure) for case in cases):
        constants = dict(whole)
        for key, part in members.items():
            rest = [case for case in part if side(case.figure) != name]
            if not rest:
                del constants[key]
            elif len(rest) < len(part):
                constants[key] = _median(rest)
        rows += predict([case for case in cases if side(case.figure) == name], constants)
    return rows
