"""The board of durations in words: how far predicted accelerator-hours of whole runs are off published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.report.accuracy import defects
from tonnage.report.answer import Answer, Table
from tonnage.truth.board import shown
from tonnage.truth.durations_board import median_ratio, summarised

if TYPE_CHECKING:
    from tonnage.truth.durations_board import Durations
    from tonnage.truth.score import Prediction

SHOWN = 12


def answer(board: Durations) -> Answer:
    """How far off, by way of predicting and run by run; why the rest has no prediction."""
    if not board.rows and not board.floors:
        said = f"None of the cases can be predicted ({sum(board.skipped.values())} left out)."
        return Answer(said + defects(board.defects))
    tables = [_ways(board)]
    if board.rows:
        tables.append(_runs(board))
    if board.skipped:
        cells = tuple((str(count), reason) for reason, count in board.skipped.most_common(SHOWN))
        tables.append(Table("without a prediction", ("cases", "why"), cells))
    return Answer(
        _sentence(board) + defects(board.defects), tables=tuple(tables), records=tuple(board.to_json()["rows"])
    )


def _sentence(board: Durations) -> str:
    if not board.rows:
        floors = f"{len(board.floors)} published times of steps, median / 90th percentile"
        return f"Over {floors}, we miss by {shown(summarised(board.floors))}."
    ours, out, steps, null = (
        shown(summarised(rows)) for rows in (board.rows, board.left_out, board.steps, board.null_left_out)
    )
    runs = f"{len(board.rows)} published runs, median / 90th percentile"
    beside = f"with the source left out by {out} (steps alone {steps}, null model left out {null})"
    return f"Over {runs}, we miss the hours by {ours}, {beside}."


def _ways(board: Durations) -> Table:
    """Each way of predicting: errors, ratio, coverage."""
    ways = {
        "steps and slip": board.rows,
        "the same, source left out": board.left_out,
        "steps with goodput, no slip": board.steps,
        "null model": board.null,
        "null model, source left out": board.null_left_out,
        "steps, where no more is published": board.floors,
    }
    header = ("", "n", "median / 90th", "median ratio", "bias", "in interval")
    cells = tuple((name, *_way(rows)) for name, rows in ways.items() if rows)
    return Table("errors, exp|ln(predicted/published)| - 1, one vote per source", header, cells)


def _way(rows: tuple[Prediction, ...]) -> tuple[str, ...]:
    found, ratio = summarised(rows), median_ratio(rows)
    bias = "-" if found.bias is None else f"{100 * found.bias:+.0f} %"
    inside = "-" if found.coverage_90 is None else f"{100 * found.coverage_90:.0f} %"
    return (str(found.n), shown(found), f"{ratio:.2f}", bias, inside)


def _runs(board: Durations) -> Table:
    cells = tuple(_run(row, out) for row, out in zip(board.rows, board.left_out, strict=True))
    header = ("run", "published", "predicted", "90 %", "ratio", "left out", "evidence")
    return Table("accelerator-hours of whole runs", header, cells)


def _run(row: Prediction, out: Prediction) -> tuple[str, ...]:
    span = "-" if row.low is None or row.high is None else f"{hours(row.low)} to {hours(row.high)}"
    ratios = (f"{one.predicted / one.published:.2f}" for one in (row, out))
    return (row.id, hours(row.published), hours(row.predicted), span, *ratios, row.evidence or "-")


def hours(value: float) -> str:
    """Accelerator-hours to three digits."""
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"
