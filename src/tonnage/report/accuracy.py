"""A board of errors in words: how far predictions are off published results, beside the null model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.report.answer import Answer, Table
from tonnage.truth.board import shown
from tonnage.truth.score import Summary, beaten, breakdown, summarise

if TYPE_CHECKING:
    from tonnage.truth.board import Board

NAMES = {
    "tokens_per_second_per_accelerator": "training rate",
    "output_tokens_per_second_per_accelerator": "output rate",
    "input_tokens_per_second_per_accelerator": "prefill rate",
    "tpot": "TPOT",
    "ttft": "TTFT",
}
SHOWN = 12


def answer(board: Board) -> Answer:
    """How far off, by metric, source and chip; why the rest has no prediction."""
    tables = [_metrics(board)]
    for metric in board.metrics[:2]:
        part = board.of(metric)
        pairs = ((title, breakdown(part.rows, tag), breakdown(part.null, tag)) for tag, title in _TITLES.items())
        tables += [_by(f"{NAMES[metric]} by {title}", ours, null) for title, ours, null in pairs]
    if board.skipped:
        cells = tuple((str(count), reason) for reason, count in board.skipped.most_common(SHOWN))
        tables.append(Table("without a prediction", ("cases", "why"), cells))
    return Answer(
        _sentence(board) + defects(board.defects), tables=tuple(tables), records=tuple(board.to_json()["rows"])
    )


def defects(count: int) -> str:
    """A sentence on cases without a prediction because of a defect of ours, where there are any."""
    return f" A defect of tonnage keeps {count} from being predicted." if count else ""


_TITLES = {"group": "source", "chip": "chip"}


def _sentence(board: Board) -> str:
    if not board.rows:
        return f"None of the cases can be predicted ({sum(board.skipped.values())} left out)."
    parts = []
    for metric in board.metrics:
        ours, null = summarise(board.of(metric).rows), summarise(board.of(metric).null)
        parts.append(f"the {NAMES[metric]} by {_pair(ours)} (null model {_pair(null)})")
    return f"Over {len(board.rows)} published figures, median / 90th percentile, we miss " + "; ".join(parts) + "."


def _pair(found: Summary) -> str:
    return shown(found)


def _metrics(board: Board) -> Table:
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
