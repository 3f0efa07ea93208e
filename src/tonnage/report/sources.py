"""Where the facts in an answer come from, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tonnage.catalog.show import shown
from tonnage.report.answer import Answer, Table

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Row = dict[str, object]


def facts_of(saved: Mapping[str, Any], catalog: Catalog) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The facts that a saved answer rests on, as the catalogue has them now, and ids that it no longer has."""
    wanted = [str(name) for name in saved.get("sources") or []]
    known = {fact.id: fact for fact in catalog.facts}
    found = [known[name] for name in wanted if name in known]
    rows: tuple[Row, ...] = tuple(
        {"fact": f.id, "value": f.value, "unit": f.unit, "text": shown(f), "kind": f.kind, "date": str(f.date or ""),
         "source": f.source, "where": f.locator, "note": f.note}
        for f in found
    )  # fmt: skip
    return rows, tuple(name for name in wanted if name not in known)


def answer(command: str, facts: tuple[Row, ...], lost: tuple[str, ...], *, same: bool) -> Answer:
    """The facts as a table; same: whether the catalogue is the one that was asked."""
    rows = tuple(
        (str(r["fact"]), _short(str(r["text"]), 34), str(r["kind"]), _short(str(r["source"]), 80)) for r in facts
    )
    note = "" if same else "the catalogue has changed since the answer was saved; values shown are today's"
    sentence = f"{len(facts)} facts of the catalogue went into this answer ({command})"
    sentence += f"; {len(lost)} are no longer in it: {', '.join(lost[:5])}." if lost else "."
    return Answer(sentence, tables=(Table("facts", ("fact", "value", "kind", "source"), rows, note),), records=facts)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
