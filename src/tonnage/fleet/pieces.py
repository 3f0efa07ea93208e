"""A launch in pieces: some of the draws of one setting each, played alone, wherever there is room.

What a piece gives depends on its question only, never on who plays it, when, or beside what. The draws of a setting
are always cut at the same places, so that the pieces put together in order are the same bytes from any runner.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

import tonnage
from tonnage import files
from tonnage.fleet.paid import LotPaid, PaidDraws, powered, run
from tonnage.fleet.setting import SettledProgramme, play
from tonnage.fleet.uncertain import Floats
from tonnage.values import encode

CHUNK = 2_000
"""Draws that are played at once, so that memory does not grow with their number."""


@dataclass(frozen=True)
class PieceWork:
    """The question of a piece: draws `begin` to `end` of a setting, out of `draws` that `seed` gives.

    watts: [W] of one accelerator of each lot, by name; whole: whether what was drawn is wanted with what came out.
    """

    setting: SettledProgramme
    watts: Mapping[str, float]
    seed: int
    draws: int
    begin: int
    end: int
    whole: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the question and of the code that answers it."""
        asked = (self.watts, self.seed, self.draws, self.begin, self.end, self.whole)
        return files.digest([code().encode(), repr(encode(self.setting)).encode(), json.dumps(asked).encode()])


@dataclass(frozen=True)
class Piece:
    """The answer of a piece. drawn: every uncertain input and factor by name [d]; there: most accelerators of each lot
    [d, l]; values: every input by name [d]; places: of the last model's attempts. All empty where not wanted.
    """

    paid: PaidDraws
    drawn: Mapping[str, Floats] = field(default_factory=dict)
    there: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    values: Mapping[str, Floats] = field(default_factory=dict)
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """How pieces were played. on: where; pieces: how many in all; again: of them, how often one was played again since
    a worker died; taken_over: were there from an earlier run; damaged: were there, could not be read, and were played.
    """

    on: str
    pieces: int
    again: int = 0
    taken_over: int = 0
    damaged: int = 0

    def to_json(self) -> dict[str, object]:
        """The keys of the interface."""
        return vars(self).copy()


class Runner(Protocol):
    """Plays pieces."""

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """The piece of each work, in order."""
        ...

    def ran(self) -> Ran:
        """How it went so far."""
        ...


class InProcess:
    """Plays one piece after another in this process."""

    def __init__(self) -> None:
        self._pieces = 0

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """The piece of each work, in order."""
        for work in works:
            self._pieces += 1
            yield played(work)

    def ran(self) -> Ran:
        """How it went so far."""
        return Ran("one process", self._pieces)


def cut(
    setting: SettledProgramme, watts: Mapping[str, float], seed: int, draws: int, whole: bool
) -> Iterator[PieceWork]:
    """The pieces of a setting."""
    for begin in range(0, draws, CHUNK):
        yield PieceWork(setting, watts, seed, draws, begin, min(begin + CHUNK, draws), whole)


def count_pieces(draws: int) -> int:
    """Pieces of so many draws."""
    return -(-draws // CHUNK)


def within_caps(work: PieceWork) -> LotPaid:
    """Some of the draws, played within the caps of power and money."""
    game = play(work.setting, work.seed, work.draws, slice(work.begin, work.end))
    return run(work.setting, powered(work.setting, game, dict(work.watts)))


def played(work: PieceWork) -> Piece:
    """Play a piece."""
    found = within_caps(work)
    result = PaidDraws(found.result, found.bill, found.over, found.left_away)
    if not work.whole:
        return Piece(result)
    game = found.game
    places = tuple(attempt.name for attempt in game.projects[-1].attempts)
    return Piece(result, game.drawn, game.world.available.max(axis=1), game.world.values, places)


@functools.cache
def code() -> str:
    """SHA-256 of what plays: tonnage's own code and data, and the versions of Python and numpy; not what Python and
    numba keep of it, which comes and goes.
    """
    room = Path(tonnage.__file__).parent
    own = sorted(path for path in room.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    texts = [part for path in own for part in (path.relative_to(room).as_posix().encode(), path.read_bytes())]
    return files.digest([sys.version.encode(), np.__version__.encode(), *texts])
