"""Tables that are read when they are asked for say what the whole of them says."""

from __future__ import annotations

import pytest

from tonnage.catalog import load
from tonnage.catalog.catalog import TABLES
from tonnage.catalog.facts import Source
from tonnage.catalog.loading import DATA, _bundled
from tonnage.catalog.rows import FactTables
from tonnage.catalog.tables import TableReader
from tonnage.errors import InputError

HEADER = "entity,attribute,value,unit,low,high,source,locator,retrieved,date,kind,note\n"
SOURCES = {"s": Source("s", "a source")}


def tables(**texts: str) -> tuple[FactTables, list[str]]:
    """Tables of these rows, and a list that grows by the name of each table that is opened."""
    opened: list[str] = []

    def text(name: str, rows: str) -> str:
        opened.append(name)
        return HEADER + rows

    made = {name: lambda name=name, rows=rows: text(name, rows) for name, rows in texts.items()}
    return FactTables(made, SOURCES, {}), opened


def row(entity: str, attribute: str = "memory", value: str = "80", unit: str = "GB") -> str:
    return f"{entity},{attribute},{value},{unit},,,s,,,,datasheet,\n"


def test_every_bundled_row_is_read_and_has_no_problem() -> None:
    """Rows are checked when they are read, so here all are; one reader for all tables gives the same, ids included."""
    catalog, reader = load(), TableReader()
    reader.read_sources((DATA / "sources.csv").read_text(encoding="utf-8"), "sources.csv")
    every = [
        fact
        for table in TABLES
        for fact in reader.read_facts((DATA / f"{table}.csv").read_text(encoding="utf-8"), f"{table}.csv")
    ]
    reader.raise_problems()
    assert list(catalog.facts) == every
    assert len({fact.id for fact in every}) == len(every) > 4000


def test_an_entity_is_found_in_every_table_without_reading_them_whole() -> None:
    catalog = load()
    by_entity: dict[str, list[object]] = {}
    for fact in catalog.facts:
        by_entity.setdefault(fact.entity, []).append(fact)
    fresh = _bundled.__wrapped__().tables
    for entity, facts in by_entity.items():
        assert list(fresh.of(entity)) == facts
        assert catalog.by_id(facts[-1].id) == facts[-1]  # type: ignore[attr-defined]


def test_a_table_without_the_entity_is_not_split() -> None:
    found, _ = tables(chips=row("a"), prices=row("b", value="eighty"))
    assert [fact.entity for fact in found.of("a")] == ["a"]
    with pytest.raises(InputError, match="eighty"):
        found.of("b")


def test_a_row_with_a_problem_does_not_hide_behind_another_entity() -> None:
    found, _ = tables(chips=row("a") + row("b", value="eighty"))
    assert len(found.about("chips", "a")) == 1
    with pytest.raises(InputError, match=r"chips\.csv:3:"):
        found["chips"]


def test_rows_of_one_entity_need_not_stand_together() -> None:
    found, _ = tables(chips=row("a") + row("b") + row("a", value="96"))
    assert [fact.value for fact in found.of("a")] == [80e9, 96e9]
    assert [fact.id for fact in found["chips"]] == ["a/memory", "b/memory", "a/memory#2"]
    assert [fact.id for fact in found.of("a")] == ["a/memory", "a/memory#2"]


def test_the_facts_of_a_user_come_first() -> None:
    found, _ = tables(chips=row("a"))
    (own,) = TableReader(SOURCES, own=True).read_facts(HEADER + row("a", value="96"), "mine.csv")
    merged = found.with_added({"chips": (own,)})
    assert [fact.value for fact in merged.of("a")] == [fact.value for fact in merged["chips"]] == [96e9, 80e9]
    assert merged.entities("chips") == ("a",)


def test_what_was_read_is_kept() -> None:
    found, opened = tables(chips=row("a") + row("b"))
    first = found.of("a")
    before = len(opened)
    assert found.of("a") is first
    assert len(opened) == before
