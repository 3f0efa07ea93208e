"""The picture of a launch: what each lot does when, as SVG and as lines for a terminal."""

from __future__ import annotations

import datetime
import math
import textwrap
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet import words
from tonnage.printable import printable
from tonnage.units import show_number, show_share

if TYPE_CHECKING:
    from tonnage.fleet.causes import Activity
    from tonnage.fleet.plan import LaunchPlan, Use

Date = datetime.date
WEEK = datetime.timedelta(days=7)

BLUES = ("#0072B2", "#56B4E9", "#004A73", "#7FB8D6")
COLOURS = {"trains": "#E69F00", "rl": "#B8860B", "improves": "#CC79A7", "fails": "#D55E00"}
IDLE = "#E3E5E8"
"""Okabe and Ito's colours, which most colour-blind readers can tell apart: blues for services, by model."""

LEFT, RIGHT, TOP, LANE, GAP = 170, 24, 92, 66, 26
WIDTH, HISTOGRAM = 1040, 64
SHOWN, BAR = 8, 20
"""Inputs of the tornado, and the height of each."""


def activities(plan: LaunchPlan) -> tuple[Activity, ...]:
    """Every activity of the timeline, services first, in the order in which they begin."""
    seen = dict.fromkeys(use.activity for use in sorted(plan.timeline, key=lambda use: use.start))
    return tuple(sorted(seen, key=lambda does: does.kind != "serves"))


def colour(does: Activity, every: tuple[Activity, ...]) -> str:
    """Fill of an activity."""
    if does.kind == "serves":
        return BLUES[_served(every).index(does) % len(BLUES)]
    return COLOURS[_style(does)]


def _served(every: Iterable[Activity]) -> list[Activity]:
    return [does for does in every if does.kind == "serves"]


def _style(does: Activity) -> str:
    """The key of `COLOURS` and `MARKS`: rl, fails and improves have their own, other stages are training."""
    return does.kind if does.kind in COLOURS else "trains"


def svg(plan: LaunchPlan) -> str:
    """The timeline of the draw at P50 above the distribution of the launch date, one self-contained SVG."""
    lots = tuple(dict.fromkeys(use.lot for use in plan.calendar))
    bottom = TOP + len(lots) * (LANE + GAP)
    below = bottom + HISTOGRAM + 104
    height = below + (len(plan.sensitivity[:SHOWN]) * BAR + 60 if plan.sensitivity else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#22262B">',
        f'<rect width="{WIDTH}" height="{height}" fill="#FFFFFF"/>',
        *_title(plan),
        *_axis(plan, bottom + HISTOGRAM + 20),
        *(part for index, lot in enumerate(lots) for part in _lane(plan, lot, TOP + index * (LANE + GAP))),
        *_histogram(plan, bottom),
        *_marks(plan, bottom + HISTOGRAM + 20),
        *_legend(plan, below - 40),
        *_tornado(plan, below),
        "</svg>",
    ]
    return printable("\n".join(parts)) + "\n"


def _x(plan: LaunchPlan, day: Date) -> float:
    share = (day - plan.start).days / max(1, (plan.end - plan.start).days)
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)


def _text(x: float, y: float, text: str, **style: str) -> str:
    attributes = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'


def _title(plan: LaunchPlan) -> list[str]:
    launch = plan.launch.p50
    words = f"{plan.model} launches by {launch} as likely as not" if launch else f"{plan.model} does not launch in time"
    below = f"{plan.name}: what each lot does in the draw at P50 (draw {plan.draw} of {plan.draws})"
    return [
        _text(16, 28, words, font_size="18", font_weight="bold"),
        _text(16, 48, below, fill="#5B636D"),
    ]


def _axis(plan: LaunchPlan, bottom: float) -> list[str]:
    parts = []
    months = (plan.end.year - plan.start.year) * 12 + plan.end.month - plan.start.month
    step = next(s for s in (1, 2, 3, 6, 12, 24) if months / s <= 12 or s == 24)
    for month in range(0, months + 1, step):
        number = plan.start.year * 12 + plan.start.month + month
        day = Date(number // 12, number % 12 + 1, 1)
        if not plan.start <= day <= plan.end:
            continue
        x = _x(plan, day)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom:.1f}" stroke="#EEF0F2"/>')
        parts.append(_text(x, TOP - 14, f"{day:%Y-%m}", text_anchor="middle", fill="#5B636D", font_size="11"))
    return parts


