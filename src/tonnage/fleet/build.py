"""From a programme file to a checked `Programme`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import files, units
from tonnage.errors import InputError, MissingFact, Problem, nearest
from tonnage.fleet import programme as p
from tonnage.fleet import schema
from tonnage.fleet.prices import Market, Owning, Priced, from_purchase, owning, rent
from tonnage.fleet.readiness import DEBUG
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader, override
from tonnage.fleet.uncertain import Uncertain, point
from tonnage.fleet.workload import lengths, like, stage, under_way

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.model import Architecture

SLIP, GIVE_UP = "1.2 to 3", "uniform(10 %, 100 %)"
"""Assumptions unless the programme sets them: see `readiness`."""

RENTED_KEYS = ("term", "notice")
OWNED_KEYS = ("purchase", "life", "resale", "power_price", "hosting")

MOST_LOTS, MOST_MODELS, MOST_STAGES, MOST_PLACES = 64, 16, 16, 8
"""Bounds on a programme, so that no file asks for hours of planning."""

CONTRACTS = (("3-year", 3 * 365 * units.DAY), ("1-year", 365 * units.DAY))
"""Terms by which a lease is priced that lasts so long at least; shorter ones are on demand."""

SHORTEST, LONGEST = 7 * units.DAY, 10 * units.YEAR


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


class _ProgrammeBuilder:
    """Builds one programme; notes problems in its reader."""

    def __init__(self, document: files.Document, catalog: Catalog, as_of: datetime.date | None, path: Path) -> None:
        self.read = ProgrammeReader(document)
        self.catalog, self.as_of, self.path = catalog, as_of, path
        self.start, self.place, self.known = datetime.date(2000, 1, 1), "", datetime.date.max
        self.dated = True
        self.declared: set[str] = set()
        self.left_out: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.end = datetime.date.max

    def programme(self) -> p.Programme:
        top = self.read.mapping(self.read.document.value, (), schema.PROGRAMME, "a programme")
        self.start = top.get("start", self.start)
        self.place = self._place(top.get("place", ""), ("place",))
        headquarters = self._place(top["headquarters"], ("headquarters",)) if "headquarters" in top else self.place
        end = self.end = self._end(top)
        rules = self._rules(top.get("rules"))
        self.known = self.as_of or rules.known_at or self.start
        self.dated = self.known != self.start or "start" in top
        assumptions = self._assumptions(top.get("assumptions", {}))
        lots = self._lots(top.get("fleet"))
        if not lots and self.left_out and not self.read.problems:
            self.read.problem(("fleet",), f"no lot can be planned on: {'; '.join(why for _, why in self.left_out)}")
        models = self._models(top.get("models"), lots)
        correlations = self._correlations(top.get("correlations", ()), lots, models)
        self._readiness_names(assumptions["readiness"], lots)
        self.read.finish()
        return p.Programme(
            name=top["name"],
            start=self.start,
            end=end,
            place=self.place,
            headquarters=headquarters,
            lots=lots,
            models=models,
            rules=replace(rules, known_at=self.as_of or rules.known_at),
            known=self.known,
            correlations=correlations,
            budget=top.get("budget"),
            power=top.get("power"),
            left_out=tuple(self.left_out),
            notes=tuple(dict.fromkeys(self.notes)),
            **assumptions,
        )

    def _correlations(
        self, value: Any, lots: tuple[p.Lot, ...], models: tuple[p.Model, ...]
    ) -> tuple[tuple[str, str, float], ...]:
        from tonnage.fleet.draws import consistent

        items = self.read.items(value, ("correlations",), "correlations") if value else []
        uncertain = p.uncertain_names(lots, models)
        made: list[tuple[str, str, float]] = []
        for index, item in enumerate(items):
            path: Where = ("correlations", index)
            read = self.read.mapping(item, path, schema.CORRELATION, "a correlation")
            names = tuple(map(str, read.get("between", ())))
            if "between" in read and (len(names) != 2 or names[0] == names[1]):
                self.read.problem((*path, "between"), "expected two inputs")
                continue
            for name in names:
                if name not in uncertain and lots and models:
                    message = f'no uncertain input named "{name[:80]}"'
                    self.read.problem((*path, "between"), message, nearest(name, tuple(uncertain)))
            if len(names) == 2 and "r" in read and set(names) <= uncertain:
                made.append((names[0], names[1], read["r"]))
        if not consistent(tuple(made)):
            self.read.problem(("correlations",), "these correlations exclude one another")
        return tuple(made)

    def _place(self, text: str, path: Where) -> str:
        from tonnage.law.data import load_rules

        if not str(text).strip():
            return ""
        try:
            return load_rules().places.code(str(text))
        except InputError as error:
            self.read.problem(path, error.problems[0].message, error.problems[0].suggestion)
            return str(text).strip().upper()[:40]

    def _end(self, top: dict[str, Any]) -> datetime.date:
        span = top.get("horizon")
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

    def _assumptions(self, value: Any) -> dict[str, Any]:
        read = self.read.mapping(value, ("assumptions",), schema.ASSUMPTIONS, "assumptions") if value else {}
        from tonnage.fleet import uncertain

        share = schema.Field("share", "", high=1.0)
        verdict = schema.Field("choice", "", choices=schema.VERDICTS)
        shares = self._by_chip(read.pop("readiness", {}), "readiness", share, "a share")
        verdicts = self._by_chip(read.pop("verdicts", {}), "verdicts", verdict, "fit, inference only or unfit")
        return {
            "slip": read.get("slip", uncertain.parse(SLIP, "number")),
            "give_up": read.get("give_up", uncertain.parse(GIVE_UP, "share")),
            "debug": read.get("debug", uncertain.parse(DEBUG, "time")),
            "readiness": shares,
            "verdicts": verdicts,
        }

    def _by_chip(self, value: Any, name: str, field: schema.Field, what: str) -> dict[str, Any]:
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

    def _rules(self, value: Any) -> p.Rules:
        listed = value if isinstance(value, list) else [value]
        known: datetime.date | None = None
        without: list[str] = []
        changes: list[p.Change] = []
        altered: list[str] = []
        for index, item in enumerate(listed):
            path: Where = ("rules", index) if isinstance(value, list) else ("rules",)
            read = self._rule(item, path)
            known = read.get("known-at", known)
            without += [name for name in map(str, read.get("without", ())) if self._known_rule(name, path)]
            for text in read.get("with", ()):
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

    def _rule(self, item: Any, path: Where) -> dict[str, Any]:
        if item is None:
            return {}
        if isinstance(item, Mapping):
            return self.read.mapping(item, path, schema.RULES, "rules")
        try:
            words = p.rule_words(str(item))
        except ValueError as error:
            self.read.problem(path, str(error))
            return {}
        read = {key: self.read.value(text, path, schema.RULES[key]) for key, text in words.items()}
        return {key: found for key, found in read.items() if found is not None}

    def _known_rule(self, name: str, path: Where) -> bool:
        from tonnage.fleet import calendar

        names = calendar.names(self.catalog)
        if name in names or self._chip_name(name) is not None:
            return True
        self.read.problem(path, f'no rule and no chip named "{name[:60]}"', nearest(name, names))
        return False

    def _change(self, text: str, path: Where) -> p.Change | None:
        try:
            kind, chip, day = p.parse_change(text, self.start)
            return p.Change(kind, self.catalog.chip(chip), day)
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

    def _lots(self, value: Any) -> tuple[p.Lot, ...]:
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

    def _readiness_names(self, chances: Mapping[str, Uncertain], lots: tuple[p.Lot, ...]) -> None:
        """Refuse a readiness of what is neither a lot nor a chip."""
        known = {*self.declared, *(lot.name for lot in lots), *(lot.chip for lot in lots)}
        for name in chances:
            if name not in known and self._chip_name(str(name)) is None:
                message = f'no lot and no chip named "{str(name)[:60]}"'
                self.read.problem(("assumptions", "readiness", name), message, nearest(str(name), known), key=True)

    def _at_most(self, items: list[Any], most: int, path: Where, what: str) -> list[Any]:
        if len(items) > most:
            self.read.problem(path, f"{len(items)} {what}; at most {most} are taken")
        return items[:most]

    def _lot(self, item: Any, path: Where) -> p.Lot | None:
        read = self.read.mapping(item, path, schema.LOT, "a lot")
        chip = self._chip(read.get("chip"), (*path, "chip"))
        start = read.get("from", point(self.start.toordinal()))
        self._released(chip, read.get("acquired", read.get("from")), (*path, "chip"))
        until = read.get("until")
        if until is not None and until.median <= start.median:
            self.read.problem((*path, "until"), "is not after from")
        self._tenure_keys(read, path)
        priced = self._price(read, item, chip, path)
        if not {"lot", "count"} <= read.keys() or chip is None:
            return None
        why = self._unplannable(chip, start)
        if why:
            self.left_out.append((read["lot"], why))
            return None
        plain = ("over", "acquired", "licence", "spare", "notice", "lead")
        kept: dict[str, Any] = {key: read[key] for key in plain if key in read}
        kept |= self._busy(read, (*path, "busy"))
        in_hand = "from" not in read and "acquired" not in read
        return p.Lot(
            read["lot"],
            chip,
            read["count"],
            read.get("tenure", "rented"),
            priced.price,
            priced.note,
            start,
            until,
            in_hand=in_hand,
            sources=priced.facts,
            term=read["term"][1] if "term" in read else 0.0,
            bought=priced.bought,
            owning=priced.owning,
            quotes=priced.quotes,
            **kept,
        )

    def _busy(self, read: dict[str, Any], path: Where) -> dict[str, Any]:
        """Other people's demand on a lot: a share, or a share that grows."""
        value = read.get("busy")
        if not isinstance(value, Mapping):
            share = None if value is None else self.read.value(value, path, schema.BUSY["share"])
            return {} if share is None else {"busy": share}
        found = self.read.mapping(value, path, schema.BUSY, "busy")
        names = {"share": "busy", "growth": "busy_growth"}
        return {names[key]: found[key] for key in names if key in found}

    def _tenure_keys(self, read: Mapping[str, Any], path: Where) -> None:
        """Keys of a lease in an owned lot, and the other way round."""
        tenure = read.get("tenure", "rented")
        for key in RENTED_KEYS if tenure == "owned" else OWNED_KEYS:
            if key in read:
                self.read.problem((*path, key), f"says nothing of {'an' if tenure == 'owned' else 'a'} {tenure} lot")

    def _chip(self, name: str | None, path: Where) -> str | None:
        if name is None:
            return None
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

    def _price(self, read: dict[str, Any], item: Any, chip: str | None, path: Where) -> Priced:
        """The price of a lot by the hour; a rented lot without one is a problem."""
        tenure, name = read.get("tenure", "rented"), str(read.get("lot", ""))
        where = Market(self.catalog, self.place, self.known)
        instead = from_purchase(chip, name, where, Owning()) if chip and tenure == "rented" else None
        bought, own = (instead.bought, instead.price) if instead else (None, None)
        if "price" in read:
            price: Uncertain = read["price"]
            quote = p.Quote(name, chip or "", "rent" if tenure == "rented" else "owning", *price.interval)
            return Priced(price, (quote,), "programme", (), bought, own)
        if chip is None or not isinstance(item, Mapping) or item.get("price") is not None:
            return Priced(None)
        if tenure == "owned":
            return owning(chip, name, where, Owning(**{key: read[key] for key in OWNED_KEYS if key in read}))
        found = rent(chip, name, where, _tariff(read, self.start))
        if found.price is None:
            text = (
                f"a rented lot with no price here, and none in the catalogue for {chip} in {self.place} by {self.known}"
            )
            self.read.problem(path, f"{text}: add price: $.../h")
        return replace(found, bought=bought, owning=own)

    # models

    def _models(self, value: Any, lots: tuple[p.Lot, ...]) -> tuple[p.Model, ...]:
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

    def _after(self, name: str, keys: dict[str, Any], read: Mapping[str, Any]) -> str | None:
        before = keys.get("after")
        if before is not None and before not in read:
            message = f'no model "{before}" in this programme'
            others = [other for other in read if other != name]
            self.read.problem(("models", name, "after"), message, nearest(before, others))
            return None
        return before

    def _model(
        self,
        name: str,
        keys: dict[str, Any],
        after: str | None,
        services: Mapping[str, dict[str, Any] | None],
        lots: tuple[p.Lot, ...],
    ) -> p.Model:
        path: Where = ("models", name)
        reference, architecture = self._architecture(keys.get("model"), (*path, "model"))
        good = keys.get("good_enough")
        rounds = self.read.mapping(good, (*path, "good_enough"), schema.GOOD_ENOUGH, "good_enough") if good else {}
        if "serve" not in keys and "train" not in keys and after is None:
            self.read.problem(path, "is neither served nor trained: give it serve, train or both")
        return p.Model(
            name,
            reference,
            architecture,
            self._service(name, after, services, lots),
            self._training(keys.get("train"), (*path, "train"), lots),
            after,
            rounds.get("rounds", point(0.0)),
            rounds.get("each", point(0.0)),
            rounds.get("hold"),
        )

    def _architecture(self, value: Any, path: Where) -> tuple[str, Architecture | None]:
        from tonnage import model

        if value is None:
            return "", None
        try:
            if isinstance(value, Mapping):
                self._precisions(value, path)
                base = str(value.get("like", ""))
                if not base:
                    self.read.problem(path, "needs the key like, the model that it is a variant of")
                    return "", None
                changes = {str(key): item for key, item in value.items() if key != "like"}
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

    def _precisions(self, value: Mapping[str, Any], path: Where) -> None:
        """Refuse a format of weights that there is none of."""
        from tonnage.system import FORMATS

        for key in ("precision", "expert_precision"):
            given = value.get(key)
            if given is not None and str(given).lower() not in FORMATS:
                message = f'"{str(given)[:60]}" is no format of weights; there are {", ".join(FORMATS)}'
                self.read.problem((*path, key), message, nearest(str(given), FORMATS))

    def _load(self, name: str) -> Architecture:
        from tonnage import model

        beside = self.path.parent / name
        found = beside.suffix in (".json", ".yaml", ".yml") and beside.exists()
        undated = not found and model.is_bundled(name, self.catalog) and model.released(name, self.catalog) is None
        if undated and self.dated:
            self.notes.append(f"no release date of {name} is known: that it was there by {self.known} is not checked")
        return model.load(str(beside) if found else name, self.catalog, self.known if self.dated else None)

    def _service_keys(self, name: str, keys: dict[str, Any]) -> dict[str, Any] | None:
        if "serve" not in keys:
            return None
        return self.read.mapping(keys["serve"], ("models", name, "serve"), schema.SERVE, "serve")

    def _service(
        self,
        name: str,
        after: str | None,
        services: Mapping[str, dict[str, Any] | None],
        lots: tuple[p.Lot, ...],
    ) -> p.ServiceSpec | None:
        own = services.get(name)
        if own is None:
            return None
        path: Where = ("models", name, "serve")
        shared, base = like(self.read, own, after, services, path)
        merged = {**shared, **own}
        if "takes_over" in own and after is None:
            self.read.problem((*path, "takes_over"), "there is no model to take over from: add after: MODEL")
        demand = [own.get(key, point(0.0)) for key in ("input_tokens", "output_tokens")]
        if after is None and not any(quantity.median > 0 for quantity in demand) and not base:
            self.read.problem(path, "needs input_tokens and output_tokens, such as 608B/day and 168B/day")
        isl, osl, assumed = lengths(merged)
        kept: dict[str, Any] = {key: merged[key] for key in ("ttft", "tpot", "cache_hit") if key in merged}
        moving = {key: own[key] for key in ("takes_over", "within", "surge", "first_users") if key in own}
        return p.ServiceSpec(
            isl,
            osl,
            demand[0],
            demand[1],
            merged.get("growth", point(0.0)),
            merged.get("peak", point(1.0)),
            lots=self._lot_names(own.get("on", ()), lots, (*path, "on")),
            assumed=assumed,
            **kept,
            **moving,
        )

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

    def _training(self, value: Any, path: Where, lots: tuple[p.Lot, ...]) -> p.Training | None:
        if value is None:
            return None
        read = self.read.mapping(value, path, schema.TRAIN, "train")
        items = self.read.items(read["stages"], (*path, "stages"), "stages") if "stages" in read else []
        items = self._at_most(items, MOST_STAGES, (*path, "stages"), "stages")
        stages = [stage(self.read, item, (*path, "stages", index)) for index, item in enumerate(items)]
        names = tuple(self._at_most(list(read.get("try", ())), MOST_PLACES, (*path, "try"), "places"))
        tried = [(name, self._meant(name, lots, (*path, "try"))) for name in names]
        if not names:
            tried = [
                (chip, tuple(lot.name for lot in lots if lot.chip == chip)) for chip in {lot.chip: 0 for lot in lots}
            ]
        places = tuple((name, found) for name, found in tried if found)
        return p.Training(
            tuple(filter(None, stages)),
            places,
            read.get("at_most"),
            bool(names),
            **under_way(self.read, read, self.start, path),
        )


def _tariff(read: Mapping[str, Any], start: datetime.date) -> str | None:
    """The term by which a rented lot is priced: the one that is named, else that of its length."""
    name, least = read.get("term", (None, 0.0))
    if name is not None:
        return str(name)
    first = read["from"].median if "from" in read else start.toordinal()
    length = (read["until"].median - first) * units.DAY if "until" in read else 0.0
    longest = max(least, length)
    return next((term for term, seconds in CONTRACTS if longest >= seconds - units.DAY), None)


__all__ = ["Problem", "read_programme", "read_programme_text"]
