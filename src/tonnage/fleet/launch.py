"""Whether, when and at what cost a programme launches: settles it, plays all draws, and says why."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tonnage.catalog.owning import rated_power
from tonnage.errors import InputError, Problem
from tonnage.fleet import calendar, hindsight, money, sobol
from tonnage.fleet.base_case import BaseCase, base_case, gained
from tonnage.fleet.best import PolicyGap
from tonnage.fleet.binds import binds_of, causes_of, gap_of, outcome_of
from tonnage.fleet.draws import Pick
from tonnage.fleet.explain import Explained, explained
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.paid import PaidDraws, powered, run, together
from tonnage.fleet.pieces import CHUNK, InProcess, Piece, PieceWork, Runner, count_pieces, cut, within_caps
from tonnage.fleet.plan import Applied, LaunchPlan, Percentiles, Refused, SobolIndex, WhatIf
from tonnage.fleet.programme import Programme
from tonnage.fleet.seen import SeenRun
from tonnage.fleet.sensitivity import sensitivity
from tonnage.fleet.setting import Play, Rulings, SettledProgramme, nights_of, play, settle
from tonnage.fleet.signed import decided
from tonnage.fleet.sizes import curve
from tonnage.fleet.speeds import EnginePlanner, Planner
from tonnage.fleet.track import ROUNDS_HOLD
from tonnage.fleet.uncertain import Floats, Seed, rank, rank_error
from tonnage.fleet.uses import available, spans, weekly
from tonnage.fleet.whatif import ChangedProgramme, what_ifs
from tonnage.units import DAY, show_share

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Date = datetime.date
DRAWS = 500
FEWEST, MOST = 20, 100_000
LEGAL = ("licence", "fee", "earlier", "later", "thresholds")
"""What-ifs that are left out where the law stays as it is for every lot."""


def launch(
    programme: Programme,
    catalog: Catalog | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    planner: Planner | None = None,
    what_if: bool = True,
    by: Date | None = None,
    sobol_base: int = 0,
    runner: Runner | None = None,
    reasons: bool = True,
) -> LaunchPlan:
    """The launch of a programme over `draws` draws; the same seed gives the same answer.

    planner: where speeds come from, `tonnage.serve` and `tonnage.train` unless given; what_if: whether the what-ifs
    are played too; by: a date by which the cheapest launch of the base case is asked for; sobol_base: draws of the base
    sample of Sobol indices, 0 for none; runner: who plays the draws, this process unless given, with the same bytes
    from any; reasons: whether what binds the best plan, what lies near it, and how far the policy is behind the best
    with hindsight are asked too. Raises InputError for a number of draws that is not from 20 to 100,000, of a base
    sample from 16 to 4,096.
    """
    from tonnage import catalog as catalogues

    check_draws(draws)
    sobol.check_base(sobol_base)
    began = time.perf_counter()
    book = catalog or catalogues.load()
    speeds = planner or EnginePlanner(programme, book)
    asked: Rulings = {}
    setting = settle(programme, book, speeds, asked)
    hands = runner or InProcess()
    base = explained(setting, _game(setting, book, 0, 0))
    setting = replace(setting, programme=decided(programme, base.signed))
    changed = _Settled(_changed(setting, book, speeds, asked) if what_if else iter(()))
    pieces = hands.run(_works(setting, changed, book, seed, draws))
    best = base_case(base, by, reasons)
    played = _play(draws, pieces)
    alternatives = _what_ifs(base, changed, played, book, pieces)
    behind = _hindsight(setting, book, seed, played) if reasons else None
    plan = replace(_answer(setting, base, best, played, alternatives, seed, book), hindsight=behind)
    shares = _sobol(setting, book, seed, sobol_base) if sobol_base else ()
    plan = replace(plan, sobol=shares, sobol_base=sobol_base)
    return replace(plan, seconds=time.perf_counter() - began)


@dataclass(frozen=True)
class _Played:
    """All draws, played in parts. there: most accelerators of each lot [d, l]; places: of the last model's attempts."""

    paid: PaidDraws
    drawn: Mapping[str, Floats]
    there: Floats
    values: Mapping[str, Floats]
    places: tuple[str, ...]
    draws: int

    @property
    def result(self) -> Forecast:
        """What came out."""
        return self.paid.result


