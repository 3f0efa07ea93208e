"""One model to come in every draw: where it is trained, in which stage, what is left of it, and when it moves.

A run keeps its place while it works there. Where the programme names the order of places, the next is begun when the
run before it has failed, and a run whose accelerators are gone moves there with its checkpoint. Where it does not, the
run is on the place where it is expected to end first, and moves when another would end it a good deal sooner. A move
costs the pause that `train/switch.py` computes. A run that fails is given up, and goes on elsewhere from where it was
when it came: from nothing, unless it had moved there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tonnage.fleet.draws import Bools, World
from tonnage.fleet.lookahead import GONE, Lookahead, Todo
from tonnage.fleet.nights import Nights
from tonnage.fleet.outlook import Index
from tonnage.fleet.projects import Attempt, Project
from tonnage.fleet.uncertain import Floats
from tonnage.units import DAY, MONTH, WEEK

Would = Callable[[Bools, Index], Floats]
"""Accelerators of some lots that would be free if a run were there, in some draws."""

TURNS = 16
"""Most stages that can end within one period."""

ROUNDS_HOLD = 1024.0
"""Accelerators that rounds of improvement hold where the programme does not say, or the most that the place ever has:
an assumption, twice the 512 H800 of DeepSeek-R1's reinforcement learning (arXiv 2501.12948, supplement, recalled)."""

AHEAD = 13 * WEEK
"""How far ahead the share of a place that services will take is looked at where places are compared."""

LOOKS = 4
"""Periods between two looks for a place where a run would end sooner."""

SOONER = (0.9, 7 * DAY)
"""A run moves to another place if it is expected to end there within this share of its time, and this much sooner."""


@dataclass(frozen=True)
class _Calendar:
    """Accelerators of a place over time. there [d, p], most of them [d], and whether there are enough for a run now,
    within a while, ever again [p, d].
    """

    there: Floats
    most: Floats
    now: Bools
    soon: Bools
    ever: Bools


def _calendar(there: Floats, least: float) -> _Calendar:
    now = there >= least
    ever = np.maximum.accumulate(now[:, ::-1], axis=1)[:, ::-1]
    by_period = (np.ascontiguousarray(made.T) for made in (now, _within(now, GONE), ever))
    return _Calendar(there, there.max(axis=1), *by_period)


@dataclass(frozen=True)
class NightTotals:
    """Accelerators of each attempt that are free at night [d]."""

    nights: Nights
    totals: list[Floats]


