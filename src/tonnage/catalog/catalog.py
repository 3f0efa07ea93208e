"""The catalogue: facts looked up by name and date. Frozen once loaded; the same data always has the same digest."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from tonnage.catalog import names
from tonnage.catalog.facts import Fact, Source, entity_of
from tonnage.catalog.launches import Launch, read_launch
from tonnage.catalog.names import Alias
from tonnage.catalog.prices import Price, ranked
from tonnage.catalog.rows import FactTables
from tonnage.catalog.runs import TrainingRun, read_run
from tonnage.errors import InputError, MissingFact, Problem, nearest

Date = datetime.date
TABLES = (
    "chips",
    "servers",
    "prices",
    "power_prices",
    "supply",
    "fleets",
    "demand",
    "training_runs",
    "launches",
    "model_releases",
    "api_prices",
    "market",
    "events",
    "cutoffs",
)
"""Tables of facts, one CSV file each."""


@dataclass(frozen=True, eq=False)
class Record:
    """Facts that belong together under one id: a shipment, a training run, a day of service, an event."""

    id: str
    facts: Mapping[str, Fact]

    def __getitem__(self, attribute: str) -> Fact:
        if attribute not in self.facts:
            raise MissingFact(self.id, attribute)
        return self.facts[attribute]

    def __contains__(self, attribute: object) -> bool:
        return attribute in self.facts

    @property
    def first(self) -> Fact:
        """Its first fact. Place is the same for all; so is the date, but for training runs and launches, whose
        announcement comes before their outcome.
        """
        return next(iter(self.facts.values()))

    @property
    def about(self) -> tuple[str, ...]:
        """Chips or models that it is about."""
        return tuple(dict.fromkeys(name for fact in self.facts.values() for name in fact.about))

    @property
    def date(self) -> Date | None:
        """The day it speaks of."""
        return self.first.date

    @property
    def since(self) -> Date | None:
        """The first day on which it could be known."""
        return self.first.since


@dataclass(frozen=True, eq=False)
class Catalog:
    """Everything that is known, with sources. Made by `tonnage.catalog.load`.

    `as_of` everywhere: only what was known on that day, that is facts disclosed or dated on or before it; a chip that
    was released later is not known. None: everything.

    measured: what was measured on a chip, by its key (`system.accelerator.Measurements`), where files are given.
    """

    digest: str
    tables: FactTables
    source_list: Mapping[str, Source]
    model_lines: Mapping[str, str] = field(default_factory=dict, repr=False)
    measured: Mapping[str, object] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def _aliases(self) -> dict[str, Alias]:
        """What chips are called besides their keys."""
        return names.aliases_of(self.tables.having("chips", names.ALIASES))

    # chips and single facts

    def chips(self, as_of: Date | None = None) -> tuple[str, ...]:
        """Keys of the chips, those released on or before `as_of` if it is given."""
        return tuple(key for key in self.tables.entities("chips") if self._released(key, as_of))

    def chip(self, name: str, where: str = "") -> str:
        """Key of the chip a user's name means; raises AmbiguousName, or InputError with the nearest name."""
        return names.resolve(name, self.chips(), self._aliases, where)

    def read_as(self, name: str) -> Alias | None:
        """What a chip's name is read as, where other products bear it too; None where it means one thing."""
        plain = names.normal(name)
        found = self._aliases.get(plain)
        return found if found and found.reason and plain not in self.chips() else None

    @property
    def aliases(self) -> tuple[str, ...]:
        """Names of chips besides their keys."""
        return tuple(self._aliases)

    def fact(self, entity: str, attribute: str, as_of: Date | None = None) -> Fact:
        """The fact known on `as_of`: an overlay's before ours, then the latest dated. Raises MissingFact."""
        found = self._best([fact for fact in self.tables.of(entity) if fact.attribute == attribute], as_of)
        if found is None or not self._released(entity, as_of):
            raise MissingFact(entity, attribute, hint=self._why_missing(entity, attribute, as_of))
        return found

    def facts_of(self, entity: str, as_of: Date | None = None) -> dict[str, Fact]:
        """Best known fact per attribute; empty when the entity is unknown or not released on that day."""
        if not self._released(entity, as_of):
            return {}
        groups: dict[str, list[Fact]] = {}
        for fact in self.tables.of(entity):
            groups.setdefault(fact.attribute, []).append(fact)
        best = {attribute: self._best(facts, as_of) for attribute, facts in groups.items()}
        return {attribute: fact for attribute, fact in best.items() if fact is not None}

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Every fact, table after table."""
        return tuple(fact for table in self.tables.values() for fact in table)

    def all_facts(self, entity: str) -> tuple[Fact, ...]:
        """Every row about an entity, in the order of the tables, earlier ones winning over later ones."""
        return self.tables.of(entity)

    def by_id(self, identifier: str) -> Fact:
        """The fact with this id, as results name it. Raises InputError with the nearest id."""
        found = next((fact for fact in self.tables.of(entity_of(identifier)) if fact.id == identifier), None)
        if found is None:
            known = [fact.id for fact in self.facts]
            raise InputError(Problem(f'no fact "{identifier[:100]}"', suggestion=nearest(identifier[:100], known)))
        return found

    def _best(self, facts: list[Fact], as_of: Date | None) -> Fact | None:
        known = [fact for fact in facts if fact.known_on(as_of)]
        own = [fact for fact in known if fact.known == "own"]
        return max(own or known, key=lambda fact: (fact.since or Date.min, -facts.index(fact)), default=None)

    def _released(self, entity: str, as_of: Date | None) -> bool:
        if as_of is None:
            return True
        found = self.first_had(entity)
        if found is not None:
            return found <= as_of
        return any(fact.known_on(as_of) for fact in self.tables.of(entity))

    def _days(self, entity: str, *attributes: str) -> list[Date]:
        """The first fact of each of these attributes that are dates."""
        facts = self.tables.of(entity)
        first = {fact.attribute: fact for fact in reversed(facts) if fact.attribute in attributes}
        return [fact.day for fact in first.values()]

    def first_had(self, chip: str) -> Date | None:
        """The first day on which a chip could be had, by shipment or release; None where neither is known."""
        return min(self._days(chip, "released", "shipping_from"), default=None)

    def announced(self, chip: str, as_of: Date | None) -> Date | None:
        """The day on which a chip was announced, where it was by `as_of` and could not be had yet; else None."""
        if as_of is None or self._released(chip, as_of):
            return None
        return min((day for day in self._days(chip, "announced") if day <= as_of), default=None)

    def _why_missing(self, entity: str, attribute: str, as_of: Date | None) -> str:
        known = bool(self.tables.of(entity))
        if as_of and known and not self._released(entity, as_of):
            return f"{entity} was not yet released on {as_of}"
        every = [] if known else [name for table in self.tables for name in self.tables.entities(table)]
        if not known and (near := nearest(entity, every)):
            return f'did you mean "{near}"?'
        return f"add a row for {entity},{attribute} with its source to a folder of facts of your own (`catalog`)"

    # prices

    def price(
        self, chip: str, place: str | None = None, date: Date | None = None, tenure: str | None = None
    ) -> tuple[Price, ...]:
        """Rental prices of a chip known on `date`, best match first; empty when there is none (never 0).

        tenure: the term that comes first; without one, what people rent by, on demand or by the month.
        """
        rents = [fact for fact in self.tables.about("prices", chip) if fact.attribute == "price.rental"]
        return ranked(rents, place, date, tenure)

    def owning(self, chip: str, place: str | None = None, date: Date | None = None) -> tuple[Price, ...]:
        """Cost of owning a chip, all in, as published [USD/accelerator-s]; empty when there is none."""
        costs = [fact for fact in self.tables.about("prices", chip) if fact.attribute == "price.owning"]
        return ranked(costs, place, date, None)

    # records

    def records(self, table: str, as_of: Date | None = None, about: str | None = None) -> tuple[Record, ...]:
        """Records of a table known on `as_of`, about one chip or model if asked, in the order of the table."""
        groups: dict[str, dict[str, Fact]] = {}
        for fact in self.tables[table]:
            if fact.known_on(as_of):
                groups.setdefault(fact.entity, {}).setdefault(fact.attribute, fact)
        found = (Record(key, facts) for key, facts in groups.items())
        return tuple(record for record in found if about is None or about in record.about)

    def events(self, as_of: Date | None = None, about: str | None = None) -> tuple[Record, ...]:
        """What happened, oldest first."""
        return tuple(sorted(self.records("events", as_of, about), key=lambda record: record.date or Date.min))

    def supply(self, chip: str | None = None, as_of: Date | None = None) -> tuple[Record, ...]:
        """Shipments, orders, stocks and production plans."""
        return self.records("supply", as_of, chip)

    def demand(self, as_of: Date | None = None) -> tuple[Record, ...]:
        """Published days of service."""
        return self.records("demand", as_of)

    def training_runs(self, chip: str | None = None, as_of: Date | None = None) -> tuple[Record, ...]:
        """Public record of training runs: hours, tokens, cost, outcome."""
        return self.records("training_runs", as_of, chip)

    def runs(self, as_of: Date | None = None) -> tuple[TrainingRun, ...]:
        """The same as values, each as it was known on `as_of`: before its outcome was known, it was running."""
        return tuple(read_run(record.id, record.facts) for record in self.training_runs(as_of=as_of))

    def launches(self, as_of: Date | None = None) -> tuple[Launch, ...]:
        """Launches of models with what had been said of their day, each as it was known on `as_of`."""
        return tuple(read_launch(record.id, record.facts, as_of) for record in self.records("launches", as_of))

    def model_releases(self, as_of: Date | None = None) -> tuple[Record, ...]:
        """Which model was released when."""
        return self.records("model_releases", as_of)

    def model_released(self, identifier: str) -> Date | None:
        """The day on which a bundled model was released; None where no source says it."""
        last = identifier.rsplit("/", 1)[-1].lower()
        for record in self.model_releases():
            named = record["model"].text.lower() if "model" in record else ""
            ids = record["ids"].text.split() if "ids" in record else []
            if last == named or identifier in ids:
                return record["released"].day
        return None

    def api_prices(self, model: str | None = None, as_of: Date | None = None) -> tuple[Record, ...]:
        """Published prices per token of models behind an API [USD/token]."""
        return self.records("api_prices", as_of, model)

    def servers(self, as_of: Date | None = None) -> tuple[Record, ...]:
        """Servers, racks and pods: which chip, how many, in what scale-up domain."""
        return self.records("servers", as_of)

    # sources and models

    def sources(self) -> tuple[Source, ...]:
        """All sources, by key."""
        return tuple(self.source_list[key] for key in sorted(self.source_list))

    def source(self, key: str) -> Source:
        """One source by its key. Raises InputError with the nearest key."""
        if key not in self.source_list:
            raise InputError(Problem(f'no source "{key[:60]}"', suggestion=nearest(key[:60], self.source_list)))
        return self.source_list[key]

    def models(self) -> tuple[str, ...]:
        """Ids of the bundled models (`deepseek-ai/DeepSeek-R1`)."""
        from tonnage.catalog.models import identifiers

        return identifiers(self.model_lines)

    def model_names(self) -> tuple[str, ...]:
        """Ids, and the short names and aliases that mean one model (`deepseek-r1`)."""
        from tonnage.catalog.models import short_names

        return (*short_names(self.model_lines), *self.models())

    def model_config(self, name: str) -> tuple[str, dict[str, object], str]:
        """(id, config.json as a dict, source) of a bundled model by id, alias or short name, in any case."""
        from tonnage.catalog.models import find

        return find(name, self.model_lines)