def _lane(plan: LaunchPlan, lot: str, top: float) -> list[str]:
    """One lot: what is there in grey, what it does stacked on it by period."""
    there = [use for use in plan.calendar if use.lot == lot]
    most = max(use.accelerators for use in there)
    base = top + LANE
    every = activities(plan)
    parts = [
        _text(16, top + 26, lot, font_weight="bold"),
        _text(16, top + 43, f"{show_number(most, 4)} accelerators", fill="#5B636D", font_size="11"),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}" stroke="#C8CDD3"/>',
    ]
    parts += [_bar(plan, use, base, 0.0, LANE / most, IDLE, f"{lot}: there") for use in there]
    stacked: dict[Date, float] = {}
    uses = [use for use in plan.timeline if use.lot == lot]
    for does in every:
        for use in (use for use in uses if use.activity == does):
            below = stacked.get(use.start, 0.0)
            parts.append(_bar(plan, use, base, below, LANE / most, colour(does, every), f"{lot} {use.does}"))
            stacked[use.start] = below + use.accelerators
    return parts


def _bar(plan: LaunchPlan, use: Use, base: float, below: float, scale: float, fill: str, what: str) -> str:
    x, width = _x(plan, use.start), _x(plan, use.end) - _x(plan, use.start)
    height = use.accelerators * scale
    y = base - below * scale - height
    tip = escape(f"{what}: {show_number(use.accelerators)} from {use.start} to {use.end}")
    size = f'width="{width + 0.2:.2f}" height="{max(height, 0.0):.2f}"'
    return f'<rect x="{x:.2f}" y="{y:.2f}" {size} fill="{fill}"><title>{tip}</title></rect>'