def _watts(setting: SettledProgramme, catalog: Catalog) -> dict[str, float]:
    return {lot.name: rated_power(lot.chip, catalog) or 0.0 for lot in setting.programme.lots}


def _game(setting: SettledProgramme, catalog: Catalog, seed: Seed, draws: int, pick: Pick = slice(None)) -> Play:
    """Some of the draws, within the cap of power; of no draws the base case."""
    return powered(setting, play(setting, seed, draws, pick), _watts(setting, catalog))


def _cut(
    setting: SettledProgramme, catalog: Catalog, seed: int, draws: int, whole: bool = False
) -> Iterator[PieceWork]:
    return cut(setting, _watts(setting, catalog), seed, draws, whole)


def _works(
    setting: SettledProgramme, changed: _Settled, catalog: Catalog, seed: int, draws: int
) -> Iterator[PieceWork]:
    """The pieces of the plan, and of each what-if as soon as it is settled."""
    yield from _cut(setting, catalog, seed, draws, whole=True)
    for _, other in changed:
        yield from _cut(other, catalog, seed, draws)


def _play(draws: int, pieces: Iterator[Piece]) -> _Played:
    """All draws of the plan, of the pieces that come first."""
    found = list(itertools.islice(pieces, count_pieces(draws)))
    names = dict.fromkeys(name for one in found for name in one.drawn)
    return _Played(
        together([one.paid for one in found]),
        {name: np.concatenate([one.drawn[name] for one in found]) for name in names},
        np.concatenate([one.there for one in found]),
        {name: np.concatenate([one.values[name] for one in found]) for name in found[0].values},
        found[-1].places,
        draws,
    )


def _hindsight(setting: SettledProgramme, catalog: Catalog, seed: int, played: _Played) -> PolicyGap | None:
    """How far the policy is behind the best plans of a sample of the draws, within the same caps."""
    runs = sum(model.training is not None for model in setting.programme.coming)
    chosen = hindsight.sampled(played.draws, runs)
    game, result = _game(setting, catalog, seed, played.draws, chosen), played.result
    launch, first = tuple(at[chosen] for at in result.launch), result.first[-1][chosen]
    return hindsight.behind(game, launch, setting.programme.lots, setting.programme.budget, first)


def _sobol(setting: SettledProgramme, catalog: Catalog, seed: int, base: int) -> tuple[SobolIndex, ...]:
    """Sobol indices of the launch day, by a play of their own."""
    made = sobol.design(setting, seed, base)
    starts = range(0, made.draws, CHUNK)
    games = (_game(setting, catalog, made, made.draws, slice(at, min(at + CHUNK, made.draws))) for at in starts)
    played = [run(setting, game).result.launch[-1] for game in games]
    return sobol.indices(setting, made, np.concatenate(played) / DAY)


def check_draws(draws: int) -> None:
    """Raise InputError for a number of draws that is not taken."""
    if not FEWEST <= draws <= MOST:
        raise InputError(Problem(f"expected from {FEWEST} to {MOST:,} draws, got {draws}", path="draws"))


# what-ifs


class _Settled:
    """What-ifs that are settled when they are first asked for: by who plays them, ahead of who tells them."""

    def __init__(self, found: Iterator[tuple[ChangedProgramme, SettledProgramme]]) -> None:
        self._found, self._known = found, list[tuple[ChangedProgramme, SettledProgramme]]()

    def __iter__(self) -> Iterator[tuple[ChangedProgramme, SettledProgramme]]:
        """All of them, in order."""
        for index in itertools.count():
            if index == len(self._known):
                new = next(self._found, None)
                if new is None:
                    return
                self._known.append(new)
            yield self._known[index]


