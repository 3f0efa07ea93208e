"""The base case as a linear programme: which lot does what when, what capacity is worth, what would lift a shortage.

Columns are accelerators by service, lot and period, accelerators in training by lot and period, and slack. Rows are the
capacity of each lot in each period, the demand of each service, and the work that training needs before its last
period. Solved with HiGHS (Huangfu and Hall 2018), whose duals say what one more accelerator would be worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tonnage.fleet.draws import Bools
from tonnage.fleet.uncertain import Floats

SHORT = 1e3
"""How much dearer a missing request/s or accelerator-period of training is than the dearest way to provide it."""


@dataclass(frozen=True)
class AllocationProblem:
    """What is to be allocated.

    capacity [p, l]; need: requests/s [m, p]; rate: requests/s per accelerator [m, l]; price: [USD/accelerator-s] [l];
    training: lots that may train [l]; work: accelerator-periods of training that have to be done in the first
    `deadline` periods (a fraction of the last one counts); grows: lots of which there may be more [l], all if None.
    """

    capacity: Floats
    need: Floats
    rate: Floats
    price: Floats
    training: Bools
    work: float = 0.0
    deadline: float = 0.0
    grows: Bools | None = None


@dataclass(frozen=True)
class Solution:
    """What was found.

    serving [m, l, p], trained [l, p]: accelerators; short: requests/s [m, p]; undone: accelerator-periods of training;
    extra: accelerators added to each lot [l]; value: what one more accelerator in each lot and period saves [p, l],
    and cost: the objective, both in accelerator-periods of the dearest lot.
    """

    serving: Floats
    trained: Floats
    short: Floats
    undone: float
    extra: Floats
    value: Floats
    cost: float

    @property
    def feasible(self) -> bool:
        """Whether every demand is met and all training done."""
        return bool(self.short.sum() <= 1e-6 and self.undone <= 1e-6)


def solve(case: AllocationProblem, *, elastic: bool = False) -> Solution:
    """Cheapest allocation of a case.

    elastic: lots may be enlarged for the whole time at their price, which answers what the cheapest change is that
    lifts a shortage. Raises RuntimeError if the solver does not end with an optimum.
    """
    shape = _Shape(case)
    model = _columns(case, shape, elastic)
    values, duals, objective = _run(model)
    return _read(case, shape, values, duals, objective)


@dataclass(frozen=True)
class _Columns:
    cost: Floats
    upper: Floats
    starts: list[int]
    rows: list[int]
    entries: list[float]
    row_lower: Floats
    row_upper: Floats


class _Shape:
    """Numbers the columns and rows."""

    def __init__(self, case: AllocationProblem) -> None:
        self.m, self.p = case.need.shape
        self.l = case.capacity.shape[1]
        self.x, self.q = self.m * self.l * self.p, self.l * self.p
        self.s = self.m * self.p
        self.columns = self.x + self.q + self.s + 1 + self.l
        self.demand_row = self.p * self.l
        self.work_row = self.demand_row + self.m * self.p
        self.row_count = self.work_row + 1


def _columns(case: AllocationProblem, shape: _Shape, elastic: bool) -> _Columns:
    """The programme column by column: serving, training, shortage, undone work, extra accelerators."""
    price = _prices(case)
    cost: list[float] = []
    upper: list[float] = []
    starts, rows = [0], list[int]()
    entries: list[float] = []

    def column(c: float, high: float, *cells: tuple[int, float]) -> None:
        cost.append(c)
        upper.append(high)
        rows.extend(row for row, _ in cells)
        entries.extend(value for _, value in cells)
        starts.append(len(rows))

    for m in range(shape.m):
        for lot in range(shape.l):
            rate = float(case.rate[m, lot])
            for p in range(shape.p):
                demand = (shape.demand_row + m * shape.p + p, rate)
                column(float(price[lot]), np.inf if rate > 0 else 0.0, (p * shape.l + lot, 1.0), demand)
    for lot in range(shape.l):
        for p in range(shape.p):
            share = float(np.clip(case.deadline - p, 0.0, 1.0))
            high = np.inf if case.training[lot] and share > 0 else 0.0
            column(float(price[lot]) * share, high, (p * shape.l + lot, 1.0), (shape.work_row, share))
    slowest = float(case.rate[case.rate > 0].min(initial=1.0)) if case.rate.size else 1.0
    missing = SHORT * float(price.max()) / min(slowest, 1.0)
    for m in range(shape.m):
        for p in range(shape.p):
            column(missing, np.inf, (shape.demand_row + m * shape.p + p, 1.0))
    column(missing, np.inf, (shape.work_row, 1.0))
    for lot in range(shape.l):
        here = [(p * shape.l + lot, -1.0) for p in range(shape.p)]
        grows = elastic and (case.grows is None or bool(case.grows[lot]))
        column(float(price[lot]) * shape.p, np.inf if grows else 0.0, *here)
    lower = np.concatenate([np.full(shape.demand_row, -np.inf), case.need.ravel(), [case.work]])
    top = np.concatenate([case.capacity.ravel(), np.full(shape.m * shape.p + 1, np.inf)])
    return _Columns(np.array(cost), np.array(upper), starts, rows, entries, lower, top)


def _prices(case: AllocationProblem) -> Floats:
    """Prices as multiples of the dearest; what has no price is taken as almost free."""
    price = np.nan_to_num(case.price, nan=0.0)
    return np.asarray(np.maximum(price / (price.max() or 1.0), 1e-6))


def _run(model: _Columns) -> tuple[Floats, Floats, float]:
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(model.cost), len(model.row_lower)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = model.cost, np.zeros(len(model.cost)), model.upper
    lp.row_lower_, lp.row_upper_ = model.row_lower, model.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.array(model.starts)
    lp.a_matrix_.index_ = np.array(model.rows)
    lp.a_matrix_.value_ = np.array(model.entries)
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    solver.run()
    status = solver.modelStatusToString(solver.getModelStatus())
    if status != "Optimal":
        raise RuntimeError(f"the solver ended with {status}")
    found = solver.getSolution()
    return np.array(found.col_value), np.array(found.row_dual), float(solver.getInfo().objective_function_value)


def _read(case: AllocationProblem, shape: _Shape, values: Floats, duals: Floats, objective: float) -> Solution:
    a, b, c = shape.x, shape.x + shape.q, shape.x + shape.q + shape.s
    return Solution(
        values[:a].reshape(shape.m, shape.l, shape.p),
        values[a:b].reshape(shape.l, shape.p),
        values[b:c].reshape(shape.m, shape.p),
        float(values[c]),
        values[c + 1 :],
        -duals[: shape.demand_row].reshape(shape.p, shape.l),
        objective,
    )


def most_demand(case: AllocationProblem) -> float:
    """Largest multiple of the demand that the fleet can serve in every period: the smaller of all periods' ratios.

    Bisection on the multiple, each step one linear programme; accurate to 0.1 %.
    """
    low, high = 0.0, 1.0
    if solve(_scaled(case, 1.0)).feasible:
        return 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if solve(_scaled(case, middle)).feasible else (low, middle)
    return low


def _scaled(case: AllocationProblem, factor: float) -> AllocationProblem:
    return AllocationProblem(case.capacity, case.need * factor, case.rate, case.price, case.training)
