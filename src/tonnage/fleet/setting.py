"""From a programme and its speeds to what is played forward: lots by period, demands, projects."""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tonnage.fleet import readiness as ready
from tonnage.fleet.calendar import Calendar, calendar
from tonnage.fleet.draws import Pick, World, draw_world
from tonnage.fleet.expected import outlook
from tonnage.fleet.forecast import Forecast, forecast
from tonnage.fleet.judged import card_days
from tonnage.fleet.nights import Nights, nights
from tonnage.fleet.programme import Lot, Model, Programme, Rules, Training
from tonnage.fleet.projects import Attempt, Demand, Lost, Project, StageSpeed
from tonnage.fleet.seen import SeenRun, of_programme
from tonnage.fleet.sizes import curve, planned, shown, sigmas
from tonnage.fleet.speeds import PlannedSpeed, Planner, impossible
from tonnage.fleet.track import Track
from tonnage.fleet.uncertain import Floats, Seed, Uncertain, draw, point
from tonnage.model import params
from tonnage.system import accelerator

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

Date = datetime.date
DEBUG = "assumptions.debug"
"""Input that says how long a run that fails is looked for, beyond the work that it wasted [s]."""


@dataclass(frozen=True)
class TrainingSite:
    """Where a model may be trained. chip; lots: their names; most: the most accelerators one run would have there;
    limit: the most that it uses, infinite if all: fewer where larger runs are so much less sure that they are later.
    """

    name: str
    chip: str
    lots: tuple[str, ...]
    most: float
    readiness: ready.Readiness
    limit: float = math.inf


@dataclass(frozen=True)
class SettledProgramme:
    """A programme, its law and its speeds, ready to be drawn.

    calendars by lot; serving: speeds by model and lot; training: for each model, place and stage the speeds by size;
    seen: of runs under way, by model.
    """

    programme: Programme
    calendars: Mapping[str, Calendar]
    places: Mapping[str, tuple[TrainingSite, ...]]
    serving: Mapping[tuple[str, str], PlannedSpeed]
    training: Mapping[tuple[str, str, int], tuple[PlannedSpeed, ...]]
    seen: Mapping[str, SeenRun] = field(default_factory=dict)

    @property
    def speeds(self) -> tuple[PlannedSpeed, ...]:
        """Every speed that the answer rests on, once: of runs, those of the sizes nearest to what a place holds."""
        most = {
            (model, place.name): min(place.most, place.limit) for model, found in self.places.items() for place in found
        }
        runs = (
            shown(found, most[model, place])
            for (model, place, _), found in self.training.items()
            if (model, place) in most
        )
        listed = [*self.serving.values(), *(speed for found in runs for speed in found)]
        return tuple({(s.use, s.model, s.chip, s.accelerators): s for s in listed}.values())


MARGIN = 1.25
"""Draws of a lot's count may lie so far above the upper end of its interval and still have their own run size."""

Rulings = dict[tuple[Lot, Rules, Date], Calendar]


def _alike(lot: Lot) -> Lot:
    """What the law looks at: lots that differ in name, count and price only are asked for once."""
    bare = replace(lot, name="", count=point(0.0), spare=point(0), busy=point(0))
    return replace(bare, price=None, price_note="", bought=None, owning=None, quotes=(), sources=())


def settle(programme: Programme, catalog: Catalog, planner: Planner, asked: Rulings | None = None) -> SettledProgramme:
    """Ask the law about every lot and the planner about every speed that the programme needs.

    asked: calendars that are known already, of lots under rules; new ones are added.
    """
    known = {} if asked is None else asked
    for lot in programme.lots:
        key = (_alike(lot), programme.rules, programme.end)
        if key not in known:
            known[key] = calendar(lot, programme, catalog)
    calendars = {lot.name: known[_alike(lot), programme.rules, programme.end] for lot in programme.lots}
    usable = [lot for lot in programme.lots if not calendars[lot.name].never]
    runs = ready.record(catalog, programme.known)
    places: dict[str, tuple[TrainingSite, ...]] = {}
    serving: dict[tuple[str, str], PlannedSpeed] = {}
    training: dict[tuple[str, str, int], tuple[PlannedSpeed, ...]] = {}
    for model in programme.models:
        if model.service:
            allowed = [lot for lot in usable if not model.service.lots or lot.name in model.service.lots]
            most = {lot.name: lot.count.interval[1] for lot in allowed}
            serving |= {
                (model.name, lot.name): _served(programme, model, lot, most[lot.name], planner) for lot in allowed
            }
        if model.training:
            found = _places(programme, model, model.training, usable, runs, catalog)
            for place in found:
                training |= _stages(model, model.training, place, planner)
            places[model.name] = found
    made = _ordered(SettledProgramme(programme, calendars, places, serving, training))
    return replace(made, seen=of_programme(programme, calendars, made.places, training, catalog))


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
    game = play(replace(setting, places={**setting.places, model.name: (place,)}), 0, 0)
    free = game.world.whole[:, 0, :]
    time = Track(game.world, game.projects[index]).ends(free)
    return float(time / max(place.readiness.probability, 1e-9))