def _changed(
    setting: SettledProgramme, catalog: Catalog, planner: Planner, asked: Rulings
) -> Iterator[tuple[ChangedProgramme, SettledProgramme]]:
    """Each what-if, settled."""
    programme = setting.programme
    tried = {name: tuple((p.name, p.lots) for p in found) for name, found in setting.places.items()}
    for item in what_ifs(programme, setting.calendars, _titles(programme, catalog), tried, catalog):
        changed = settle(item.programme, catalog, planner, asked)
        if item.lever.kind not in LEGAL or changed.calendars != setting.calendars:
            yield item, changed


def _what_ifs(
    base: Explained,
    changed: _Settled,
    planned: _Played,
    catalog: Catalog,
    pieces: Iterator[Piece],
) -> tuple[WhatIf, ...]:
    """Every what-if, on the same draws as the plan."""
    made, programme = [], base.setting.programme
    start = _dates(planned.result.launch[-1], programme)
    for item, other in changed:
        paid = together([piece.paid for piece in itertools.islice(pieces, count_pieces(planned.draws))])
        found = paid.result
        when = _dates(found.launch[-1], programme)
        shift = None if when.p50 is None or start.p50 is None else float((when.p50 - start.p50).days)
        cost = money.spread(found.training_cost, money.launching(found)).p50
        total = money.total(paid, programme)
        best = gained(base, other, _game(other, catalog, 0, 0))
        made.append(WhatIf(item.lever, item.name, when, _by_horizon(found, programme), shift, cost, total, *best))
    return tuple(made)


def _titles(programme: Programme, catalog: Catalog) -> dict[str, str]:
    return {rule.id: rule.title for rule in calendar.book(programme.rules, catalog).rules}


def _by_horizon(found: Forecast, programme: Programme) -> float:
    return float(np.mean(found.launch[-1] <= programme.days * DAY))


def _dates(seconds: Floats, programme: Programme) -> Percentiles[Date]:
    return Percentiles(*(_date(rank(seconds, p), programme) for p in (0.1, 0.5, 0.9)))


def _date(seconds: float, programme: Programme) -> Date | None:
    if not seconds <= programme.days * DAY:
        return None
    return programme.start + datetime.timedelta(days=int(np.ceil(seconds / DAY)))


