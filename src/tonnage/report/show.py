"""What is known, of all or of one thing: chips, models, prices, rules, events, records, sources, or a name."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonnage.catalog.prices import LAW_AS, members
from tonnage.errors import AmbiguousName, InputError, MissingFact, Problem, nearest
from tonnage.report.answer import Answer, Table
from tonnage.report.legal import LEGAL

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.law import Buyer, Classification

Row = dict[str, Any]
RECORDS = {
    "supply": "what was shipped, ordered, stocked or planned",
    "demand": "published days of service",
    "servers": "servers, racks and pods",
    "runs": "public record of training runs",
    "launches": "launches of models, as said beforehand and as they came",
    "releases": "model releases",
    "api": "prices per token behind an API",
    "power": "prices of electricity",
    "fleets": "fleets as reported",
    "market": "statements on the market",
    "cutoffs": "days to plan from with hindsight taken away",
}
"""Lists that are records of one table, and what each holds."""

_TABLE = {"runs": "training_runs", "releases": "model_releases", "api": "api_prices", "power": "power_prices"}


@dataclass(frozen=True)
class ShowQuestion:
    """The question: what, in which catalogue, as known when, seen from where, for a firm with which headquarters.

    buyer: what more is known of who would receive the chips.
    """

    what: str
    catalog: Catalog
    as_of: datetime.date | None
    place: str | None
    headquarters: str | None = None
    buyer: Buyer | None = None

    @property
    def day(self) -> datetime.date:
        """The day on which legal status is asked: `--as-of`, else today."""
        return self.as_of or datetime.date.today()

    @property
    def owner(self) -> str:
        """` for a firm with headquarters in CN`, or nothing."""
        return f" for a firm with headquarters in {self.headquarters}" if self.headquarters else ""

    @property
    def country(self) -> str | None:
        """The country whose rules are asked: of a region, the one that stands for it, if one does."""
        if self.place is None or members(self.place):
            return LAW_AS.get(self.place or "")
        return self.place

    @property
    def when(self) -> str:
        """` as known on 2025-04-16`, or nothing."""
        return f" as known on {self.as_of}" if self.as_of else ""


@dataclass(frozen=True)
class Shown:
    """The answer in words and as values, with the ids of the facts in it; judged: whether chips are classified in it,
    for which alone it matters who receives them.
    """

    answer: Answer
    body: Row
    facts: tuple[str, ...] = ()
    judged: bool = False


def shown(asked: ShowQuestion) -> Shown:
    """What is known of a list by its name, or of one thing."""
    lists = listed()
    return lists[asked.what.lower()](asked) if asked.what.lower() in lists else _one(asked)


def listed() -> dict[str, Callable[[ShowQuestion], Shown]]:
    """What shows each list, by the name of the list."""
    return {
        "chips": _chips,
        "models": _models,
        "prices": _prices,
        "rules": _rules,
        "events": _events,
        "sources": _sources,
        **dict.fromkeys(RECORDS, _records),
    }


# ---------------------------------------------------------------- lists


def _chips(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    rows = rows_of.chip_rows(asked.catalog, asked.as_of)
    header: tuple[str, ...] = (
        "chip",
        "bf16",
        "fp8",
        "memory",
        "bandwidth",
        "link",
        "domain",
        "nic",
        "power",
        "released",
    )
    names = ("rates.bf16", "rates.fp8", "memory", "bandwidth", "link", "domain", "nic", "power", "released")
    cells = [[row["chip"], *(_point(row[f"{name}.text"]) for name in names)] for row in rows]
    note = "dense rates (fp16 where bf16 is not given); link and nic per direction; - is not known"
    sentence = f"{len(rows)} chips{asked.when}."
    if asked.country:
        header = (*header, f"to {asked.country}")
        for row, line in zip(rows, cells, strict=True):
            row["status"] = _status(asked, row["chip"]).status
            line.append(LEGAL.get(row["status"], row["status"]))
        free = sum(row["status"] in ("free", "exception") for row in rows)
        sentence = f"{len(rows)} chips{asked.when}; {free} may be brought to {asked.country} without a licence "
        sentence += f"on {asked.day}{asked.owner}."
        note += f"; to {asked.country}: whether a licence is needed to bring it there on {asked.day}"
    table = Table("chips", header, tuple(tuple(line) for line in cells), note)
    hint = f"tonnage show h20{f' --as-of {asked.as_of}' if asked.as_of else ''} --in {asked.place or 'CN'}"
    records = tuple({k: v for k, v in row.items() if not k.endswith(".text")} for row in rows)
    answer = Answer(sentence, tables=(table,), hints=(hint,), records=records)
    return Shown(answer, {"chips": list(records)}, judged=True)


def _models(asked: ShowQuestion) -> Shown:
    from tonnage import units
    from tonnage.errors import TonnageError
    from tonnage.model import load, params

    rows: list[Row] = []
    for name in asked.catalog.models():
        row: Row = {"model": name, "params": None, "active": None, "type": ""}
        try:
            count = params(load(name, asked.catalog))
            row |= {"params": float(count.total), "active": float(count.active)}
        except TonnageError as error:
            row["why"] = error.message
        row["type"] = str(asked.catalog.model_config(name)[1].get("model_type", ""))
        rows.append(row)
    cells = tuple(
        (row["model"], *(units.show_count(row[k]) if row[k] else "-" for k in ("params", "active")), row["type"])
        for row in rows
    )
    table = Table("models", ("model", "params", "active", "type"), cells, "params without multi-token prediction")
    sentence = f"{len(rows)} models are bundled; a config.json or a folder with one works as well."
    hints = ("tonnage fit deepseek-r1 --on 8xh20",)
    return Shown(Answer(sentence, tables=(table,), hints=hints, records=tuple(rows)), {"models": rows})


def _prices(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    chips = asked.catalog.tables.entities("prices")
    rows = [row for chip in chips for row in rows_of.price_rows(asked.catalog, chip, asked.place, asked.as_of)]
    if asked.place:
        rows = [row for row in rows if row["match"] != "elsewhere"]
    where = f" for {asked.place}" if asked.place else ""
    sentence = f"{len(rows)} prices{where}{asked.when}. A chip that is not listed has no sourced price."
    shown = Answer(sentence, tables=(_price_table(rows, chips=True),), records=_flat(rows))
    return Shown(shown, {"prices": rows}, tuple(row["fact"] for row in rows))


def _price_table(rows: list[Row], *, chips: bool = False) -> Table:
    header = ("price of", "what", "price", "in", "date", "age", "kind", "source")
    cells = tuple(
        (
            row["chip"],
            row["tenure"] if row["what"] in ("rent", "owning") else row["what"],
            row["text"],
            row["place"],
            str(row["date"] or ""),
            row["age"],
            row["kind"],
            _short(row["source_title"], 48),
        )
        for row in _best_of_each(rows)
    )
    start = 0 if chips else 1
    note = (
        "rents per accelerator; server8 and module8 are for eight; a month, quarter or year is shown as its first day"
    )
    if len(cells) < len(rows):
        note += f"; the first choice of each term and place, --json has all {len(rows)}"
    return Table("prices", header[start:], tuple(row[start:] for row in cells), note)


def _best_of_each(rows: list[Row]) -> list[Row]:
    """Of the rents of a chip, which come best first, one for each term and place; of other prices, all."""
    kept: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row["chip"], row["what"], row["tenure"], row["place"])
        kept.setdefault(key if row["what"] == "rent" else (row["fact"],), row)
    return list(kept.values())


def _rules(asked: ShowQuestion) -> Shown:
    from tonnage.law import open_questions, rule_rows

    rows = rule_rows(asked.as_of, asked.country)
    names = ("from", "until", "state", "id")
    cells = tuple(
        (*(row[name] or "" for name in names), _short(str(row["paragraph"]), 16), _short(row["title"], 60))
        for row in rows
    )
    table = Table("rules", ("from", "until", "state", "rule", "paragraph", "title"), cells)
    where = f" that reach {asked.country}" if asked.country else ""
    sentence = f"{len(rows)} rules{where}{asked.when}. For planning; not legal advice."
    hints = ("tonnage show h20 --as-of 2025-04-16 --in CN", f"tonnage show {rows[-1]['id']}" if rows else "")
    unsure = () if asked.as_of else tuple(("not verified", question) for question in open_questions())
    answer = Answer(sentence, unsure, (table,), hints=hints[: 1 + bool(rows)], records=_flat(rows))
    return Shown(answer, {"rules": rows, "could_not_verify": list(open_questions())})


def _events(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    rows = rows_of.event_rows(asked.catalog, asked.as_of)
    rows = [row for row in rows if asked.place is None or asked.place in _places(asked, row["event"])]
    sentence = f"{len(rows)} events{asked.when}, oldest first."
    return Shown(Answer(sentence, rows=_event_lines(rows), records=_flat(rows)), {"events": rows})


def _places(asked: ShowQuestion, event: str) -> tuple[str, ...]:
    places = next((fact.place for fact in asked.catalog.all_facts(event)), ())
    return (*places, *((asked.place,) if asked.place and "world" in places else ()))


def _event_lines(rows: list[Row]) -> tuple[tuple[str, str], ...]:
    marks = [f" [{row['mark']}]" if row["mark"] != "firm" else "" for row in rows]
    return tuple(
        (str(row["date"]), f"{row['text']}{mark} ({row['source_title']})")
        for row, mark in zip(rows, marks, strict=True)
    )


def _records(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    name = asked.what.lower()
    records = asked.catalog.records(_TABLE.get(name, name), asked.as_of)
    if asked.place:
        records = tuple(r for r in records if not r.first.place or {asked.place, "world"} & set(r.first.place))
    rows = rows_of.record_rows(records, asked.catalog)
    sentence = f"{len(records)} records{asked.when}: {RECORDS[name]}."
    return Shown(
        Answer(sentence, tables=(_record_table(name, rows),), records=_flat(rows)),
        {name: rows},
        tuple(row["fact"] for row in rows),
    )


def _record_table(title: str, rows: list[Row]) -> Table:
    cells = tuple(
        (
            row["record"],
            row["attribute"],
            _short(row["text"], 60),
            row["period"],
            str(row["known_from"] or ""),
            row["kind"],
            _short(row["source_title"], 44),
        )
        for row in rows
    )
    return Table(title, ("record", "what", "value", "period", "known from", "kind", "source"), cells)


def _sources(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    rows = sorted(rows_of.source_rows(asked.catalog), key=lambda row: -row["facts"])
    cells = tuple(
        (row["source"], str(row["facts"]), row["known"], row["licence"], _short(row["title"], 70)) for row in rows
    )
    table = Table("sources", ("source", "facts", "known", "licence", "title"), cells)
    sentence = f"{len(rows)} sources stand behind {sum(row['facts'] for row in rows):,} facts."
    hints = ("tonnage show NAME gives one source, or one thing and where each of its facts comes from",)
    return Shown(Answer(sentence, tables=(table,), hints=hints, records=tuple(rows)), {"sources": rows})


# ---------------------------------------------------------------- one thing by name


def _one(asked: ShowQuestion) -> Shown:
    """The thing that the name means: a chip, a record, a model, a rule, a source or a fact; else the nearest name."""
    from tonnage.catalog.names import normal

    catalog, name = asked.catalog, asked.what
    if normal(name) in catalog.chips():
        return _chip(asked, normal(name))
    if catalog.tables.of(name):
        return _entity(asked, name)
    from tonnage.law import load_rules

    rules = {rule.id: rule for rule in load_rules().rules}
    if name in rules:
        return _rule(asked, name)
    if name in catalog.source_list:
        return _source(asked)
    ambiguous: AmbiguousName | None = None
    for meaning, shape in ((catalog.chip, _chip), (lambda text: _named(text, catalog), _model)):
        try:
            return shape(asked, meaning(name))
        except AmbiguousName as error:
            ambiguous = ambiguous or error
        except InputError:
            continue
    if ambiguous:
        raise ambiguous
    entities = {fact.entity for fact in catalog.facts}
    return _fact(asked, (*catalog.chips(), *entities, *rules, *catalog.source_list))


def _named(name: str, catalog: Catalog) -> str:
    """Id of the bundled model that a name means. Raises InputError where it means none."""
    from tonnage.model.load import meant

    return meant(name, catalog) or catalog.model_config(name)[0]


def _fact(asked: ShowQuestion, names: Iterable[str]) -> Shown:
    from tonnage.catalog import show as rows_of

    catalog, name = asked.catalog, asked.what[:100]
    if any(fact.id == name for fact in catalog.facts):
        row = rows_of.fact_row(catalog.by_id(name), catalog)
        lines = tuple((key, str(value)) for key, value in row.items() if value not in (None, ""))
        return Shown(Answer(f"{name}: {row['text']}.", rows=lines, records=_flat([row])), {"fact": row}, (name,))
    known = (*catalog.aliases, *names, *listed(), *(part.rsplit("/", 1)[-1].lower() for part in catalog.models()))
    problem = Problem(f'nothing named "{name}"', suggestion=nearest(name, known))
    raise InputError(problem, hint=f"tonnage show {'|'.join(listed())} or the name of one thing")


def _status(asked: ShowQuestion, chip: str) -> Classification:
    from tonnage.law import classify

    where = (asked.country or "", asked.headquarters)
    return classify(chip, asked.day, *where, catalog=asked.catalog, known_at=asked.as_of, buyer=asked.buyer)


def _chip(asked: ShowQuestion, key: str) -> Shown:
    from tonnage.catalog import show as rows_of

    facts = rows_of.fact_rows(asked.catalog, key, asked.as_of)
    announced = asked.catalog.announced(key, asked.as_of)
    if announced is not None:
        return _announced(asked, key, announced)
    if not facts:
        came = asked.catalog.first_had(key)
        hint = f"it was released on {came}; leave out --as-of to see it" if came else None
        raise MissingFact(key, f"fact known on {asked.as_of}", hint=hint)
    prices = rows_of.price_rows(asked.catalog, key, asked.place, asked.as_of)
    supply = rows_of.record_rows(asked.catalog.supply(key, asked.as_of), asked.catalog)
    events = rows_of.event_rows(asked.catalog, asked.as_of, key)
    own = [row for row in facts if not row["attribute"].startswith("price.")]
    title = next((row["text"] for row in facts if row["attribute"] == "title"), key)
    law = _law(asked, key)
    read = f' ("{asked.what}" is read as {key})' if asked.what.lower() != key else f" ({key})"
    sentence = f"{law[0]}{read}" if law else f"{title}{read}{asked.when}: {len(own)} facts, {len(prices)} prices."
    tables = [_fact_table(own)]
    tables += [_price_table(prices)] if prices else []
    tables += [_record_table("supply", supply)] if supply else []
    rows = tuple(("law" if n == 0 else "", line) for n, line in enumerate(law[1:]))
    if not any(row["what"] == "rent" for row in prices):
        rows += (_without_rent(asked, key),)
    lines = tuple((f"event {row['date']}", _short(row["text"], 200)) for row in events[-6:])
    hints = (f"tonnage show rules{f' --in {asked.place}' if asked.place else ''}",) if law else ()
    body = {
        "chip": key,
        "title": title,
        "facts": own,
        "prices": prices,
        "law": (_status(asked, key).to_json() | {"text": law}) if law else None,
        "supply": supply,
        "events": events,
    }
    answer = Answer(sentence, rows + lines, tuple(tables), hints=hints, records=_flat([*own, *prices]))
    return Shown(answer, body, tuple(row["fact"] for row in [*own, *prices]), judged=True)


def _without_rent(asked: ShowQuestion, key: str) -> tuple[str, str]:
    """What a chip without a known rent costs to own, or that no price is known."""
    from tonnage import units
    from tonnage.catalog.owning import owned

    for cost in owned(asked.catalog, key, asked.place, asked.as_of)[:1]:
        return ("owning", f"no sourced rent{asked.when}; owning costs {units.show_price(cost.value)}: {cost.basis}")
    return ("rent", f"no sourced price{asked.when}; give one in the programme, or in a folder with --catalog")


def _announced(asked: ShowQuestion, key: str, day: datetime.date) -> Shown:
    """What is known of a chip between its announcement and the day on which it could be had."""
    from tonnage.catalog import show as rows_of

    came = asked.catalog.first_had(key)
    rows = [row for row in rows_of.fact_rows(asked.catalog, key) if row["date"] is None or row["date"] <= asked.as_of]
    own = [row for row in rows if not row["attribute"].startswith("price.")]
    sentence = f"{key} was announced on {day} and could not be had yet on {asked.as_of}"
    sentence += f": the first came on {came}." if came else "."
    note = (("facts", "as they came to be known of the product; prices and law begin with the first that were had"),)
    body = {"chip": key, "announced": day, "first_had": came, "facts": own}
    answer = Answer(sentence, note, (_fact_table(own),), records=_flat(own))
    return Shown(answer, body, tuple(row["fact"] for row in own))


def _law(asked: ShowQuestion, chip: str) -> list[str]:
    from tonnage.law import explain

    lines = explain(_status(asked, chip)) if asked.country else []
    return [line for line in lines if not line.startswith("Changed: rules as known on")]


def _fact_table(rows: list[Row]) -> Table:
    widths = {"attribute": 24, "text": 64, "kind": 12, "source_title": 56, "note": 60}
    cells = tuple(tuple(_short(row[name], width) for name, width in widths.items()) for row in rows)
    return Table("facts", ("what", "value", "kind", "source", "note"), cells)


def _entity(asked: ShowQuestion, name: str) -> Shown:
    from tonnage.catalog import show as rows_of

    rows = rows_of.fact_rows(asked.catalog, name, asked.as_of)
    if not rows:
        since = next((fact.since for fact in asked.catalog.all_facts(name) if fact.since), None)
        raise MissingFact(name, f"fact known on {asked.as_of}", hint=f"it became known on {since}" if since else None)
    about = " ".join(dict.fromkeys(part for fact in asked.catalog.all_facts(name) for part in fact.about))
    sentence = f"{name}{asked.when}: " + (rows[0]["text"] if len(rows) == 1 else f"{len(rows)} facts") + "."
    lines = (("about", about),) if about else ()
    answer = Answer(sentence.replace("..", "."), lines, (_fact_table(rows),), records=_flat(rows))
    return Shown(answer, {"record": name, "about": about.split(), "facts": rows}, tuple(row["fact"] for row in rows))


def _model(asked: ShowQuestion, identifier: str) -> Shown:
    from tonnage import units
    from tonnage.model import kv_per_token, load, params

    identifier, config, source = asked.catalog.model_config(identifier)
    released = asked.catalog.model_released(identifier)
    if asked.as_of is not None and released is not None and released > asked.as_of:
        raise MissingFact(identifier, f"fact known on {asked.as_of}", hint=f"it was released on {released}")
    architecture = load(identifier, asked.catalog)
    count = params(architecture)
    body: Row = {
        "model": identifier,
        "params": float(count.total),
        "active_params": float(count.active),
        "mtp_params": float(count.mtp),
        "kv_elements_per_token": float(kv_per_token(architecture)),
        "config": config,
        "source": source,
    }
    rows = (
        ("params", f"{units.show_count(count.total)}, {units.show_count(count.active)} active for a token"),
        ("kv cache", f"{units.show_count(body['kv_elements_per_token'])} values a token"),
        ("type", f"{config.get('model_type', '')}; {architecture.hidden} wide, vocabulary {architecture.vocab:,}"),
        ("source", source),
    )
    sentence = f"{identifier}: {units.show_count(count.total)} parameters."
    return Shown(Answer(sentence, rows, hints=(f"tonnage fit {identifier} --on 8xh20",)), body)


def _rule(asked: ShowQuestion, name: str) -> Shown:
    from tonnage.law import rule_rows, source_rows

    found = [row for row in rule_rows(asked.as_of) if row["id"] == name]
    if not found:
        raise MissingFact(name, f"announcement by {asked.as_of}", hint="leave out --as-of to see it")
    row = found[0]
    sources = source_rows(row["sources"])
    lines = [(key, _words(value)) for key, value in row.items() if value not in (None, "", []) and key != "sources"]
    lines += [("source", f"{part['title']} {part['url']} ({part['known']})") for part in sources]
    answer = Answer(f"{row['title']}: {row['state']}.", tuple(lines), records=_flat([row]))
    return Shown(answer, {"rule": row, "rule_sources": sources})


def _source(asked: ShowQuestion) -> Shown:
    from tonnage.catalog import show as rows_of

    source = asked.catalog.source(asked.what)
    rows = [rows_of.fact_row(fact, asked.catalog) for fact in asked.catalog.facts if fact.source == source.key]
    fields = {name: getattr(source, name) for name in ("title", "url", "via", "licence", "known")}
    cells = tuple((row["fact"], _short(row["text"], 50), row["kind"], row["locator"]) for row in rows)
    table = Table("facts", ("fact", "value", "kind", "where in it"), cells)
    lines = tuple((name, value) for name, value in fields.items() if value)
    answer = Answer(f"{source.key} stands behind {len(rows)} facts.", lines, (table,), records=_flat(rows))
    return Shown(answer, {"source": {"key": source.key, **fields}, "facts": rows})


# ---------------------------------------------------------------- words


def _flat(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(
        {key: _words(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows
    )


def _words(value: object) -> str:
    return "; ".join(str(part) for part in value) if isinstance(value, (list, tuple)) else str(value)


def _point(text: str) -> str:
    """Without the interval: for tables that show many things."""
    return text.partition(" (")[0]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
