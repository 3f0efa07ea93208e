"""An answer as one HTML file that needs nothing else: words, charts that answer to hover, tables, sources, inputs.

The file asks for nothing outside itself (its policy forbids it), carries the scripts that draw (`data/vega`), and holds
the answer as JSON, so that `tonnage rerun FILE.html` asks it again. Everything that comes from a question is escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources

from tonnage.ask.saved import CLOSING, OPENING
from tonnage.printable import printable
from tonnage.report.answer import Answer, Table, safe
from tonnage.report.below import below
from tonnage.report.charts import Chart, Theme, charts_of, theme
from tonnage.report.envelope import Reply, envelope, plain

SCRIPTS = ("vega/vega.min.js", "vega/vega-lite.min.js", "vega/vega-embed.min.js", "standalone.js")
"""In the order in which they are loaded."""

MOST = 500_000
"""Characters of the answer's JSON that a file carries; beyond it the charts and tables stand alone."""


def page(reply: Reply, command: str | None = None) -> str:
    """The whole file; command: the command line that asks the same."""
    body: Mapping[str, object] = plain(envelope(reply))
    charts, said = (*charts_of(body), *below(body)), safe(reply.answer)
    parts = [
        _headline(said),
        _figures(charts),
        _why(said),
        *(_table(table) for table in said.tables),
        _sources(reply, body),
        _again(body, command),
    ]
    return _document(str(body["command"]), said.sentence, "\n".join(part for part in parts if part), charts, body)


def _document(verb: str, sentence: str, main: str, charts: tuple[Chart, ...], body: Mapping[str, object]) -> str:
    """Head, policy, words, data and scripts around what is shown."""
    scripts = [*map(_file, SCRIPTS)] if charts else [_file("standalone.js")]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    drawn = {"charts": [chart.to_json() for chart in charts], "themes": {name: theme(name) for name in _THEMES}}
    data = _script_json("charts", drawn) + "\n" + _answer_json(body)
    tail = "\n".join(f"<script>{script}</script>" for script in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="referrer" content="no-referrer">
<title>tonnage {escape(verb)}: {escape(sentence[:120])}</title>
<style>{_file("standalone.css")}</style>
</head>
<body>
<a class="skip" href="#main">to the answer</a>
<header><span>tonnage {escape(verb)}</span><button type="button" id="theme" hidden>dark or light</button></header>
<main id="main">
{main}
</main>
<footer>{escape(_made(body))}
</footer>
{data}
{tail}
</body>
</html>
"""


_THEMES: tuple[Theme, ...] = ("light", "dark")


@functools.cache
def _file(name: str) -> str:
    """A file that is carried; no script of ours or of others holds what would end it."""
    return resources.files("tonnage.report").joinpath(f"data/{name}").read_text("utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _inert(value: object) -> str:
    """JSON in which no `<` stands, so that nothing ends the element around it early."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _script_json(name: str, value: object) -> str:
    return f'<script type="application/json" id="{name}">{_inert(value)}</script>'


def _answer_json(body: Mapping[str, object]) -> str:
    """The answer where `tonnage.ask.saved` finds it again; nothing where it is too large."""
    text = _inert(body)
    return f"{OPENING}{text}{CLOSING}" if len(text) <= MOST else ""


def _headline(said: Answer) -> str:
    word = "yes" if said.feasible else "no"
    return f'<h1 class="{word}">{escape(said.sentence)}</h1>'


def _figures(charts: Iterable[Chart]) -> str:
    """A place for each chart, with what it shows in words; scripts draw into it."""
    made = [
        f'<figure><h2>{escape(chart.title)}</h2><div class="chart" id="chart-{index}" role="img" '
        f'aria-label="{escape(chart.title)}. {escape(chart.text)}"></div><figcaption>{escape(chart.text)} '
        f'<span class="tools" data-chart="{index}"></span></figcaption></figure>'
        for index, chart in enumerate(charts)
    ]
    return f'<section class="charts" aria-label="charts">{"".join(made)}</section>' if made else ""


def _why(said: Answer) -> str:
    """Numbers and reasons, a line each."""
    if not said.rows:
        return ""
    lines = "".join(f"<dt>{escape(label) or '&nbsp;'}</dt><dd>{escape(text)}</dd>" for label, text in said.rows)
    return f"<section><h2>numbers and why</h2><dl>{lines}</dl></section>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}</section>"
    )


def _sources(reply: Reply, body: Mapping[str, object]) -> str:
    """Every fact that the answer rests on, with where it is from."""
    if reply.catalog is None:
        return ""
    from tonnage.report.sources import facts_of

    facts, _ = facts_of(body, reply.catalog)
    if not facts:
        return ""
    rows = tuple(
        tuple(printable(str(fact[key])) for key in ("fact", "text", "kind", "date", "source")) for fact in facts
    )
    inner = _table(Table("sources", ("fact", "value", "kind", "date", "source"), rows))
    return f"<details><summary>{len(rows)} facts that this rests on, with their sources</summary>{inner}</details>"


def _again(body: Mapping[str, object], command: str | None) -> str:
    """How to ask again: the command, the inputs, the answer to keep."""
    inputs = body["inputs"] if isinstance(body["inputs"], Mapping) else {}
    given = tuple(
        (printable(str(name)), printable(str(value)))
        for name, value in inputs.items()
        if value not in (None, False, "", [])
    )
    line = f"<pre><code>{escape(printable(command))}</code></pre>" if command else ""
    table = _table(Table("inputs", ("input", "as given"), given)) if given else ""
    held = HELD if _answer_json(body) else "The answer is too large to be held here; -o FILE.json saves it."
    return f"<section><h2>ask again</h2>{line}<p>{held}</p></section>{table}"


HELD = """This file holds the answer as JSON: <code>tonnage rerun FILE.html</code> asks it again, where its verb can be.
<button type="button" id="save" hidden>save the JSON</button>"""


def _made(body: Mapping[str, object]) -> str:
    """By which version, from which catalogue, with which seed."""
    return f"tonnage {body['version']}, catalogue {str(body['catalog'] or '-')[:12]}, seed {body['seed']}"
