"""From a programme file to a checked `Programme`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tonnage import files, units
from tonnage.catalog.prices import LAW_AS, region_code
from tonnage.errors import InputError, MissingFact, Problem, nearest
from tonnage.fleet import programme as p
from tonnage.fleet import schema, uncertain
from tonnage.fleet.keys import Keys
from tonnage.fleet.lots import busy, optional_keys, owned, tariff, tenure_keys, terms
from tonnage.fleet.prices import Market, Owning, Priced, from_purchase, instead_of_rent, owning, rent
from tonnage.fleet.readiness import DEBUG
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader, override
from tonnage.fleet.uncertain import Uncertain, point
from tonnage.fleet.verdict_file import VerdictReader
from tonnage.fleet.workload import service, stage, under_way

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.fleet.judged import Judged
    from tonnage.model import Architecture

SLIP, GIVE_UP = "1.2 to 3", "uniform(10 %, 100 %)"
"""Assumptions unless the programme sets them: see `readiness`."""

MOST_LOTS, MOST_MODELS, MOST_STAGES, MOST_PLACES = 64, 16, 16, 8
"""Bounds on a programme, so that no file asks for hours of planning."""

SHORTEST, LONGEST = 7 * units.DAY, 10 * units.YEAR

T = TypeVar("T")


def read_programme(
    path: str | Path,
    sets: Mapping[str, str] | None = None,
    catalog: Catalog | None = None,
    as_of: datetime.date | None = None,
) -> p.Programme:
    """Programme file -> `Programme`.

    sets: leaves to change, `{"fleet.0.count": "64"}`; as_of: plan with what was known on this day (rules announced,
    prices and runs published), instead of the file's own rules and its start. Raises InputError with every problem.
    """
    return read_programme_text(files.read_text(path), str(path), sets, catalog, as_of)


def read_programme_text(
    text: str,
    name: str = "",
    sets: Mapping[str, str] | None = None,
    catalog: Catalog | None = None,
    as_of: datetime.date | None = None,
) -> p.Programme:
    """The text of a programme file -> `Programme`; name: the file's, beside which its models are looked for."""
    from tonnage import catalog as catalogues

    document = override(files.parse_yaml(text, name), sets or {})
    made = _ProgrammeBuilder(document, catalog or catalogues.load(), as_of, Path(name)).programme()
    return replace(made, path=name, text=text, sets=dict(sets or {}), as_of=as_of)


@dataclass(frozen=True)
class _Assumptions:
    slip: Uncertain
    give_up: Uncertain
    debug: Uncertain
    readiness: Mapping[str, Uncertain]
    verdicts: Mapping[str, object]


