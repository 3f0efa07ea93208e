"""Whether, when and at what cost a programme launches: settles it, plays all draws, and says why."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tonnage.errors import Bind, InputError, Outcome, Problem, infeasible
from tonnage.fleet import law, lift
from tonnage.fleet.base import base
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.plan import Alternative, Applied, LaunchPlan, Refused, Sensitivity, Spread, Use
from tonnage.fleet.programme import Programme
from tonnage.fleet.setting import Play, Rulings, Setting, only, play, settle
from tonnage.fleet.throughput import Planned, Planner
from tonnage.fleet.uncertain import Floats
from tonnage.fleet.whatif import what_ifs
from tonnage.fleet.world import PERIOD
from tonnage.units import DAY, show_money, show_share

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Date = datetime.date
DRAWS = 500
FEWEST, MOST = 20, 5000
LIKELY, POSSIBLE = 0.5, 0.1
"""Share of draws that launch within the horizon: below the first the answer says what stands against it, below the
second the programme is infeasible."""

UNSERVED = 0.005
"""Share of the demand before the launch that may find no capacity before that is called a shortage."""

NEGLIGIBLE = 0.5 * DAY


def launch(
    programme: Programme,
    catalog: Catalog | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    planner: Planner | None = None,
    what_if: bool = True,
) -> LaunchPlan:
    """The launch of a programme over `draws` draws; the same seed gives the same answer.

    planner: where speeds come from, `tonnage.serve` and `tonnage.train` unless given; what_if: whether the what-ifs
    are played too. Raises InputError for a number of draws that is not from 20 to 5,000.
    """
    from tonnage import catalog as catalogues

    check_draws(draws)
    began = time.perf_counter()
    book = catalog or catalogues.load()
    speeds = planner or Planned(programme, book)
    asked: Rulings = {}
    setting = settle(programme, book, speeds, asked)
    game = play(setting, seed, draws)
    result = game.run()
    alternatives, lifts = _what_ifs(setting, book, speeds, asked, seed, draws, result) if what_if else ((), {})
    plan = _answer(setting, game, result, alternatives, lifts, book)
    return replace(plan, seconds=time.perf_counter() - began)


def check_draws(draws: int) -> None:
    """Raise InputError for a number of draws that is not taken."""
    if not FEWEST <= draws <= MOST:
        raise InputError(Problem(f"expected from {FEWEST} to {MOST:,} draws, got {draws}", "--draws"))


# what-ifs


def _what_ifs(
    setting: Setting, catalog: Catalog, planner: Planner, asked: Rulings, seed: int, draws: int, planned: Forecast
) -> tuple[tuple[Alternative, ...], Mapping[str, tuple[str, ...]]]:
    programme = setting.programme
    made = []
    lifts: dict[str, tuple[str, ...]] = {}
    start = _dates(planned.launch[-1], programme)
    for item in what_ifs(programme, setting.calendars, _titles(programme, catalog)):
        changed = settle(item.programme, catalog, planner, asked)
        found = play(changed, seed, draws).run()
        when = _dates(found.launch[-1], programme)
        shift = None if when.p50 is None or start.p50 is None else float((when.p50 - start.p50).days)
        cost = _costs(found.training_cost).p50
        made.append(Alternative(item.key, item.name, when, _by_horizon(found, programme), shift, cost, item.lawful))
        lifts[item.key] = item.lifts
    return tuple(made), lifts


def _titles(programme: Programme, catalog: Catalog) -> dict[str, str]:
    return {rule.id: rule.title for rule in law.book(programme.rules, catalog).rules}


def _by_horizon(found: Forecast, programme: Programme) -> float:
    return float(np.mean(found.launch[-1] <= programme.days * DAY))


def _dates(seconds: Floats, programme: Programme) -> Spread:
    return Spread(*(_date(_rank(seconds, p), programme) for p in (0.1, 0.5, 0.9)))


def _rank(values: Floats, p: float) -> float:
    """The smallest value that a share p of the draws does not pass (an order statistic: nothing is interpolated)."""
    ordered = np.sort(values)
    return float(ordered[max(0, int(np.ceil(p * values.size)) - 1)])


def _date(seconds: float, programme: Programme) -> Date | None:
    if not seconds <= programme.days * DAY:
        return None
    return programme.start + datetime.timedelta(days=int(np.ceil(seconds / DAY)))


# the answer


def _answer(
    setting: Setting,
    game: Play,
    result: Forecast,
    alternatives: tuple[Alternative, ...],
    lifts: Mapping[str, tuple[str, ...]],
    catalog: Catalog,
) -> LaunchPlan:
    programme = setting.programme
    chance = _by_horizon(result, programme)
    causes = _causes(result)
    binds = _binds(causes, alternatives, lifts, chance)
    shown = int(np.argsort(result.launch[-1], kind="stable")[(game.world.draws - 1) // 2])
    story = only(game, shown).run(record=True)
    coming = programme.coming
    refused = _refused(setting, game)
    return LaunchPlan(
        outcome=_outcome(setting, result, chance, binds),
        name=programme.name,
        model=coming[-1].name,
        start=programme.start,
        end=programme.end,
        launch=_dates(result.launch[-1], programme),
        probability=chance,
        launches={m.name: _dates(at, programme) for m, at in zip(coming, result.launch, strict=True)},
        cost=_costs(result.training_cost),
        service_cost=_costs(result.service_cost),
        binds=binds,
        causes={name: float(value.mean() / DAY) for name, value in causes.items()},
        sensitivity=_sensitivity(game, result, programme),
        timeline=_weekly(story, programme),
        spans=_spans(story, programme),
        calendar=_calendar(game, shown, programme),
        rules_applied=_rules_applied(setting, refused, catalog),
        not_lawful=refused,
        alternatives=alternatives,
        throughputs=setting.speeds,
        readiness={f"{name}: {p.name}": p.readiness for name, found in setting.places.items() for p in found},
        trained_on=_trained_on(game, result),
        assumptions=_assumptions(programme),
        doubts=_doubts(setting, game),
        draws=game.world.draws,
        draw=shown,
        draw_launch=_date(float(story.launch[-1][0]), programme),
        base=base(setting),
        days=tuple(float(x) / DAY for x in result.launch[-1]),
        values={name: float(sample[shown]) for name, sample in game.drawn.items()},
        evidence=_evidence(setting),
        sources=_sources(setting),
        known=programme.known,
        rules_known=programme.rules.known_at,
        unpriced_training=result.unpriced[0],
        unpriced_service=result.unpriced[1],
    )


def _costs(values: Floats) -> Spread:
    if np.isnan(values).any():
        return Spread(None, None, None)
    return Spread(*(_rank(values, p) for p in (0.1, 0.5, 0.9)))


def _causes(result: Forecast) -> dict[str, Floats]:
    """Time on the way to the launch by cause [d], repeated attempts on one place taken together, longest first."""
    merged: dict[str, Floats] = {}
    for name, value in result.causes.items():
        short = name.split(" (attempt ")[0]
        merged[short] = merged.get(short, np.zeros_like(value)) + value
    kept = {name: value for name, value in merged.items() if value.mean() > 0}
    return dict(sorted(kept.items(), key=lambda item: (-item[1].mean(), item[0])))


def _binds(
    causes: Mapping[str, Floats],
    alternatives: tuple[Alternative, ...],
    lifts: Mapping[str, tuple[str, ...]],
    chance: float,
) -> tuple[Bind, ...]:
    """What stands between the start and the launch, the longest first; `by` in days, averaged over all draws."""
    made = []
    for name, value in causes.items():
        days = float(value.mean() / DAY)
        if days < 0.05:
            continue
        share = float(np.mean(value > NEGLIGIBLE))
        text = f"{name}: {days:.0f} days on average" if days >= 1 else f"{name}: under a day on average"
        text += f", in {show_share(share)} of the draws" if share < 0.995 else ""
        made.append(Bind(name, text, days, _lift(name, alternatives, lifts, chance)))
    return tuple(made)


def _lift(
    cause: str, alternatives: tuple[Alternative, ...], lifts: Mapping[str, tuple[str, ...]], chance: float
) -> str | None:
    """The lawful what-if that acts on a cause and brings the launch forward most, or makes it likelier."""
    words = cause.split(": ", 1)[-1]
    fit = [item for item in alternatives if item.lawful and any(word in words for word in lifts[item.key])]
    sooner = [item for item in fit if item.shift is not None and item.shift < -0.5]
    if sooner:
        best = min(sooner, key=lambda item: item.shift or 0.0)
        return f"{best.name}: P50 {-(best.shift or 0.0):.0f} days earlier"
    surer = max(fit, key=lambda item: item.probability, default=None)
    if surer is None or surer.probability < chance + 0.02:
        return None
    return f"{surer.name}: {show_share(surer.probability)} instead of {show_share(chance)} by the horizon"


def _outcome(setting: Setting, result: Forecast, chance: float, binds: tuple[Bind, ...]) -> Outcome:
    """Feasible, or why not: no lawful lot, a service level out of reach, demand that the fleet cannot serve, or no
    launch within the horizon.
    """
    programme = setting.programme
    if all(found.never for found in setting.calendars.values()):
        rules = dict.fromkeys(rule for found in setting.calendars.values() for rule in found.rulings[0].rules)
        text = f"no lot of the fleet may be planned on: {', '.join(rules)}"
        return infeasible(Bind("law", text, lift=lift.lawful(setting)))
    unkept = lift.unkept(setting)
    if unkept is not None and chance < POSSIBLE:
        return infeasible(unkept, *binds)
    short = float(np.mean(result.unserved > UNSERVED))
    if short >= LIKELY:
        worst = _rank(result.unserved, 0.5)
        at = _rank(np.where(np.isfinite(result.unserved_at), result.unserved_at, np.inf), 0.5)
        day = programme.start + datetime.timedelta(seconds=min(at, programme.days * DAY))
        text = f"from {day} on the lawful fleet cannot carry the demand: up to {show_share(worst)} of it goes unserved"
        text += f", in {show_share(short)} of the draws" if short < 0.995 else ""
        return infeasible(Bind("capacity", text, worst, lift.capacity(setting)), *binds)
    if chance >= LIKELY:
        return Outcome("feasible", binds)
    late = _late(setting, result, chance)
    return Outcome("feasible", (late, *binds)) if chance >= POSSIBLE else infeasible(late, *binds)


def _late(setting: Setting, result: Forecast, chance: float) -> Bind:
    programme, model = setting.programme, setting.programme.coming[-1]
    trained = float(np.mean(np.isfinite(result.trained[-1])))
    what = "capacity" if trained - chance > 0.3 else "training"
    where = "is trained but finds no capacity to serve it" if what == "capacity" else "is not trained"
    text = f"{model.name} launches by {programme.end} with a probability of only {show_share(chance)}"
    text += f": in most draws it {where}"
    blocked = [s for s in setting.speeds if s.reason and s.use != "serve"]
    text += f" ({blocked[0].reason})" if blocked and what == "training" else ""
    return Bind(what, text, 1 - chance, lift.launch(setting))


def _trained_on(game: Play, result: Forecast) -> dict[str, float]:
    attempts = game.projects[-1].attempts
    found: dict[str, float] = {}
    for index, attempt in enumerate(attempts):
        name = attempt.name.split(" (attempt ")[0]
        found[name] = found.get(name, 0.0) + float(np.mean(result.place == index))
    return found


# sensitivity


def _sensitivity(game: Play, result: Forecast, programme: Programme) -> tuple[Sensitivity, ...]:
    """Every uncertain input and factor, by how much it moves the launch; those with no effect are left out."""
    day = np.minimum(result.launch[-1], programme.days * DAY * 1.1) / DAY
    if np.ptp(day) == 0:
        return ()
    made = [_moves(name, sample, day, programme) for name, sample in game.drawn.items()]
    total = sum(item.correlation**2 for item in made)
    ranked = sorted(made, key=lambda item: (-abs(item.correlation), item.name))
    shared = [replace(item, share=item.correlation**2 / total if total else 0.0) for item in ranked]
    floor = 2 / np.sqrt(game.world.draws)
    return tuple(item for item in shared if abs(item.correlation) > floor) or tuple(shared[:1])


def _moves(name: str, sample: Floats, day: Floats, programme: Programme) -> Sensitivity:
    values = np.unique(sample)
    low, high = (sample == values[0], sample == values[-1]) if values.size == 2 else _thirds(sample)
    swing = float(np.mean(day[high]) - np.mean(day[low]))
    return Sensitivity(name, _spearman(sample, day), 0.0, swing, _describe(name, programme))


def _thirds(sample: Floats) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], ...]:
    lower, upper = np.quantile(sample, [1 / 3, 2 / 3])
    return sample <= lower, sample >= upper


def _spearman(x: Floats, y: Floats) -> float:
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm else 0.0


def _ranks(x: Floats) -> Floats:
    """Ranks with ties at their mean."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def _describe(name: str, programme: Programme) -> str:
    kind, _, rest = name.partition(".")
    if kind == "readiness":
        model, _, place = rest.partition(".")
        return f"whether {model}'s run completes on {place}"
    if kind == "speed":
        use, _, chip = rest.partition(".")
        return f"how fast {chip} really {'serves' if use == 'serve' else 'trains'}, against the prediction"
    quantity = programme.inputs().get(name)
    return quantity.text if quantity else ""


