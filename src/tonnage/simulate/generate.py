"""Requests that are drawn: how they come, how long they are, and sessions of several turns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.simulate.workload import Real, Whole, Workload, workload

Spread = Literal["fixed", "uniform", "lognormal", "exponential", "empirical"]
SPREADS: tuple[Spread, ...] = ("fixed", "uniform", "lognormal", "exponential", "empirical")

Coming = Literal["poisson", "gamma", "day", "closed", "at-once", "even"]
COMINGS: tuple[Coming, ...] = ("poisson", "gamma", "day", "closed", "at-once", "even")

MOST = 50_000_000
"""Requests of a workload at most: 11 GB of the loop's row."""


@dataclass(frozen=True)
class Drawn:
    """A length. mean [token]; spread: how it varies; sigma: of the logarithm (lognormal), or half the range over the
    mean (uniform); values: that are drawn from (empirical); most: it is cut at.
    """

    mean: float
    spread: Spread = "fixed"
    sigma: float = 1.0
    values: tuple[int, ...] = ()
    most: int = 10_000_000


@dataclass(frozen=True)
class ArrivalProcess:
    """How requests come. rate: per second, of a day the mean; cv: coefficient of variation of the times between
    (gamma); swing: peak of a day over its mean, less one; day: length of it [s]; clients: of a closed loop; think: time
    between an answer and the next question of a client [s].
    """

    kind: Coming = "poisson"
    rate: float = 1.0
    cv: float = 1.0
    swing: float = 0.5
    day: float = 86400.0
    clients: int = 1
    think: float = 0.0


@dataclass(frozen=True)
class Sessions:
    """Turns of a conversation or an agent: `turns` each, `think` seconds between, each adding the answer before and a
    new question of `more` tokens to the prompt, which begins with the prompt before; unit: tokens of a hashed piece.
    """

    turns: int
    think: float = 5.0
    more: float = 200.0
    unit: int = 64


def lengths(drawn: Drawn, size: int, rng: np.random.Generator) -> Whole:
    """So many lengths, at least one token each."""
    mean = drawn.mean
    if drawn.spread == "fixed":
        made: Real = np.full(size, mean)
    elif drawn.spread == "uniform":
        made = rng.uniform(mean * (1 - min(drawn.sigma, 1.0)), mean * (1 + min(drawn.sigma, 1.0)), size)
    elif drawn.spread == "lognormal":
        made = rng.lognormal(np.log(mean) - drawn.sigma**2 / 2, drawn.sigma, size)
    elif drawn.spread == "exponential":
        made = rng.exponential(mean, size)
    else:
        if not drawn.values:
            raise InputError(Problem("empirical lengths need values to draw from"))
        made = rng.choice(np.asarray(drawn.values, dtype=float), size)
    return np.clip(np.rint(made), 1, drawn.most).astype(np.int64)


def arrival_times(how: ArrivalProcess, size: int, rng: np.random.Generator) -> Real:
    """When so many requests come [s], from 0 on; all of those whose time is known."""
    if how.kind in ("at-once", "closed"):
        return np.zeros(size)
    if how.kind == "even":
        return np.arange(size) / how.rate
    if how.kind == "gamma":
        shape = 1.0 / how.cv**2
        return np.cumsum(rng.gamma(shape, 1.0 / (shape * how.rate), size))
    unit = np.cumsum(rng.exponential(1.0, size))
    return _over_day(unit, how) if how.kind == "day" else unit / how.rate


def _over_day(unit: Real, how: ArrivalProcess) -> Real:
    """Times at which a rate that swings over the day, lowest at its start, has brought so many requests on average.

    Lambda(t) = rate (t - swing day / 2 pi sin(2 pi t / day)), the integral of rate (1 - swing cos(2 pi t / day)).
    """
    last = unit[-1] / how.rate if unit.size else 0.0
    grid = np.linspace(0, last + how.day, max(int((last / how.day + 2) * 1440), 2))
    turn = 2 * np.pi / how.day
    return np.interp(unit, how.rate * (grid - how.swing * np.sin(turn * grid) / turn), grid)


def generate(
    size: int, how: ArrivalProcess, isl: Drawn, osl: Drawn, seed: int = 0, sessions: Sessions | None = None
) -> Workload:
    """A finite run of so many requests; the same for a seed."""
    _check(size, how, isl, osl)
    rng = np.random.default_rng([seed, 1])
    if sessions is not None:
        return _sessions(size, how, isl, osl, rng, sessions)
    times = arrival_times(how, size, rng)
    return _coming(workload(times, lengths(isl, size, rng), lengths(osl, size, rng), _name(how)), how)


