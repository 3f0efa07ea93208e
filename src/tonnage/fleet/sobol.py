"""Which uncertain input accounts for which share of the variance of the launch day: Sobol indices.

Two independent samples A and B of all inputs are played, and for each input A with that input's numbers taken from B
(Saltelli et al. 2010, Computer Physics Communications 181, 259-270). With f the launch day and V its variance,

    first = mean of f_B (f_AB - f_A) / V            table 2 (b) there: what is gone once the input is known
    total = mean of (f_A - f_AB)^2 / (2 V)          Jansen 1999, table 2 (f) there: what is left while it alone is not

Inputs that are correlated move together, as one: indices are of independent groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.fleet.plan import SobolIndex
from tonnage.fleet.sensitivity import texts
from tonnage.fleet.setting import SettledProgramme, play
from tonnage.fleet.uncertain import Floats, latin

FEWEST, MOST = 16, 4096
"""Draws of a base sample."""

SECOND = 0x50B01
"""What the seed of the second sample differs by, as bits."""

RESAMPLES = 1000
"""Bootstrap samples of the rows of the base sample, for the intervals (Archer, Saltelli and Sobol 1997)."""

LOOK = 20
"""Draws that are laid out to see which streams a programme has."""


@dataclass(frozen=True, eq=False)
class SobolDesign:
    """Draws in blocks of `base`: A, B, then for each group of inputs A with that group from B."""

    seed: int
    base: int
    groups: tuple[tuple[str, ...], ...]

    @property
    def draws(self) -> int:
        """Number of draws of all blocks."""
        return self.base * (len(self.groups) + 2)

    def of(self, name: str, draws: int) -> Floats:
        """The uniform numbers of a quantity [draws]."""
        assert draws == self.draws
        return self._laid(name, latin(self.seed, name, self.base), latin(self.seed ^ SECOND, name, self.base))

    def arrange(self, make: Callable[[int, int], dict[str, Floats]]) -> dict[str, Floats]:
        """Those of quantities that are made together."""
        first, second = make(self.seed, self.base), make(self.seed ^ SECOND, self.base)
        return {name: self._laid(name, first[name], second[name]) for name in first}

    def _laid(self, name: str, first: Floats, second: Floats) -> Floats:
        return np.concatenate([first, second, *(second if name in group else first for group in self.groups)])


class _Asked:
    """Streams that writes down for which quantities it was asked."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def of(self, name: str, draws: int) -> Floats:
        self.names[name] = None
        return latin(0, name, draws)

    def arrange(self, make: Callable[[int, int], dict[str, Floats]]) -> dict[str, Floats]:
        made = make(0, LOOK)
        self.names |= dict.fromkeys(made)
        return made


def check_base(base: int) -> None:
    """Raise InputError for a size of the base sample that is not taken; 0 asks for no indices."""
    if base and not FEWEST <= base <= MOST:
        raise InputError(
            Problem(f"expected from {FEWEST} to {MOST:,} draws of a base sample, got {base}", path="sobol")
        )


def design(setting: SettledProgramme, seed: int, base: int) -> SobolDesign:
    """The draws that the indices of a setting need."""
    asked = _Asked()
    play(setting, asked, LOOK)
    return SobolDesign(seed, base, _groups(tuple(asked.names), setting.programme.correlations))


def _groups(names: tuple[str, ...], pairs: tuple[tuple[str, str, float], ...]) -> tuple[tuple[str, ...], ...]:
    """Names, those that correlations tie together in one group."""
    group: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    for first, second, _ in pairs:
        if group[first] != group[second]:
            tied = group[first] + group[second]
            group |= dict.fromkeys(tied, tied)
    return tuple(dict.fromkeys(group.values()))


def indices(setting: SettledProgramme, made: SobolDesign, launch: Floats) -> tuple[SobolIndex, ...]:
    """The indices of the launch day [days from the start] of every draw of the design, the largest total first.

    A launch after the horizon, or none at all, counts as one on its last day: every draw has to have a day, and leaving
    some away would tie inputs to one another. No index where all draws have the same day.
    """
    day = np.minimum(launch, setting.programme.days).reshape(-1, made.base)
    if np.ptp(day[:2]) == 0:
        return ()
    first, total = estimate(day, np.full((1, made.base), 1 / made.base))
    drawn = np.random.default_rng([made.seed & 0xFFFFFFFF, SECOND])
    weight = drawn.multinomial(made.base, np.full(made.base, 1 / made.base), RESAMPLES) / made.base
    low, high = (np.nanquantile(estimate(day, weight), p, axis=1) for p in (0.05, 0.95))
    known = texts(setting)
    found = [
        SobolIndex(
            " + ".join(group),
            float(first[0, i]),
            float(low[0, i]),
            float(high[0, i]),
            float(total[0, i]),
            float(low[1, i]),
            float(high[1, i]),
            "; ".join(known.get(name, "") for name in group),
        )
        for i, group in enumerate(made.groups)
    ]
    return tuple(sorted(found, key=lambda item: (-item.total, item.name)))


def estimate(day: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """First-order and total indices [r, g]. day: of A, B and the mixed blocks [2 + g, n]; weight: of the rows of the
    base sample, adding up to 1 [r, n]. Days are taken from their mean, which leaves less to cancel.
    """
    centred = day - day[:2].mean()
    a, b, mixed = centred[0], centred[1], centred[2:]
    mean = weight @ (a + b) / 2
    variance = weight @ (a * a + b * b) / 2 - mean * mean
    over = np.where(variance > 0, variance, np.nan)[:, None]
    first = weight @ (b * (mixed - a)).T / over
    total = weight @ ((a - mixed) ** 2).T / (2 * over)
    return np.asarray(first), np.asarray(total)
