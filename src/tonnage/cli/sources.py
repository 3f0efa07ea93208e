"""`tonnage sources RESULT.json`: where the facts in a saved answer come from."""

from __future__ import annotations

from pathlib import Path

from tonnage.cli.common import COMMON, Common, Result, check_outputs, finish
from tonnage.cli.saved import read_answer
from tonnage.report.answer import Answer, Table


def sources(result: Path, /, *, common: Common = COMMON) -> int:
    """Where the facts in a saved answer come from.

    Parameters
    ----------
    result
        a result saved with `-o FILE.json`.
    """
    from tonnage.catalog.show import shown

    saved = read_answer(result)
    check_outputs(common)
    catalog = common.load_catalog()
    wanted = [str(name) for name in saved.get("sources") or []]
    known = {fact.id: fact for fact in catalog.facts}
    found = [known[name] for name in wanted if name in known]
    lost = [name for name in wanted if name not in known]
    records: tuple[dict[str, object], ...] = tuple(
        {"fact": f.id, "value": f.value, "unit": f.unit, "text": shown(f), "kind": f.kind, "date": str(f.date or ""),
         "source": f.source, "where": f.locator, "note": f.note}
        for f in found
    )  # fmt: skip
    rows = tuple(
        (str(r["fact"]), _short(str(r["text"]), 34), str(r["kind"]), _short(str(r["source"]), 80)) for r in records
    )
    same = saved.get("catalog") == catalog.digest
    note = "" if same else "the catalogue has changed since the answer was saved; values shown are today's"
    sentence = f"{len(found)} facts of the catalogue went into this answer ({saved['command']})"
    sentence += f"; {len(lost)} are no longer in it: {', '.join(lost[:5])}." if lost else "."
    answer = Answer(
        sentence, tables=(Table("facts", ("fact", "value", "kind", "source"), rows, note),), records=records
    )
    body = {"facts": list(records), "lost": lost, "same_catalog": same}
    return finish(Result("sources", {"result": str(result)}, body, answer, catalog=catalog), common)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
