"""`tonnage accuracy train|serve|durations`: predictions held against published, measured results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, Result, finish
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.truth.board import Board
    from tonnage.truth.durations_board import Durations
    from tonnage.truth.score import Prediction, Summary

NAMES = {
    "tokens_per_second_per_accelerator": "training rate",
    "output_tokens_per_second_per_accelerator": "output rate",
    "input_tokens_per_second_per_accelerator": "prefill rate",
    "tpot": "TPOT",
    "ttft": "TTFT",
}
SHOWN = 12


def accuracy(
    what: Literal["train", "serve", "durations"],
    /,
    *,
    cases: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    common: Common = COMMON,
) -> int:
    """How far predictions are off published results, beside a null model: one constant per chip.

    Parameters
    ----------
    what
        train, serve, or durations (accelerator-hours of whole runs).
    cases
        a JSON Lines file of published results instead of the bundled ones; may be repeated.
    everything
        also the cases that are not scored; of durations all are.
    """
    from tonnage.truth.evaluate import accuracy as measure

    catalog = common.load_catalog()
    if what == "durations":
        return _durations(cases, everything, catalog, common)
    board = measure(what, catalog, cases, everything)
    given = {"what": what, "cases": [str(path) for path in cases], "all": everything}
    body = board.to_json()
    return finish(Result("accuracy", given, body, _answer(board, body), catalog=catalog), common)


def _durations(cases: tuple[Path, ...], everything: bool, catalog: Any, common: Common) -> int:
    """Whole runs against steps with slip."""
    from tonnage.truth.durations_board import accuracy as measure

    board = measure(catalog, cases)
    body = board.to_json()
    given = {"what": "durations", "cases": [str(path) for path in cases], "all": everything}
    return finish(Result("accuracy", given, body, _run_answer(board, body), catalog=catalog), common)


def _run_answer(board: Durations, body: dict[str, Any]) -> Answer:
    from tonnage.truth.durations_board import summarised

    if not board.rows and not board.floors:
        return Answer(f"None of the cases can be predicted ({sum(board.skipped.values())} left out).")
    tables = [_run_table(board)]
    if board.rows:
        cells = tuple(_run_cells(row, out) for row, out in zip(board.rows, board.left_out, strict=True))
        header = ("run", "published", "predicted", "90 %", "ratio", "left out", "evidence")
        tables.append(Table("accelerator-hours of whole runs", header, cells))
    if board.skipped:
        skipped = tuple((str(count), reason) for reason, count in board.skipped.most_common(SHOWN))
        tables.append(Table("without a prediction", ("cases", "why"), skipped))
    if not board.rows:
        floors = f"{len(board.floors)} published times of steps, median / 90th percentile"
        return Answer(f"Over {floors}, we miss by {_pair(summarised(board.floors))}.", tables=tuple(tables))
    said = f"Over {len(board.rows)} published runs, median / 90th percentile, we miss the hours by "
    said += f"{_pair(summarised(board.rows))}, with the source left out {_pair(summarised(board.left_out))}"
    sentence = said + f" (steps alone {_pair(summarised(board.steps))}, null model {_pair(summarised(board.null))})."
    return Answer(sentence, tables=tuple(tables), records=tuple(body["rows"]))


def _run_table(board: Durations) -> Table:
    """Each way of predicting: errors, ratio, coverage."""
    from tonnage.truth.durations_board import median_ratio, summarised

    ways = {
        "steps and slip": board.rows,
        "the same, source left out": board.left_out,
        "steps with goodput, no slip": board.steps,
        "null model": board.null,
        "null model, source left out": board.null_left_out,
        "steps, where no more is published": board.floors,
    }
    cells = []
    for name, rows in ways.items():
        if not rows:
            continue
        found, ratio = summarised(rows), median_ratio(rows)
        cells.append((name, str(found.n), _pair(found), f"{ratio:.2f}", _signed(found.bias), _share(found.coverage_90)))
    header = ("", "n", "median / 90th", "median ratio", "bias", "in interval")
    return Table("errors, exp|ln(predicted/published)| - 1, one vote per source", header, tuple(cells))


def _run_cells(row: Prediction, out: Prediction) -> tuple[str, ...]:
    span = "-" if row.low is None or row.high is None else f"{_hours(row.low)} to {_hours(row.high)}"
    ratios = (f"{one.predicted / one.published:.2f}" for one in (row, out))
    return (row.id, _hours(row.published), _hours(row.predicted), span, *ratios, row.evidence or "-")


def _hours(value: float) -> str:
    """Accelerator-hours to three digits."""
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def _answer(board: Board, body: dict[str, Any]) -> Answer:
    from tonnage.truth.score import breakdown, summarise

    tables = [_metrics(board)]
    for metric in board.metrics[:2]:
        part = board.of(metric)
        pairs = ((title, breakdown(part.rows, tag), breakdown(part.null, tag)) for tag, title in _TITLES.items())
        tables += [_by(f"{NAMES[metric]} by {title}", ours, null) for title, ours, null in pairs]
    if board.skipped:
        cells = tuple((str(count), reason) for reason, count in board.skipped.most_common(SHOWN))
        tables.append(Table("without a prediction", ("cases", "why"), cells))
    return Answer(_sentence(board, summarise), tables=tuple(tables), records=tuple(body["rows"]))


_TITLES = {"group": "source", "chip": "chip"}


def _sentence(board: Board, summarise: Any) -> str:
    if not board.rows:
        return f"None of the cases can be predicted ({sum(board.skipped.values())} left out)."
    parts = []
    for metric in board.metrics:
        ours, null = summarise(board.of(metric).rows), summarise(board.of(metric).null)
        parts.append(f"the {NAMES[metric]} by {_pair(ours)} (null model {_pair(null)})")
    return f"Over {len(board.rows)} published figures, median / 90th percentile, we miss " + "; ".join(parts) + "."


def _pair(found: Summary) -> str:
    from tonnage.truth.board import shown

    return shown(found)


def _metrics(board: Board) -> Table:
    from tonnage.truth.score import beaten, summarise

    cells = []
    for metric in board.metrics:
        part = board.of(metric)
        ours = summarise(part.rows)
        better, votes = beaten(part.rows, part.null)
        left = _pair(summarise(part.left_out)) if part.left_out else "-"
        row = (NAMES[metric], str(ours.n), str(ours.groups), _pair(ours), left, _pair(summarise(part.null)))
        cells.append((*row, _signed(ours.bias), _share(ours.coverage_90), f"{better} of {votes}"))
    header = ("metric", "n", "votes", "median / 90th", "source left out", "null", "bias", "in interval", "beats null")
    return Table("errors, exp|ln(predicted/published)| - 1, one vote per source", header, tuple(cells))


def _by(title: str, ours: dict[str, Summary], null: dict[str, Summary]) -> Table:
    cells = tuple(
        (name, str(found.n), _pair(found), _pair(null[name]) if name in null else "-", _signed(found.bias))
        for name, found in list(ours.items())[:SHOWN]
    )
    note = f"and {len(ours) - SHOWN} more (--json has them all)" if len(ours) > SHOWN else ""
    return Table(title, ("", "n", "median / 90th", "null", "bias"), cells, note)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.0f} %"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