class _ProgrammeBuilder:
    """Builds one programme; notes problems in its reader."""

    def __init__(self, document: files.Document, catalog: Catalog, as_of: datetime.date | None, path: Path) -> None:
        self.read = ProgrammeReader(document)
        self.catalog, self.as_of, self.path = catalog, as_of, path
        self.start, self.place, self.known = datetime.date(2000, 1, 1), "", datetime.date.max
        self.market = ""
        self.names: dict[str, str] = {}
        self.dated = True
        self.declared: set[str] = set()
        self.left_out: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.end = datetime.date.max

    def programme(self) -> p.Programme:
        top = self.read.mapping(self.read.document.value, (), schema.PROGRAMME, "a programme")
        self.start = top.date("start", self.start)
        self.place = self._place(top.text("place", ""), ("place",))
        self.market = region_code(str(top.text("place", ""))) or self.place
        owner = top.text("headquarters")
        headquarters = self.place if owner is None else self._place(owner, ("headquarters",))
        end = self.end = self._end(top)
        rules = self._rules(top.raw("rules"))
        self.known = self.as_of or rules.known_at or self.start
        self.dated = self.known != self.start or "start" in top
        assumptions = self._assumptions(top.raw("assumptions"))
        lots = p.with_fees(self._lots(top.raw("fleet")), rules)
        if not lots and self.left_out and not self.read.problems:
            self.read.problem(("fleet",), f"no lot can be planned on: {'; '.join(why for _, why in self.left_out)}")
        models = self._models(top.raw("models"), lots)
        correlations = self._correlations(top.raw("correlations"), lots, models)
        self._chip_names("readiness", assumptions.readiness, lots)
        self._chip_names("verdicts", assumptions.verdicts, lots)
        verdicts = self._verdicts(assumptions.verdicts, lots)
        self.read.finish()
        return p.Programme(
            name=top.text("name", ""),
            start=self.start,
            end=end,
            place=self.place,
            headquarters=headquarters,
            lots=lots,
            models=models,
            rules=replace(rules, known_at=self.as_of or rules.known_at),
            known=self.known,
            correlations=correlations,
            budget=top.number("budget"),
            power=top.number("power"),
            night_training=top.text("nights") == "train",
            left_out=tuple(self.left_out),
            notes=tuple(dict.fromkeys((*self.notes, *self._read_as()))),
            slip=assumptions.slip,
            give_up=assumptions.give_up,
            debug=assumptions.debug,
            readiness=assumptions.readiness,
            verdicts=verdicts,
        )

    def _read_as(self) -> tuple[str, ...]:
        """What names that could mean several chips were read as."""
        told = ", ".join(f'"{name}" as {key}' for name, key in self.names.items())
        return (f"read: {told}",) if told else ()

    def _correlations(
        self, value: object, lots: tuple[p.Lot, ...], models: tuple[p.Model, ...]
    ) -> tuple[tuple[str, str, float], ...]:
        from tonnage.fleet.draws import consistent

        items = self.read.items(value, ("correlations",), "correlations") if value else []
        inputs = p.uncertain_names(lots, models)
        made: list[tuple[str, str, float]] = []
        for index, item in enumerate(items):
            path: Where = ("correlations", index)
            read = self.read.mapping(item, path, schema.CORRELATION, "a correlation")
            names, r = read.names("between"), read.number("r")
            if "between" in read and (len(names) != 2 or names[0] == names[1]):
                self.read.problem((*path, "between"), "expected two inputs")
                continue
            for name in names:
                if name not in inputs and lots and models:
                    message = f'no uncertain input named "{name[:80]}"'
                    self.read.problem((*path, "between"), message, nearest(name, tuple(inputs)))
            if len(names) == 2 and r is not None and set(names) <= inputs:
                made.append((names[0], names[1], r))
        if not consistent(tuple(made)):
            self.read.problem(("correlations",), "these correlations exclude one another")
        return tuple(made)

    def _place(self, text: str, path: Where) -> str:
        from tonnage.law.data import load_rules

        if not str(text).strip():
            return ""
        region = region_code(str(text))
        if region in LAW_AS:
            self.notes.append(f"prices of {region}; rules as in {LAW_AS[region]}, which stand for it")
            return LAW_AS[region]
        try:
            return load_rules().places.code(str(text))
        except InputError as error:
            self.read.problem(path, error.problems[0].message, error.problems[0].suggestion)
            return str(text).strip().upper()[:40]

    def _end(self, top: Keys) -> datetime.date:
        span = top.span("horizon")
        if not 2010 <= self.start.year <= 2060 and "start" in top:
            self.read.problem(("start",), f"{self.start} is not between 2010 and 2060")
        if span is None:
            return self.start + datetime.timedelta(days=365)
        seconds = (span - self.start).total_seconds() if isinstance(span, datetime.date) else span
        if not SHORTEST <= seconds <= LONGEST:
            text = f"the horizon is {units.show_time(seconds)} long; it has to be between a week and ten years"
            self.read.problem(("horizon",), text)
            seconds = min(max(seconds, SHORTEST), LONGEST)
        return self.start + datetime.timedelta(days=round(seconds / units.DAY))

    def _assumptions(self, value: object) -> _Assumptions:
        read = self.read.mapping(value, ("assumptions",), schema.ASSUMPTIONS, "assumptions") if value else Keys()
        share = schema.Field("share", "", high=1.0)
        shares = self._by_chip(read.raw("readiness", {}), "readiness", share, "a share")
        verdicts = self._by_chip(read.raw("verdicts", {}), "verdicts", schema.Field("nested", ""), "a verdict")
        return _Assumptions(
            read.uncertain("slip", uncertain.parse(SLIP, "number")),
            read.uncertain("give_up", uncertain.parse(GIVE_UP, "share")),
            read.uncertain("debug", uncertain.parse(DEBUG, "time")),
            {key: chance for key, chance in shares.items() if isinstance(chance, Uncertain)},
            verdicts,
        )

    def _verdicts(self, said: Mapping[str, object], lots: tuple[p.Lot, ...]) -> Mapping[str, Judged]:
        chips = {lot.name: lot.chip for lot in lots}
        reader = VerdictReader(self.read, self.path.parent, self.catalog, self.known)
        found = {key: reader.judged(key, item, chips.get(key, self._chip_name(key))) for key, item in said.items()}
        self.notes += reader.notes
        return {key: judged for key, judged in found.items() if judged is not None}

    def _by_chip(self, value: object, name: str, field: schema.Field, what: str) -> dict[str, object]:
        """Values by chip or lot; a chip by any of its names."""
        path: Where = ("assumptions", name)
        if not isinstance(value, Mapping):
            self.read.problem(path, f"expected chips or lots with {what} each")
            return {}
        found = {key: self.read.value(item, (*path, key), field) for key, item in value.items()}
        kept = {str(key): item for key, item in found.items() if item is not None}
        return {self._key(key): item for key, item in kept.items()} | kept

    def _key(self, name: str) -> str:
        try:
            return self.catalog.chip(name)
        except InputError:
            return name

    # rules

    def _rules(self, value: object) -> p.Rules:
        listed = value if isinstance(value, list) else [value]
        known: datetime.date | None = None
        without: list[str] = []
        changes: list[p.Change] = []
        altered: list[str] = []
        for index, item in enumerate(listed):
            path: Where = ("rules", index) if isinstance(value, list) else ("rules",)
            read = self._rule(item, path)
            known = read.date("known-at") or known
            without += [name for name in read.names("without") if self._known_rule(name, path)]
            for text in read.names("with"):
                if "=" in text:
                    altered += self._altered(f"with {text}", path)
                elif change := self._change(text, path):
                    changes.append(change)
        return p.Rules(known, tuple(without), tuple(changes), tuple(altered))

    def _altered(self, text: str, path: Where) -> list[str]:
        from tonnage.law import rule_book

        try:
            rule_book(text)
        except InputError as error:
            self._pass_on(error, path)
            return []
        return [text]

    def _rule(self, item: object, path: Where) -> Keys:
        if item is None:
            return Keys()
        if isinstance(item, Mapping):
            return self.read.mapping(item, path, schema.RULES, "rules")
        try:
            words = p.rule_words(str(item))
        except ValueError as error:
            self.read.problem(path, str(error))
            return Keys()
        read = {key: self.read.value(text, path, schema.RULES[key]) for key, text in words.items()}
        return Keys({key: found for key, found in read.items() if found is not None})

    def _known_rule(self, name: str, path: Where) -> bool:
        from tonnage.fleet import calendar

        names = calendar.names(self.catalog)
        if name in names or self._chip_name(name) is not None:
            return True
        self.read.problem(path, f'no rule and no chip named "{name[:60]}"', nearest(name, names))
        return False

    def _change(self, text: str, path: Where) -> p.Change | None:
        try:
            change = p.parse_change(text, self.start)
            return replace(change, chip=self.catalog.chip(change.chip))
        except ValueError as error:
            self.read.problem(path, str(error))
        except InputError as error:
            self._pass_on(error, path)
        return None

    def _pass_on(self, error: InputError, path: Where) -> None:
        for problem in error.problems:
            self.read.problem(path, problem.message, problem.suggestion)

    def _chip_name(self, name: str) -> str | None:
        try:
            return self.catalog.chip(name)
        except InputError:
            return None

    # fleet

    def _lots(self, value: object) -> tuple[p.Lot, ...]:
        items = self.read.items(value, ("fleet",), "lots") if value is not None else []
        items = self._at_most(items, MOST_LOTS, ("fleet",), "lots")
        self.declared = {str(item.get(key)) for item in items if isinstance(item, Mapping) for key in ("lot", "chip")}
        lots = [lot for index, item in enumerate(items) if (lot := self._lot(item, ("fleet", index)))]
        seen: set[str] = set()
        for index, item in enumerate(items):
            name = str(item.get("lot", "")) if isinstance(item, Mapping) else ""
            if name and name in seen:
                self.read.problem(("fleet", index, "lot"), f'a second lot named "{name[:60]}"')
            seen.add(name)
        return tuple(lots)

    def _unplannable(self, chip: str, start: Uncertain) -> str:
        """Why a lot cannot be planned on, empty if it can: a fact that is missing, or a day beyond the plan."""
        from tonnage.system import accelerator

        last = self.start + datetime.timedelta(seconds=LONGEST)
        if start.interval[0] > max(last, self.end).toordinal():
            return f"it comes after {last}, up to which launches are looked for"
        try:
            accelerator(chip, self.catalog)
        except MissingFact as error:
            return str(error)
        return ""

    def _chip_names(self, key: str, named: Mapping[str, object], lots: tuple[p.Lot, ...]) -> None:
        """Refuse a readiness or verdict of what is neither a lot nor a chip."""
        known = {*self.declared, *(lot.name for lot in lots), *(lot.chip for lot in lots)}
        for name in named:
            if name not in known and self._chip_name(str(name)) is None:
                message = f'no lot and no chip named "{str(name)[:60]}"'
                self.read.problem(("assumptions", key, name), message, nearest(str(name), known), key=True)

    def _at_most(self, items: list[T], most: int, path: Where, what: str) -> list[T]:
        if len(items) > most:
            self.read.problem(path, f"{len(items)} {what}; at most {most} are taken")
        return items[:most]

    def _lot(self, item: object, path: Where) -> p.Lot | None:
        read = self.read.mapping(item, path, schema.LOT, "a lot")
        chip = self._chip(read.text("chip"), (*path, "chip"))
        start = read.uncertain("from", point(self.start.toordinal()))
        self._released(chip, read.uncertain("acquired") or read.uncertain("from"), (*path, "chip"))
        until = read.uncertain("until")
        if until is not None and until.median <= start.median:
            self.read.problem((*path, "until"), "is not after from")
        acquired = read.uncertain("acquired")
        if acquired is not None and acquired.median > start.median:
            self.read.problem((*path, "acquired"), "is after the first day of the lot")
        tenure_keys(self.read, read, path)
        priced = self._price(read, item, chip, path)
        optional_keys(self.read, read, priced.price, path)
        name, count = read.text("lot"), read.uncertain("count")
        if name is None or count is None or chip is None:
            return None
        why = self._unplannable(chip, start)
        if why:
            self.left_out.append((name, why))
            return None
        made = p.Lot(
            name,
            chip,
            count,
            read.text("tenure", "rented"),
            priced.price,
            priced.note,
            start,
            until,
            in_hand="from" not in read and "acquired" not in read,
            sources=priced.facts,
            bought=priced.bought,
            owning=priced.owning,
            quotes=priced.quotes,
        )
        return terms(made, read, busy(self.read, read, (*path, "busy")))

    def _chip(self, name: str | None, path: Where) -> str | None:
        if name is None:
            return None
        if (alias := self.catalog.read_as(name)) is not None:
            self.names[name] = alias.key
        try:
            return self.catalog.chip(name)
        except InputError as error:
            self._pass_on(error, path)
            return None

    def _released(self, chip: str | None, came: Uncertain | None, path: Where) -> None:
        """Refuse a chip that was not known on the day of knowledge, unless its lot comes after its release."""
        if chip is None or not self.dated or chip in self.catalog.chips(self.known):
            return
        released = self.catalog.fact(chip, "released").day if "released" in self.catalog.facts_of(chip) else None
        if came is not None and released is not None and came.median >= released.toordinal():
            return
        when = f"was released on {released}" if released else "has no release date"
        self.read.problem(path, f"{chip} {when}, and was not known on {self.known}: it cannot be in hand")

    def _price(self, read: Keys, item: object, chip: str | None, path: Where) -> Priced:
        """The price of a lot by the hour; a rented lot without one is a problem."""
        tenure, name, price = read.text("tenure", "rented"), read.text("lot", ""), read.uncertain("price")
        where = Market(self.catalog, self.market, self.known)
        instead = from_purchase(chip, name, where, Owning()) if chip and tenure == "rented" else None
        bought, own = (instead.bought, instead.price) if instead else (None, None)
        if price is not None:
            quote = p.Quote(name, chip or "", "rent" if tenure == "rented" else "owning", *price.interval)
            return Priced(price, (quote,), "programme", (), bought, own)
        if chip is None or not isinstance(item, Mapping) or item.get("price") is not None:
            return Priced(None)
        if tenure == "owned":
            return owning(chip, name, where, owned(read))
        found = rent(chip, name, where, tariff(read, self.start))
        if found.price is None:
            found = instead_of_rent(chip, name, where)
        if found.price is None:
            text = (
                f"a rented lot with no price here, and none in the catalogue for {chip} in {self.place} by {self.known}"
            )
            self.read.problem(path, f"{text}: add price: $.../h")
        return replace(found, bought=bought, owning=own)

    # models

    def _models(self, value: object, lots: tuple[p.Lot, ...]) -> tuple[p.Model, ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping) or not value:
            self.read.problem(("models",), "expected models by name")
            return ()
        value = {str(name): value[name] for name in self._at_most(list(value), MOST_MODELS, ("models",), "models")}
        for name in value:
            self.read.value(name, ("models", name), schema.Field("name", ""))
        read = {
            name: self.read.mapping(item, ("models", name), schema.MODEL, "a model") for name, item in value.items()
        }
        after = {name: self._after(name, keys, read) for name, keys in read.items()}
        placed = p.order(after)
        for name in after:
            if name not in placed:
                self.read.problem(("models", name, "after"), "these models follow one another in a circle")
        services = {name: self._service_keys(name, read[name]) for name in placed}
        return tuple(self._model(name, read[name], after[name], services, lots) for name in placed)

    def _after(self, name: str, keys: Keys, read: Mapping[str, Keys]) -> str | None:
        before = keys.text("after")
        if before is not None and before not in read:
            message = f'no model "{before}" in this programme'
            others = [other for other in read if other != name]
            self.read.problem(("models", name, "after"), message, nearest(before, others))
            return None
        return before

    def _model(
        self,
        name: str,
        keys: Keys,
        after: str | None,
        services: Mapping[str, Keys | None],
        lots: tuple[p.Lot, ...],
    ) -> p.Model:
        path: Where = ("models", name)
        reference, architecture = self._architecture(keys.raw("model"), (*path, "model"))
        good = keys.raw("good_enough")
        rounds = self.read.mapping(good, (*path, "good_enough"), schema.GOOD_ENOUGH, "good_enough") if good else Keys()
        if "serve" not in keys and "train" not in keys and after is None:
            self.read.problem(path, "is neither served nor trained: give it serve, train or both")
        return p.Model(
            name,
            reference,
            architecture,
            self._service(name, after, services, lots),
            self._training(keys.raw("train"), (*path, "train"), lots),
            after,
            rounds.uncertain("rounds", point(0.0)),
            rounds.uncertain("each", point(0.0)),
            rounds.uncertain("hold"),
        )

    def _architecture(self, value: object, path: Where) -> tuple[str, Architecture | None]:
        from tonnage import model

        if value is None:
            return "", None
        try:
            if isinstance(value, Mapping):
                there = self._precisions(value, path)
                base = str(value.get("like", ""))
                if not base:
                    self.read.problem(path, "needs the key like, the model that it is a variant of")
                    return "", None
                changes = {str(key): item for key, item in value.items() if key != "like"}
                if not there:
                    return base, None
                text = ", ".join(f"{key} {item}" for key, item in changes.items())
                where = self.read.document.place
                derived = model.derive(
                    self._load(base), _places=lambda key: where((*path, *key.split(".")), key=True), **changes
                )
                return f"{base} with {text}" if text else base, derived
            return str(value), self._load(str(value))
        except InputError as error:
            self._pass_on(error, path)
        except TypeError:
            self.read.problem(path, "holds a key that no model has")
        return str(value), None

    def _precisions(self, value: Mapping[str, object], path: Where) -> bool:
        """Whether there are the formats of weights that a model is said to have; a problem for each that is not."""
        from tonnage.system import FORMATS

        good = True
        for key in ("precision", "expert_precision"):
            given = value.get(key)
            if given is not None and str(given).lower() not in FORMATS:
                message = f'"{str(given)[:60]}" is no format of weights; there are {", ".join(FORMATS)}'
                self.read.problem((*path, key), message, nearest(str(given), FORMATS))
                good = False
        return good

    def _load(self, name: str) -> Architecture:
        from tonnage import model

        beside = self.path.parent / name
        found = beside.suffix in (".json", ".yaml", ".yml") and beside.exists()
        undated = not found and model.is_bundled(name, self.catalog) and model.released(name, self.catalog) is None
        if undated and self.dated:
            self.notes.append(f"no release date of {name} is known: that it was there by {self.known} is not checked")
        return model.load(str(beside) if found else name, self.catalog, self.known if self.dated else None)

    def _service_keys(self, name: str, keys: Keys) -> Keys | None:
        if "serve" not in keys:
            return None
        return self.read.mapping(keys.raw("serve"), ("models", name, "serve"), schema.SERVE, "serve")

    def _service(
        self,
        name: str,
        after: str | None,
        services: Mapping[str, Keys | None],
        lots: tuple[p.Lot, ...],
    ) -> p.ServiceSpec | None:
        own = services.get(name)
        if own is None:
            return None
        path: Where = ("models", name, "serve")
        made = service(self.read, own, after, services, path)
        return replace(made, lots=self._lot_names(own.names("on"), lots, (*path, "on")))

    def _lot_names(self, names: tuple[str, ...], lots: tuple[p.Lot, ...], path: Where) -> tuple[str, ...]:
        """Names of lots that are meant by names of lots or of chips."""
        return tuple(dict.fromkeys(lot for name in names for lot in self._meant(name, lots, path)))

    def _meant(self, name: str, lots: tuple[p.Lot, ...], path: Where) -> tuple[str, ...]:
        if any(lot.name == name for lot in lots):
            return (name,)
        chip = self._chip_name(name)
        found = tuple(lot.name for lot in lots if lot.chip == chip)
        if not found and lots and name not in self.declared:
            known = [*(lot.name for lot in lots), *(lot.chip for lot in lots)]
            self.read.problem(path, f'no lot and no chip of the fleet named "{name[:60]}"', nearest(name, known))
        return found

    def _training(self, value: object, path: Where, lots: tuple[p.Lot, ...]) -> p.Training | None:
        if value is None:
            return None
        read = self.read.mapping(value, path, schema.TRAIN, "train")
        items = self.read.items(read.raw("stages"), (*path, "stages"), "stages") if "stages" in read else []
        items = self._at_most(items, MOST_STAGES, (*path, "stages"), "stages")
        stages = [stage(self.read, item, (*path, "stages", index)) for index, item in enumerate(items)]
        if stages and all(one is not None and one.kind == "pause" for one in stages):
            self.read.problem((*path, "stages"), "nothing is trained: every stage is a pause")
        names = tuple(self._at_most(list(read.names("try")), MOST_PLACES, (*path, "try"), "places"))
        tried = [(name, self._meant(name, lots, (*path, "try"))) for name in names]
        if not names:
            tried = [
                (chip, tuple(lot.name for lot in lots if lot.chip == chip)) for chip in {lot.chip: 0 for lot in lots}
            ]
        places = tuple((name, found) for name, found in tried if found)
        return p.Training(
            tuple(filter(None, stages)),
            places,
            read.number("at_most"),
            bool(names),
            *under_way(self.read, read, self.start, path),
        )


__all__ = ["Problem", "read_programme", "read_programme_text"]
