"""The back-test in words: launches predicted on a day against what came, beside the announced day."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from tonnage.report.answer import Answer, Table
from tonnage.truth.launches import MEANT
from tonnage.units import show_counted, show_share

if TYPE_CHECKING:
    from tonnage.truth.launches import LaunchBoard, LaunchForecast

HEADER = ("launch", "as of", "P10", "P50", "P90", "came", "inside", "CRPS", "rival's P50", "rival's")


def answer(board: LaunchBoard) -> Answer:
    """How often what came was inside, the scores, and every programme."""
    planned, refused = [row for row in board.rows if not row.reason], [row for row in board.rows if row.reason]
    note = "CRPS in days, less is better; rival: the announced day with the slips of other launches"
    tables = [Table("programmes written from what was known on a day", HEADER, tuple(map(_row, planned)), note=note)]
    if refused:
        cells = tuple((row.story, str(row.cut_off), row.reason) for row in refused)
        tables.append(Table("could not be planned", ("launch", "as of", "why"), cells))
    rows = (
        ("limits", UNFAIR),
        ("made", f"{board.made}, {board.draws} draws each, by {board.version}; make backtest makes it again"),
    )
    return Answer(
        f"{sentence(board)}.", rows, tables=tuple(tables), records=tuple({**row.to_json()} for row in board.rows)
    )


def sentence(board: LaunchBoard) -> str:
    """`7 launches as 13 programmes foresaw them: 6 of 7 came inside P10 to P90 ...`."""
    low, high = board.interval
    count = len(board.stories)
    return (
        f"{count} announced launches as {show_counted(board.planned, 'programme')} of their day foresaw them: "
        f"{board.hits:.3g} of {count} inside P10 to P90 (90 %: {show_share(low)} to {show_share(high)}; "
        f"meant: {show_share(MEANT)}), mean CRPS {board.score:.0f} days, the announced day with the usual slips "
        f"{board.rival_score:.0f}"
    )


UNFAIR = (
    "not blind: who wrote the programmes knew how each story ended; "
    "so few stories cannot tell a calibrated answer from one that is much too sure"
)


def _row(row: LaunchForecast) -> tuple[str, ...]:
    said = row.forecast
    days = tuple(map(_shown, (said.p10, said.p50, said.p90)))
    came = str(row.came) if row.came else f"not by {row.known_to}"
    inside = "yes" if row.inside else "no"
    scores = (f"{row.score:.0f}", _shown(row.rival.p50), f"{row.rival_score:.0f}")
    return (row.story, str(row.cut_off), *days, came, inside, *scores)


def _shown(day: datetime.date | None) -> str:
    return "never" if day is None else str(day)