class Track:
    """State of one project in all draws."""

    STATE = (
        *("row", "stage", "left", "kept_stage", "kept_left", "until", "pause", "failing", "begun", "was", "dead"),
        *("trained", "launch", "first", "never", "place", "doing", "seen", "met"),
    )
    """What changes while it is played; the last axis is the draws."""

    def __init__(self, world: World, project: Project, growth: Floats | float = 0.0) -> None:
        d = world.draws
        self.world, self.project = world, project
        self.rows = project.attempts
        rounds = np.round(project.rounds) * project.each
        self.amounts = np.stack([*project.amounts, rounds])
        self.stages = len(project.amounts)
        self.pauses = [s for s, speed in enumerate(self.rows[0].speeds) if speed.kind == "pause"] if self.rows else []
        self.row, self.stage = np.full(d, -1), np.zeros(d, dtype=int)
        self.left = self.amounts[0] * (1 - (project.done if self.stages else 0.0))
        self.kept_stage, self.kept_left = self.stage.copy(), self.left.copy()
        self.until = np.full(d, np.inf)
        self.pause, self.failing = np.zeros(d), np.zeros(d, dtype=bool)
        self.begun = np.broadcast_to(np.asarray(project.done) > 0, (d,)).copy()
        self.was = np.full(d, -1)
        self.dead = np.zeros((len(self.rows), d), dtype=bool)
        self.trained = np.full(d, np.inf) if project.trains else np.zeros(d)
        self.launch, self.first = np.full(d, np.inf), np.full(d, np.inf)
        self.never = np.full(d, project.trains and not self.rows)
        self.place = np.full(d, -1.0)
        self.doing = np.zeros(d, dtype=int)
        found: dict[str, _Calendar] = {}
        for place in self.rows:
            if place.name not in found:
                found[place.name] = _calendar(world.whole[:, :, place.lots].sum(axis=2), max(place.least, 1.0))
        self.calendars = [found[place.name] for place in self.rows]
        self.elsewhere = not project.chosen and len({place.name for place in self.rows}) > 1
        self.places: dict[int, list[int]] = {}
        """The first attempt at each place, and all of them."""
        for a, place in enumerate(self.rows):
            first = next(i for i, one in enumerate(self.rows) if one.name == place.name)
            self.places.setdefault(first, []).append(a)
        none = np.zeros((1, len(world.lots)), dtype=bool)
        self.like = np.array([_first_like(self.rows, a) for a in range(len(self.rows))], dtype=np.int64)
        """The first attempt that runs as fast on the same lots."""
        self.slips = np.stack([place.slip for place in self.rows]) if self.rows else np.zeros((0, d))
        self.lots_of = np.concatenate([*(place.lots[None, :] for place in self.rows), none])
        """Lots of each attempt, and at the end of none [a + 1, l]."""
        self.place_of = np.array(
            [first for a in range(len(self.rows)) for first, found in self.places.items() if a in found]
        )
        taken = np.maximum(np.broadcast_to((1 + growth * MONTH) ** (AHEAD / MONTH), (d,)), 1.0)
        self.ahead = Lookahead(world, project, taken)
        self.news = self.ahead.news() if self.elsewhere else np.zeros((d, 1), dtype=bool)
        self.seen, self.met = np.zeros((len(self.rows), d), dtype=bool), np.zeros(d, dtype=bool)

    @property
    def training(self) -> Bools:
        """Draws in which it is not trained yet."""
        return np.asarray(~np.isfinite(self.trained) & ~self.never)

    def lots(self) -> Bools:
        """Lots on which it is being trained [d, l]."""
        return np.asarray(self.lots_of[np.where(self.training, self.row, -1)])

    def totals(self, free: Floats) -> list[Floats]:
        """Accelerators of each attempt, of so many of each lot [d, l]; one array for the attempts at one place."""
        found: dict[bytes, Floats] = {}
        made = []
        for place in self.rows:
            key = place.lots.tobytes()
            if key not in found:
                found[key] = free[:, place.lots].sum(axis=1)
            made.append(found[key])
        return made

    # where

    def choose(self, who: Bools, period: int, free: list[Floats], would: Would) -> None:
        """A place for the draws `who`; free: accelerators of each attempt that are free in this period [d]; would:
        those that would be if it were trained on some lots.
        """
        who = who & self.training & ~self.failing
        if not who.any():
            return
        viable = self._viable(period)
        best = self._soonest(who, period, would, viable) if self.elsewhere else self._in_order(period, viable)
        best = np.where(who, best, self.row)
        self.never |= who & ~viable.any(axis=0)
        moved = who & (best >= 0) & (best != self.row)
        if moved.any():
            self._enter(moved, best, free)

    def _in_order(self, period: int, viable: Bools) -> np.ndarray:
        """The first attempt that may be made; a run that has begun stays until its accelerators are gone, and then goes
        to the first place that has some now.
        """
        d = np.arange(self.world.draws)
        first = np.where(viable.any(axis=0), viable.argmax(axis=0), -1)
        now = viable & np.stack([one.now[self._at(period)] for one in self.calendars])
        waits = (self.row >= 0) & viable[np.maximum(self.row, 0), d]
        later = np.where(waits, self.row, first)
        moved = np.where(now.any(axis=0), now.argmax(axis=0), later)
        stays = (self.row >= 0) & ~self._gone(period)
        return np.asarray(np.where(stays, self.row, np.where(self.begun, moved, first)))

    def _viable(self, period: int) -> Bools:
        """Attempts that may be made from a period on [a, d]: not failed, enough accelerators now or later, and none
        before it on the same place that has not failed.
        """
        made = np.zeros((len(self.rows), self.world.draws), dtype=bool)
        earlier: dict[str, Bools] = {}
        for a, place in enumerate(self.rows):
            tried = earlier.get(place.name)
            made[a] = self.calendars[a].ever[self._at(period)] & ~self.dead[a] & (True if tried is None else tried)
            earlier[place.name] = self.dead[a]
        return made

    def _gone(self, period: int) -> Bools:
        """Draws whose place has no accelerators for a while (those that have begun), or never again."""
        made = np.zeros(self.world.draws, dtype=bool)
        p = self._at(period)
        for a in range(len(self.rows)):
            made |= (self.row == a) & ~np.where(self.begun, self.calendars[a].soon[p], self.calendars[a].ever[p])
        return made

    def _at(self, period: int) -> int:
        """The period of the calendar of lots, which ends where nothing changes any more."""
        return min(period, int(self.calendars[0].there.shape[1]) - 1)

    def _soonest(self, who: Bools, period: int, would: Would, viable: Bools) -> np.ndarray:
        """The attempt that is expected to end first by what is known, or until it has accelerators, a while from now,
        the best of those that have some; one already made is left only for one that ends much sooner. It is looked at
        where there is none, where its place has no accelerators now, at news, and now and then.
        """
        p = self._at(period)
        at, d = np.flatnonzero(who & self._looks(p, period % LOOKS == 0)), np.arange(self.world.draws)
        if not at.size:
            return self.row
        self.met[at] = False
        ends, soon = self._expected(at, period, would, viable)
        mine = np.where(self.row >= 0, ends[np.maximum(self.row, 0), d], np.inf)
        waits = (self.row >= 0) & ~soon[np.maximum(self.row, 0), d] & self.begun
        mine = np.where(waits, np.inf, mine)
        ends[self.row[waits], np.flatnonzero(waits)] = np.inf
        best, found = ends.argmin(axis=0), ends.min(axis=0)
        here = np.where(np.stack([one.now[p] for one in self.calendars]), ends, np.inf)
        fills = (self.row < 0) & ~soon[best, d] & np.isfinite(here.min(axis=0))
        best, found = np.where(fills, here.argmin(axis=0), best), np.where(fills, here.min(axis=0), found)
        first = np.where(viable.any(axis=0), viable.argmax(axis=0), -1)
        best = np.where(np.isfinite(found), best, np.where(self.row >= 0, self.row, first))
        cost = np.where(self.begun, self.project.pause, 0.0)
        move = found + cost < np.minimum(SOONER[0] * mine, mine - SOONER[1])
        chosen = self.row.copy()
        chosen[at] = np.where((self.row < 0) | move, best, self.row)[at]
        return chosen

    def _looks(self, p: int, regular: bool) -> Bools:
        """Draws in which the plan is made again."""
        here = self.row[None, :] == np.arange(len(self.rows))[:, None]
        now = np.stack([one.now[p] for one in self.calendars])
        idle = (here & ~now).any(axis=0)
        return np.asarray((self.row < 0) | idle | self.met | self.news[:, min(p, self.news.shape[1] - 1)] | regular)

    def _expected(self, at: np.ndarray, period: int, would: Would, viable: Bools) -> tuple[Floats, Bools]:
        """Seconds until each attempt is expected to end, with what a failure would cost at its odds, and whether it has
        accelerators within a while [a, d]; of the draws `at`.
        """
        ends = np.full((len(self.rows), self.world.draws), np.inf)
        soon = np.zeros(ends.shape, dtype=bool)
        unsure = self._unsure()[at]
        for place, attempts in self.places.items():
            ahead = self.ahead.on(place, period, at, would(self.rows[place].lots, at), self._todo())
            for a in attempts:
                here = self.row[at] == a
                may = (viable[a, at] | here) & np.isfinite(ahead.ends)
                time, lost = np.where(may, ahead.ends, 0.0), self.rows[a].lost
                odds = (1 / max(self.rows[a].chance, 1e-9) - 1) * np.where(here, unsure, 1.0)
                ends[a, at] = np.where(may, time + odds * (lost.share * time + lost.debug), np.inf)
                soon[a, at] = ahead.soon
        return ends, soon

    def _unsure(self) -> Floats:
        """Share of the stage in which a run came to its place that is before it: what has been run is no longer to
        fail [d].
        """
        left = np.divide(self.left, self.kept_left, out=np.zeros_like(self.left), where=self.kept_left > 0)
        return np.where(self.stage == self.kept_stage, np.clip(left, 0.0, 1.0), 0.0)

    def ends(self, free: Floats) -> float:
        """Seconds from the start until the first draw's stages would be done on its first place; free: of each lot."""
        if not self.rows:
            return float(np.inf)
        at = np.zeros(1, dtype=np.int64)
        return float(self.ahead.on(0, 0, at, free[:1, self.rows[0].lots].sum(axis=1), self._todo()).ends[0])

    def _todo(self) -> Todo:
        return Todo(self.stage, self.left, self.amounts[: self.stages], self.seen)

    def _enter(self, who: Bools, best: np.ndarray, free: list[Floats]) -> None:
        """The draws `who` begin on, or move to, the attempt `best`."""
        self.row = np.where(who, best, self.row)
        moves = who & self.begun & (self.was >= 0)
        for a, place in enumerate(self.rows):
            here = who & (self.row == a)
            if not here.any():
                continue
            self.until[here] = np.where(place.completes[here], np.inf, self.project.give_up[here] * self.left[here])
            if (here & moves).any():
                speed = self._checking(a, free[a])
                again = np.divide(self.project.check, speed, out=np.zeros_like(speed), where=speed > 0)
                self.pause[here & moves] = (self.project.pause + again)[here & moves]
        self.kept_stage = np.where(who, self.stage, self.kept_stage)
        self.kept_left = np.where(who, self.left, self.kept_left)

    def _checking(self, a: int, free: Floats) -> Floats:
        """Tokens/s of the first stage that runs, at which a move is checked [d]."""
        place = self.rows[a]
        run = next((speed for speed in place.speeds if speed.kind != "pause"), None)
        return run.best(np.minimum(free, self._most(a)))[1] if run else np.zeros_like(free)

    # what it does

    def groups(self, who: Bools) -> Iterator[tuple[int, int, np.ndarray]]:
        """Draws at each attempt and stage; of attempts that are alike the first stands for all."""
        index = np.flatnonzero(who & (self.row >= 0))
        if not index.size:
            return
        keys = self.like[self.row[index]] * (self.stages + 1) + self.stage[index]
        for key in np.unique(keys):
            a, s = divmod(int(key), self.stages + 1)
            yield a, s, index[keys == key]

    def pace(self, who: Bools, free: list[Floats], night: NightTotals | None = None) -> tuple[Floats, Floats]:
        """Accelerators that each draw's run holds, by day, and its speed in units of its stage per second; a pause on
        the way runs at 1. night: what is free at night.
        """
        held, speed = np.zeros(self.world.draws), np.zeros(self.world.draws)
        for a, s, at in self.groups(who):
            place = self.rows[a]
            there = np.minimum(free[a][at], self._most(a))
            if s < self.stages:
                held[at], fast = place.speeds[s].best(there, at)
                if night is not None:
                    there = np.minimum(night.totals[a][at], self._most(a))
                    fast = night.nights.pace(fast, place.speeds[s].best(there, at)[1]) if s not in self.pauses else fast
                speed[at] = fast / self.slips[self.row[at], at]
            else:
                need = self._hold(a)[at]
                held[at] = np.minimum(there, need)
                speed[at] = np.divide(held[at], need, out=np.ones_like(need), where=need > 0)
        waits = self.pause > 0
        return held, np.where(waits, 1.0, speed)

    def _most(self, a: int) -> float:
        """Most accelerators that a run uses on a place."""
        return min(self.project.at_most, self.rows[a].limit)

    def _hold(self, a: int) -> Floats:
        """Accelerators that rounds hold [d]."""
        if self.project.hold is not None:
            return np.minimum(self.project.hold, self.project.at_most)
        most = np.minimum(self.calendars[a].most, self.project.at_most)
        return np.asarray(np.minimum(np.maximum(most, 1.0), ROUNDS_HOLD))

    def advance(self, who: Bools, paused: Bools, clock: Floats) -> None:
        """The draws `who` have ended what they did: a pause (the draws `paused`), a run that fails, or a stage."""
        paused = who & paused
        lost = who & ((paused & self.failing) | (~paused & np.isfinite(self.until)))
        self.pause[paused] = 0.0
        fails = lost & ~self.failing
        if fails.any():
            self.failing[fails] = True
            for a, place in enumerate(self.rows):
                here = fails & (self.row == a)
                self.pause[here] = np.broadcast_to(place.debug, here.shape)[here]
        over = lost & (self.pause <= 0)
        self._fail(over)
        went_on = who & ~paused & ~lost
        self.stage[went_on] += 1
        ready = went_on & (self.stage > self.stages)
        on = went_on & ~ready
        self.left[on] = self.amounts[self.stage[on], np.flatnonzero(on)]
        self.trained[ready] = clock[ready]
        self.place[ready] = self.row[ready]

    def _fail(self, who: Bools) -> None:
        """The attempt is over: its place is given up, what was done there is lost."""
        at = np.flatnonzero(who)
        self.dead[self.row[at], at] = True
        self.was[at] = self.row[at]
        self.row[at] = -1
        self.until[at] = np.inf
        self.failing[at] = False
        self.stage[at], self.left[at] = self.kept_stage[at], self.kept_left[at]
        fresh = (self.stage == 0) & (self.left >= self.amounts[0])
        self.begun[at] = ~fresh[at]

    def spend(self, spent: Floats, pace: Floats) -> None:
        """Time passes: `spent` seconds at `pace`."""
        paused = self.pause > 0
        work = np.where(paused, 0.0, spent * pace)
        self.pause = np.where(paused, np.maximum(self.pause - spent, 0.0), self.pause)
        self.left = self.left - work
        self.until = self.until - work
        self.begun |= work > 0
        self.was = np.where(work > 0, self.row, self.was)
        self._meet(work > 0)

    def _meet(self, works: Bools) -> None:
        """How fast a run is on a place is known once it has worked there."""
        if not self.elsewhere:
            return
        place = self.place_of[self.row]
        new = works & (self.row >= 0) & ~self.seen[place, np.arange(self.world.draws)]
        at = np.flatnonzero(new)
        self.seen[place[at], at] = True
        self.met |= new

    def ahead_of(self, pace: Floats) -> Floats:
        """Seconds until what is being done ends [d]."""
        work = np.where(np.isfinite(self.until), self.until, self.left)
        todo = np.where(self.pause > 0, self.pause, work)
        time = np.divide(todo, pace, out=np.full_like(todo, np.inf), where=pace > 0)
        return np.where((todo <= 0) & (self.row >= 0), 0.0, time)

    def attempt(self, draw: int) -> Attempt | None:
        """The attempt of one draw."""
        return self.rows[self.row[draw]] if self.row[draw] >= 0 else None


def _first_like(rows: tuple[Attempt, ...], index: int) -> int:
    """The first attempt with the lots, the limit and the speeds of another."""
    one = rows[index]

    def alike(other: Attempt) -> bool:
        same = other.name == one.name and other.limit == one.limit and np.array_equal(other.lots, one.lots)
        return same and all(a.same_as(b) for a, b in zip(other.speeds, one.speeds, strict=True))

    return next((at for at, other in enumerate(rows[:index]) if alike(other)), index)


def _within(there: Bools, periods: int) -> Bools:
    """Whether there is something in one of the next periods, the present one included [d, p]; what is last stays."""
    made = there.copy()
    for ahead in range(1, periods):
        made[:, :-ahead] |= there[:, ahead:]
        made[:, -ahead:] |= there[:, -1:]
    return made
