"""Charts of the catalogue: chips by speed and memory, prices by date, rules in time, models by size."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping

from tonnage.report.charts.chart import Chart
from tonnage.report.charts.points import ChartAxis, Dot, scatter
from tonnage.report.charts.reading import Body, number, rows, text
from tonnage.report.charts.spans import Span, spans
from tonnage.report.legal import LEGAL
from tonnage.units import HOUR, show_bandwidth, show_counted, show_flop_rate, show_memory, show_number, show_price

ORDER = tuple(
    LEGAL[status]
    for status in ("exception", "case-by-case", "free", "licence", "denied", "unverified", "approval", "risk")
)
"""What the law says in the order of the colours: green what is free, red what is denied, grey what is not known."""

RENTS = ("rent", "owning")
"""What is paid by the hour."""


def charts(body: Body) -> tuple[Chart, ...]:
    """Of whatever is shown."""
    return (*_chips(body), *_prices(body), *_rules(body), *_models(body))


def _chips(body: Body) -> tuple[Chart, ...]:
    """Memory bandwidth against 16-bit speed, by what the law says where a place is asked for, by vendor else."""
    lawful = any(text(row, "status") for row in rows(body, "chips"))
    points = []
    for row in rows(body, "chips"):
        rate, bandwidth, memory = (number(row, key) for key in ("rates.bf16", "bandwidth", "memory"))
        if rate and bandwidth and memory:
            tip = f"{show_flop_rate(rate)} bf16, {show_bandwidth(bandwidth)}, {show_memory(memory)}"
            tip += f"; {text(row, 'vendor')}" if lawful else ""
            kind = LEGAL.get(text(row, "status"), text(row, "status")) if lawful else text(row, "vendor")
            what = text(row, "title") or text(row, "chip")
            points.append(Dot(rate / 1e12, bandwidth / 1e12, kind or "unknown", what, tip))
    if not points:
        return ()
    said = f"{show_counted(len(points), 'chip')} by 16-bit speed and memory bandwidth, by vendor."
    title = "speed and memory bandwidth of chips"
    if lawful:
        counts = Counter(point.kind for point in points)
        listed = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        where = text(body, "inputs", "place") or text(body, "inputs", "in")
        said = f"{show_counted(len(points), 'chip')}{f' to {where}' if where else ''}: {listed}."
        title = f"what may be brought{f' to {where}' if where else ''}: speed and memory bandwidth of chips"
    x, y = ChartAxis("bf16 TFLOP/s", "log", "~g"), ChartAxis("memory bandwidth, TB/s", "log", "~g")
    return (scatter("chips", title, said, points, x, y, order=ORDER if lawful else ()),)


def _prices(body: Body) -> tuple[Chart, ...]:
    """Prices by the hour by their date; a line from the lowest to the highest where a source gives both."""
    points = [made for row in rows(body, "prices") if (made := _price(row)) is not None]
    if not points:
        return ()
    chips = {text(row, "chip") for row in rows(body, "prices")} - {""}
    about = f" of {chips.pop()}" if len(chips) == 1 else ""
    least, most = min(point.y for point in points), max(point.y for point in points)
    span = f"from ${least:.2f} to ${most:.2f}" if least < most else f"${least:.2f}"
    said = f"{show_counted(len(points), 'price')}{about} by the hour, {span}."
    x, y = ChartAxis("", "time"), ChartAxis("$ per accelerator-hour", "log", "~g")
    return (scatter("prices", f"prices{about}", said, points, x, y),)


def _price(row: Mapping[str, object]) -> Dot | None:
    value, low, high = (number(row, key) for key in ("value", "low", "high"))
    if text(row, "what") not in RENTS or not value or value <= 0 or not text(row, "date"):
        return None
    kind = text(row, "tenure") or "unknown"
    what = f"{text(row, 'chip')}, {text(row, 'place') or 'no place'}, {text(row, 'date')}"
    tip = f"{text(row, 'text') or show_price(value)}; {text(row, 'kind')}: {text(row, 'source_title')}"
    ends = (low * HOUR, high * HOUR) if low and high and high > low > 0 else (None, None)
    return Dot(text(row, "date"), value * HOUR, kind, what, tip, *ends)


def _rules(body: Body) -> tuple[Chart, ...]:
    """Rules from the day on which they begin to the one on which they end."""
    found = []
    last = datetime.date.min
    for row in rows(body, "rules"):
        start, end = text(row, "from"), text(row, "until")
        if start and text(row, "title"):
            place, kind = text(row, "jurisdiction"), text(row, "kind")
            shown = f"{place} {kind}, {start} to {end or 'now'}"
            tip = f"{text(row, 'state')}; {text(row, 'effect')}"
            found.append(
                Span(
                    text(row, "title"), start, end, shown, tip, "mark" if text(row, "state") == "in force" else "quiet"
                )
            )
            last = max(last, *(day for day in map(_day, (start, end)) if day is not None))
    made = spans(
        "rules",
        "rules in time",
        f"{show_counted(len(found), 'rule')}, {_open(found)} without an end.",
        found,
        str(last),
    )
    return () if made is None else (made,)


def _open(found: list[Span]) -> int:
    return sum(not span.end for span in found)


def _day(words: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(words)
    except ValueError:
        return None


def _models(body: Body) -> tuple[Chart, ...]:
    """Parameters that work on a token against all of them."""
    points = []
    for row in rows(body, "models"):
        whole, active = number(row, "params"), number(row, "active")
        if whole and active:
            tip = f"{show_number(whole / 1e9)}B parameters, {show_number(active / 1e9)}B active"
            kind = "dense" if active > 0.9 * whole else "mixture of experts"
            points.append(Dot(whole / 1e9, active / 1e9, kind, text(row, "model"), tip))
    if not points:
        return ()
    said = f"{show_counted(len(points), 'model')} by parameters and by those that work on each token."
    x, y = ChartAxis("parameters, billions", "log", "~g"), ChartAxis("active parameters, billions", "log", "~g")
    return (scatter("models", "sizes of models", said, points, x, y),)