def come(isl: Whole, osl: Whole, how: ArrivalProcess, rng: np.random.Generator, name: str) -> Workload:
    """Requests of these lengths that come so; name: goes before how they come."""
    return _coming(workload(arrival_times(how, isl.size, rng), isl, osl, name + _name(how)), how)


def _coming(made: Workload, how: ArrivalProcess) -> Workload:
    """With what a run that is shorter than its day has of it."""
    if how.kind == "closed":
        return _closed(made, how)
    if how.kind != "day" or made.arrival[-1] >= 0.95 * how.day:
        return made
    hours, whole = made.arrival[-1] / 3600, how.rate * how.day
    note = f"{hours:.3g} h of the day of {how.day / 3600:g} h, from its lowest on; all of it has {whole:,.0f} requests"
    return replace(made, notes=(note,))


def _closed(made: Workload, how: ArrivalProcess) -> Workload:
    """Each client asks the next time when it has its answer: request i follows i - clients."""
    follows = np.arange(made.size) + how.clients
    first = np.arange(made.size) < how.clients
    return replace(
        made,
        arrival=np.where(first, 0.0, np.inf),
        follows=np.where(follows < made.size, follows, -1),
        think=np.full(made.size, how.think),
    )


def _sessions(
    size: int, how: ArrivalProcess, isl: Drawn, osl: Drawn, rng: np.random.Generator, given: Sessions
) -> Workload:
    """Requests by turn: all first ones, then all second ones; those of a session share what came before."""
    count = max(1, -(-size // given.turns))
    begin_at = arrival_times(replace(how, rate=how.rate / given.turns), count, rng)
    prompt = lengths(isl, count, rng)
    rows_in, rows_out = [], []
    for turn in range(given.turns):
        answer = lengths(osl, count, rng)
        rows_in.append(prompt.copy())
        rows_out.append(answer)
        prompt = prompt + answer + (lengths(Drawn(given.more, "exponential"), count, rng) if turn >= 0 else 0)
    made_in, made_out = np.concatenate(rows_in), np.concatenate(rows_out)
    total = count * given.turns
    longest = rows_in[-1] + rows_out[-1]
    begin = np.concatenate([[0], np.cumsum(longest // given.unit)])
    whole = (made_in + made_out) // given.unit
    at = np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)
    offsets = np.repeat(np.tile(begin[:-1], given.turns) - at[:-1], whole)
    after = np.arange(total) + count
    if how.kind == "closed":  # a client begins its next session when it has the last answer of the one before
        begin_at[how.clients :] = np.inf
        last = np.arange(count) + how.clients
        after[total - count :] = np.where(last < count, last, total)
    plain = workload(np.zeros(total), made_in, made_out, f"{count:,} sessions of {given.turns} turns, {_name(how)}")
    return replace(
        plain,
        arrival=np.concatenate([begin_at, np.full(total - count, np.inf)]),
        follows=np.where(after < total, after, -1),
        think=rng.exponential(max(given.think, 1e-12), total) if given.think > 0 else np.zeros(total),
        pieces=(offsets + np.arange(at[-1])).astype(np.int64),
        at=at,
        unit=given.unit,
    )


def _name(how: ArrivalProcess) -> str:
    if how.kind == "closed":
        return f"{how.clients:,} clients in a closed loop"
    if how.kind == "at-once":
        return "all at once"
    kinds = {
        "poisson": "Poisson",
        "gamma": f"gamma (cv {how.cv:.4g})",
        "day": f"day curve (peak {1 + how.swing:g} x mean)",
        "even": "evenly spaced",
    }
    return f"{kinds[how.kind]} arrivals at {how.rate:.4g}/s"


def _check(size: int, how: ArrivalProcess, isl: Drawn, osl: Drawn) -> None:
    problems = []
    if not 1 <= size <= MOST:
        problems.append(Problem(f"expected 1 to {MOST:,}, got {size:,}", path="requests"))
    if not 0 < how.rate <= 1e9:
        problems.append(Problem(f"expected more than 0, to 1e9 requests/s, got {how.rate:g}", path="rate"))
    if how.clients < 1:
        problems.append(Problem(f"expected at least 1, got {how.clients}", path="clients"))
    if not 0.01 <= how.cv <= 100:
        problems.append(Problem(f"expected 0.01 to 100, got {how.cv:g}", path="cv"))
    if not 0 <= how.swing <= 1:
        problems.append(Problem(f"expected 0 to 1, got {how.swing:g}", path="swing"))
    for name, one in (("isl", isl), ("osl", osl)):
        if not (1 <= one.mean <= 1e7 and 0 <= one.sigma <= 5):
            problems.append(
                Problem(
                    f"expected a mean of 1 to 1e7 tokens and a spread of 0 to 5, got {one.mean:g}, {one.sigma:g}",
                    path=name,
                )
            )
    if problems:
        raise InputError(problems)