def _histogram(plan: LaunchPlan, top: float) -> list[str]:
    """Draws by week of launch."""
    weeks = max(1, math.ceil((plan.end - plan.start).days / 7))
    counts = [0] * weeks
    for day in plan.days:
        if day <= (plan.end - plan.start).days:
            counts[min(int(day // 7), weeks - 1)] += 1
    base, tallest = top + HISTOGRAM + 20, max([*counts, 1])
    parts = [
        _text(16, top + 46, "launch date", font_weight="bold"),
        _text(16, top + 63, f"{plan.draws} draws, by week", fill="#5B636D", font_size="11"),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}" stroke="#C8CDD3"/>',
    ]
    for week, count in enumerate(counts):
        if count:
            x = _x(plan, plan.start + week * WEEK)
            width = _x(plan, plan.start + (week + 1) * WEEK) - x
            height = HISTOGRAM * count / tallest
            box = f'x="{x:.2f}" y="{base - height:.2f}" width="{max(width - 0.8, 0.5):.2f}" height="{height:.2f}"'
            parts.append(f'<rect {box} fill="#009E73"><title>{count} draws</title></rect>')
    return parts


def _marks(plan: LaunchPlan, bottom: float) -> list[str]:
    """Launch dates as dashed lines from top to bottom, rules as dotted ones with their day."""
    parts = []
    for name in ("p10", "p50", "p90"):
        day = getattr(plan.launch, name)
        if day is not None:
            x, width = _x(plan, day), "1.8" if name == "p50" else "1"
            line = f'x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom:.1f}"'
            parts.append(f'<line {line} stroke="#00734F" stroke-width="{width}" stroke-dasharray="5 3"/>')
            where = {"p10": "end", "p50": "middle", "p90": "start"}[name]
            bold = "bold" if name == "p50" else "normal"
            parts.append(
                _text(x, bottom + 16, f"{name.upper()} {day}", text_anchor=where, fill="#00734F", font_weight=bold)
            )
    late = 1 - plan.probability
    if late > 0.005:
        words = f"{show_share(late)} later or never"
        parts.append(_text(WIDTH - RIGHT, bottom - HISTOGRAM - 2, words, text_anchor="end", fill="#5B636D"))
    for day, names in _refusals(plan).items():
        x = _x(plan, day)
        line = f'x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom:.1f}"'
        parts.append(f'<line {line} stroke="#8C2D04" stroke-width="1.2" stroke-dasharray="2 3"/>')
        parts.append(_text(x + 4, TOP + 4, f"{day}: no more {names}", fill="#8C2D04", font_size="11"))
    return parts


def _refusals(plan: LaunchPlan) -> dict[Date, str]:
    found: dict[Date, list[str]] = {}
    for item in plan.not_lawful:
        found.setdefault(max(item.start, plan.start), []).append(item.chip)
    return {day: ", ".join(dict.fromkeys(names)) for day, names in found.items()}


def _legend(plan: LaunchPlan, y: float) -> list[str]:
    every = activities(plan)
    shown = [(words.activity(does), colour(does, every)) for does in every] + [("there, not used", IDLE)]
    parts, x = [], 16.0
    for does, fill in shown:
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="12" rx="2" fill="{fill}"/>')
        parts.append(_text(x + 17, y + 10.5, does, font_size="11"))
        x += 17 + 6.3 * len(does) + 20
    return parts


def _tornado(plan: LaunchPlan, top: float) -> list[str]:
    """What moves the launch most: days between the mean launches of the upper and the lower third of each input."""
    shown = plan.sensitivity[:SHOWN]
    if not shown:
        return []
    most = max(abs(item.swing) for item in shown) or 1.0
    middle, reach = WIDTH - RIGHT - 280.0, 160.0
    parts = [_text(16, top + 8, "what moves it most", font_weight="bold")]
    parts.append(
        _text(
            middle,
            top + 8,
            "days later with more of it, or earlier; how much oftener never",
            text_anchor="middle",
            fill="#5B636D",
        )
    )
    for index, item in enumerate(shown):
        y, length = top + 24 + index * BAR, reach * abs(item.swing) / most
        left = middle if item.swing > 0 else middle - length
        box = f'x="{left:.2f}" y="{y:.2f}" width="{max(length, 0.5):.2f}" height="{BAR - 6}"'
        fill = "#D55E00" if item.swing > 0 else "#009E73"
        parts.append(f'<rect {box} fill="{fill}"><title>{escape(item.name)}: {item.swing:+.0f} d</title></rect>')
        parts.append(
            _text(16, y + 11, textwrap.shorten(f"{item.name}: {item.text}", 74, placeholder=" ..."), font_size="11")
        )
        beyond, anchor = (left + length + 5, "start") if item.swing > 0 else (left - 5, "end")
        parts.append(
            _text(
                beyond,
                y + 11,
                f"{item.swing:+.0f}, never {100 * item.never:+.0f} %",
                text_anchor=anchor,
                font_size="11",
            )
        )
    line = f'x1="{middle:.1f}" x2="{middle:.1f}" y1="{top + 18:.1f}" y2="{top + 22 + len(shown) * BAR:.1f}"'
    return [*parts, f'<line {line} stroke="#5B636D"/>']


# terminal

MARKS = {"trains": "T", "rl": "L", "improves": "i", "fails": "x"}
KEY = {"trains": "trains", "rl": "reinforcement learning", "improves": "improves", "fails": "trains (fails)"}
COLUMNS, LABEL, TAIL = 78, 28, 8
"""Most letters of a row, most characters of a lot's name before them, and room that the ruler needs behind them."""


def lines(plan: LaunchPlan, most: int = 112) -> tuple[str, ...]:
    """The timeline for a terminal, at most so wide: rows for each lot, a column for a week or more, a letter for what
    it does; what fewer accelerators of a lot do at the same time stands in the rows below.
    """
    lots = tuple(dict.fromkeys(use.lot for use in plan.calendar))
    if not lots:
        return ()
    days = (plan.end - plan.start).days
    label = min(LABEL, max(len("launch"), *(len(lot) for lot in lots)))
    width = label + 2
    columns = max(10, min(COLUMNS, math.ceil(days / 7), most - width - TAIL))
    every = activities(plan)
    rows = [f"timeline of the draw at P50, {days / columns:.0f} days a letter", *_ruler(plan, columns, width)]
    for lot in lots:
        cells = [_cells(plan, lot, every, column, columns) for column in range(columns)]
        depth = max(map(len, cells))
        for row in range(depth):
            name = _shortened(lot, label) if row == 0 else ""
            marks = "".join(cell[row] if row < len(cell) else " " for cell in cells)
            rows.append(f"  {name:<{width}}{marks}".rstrip())
    rows.append(f"  {'launch':<{width}}{_launch_row(plan, columns)}")
    rows += [f"  {share:>{width - 2}.0%}  {row}" for share, row in _fan(plan, columns)]
    rows += ["  " + " " * width + line for line in textwrap.wrap(_key(every), max(40, most - width - 2))]
    return tuple(rows)


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _mark(does: Activity, every: Iterable[Activity]) -> str:
    if does.kind == "serves":
        return str(_served(every).index(does) + 1)[-1]
    return MARKS[_style(does)]


def _cells(plan: LaunchPlan, lot: str, every: tuple[Activity, ...], column: int, columns: int) -> str:
    """Letters of what a lot does in a column, what most of its accelerators do first."""
    day = _column_day(plan, column + 0.5, columns)
    if not any(use.lot == lot and use.start <= day < use.end for use in plan.calendar):
        return " "
    uses = [use for use in plan.timeline if use.lot == lot and use.start <= day < use.end]
    ordered = sorted(uses, key=lambda use: -use.accelerators)
    return "".join(dict.fromkeys(_mark(use.activity, every) for use in ordered))[:ROWS] or "."


ROWS = 3
"""Most things at the same time that the timeline shows of a lot."""


def _column_day(plan: LaunchPlan, column: float, columns: int) -> Date:
    return plan.start + datetime.timedelta(days=(plan.end - plan.start).days * column / columns)


def _column(plan: LaunchPlan, day: Date, columns: int) -> int:
    share = (day - plan.start).days / max(1, (plan.end - plan.start).days)
    return min(columns - 1, max(0, int(share * columns)))


def _ruler(plan: LaunchPlan, columns: int, width: int) -> list[str]:
    row = [" "] * (columns + 8)
    after = 0
    for month in range(1, 600):
        number = plan.start.year * 12 + plan.start.month - 1 + month
        day = Date(number // 12, number % 12 + 1, 1)
        if day > plan.end:
            break
        at = _column(plan, day, columns)
        if at >= after:
            row[at : at + 7] = f"{day:%Y-%m}"
            after = at + 10
    return ["  " + " " * width + "".join(row).rstrip()]


def _launch_row(plan: LaunchPlan, columns: int) -> str:
    row = [" "] * columns
    days = [getattr(plan.launch, name) for name in ("p10", "p50", "p90")]
    places = [columns - 1 if day is None else _column(plan, day, columns) for day in days]
    for at in range(places[0], places[2] + 1):
        row[at] = "-"
    for at, day, mark in zip(places, days, "<*>", strict=True):
        if day is not None:
            row[at] = mark
    return "".join(row).rstrip()


FAN = (0.9, 0.7, 0.5, 0.3, 0.1)
"""Shares of the draws, the rows of the fan."""


def _fan(plan: LaunchPlan, columns: int) -> list[tuple[float, str]]:
    """Rows of the fan of dates: a mark in each column by whose end that share of the draws has launched."""
    days = np.sort(np.asarray(plan.days, dtype=float))
    if not days.size:
        return []
    ends = (plan.end - plan.start).days * (np.arange(columns) + 1) / columns
    launched = np.searchsorted(days, ends, side="right") / days.size
    return [(share, "".join("#" if at >= share else " " for at in launched).rstrip()) for share in FAN]


def _key(every: tuple[Activity, ...]) -> str:
    marks: dict[str, str] = {}
    for does in every:
        marks.setdefault(_mark(does, every), words.activity(does) if does.kind == "serves" else KEY[_style(does)])
    listed = [f"{mark} {text}" for mark, text in marks.items()]
    return ", ".join([*listed, ". there, not used", "< * > P10 P50 P90 of the launch", "# that share has launched"])
