"""From a programme file to a checked `Programme`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import files, units
from tonnage.errors import InputError, Problem, nearest
from tonnage.fleet import programme as p
from tonnage.fleet import schema
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader, override
from tonnage.fleet.uncertain import Uncertain, between, point

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.model import Architecture

OUTPUT_LENGTH = 1000.0
"""Generated tokens of one request where the programme names no length: an assumption, shown in the answer."""

SLIP, GIVE_UP = "1.2 to 3", "uniform(10 %, 100 %)"
"""Assumptions unless the programme sets them: see `readiness`."""

MOST_LOTS, MOST_MODELS, MOST_STAGES, MOST_PLACES = 64, 16, 16, 8
"""Bounds on a programme, so that no file asks for hours of planning."""

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

    def programme(self) -> p.Programme:
        top = self.read.mapping(self.read.document.value, (), schema.PROGRAMME, "a programme")
        self.start = top.get("start", self.start)
        self.place = self._place(top.get("place", ""), ("place",))
        headquarters = self._place(top["headquarters"], ("headquarters",)) if "headquarters" in top else self.place
        end = self._end(top)
        rules = self._rules(top.get("rules"))
        self.known = self.as_of or rules.known_at or self.start
        self.dated = self.known != self.start or "start" in top
        assumptions = self._assumptions(top.get("assumptions", {}))
        lots = self._lots(top.get("fleet"))
        models = self._models(top.get("models"), lots)
        correlations = self._correlations(top.get("correlations", ()), lots, models)
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

        chances = read.pop("readiness", {})
        field = schema.Field("share", "", high=1.0)
        if not isinstance(chances, Mapping):
            self.read.problem(("assumptions", "readiness"), "expected chips or lots with a share each")
            chances = {}
        shares = {k: self.read.value(v, ("assumptions", "readiness", k), field) for k, v in chances.items()}
        return {
            "slip": read.get("slip", uncertain.parse(SLIP, "number")),
            "give_up": read.get("give_up", uncertain.parse(GIVE_UP, "share")),
            "readiness": {key: share for key, share in shares.items() if share is not None},
        }

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
        tenure = read.get("tenure", "rented")
        price, note, sources = self._price(read, item, chip, tenure, path)
        if not {"lot", "count"} <= read.keys() or chip is None:
            return None
        kept: dict[str, Any] = {key: read[key] for key in ("over", "acquired", "licence", "spare") if key in read}
        kept |= self._busy(read, (*path, "busy"))
        in_hand = "from" not in read and "acquired" not in read
        return p.Lot(
            read["lot"],
            chip,
            read["count"],
            tenure,
            price,
            note,
            start,
            until,
            in_hand=in_hand,
            sources=sources,
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

    def _price(
        self, read: dict[str, Any], item: Any, chip: str | None, tenure: str, path: Where
    ) -> tuple[Uncertain | None, str, tuple[str, ...]]:
        if "price" in read:
            return read["price"], "programme", ()
        if chip is None or not isinstance(item, Mapping) or item.get("price") is not None:
            return None, "", ()
        for price in self.catalog.price(chip, self.place or None, self.known):
            if price.match == "elsewhere":
                continue
            note = f"{price.tenure} price of {price.date}, {price.source}"
            return between(price.low, price.high, note), note, (price.fact,)
        if tenure == "rented":
            text = (
                f"a rented lot with no price here, and none in the catalogue for {chip} in {self.place} by {self.known}"
            )
            self.read.problem(path, f"{text}: add price: $.../h")
        return None, "no price known", ()

    # models

    def _models(self, value: Any, lots: tuple[p.Lot, ...]) -> tuple[p.Model, ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping) or not value:
            self.read.problem(("models",), "expected models by name")
            return ()
        value = {str(name): value[name] for name in self._at_most(list(value), MOST_MODELS, ("models",), "models")}
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

    def _load(self, name: str) -> Architecture:
        from tonnage import model

        beside = self.path.parent / name
        found = beside.suffix in (".json", ".yaml", ".yml") and beside.exists()
        return model.load(str(beside) if found else name, self.catalog)

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
        shared, base = self._like(own, after, services, path)
        merged = {**shared, **own}
        if "takes_over" in own and after is None:
            self.read.problem((*path, "takes_over"), "there is no model to take over from: add after: MODEL")
        demand = [own.get(key, point(0.0)) for key in ("input_tokens", "output_tokens")]
        if after is None and not any(quantity.median > 0 for quantity in demand) and not base:
            self.read.problem(path, "needs input_tokens and output_tokens, such as 608B/day and 168B/day")
        isl, osl, assumed = _lengths(merged)
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

    def _like(
        self, own: dict[str, Any], after: str | None, services: Mapping[str, dict[str, Any] | None], path: Where
    ) -> tuple[dict[str, Any], str | None]:
        base = own.get("like", after)
        seen: set[str] = set()
        shared: dict[str, Any] = {}
        while base is not None and base not in seen:
            seen.add(base)
            below = services.get(base)
            if below is None:
                if "like" in own:
                    message = f'no service of a model "{base}" in this programme'
                    self.read.problem((*path, "like"), message, nearest(base, services))
                break
            shared = {**{k: v for k, v in below.items() if k not in ("like", "takes_over", "within", "on")}, **shared}
            base = below.get("like")
        return shared, own.get("like", after)

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
        stages = [self._stage(item, (*path, "stages", index)) for index, item in enumerate(items)]
        names = tuple(self._at_most(list(read.get("try", ())), MOST_PLACES, (*path, "try"), "places"))
        tried = [(name, self._meant(name, lots, (*path, "try"))) for name in names]
        if not names:
            tried = [
                (chip, tuple(lot.name for lot in lots if lot.chip == chip)) for chip in {lot.chip: 0 for lot in lots}
            ]
        places = tuple((name, found) for name, found in tried if found)
        return p.Training(
            tuple(filter(None, stages)), places, read.get("at_most"), bool(names), **self._under_way(read, path)
        )

    def _under_way(self, read: dict[str, Any], path: Where) -> dict[str, Any]:
        """What is said of a run under way."""
        since, many = read.get("since"), read.get("interruptions")
        told = {key: value for key, value in (("since", since), ("interruptions", many)) if value is not None}
        if told and "done" not in read:
            self.read.problem(path, f"{next(iter(told))} is said of a run under way: add done: 40 %")
        if since is not None and since >= self.start:
            self.read.problem((*path, "since"), f"is not before the start, {self.start}")
        made: dict[str, Any] = {"done": read["done"]} if "done" in read else {}
        return made | {"since": since, "interruptions": None if many is None else int(many)}

    def _stage(self, item: Any, path: Where) -> p.TrainingStage | None:
        if not isinstance(item, Mapping) or len(item) != 1:
            self.read.problem(path, "expected one stage such as {pretrain: 20T tokens}")
            return None
        name = str(next(iter(item)))
        kind = schema.stage_kind(name)
        if kind is None:
            message = f'no stage named "{name[:60]}"; stages: {", ".join(schema.STAGES)}'
            self.read.problem((*path, name), message, nearest(name, schema.STAGES), key=True)
            return None
        main, table = schema.SHORTHAND[kind], schema.STAGES[kind]
        value, below = item[kind], (*path, kind)
        if isinstance(value, Mapping):
            read = self.read.mapping(value, below, table, f"the stage {kind}")
        else:
            read = {main: self.read.value(value, below, table[main])} if value is not None else {}
            if value is None:
                self.read.problem(below, f"needs its amount, such as {kind}: 20T tokens")
        if read.get(main) is None:
            return None
        batch = read.get("global_batch")
        kept = {key: read[key] for key in ("seq", "precision", "isl", "osl") if key in read}
        return p.TrainingStage(kind, read[main], global_batch=None if batch is None else int(batch), **kept)


def _lengths(keys: Mapping[str, Any]) -> tuple[float, float, tuple[str, ...]]:
    """Prompt and generated tokens of a request; what is not given follows from the ratio of the two demands."""
    inputs, outputs = (keys[k].median if k in keys else 0.0 for k in ("input_tokens", "output_tokens"))
    ratio = inputs / outputs if inputs > 0 and outputs > 0 else 1.0
    isl, osl = keys.get("isl"), keys.get("osl")
    if isl is not None and osl is not None:
        return isl, osl, ()
    if osl is not None:
        return osl * ratio, osl, (f"isl {osl * ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    if isl is not None:
        return isl, isl / ratio, (f"osl {isl / ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    text = f"requests of {OUTPUT_LENGTH * ratio:,.0f} + {OUTPUT_LENGTH:,.0f} tokens, since isl and osl are not given"
    return OUTPUT_LENGTH * ratio, OUTPUT_LENGTH, (text,)


__all__ = ["Problem", "read_programme", "read_programme_text"]
