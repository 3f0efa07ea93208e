"""A verdict in words, and as one HTML file with its plots: no script, nothing fetched, dark and light."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from html import escape

from tonnage.qualify.gate import Part, State, Verified
from tonnage.qualify.verdict import PARTS, Verdict

WIDE = 110
"""Columns from which on a line has the limit beside what was measured."""

MARKS: dict[State, str] = {"pass": "pass", "fail": "FAIL", "not tested": "----", "not enough evidence": "more"}


def words(found: Verdict, width: int = 80) -> str:
    """The verdict for people: the word, what binds, what is missing, the gates."""
    lines = _wrapped(f"{found.device}: {found.verdict}", width)
    lines += _wrapped(f"{found.model} on {found.cards:,} cards for {found.days:g} days", width, "  ")
    lines += _wrapped(f"serves: {found.serves}; trains: {found.trains}", width, "  ")
    lines += _listed("what binds", found.binds, width) + _listed("missing evidence", found.missing, width)
    for part in PARTS:
        held = [gate for gate in found.gates if gate.part == part]
        if held:
            lines += ["", part, *(_line(gate, width) for gate in held)]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=True)


def _listed(title: str, items: Iterable[str], width: int) -> list[str]:
    held = list(items)
    return ["", title, *(line for item in held for line in _wrapped(item, width, "  "))] if held else []


def _line(gate: Verified, width: int) -> str:
    figure = "" if gate.measured is None else f"{gate.measured:.3g}"
    if width >= WIDE and gate.limit is not None:
        figure = f"{figure} of {gate.limit:.3g} {gate.unit}".rstrip()
    room = width - len(figure) - 9
    name = gate.name if len(gate.name) <= room else gate.name[: max(1, room - 3)] + "..."
    return f"  {MARKS[gate.state]}  {name:{room}} {figure}".rstrip()


# the page

STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--soft:#d0d7de;--pass:#1a7f37;--fail:#cf222e;--open:#9a6700}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#30363d;--pass:#3fb950;--fail:#f85149;
--open:#d29922}}
body{font:15px/1.5 sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--soft);padding:.25rem .5rem;
text-align:left;vertical-align:top}.pass{color:var(--pass)}.fail{color:var(--fail)}.open{color:var(--open)}
svg{width:100%;height:auto}svg text{fill:var(--ink);font:12px sans-serif}
"""

CLASSES: dict[State, str] = {"pass": "pass", "fail": "fail", "not tested": "open", "not enough evidence": "open"}
WORDS = {"fit for training": "pass", "inference only": "open", "unfit": "fail", "unknown": "open"}


def page(found: Verdict) -> str:
    """The verdict as one HTML file."""
    title = escape(f"{found.device}: {found.verdict}")
    body = [
        f"<h1>{escape(found.device)}: <span class={WORDS[found.verdict]}>{found.verdict}</span></h1>",
        f"<p>{escape(found.model)} on {found.cards:,} cards for {found.days:g} days. Serves: {found.serves}; trains: "
        f"{found.trains}. {escape(found.software)} {escape(found.date)}</p>",
        _items("What binds", found.binds),
        _items("Missing evidence", found.missing),
        *(_section(part, [gate for gate in found.gates if gate.part == part]) for part in PARTS),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _items(title: str, items: Iterable[str]) -> str:
    held = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h2>{title}</h2><ul>{held}</ul>" if held else ""


def _section(part: Part, gates: list[Verified]) -> str:
    if not gates:
        return ""
    rows = "".join(_row(gate) for gate in gates)
    head = "<tr><th>gate<th>needed for<th>state<th>measured<th>limit<th>unit<th>why</tr>"
    return f"<h2>{part.capitalize()}</h2>{_plot(gates)}<table>{head}{rows}</table>"


def _row(gate: Verified) -> str:
    figures = ("" if value is None else f"{value:.4g}" for value in (gate.measured, gate.limit))
    cells = (gate.name, gate.needed, gate.state, *figures, gate.unit, gate.why)
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr class={CLASSES[gate.state]}>{shown}</tr>"


WIDTH, LEFT, STEP = 860, 330, 16
"""Width of a plot, room for names, height of a line [pixel]."""

DECADES = (-3.0, 3.0)
"""Powers of ten of measured over limit that a plot shows; what lies beyond stands at its edge."""


def _plot(gates: list[Verified]) -> str:
    """Each gate with a limit: measured over limit, on a logarithmic axis with the limit as a line."""
    drawn = [gate for gate in gates if gate.measured is not None and gate.limit]
    if not drawn:
        return ""
    height = STEP * (len(drawn) + 2)
    line = _x(1.0)
    parts = [
        f'<line x1="{line:.0f}" x2="{line:.0f}" y1="{STEP}" y2="{height}" stroke="var(--soft)" stroke-width="2"/>',
        f'<text x="{line:.0f}" y="12" text-anchor="middle">limit</text>',
    ]
    for at, gate in enumerate(drawn):
        y = STEP * (at + 2)
        name = gate.name if len(gate.name) < 50 else gate.name[:47] + "..."
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        assert gate.measured is not None and gate.limit
        x = _x(abs(gate.measured) / abs(gate.limit))
        parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="var(--{CLASSES[gate.state]})"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {height + STEP}" role="img" aria-label="measured over limit">{"".join(parts)}</svg>'
    )


def _x(ratio: float) -> float:
    low, high = DECADES
    power = high if not math.isfinite(ratio) else math.log10(max(ratio, 10.0**low))
    return LEFT + (min(power, high) - low) / (high - low) * (WIDTH - LEFT - 10)
