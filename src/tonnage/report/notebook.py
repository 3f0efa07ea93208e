"""Results in a notebook: words, charts, tables. `tonnage.shown.ShownResult` finds this module by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from tonnage.report import frames
from tonnage.report.answer import Answer, Table, render, safe
from tonnage.report.charts import MIME, Chart, charts_of, theme
from tonnage.report.charts.chart import SCHEMA, WIDTH, Spec
from tonnage.report.extras import missing
from tonnage.report.pictures import draw
from tonnage.report.told import told

TABLES, ROWS = 3, 12
"""Tables of an answer that a cell shows, and rows of each."""

CHARTS = 3
"""Charts that a cell shows: the first."""

LETTERS = 88
"""Of a line of the sentence above the charts."""


def html(result: object) -> str:
    """Words and tables; charts as pictures within where vl-convert is there to draw them."""
    reply = told(result)
    said = safe(reply.answer)
    parts = [f"<p><strong>{escape(said.sentence)}</strong></p>", *_pictures(charts_of(reply)), _rows(said)]
    parts += [_table(table) for table in said.tables[:TABLES]]
    return f'<div class="tonnage">{"".join(parts)}</div>'


def bundle(result: object) -> dict[str, object]:
    """The same by MIME type: text, HTML, and the charts under each other as one Vega-Lite value."""
    reply = told(result)
    made: dict[str, object] = {"text/plain": render(reply.answer), "text/html": html(result)}
    charts = charts_of(reply)[:CHARTS]
    return made | ({MIME: stacked(safe(reply.answer).sentence, charts)} if charts else {})


def to_frame(result: object) -> object:
    """The main table as a data frame."""
    return frames.frame(frames.records_of(told(result).answer))


def stacked(sentence: str, charts: tuple[Chart, ...], width: int = WIDTH) -> Spec:
    """Charts under each other as one value, with a sentence above."""
    import textwrap

    parts = [fixed(chart, width) for chart in charts]
    title = {"text": textwrap.wrap(sentence, LETTERS), "anchor": "start", "fontWeight": 600}
    apart = {"color": "independent", "shape": "independent", "fill": "independent"}
    return {"$schema": SCHEMA, "title": title, "vconcat": parts, "resolve": {"scale": apart}, "config": theme("light")}


def fixed(chart: Chart, width: int) -> Spec:
    """A chart of a width, to stand beside others: what depends on the width is worked out."""
    left_out = ("$schema", "autosize", "width", "description")
    spec = {key: value for key, value in chart.spec.items() if key not in left_out}
    made = _at(spec, width)
    assert isinstance(made, dict)
    return {**made, "width": width}


def _at(value: object, width: int) -> object:
    if isinstance(value, Mapping):
        if set(value) == {"expr"}:
            return {"expr": re.sub(r"\bwidth\b", str(width), str(value["expr"]))}
        return {key: _at(item, width) for key, item in value.items()}
    if isinstance(value, list):
        return [_at(item, width) for item in value]
    return value


def _pictures(charts: tuple[Chart, ...]) -> list[str]:
    if missing(".svg") is not None:
        return []
    drawn = ((chart, draw(chart, ".svg").decode("utf-8")) for chart in charts[:CHARTS])
    return [f'<div role="img" aria-label="{escape(chart.text)}">{picture}</div>' for chart, picture in drawn]


def _rows(said: Answer) -> str:
    rows = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in said.rows)
    return f"<table>{rows}</table>" if rows else ""


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows[:ROWS])
    more = f"<p>and {len(table.rows) - ROWS} more</p>" if len(table.rows) > ROWS else ""
    return f"<p>{escape(table.title)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def stream(result: object, schema: object) -> object:
    """The main table as an Arrow stream, for any library that takes one."""
    table: frames.ArrowStream = frames.arrow(frames.records_of(told(result).answer))
    return table.__arrow_c_stream__(schema)
