"""A launch that says how far it is: speeds that were planned, draws that were played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tonnage.cli.progress import doing

if TYPE_CHECKING:
    from tonnage.fleet.pieces import Piece, PieceWork, Ran, Runner
    from tonnage.fleet.programme import Model, TrainingStage
    from tonnage.fleet.speeds import EnginePlanner, PlannedSpeed


class ToldPlanner:
    """A planner that says how many speeds it has planned."""

    def __init__(self, inner: EnginePlanner) -> None:
        self._inner = inner

    def serve(self, model: Model, chip: str, most: float) -> PlannedSpeed:
        """See `Planner`."""
        doing(f"planning speeds ({len(self._inner.kept)} so far)")
        return self._inner.serve(model, chip, most)

    def train(self, model: Model, stage: TrainingStage, chip: str, accelerators: int) -> PlannedSpeed:
        """See `Planner`."""
        doing(f"planning speeds ({len(self._inner.kept)} so far)")
        return self._inner.train(model, stage, chip, accelerators)


class ToldRunner:
    """A runner that says how many draws have been played: those of the plan, then those of each what-if."""

    def __init__(self, inner: Runner) -> None:
        self._inner, self._draws = inner, 0

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """See `Runner`."""
        return self._told(self._inner.run(works))

    def _told(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self._draws += piece.paid.result.place.size
            doing(f"playing draws ({self._draws:,} so far)")
            yield piece

    def ran(self) -> Ran:
        """See `Runner`."""
        return self._inner.ran()
