"""docs/accuracy.md: the figures beside their bars, with what lies behind them. Written by scripts/accuracy.py."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tonnage.truth.board import Board, shown
from tonnage.truth.score import Prediction, beaten, breakdown, pooled, summarise

NAMES = {
    "tokens_per_second_per_accelerator": "training rate",
    "output_tokens_per_second_per_accelerator": "output rate",
    "input_tokens_per_second_per_accelerator": "prefill rate",
    "tpot": "TPOT",
    "ttft": "TTFT",
}

INTRODUCTION = """\
# Accuracy

Predictions held against published, measured results. Regenerate with `make accuracy`; ask for any part with
`tonnage accuracy train|serve|durations|capacity [--cases FILE] [--all] [--json]`.

- The error of a figure is exp|ln(predicted / published)| - 1: a factor of two is 100 % either way. A pair `9 / 24 %` is
  the weighted median and the 90th percentile.
- Each source has one vote, sources under ten figures share one (a tenth of it for each figure if together they are
  under ten too). Inside a vote each (model, chip, precision) of training and each (model, chip, engine) of serving
  weighs the same, and inside those each configuration.
- *In sample*: constants fitted on all scored cases. *Source left out*: nothing of that source in any fit. *Chip left
  out*: nothing of that chip in any fit, its datasheet only.
- The *null model* is one constant per (chip, precision class, dense or MoE): achieved FLOP/s for training, achieved
  share of a bare roofline for serving, fitted in sample or left out as the figure beside it. A cell with one case is
  exact in sample, so left out is the honest comparison.
- Two sources that ran the same layout differ by 10 % at the median; differences under five points are noise.
"""


@dataclass(frozen=True)
class Line:
    """One row of the figures: what, the bar in words, ours in words, the null model's; met: None if unknown."""

    what: str
    bar: str
    ours: str
    null: str = ""
    met: bool | None = None


def figures_table(lines: Iterable[Line]) -> list[str]:
    """The figures beside their bars."""
    rows = []
    for line in lines:
        verdict = "" if line.met is None else "met" if line.met else "missed"
        rows.append((line.what, line.bar, line.ours, line.null, verdict))
    return table(("what", "bar", "tonnage", "null model", ""), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return [*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows), ""]


def pair(what: str, bar: tuple[float, float], ours: Sequence[Prediction], null: Sequence[Prediction] = ()) -> Line:
    """Line of a median and 90th percentile bar [%]."""
    found = summarise(ours)
    met = None
    if found.median_abs_error is not None and found.p90_abs_error is not None:
        met = found.median_abs_error <= bar[0] / 100 and found.p90_abs_error <= bar[1] / 100
    other = summarise(null)
    return Line(f"{what} ({found.n})", f"{bar[0]:g} / {bar[1]:g} %", shown(found), shown(other) if null else "", met)


def below(what: str, value: float, bar: float, null: str = "") -> Line:
    """Line of a value in per cent that should not exceed a bar."""
    if math.isnan(value):
        return Line(what, f"{bar:g} %", "no case", null)
    return Line(what, f"{bar:g} %", f"{100 * value:.1f} %", null, 100 * value <= bar)


def within(what: str, value: float | None, low: float, high: float, unit: str = " %", scale: float = 100.0) -> Line:
    """Line of a value that should lie between two bounds (in the shown unit)."""
    bar = f"{low:g} to {high:g}{unit}"
    if value is None or math.isnan(value):
        return Line(what, bar, "no case")
    return Line(what, bar, f"{scale * value:.3g}{unit}", met=low <= scale * value <= high)


def beats(board: Board) -> Line:
    """In how many sources the median error is below the null model's, both with the source left out where kept."""
    better, votes = beaten(*board.fair)
    metric = f", {NAMES[board.metrics[0]]}" if len(board.metrics) == 1 else ""
    what = f"sources in which we beat the null model's median{metric}, {board.label}"
    met = better >= 0.8 * votes if votes else None
    return Line(what, "80 %", f"{better} of {votes}" + (f" ({100 * better / votes:.0f} %)" if votes else ""), "", met)


def source_table(board: Board) -> list[str]:
    """Every source: ours in sample and left out, the null model left out."""
    columns = [breakdown(rows, "group") for rows in (board.rows, board.left_out, board.null, board.null_left_out)]
    rows = []
    for name, found in columns[0].items():
        cells = [shown(column[name]) if name in column else "-" for column in columns]
        rows.append((name, str(found.n), *cells, signed(found.bias)))
    return table(("source", "n", "in sample", "left out", "null in sample", "null left out", "bias"), rows)


def tag_table(board: Board, tag: str, title: str) -> list[str]:
    """A breakdown of ours (left out where kept) and of the null model."""
    base, other = board.fair
    ours, null = breakdown(base, tag), breakdown(other, tag)
    if list(ours) == ["not given"]:
        return []
    rows = [
        (
            name,
            str(found.n),
            shown(found),
            shown(null[name]) if name in null else "-",
            signed(found.bias),
            cover(base, tag, name),
        )
        for name, found in ours.items()
    ]
    return table((title, "n", "tonnage", "null", "bias", "in 90 % interval"), rows)


def cover(rows: Sequence[Prediction], tag: str, name: str) -> str:
    """Share of a part that lies in its interval."""
    found = summarise([row for row in rows if row.tags.get(tag, "not given") == name]).coverage_90
    return "-" if found is None else f"{100 * found:.0f} %"


def rows_table(rows: Sequence[Prediction]) -> list[str]:
    """Single cases: published, predicted, interval, error."""
    cells = []
    for row in rows:
        span = "-" if row.low is None or row.high is None else f"{number(row, row.low)} to {number(row, row.high)}"
        error = f"{100 * (row.predicted / row.target - 1):+.1f} %"
        name = f"{row.id} ({NAMES[row.metric]})"
        published = number(row, row.published)
        if row.published_low is not None and row.published_high is not None:
            published = f"{number(row, row.published_low)} to {number(row, row.published_high)}"
        cells.append((name, published, number(row, row.predicted), span, error, row.outcome))
    return table(("case", "published", "predicted", "90 % interval", "error", "outcome"), cells)


def number(row: Prediction, value: float) -> str:
    """A figure in the unit that its metric is read in: ms for times, token/s otherwise."""
    return f"{1e3 * value:.3g} ms" if row.metric in ("tpot", "ttft") else f"{value:.4g}"


def skipped_table(skipped: Counter[str]) -> list[str]:
    """What has no prediction, by reason."""
    return table(("cases", "without a prediction because"), [(str(n), reason) for reason, n in skipped.most_common()])


def defects(count: int) -> list[str]:
    """A line on cases without a prediction because of a defect of ours, where there are any."""
    return [f"**{count} without a prediction because of a defect of tonnage.**", ""] if count else []


def worst_table(board: Board, count: int = 12) -> list[str]:
    """The largest errors."""
    return rows_table(sorted(board.fair[0], key=lambda row: -abs(row.log_error))[:count])


def votes(board: Board) -> str:
    """Sources that vote, and those that share one."""
    small = sorted({row.group for row, vote in zip(board.rows, pooled(board.rows), strict=True) if vote != row.group})
    return f"Sources that share a vote: {', '.join(small)}." if small else ""


def signed(value: float | None) -> str:
    """A bias in per cent."""
    return "-" if value is None else f"{100 * value:+.0f} %"
