"""From a programme and its speeds to what is played forward: lots by period, demands, projects."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet import readiness as ready
from tonnage.fleet.calendar import Calendar, calendar
from tonnage.fleet.draws import World, draw_world
from tonnage.fleet.forecast import Attempt, Demand, Forecast, Project, StageSpeed, forecast
from tonnage.fleet.programme import Lot, Model, Programme, Rules, Training
from tonnage.fleet.speeds import PlannedSpeed, Planner, round_size
from tonnage.fleet.uncertain import Floats, Uncertain, draw, point

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Date = datetime.date
LADDER = (2304, 9216, 36864, 147456, 589824)
"""Sizes at which the speed of a large run is planned: multiples of 256, a factor of four apart."""

SHARES = (0.25, 1.0)
"""Sizes at which the speed of a run of fewer than `LADDER[0]` is planned, as shares of the most that a place holds."""


def run_sizes(most: float) -> tuple[int, ...]:
    """Sizes that bracket runs of a fifth to the whole of `most` accelerators; 1.25 times the last is near enough."""
    if most < LADDER[0]:
        return tuple(sorted({round_size(max(1.0, most * share)) for share in SHARES}))
    top = next((index for index, size in enumerate(LADDER) if most <= 1.25 * size), len(LADDER) - 1)
    return tuple(size for size in LADDER[: top + 1] if size >= most / 5)


@dataclass(frozen=True)
class TrainingSite:
    """Where a model may be trained. chip; lots: their names; most: the most accelerators one run would use there."""

    name: str
    chip: str
    lots: tuple[str, ...]
    most: float
    readiness: ready.Readiness


@dataclass(frozen=True)
class SettledProgramme:
    """A programme, its law and its speeds, ready to be drawn.

    calendars by lot; serving: speeds by model and lot; training: for each model, place and stage the speeds by size.
    """

    programme: Programme
    calendars: Mapping[str, Calendar]
    places: Mapping[str, tuple[TrainingSite, ...]]
    serving: Mapping[tuple[str, str], PlannedSpeed]
    training: Mapping[tuple[str, str, int], tuple[PlannedSpeed, ...]]

    @property
    def speeds(self) -> tuple[PlannedSpeed, ...]:
        """Every speed that was planned, once."""
        listed = [*self.serving.values(), *(speed for found in self.training.values() for speed in found)]
        return tuple({(s.use, s.model, s.chip, s.accelerators): s for s in listed}.values())


Rulings = dict[tuple[Lot, Rules, Date], Calendar]


def settle(programme: Programme, catalog: Catalog, planner: Planner, asked: Rulings | None = None) -> SettledProgramme:
    """Ask the law about every lot and the planner about every speed that the programme needs.

    asked: calendars that are known already, of lots under rules; new ones are added.
    """
    known = {} if asked is None else asked
    for lot in programme.lots:
        key = (replace(lot, count=point(0.0)), programme.rules, programme.end)
        if key not in known:
            known[key] = calendar(lot, programme, catalog)
    calendars = {
        lot.name: known[replace(lot, count=point(0.0)), programme.rules, programme.end] for lot in programme.lots
    }
    usable = [lot for lot in programme.lots if not calendars[lot.name].never]
    runs = ready.record(catalog, programme.known)
    places: dict[str, tuple[TrainingSite, ...]] = {}
    serving: dict[tuple[str, str], PlannedSpeed] = {}
    training: dict[tuple[str, str, int], tuple[PlannedSpeed, ...]] = {}
    for model in programme.models:
        if model.service:
            allowed = [lot for lot in usable if not model.service.lots or lot.name in model.service.lots]
            most = {lot.name: lot.count.interval[1] for lot in allowed}
            serving |= {(model.name, lot.name): planner.serve(model, lot.chip, most[lot.name]) for lot in allowed}
        if model.training:
            found = _places(programme, model, model.training, usable, runs, catalog)
            places[model.name] = found
            for place in found:
                training |= _stages(model, model.training, place, planner)
    return _ordered(SettledProgramme(programme, calendars, places, serving, training))


def _ordered(setting: SettledProgramme) -> SettledProgramme:
    """Places of models that name none, put in order: the least time to train, over the probability that it is done."""
    places = dict(setting.places)
    for index, model in enumerate(setting.programme.coming):
        if model.training is None or model.training.chosen or len(places[model.name]) < 2:
            continue
        time = {place.name: _alone(setting, model, place, index) for place in places[model.name]}
        places[model.name] = tuple(sorted(places[model.name], key=lambda place: (time[place.name], place.name)))
    return replace(setting, places=places)


def _alone(setting: SettledProgramme, model: Model, place: TrainingSite, index: int) -> float:
    """Expected time to train in the base case, if this were the only place and every run completed after retries."""
    sure = replace(place, readiness=replace(place.readiness, probability=1.0))
    trained = play(replace(setting, places={**setting.places, model.name: (sure,)}), 0, 0).run().trained[index][0]
    return float(trained / max(place.readiness.probability, 1e-9))


def _places(
    programme: Programme,
    model: Model,
    training: Training,
    usable: list[Lot],
    runs: tuple[ready.PublicRun, ...],
    catalog: Catalog,
) -> tuple[TrainingSite, ...]:
    """Places with lots that are ever lawful, in the order in which they are tried."""
    by_name = {lot.name: lot for lot in usable}
    found = []
    for name, lots in training.places:
        held = [by_name[lot] for lot in lots if lot in by_name]
        if not held:
            continue
        chip = held[0].chip
        most = min(sum(lot.count.interval[1] for lot in held), training.at_most or math.inf)
        chance = ready.of_place(name, ready.kind_of(catalog, chip), model.architecture, programme, runs)
        found.append(TrainingSite(name, chip, tuple(lot.name for lot in held if lot.chip == chip), most, chance))
    return tuple(found)


def _stages(
    model: Model, training: Training, place: TrainingSite, planner: Planner
) -> dict[tuple[str, str, int], tuple[PlannedSpeed, ...]]:
    made: dict[tuple[str, str, int], tuple[PlannedSpeed, ...]] = {}
    for index, stage in enumerate(training.stages):
        if stage.kind == "pause":
            continue
        sizes = run_sizes(place.most)
        found = tuple(planner.train(model, stage, place.chip, size) for size in sizes)
        made[model.name, place.name, index] = found
    return made


@dataclass(frozen=True)
class Play:
    """One set of draws of a setting, and what is played on it. drawn: every uncertain input and factor by name [d]."""

    world: World
    services: tuple[Demand, ...]
    projects: tuple[Project, ...]
    drawn: Mapping[str, Floats]

    def run(self, record: bool = False) -> Forecast:
        """Play it forward."""
        return forecast(self.world, self.services, self.projects, record)


def play(setting: SettledProgramme, seed: int, draws: int) -> Play:
    """Draw a setting; draws = 0: the base case, every input at its median and every run that is likelier than not."""
    programme = setting.programme
    world = draw_world(programme, setting.calendars, seed, draws)
    drawn = {name: sample for name, sample in world.values.items() if np.ptp(sample) > 0}
    factors = _factors(setting, seed, draws)
    services, rows = _demands(setting, world, factors)
    projects = tuple(_project(setting, world, model, rows, factors, drawn, seed, draws) for model in programme.coming)
    drawn |= {name: sample for name, sample in factors.items() if np.ptp(sample) > 0}
    return Play(world, services, projects, drawn)


def only(found: Play, index: int) -> Play:
    """The play of one draw."""
    pick = slice(index, index + 1)

    def cut(value: Floats | float) -> Floats | float:
        return value[pick] if isinstance(value, np.ndarray) else value

    def attempt(place: Attempt) -> Attempt:
        speeds = tuple(replace(speed, factor=speed.factor[pick]) for speed in place.speeds)
        return replace(place, completes=place.completes[pick], slip=place.slip[pick], speeds=speeds)

    services = tuple(
        replace(s, base=s.base[pick], growth=s.growth[pick], peak=s.peak[pick], rate=s.rate[pick])
        for s in found.services
    )
    projects = tuple(
        replace(
            p,
            attempts=tuple(attempt(place) for place in p.attempts),
            amounts=tuple(amount[pick] for amount in p.amounts),
            give_up=p.give_up[pick],
            rounds=p.rounds[pick],
            each=p.each[pick],
            takes_over=cut(p.takes_over),
            within=cut(p.within),
            surge=cut(p.surge),
        )
        for p in found.projects
    )
    drawn = {name: sample[pick] for name, sample in found.drawn.items()}
    return Play(found.world.only(index), services, projects, drawn)


def _factors(setting: SettledProgramme, seed: int, draws: int) -> dict[str, Floats]:
    """What the draws think of each predicted speed.

    One factor for serving and one for training on each chip, since what a prediction gets wrong is mostly the chip.
    Lognormal with the widest interval among the plans concerned.
    """
    widest: dict[str, float] = {}
    for speed in setting.speeds:
        name = f"speed.{'serve' if speed.use == 'serve' else 'train'}.{speed.chip}"
        widest[name] = max(widest.get(name, 0.0), speed.sigma)
    quantities = {name: Uncertain("lognormal", (1.0, sigma)) if sigma else point(1.0) for name, sigma in widest.items()}
    if not draws:
        return {name: np.ones(1) for name in quantities}
    return {name: draw(quantity, seed, name, draws) for name, quantity in quantities.items()}


def _demands(
    setting: SettledProgramme, world: World, factors: Mapping[str, Floats]
) -> tuple[tuple[Demand, ...], dict[str, int]]:
    programme = setting.programme
    served = [model for model in programme.models if model.service]
    coming = {model.name for model in programme.coming if model.after or model.training}
    found = []
    for model in served:
        service = model.service
        assert service is not None
        value = {key: world.values[f"models.{model.name}.serve.{key}"] for key in ("output_tokens", "input_tokens")}
        by_output = value["output_tokens"] / service.osl
        base = np.where(by_output > 0, by_output, value["input_tokens"] / service.isl)
        rate = [_serving_rate(setting, model.name, lot, factors, world.draws) for lot in programme.lots]
        found.append(
            Demand(
                model.name,
                base,
                world.values[f"models.{model.name}.serve.growth"],
                world.values[f"models.{model.name}.serve.peak"],
                np.stack(rate, axis=1),
                model.name in coming,
            )
        )
    return tuple(found), {model.name: row for row, model in enumerate(served)}


def _serving_rate(setting: SettledProgramme, model: str, lot: Lot, factors: Mapping[str, Floats], draws: int) -> Floats:
    speed = setting.serving.get((model, lot.name))
    if speed is None or speed.rate <= 0:
        return np.zeros(draws)
    return speed.rate * factors[f"speed.serve.{lot.chip}"]


def _project(
    setting: SettledProgramme,
    world: World,
    model: Model,
    rows: Mapping[str, int],
    factors: Mapping[str, Floats],
    drawn: dict[str, Floats],
    seed: int,
    draws: int,
) -> Project:
    values, key = world.values, f"models.{model.name}"
    stages = model.training.stages if model.training else ()
    amounts = tuple(values[f"{key}.train.stages.{i}.{stage.kind}"] for i, stage in enumerate(stages))
    service, before = rows.get(model.name), rows.get(model.after or "")
    moves = service is not None and before is not None
    return Project(
        model.name,
        _attempts(setting, world, model, factors, drawn, seed, draws),
        amounts,
        values["assumptions.give_up"],
        values[f"{key}.good_enough.rounds"],
        values[f"{key}.good_enough.each"],
        (model.training.at_most if model.training else None) or np.inf,
        service,
        before if moves else None,
        values[f"{key}.serve.takes_over"] if moves else 1.0,
        values[f"{key}.serve.within"] if service is not None else 0.0,
        values[f"{key}.serve.surge"] if moves else 0.0,
        model.training is not None,
    )


RETRIES = 2
"""Further attempts on the last place, should the run fail there too."""


def _attempts(
    setting: SettledProgramme,
    world: World,
    model: Model,
    factors: Mapping[str, Floats],
    drawn: dict[str, Floats],
    seed: int,
    draws: int,
) -> tuple[Attempt, ...]:
    places = setting.places.get(model.name, ())
    made = []
    for index, place in enumerate([*places, *places[-1:] * RETRIES] if places else []):
        again = f" (attempt {index - len(places) + 2})" if index >= len(places) else ""
        chance = place.readiness.probability
        rate = ready.rates(place.readiness, seed, draws)
        done = ready.completes(rate, seed, f"{model.name}.{place.name}{again}", draws)
        if not again and draws and 0 < done.sum() < done.size:
            drawn[f"readiness.{model.name}.{place.name}"] = done.astype(float)
        slip = ready.slipped(world.values["assumptions.slip"], chance)
        lots = np.array([lot in place.lots for lot in world.lots])
        speeds = _speeds(setting, model, place, factors.get(f"speed.train.{place.chip}"), world.draws)
        made.append(Attempt(place.name, lots, done, slip, speeds))
    return tuple(made)


SMALLER = 4.0
"""A run may be this much smaller than the smallest size that was planned, unless a planned size did not fit."""


def _speeds(
    setting: SettledProgramme, model: Model, place: TrainingSite, known: Floats | None, draws: int
) -> tuple[StageSpeed, ...]:
    factor = np.ones(draws) if known is None else known
    stages = model.training.stages if model.training else ()
    made = []
    for index, stage in enumerate(stages):
        if stage.kind == "pause":
            made.append(StageSpeed("pause", np.zeros(0), np.zeros(0), np.ones(draws)))
            continue
        planned = setting.training[model.name, place.name, index]
        found = [speed for speed in planned if speed.rate > 0]
        sizes = np.array([float(speed.accelerators) for speed in found])
        rates = np.array([speed.rate for speed in found])
        least = sizes[0] / (1 if len(found) < len(planned) else SMALLER) if found else 0.0
        made.append(StageSpeed(stage.kind, sizes, rates, factor, float(least)))
    return tuple(made)