# timeline


def _weekly(story: Forecast, programme: Programme) -> tuple[Use, ...]:
    """What each lot does in each period, in the draw shown."""
    made = []
    for period, uses in enumerate(story.uses):
        begin, end = _day(programme, period * PERIOD), _day(programme, (period + 1) * PERIOD)
        made += [Use(lot, begin, end, does, count) for (lot, does), count in uses.items()]
    return tuple(made)


def _spans(story: Forecast, programme: Programme) -> tuple[Use, ...]:
    """What each lot does in the draw shown, periods of one activity joined."""
    open_: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for period, uses in enumerate(story.uses):
        for key, count in uses.items():
            open_.setdefault(key, []).append((period, count))
    made = []
    for (lot, does), found in open_.items():
        for run in _runs(found):
            begin, end = run[0][0] * PERIOD, (run[-1][0] + 1) * PERIOD
            count = float(np.mean([value for _, value in run]))
            made.append(Use(lot, _day(programme, begin), _day(programme, end), does, count))
    order = {lot.name: index for index, lot in enumerate(programme.lots)}
    return tuple(sorted(made, key=lambda use: (order[use.lot], use.start, use.does)))


def _runs(found: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = []
    for item in found:
        if runs and runs[-1][-1][0] == item[0] - 1:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _day(programme: Programme, seconds: float) -> Date:
    return min(programme.start + datetime.timedelta(seconds=round(seconds)), programme.end)


def _calendar(game: Play, index: int, programme: Programme) -> tuple[Use, ...]:
    """How many accelerators of each lot are there, in the draw shown; periods of equal number joined."""
    made = []
    for column, lot in enumerate(programme.lots):
        there = np.round(game.world.available[index, :, column])
        edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(there))), there.size]
        for first, after in itertools.pairwise(edges):
            if there[first] > 0:
                begin, end = _day(programme, first * PERIOD), _day(programme, after * PERIOD)
                made.append(Use(lot.name, begin, end, "available", float(there[first])))
    return tuple(made)


