"""A linear or mixed-integer programme in blocks of columns and rows, solved by HiGHS (Huangfu and Hall 2018).

One thread and fixed seeds: the same programme gives the same answer each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tonnage.fleet.uncertain import Floats

if TYPE_CHECKING:
    import highspy

Ints = NDArray[np.int64]
FREE = np.inf
GAP = 1e-3
"""Relative gap at which a mixed-integer programme is taken as solved."""


@dataclass(frozen=True)
class Solved:
    """An optimum. values of the columns; duals of the rows (zeros of a mixed-integer programme); objective."""

    values: Floats
    duals: Floats
    objective: float


class LinearProgramme:
    """Minimise cost x values, rows within their bounds. Blocks are numbered as they are added."""

    def __init__(self) -> None:
        self._columns: list[tuple[Floats, Floats, Floats, bool]] = []
        self._rows: list[tuple[Floats, Floats]] = []
        self._cells: list[tuple[Ints, Ints, Floats]] = []
        self.columns_count = self.rows_count = 0
        self._held: highspy.Highs | None = None

    def columns(
        self, count: int, cost: ArrayLike = 0.0, low: ArrayLike = 0.0, high: ArrayLike = FREE, *, whole: bool = False
    ) -> Ints:
        """Add columns; their numbers. whole: integers only."""
        spread = [np.asarray(np.broadcast_to(np.asarray(v, dtype=np.float64), count)) for v in (cost, low, high)]
        self._columns.append((spread[0], spread[1], spread[2], whole))
        self.columns_count += count
        return np.arange(self.columns_count - count, self.columns_count)

    def rows(self, count: int, low: ArrayLike = -FREE, high: ArrayLike = FREE) -> Ints:
        """Add rows; their numbers."""
        spread = [np.asarray(np.broadcast_to(np.asarray(v, dtype=np.float64), count)) for v in (low, high)]
        self._rows.append((spread[0], spread[1]))
        self.rows_count += count
        return np.arange(self.rows_count - count, self.rows_count)

    def cells(self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike) -> None:
        """Add coefficients, arrays that fit each other. What is given twice for a place adds up."""
        found = np.broadcast_arrays(np.asarray(rows), np.asarray(columns), np.asarray(values, dtype=np.float64))
        self._cells.append((found[0].ravel(), found[1].ravel(), found[2].ravel()))

    def solve(self, *, gap: float = GAP, cost: Floats | None = None) -> Solved | None:
        """The optimum, or None if there is none. cost: other costs of the columns; the last basis is begun from."""
        if not self.columns_count:
            low, high = (np.concatenate([part[i] for part in self._rows] or [np.zeros(0)]) for i in range(2))
            none = Solved(np.zeros(0), np.zeros(self.rows_count), 0.0)
            return none if np.all((low <= 0) & (high >= 0)) else None
        solver = self._solver(gap)
        if cost is not None:
            solver.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)
        solver.run()
        status = solver.modelStatusToString(solver.getModelStatus())
        if status in ("Infeasible", "Primal infeasible or unbounded"):
            return None
        if status != "Optimal":
            raise RuntimeError(f"the solver ended with {status}")
        found = solver.getSolution()
        duals = np.array(found.row_dual) if len(found.row_dual) else np.zeros(self.rows_count)
        return Solved(np.array(found.col_value), duals, float(solver.getInfo().objective_function_value))

    def _solver(self, gap: float) -> highspy.Highs:
        if self._held is None:
            self._held = self._passed(gap)
        return self._held

    def _passed(self, gap: float) -> highspy.Highs:
        import highspy

        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns_count, self.rows_count
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = (
            np.concatenate([part[i] for part in self._columns] or [np.zeros(0)]) for i in range(3)
        )
        lp.row_lower_, lp.row_upper_ = (
            np.concatenate([part[i] for part in self._rows] or [np.zeros(0)]) for i in range(2)
        )
        starts, index, value = self._matrix()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = starts, index, value
        if any(whole for *_, whole in self._columns):
            kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
            lp.integrality_ = [kinds[whole] for cost, *_, whole in self._columns for _ in cost]
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("mip_rel_gap", gap)
        solver.setOptionValue("primal_feasibility_tolerance", 1e-8)
        solver.setOptionValue("mip_feasibility_tolerance", 1e-7)
        solver.passModel(lp)
        return solver

    def _matrix(self) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
        """Column by column, without zeros."""
        if not self._cells:
            return np.zeros(self.columns_count + 1, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0)
        rows, columns, values = (np.concatenate([part[i] for part in self._cells]) for i in range(3))
        kept = values != 0
        place = columns[kept].astype(np.int64) * max(self.rows_count, 1) + rows[kept]
        place, inverse = np.unique(place, return_inverse=True)
        total = np.bincount(inverse, weights=values[kept], minlength=len(place))
        starts = np.searchsorted(place // max(self.rows_count, 1), np.arange(self.columns_count + 1))
        index = (place % max(self.rows_count, 1)).astype(np.int32)
        return starts.astype(np.int32), index, np.asarray(total, dtype=np.float64)