def _answer(
    setting: SettledProgramme,
    base: Explained,
    best: BaseCase,
    played: _Played,
    alternatives: tuple[WhatIf, ...],
    seed: int,
    catalog: Catalog,
) -> LaunchPlan:
    programme = setting.programme
    result, paid = played.result, played.paid
    ever = money.launching(result)
    chance = _by_horizon(result, programme)
    causes = causes_of(result)
    binds = binds_of(setting, causes, alternatives, chance)
    shown = int(np.argsort(result.launch[-1], kind="stable")[(played.draws - 1) // 2])
    first = next(_cut(setting, catalog, seed, played.draws))
    game = within_caps(replace(first, begin=shown, end=shown + 1)).game
    story = game.run(record=True)
    coming = programme.coming
    refused = _refused(setting, played)
    return LaunchPlan(
        outcome=money.outcome(outcome_of(setting, result, chance, binds), paid, programme, chance, binds),
        name=programme.name,
        model=coming[-1].name,
        start=programme.start,
        end=programme.end,
        launch=_dates(result.launch[-1], programme),
        probability=chance,
        launches={m.name: _dates(at, programme) for m, at in zip(coming, result.launch, strict=True)},
        cost=money.spread(result.training_cost, ever),
        service_cost=money.spread(result.service_cost, ever),
        binds=binds,
        causes={cause: float(value.mean() / DAY) for cause, value in causes.items()},
        sensitivity=sensitivity(setting, played.drawn, result),
        timeline=weekly(story, programme),
        spans=spans(story, programme),
        calendar=available(game, 0, programme),
        rules_applied=_rules_applied(setting, refused, catalog),
        not_lawful=refused,
        alternatives=alternatives,
        throughputs=setting.speeds,
        readiness={f"{name}: {p.name}": p.readiness for name, found in setting.places.items() for p in found},
        trained_on=_trained_on(played),
        assumptions=(*_assumptions(programme, setting.seen), *_spares(setting)),
        doubts=_doubts(setting),
        programme_text=programme.text,
        programme_name=programme.path,
        sets=programme.sets,
        as_of=programme.as_of,
        seed=seed,
        draws=played.draws,
        draw=shown,
        draw_launch=_date(float(story.launch[-1][0]), programme),
        base=best,
        days=tuple(float(x) / DAY for x in result.launch[-1]),
        values={name: float(sample[shown]) for name, sample in played.drawn.items()},
        evidence=_evidence(setting),
        sources=_sources(setting),
        known=programme.known,
        rules_known=programme.rules.known_at,
        unpriced_training=result.unpriced[0],
        unpriced_service=result.unpriced[1],
        errors=_errors(result.launch[-1]),
        first_users=_dates(result.first[-1], programme),
        first_probability=float(np.mean(result.first[-1] <= programme.days * DAY)),
        never={cause: float(np.mean(which)) for cause, which in result.never.items()},
        gap=gap_of(result, programme),
        missing=tuple(float(share) for share in result.missing),
        money=money.answer(setting, paid, shown),
        left_out=programme.left_out,
    )


def _errors(seconds: Floats) -> Percentiles[float]:
    found = (rank_error(seconds, p) for p in (0.1, 0.5, 0.9))
    return Percentiles(*(None if error is None else error / DAY for error in found))


def _trained_on(played: _Played) -> dict[str, float]:
    """Share of the draws that launch by the place of the run that completed; of all where none does."""
    some = np.isfinite(played.result.launch[-1])
    place = played.result.place[some] if some.any() else played.result.place
    found: dict[str, float] = {}
    for index, name in enumerate(played.places):
        found[name] = found.get(name, 0.0) + float(np.mean(place == index))
    return found


# law, sources, doubt


def _refused(setting: SettledProgramme, played: _Played) -> tuple[Refused, ...]:
    """Lots, and parts of lots, that the rules keep away."""
    made = []
    for column, lot in enumerate(setting.programme.lots):
        found = setting.calendars[lot.name]
        if not found.refusals:
            continue
        key = f"fleet.{lot.name}"
        kept = (1 - played.values[f"{key}.spare"]) * (1 - played.values[f"{key}.busy"])
        wanted = np.floor(played.values[f"{key}.count"]) * kept
        there = played.there[:, column]
        share = float(np.mean(np.clip(1 - np.divide(there, wanted, out=np.ones_like(there), where=wanted > 0), 0, 1)))
        if share > 1e-6:
            first = found.refusals[0]
            made.append(Refused(lot.name, lot.chip, first.start, share, first.reason, first.rules))
    return tuple(made)


def _rules_applied(setting: SettledProgramme, refused: tuple[Refused, ...], catalog: Catalog) -> tuple[Applied, ...]:
    titles = _titles(setting.programme, catalog)
    made: dict[str, Applied] = {}
    for item in refused:
        for rule in item.rules:
            effect = f"keeps {show_share(item.share)} of {item.lot} away from {item.start} on"
            made.setdefault(rule, Applied(rule, titles.get(rule, rule), effect))
    rules = setting.programme.rules
    for text in (*(f"without {name}" for name in rules.without), *map(str, rules.changes), *rules.altered):
        made.setdefault(text, Applied(text, "assumed", "changes the rules that count"))
    return tuple(made.values())


def _assumptions(programme: Programme, seen: Mapping[str, SeenRun]) -> tuple[str, ...]:
    found = [f"{model.name}: {text}" for model in programme.models if model.service for text in model.service.assumed]
    found.append(
        f"a run takes {programme.slip.text} times its plan on a stack of readiness 0, its plan on one of 100 %"
    )
    found.append(
        f"a run that fails is given up after {programme.give_up.text} of its first stage: the time to find that out, "
        "from which nothing is kept but a checkpoint that it came with"
    )
    found += programme.notes
    found += _rounds(programme) + _under_way(programme, seen) + _first(programme)
    night = nights_of(programme)
    found += [night.text] if night else []
    found.append("services come first; models are trained side by side, an earlier one first where they meet")
    return tuple(found)


def _spares(setting: SettledProgramme) -> Iterator[str]:
    """Places of which only a part trains, since more would end no sooner."""
    for name, places in setting.places.items():
        training = setting.programme.model(name).training
        at_most = (training.at_most if training else None) or np.inf
        for place in places:
            curves = [curve(found) for (m, p, _), found in setting.training.items() if (m, p) == (name, place.name)]
            most = min(place.most, at_most)
            held = max((float(one.best(np.array([min(most, place.limit)]))[0][0]) for one in curves), default=most)
            if 0 < held < 0.99 * most:
                yield f"{name} trains on at most {held:,.0f} of {most:,.0f} {place.chip}: the others are spares"


def _rounds(programme: Programme) -> list[str]:
    open_ = [model.name for model in programme.coming if model.rounds.median > 0 and model.hold is None]
    text = f"rounds hold and need {ROUNDS_HOLD:,.0f} accelerators, or all of a smaller place"
    return [f"{', '.join(open_)}: {text}"] if open_ else []


def _under_way(programme: Programme, seen: Mapping[str, SeenRun]) -> list[str]:
    made = []
    for model in programme.coming:
        training = model.training
        if training is None or training.done.median <= 0:
            continue
        since = f" since {training.since}" if training.since else ""
        many = "" if training.interruptions is None else f", {training.interruptions} interruptions so far"
        known = seen.get(model.name)
        pace = "" if known is None else f"; {known.text}"
        made.append(f"{model.name}: {training.done.text} of its first stage is done{since}{many}{pace}")
    return made


def _first(programme: Programme) -> list[str]:
    service = programme.coming[-1].service
    share = show_share(service.first_users.median) if service else ""
    return [f"first users: {share} of its demand at launch served; launch: all of it"] if service else []


def _doubts(setting: SettledProgramme) -> tuple[str, ...]:
    wide = sorted(setting.speeds, key=lambda speed: -speed.sigma)[:1]
    made = []
    for speed in wide:
        if speed.sigma:
            factor = float(np.exp(1.645 * speed.sigma))
            made.append(f"predicted speeds are right within a factor {factor:.1f} (90 %), {speed.evidence}")
    if setting.places:
        made.append(
            "readiness assumes that 6 to 25 % of failed runs are published; software that improves is neglected"
        )
    missing = {(s.chip, s.reason): None for s in setting.speeds if "missing_fact" in s.detail}
    made += [f"{chip} is left out where it would need what is not known: {reason}" for chip, reason in missing]
    return tuple(made)


_TIERS = ("interpolated", "extrapolated", "analytic")


def _evidence(setting: SettledProgramme) -> str:
    found = [speed.evidence for speed in setting.speeds if speed.rate > 0]
    return max(found, key=_TIERS.index, default="analytic")


def _sources(setting: SettledProgramme) -> tuple[str, ...]:
    speeds = (source for speed in setting.speeds for source in speed.sources)
    lots = (source for lot in setting.programme.lots for source in lot.sources)
    runs = (e.run.source for found in setting.places.values() for p in found for e in p.readiness.evidence if e.weight)
    return tuple(sorted({*speeds, *lots, *runs}))
