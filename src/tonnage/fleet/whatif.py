"""What-ifs: the same programme with one thing changed, on the same draws.

They are made from what the programme holds: each rule that keeps a lot away, each lot doubled, each further place tried
first, each demand held flat, rounds and failures taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tonnage.fleet.calendar import Calendar
from tonnage.fleet.causes import CAPACITY, CHIPS, FAILURES, ROUNDS, RUNS, Lever
from tonnage.fleet.programme import Lot, Model, Programme, Training
from tonnage.fleet.uncertain import point

MOST = 16
"""Most what-ifs that are played."""


@dataclass(frozen=True)
class ChangedProgramme:
    """A changed programme. lever: what is changed; name: the same in words."""

    lever: Lever
    name: str
    programme: Programme


def what_ifs(
    programme: Programme, calendars: Mapping[str, Calendar], titles: Mapping[str, str]
) -> tuple[ChangedProgramme, ...]:
    """Every what-if of a programme. titles: of rules, by id."""
    made = [
        *_rules(programme, calendars, titles),
        *(
            _doubled(programme, lot, calendars[lot.name].more)
            for lot in programme.lots
            if not calendars[lot.name].never
        ),
        *_elsewhere(programme, calendars),
        *_quiet(programme),
        *_flat(programme),
        *_ready(programme),
        *_good(programme),
    ]
    return tuple(made[:MOST])


def _rules(
    programme: Programme, calendars: Mapping[str, Calendar], titles: Mapping[str, str]
) -> Iterable[ChangedProgramme]:
    """Without the rule that first turns each lot away."""
    first: dict[str, list[Lot]] = {}
    for lot in programme.lots:
        for ruling in calendars[lot.name].refusals[:1]:
            for rule in ruling.rules[:1]:
                first.setdefault(rule, []).append(lot)
    for rule, lots in first.items():
        names = ", ".join(dict.fromkeys(lot.chip for lot in lots))
        without = replace(programme.rules, without=(*programme.rules.without, rule))
        lever = Lever("without", rule, RUNS | CHIPS | CAPACITY | FAILURES, lots=tuple(lot.name for lot in lots))
        title = f"without the rule on {names}: {titles.get(rule, rule)}"
        yield ChangedProgramme(lever, title, replace(programme, rules=without))


def _doubled(programme: Programme, lot: Lot, lawful: bool) -> ChangedProgramme:
    more = replace(lot, count=lot.count.scaled(2.0))
    lots = tuple(more if other.name == lot.name else other for other in programme.lots)
    name = f"twice the {lot.name} ({lot.chip})" + ("" if lawful else ", which could not lawfully come")
    lever = Lever("twice", lot.name, RUNS | FAILURES | CAPACITY, lots=(lot.name,), lawful=lawful)
    return ChangedProgramme(lever, name, replace(programme, lots=lots))


def _with_model(programme: Programme, new: Model) -> Programme:
    return replace(programme, models=tuple(new if model.name == new.name else model for model in programme.models))


def _elsewhere(programme: Programme, calendars: Mapping[str, Calendar]) -> Iterable[ChangedProgramme]:
    """Each trained model on each of its further places from the start; without such, on other lots of the fleet."""
    for model in programme.coming:
        if model.training is None:
            continue
        for name, lots in _alternatives(programme, model.training, calendars):
            _, first = model.training.places[0]
            rest = tuple(place for place in model.training.places if place[0] != name)
            training = replace(model.training, places=((name, lots), *rest))
            changed = _with_model(programme, replace(model, training=training))
            chips = ", ".join(
                dict.fromkeys(lot.chip for lot in programme.lots if lot.name in lots and lot.chip != name)
            )
            title = f"{model.name} trains on {name}{f' ({chips})' if chips else ''} from the start"
            lever = Lever("train", name, RUNS | CHIPS | FAILURES, (model.name,), first)
            yield ChangedProgramme(lever, title, changed)


def _alternatives(
    programme: Programme, training: Training, calendars: Mapping[str, Calendar]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    tried = {lot for _, lots in training.places for lot in lots}
    yield from training.places[1:]
    if len(training.places) > 1:
        return
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


def _place_names(model: Model) -> tuple[str, ...]:
    return tuple(name for name, _ in model.training.places) if model.training else ()


def _good(programme: Programme) -> Iterable[ChangedProgramme]:
    changed = programme
    for model in programme.coming:
        if model.rounds.median > 0:
            changed = _with_model(changed, replace(model, rounds=point(0.0)))
    if changed is not programme:
        yield ChangedProgramme(Lever("good", "", ROUNDS), "good enough at once", changed)
