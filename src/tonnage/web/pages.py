"""HTML of the views: a form made of fields, a place for the answer. Templates escape whatever they are given."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tonnage.printable import printable
from tonnage.report.charts import theme
from tonnage.web import labels
from tonnage.web.fields import SHOWN, VIEWS, ViewField, usual

if TYPE_CHECKING:
    from tonnage.web.app import PageSettings

STATIC = ("launch", "runs", "qualify", "catalogue")
"""Views with a part of their own beside form and answer."""


@functools.cache
def environment() -> Environment:
    """Templates, with everything escaped."""
    loader = PackageLoader("tonnage.web", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), undefined=StrictUndefined)


def view(request: Request, name: str, settings: PageSettings) -> Response:
    """One view."""
    words = labels.labels(labels.chosen(request.headers.get("accept-language", "")))
    fields = [_shown(name, field, words) for field in VIEWS[name] if field.name not in ("off",)]
    asked = request.query_params
    given = {field["name"]: printable(asked.get(str(field["name"]), str(field["usual"]))) for field in fields}
    state = {
        "view": name,
        "usual": {field.name: usual(name, field) for field in VIEWS[name]},
        "labels": words["browser"],
        "themes": {"light": theme("light"), "dark": theme("dark")},
        "programme": settings.asker.start(None)[0],
        "ledger": settings.asker.ledger is not None,
    }
    known = {"name": name, "views": list(VIEWS), "fields": fields, "given": given, "state": json.dumps(state)}
    return _page("view.html", words, known, 200)


def missing(request: Request) -> Response:
    """There is no such view."""
    words = labels.labels(labels.chosen(request.headers.get("accept-language", "")))
    return _page("missing.html", words, {"name": "", "views": list(VIEWS)}, 404)


def _page(template: str, words: dict[str, object], known: Mapping[str, object], status: int) -> Response:
    language = labels.word(words, "page.language")
    text = environment().get_template(template)
    html = text.render(word=lambda key: labels.word(words, key), language=language, **known)
    return HTMLResponse(html, status)


def _shown(view: str, field: ViewField, words: dict[str, object]) -> dict[str, object]:
    """A field as the form shows it."""
    key = f"fields.{view}.{field.name}"
    own = labels.word(words, f"{key}.label")
    base = key if own != f"{key}.label" else f"fields.every.{field.name}"
    hint = labels.word(words, f"{base}.hint")
    return {
        "name": field.name,
        "kind": field.kind,
        "choices": field.choices,
        "usual": usual(view, field),
        "more": field.more,
        "label": labels.word(words, f"{base}.label"),
        "hint": "" if hint == f"{base}.hint" else hint,
        "needed": field.name in SHOWN.get(view, {}) and field.name in ("model", "on"),
    }


@functools.cache
def names() -> dict[str, list[str]]:
    """Names of models and of chips."""
    from tonnage import catalog
    from tonnage.model.load import bundled_names

    held = catalog.load(None)
    return {"models": sorted(set(bundled_names())), "chips": sorted({*held.chips(), *held.aliases})}
