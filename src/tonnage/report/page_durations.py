"""The part of docs/accuracy.md on how long whole runs took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tonnage.report import page
from tonnage.report.page import Line
from tonnage.train.duration import fitted
from tonnage.truth.board import shown
from tonnage.truth.durations_board import Durations, median_ratio, parted, summarised
from tonnage.truth.score import Prediction

KINDS = ("year", "chip generation", "dense or MoE")
"""Whole kinds left out, as the fit names them."""


def durations_page(board: Durations) -> list[str]:
    """Lines of the page."""
    lines = ["## Durations", "", INTRODUCTION]
    lines += page.figures_table(_figures(board))
    lines += ["### Whole kinds left out", "", *_kinds()]
    lines += ["### Every run", "", *_runs(board)]
    lines += ["### Steps alone", "", FLOORS, *_floors(board.floors)]
    for tag, title in (("group", "source"), ("chip", "chip"), ("kind", "kind")):
        lines += [f"### Durations by {title} (source left out)", "", *_by(board, tag, title)]
    return [*lines, "### Durations not predicted", "", *page.defects(board.defects), *page.skipped_table(board.skipped)]


INTRODUCTION = """\
Accelerator-hours of whole runs, as model cards and reports give them, against steps with goodput times the slip
([method](method/durations.md)). One vote per source; the median ratio is over runs, predicted over published.
"""

FLOORS = """\
Rows that hold steps only, from a step time or a throughput: no slip is in them.
"""


def _figures(board: Durations) -> list[Line]:
    out, steps = board.left_out, board.steps
    null = board.null_left_out
    return [
        page.within("median ratio, source left out", median_ratio(out), 0.9, 1.1, unit="", scale=1.0),
        page.within("90 % intervals cover (source left out)", summarised(out).coverage_90, 85, 95),
        Line(f"error, source left out ({len(out)})", "-", shown(summarised(out)), shown(summarised(null))),
        Line(
            f"error, in sample ({len(board.rows)})", "-", shown(summarised(board.rows)), shown(summarised(board.null))
        ),
        Line("the same without the slip", "-", shown(summarised(steps))),
        Line("median ratio without the slip", "-", _ratio(steps)),
        Line("90 % intervals of the steps cover", "-", _inside(steps)),
        Line(f"median ratio, steps alone ({len(board.floors)})", "-", _ratio(board.floors)),
    ]


def _ratio(rows: Sequence[Prediction]) -> str:
    value = median_ratio(rows)
    return "no case" if value is None else f"{value:.2f}"


def _inside(rows: Sequence[Prediction]) -> str:
    return f"{sum(bool(row.covered) for row in rows)} of {len(rows)}"


def _kinds() -> list[str]:
    held = fitted()[1]
    rows = []
    for cut in KINDS:
        for name in held.errors[cut]:
            what = f"each {cut} in turn" if name == "all" else name
            rows.append((what, *_kind(held.error(cut, name))))
    sources = [name for name in held.errors["source"] if name != "all"]
    rows += [(f"runs of {name}", *_kind(held.error("source", name))) for name in sources]
    rows.append(("each source, properties chosen anew", *_kind(held.error("chosen anew"))))
    return page.table(("left out of the fit", "runs", "median ratio", "median / 90th", "in 90 % interval"), rows)


def _kind(found: Mapping[str, float]) -> tuple[str, ...]:
    error = f"{100 * found['median']:.0f} / {100 * found['p90']:.0f} %"
    return (str(int(found["n"])), f"{found['median_ratio']:.2f}", error, f"{100 * found['inside']:.0f} %")


def _runs(board: Durations) -> list[str]:
    rows = []
    for one, row, out in zip(board.made, board.rows, board.left_out, strict=True):
        interval = "-" if out.low is None or out.high is None else f"{_hours(out.low)} to {_hours(out.high)}"
        ratio = f"{out.predicted / out.published:.2f}{'' if out.covered else ', outside'}"
        steps = one.wall.value * one.run.system.count / 3600 / row.published
        given = ", ".join(one.run.assumed) or "-"
        rows.append(
            (
                row.id,
                _hours(row.published),
                f"{steps:.2f}",
                _hours(out.predicted),
                interval,
                ratio,
                str(out.evidence),
                given,
            )
        )
    header = ("run", "published hours", "steps / published", "predicted, source left out", "90 % interval", "ratio")
    return page.table((*header, "evidence", "assumed"), rows)


def _floors(floors: Sequence[Prediction]) -> list[str]:
    rows = [
        (row.id, _hours(row.published), _hours(row.predicted), f"{row.predicted / row.published:.2f}") for row in floors
    ]
    return page.table(("run", "published hours", "steps", "ratio"), rows)


def _by(board: Durations, tag: str, title: str) -> list[str]:
    steps, null = parted(board.steps, tag), parted(board.null_left_out, tag)
    rows = [
        (
            name,
            str(len(part)),
            _ratio(part),
            shown(summarised(part)),
            shown(summarised(steps[name])),
            *_null(null.get(name)),
        )
        for name, part in parted(board.left_out, tag).items()
    ]
    return page.table((title, "runs", "median ratio", "with slip", "steps alone", "null model"), rows)


def _null(rows: Sequence[Prediction] | None) -> tuple[str]:
    return (shown(summarised(rows)) if rows else "-",)


def _hours(value: float) -> str:
    """Accelerator-hours to four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
