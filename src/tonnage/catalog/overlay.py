"""A folder of the user's own facts: tables with our columns, chips described in YAML. They come before ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tonnage import files, units
from tonnage.catalog.catalog import TABLES, Catalog
from tonnage.catalog.facts import KINDS, Fact, Source
from tonnage.catalog.limits import PRECISIONS, limit_of
from tonnage.catalog.names import normal
from tonnage.catalog.tables import TableReader
from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import UNSAFE, one_line

FILES, LIMIT = 100, 4_000_000
"""Most files that an overlay may hold, and the largest [byte]."""

QUANTITIES = {
    "memory": "memory",
    "bandwidth": "bandwidth",
    "link": "bandwidth",
    "nic": "bandwidth",
    "host_link": "bandwidth",
    "power": "power",
    "domain": "count",
    "dies": "count",
    "silicon_dies": "count",
    "die_area": "area",
    "process_node": "length",
}
"""Attributes of a chip in YAML that are quantities, and the kind of each; `rates.*` are FLOP/s."""

TEXTS = (
    *("title", "vendor", "stack", "generation", "designed_in"),
    *("memory_type", "link_name", "process", "note", "status", "market", "short", "read_as"),
)
FLAGS = ("datacentre", "china_oriented", "sold")
DATES = ("announced", "released", "shipping_from")
KEYS = (*TEXTS, *FLAGS, *DATES, *QUANTITIES, "chip", "rates", "source", "kind", "price", "place", "purchase")

_loaded: dict[str, Catalog] = {}


def read_overlay(folder: Path, base: Catalog) -> Catalog:
    """`base` with the facts of `folder` before its own. Raises InputError with every problem of every file."""
    contents = {path: files.read_text(path, LIMIT) for path in _members(folder)}
    parts = tuple(part for path, text in contents.items() for part in (path.name.encode(), text.encode()))
    total = files.digest((base.digest.encode(), *parts))
    if total not in _loaded:
        if len(_loaded) > 8:
            _loaded.clear()
        _loaded[total] = _build(contents, base, total)
    return _loaded[total]


def _members(folder: Path) -> list[Path]:
    """Files of the overlay by name. Hidden files and READMEs are passed over; others must be of a known name."""
    if not folder.is_dir():
        raise InputError(Problem("is not a folder of CSV and YAML files", where=str(folder)[:200]))
    paths = []
    for path in folder.iterdir():
        if not path.name.startswith(".") and not path.name.upper().startswith("README"):
            paths.append(path)
        if len(paths) > FILES:
            raise InputError(Problem(f"holds more than {FILES} files", where=str(folder)[:200]))
    allowed = [f"{table}.csv" for table in (*TABLES, "sources")]
    problems = [
        Problem("is not a table of the catalogue", str(path), suggestion=nearest(path.name, allowed))
        for path in paths
        if path.name not in allowed and path.suffix not in (".yaml", ".yml")
    ]
    if problems:
        raise InputError(problems, hint=f"tables: {', '.join(allowed)}; a chip goes into a YAML file of its own")
    return sorted(paths)


def _build(contents: Mapping[Path, str], base: Catalog, total: str) -> Catalog:
    reader = TableReader(base.source_list, own=True)
    for path, text in contents.items():
        if path.name == "sources.csv":
            reader.read_sources(text, str(path))
    added: dict[str, tuple[Fact, ...]] = {}
    for path, text in contents.items():
        if path.suffix == ".csv" and path.name != "sources.csv":
            added[path.stem] = reader.read_facts(text, str(path), path.stem)
    for path, text in contents.items():
        if path.suffix in (".yaml", ".yml"):
            for table, facts in _Described(path, text, reader).tables().items():
                added[table] = added.get(table, ()) + facts
    reader.raise_problems()
    return Catalog(total, base.tables.with_added(added), reader.sources, base.model_lines)


class _Described:
    """One chip described in YAML -> facts. Problems go to the reader, with their place in the file."""

    def __init__(self, path: Path, text: str, reader: TableReader) -> None:
        self.reader, self.path = reader, path
        self.document: files.Document | None = None
        try:
            self.document = files.parse_yaml(text, str(path))
        except InputError as error:
            reader.problems.extend(error.problems)

    def tables(self) -> dict[str, tuple[Fact, ...]]:
        """Facts for `chips` and `prices`."""
        given = self.document.value if self.document else {}
        if not isinstance(given, dict):
            self._problem((), "expected a chip: keys such as chip, source, rates, memory")
            return {}
        if not self.document:
            return {}
        self.key = normal(str(given.get("chip", self.path.stem)))
        self.kind = str(given.get("kind", "estimate"))
        if self.kind not in KINDS:
            self._problem(("kind",), f"is not one of {', '.join(KINDS)}", nearest(self.kind[:60], KINDS))
            self.kind = "estimate"
        for key in given:
            if key not in KEYS:
                self._problem((key,), "no such key", nearest(key[:60], KEYS))
        self.source = self._source(given.get("source"))
        if not self.source:
            return {}
        chips = [fact for key, value in given.items() for fact in self._facts(key, value)]
        prices = [fact for key in ("price", "purchase") if key in given for fact in self._price(key, given)]
        return {"chips": tuple(chips), "prices": tuple(prices)}

    def _source(self, given: Any) -> str:
        """Key of the chip's source: one that is known, or a new one by its title, or `{title: ..., url: ...}`."""
        if not given:
            self._problem(("source",), "a chip needs a source: a title, or a key of sources.csv")
            return ""
        if isinstance(given, str) and given in self.reader.sources:
            return given
        fields = given if isinstance(given, dict) else {"title": given}
        key = f"own-{self.key}"
        try:
            names = {name: str(fields[name]) for name in ("title", "url", "via", "licence") if name in fields}
            self.reader.sources[key] = Source(key, known="own", **names)
        except (TypeError, ValueError) as error:
            self._problem(("source",), str(error))
            return ""
        return key

    def _facts(self, key: str, value: Any) -> list[Fact]:
        if key == "rates":
            return self._rates(value)
        if key in TEXTS:
            if isinstance(value, (dict, list)) or not _shown_line(str(value)):
                self._problem((key,), f"expected a word or a line of text, got {one_line(repr(value), 40)}")
                return []
            return self._made(key, str(value), "text", str(value))
        if key in FLAGS:
            if isinstance(value, bool):
                return self._made(key, value, "flag", "yes" if value else "no")
            self._problem((key,), f'expected true or false, got "{str(value)[:40]}"')
        if key in DATES:
            try:
                return self._made(key, units.parse_date(value), "date", str(value))
            except ValueError as error:
                self._problem((key,), str(error))
        if key in QUANTITIES:
            return self._quantity((key,), key, value, QUANTITIES[key])
        return []

    def _rates(self, value: Any) -> list[Fact]:
        if not isinstance(value, dict):
            self._problem(("rates",), "expected precisions with rates, such as {bf16: 320 TFLOP/s}")
            return []
        found = []
        for precision, rate in value.items():
            if precision not in PRECISIONS:
                self._problem(("rates", precision), "no such precision", nearest(precision[:20], PRECISIONS))
            else:
                found += self._quantity(("rates", precision), f"rates.{precision}", rate, "flop_rate")
        return found

    def _price(self, key: str, given: Mapping[str, Any]) -> list[Fact]:
        attribute, kind = ("price.rental", "price") if key == "price" else ("price.purchase", "money")
        place = tuple(str(given.get("place", "world")).split())
        more = {"place": place, "tenure": "on-demand" if key == "price" else ""}
        return self._quantity((key,), attribute, given[key], kind, **more)

    def _quantity(self, path: tuple[str, ...], attribute: str, value: Any, kind: str, **more: Any) -> list[Fact]:
        """`64 GB`, or a range `280 to 400 TFLOP/s` (its middle, with the interval). Bare numbers only for counts."""
        try:
            ends = [_parse(part, kind) for part in _ends(value)]
            if min(ends) <= 0:
                raise ValueError("must be more than nothing")
            limit = limit_of("prices" if attribute.startswith("price.") else "chips", attribute, "")
            for end in ends:
                if limit:
                    limit.check(end)
            low, high = (ends[0], ends[-1]) if len(ends) > 1 else (None, None)
            unit = {"area": "mm2", "length": "nm"}.get(kind) or units.base_unit(kind)
            middle = sum(ends) / len(ends)
            return self._made(attribute, middle, unit, str(value), low=low, high=high, **more)
        except ValueError as error:
            self._problem(path, str(error))
            return []

    def _made(self, attribute: str, value: Any, unit: str, printed: str, **more: Any) -> list[Fact]:
        try:
            identifier = f"own:{self.key}/{attribute}"
            fields = {"locator": self.path.name, "known": "own", "printed": printed, **more}
            return [Fact(identifier, self.key, attribute, value, unit, self.source, self.kind, **fields)]
        except ValueError as error:
            self._problem((attribute,), str(error))
            return []

    def _problem(self, path: tuple[str, ...], message: str, suggestion: str | None = None) -> None:
        where = self.document.place(path, key=True) if self.document else str(self.path)
        self.reader.problems.append(Problem(message, where, ".".join(path), suggestion))


