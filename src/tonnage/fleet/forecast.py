"""The programme played forward, all draws at once: services first, then training, then the wait for capacity.

A project is one model to come. It goes through attempts (places), an attempt through the stages of training; an
attempt that will not complete spends part of its first stage and gives up, and the next place begins anew. After the
stages come rounds of improvement; then the model launches in the first period from which the fleet can carry it
together with all others, at the end of the move of demand too. Projects follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tonnage.fleet.allocate import TINY, share
from tonnage.fleet.causes import Activity, Cause
from tonnage.fleet.draws import PERIOD, Bools, World, demand
from tonnage.fleet.programme import StageKind
from tonnage.fleet.uncertain import Floats

TURNS = 12
"""Most stages that can end within one period."""


@dataclass(frozen=True)
class StageSpeed:
    """Training speed of one stage on one place: tokens/s per accelerator at some sizes of the run [k], between which it
    is interpolated on the logarithm of the size; factor: what the draws think of it [d]; least: fewest accelerators
    that a run is started on. A pause has no sizes.
    """

    kind: StageKind
    sizes: Floats
    rate: Floats
    factor: Floats
    least: float = 1.0

    def of(self, accelerators: Floats) -> Floats:
        """Tokens/s of a run [d]. A pause runs at 1 s per s. Outside the sizes that were planned, the speed per
        accelerator is that of the nearest.
        """
        if self.kind == "pause":
            return np.ones_like(accelerators)
        if not self.sizes.size:
            return np.zeros_like(accelerators)
        inside = np.maximum(accelerators, self.sizes[0])
        each = np.exp(np.interp(np.log(inside), np.log(self.sizes), np.log(self.rate)))
        return np.where(accelerators >= self.least, each * accelerators * self.factor, 0.0)


@dataclass(frozen=True)
class Attempt:
    """One attempt. name: its place; lots: which [l]; completes: whether the run does [d]; slip: time over plan [d]."""

    name: str
    lots: Bools
    completes: Bools
    slip: Floats
    speeds: tuple[StageSpeed, ...]


@dataclass(frozen=True)
class Project:
    """A model to come. amounts: of each stage [d]; trains: whether it needs training at all (with no attempt it then
    never launches); service, taken_from: rows among the services, or None.
    """

    name: str
    attempts: tuple[Attempt, ...]
    amounts: tuple[Floats, ...]
    give_up: Floats
    rounds: Floats
    each: Floats
    at_most: float = np.inf
    service: int | None = None
    taken_from: int | None = None
    takes_over: Floats | float = 1.0
    within: Floats | float = 0.0
    surge: Floats | float = 0.0
    trains: bool = True


@dataclass(frozen=True)
class Demand:
    """The demand for one model. base: requests/s at the start [d]; growth [1/s]; peak: capacity over average; rate:
    requests/s per accelerator [d, l], 0 where it may not or cannot run; from_launch: counted only once launched.
    """

    name: str
    base: Floats
    growth: Floats
    peak: Floats
    rate: Floats
    from_launch: bool = False


@dataclass(frozen=True)
class Forecast:
    """What came out, per draw.

    launch: [s] from the start, infinite when it does not happen, for each project [d]; trained: likewise; causes: [s]
    of the way to the last launch by cause [d]; training_cost, service_cost: [USD] up to the launch, NaN where a lot
    without a price was used [d]; unpriced: those lots, of training and of service; unserved:
    worst share of the demand before the launch that found no capacity [d], first at unserved_at [s]; place: index of
    the attempt that trained the last project; uses: accelerators by period, lot and activity of the first draw, if
    recorded; used_training, used_service: accelerator-seconds of each lot until the last launch [d, l].
    """

    launch: tuple[Floats, ...]
    trained: tuple[Floats, ...]
    causes: Mapping[Cause, Floats]
    training_cost: Floats
    service_cost: Floats
    unserved: Floats
    unserved_at: Floats
    place: Floats
    uses: tuple[Mapping[tuple[str, Activity], float], ...] = ()
    shares: tuple[Mapping[str, float], ...] = field(default=())
    unpriced: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    used_training: Floats = field(default_factory=lambda: np.zeros((1, 0)))
    used_service: Floats = field(default_factory=lambda: np.zeros((1, 0)))


def forecast(
    world: World, services: tuple[Demand, ...], projects: tuple[Project, ...], record: bool = False
) -> Forecast:
    """Play all draws of a world forward over its periods."""
    run = _Run(world, services, projects, record)
    for period in range(world.periods):
        run.step(period)
        if not record and run.done.all():
            break
    return run.result()


def needs(services: tuple[Demand, ...], projects: tuple[Project, ...], now: Floats, launch: Sequence[Floats]) -> Floats:
    """Capacity wanted by each service at a time [d], peak included, requests/s [d, m]; launch: of each project [d].

    After a launch the share `takes_over` of the predecessor's demand moves evenly over `within`, and grows by `surge`.
    """
    rows = []
    for service in services:
        own = demand(service.base, service.growth, now)
        rows.append(np.zeros_like(own) if service.from_launch else own)
    for project, at in zip(projects, launch, strict=True):
        if project.service is None:
            continue
        launched = now >= at
        one = services[project.service]
        if one.from_launch:
            rows[project.service] = np.where(launched, demand(one.base, one.growth, now), rows[project.service])
        if project.taken_from is None:
            continue
        since = np.where(launched, now - np.where(np.isfinite(at), at, 0.0), 0.0)
        ramp = np.where(launched, np.clip(since / np.maximum(project.within, 1.0), 0.0, 1.0), 0.0)
        moved = rows[project.taken_from] * project.takes_over * ramp
        rows[project.taken_from] = rows[project.taken_from] - moved
        rows[project.service] = rows[project.service] + moved * (1 + project.surge)
    if not rows:
        return np.zeros((now.size, 0))
    return np.stack(rows, axis=1) * np.stack([service.peak for service in services], axis=1)


class _Run:
    """State of all draws: which project, attempt and stage each is in, and what is left of it."""

    def __init__(self, world: World, services: tuple[Demand, ...], projects: tuple[Project, ...], record: bool) -> None:
        d = world.draws
        self.world, self.services, self.projects, self.record = world, services, projects, record
        self.project = np.zeros(d, dtype=int)
        self.attempt = np.zeros(d, dtype=int)
        self.stage = np.zeros(d, dtype=int)
        self.left = np.zeros(d)
        self.trained = [np.full(d, np.inf) for _ in projects]
        self.launch = [np.full(d, np.inf) for _ in projects]
        self.place = np.full(d, -1.0)
        self.training_cost, self.service_cost = np.zeros(d), np.zeros(d)
        self.unpriced = np.zeros((2, len(world.lots)), dtype=bool)
        self.used = np.zeros((2, d, len(world.lots)))
        self.unserved, self.unserved_at = np.zeros(d), np.full(d, np.inf)
        self.uses: list[Mapping[tuple[str, Activity], float]] = []
        self.used_now: dict[tuple[str, Activity], float] = {}
        self.shares: list[Mapping[str, float]] = []
        self.rate = np.stack([s.rate for s in services], axis=1) if services else np.zeros((d, 0, len(world.lots)))
        self.pace_of: dict[tuple[int, int], tuple[Floats, Floats, Floats]] = {}
        self.ahead = {(k, a): self._ahead(place) for k, a, place in self._places()}
        self.codes, self.causes = self._codes()
        self.spent = np.zeros((len(self.causes), d))
        self._enter(np.ones(d, dtype=bool))

    def _places(self) -> Iterator[tuple[int, int, Attempt]]:
        for k, project in enumerate(self.projects):
            for a, place in enumerate(project.attempts):
                yield k, a, place

    def _ahead(self, place: Attempt) -> Floats:
        """Most accelerators that a place has from each period on [d, p]."""
        total = self.world.available[:, :, place.lots].sum(axis=2)
        return np.maximum.accumulate(total[:, ::-1], axis=1)[:, ::-1]

    def _codes(self) -> tuple[dict[tuple[int, int], int], list[Cause]]:
        """Rows of the book of time: each attempt's waiting, failing, stages and rounds; each project's last wait."""
        rows: dict[tuple[int, int], int] = {}
        causes: list[Cause] = []
        for k, a, place in self._places():
            model = self.projects[k].name
            rows[k, a] = len(causes)
            causes += [Cause("waits_for_chips", model, place.name), Cause("failed_attempt", model, place.name)]
            causes += [Cause(stage.kind, model, place.name) for stage in place.speeds]
            causes.append(Cause("rounds", model))
        for k, project in enumerate(self.projects):
            rows[k, -1] = len(causes)
            causes.append(Cause("waits_for_capacity", project.name))
        return rows, causes

    # state

    @property
    def done(self) -> Bools:
        """Draws in which every project has launched."""
        return self.project >= len(self.projects)

    def _is_trained(self) -> Bools:
        waiting = np.zeros(self.world.draws, dtype=bool)
        for k in range(len(self.projects)):
            waiting |= (self.project == k) & np.isfinite(self.trained[k])
        return waiting

    def _enter(self, who: Bools) -> None:
        """Set the amount of work of the stage that the draws `who` are now in."""
        for k, project in enumerate(self.projects):
            here = who & (self.project == k)
            if not here.any():
                continue
            last = len(project.amounts)
            for stage, amount in enumerate(project.amounts):
                at = here & (self.stage == stage)
                self.left[at] = amount[at]
            rounds = here & (self.stage == last)
            self.left[rounds] = np.round(project.rounds[rounds]) * project.each[rounds]
            for a, place in enumerate(project.attempts):
                failing = here & (self.attempt == a) & ~place.completes & (self.stage == 0)
                self.left[failing] *= project.give_up[failing]

    def _advance(self, who: Bools, clock: Floats) -> None:
        """The draws `who` have finished their stage: next stage, next attempt, or trained."""
        for k, project in enumerate(self.projects):
            here = who & (self.project == k)
            failed = np.zeros_like(here)
            for a, place in enumerate(project.attempts):
                failed |= here & (self.attempt == a) & ~place.completes & (self.stage == 0)
            self.attempt[failed] += 1
            self.stage[failed] = 0
            went_on = here & ~failed
            self.stage[went_on] += 1
            ready = went_on & (self.stage > len(project.amounts))
            self.trained[k][ready] = clock[ready]
            if k == len(self.projects) - 1:
                self.place[ready] = self.attempt[ready]
        self._enter(who)

    # one period

    def step(self, period: int) -> None:
        """All draws, one period."""
        begin = period * PERIOD
        self.pace_of.clear()
        self._skip(period)
        capacity = self.world.available[:, period]
        need = self._need(np.full(self.world.draws, begin + PERIOD / 2), self.launch)
        used, short = self._share(capacity, need, self._training_lots())
        self._note_unserved(need, short, begin)
        free = np.maximum(capacity - used.sum(axis=1), 0.0)
        self.used_now = {}
        held = self._work(free, begin)
        open_ = ~self.done
        if self.record:
            self._keep(used, need, short)
        self._launch(period)
        self._charge(used, held, open_, begin)

    def _skip(self, period: int) -> None:
        """Leave places on which, from now on, there are never enough accelerators for a run."""
        for k, project in enumerate(self.projects):
            for a, place in enumerate(project.attempts[:-1]):
                here = (self.project == k) & (self.attempt == a) & (self.stage == 0) & ~np.isfinite(self.trained[k])
                if not here.any():
                    continue
                ahead = self.ahead[k, a][:, period]
                least = max((speed.least for speed in place.speeds if speed.kind != "pause"), default=0.0)
                blocked = any(speed.kind != "pause" and not speed.sizes.size for speed in place.speeds)
                hopeless = here & ((ahead < max(least, 1.0)) | blocked)
                self.attempt[hopeless] += 1
                self._enter(hopeless)

    def _share(self, capacity: Floats, need: Floats, last: Bools) -> tuple[Floats, Floats]:
        """`share`, for the draws that are not done (all of them when the first is recorded)."""
        if self.record or not self.done.any():
            return share(capacity, need, self.rate, self.world.price, last)
        open_ = np.flatnonzero(~self.done)
        used, short = np.zeros_like(self.rate), np.zeros_like(need)
        rows = (capacity[open_], need[open_], self.rate[open_], self.world.price[open_], last[open_])
        used[open_], short[open_] = share(*rows)
        return used, short

    def _need(self, now: Floats, launch: Sequence[Floats]) -> Floats:
        return needs(self.services, self.projects, now, launch)

    def _training_lots(self) -> Bools:
        lots = np.zeros((self.world.draws, len(self.world.lots)), dtype=bool)
        for k, project in enumerate(self.projects):
            training = (self.project == k) & ~np.isfinite(self.trained[k])
            for a, place in enumerate(project.attempts):
                lots |= (training & (self.attempt == a))[:, None] & place.lots[None, :]
        return lots

    def _note_unserved(self, need: Floats, short: Floats, begin: float) -> None:
        total = need.sum(axis=1)
        missing = np.divide(short.sum(axis=1), total, out=np.zeros_like(total), where=total > 0)
        missing = np.where(self.done, 0.0, missing)
        self.unserved_at = np.where((missing > 1e-6) & ~np.isfinite(self.unserved_at), begin, self.unserved_at)
        self.unserved = np.maximum(self.unserved, missing)

    def _work(self, free: Floats, begin: float) -> Floats:
        """Spend a period on training; returns accelerator-seconds held by it [d, l]."""
        d = self.world.draws
        left_over = np.full(d, PERIOD)
        held = np.zeros((d, len(self.world.lots)))
        for _ in range(TURNS):
            active = ~self.done & ~self._is_trained() & (left_over > TINY) & self._has_attempt()
            if not active.any():
                break
            lots, speed, slip = self._pace(free)
            pace = np.where(active, speed / slip, 0.0)
            never = active & (self.left <= 0)
            time = np.divide(self.left, pace, out=np.full(d, np.inf), where=pace > 0)
            time = np.where(never, 0.0, time)
            spent = np.where(active, np.minimum(time, left_over), 0.0)
            self._count(spent, active, pace)
            now = spent[:, None] * np.where((pace > 0)[:, None], lots, 0.0)
            held += now
            if self.record and now[0].any():
                self._note_use(now[0] / PERIOD)
            self.left = self.left - spent * pace
            left_over = left_over - spent
            over = active & (time <= spent + TINY)
            if over.any():
                self._advance(over, begin + PERIOD - left_over)
        return held

    def _has_attempt(self) -> Bools:
        """Draws whose present project still has a place to train on; one that needs no training is ready at once."""
        found = np.zeros(self.world.draws, dtype=bool)
        for k, project in enumerate(self.projects):
            here = self.project == k
            if not project.trains:
                self.trained[k] = np.where(here & ~np.isfinite(self.trained[k]), self._after(k), self.trained[k])
            found |= here & (self.attempt < len(project.attempts))
        return found

    def _after(self, k: int) -> Floats:
        return self.launch[k - 1] if k else np.zeros(self.world.draws)

    def _pace(self, free: Floats) -> tuple[Floats, Floats, Floats]:
        """Accelerators that each draw's run holds [d, l], its speed in units of its stage per second, and its slip."""
        d = self.world.draws
        lots, speed, slip = np.zeros((d, len(self.world.lots))), np.zeros(d), np.ones(d)
        for k, a, place in self._places():
            here = (self.project == k) & (self.attempt == a)
            if not here.any():
                continue
            if (k, a) not in self.pace_of:
                self.pace_of[k, a] = self._table(self.projects[k], place, free)
            mine, speeds, slips = self.pace_of[k, a]
            stage = np.minimum(self.stage, len(place.speeds))
            lots = np.where(here[:, None], mine, lots)
            speed = np.where(here, speeds[stage, np.arange(d)], speed)
            slip = np.where(here & (stage < len(place.speeds)), slips, slip)
        return lots, speed, slip

    def _table(self, project: Project, place: Attempt, free: Floats) -> tuple[Floats, Floats, Floats]:
        """A place in this period: accelerators held [d, l], speed of each stage and of rounds [s + 1, d], slip [d]."""
        mine = np.where(place.lots[None, :], free, 0.0)
        total = mine.sum(axis=1)
        run = np.minimum(total, project.at_most)
        scale = np.divide(run, total, out=np.zeros_like(total), where=total > 0)
        speeds = [*(stage.of(run) for stage in place.speeds), np.ones_like(run)]
        return mine * scale[:, None], np.stack(speeds), place.slip

    def _count(self, spent: Floats, active: Bools, pace: Floats) -> None:
        """Book the time of the active draws under what they spent it on."""
        d = self.world.draws
        row = np.full(d, -1)
        for k, a, place in self._places():
            here = active & (self.project == k) & (self.attempt == a)
            if not here.any():
                continue
            kind = np.where(pace <= 0, 0, np.where(place.completes, 2 + self.stage, 1))
            row = np.where(here, self.codes[k, a] + kind, row)
        booked = row >= 0
        self.spent[row[booked], np.flatnonzero(booked)] += spent[booked]

    def _charge(self, used: Floats, held: Floats, open_: Bools, begin: float) -> None:
        """Book what the draws `open_` used in the period from `begin` on, services until the last launch."""
        until = np.clip(self.launch[-1] - begin, 0.0, PERIOD) if self.launch else np.full(open_.size, PERIOD)
        served = used.sum(axis=1) * until[:, None]
        self.training_cost += np.where(open_, _paid(held, self.world.price), 0.0)
        self.service_cost += np.where(open_, _paid(served, self.world.price), 0.0)
        for row, seconds in enumerate((held, served)):
            self.used[row] += np.where(open_[:, None], seconds, 0.0)
            self.unpriced[row] |= (open_[:, None] & (seconds > 0) & np.isnan(self.world.price)).any(axis=0)

    def _launch(self, period: int) -> None:
        """Launch the trained models of draws whose fleet can carry them from now to the end of the move."""
        for k, project in enumerate(self.projects):
            ready = (self.project == k) & np.isfinite(self.trained[k])
            if not ready.any():
                continue
            begin = period * PERIOD
            able = self._carries(k, project, period, ready)
            at = np.where(able, np.maximum(self.trained[k], begin), np.inf)
            spent = np.where(able, at, begin + PERIOD) - np.maximum(self.trained[k], begin)
            self.spent[self.codes[k, -1]] += np.where(ready, np.maximum(spent, 0.0), 0.0)
            self.launch[k] = np.where(able, at, self.launch[k])
            self.project[able] = k + 1
            self.attempt[able] = 0
            self.stage[able] = 0
            self._enter(able)

    def _carries(self, k: int, project: Project, period: int, ready: Bools) -> Bools:
        """Those of the draws `ready` in which all services fit at the end of the move of demand, if it launched now."""
        if project.service is None:
            return ready
        begin = np.maximum(np.where(np.isfinite(self.trained[k]), self.trained[k], 0.0), period * PERIOD)
        end = begin + project.within
        index = np.minimum((end / PERIOD).astype(int), self.world.periods - 1)
        launch = [at if i != k else begin for i, at in enumerate(self.launch)]
        rows = np.flatnonzero(ready)
        need = self._need(end, launch)[rows]
        capacity = self.world.available[rows, index[rows]]
        nowhere_last = np.zeros_like(capacity, dtype=bool)
        _, short = share(capacity, need, self.rate[rows], self.world.price[rows], nowhere_last)
        able = ready.copy()
        able[rows] = short.sum(axis=1) <= 1e-6 * np.maximum(need.sum(axis=1), TINY)
        return able

    # record of one draw

    def _keep(self, used: Floats, need: Floats, short: Floats) -> None:
        for column, lot in enumerate(self.world.lots):
            for m, service in enumerate(self.services):
                if used[0, m, column] > 0.5:
                    self.used_now[lot, Activity("serves", service.name)] = float(used[0, m, column])
        self.uses.append(self.used_now)
        total = need[0].sum()
        self.shares.append({"unserved": float(short[0].sum() / total) if total > 0 else 0.0})

    def _note_use(self, held: Floats) -> None:
        """Book the first draw's run of this moment, in accelerators over the period, before it moves on."""
        project = self.projects[int(self.project[0])]
        place = project.attempts[int(self.attempt[0])]
        stage = int(self.stage[0])
        if not place.completes[0]:
            does = Activity("fails", project.name)
        elif stage < len(place.speeds):
            does = Activity(place.speeds[stage].kind, project.name)
        else:
            does = Activity("improves", project.name)
        for lot, count in zip(self.world.lots, held, strict=True):
            if count > 0:
                self.used_now[lot, does] = self.used_now.get((lot, does), 0.0) + float(count)

    def result(self) -> Forecast:
        """The forecast."""
        return Forecast(
            tuple(self.launch),
            tuple(self.trained),
            self._causes(),
            self.training_cost,
            self.service_cost,
            self.unserved,
            self.unserved_at,
            self.place,
            tuple(self.uses),
            tuple(self.shares),
            (self._lots(self.unpriced[0]), self._lots(self.unpriced[1])),
            self.used[0],
            self.used[1],
        )

    def _lots(self, which: Bools) -> tuple[str, ...]:
        return tuple(lot for lot, chosen in zip(self.world.lots, which, strict=True) if chosen)

    def _causes(self) -> dict[Cause, Floats]:
        """Repeated attempts on one place are one cause."""
        found: dict[Cause, Floats] = {}
        for cause, spent in zip(self.causes, self.spent, strict=True):
            if spent.any():
                found[cause] = found.get(cause, np.zeros_like(spent)) + spent
        return found


def _paid(seconds: Floats, price: Floats) -> Floats:
    """[USD] for accelerator-seconds of each lot [d, l]; NaN where a lot that is used has no price."""
    return np.asarray(np.where(seconds > 0, seconds * price, 0.0).sum(axis=1))