def _served(programme: Programme, model: Model, lot: Lot, most: float, planner: Planner) -> PlannedSpeed:
    """How fast a lot serves: not at all where a verdict forbids it."""
    judged = programme.judged(lot.name, lot.chip)
    if judged is not None and judged.forbids_serving:
        return impossible("serve", model.name, lot.chip, 0, f"{lot.name}: {judged.text}")
    return planner.serve(model, lot.chip, most)


def _card_days(model: Model, training: Training, chip: str, catalog: Catalog) -> float:
    """What the run of a model takes on a chip at its best rate; infinite where that is not known."""
    if model.architecture is None:
        return math.inf
    rates = accelerator(chip, catalog).rates
    rate = rates.get("bf16") or max(rates.values(), default=0.0)
    tokens = sum(stage.amount.median for stage in training.stages if stage.kind != "pause")
    active = float(params(model.architecture).active)
    return card_days(active, tokens, rate) if rate else math.inf


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
        work = _card_days(model, training, chip, catalog)
        own = tuple(lot.name for lot in held if lot.chip == chip)
        chance = ready.of_place(name, ready.kind_of(catalog, chip), model.architecture, programme, runs, own, work)
        found.append(TrainingSite(name, chip, own, most, chance))
    return tuple(found)


def _stages(
    model: Model, training: Training, place: TrainingSite, planner: Planner
) -> dict[tuple[str, str, int], tuple[PlannedSpeed, ...]]:
    made: dict[tuple[str, str, int], tuple[PlannedSpeed, ...]] = {}
    for index, stage in enumerate(training.stages):
        if stage.kind == "pause":
            continue
        train = functools.partial(planner.train, model, stage, place.chip)
        made[model.name, place.name, index] = planned(MARGIN * place.most, train)
    return made


@dataclass(frozen=True)
class Play:
    """One set of draws of a setting, and what is played on it. drawn: every uncertain input and factor by name [d];
    nights: that training takes, None if it does not.
    """

    world: World
    services: tuple[Demand, ...]
    projects: tuple[Project, ...]
    drawn: Mapping[str, Floats]
    nights: Nights | None = None

    def run(self, record: bool = False) -> Forecast:
        """Play it forward."""
        return forecast(self.world, self.services, self.projects, record, self.nights)


def play(setting: SettledProgramme, seed: Seed, draws: int, pick: Pick = slice(None)) -> Play:
    """Draw a setting; draws = 0: the base case, every input at its median and every run that is likelier than not.

    pick: which of the draws are played; they are the same whichever are.
    """
    programme = setting.programme
    world = draw_world(programme, setting.calendars, seed, draws, pick)
    if any(model.training and not model.training.chosen for model in programme.coming):
        world = replace(world, outlook=outlook(programme, setting.calendars, world))
    inputs = programme.inputs()
    drawn = {name: sample for name, sample in world.values.items() if not inputs[name].certain}
    all_factors = _factors(setting, seed, draws)
    factors = {name: sample[pick].copy() for name, sample in all_factors.items()}
    services, rows = _demands(setting, world, factors)
    names = [model.name for model in programme.coming]
    made = []
    for model in programme.coming:
        attempts = _attempts(setting, world, model, factors, drawn, seed, draws, pick)
        made.append(_project(setting, world, model, rows, names, attempts))
    drawn |= {name: factors[name] for name, sample in all_factors.items() if np.ptp(sample) > 0}
    return Play(world, services, tuple(made), drawn, nights_of(programme))


def nights_of(programme: Programme) -> Nights | None:
    """The nights that training takes."""
    curves = [model.service.day for model in programme.models if model.service]
    return nights(curves) if programme.night_training else None


def only(found: Play, index: int) -> Play:
    """The play of one draw."""
    pick = slice(index, index + 1)
    services = tuple(service.take(pick) for service in found.services)
    projects = tuple(project.take(pick) for project in found.projects)
    drawn = {name: sample[pick] for name, sample in found.drawn.items()}
    return Play(found.world.take(pick), services, projects, drawn, found.nights)


def _factors(setting: SettledProgramme, seed: Seed, draws: int) -> dict[str, Floats]:
    """What the draws think of each predicted speed.

    One factor for serving and one for training on each chip, since what a prediction gets wrong is mostly the chip.
    Lognormal with the widest interval among the plans concerned; a run takes the power of it that its own size has
    (`StageSpeed.doubt`), so that its doubt is that of the size that runs.
    """
    widest = _widest(setting)
    quantities = {name: Uncertain("lognormal", (1.0, sigma)) if sigma else point(1.0) for name, sigma in widest.items()}
    if not draws:
        return {name: np.ones(1) for name in quantities}
    return {name: draw(quantity, seed, name, draws) for name, quantity in quantities.items()}


