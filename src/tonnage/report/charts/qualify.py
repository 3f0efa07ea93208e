"""Charts of a verdict: each gate against its limit, and what the device did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tonnage.report.charts.bars import BarRow, LimitLine, bars
from tonnage.report.charts.chart import Chart
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.units import show_counted, show_number

MARKS = {"pass": "+ ", "fail": "x "}
"""Before the words of a gate: what it came to, besides its colour."""


def charts(body: Body) -> tuple[Chart, ...]:
    """The gates by what they came to, and those with a figure against their limit."""
    return (*_states(body), *_gates(body))


def _gates_of(body: Body) -> list[Mapping[str, object]]:
    return rows(body, "verdict", "gates") or rows(body, "gates")


def _states(body: Body) -> tuple[Chart, ...]:
    counts = Counter(text(gate, "state") or "unknown" for gate in _gates_of(body))
    if not counts:
        return ()
    made = [
        BarRow(state, 0.0, float(count), f"{count}", style={"pass": "good", "fail": "alert"}.get(state, "mark"))
        for state, count in counts.most_common()
    ]
    came = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    said = f"Of {show_counted(counts.total(), 'gate')}: {came}."
    return (bars("gates", "what the gates came to", said, made, axis="gates"),)


def _gates(body: Body) -> tuple[Chart, ...]:
    """What was measured as a share of the limit."""
    made = [row for gate in _gates_of(body) if (row := _row(gate)) is not None]
    if not made:
        return ()
    failed = [row.label.removeprefix(MARKS["fail"]) for row in made if row.style == "alert"]
    said = f"{show_counted(len(made), 'gate')} with a figure; beyond the limit: {', '.join(failed) or 'none'}."
    limits = (LimitLine(1.0, "limit"),)
    return (bars("limits", "measured, as a share of the limit", said, made, limits=limits, axis="of the limit"),)


FURTHEST = 3.0
"""Times the limit at which a bar ends, so that one far beyond it leaves the others legible."""


def _row(gate: Mapping[str, object]) -> BarRow | None:
    measured, limit, state = number(gate, "measured"), number(gate, "limit"), text(gate, "state")
    if measured is None or not limit or state not in MARKS:
        return None
    shown = f"{show_number(measured)} of {show_number(limit)} {text(gate, 'unit')}".rstrip()
    style = "alert" if state == "fail" else "good"
    end = min(FURTHEST, max(0.0, measured / limit))
    return BarRow(MARKS[state] + text(gate, "name"), 0.0, end, shown, text(gate, "why"), style)