# law, sources, doubt


def _refused(setting: Setting, game: Play) -> tuple[Refused, ...]:
    """Lots, and parts of lots, that the rules keep away."""
    made = []
    for column, lot in enumerate(setting.programme.lots):
        found = setting.calendars[lot.name]
        if not found.refusals:
            continue
        wanted = np.floor(game.world.values[f"fleet.{lot.name}.count"]) * (
            1 - game.world.values[f"fleet.{lot.name}.spare"]
        )
        there = game.world.available[:, :, column].max(axis=1)
        share = float(np.mean(np.clip(1 - np.divide(there, wanted, out=np.ones_like(there), where=wanted > 0), 0, 1)))
        if share > 1e-6:
            first = found.refusals[0]
            made.append(Refused(lot.name, lot.chip, first.start, share, first.reason, first.rules))
    return tuple(made)


def _rules_applied(setting: Setting, refused: tuple[Refused, ...], catalog: Catalog) -> tuple[Applied, ...]:
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


def _assumptions(programme: Programme) -> tuple[str, ...]:
    found = [f"{model.name}: {text}" for model in programme.models if model.service for text in model.service.assumed]
    found.append(
        f"a run takes {programme.slip.text} times its plan on a stack of readiness 0, its plan on one of 100 %"
    )
    found.append(f"a run that fails is given up after {programme.give_up.text} of its first stage, and nothing is kept")
    found.append("services come first; rounds hold their accelerators; models are trained one after another")
    return tuple(found)