def _shown_line(text: str) -> bool:
    """Whether a text is one line of characters that a terminal only shows."""
    return 0 < len(text) <= 300 and not UNSAFE.search(text) and "\n" not in text and "\t" not in text


def _ends(value: Any) -> list[Any]:
    """A value, or both ends of a range; a unit written once, at the end, holds for both."""
    parts = [part.strip() for part in value.split(" to ")] if isinstance(value, str) else [value]
    if len(parts) > 2:
        raise ValueError(f'"{value[:60]}" is not a range; write it like 280 to 400 TFLOP/s')
    if len(parts) == 2 and _bare(parts[0]):
        unit = parts[1].lstrip("+-.,0123456789")
        parts[0] = f"{parts[0]} {unit}"
    return parts


def _bare(text: str) -> bool:
    return not text.strip("+-.,_0123456789")


def _parse(value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"expected {_EXAMPLES.get(kind, 'a number')}, got {one_line(repr(value), 40)}")
    if kind in ("area", "length"):
        unit = "mm2" if kind == "area" else "nm"
        text = str(value).removesuffix("mm²").removesuffix(unit).strip()
        return units.parse(text, "number")
    if kind != "count" and (not isinstance(value, str) or _bare(value)):
        raise ValueError(f'"{str(value)[:40]}" needs a unit, such as {_EXAMPLES[kind]}')
    return units.parse(value, kind)


_EXAMPLES = {
    "memory": "64 GB",
    "bandwidth": "1.6 TB/s or 400 Gbit/s",
    "power": "400 W",
    "flop_rate": "320 TFLOP/s",
    "price": "$1.20/h",
    "money": "$12000",
}
