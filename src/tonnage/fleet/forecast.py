"""The programme played forward, all draws at once: services first, then training, then the wait for capacity.

A project is one model to come. All are trained side by side as their lots allow, an earlier one first where they meet
(`Track` says where each is trained, and what a run that fails or moves keeps). After the stages come rounds of
improvement; then the model launches in the first period from which the fleet can carry it together with all others, at
the end of the move of demand too, and not before the model that it follows. It has its first users as soon as a share
of that demand can be carried. Periods go on after the horizon until every draw has launched or never will.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tonnage.fleet.allocate import TINY, Sharing
from tonnage.fleet.causes import Activity, Cause, CauseKind
from tonnage.fleet.draws import LONGEST, PERIOD, Bools, World
from tonnage.fleet.nights import Nights
from tonnage.fleet.outlook import Index
from tonnage.fleet.projects import Attempt, Demand, Project, StageSpeed
from tonnage.fleet.track import TURNS, NightTotals, Track, Would
from tonnage.fleet.uncertain import Floats
from tonnage.fleet.wanted import needs

BESIDE: tuple[CauseKind, ...] = ("waits_for_chips", "waits_for_lot", "failed_attempt", "moves")
"""What an attempt takes time with beside its stages."""
FAILS, MOVES, STAGES = BESIDE.index("failed_attempt"), BESIDE.index("moves"), len(BESIDE)
"""Rows of an attempt in the book of time, after its first."""

SHRINKS = 8
"""Periods between two looks at whether enough draws have ended to go on without them."""


@dataclass(frozen=True)
class Forecast:
    """What came out, per draw.

    launch: [s] from the start, infinite when it never happens, for each project [d]; first: likewise, when its first
    users come; trained: likewise; causes: [s] of the way to the last launch by cause [d]; never: index among the
    causes of what the last project waits for in vain, -1 where it launches [d]; training_cost, service_cost: [USD] up
    to the launch, NaN where a lot without a price was used [d]; held, served: accelerator-seconds of training and of
    service up to the launch [d, l]; unpriced: those lots, of training and of service; unserved: worst share of the
    demand before the launch, and within the horizon, that found no capacity [d], from unserved_at to unserved_until
    [s]; missing: the same in each period of the horizon, with users that wait for a trained model [p], a mean over all
    draws; place: index of the attempt that trained the last project; uses: accelerators by period, lot and activity of
    the first draw, if recorded.
    """

    launch: tuple[Floats, ...]
    first: tuple[Floats, ...]
    trained: tuple[Floats, ...]
    causes: Mapping[Cause, Floats]
    never: Mapping[Cause, Bools]
    training_cost: Floats
    service_cost: Floats
    held: Floats
    served: Floats
    unserved: Floats
    unserved_at: Floats
    unserved_until: Floats
    missing: Floats
    place: Floats
    uses: tuple[Mapping[tuple[str, Activity], float], ...] = ()
    shares: tuple[Mapping[str, float], ...] = field(default=())
    unpriced: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def forecast(
    world: World,
    services: tuple[Demand, ...],
    projects: tuple[Project, ...],
    record: bool = False,
    nights: Nights | None = None,
) -> Forecast:
    """Play all draws of a world forward; record: what each lot does in the first of them, over the horizon; nights:
    that training takes.
    """
    book = _Book(world, projects)
    run = _Run(world, services, projects, book, np.arange(world.draws), record, nights)
    for period in range(world.periods if record else LONGEST):
        run.step(period)
        open_ = np.flatnonzero(~run.done)
        if not record and not open_.size:
            break
        if not record and period % SHRINKS == 0 and open_.size < len(run.index) / 2:
            run.write()
            run = run.shrunk(open_)
    run.write()
    return book.result(run)


def joined(parts: Sequence[Forecast]) -> Forecast:
    """The forecast of all draws from those of parts of them, in order; what was recorded is left out."""
    if len(parts) == 1:
        return parts[0]
    sizes = [part.place.size for part in parts]

    def rows(found: Sequence[tuple[Floats, ...]]) -> tuple[Floats, ...]:
        return tuple(np.concatenate(row) for row in zip(*found, strict=True))

    def by_cause(found: Sequence[Mapping[Cause, Any]], kind: type) -> dict[Cause, Any]:
        blank: list[Any] = [np.zeros(size, dtype=kind) for size in sizes]
        causes = dict.fromkeys(cause for part in found for cause in part)
        return {c: np.concatenate([part.get(c, b) for part, b in zip(found, blank, strict=True)]) for c in causes}

    def lots(which: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(lot for part in parts for lot in part.unpriced[which]))

    return Forecast(
        launch=rows([part.launch for part in parts]),
        first=rows([part.first for part in parts]),
        trained=rows([part.trained for part in parts]),
        causes=by_cause([part.causes for part in parts], float),
        never=by_cause([part.never for part in parts], bool),
        training_cost=np.concatenate([part.training_cost for part in parts]),
        service_cost=np.concatenate([part.service_cost for part in parts]),
        held=np.concatenate([part.held for part in parts]),
        served=np.concatenate([part.served for part in parts]),
        unserved=np.concatenate([part.unserved for part in parts]),
        unserved_at=np.concatenate([part.unserved_at for part in parts]),
        unserved_until=np.concatenate([part.unserved_until for part in parts]),
        missing=np.average([part.missing for part in parts], axis=0, weights=sizes),
        place=np.concatenate([part.place for part in parts]),
        unpriced=(lots(0), lots(1)),
    )


class _Book:
    """What came out of every draw; filled when a draw leaves the run."""

    def __init__(self, world: World, projects: tuple[Project, ...]) -> None:
        d, lots = world.draws, len(world.lots)
        self.world = world
        self.launch, self.first, self.trained = (np.full((len(projects), d), np.inf) for _ in range(3))
        self.codes, self.causes = _codes(projects)
        self.spent = np.zeros((len(self.causes), d))
        self.never, self.place = np.full(d, -1), np.full(d, -1.0)
        self.training_cost, self.service_cost = np.zeros(d), np.zeros(d)
        self.held, self.served = np.zeros((d, lots)), np.zeros((d, lots))
        self.unserved, self.unserved_at, self.unserved_until = np.zeros(d), np.full(d, np.inf), np.zeros(d)
        self.missing = np.zeros(world.periods)
        self.unpriced = np.zeros((2, lots), dtype=bool)

    def result(self, run: _Run) -> Forecast:
        """The forecast; the last run holds the record."""
        return Forecast(
            tuple(self.launch),
            tuple(self.first),
            tuple(self.trained),
            self._causes(),
            {cause: self.never == code for code, cause in enumerate(self.causes) if (self.never == code).any()},
            self.training_cost,
            self.service_cost,
            self.held,
            self.served,
            self.unserved,
            self.unserved_at,
            self.unserved_until,
            self.missing / self.world.draws,
            self.place,
            tuple(run.uses),
            tuple(run.shares),
            (self._lots(self.unpriced[0]), self._lots(self.unpriced[1])),
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


def _codes(projects: tuple[Project, ...]) -> tuple[dict[tuple[int, int], int], list[Cause]]:
    """Rows of the book of time: each attempt's waiting, failing, moving, stages and rounds; each project's last wait;
    and its wait for a place of which there is none.
    """
    rows: dict[tuple[int, int], int] = {}
    causes: list[Cause] = []
    for k, project in enumerate(projects):
        for a, place in enumerate(project.attempts):
            rows[k, a] = len(causes)
            causes += [Cause(kind, project.name, place.name) for kind in BESIDE]
            causes += [Cause(stage.kind, project.name, place.name) for stage in place.speeds]
            causes.append(Cause("rounds", project.name))
        rows[k, -1] = len(causes)
        causes += [Cause("waits_for_capacity", project.name), Cause("no_place", project.name)]
    return rows, causes


class _Run:
    """The draws that still run."""

    def __init__(
        self,
        world: World,
        services: tuple[Demand, ...],
        projects: tuple[Project, ...],
        book: _Book,
        index: np.ndarray,
        record: bool,
        nights: Nights | None,
    ) -> None:
        self.nights = nights
        self.world, self.services, self.projects, self.record = world, services, projects, record
        self.book, self.index = book, index
        self.whole = world.whole
        growth = np.max([s.growth for s in services], axis=0) if services else 0.0
        self.tracks = [Track(world, project, growth) for project in projects]
        self.rate = np.stack([s.rate for s in services], axis=1) if services else np.zeros((len(index), 0, 1))
        self.sharing, self.carrying, self.trying = (Sharing(self.rate, world.price) for _ in range(3))
        self.grows = np.all([s.growth >= 0 for s in services], axis=0) if services else np.ones(len(index), dtype=bool)
        falls = np.all(np.diff(self.whole, axis=1) <= TINY, axis=2)
        quiet = np.logical_and.accumulate(falls[:, ::-1], axis=1)[:, ::-1]
        self.last = np.concatenate([quiet, np.ones((len(index), 1), dtype=bool)], axis=1)
        self.uses: list[Mapping[tuple[str, Activity], float]] = []
        self.used_now: dict[tuple[str, Activity], float] = {}
        self.shares: list[Mapping[str, float]] = []
        self.never = np.full(len(index), -1)
        lots = len(world.lots)
        self.spent = np.zeros((len(book.causes), len(index)))
        self.costs, self.seconds = np.zeros((2, len(index))), np.zeros((2, len(index), lots))
        self.unserved, self.unserved_at = np.zeros(len(index)), np.full(len(index), np.inf)
        self.unserved_until = np.zeros(len(index))

    @property
    def done(self) -> Bools:
        """Draws in which every project has launched, or never will."""
        ended = [np.isfinite(track.launch) | track.never for track in self.tracks]
        return np.asarray(np.all(ended, axis=0)) if ended else np.ones(len(self.index), dtype=bool)

    def shrunk(self, pick: np.ndarray) -> _Run:
        """The run of some of the draws."""
        services = tuple(service.take(pick) for service in self.services)
        projects = tuple(project.take(pick) for project in self.projects)
        made = _Run(self.world.take(pick), services, projects, self.book, self.index[pick], self.record, self.nights)
        for mine, old in zip(made.tracks, self.tracks, strict=True):
            for name in Track.STATE:
                setattr(mine, name, getattr(old, name)[..., pick])
        for name in ("never", "spent", "costs", "unserved", "unserved_at", "unserved_until"):
            setattr(made, name, getattr(self, name)[..., pick])
        made.seconds = self.seconds[:, pick]
        return made

    def write(self) -> None:
        """Put what is known of these draws into the book."""
        book, at = self.book, self.index
        for k, track in enumerate(self.tracks):
            book.launch[k, at], book.first[k, at], book.trained[k, at] = track.launch, track.first, track.trained
        book.place[at] = self.tracks[-1].place if self.tracks else -1.0
        book.spent[:, at] = self.spent
        never = ~np.isfinite(self.tracks[-1].launch)
        book.never[at] = np.where(never, np.where(self.never >= 0, self.never, self.tracks[-1].doing), -1)
        book.training_cost[at], book.service_cost[at] = self.costs
        book.held[at], book.served[at] = self.seconds
        book.unserved[at], book.unserved_at[at] = self.unserved, self.unserved_at
        book.unserved_until[at] = self.unserved_until

    # one period

    def step(self, period: int) -> None:
        """All draws, one period."""
        begin = period * PERIOD
        open_ = ~self.done
        capacity = self.whole[:, min(period, self.whole.shape[1] - 1)]
        need = needs(self.services, self.projects, np.full(len(self.index), begin + PERIOD / 2), self._launches())
        used, short = self._share(capacity, need, open_)
        free = np.maximum(capacity - used.sum(axis=1), 0.0)
        self.used_now = {}
        held = np.zeros_like(free)
        self.freed = self.nights.freed(used) if self.nights else None
        busy: list[tuple[Track, Floats]] = []
        for k, track in enumerate(self.tracks):
            would = functools.partial(self._would, k, capacity, need, held)
            mine = self._work(k, track, np.maximum(free - held / PERIOD, 0.0), period, busy, would)
            busy.append((track, mine))
            held += mine
        self._charge(used, held, open_)
        if self.record:
            self._keep(used, need, short)
        self._launch(period, need, short, open_)

    def _launches(self) -> list[Floats]:
        return [track.launch for track in self.tracks]

    def _share(self, capacity: Floats, need: Floats, open_: Bools) -> tuple[Floats, Floats]:
        """`share`, for the draws that are not done (all of them when the first is recorded)."""
        if not self.services:
            return np.zeros((*need.shape, capacity.shape[1])), np.zeros_like(need)
        last = np.zeros_like(capacity, dtype=bool)
        for track in self.tracks:
            last |= track.lots()
        if self.record or open_.all():
            return self.sharing.share(capacity, need, last)
        at = np.flatnonzero(open_)
        used, short = np.zeros_like(self.rate), np.zeros_like(need)
        used[at], short[at] = self.sharing.share(capacity[at], need[at], last[at], at)
        return used, short

    def _would(self, k: int, capacity: Floats, need: Floats, held: Floats, place: Bools, rows: Index) -> Floats:
        """Accelerators of a place that would be free if a project were trained there, in some draws [r]."""
        left = capacity[rows]
        if self.services:
            last = np.broadcast_to(place, left.shape).copy()
            for i, track in enumerate(self.tracks):
                if i != k:
                    last |= track.lots()[rows]
            used, _ = self.trying.share(left, need[rows], last, rows)
            left = left - used.sum(axis=1)
        return np.asarray(np.maximum(left - held[rows] / PERIOD, 0.0)[:, place].sum(axis=1))

    def _work(
        self, k: int, track: Track, free: Floats, period: int, busy: list[tuple[Track, Floats]], would: Would
    ) -> Floats:
        """Spend a period on one project; returns accelerator-seconds held by it [d, l]."""
        begin, d = period * PERIOD, len(self.index)
        left_over, held = np.full(d, PERIOD), np.zeros((d, len(self.world.lots)))
        if not track.training.any():
            return held
        totals = track.totals(free)
        night = None
        if self.nights and self.freed is not None:
            extra = track.totals(self.freed)
            night = NightTotals(self.nights, [a + b for a, b in zip(totals, extra, strict=True)])
        track.choose(np.ones(d, dtype=bool), period, totals, would)
        self._stuck(k, track, period, night.totals if night else totals)
        for _ in range(TURNS):
            active = track.training & (left_over > TINY)
            if not active.any():
                break
            count, pace = track.pace(active, totals, night)
            time = track.ahead_of(pace)
            spent = np.where(active, np.minimum(time, left_over), 0.0)
            self._count(k, track, spent, active, pace, busy, period)
            now = self._held(track, spent * np.where(pace > 0, count, 0.0), free, totals)
            held += now
            if self.record and now[0].any():
                self._note_use(k, track, now[0] / PERIOD)
            if self.freed is not None:
                for a, place in enumerate(track.rows):
                    here = (track.row == a) & (spent * pace > 0)
                    self.freed = np.where(here[:, None] & place.lots, 0.0, self.freed)
            paused = track.pause > 0
            track.spend(spent, np.where(active, pace, 0.0))
            left_over = left_over - spent
            over = active & (time <= spent + TINY)
            if over.any():
                track.advance(over, paused, begin + PERIOD - left_over)
                track.choose(over & (track.row < 0), period, totals, would)
        return held

    def _stuck(self, k: int, track: Track, period: int, totals: list[Floats]) -> None:
        """Give up draws whose places have nothing free for the run, and never will have more."""
        still = track.training & (track.pause <= 0) & self._quiet(k, period)
        if still.any():
            nothing = [total < max(place.least, 1.0) for total, place in zip(totals, track.rows, strict=True)]
            every = np.arange(len(self.index))
            self._give_up(k, track, still & np.all(nothing, axis=0), self._waiting(k, track, every, period))

    def _waiting(self, k: int, track: Track, at: Index, period: int) -> np.ndarray:
        """Rows of the book under which the time of some draws goes that wait for accelerators: that services hold, or
        of which too few are there.
        """
        attempt = np.maximum(track.row[at], 0)
        rows = np.array([self.book.codes[k, a] for a in range(len(track.rows))])
        least = np.array([max(place.least, 1.0) for place in track.rows])
        there = self.whole[at, min(period, self.whole.shape[1] - 1)]
        few = np.where(track.lots_of[attempt], there, 0.0).sum(axis=1) < least[attempt]
        return np.asarray(rows[attempt] + few)

    def _held(self, track: Track, seconds: Floats, free: Floats, totals: list[Floats]) -> Floats:
        """Accelerator-seconds spread over the lots of the place, each in proportion to what is free of it [d, l]."""
        made = np.zeros_like(free)
        at = np.flatnonzero((seconds > 0) & (track.row >= 0))
        if at.size:
            total = np.stack(totals)[track.row[at], at]
            at, total = at[total > 0], total[total > 0]
            made[at] = np.where(track.lots_of[track.row[at]], free[at], 0.0) * (seconds[at] / total)[:, None]
        return made

    def _count(
        self,
        k: int,
        track: Track,
        spent: Floats,
        active: Bools,
        pace: Floats,
        busy: list[tuple[Track, Floats]],
        period: int,
    ) -> None:
        """Book the time of the active draws under what they spent it on; the last project's is the way to the launch.

        A wait for accelerators that an earlier project holds is that project's time.
        """
        row = np.full(len(self.index), self.book.codes[k, -1] + 1)
        at = np.flatnonzero(active & (track.row >= 0))
        attempt = track.row[at]
        fails = np.isfinite(track.until[at]) | track.failing[at]
        does = np.where(fails, FAILS, np.where(track.pause[at] > 0, MOVES, STAGES + track.stage[at]))
        waits = pace[at] <= 0
        works = np.array([self.book.codes[k, a] for a in range(len(track.rows))])[attempt] + does
        row[at] = np.where(waits, self._waiting(k, track, at, period), works)
        stuck, places = at[waits], track.lots_of[attempt[waits]]
        for other, held in busy if stuck.size else ():
            blocks = ((held[stuck] > 0) & places).any(axis=1)
            row[stuck] = np.where(blocks, other.doing[stuck], row[stuck])
        track.doing = np.where(active & (spent > 0), row, track.doing)
        if k == len(self.tracks) - 1:
            at = np.flatnonzero(active)
            self.spent[row[at], at] += spent[at]

    def _charge(self, used: Floats, held: Floats, open_: Bools) -> None:
        for row, seconds in enumerate((held, used.sum(axis=1) * PERIOD)):
            counted = np.where(open_[:, None], seconds, 0.0)
            self.costs[row] += _paid(counted, self.world.price)
            self.seconds[row] += counted
            self.book.unpriced[row] |= ((counted > 0) & np.isnan(self.world.price)).any(axis=0)

    # launches

    def _launch(self, period: int, need: Floats, short: Floats, open_: Bools) -> None:
        """Launch the trained models of draws whose fleet can carry them from now to the end of the move."""
        begin, waiting = period * PERIOD, np.zeros(len(self.index))
        for k, track in enumerate(self.tracks):
            before = self.tracks[track.project.after] if track.project.after is not None else None
            trained = np.isfinite(track.trained) & ~np.isfinite(track.launch) & ~track.never
            if before is not None:
                self._give_up(k, track, ~np.isfinite(track.launch) & before.never, before.doing)
                trained &= ~track.never
            if not trained.any():
                continue
            free = trained if before is None else trained & np.isfinite(before.launch)
            able, missing = self._carries(k, period, free)
            at = np.maximum(track.trained, begin)
            at = at if before is None else np.maximum(at, np.where(free, before.launch, 0.0))
            waits = trained & ~able
            code = np.full(len(self.index), self.book.codes[k, -1])
            code = code if before is None else np.where(free, code, before.doing)
            track.doing = np.where(waits, code, track.doing)
            self._book_wait(k, track, before, trained, free, np.where(able, at, begin + PERIOD) - at, begin)
            self._first_users(k, track, period, free, able, at)
            track.launch = np.where(able, at, track.launch)
            waiting = np.maximum(waiting, np.where(free & ~able, missing, 0.0))
            self._give_up(k, track, free & ~able & self._quiet(k, period), track.doing)
        self._note_unserved(need, short, begin, waiting, open_)

    def _book_wait(
        self,
        k: int,
        track: Track,
        before: Track | None,
        trained: Bools,
        free: Bools,
        alone: Floats,
        begin: float,
    ) -> None:
        """Book the wait of a trained model: for capacity, or for the model before it, under what that one does."""
        code = np.full(len(self.index), self.book.codes[k, -1])
        since = np.maximum(track.trained, begin)
        ahead = np.zeros(len(self.index))
        if before is not None:
            until = np.where(np.isfinite(before.launch), before.launch, begin + PERIOD)
            ahead = np.where(trained, np.maximum(until - since, 0.0), 0.0)
        if k == len(self.tracks) - 1:
            self.spent[code[0]] += np.where(free, np.maximum(alone, 0.0), 0.0)
            if before is not None:
                at = np.flatnonzero(ahead > 0)
                self.spent[before.doing[at], at] += ahead[at]

    def _first_users(self, k: int, track: Track, period: int, free: Bools, able: Bools, at: Floats) -> None:
        """The day on which a share of the demand at launch can be carried."""
        ask = free & ~able & ~np.isfinite(track.first)
        some, _ = self._carries(k, period, ask, track.project.first)
        new = (some & ask) | (able & ~np.isfinite(track.first))
        track.first = np.where(new, at, track.first)

    def _quiet(self, k: int, period: int) -> Bools:
        """Draws in which no lot grows any more, no demand shrinks, and no other launch can change it: all others have
        launched, never will, or come after this one.
        """
        others = [
            np.isfinite(t.launch) | t.never
            for i, t in enumerate(self.tracks)
            if i != k and not (i > k and t.project.after == k)
        ]
        still = self.last[:, min(period, self.last.shape[1] - 1)]
        return np.asarray(still & self.grows & (np.all(others, axis=0) if others else True))

    def _give_up(self, k: int, track: Track, who: Bools, why: Floats | np.ndarray) -> None:
        """The project never launches in the draws `who`."""
        new = who & ~track.never
        track.never |= new
        track.doing = np.where(new, why, track.doing)
        if k == len(self.tracks) - 1:
            self.never = np.where(new, why, self.never)

    def _carries(self, k: int, period: int, ready: Bools, part: Floats | float = 1.0) -> tuple[Bools, Floats]:
        """Those of the draws `ready` in which all services fit at the end of the move of demand, if it launched now
        with so much of its demand; and the share of all demand that finds no capacity.
        """
        track, project = self.tracks[k], self.projects[k]
        missing = np.zeros(len(self.index))
        if project.service is None or not ready.any():
            return ready, missing
        rows = np.flatnonzero(ready)
        trained = track.trained[rows]
        begin = np.maximum(np.where(np.isfinite(trained), trained, 0.0), period * PERIOD)
        within = project.within
        end = begin + (within[rows] if isinstance(within, np.ndarray) else within)
        index = np.minimum((end / PERIOD).astype(int), self.whole.shape[1] - 1)
        launch = [at[rows] if i != k else begin for i, at in enumerate(self._launches())]
        need = needs(self.services, self.projects, end, launch, {k: part}, rows)
        capacity = self.whole[rows, index]
        nowhere_last = np.zeros_like(capacity, dtype=bool)
        _, short = self.carrying.share(capacity, need, nowhere_last, rows)
        total = np.maximum(need.sum(axis=1), TINY)
        able = ready.copy()
        able[rows] = short.sum(axis=1) <= 1e-6 * total
        missing[rows] = short.sum(axis=1) / total
        return able, missing

    def _note_unserved(self, need: Floats, short: Floats, begin: float, waiting: Floats, open_: Bools) -> None:
        """Demand in service that found no capacity within the horizon, and users who wait for a trained model."""
        period = round(begin / PERIOD)
        if period >= self.world.periods:
            return
        total = need.sum(axis=1)
        missing = np.divide(short.sum(axis=1), total, out=np.zeros_like(total), where=total > 0)
        missing = np.where(open_, missing, 0.0)
        some = missing > 1e-6
        self.unserved_at = np.where(some & ~np.isfinite(self.unserved_at), begin, self.unserved_at)
        self.unserved_until = np.where(some, begin + PERIOD, self.unserved_until)
        self.unserved = np.maximum(self.unserved, missing)
        self.book.missing[period] += float(np.maximum(missing, waiting).sum())

    # record of one draw

    def _keep(self, used: Floats, need: Floats, short: Floats) -> None:
        for column, lot in enumerate(self.world.lots):
            for m, service in enumerate(self.services):
                if used[0, m, column] > 0.5:
                    self.used_now[lot, Activity("serves", service.name)] = float(used[0, m, column])
        self.uses.append(self.used_now)
        total = need[0].sum()
        self.shares.append({"unserved": float(short[0].sum() / total) if total > 0 else 0.0})

    def _note_use(self, k: int, track: Track, held: Floats) -> None:
        """Book the first draw's run of this moment, in accelerators over the period, before it moves on."""
        project, place, stage = self.projects[k], track.attempt(0), int(track.stage[0])
        if place is None:
            return
        if np.isfinite(track.until[0]) or track.failing[0]:
            does = Activity("fails", project.name)
        elif track.pause[0] > 0:
            does = Activity("moves", project.name)
        elif stage < len(place.speeds):
            does = Activity(place.speeds[stage].kind, project.name)
        else:
            does = Activity("improves", project.name)
        for lot, count in zip(self.world.lots, held, strict=True):
            if count > 0:
                self.used_now[lot, does] = self.used_now.get((lot, does), 0.0) + float(count)


def _paid(seconds: Floats, price: Floats) -> Floats:
    """[USD] for accelerator-seconds of each lot [d, l]; NaN where a lot that is used has no price."""
    return np.asarray(np.where(seconds > 0, seconds * price, 0.0).sum(axis=1))


__all__ = ["Attempt", "Demand", "Forecast", "Project", "StageSpeed", "forecast", "needs"]
