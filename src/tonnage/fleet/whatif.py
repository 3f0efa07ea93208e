"""What-ifs: the same programme with one thing changed, on the same draws.

They are made from what the programme holds: each rule that keeps a lot away taken away, moved in time or with other
thresholds, a licence held for each such lot, freely or for a fee, each lot doubled, each further place tried first,
each demand held flat, other people's demand gone, rounds and failures taken away, a first attempt that fails, dearer
rents, a lot bought; and places that are given in an order chosen by the policy.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.catalog import load
from tonnage.fleet import alike
from tonnage.fleet.calendar import Calendar
from tonnage.fleet.causes import CAPACITY, CHIPS, FAILURES, ROUNDS, RUNS, Lever, LeverKind
from tonnage.fleet.programme import Lot, Model, Programme, Rules, Training
from tonnage.fleet.uncertain import point
from tonnage.units import show_share

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.law import RuleBook

MOST = 32
"""Most what-ifs that are played."""

QUARTER = datetime.timedelta(days=91)
"""By which a rule comes earlier or later."""

DEARER = 1.5
"""What rents become times: H100 rents rose by 56 % in eight months to June 2026 (1.70 to 2.65 USD/h by the year)."""

Places = Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]
"""For each model the places where it is trained, in the order of its attempts: name, and names of its lots."""


@dataclass(frozen=True)
class ChangedProgramme:
    """A changed programme. lever: what is changed; name: the same in words."""

    lever: Lever
    name: str
    programme: Programme


def what_ifs(
    programme: Programme,
    calendars: Mapping[str, Calendar],
    titles: Mapping[str, str],
    places: Places | None = None,
    catalog: Catalog | None = None,
) -> tuple[ChangedProgramme, ...]:
    """Every what-if of a programme. titles: of rules, by id; places: as they are tried, where they were found; catalog:
    of the chips, the bundled one unless given.
    """
    made = [
        *_rules(programme, calendars, titles),
        *_licences(programme, calendars),
        *(
            _doubled(programme, lot, calendars[lot.name].more)
            for lot in programme.lots
            if not calendars[lot.name].never and lot.count.interval[1] > 0
        ),
        *_elsewhere(programme, calendars, places or {}),
        *_replanned(programme),
        *_quiet(programme),
        *_flat(programme),
        *_ready(programme),
        *_unjudged(programme),
        *_failed(programme, places or {}),
        *_good(programme),
        *_dearer(programme),
        *_bought(programme),
        *_moved_rules(programme, calendars, titles),
        *_thresholds(programme, calendars, titles, catalog),
        *_fees(programme, calendars, catalog),
    ]
    return tuple(_once_each(programme, made)[:MOST])


def _replanned(programme: Programme) -> Iterable[ChangedProgramme]:
    """Places of models that are tried in a given order chosen by the policy instead, and again at each event."""
    for model in programme.coming:
        training = model.training
        if training is None or not training.chosen or len(training.places) < 2:
            continue
        lever = Lever("replan", model.name, frozenset(), (model.name,))
        free = replace(training, chosen=False, at=training.at or training.places[0][0])
        title = f"{model.name} re-planned at each event, its places in no given order"
        yield ChangedProgramme(lever, title, _with_model(programme, replace(model, training=free)))


def _rules(
    programme: Programme, calendars: Mapping[str, Calendar], titles: Mapping[str, str]
) -> Iterable[ChangedProgramme]:
    """Without the rule that first turns each lot away."""
    for rule, lots in _first_rules(programme, calendars).items():
        names = _chips(lots)
        without = replace(programme.rules, without=(*programme.rules.without, rule))
        lever = Lever("without", rule, RUNS | CHIPS | CAPACITY | FAILURES, lots=tuple(lot.name for lot in lots))
        title = f"without the rule on {names}: {titles.get(rule, rule)}"
        yield ChangedProgramme(lever, title, replace(programme, rules=without))


def _first_rules(programme: Programme, calendars: Mapping[str, Calendar]) -> dict[str, list[Lot]]:
    """The rule that first turns a lot away -> the lots."""
    first: dict[str, list[Lot]] = {}
    for lot in programme.lots:
        for ruling in calendars[lot.name].refusals[:1]:
            for rule in ruling.rules[:1]:
                first.setdefault(rule, []).append(lot)
    return first


def _chips(lots: Iterable[Lot]) -> str:
    return ", ".join(dict.fromkeys(lot.chip for lot in lots))


def _licences(programme: Programme, calendars: Mapping[str, Calendar]) -> Iterable[ChangedProgramme]:
    """A licence held for each lot that a rule turns away, whichever other rule would take over."""
    for lot in programme.lots:
        if lot.licence or not calendars[lot.name].refusals:
            continue
        held = _with_lot(programme, replace(lot, licence="assumed"))
        lever = Lever("licence", lot.name, RUNS | CHIPS | CAPACITY | FAILURES, lots=(lot.name,))
        yield ChangedProgramme(lever, f"a licence held for {lot.name} ({lot.chip})", held)


def _moved_rules(
    programme: Programme, calendars: Mapping[str, Calendar], titles: Mapping[str, str]
) -> Iterable[ChangedProgramme]:
    """Each rule that turns a lot away a quarter earlier, a quarter later."""
    for rule, lots in _first_rules(programme, calendars).items():
        for kind, words, altered in _alterations(rule, programme):
            rules = replace(programme.rules, altered=(*programme.rules.altered, *altered))
            lever = Lever(kind, rule, RUNS | CHIPS | CAPACITY | FAILURES, lots=tuple(lot.name for lot in lots))
            title = f"the rule on {_chips(lots)} {words}: {titles.get(rule, rule)}"
            yield ChangedProgramme(lever, title, replace(programme, rules=rules))


def _alterations(identifier: str, programme: Programme) -> Iterable[tuple[LeverKind, str, tuple[str, ...]]]:
    """Ways in which a rule may be otherwise: kind, in words, as the law reads them. None for what is no rule."""
    rule = next((rule for rule in _book(programme.rules).rules if rule.id == identifier), None)
    if rule is None:
        return
    kinds: tuple[tuple[LeverKind, str, datetime.timedelta], ...] = (
        ("earlier", "a quarter earlier", -QUARTER),
        ("later", "a quarter later", QUARTER),
    )
    for kind, words, shift in kinds:
        if not programme.start <= max(rule.acts_from, rule.acts_from + shift) <= programme.end:
            continue
        fields = ("announced", "effective", *(("compliance",) if rule.compliance else ()))
        yield kind, words, tuple(f"with {rule.id}.{name}={getattr(rule, name) + shift}" for name in fields)


def _book(rules: Rules) -> RuleBook:
    from tonnage.law import rule_book

    return rule_book(rules.altered) if rules.altered else rule_book()


def _thresholds(
    programme: Programme, calendars: Mapping[str, Calendar], titles: Mapping[str, str], catalog: Catalog | None
) -> Iterable[ChangedProgramme]:
    """Each rule that turns a lot away for its numbers, with thresholds just so far that it lets all such lots come.

    A rule that names a chip turns it away whatever its thresholds: there is none for its lots.
    """
    from tonnage.law import Arrivals, least_moves, moves_text, traits

    catalog = catalog or load()
    book = _book(programme.rules)
    for rule, lots in _first_rules(programme, calendars).items():
        if rule not in {one.id for one in book.rules}:
            continue
        free = [lot for lot in lots if lot.chip not in book.rule(rule).chips]
        day = max((calendars[lot.name].refusals[0].start for lot in free), default=programme.start)
        chips = tuple(traits(chip, catalog) for chip in dict.fromkeys(lot.chip for lot in free))
        moves = least_moves(rule, Arrivals(chips, day, programme.place, programme.headquarters), book)
        if not moves:
            continue
        altered = tuple(f"with {rule}.{move.metric}={move.old:g}->{move.new:g}" for move in moves)
        rules = replace(programme.rules, altered=(*programme.rules.altered, *altered))
        lever = Lever("thresholds", rule, RUNS | CHIPS | CAPACITY | FAILURES, lots=tuple(lot.name for lot in free))
        title = f"the rule on {_chips(free)} with {moves_text(moves)}: {titles.get(rule, rule)}"
        yield ChangedProgramme(lever, title, replace(programme, rules=rules))


def _fees(
    programme: Programme, calendars: Mapping[str, Calendar], catalog: Catalog | None
) -> Iterable[ChangedProgramme]:
    """A licence for each lot that a rule turns away, for the fee that the record knows for its chip, all passed on."""
    from tonnage.law import known_fee, traits

    catalog = catalog or load()
    for lot in programme.lots:
        if lot.licence or not calendars[lot.name].refusals:
            continue
        chip = traits(lot.chip, catalog)
        fee = known_fee(chip, programme.place, programme.headquarters, _book(programme.rules))
        if fee is None:
            continue
        dearer = lot.price.scaled(fee.factor) if lot.price else None
        lever = Lever("fee", lot.name, RUNS | CHIPS | CAPACITY | FAILURES, lots=(lot.name,))
        share = f"{show_share(fee.share)} of {fee.base} (price +{show_share(fee.factor - 1)}; {fee.rule})"
        title = f"{lot.name} ({lot.chip}) for a fee instead of refusal: {share}"
        held = replace(lot, licence=f"assumed, for a fee of {show_share(fee.share)}", price=dearer)
        yield ChangedProgramme(lever, title, _with_lot(programme, held))


def _doubled(programme: Programme, lot: Lot, lawful: bool) -> ChangedProgramme:
    more = replace(lot, count=lot.count.scaled(2.0))
    name = f"twice the {lot.name} ({lot.chip})" + ("" if lawful else ", which could not lawfully come")
    lever = Lever("twice", lot.name, RUNS | FAILURES | CAPACITY, lots=(lot.name,), lawful=lawful)
    return ChangedProgramme(lever, name, _with_lot(programme, more))


def _with_lot(programme: Programme, new: Lot) -> Programme:
    return replace(programme, lots=tuple(new if lot.name == new.name else lot for lot in programme.lots))


def _with_model(programme: Programme, new: Model) -> Programme:
    return replace(programme, models=tuple(new if model.name == new.name else model for model in programme.models))


def _elsewhere(programme: Programme, calendars: Mapping[str, Calendar], places: Places) -> Iterable[ChangedProgramme]:
    """Each trained model on each of its further places, and on each lot that is none of them, from the start."""
    for model in programme.coming:
        if model.training is None:
            continue
        tried = _tried(model, model.training, places)
        if not tried:
            continue
        for name, lots in _alternatives(programme, tried, calendars):
            rest = tuple(place for place in tried if place[0] != name)
            training = replace(
                model.training, places=((name, lots), *rest), chosen=True, since=None, interruptions=None
            )
            changed = _with_model(programme, replace(model, training=training))
            chips = _chips(lot for lot in programme.lots if lot.name in lots and lot.chip != name)
            title = f"{model.name} trains on {name}{f' ({chips})' if chips else ''} from the start"
            lever = Lever("train", name, RUNS | CHIPS | FAILURES, (model.name,), tried[0][1])
            yield ChangedProgramme(lever, title, changed)


def _tried(model: Model, training: Training, places: Places) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The places of a model in the order in which they are tried."""
    return places.get(model.name) or training.places


