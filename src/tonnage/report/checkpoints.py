"""The board of checkpoints in words: how far our bytes of weights are off published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.report.answer import Answer, Table
from tonnage.truth.checkpoints import TOLERANCE
from tonnage.units import show_memory, show_share

if TYPE_CHECKING:
    from tonnage.truth.checkpoints import Checkpoint, Checkpoints

WORDS = {"sum": "sums of the files", "load": "loads that engines log"}


def answer(board: Checkpoints) -> Answer:
    """How many sizes are within their tolerance, and every row."""
    parts = []
    for measure, words in WORDS.items():
        rows = board.of(measure)
        if rows:
            good = sum(row.within for row in rows)
            parts.append(f"{good} of {len(rows)} {words} within {show_share(TOLERANCE[measure])}")
    sentence = f"Weights of released checkpoints: {'; '.join(parts) or 'no rows'}."
    header = ("checkpoint", "method", "what", "published", "ours", "off")
    tables = [Table("weights", header, tuple(map(_row, board.rows)))]
    if board.skipped:
        cells = tuple((str(count), reason) for reason, count in board.skipped.items())
        tables.append(Table("without a size of ours", ("rows", "why"), cells))
    return Answer(sentence, tables=tuple(tables), records=tuple({**row.to_json()} for row in board.rows))


def _row(row: Checkpoint) -> tuple[str, ...]:
    published, ours = show_memory(row.published), show_memory(row.predicted)
    return (row.name, row.method, row.measure, published, ours, f"{row.error:+.2%}")