def _widest(setting: SettledProgramme) -> dict[str, float]:
    """Standard deviation of the logarithm of each factor: the widest among the plans that the answer rests on."""
    widest: dict[str, float] = {}
    for speed in setting.speeds:
        name = f"speed.{'serve' if speed.use == 'serve' else 'train'}.{speed.chip}"
        widest[name] = max(widest.get(name, 0.0), speed.sigma)
    return widest


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
    names: list[str],
    attempts: tuple[Attempt, ...],
) -> Project:
    """names: of the models to come, in order; rows: of the services by model."""
    values, key, training = world.values, f"models.{model.name}", model.training
    stages = training.stages if training else ()
    service, before = rows.get(model.name), rows.get(model.after or "")
    moves = service is not None and before is not None
    return Project(
        name=model.name,
        attempts=attempts,
        amounts=tuple(values[f"{key}.train.stages.{i}.{stage.kind}"] for i, stage in enumerate(stages)),
        give_up=values["assumptions.give_up"],
        rounds=values[f"{key}.good_enough.rounds"],
        each=values[f"{key}.good_enough.each"],
        at_most=(training.at_most if training else None) or np.inf,
        service=service,
        taken_from=before if moves else None,
        takes_over=values[f"{key}.serve.takes_over"] if moves else 1.0,
        within=values[f"{key}.serve.within"] if service is not None else 0.0,
        surge=values[f"{key}.serve.surge"] if moves else 0.0,
        trains=training is not None,
        hold=values.get(f"{key}.good_enough.hold"),
        after=names.index(model.after) if model.after in names else None,
        chosen=training.chosen if training else True,
        **_move(model),
        first=values[f"{key}.serve.first_users"] if service is not None else 1.0,
        done=values.get(f"{key}.train.done", 0.0),
    )


def _move(model: Model) -> dict[str, float]:
    """What it costs to move its run: seconds, and tokens trained twice."""
    from tonnage.train import Move
    from tonnage.train.switch import pauses

    if model.architecture is None:
        return {}
    how = Move()
    return {"pause": sum(pauses(model.architecture, how).values()), "check": how.check}


RETRIES = 2
"""Further attempts on the last place, should the run fail there too; on each, where their order was not given."""


def _attempts(
    setting: SettledProgramme,
    world: World,
    model: Model,
    factors: Mapping[str, Floats],
    drawn: dict[str, Floats],
    seed: Seed,
    draws: int,
    pick: Pick,
) -> tuple[Attempt, ...]:
    places = setting.places.get(model.name, ())
    chosen = model.training is None or model.training.chosen
    last = len(places) - 1
    lost = Lost(setting.programme.give_up.median, setting.programme.debug.median)
    tries = [(place, n) for i, place in enumerate(places) for n in range(1 if chosen and i < last else 1 + RETRIES)]
    made = []
    for place, already in tries:
        again = f" (attempt {already + 1})" if already else ""
        chance = place.readiness.probability
        rate = ready.rates(place.readiness, seed, draws)
        completed = ready.completes(rate, seed, f"{model.name}.{place.name}{again}", draws)
        done = completed[pick].copy()
        if not again and draws and 0 < completed.sum() < completed.size:
            drawn[f"readiness.{model.name}.{place.name}"] = done.astype(float)
        slip = ready.slipped(world.values["assumptions.slip"], chance)
        hoped = float(ready.slipped(np.array([setting.programme.slip.median]), chance)[0])
        lots = np.array([lot in place.lots for lot in world.lots])
        speeds = _speeds(setting, model, place, factors.get(f"speed.train.{place.chip}"), world.draws)
        under = setting.seen.get(model.name)
        if under is not None and under.place == place.name:
            there = np.minimum(world.available[:, 0, lots].sum(axis=1), min(place.most, place.limit))
            factor = speeds[0].against_plan(there)
            slip, hoped = under.paced(slip / factor) * factor, under.rest
        debug = world.values.get(DEBUG, 0.0)
        made.append(Attempt(place.name, lots, done, slip, speeds, chance, debug, place.limit, hoped, lost))
    return tuple(made)


def _speeds(
    setting: SettledProgramme, model: Model, place: TrainingSite, known: Floats | None, draws: int
) -> tuple[StageSpeed, ...]:
    factor = np.ones(draws) if known is None else known
    widest = _widest(setting).get(f"speed.train.{place.chip}", 0.0)
    stages = model.training.stages if model.training else ()
    made: list[StageSpeed] = []
    for index, stage in enumerate(stages):
        if stage.kind == "pause":
            sizes, rates = (made[-1].sizes, made[-1].rate) if made else (np.zeros(0), np.zeros(0))
            made.append(StageSpeed("pause", sizes, rates, np.ones(draws)))
            continue
        planned = setting.training[model.name, place.name, index]
        found = curve(planned)
        doubt = sigmas(planned) / widest if widest else None
        made.append(StageSpeed(stage.kind, found.sizes, found.rate, factor, doubt))
    return tuple(made)
