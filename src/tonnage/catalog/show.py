"""Rows of what is known, for people and programs: every row is a plain dict in base units with its text beside it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from tonnage import units
from tonnage.catalog.catalog import Catalog, Record
from tonnage.catalog.facts import Fact
from tonnage.catalog.prices import MATCHES, Price, match_of

Date = datetime.date
Row = dict[str, Any]

_SHOW: dict[str, Callable[[float], str]] = {
    "FLOP/s": units.show_flop_rate,
    "byte": units.show_memory,
    "byte/s": units.show_bandwidth,
    "W": units.show_power,
    "s": units.show_time,
    "token": lambda value: f"{units.show_tokens(value)} tokens",
    "token/s": lambda value: f"{units.show_number(value, 4)} tokens/s",
    "USD": units.show_money,
    "USD/accelerator-s": units.show_price,
    "CNY": lambda value: f"{units.show_count(value)} CNY",
    "CNY/accelerator-s": lambda value: f"{value * units.HOUR:.2f} CNY/h",
    "USD/s": lambda value: f"{units.show_money(value * units.DAY)}/day",
    "USD/J": lambda value: f"${value * 3.6e6:.3f}/kWh",
    "CNY/J": lambda value: f"{value * 3.6e6:.2f} CNY/kWh",
    "USD/token": lambda value: f"${units.show_number(value * 1e6, 4)}/M tokens",
    "CNY/token": lambda value: f"{units.show_number(value * 1e6, 4)} CNY/M tokens",
    "accelerator-s": lambda value: f"{units.show_count(value / units.HOUR)} accelerator-hours",
    "mm2": lambda value: f"{units.show_number(value, 4)} mm2",
    "nm": lambda value: f"{units.show_number(value)} nm",
}


def shown(fact: Fact) -> str:
    """A fact's value as people write it, with its interval: `148 TFLOP/s`, `313 TFLOP/s (280 to 400)`."""
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    if isinstance(fact.value, (str, datetime.date)):
        return fact.printed
    text = amount(fact.value, fact.unit)
    if fact.low is None and fact.high is None:
        return text
    ends = [amount(fact.value if end is None else end, fact.unit) for end in (fact.low, fact.high)]
    if ends[0].partition(" ")[2] == ends[1].partition(" ")[2]:
        ends[0] = ends[0].partition(" ")[0]
    return text if ends[1] == text and fact.low == fact.value else f"{text} ({ends[0]} to {ends[1]})"


def amount(value: float, unit: str) -> str:
    """A number in a base unit as people write it."""
    show = _SHOW.get(unit)
    return show(value) if show else f"{units.show_number(value, 6)} {unit}".strip()


def age(day: Date | None, as_of: Date | None) -> str:
    """How old a figure is on a day: `14 d`, `9 months`, `2.1 years`; nothing when either day is unknown."""
    if day is None or as_of is None:
        return ""
    days = (as_of - day).days
    if days < 45:
        return f"{max(days, 0)} d"
    return f"{days / 30.4375:.0f} months" if days < 640 else f"{days / 365.25:.1f} years"


def fact_row(fact: Fact, catalog: Catalog) -> Row:
    """One fact with its source spelled out."""
    source = catalog.source(fact.source)
    return {
        "fact": fact.id,
        "attribute": fact.attribute,
        "text": shown(fact),
        "value": fact.value,
        "unit": fact.unit,
        "low": fact.low,
        "high": fact.high,
        "printed": fact.printed,
        "kind": fact.kind,
        "known": fact.known,
        "date": fact.date,
        "source": fact.source,
        "source_title": source.title,
        "url": source.url,
        "locator": fact.locator,
        "retrieved": fact.retrieved,
        "note": fact.note,
    }


def fact_rows(catalog: Catalog, entity: str, as_of: Date | None = None) -> list[Row]:
    """What was known of one entity on a day, one row per attribute, what is asked for most first."""
    facts = list(catalog.facts_of(entity, as_of).values())
    facts.sort(key=lambda fact: _FIRST.index(_stem(fact)) if _stem(fact) in _FIRST else len(_FIRST))
    return [fact_row(fact, catalog) for fact in facts]


_FIRST: tuple[str, ...] = (
    "title",
    "vendor",
    "stack",
    "generation",
    "released",
    "rates",
    "memory",
    "memory_type",
    "bandwidth",
    "link",
    "link_name",
    "domain",
)
_FIRST += ("dies", "nic", "host_link", "power", "all_in_power", "die_area", "process_node", "process")


