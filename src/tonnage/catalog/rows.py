"""Tables of facts that are read when they are asked for: a table whole, or the rows of one entity.

A command asks for one chip and its prices, of some thousand facts. Rows are split when their table is first looked at;
what is in them is checked when it becomes a fact. All of ours are read, and checked, by a test; a user's are at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from tonnage.catalog.facts import Fact, Source
from tonnage.catalog.tables import TableReader, TableRow

Added = Mapping[str, tuple[Fact, ...]]


class FactTables(Mapping[str, tuple[Fact, ...]]):
    """Facts by table. texts: of our tables, by name; added: a user's own facts, which come before ours in each table.

    Raises InputError with every problem of a table's rows when they are read.
    """

    def __init__(self, texts: Mapping[str, Callable[[], str]], sources: Mapping[str, Source], added: Added) -> None:
        self._texts, self._sources, self._added = texts, sources, added
        self._split: dict[str, dict[str, list[TableRow]]] = {}
        self._known: dict[str, tuple[Fact, ...]] = {}
        self._about: dict[tuple[str, str], tuple[Fact, ...]] = {}
        self._of: dict[str, tuple[Fact, ...]] = {}

    def __getitem__(self, table: str) -> tuple[Fact, ...]:
        if table not in self._known:
            rows = sorted(row for rows in self._rows(table).values() for row in rows)
            self._known[table] = (*self._added.get(table, ()), *self._read(table, rows))
        return self._known[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def with_added(self, added: Added) -> FactTables:
        """The same with a user's own facts before them."""
        return FactTables(self._texts, self._sources, added)

    def and_added(self, added: Added) -> FactTables:
        """The same with more facts, behind those that were added before."""
        tables = {*self._added, *added}
        both = {table: (*self._added.get(table, ()), *added.get(table, ())) for table in tables}
        return FactTables(self._texts, self._sources, both)

    def of(self, entity: str) -> tuple[Fact, ...]:
        """Every fact about an entity, in the order of the tables."""
        if entity not in self._of:
            self._of[entity] = tuple(fact for table in self for fact in self.about(table, entity))
        return self._of[entity]

    def entities(self, table: str) -> tuple[str, ...]:
        """What a table is about, in its order."""
        own = (fact.entity for fact in self._added.get(table, ()))
        return tuple(dict.fromkeys((*own, *self._rows(table))))

    def about(self, table: str, entity: str) -> tuple[Fact, ...]:
        """Facts of a table about an entity."""
        if (table, entity) not in self._about:
            own = (fact for fact in self._added.get(table, ()) if fact.entity == entity)
            there = table in self._split or entity in self._texts[table]()
            rows = self._rows(table).get(entity, []) if there else []
            self._about[table, entity] = (*own, *self._read(table, rows))
        return self._about[table, entity]

    def having(self, table: str, attributes: Collection[str]) -> tuple[Fact, ...]:
        """Facts of a table that have one of some attributes."""
        own = (fact for fact in self._added.get(table, ()) if fact.attribute in attributes)
        rows = (row for rows in self._rows(table).values() for row in rows if row.cells["attribute"] in attributes)
        return (*own, *self._read(table, sorted(rows)))

    def _rows(self, table: str) -> dict[str, list[TableRow]]:
        """Rows by entity."""
        if table not in self._split:
            reader = TableReader(self._sources)
            found: dict[str, list[TableRow]] = {}
            for row in reader.rows(self._texts[table](), f"{table}.csv"):
                found.setdefault(row.cells["entity"], []).append(row)
            reader.raise_problems()
            self._split[table] = found
        return self._split[table]

    def _read(self, table: str, rows: list[TableRow]) -> tuple[Fact, ...]:
        """Rows as facts: an id is one of its entity, so that parts of a table are read as the whole is."""
        reader = TableReader(self._sources)
        facts = reader.facts_of(rows, f"{table}.csv")
        reader.raise_problems()
        return facts