def _alternatives(
    programme: Programme, places: tuple[tuple[str, tuple[str, ...]], ...], calendars: Mapping[str, Calendar]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    tried = {lot for _, lots in places for lot in lots}
    yield from places[1:]
    for lot in programme.lots:
        if lot.name not in tried and not calendars[lot.name].never:
            yield lot.name, (lot.name,)


def _quiet(programme: Programme) -> Iterable[ChangedProgramme]:
    """Each lot without the demand of other people that it carries."""
    for lot in programme.lots:
        if lot.busy.median > 0:
            free = replace(lot, busy=point(0.0))
            lots = tuple(free if other.name == lot.name else other for other in programme.lots)
            lever = Lever("quiet", lot.name, RUNS | CHIPS | CAPACITY, lots=(lot.name,))
            yield ChangedProgramme(lever, f"without other people's demand on {lot.name}", replace(programme, lots=lots))


def _flat(programme: Programme) -> Iterable[ChangedProgramme]:
    for model in programme.models:
        if model.service is None or model.service.growth.median == 0 or model.after:
            continue
        names = {model.name, *(other.name for other in programme.models if other.after == model.name)}
        models = tuple(
            replace(other, service=replace(other.service, growth=point(0.0)))
            if other.name in names and other.service
            else other
            for other in programme.models
        )
        lever = Lever("flat", model.name, RUNS | CAPACITY)
        yield ChangedProgramme(lever, f"{model.name} demand held flat", replace(programme, models=models))


def _ready(programme: Programme) -> Iterable[ChangedProgramme]:
    if any(model.training for model in programme.coming):
        sure = dict.fromkeys((lot.name for lot in programme.lots), point(1.0, "100 %"))
        sure |= dict.fromkeys((lot.chip for lot in programme.lots), point(1.0, "100 %"))
        sure |= {name: point(1.0, "100 %") for model in programme.coming for name in _place_names(model)}
        lever = Lever("ready", "", FAILURES)
        yield ChangedProgramme(lever, "every run completes, on plan", replace(programme, readiness=sure))


def _unjudged(programme: Programme) -> Iterable[ChangedProgramme]:
    """Without each verdict of a file."""
    used = {name for lot in programme.lots for name in (lot.name, lot.chip)}
    used |= {name for model in programme.coming for name in _place_names(model)}
    for key, judged in programme.verdicts.items():
        if judged.file and key in used:
            rest = {other: found for other, found in programme.verdicts.items() if other != key}
            title = f"without the verdict of {judged.file} on {key} ({judged.word})"
            yield ChangedProgramme(Lever("verdict", key, frozenset()), title, replace(programme, verdicts=rest))


def _failed(programme: Programme, places: Places) -> Iterable[ChangedProgramme]:
    """The first attempt of each model that has another place to go to does not complete."""
    for model in programme.coming:
        tried = _tried(model, model.training, places) if model.training else ()
        if model.training is None or len(tried) < 2:
            continue
        name = tried[0][0]
        training = replace(model.training, places=tried, chosen=True, at=model.training.at or name)
        changed = _with_model(programme, replace(model, training=training))
        readiness = {**programme.readiness, name: point(0.0, "0 %")}
        lever = Lever("failed", name, frozenset(), (model.name,))
        title = f"the first attempt of {model.name}, on {name}, fails"
        yield ChangedProgramme(lever, title, replace(changed, readiness=readiness))


def _dearer(programme: Programme) -> Iterable[ChangedProgramme]:
    """Every rent up by half."""
    rented = [lot for lot in programme.lots if lot.tenure == "rented" and lot.price is not None]
    if rented:
        lots = tuple(
            replace(lot, price=lot.price.scaled(DEARER)) if lot in rented and lot.price else lot
            for lot in programme.lots
        )
        yield ChangedProgramme(Lever("prices", "", frozenset()), "rents up by half", replace(programme, lots=lots))


def _bought(programme: Programme) -> Iterable[ChangedProgramme]:
    """Each rented lot with a known price of purchase bought instead, to come on the same days."""
    for lot in programme.lots:
        if lot.tenure != "rented" or lot.bought is None or lot.owning is None:
            continue
        own = replace(lot, tenure="owned", price=lot.owning, until=None, term=0.0, notice=None, in_hand=False)
        lever = Lever("buy", lot.name, frozenset(), lots=(lot.name,))
        yield ChangedProgramme(lever, f"{lot.name} ({lot.chip}) bought, not rented", _with_lot(programme, own))


def _place_names(model: Model) -> tuple[str, ...]:
    return tuple(name for name, _ in model.training.places) if model.training else ()


def _good(programme: Programme) -> Iterable[ChangedProgramme]:
    changed = programme
    for model in programme.coming:
        if model.rounds.median > 0:
            changed = _with_model(changed, replace(model, rounds=point(0.0)))
    if changed is not programme:
        yield ChangedProgramme(Lever("good", "", ROUNDS), "good enough at once", changed)


def _once_each(programme: Programme, changes: list[ChangedProgramme]) -> list[ChangedProgramme]:
    """Changes of one lot only once for lots that are alike, in words that say so."""
    kinds = alike.kinds(programme)
    every = list(kinds.values())
    found: list[ChangedProgramme] = []
    seen: list[tuple[LeverKind, tuple[str, ...], alike.LotKind]] = []
    for change in changes:
        own = kinds.get(change.lever.about)
        if own is None:
            found.append(change)
            continue
        key = (change.lever.kind, change.lever.models, own)
        if key not in seen:
            seen.append(key)
            like = every.count(own) - 1
            found.append(replace(change, name=f"{change.name}, or any of {like} like it") if like else change)
    return found
