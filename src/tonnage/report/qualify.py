"""A verdict in words, and as one HTML file with its plots: no script, nothing fetched, dark and light."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from html import escape

from tonnage.qualify.gate import Part, State, Verified, run_words
from tonnage.qualify.verdict import PARTS, Verdict

WIDE = 110
"""Columns from which on a line has the limit beside what was measured."""

MARKS: dict[State, str] = {"pass": "pass", "fail": "FAIL", "not tested": "----", "not enough evidence": "more"}


def words(found: Verdict, width: int = 80) -> str:
    """The verdict for people: the word, what binds, what is missing, the gates."""
    lines = _wrapped(f"{found.device}: {found.sentence}", width)
    lines += _wrapped(asked_for(found), width, "  ")
    lines += _wrapped(f"serves: {found.serves}; trains: {found.trains}", width, "  ")
    lines += _listed("what binds", found.binds, width) + _listed("missing evidence", found.missing, width)
    for part in PARTS:
        held = [gate for gate in found.gates if gate.part == part]
        if held:
            lines += ["", part, *(_line(gate, width) for gate in held)]
    return "\n".join(lines) + "\n"


def asked_for(found: Verdict) -> str:
    """The run that it was asked for: `MODEL on 8 cards for 30 days`."""
    return f"{found.model} on {run_words(found.cards, found.days)}"


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
div{overflow-x:auto}svg{width:100%;min-width:40rem;height:auto}svg text{fill:var(--ink);font:12px sans-serif}
summary{cursor:pointer}
"""

CLASSES: dict[State, str] = {"pass": "pass", "fail": "fail", "not tested": "open", "not enough evidence": "open"}
WORDS = {"fit for training": "pass", "inference only": "open", "unfit": "fail", "unknown": "open"}


def page(found: Verdict) -> str:
    """The verdict as one HTML file."""
    title = escape(f"{found.device}: {found.verdict}")
    body = [
        f"<h1>{escape(found.device)}: <span class={WORDS[found.verdict]}>{found.sentence}</span></h1>",
        f"<p>{escape(asked_for(found))}. Serves: {found.serves}; trains: {found.trains}.<br>{escape(found.software)}; "
        f"{escape(found.date)}</p>",
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
    """A part: its plot, the gates that did not pass, and the others to be opened."""
    if not gates:
        return ""
    passed = [gate for gate in gates if gate.state == "pass"]
    table = _table([gate for gate in gates if gate.state != "pass"])
    if passed:
        table += f"<details><summary>{len(passed)} of {len(gates)} gates passed</summary>{_table(passed)}</details>"
    return f"<h2>{part.capitalize()}</h2>{_plot(gates)}{table}"


def _table(gates: list[Verified]) -> str:
    if not gates:
        return ""
    head = "<tr><th>gate<th>needed for<th>state<th>measured<th>limit<th>unit<th>why</tr>"
    return f"<div><table>{head}{''.join(_row(gate) for gate in gates)}</table></div>"


def _row(gate: Verified) -> str:
    figures = ("" if value is None else f"{value:.4g}" for value in (gate.measured, gate.limit))
    first = f"<td>{escape(gate.name)}</td><td>{escape(gate.needed)}</td>"
    state = f"<td class={CLASSES[gate.state]}>{escape(gate.state)}</td>"
    return f"<tr>{first}{state}{''.join(f'<td>{escape(cell)}</td>' for cell in (*figures, gate.unit, gate.why))}</tr>"


WIDTH, LEFT, STEP = 880, 350, 16
"""Width of a plot, room for names, height of a line [pixel]."""

DECADES = (-3.0, 2.0)
"""Powers of ten of measured over limit that a plot shows; what lies beyond stands at its edge."""


LONGEST_NAME = 52
"""Characters of a name beside a plot; of a longer one the middle is left out, for its end tells it from others."""


def _plot(gates: list[Verified]) -> str:
    """Each gate with a limit: measured over limit, on a logarithmic axis; what is left of the limit is good."""
    drawn = [gate for gate in gates if gate.measured is not None and gate.limit]
    if not drawn:
        return ""
    height = STEP * (len(drawn) + 2)
    parts = [_tick(power, height) for power in range(round(DECADES[0]), round(DECADES[1]) + 1)]
    for at, gate in enumerate(drawn):
        y = STEP * (at + 2)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(_short(gate.name))}</text>')
        parts.append(f'<circle cx="{_x(_ratio(gate)):.1f}" cy="{y}" r="4" fill="var(--{CLASSES[gate.state]})"/>')
    box = f'<svg viewBox="0 0 {WIDTH} {height + STEP}" role="img" aria-label="measured over limit">'
    return f"<div>{box}{''.join(parts)}</svg></div>"


def _tick(power: int, height: float) -> str:
    """A power of ten of the axis, with its label; the limit itself is a thicker line."""
    at = _x(10.0**power)
    label = "limit" if power == 0 else f"x {10**power:,}" if power > 0 else f"1/{10**-power:,}"
    ink = "ink" if power == 0 else "soft"
    line = f'<line x1="{at:.0f}" x2="{at:.0f}" y1="{STEP}" y2="{height}" stroke="var(--{ink})"/>'
    return f'{line}<text x="{at:.0f}" y="12" text-anchor="middle">{label}</text>'


def _short(name: str) -> str:
    half = (LONGEST_NAME - 3) // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}...{name[-half:]}"


def _ratio(gate: Verified) -> float:
    """Measured over limit; the inverse where the limit is the least that passes."""
    assert gate.measured is not None and gate.limit
    ratio = abs(gate.measured) / abs(gate.limit)
    at_least = (gate.state == "pass" and ratio > 1) or (gate.state == "fail" and ratio < 1)
    return 1 / ratio if at_least and ratio else ratio


def _x(ratio: float) -> float:
    low, high = DECADES
    power = high if not math.isfinite(ratio) else math.log10(max(ratio, 10.0**low))
    return LEFT + (min(power, high) - low) / (high - low) * (WIDTH - LEFT - 30) + 10
