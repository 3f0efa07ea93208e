"""Charts of what fits: the memory bar, and how many sequences of which length the cache holds."""

from __future__ import annotations

from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.memory import memory
from tonnage.report.charts.reading import Body, number, rows
from tonnage.units import show_number, show_tokens


def charts(body: Body) -> tuple[Chart, ...]:
    """The memory, and what the cache holds."""
    return (*memory(body), *_held(body))


def _held(body: Body) -> tuple[Chart, ...]:
    """Tokens that the whole cache holds, in sequences of one length after the other."""
    made = []
    for row in rows(body, "curve"):
        context, sequences, tokens = (number(row, key) for key in ("context", "sequences", "tokens"))
        if context is not None and sequences is not None and tokens is not None:
            held = f"{show_tokens(tokens)} tokens in all"
            made.append(
                BarRow(f"of {context:,.0f} tokens", 0.0, sequences, f"{show_number(sequences)} sequences", held)
            )
    if len(made) < 2:
        return ()
    said = f"The whole cache holds {made[0].shown} {made[0].label}, or {made[-1].shown} {made[-1].label}."
    return (bars("cache", "what the whole cache holds", said, made, axis="sequences at once"),)