def _stem(fact: Fact) -> str:
    return fact.attribute.partition(".")[0]


def price_rows(catalog: Catalog, chip: str, place: str | None = None, as_of: Date | None = None) -> list[Row]:
    """Prices of a chip known on a day, rents first, the best match first: with place, tenure and age."""
    rents = [_price_row(price, catalog, as_of) for price in catalog.price(chip, place, as_of)]
    owned = [_price_row(price, catalog, as_of) for price in catalog.owning(chip, place, as_of)]
    return rents + owned + _bought(catalog, chip, place, as_of)


def _price_row(price: Price, catalog: Catalog, as_of: Date | None) -> Row:
    ends = "" if price.low == price.high else f" ({units.show_price(price.low)} to {units.show_price(price.high)})"
    return {
        "fact": price.fact,
        "chip": price.chip,
        "what": "owning" if price.tenure == "owned" else "rent",
        "text": units.show_price(price.value) + ends,
        "value": price.value,
        "low": price.low,
        "high": price.high,
        "unit": "USD/accelerator-s",
        "place": " ".join(price.place),
        "match": price.match,
        "tenure": price.tenure,
        "quote": price.quote,
        "date": price.date,
        "age": age(price.date, as_of),
        "kind": price.kind,
        "source": price.source,
        "source_title": catalog.source(price.source).title,
        "note": price.basis,
    }


def _bought(catalog: Catalog, chip: str, place: str | None, as_of: Date | None) -> list[Row]:
    facts = [
        fact
        for fact in catalog.tables.about("prices", chip)
        if fact.attribute not in ("price.rental", "price.owning") and fact.known_on(as_of)
    ]
    facts.sort(key=lambda fact: (MATCHES.index(match_of(fact.place, place)), -(fact.date or Date.min).toordinal()))
    return [
        fact_row(fact, catalog)
        | {
            "chip": chip,
            "what": {"price.purchase": "purchase", "price.purchase.cny": "purchase"}.get(
                fact.attribute, fact.attribute.removeprefix("price.").removesuffix(".cny")
            ),
            "place": " ".join(fact.place),
            "match": match_of(fact.place, place),
            "tenure": "purchase",
            "quote": fact.mark,
            "age": age(fact.date, as_of),
        }
        for fact in facts
    ]


_COLUMNS = ("vendor", "released", "rates.bf16", "rates.fp8", "memory", "bandwidth", "link", "domain", "nic", "power")


def chip_rows(catalog: Catalog, as_of: Date | None = None) -> list[Row]:
    """Every chip released by a day with its main facts; what is not known is None."""
    return [_chip_row(catalog, chip, as_of) for chip in catalog.chips(as_of)]


def _chip_row(catalog: Catalog, chip: str, as_of: Date | None) -> Row:
    facts = catalog.facts_of(chip, as_of)
    row: Row = {"chip": chip, "title": facts["title"].printed if "title" in facts else chip}
    for name in _COLUMNS:
        fact = facts.get(name) or (facts.get("rates.fp16") if name == "rates.bf16" else None)
        row[name] = fact.value if fact else None
        row[f"{name}.text"] = shown(fact) if fact else "-"
    return row


def record_rows(records: Iterable[Record], catalog: Catalog) -> list[Row]:
    """Records (supply, demand, training runs ...), one row per fact."""
    return [
        {"record": record.id, "about": " ".join(fact.about), "period": fact.period, "place": " ".join(fact.place)}
        | fact_row(fact, catalog)
        | {"known_from": fact.since}
        for record in records
        for fact in record.facts.values()
    ]


def event_rows(catalog: Catalog, as_of: Date | None = None, about: str | None = None) -> list[Row]:
    """Events known on a day, oldest first, with how firm they are."""
    return [
        {
            "event": record.id,
            "date": record.date,
            "known_from": record.since,
            "text": record.first.printed,
            "mark": record.first.mark,
            "about": " ".join(record.about),
            "source": record.first.source,
            "source_title": catalog.source(record.first.source).title,
            "note": record.first.note,
        }
        for record in catalog.events(as_of, about)
    ]


def source_rows(catalog: Catalog) -> list[Row]:
    """Sources with the number of facts that rest on each."""
    uses: dict[str, int] = {}
    for fact in catalog.facts:
        uses[fact.source] = uses.get(fact.source, 0) + 1
    return [
        {
            "source": source.key,
            "title": source.title,
            "url": source.url,
            "via": source.via,
            "licence": source.licence,
            "known": source.known,
            "facts": uses.get(source.key, 0),
        }
        for source in catalog.sources()
    ]