def _doubts(setting: Setting, game: Play) -> tuple[str, ...]:
    wide = sorted(setting.speeds, key=lambda speed: -speed.sigma)[:1]
    made = []
    for speed in wide:
        if speed.sigma:
            factor = float(np.exp(1.645 * speed.sigma))
            made.append(f"predicted speeds are right within a factor {factor:.1f} (90 %), {speed.evidence}")
    if setting.places:
        made.append("failed runs are seldom published: readiness is rather too high where few runs are known")
    missing = {(s.chip, s.reason): None for s in setting.speeds if "missing_fact" in s.detail}
    made += [f"{chip} is left out where it would need what is not known: {reason}" for chip, reason in missing]
    return tuple(made)


_TIERS = ("interpolated", "extrapolated", "analytic")


def _evidence(setting: Setting) -> str:
    found = [speed.evidence for speed in setting.speeds if speed.rate > 0]
    return max(found, key=_TIERS.index, default="analytic")


def _sources(setting: Setting) -> tuple[str, ...]:
    speeds = (source for speed in setting.speeds for source in speed.sources)
    lots = (source for lot in setting.programme.lots for source in lot.sources)
    runs = (e.run.source for found in setting.places.values() for p in found for e in p.readiness.evidence if e.weight)
    return tuple(sorted({*speeds, *lots, *runs}))


def money(value: float) -> str:
    """USD, for the answer."""
    return show_money(value)
