"""What people write of a simulation, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.ask.reading import WordReader
from tonnage.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from tonnage.simulate.generate import ArrivalProcess, Sessions, Spread
    from tonnage.simulate.measure import PercentileLimit
    from tonnage.simulate.service import Autoscale, Order, Outage, ReplicaSet, Routing

REQUESTS = 5000
"""Requests that are drawn where nobody says how many: percentiles of 99 % then rest on fifty."""

MOST = 20_000_000
"""Requests at most."""


@dataclass(frozen=True)
class SimulateWords:
    """A simulation as people write it; None where nothing is said. The command line says what each is."""

    trace: Path | None = None
    fit_trace: Path | None = None
    rate: str | None = None
    requests: str | None = None
    arrivals: str = "poisson"
    cv: str = "2"
    swing: str = "0.5"
    clients: str | None = None
    think: str | None = None
    isl: str | None = None
    osl: str | None = None
    isl_spread: str = "fixed"
    osl_spread: str = "fixed"
    turns: str | None = None
    order: str = "fcfs"
    priorities: str | None = None
    routing: str | None = None
    replicas: str | None = None
    running: str | None = None
    chunk: str | None = None
    prompt_chunk: str | None = None
    blocks: str | None = None
    prefix_cache: bool = True
    host: str | None = None
    front: str | None = None
    due: str | None = None
    outage: tuple[str, ...] = ()
    autoscale: str | None = None
    slo: str | None = None
    find_rate: bool = False
    beside: tuple[str, ...] = ()
    switch: str | None = None
    host_cache: str | None = None
    disk_cache: str | None = None


@dataclass(frozen=True)
class SimulateAsked:
    """The same as numbers. rate [1/s]; requests: how many; auto: as few replicas as keep the limits; beside: other
    plans on the same replicas, each at its rate [1/s]; host, disk: (memory of a replica [byte], how fast it comes back
    [byte/s]).
    """

    words: SimulateWords
    rate: float | None
    requests: int | None
    how: ArrivalProcess
    isl: float | None
    osl: float | None
    spreads: tuple[Spread, Spread]
    sigmas: tuple[float, float]
    sessions: Sessions | None
    auto: bool
    replicas: int | None
    running: int | None
    chunk: int | None
    prompt_chunk: int | None
    blocks: int | None
    host: float | None
    given: ReplicaSet
    limits: tuple[PercentileLimit, ...]
    beside: tuple[tuple[Path, float], ...] = ()
    host_cache: tuple[float, float] | None = None
    disk_cache: tuple[float, float] | None = None
    priorities: tuple[float, ...] = ()


def read(words: SimulateWords) -> SimulateAsked:
    """Words as numbers. Raises `InputError` with every problem."""
    from tonnage.simulate.measure import parse_limits

    reader = WordReader()
    how = _arrivals(words, reader)
    spreads = [
        _spread(reader, text, name)
        for text, name in ((words.isl_spread, "isl_spread"), (words.osl_spread, "osl_spread"))
    ]
    limits: tuple[PercentileLimit, ...] = ()
    if words.slo is not None:
        try:
            limits = parse_limits(words.slo, "slo")
        except InputError as error:
            reader.problems.extend(error.problems)
    auto = words.replicas == "auto"
    _together(words, reader, auto)

    def whole(text: str | None, name: str) -> int | None:
        return None if text is None else reader.whole(text, name)

    host = reader.optional(words.host, "time", "host")
    asked = SimulateAsked(
        words=words,
        rate=reader.optional(words.rate, "rate", "rate"),
        requests=_many(reader, words.requests),
        how=how,
        isl=reader.optional(words.isl, "tokens", "isl"),
        osl=reader.optional(words.osl, "tokens", "osl"),
        spreads=(spreads[0][0], spreads[1][0]),
        sigmas=(spreads[0][1], spreads[1][1]),
        sessions=_sessions(words, reader),
        auto=auto,
        replicas=None if auto else whole(words.replicas, "replicas"),
        running=whole(words.running, "running"),
        chunk=whole(words.chunk, "chunk"),
        prompt_chunk=whole(words.prompt_chunk, "prompt_chunk"),
        blocks=whole(words.blocks, "blocks"),
        host=host,
        given=_replica_set(words, reader),
        limits=limits,
        beside=tuple(_beside(reader, text) for text in words.beside),
        host_cache=_tier(reader, words.host_cache, "host_cache"),
        disk_cache=_tier(reader, words.disk_cache, "disk_cache"),
        priorities=_priorities(reader, words.priorities),
    )
    reader.done()
    return asked


def _together(words: SimulateWords, reader: WordReader, auto: bool) -> None:
    """What does not go together, and what is missing."""
    if words.trace is not None and words.fit_trace is not None:
        reader.wrong("give either a `trace` to replay or one to draw from (`fit_trace`)", "fit_trace")
    if words.find_rate and auto:
        reader.wrong("find either a rate or the fewest replicas", "find_rate")
    if (words.find_rate or auto) and words.slo is None:
        reader.wrong(
            'needs limits, such as `slo` "ttft p95 2s, tpot p95 50ms"', "find_rate" if words.find_rate else "replicas"
        )
    timed = words.trace or words.fit_trace or words.rate or words.find_rate
    if not timed and words.arrivals not in ("closed", "at-once"):
        reader.wrong("say how requests come: a `trace`, a `rate` such as 20/s, or `arrivals` closed or at-once", "rate")
    _unheard(words, reader)
    if words.beside and words.switch is None:
        reader.wrong("say how long a replica takes to load another model, such as `switch` 60s", "beside")
    if words.switch is not None and not words.beside:
        reader.wrong("is of models that share the replicas: name the other plan with its rate (`beside`)", "switch")
    if words.beside and words.routing == "round-robin":
        reader.wrong("would load a model for every other request; take least-loaded or prefix-aware", "routing")
    if words.beside and words.find_rate:
        reader.wrong("the highest rate is that of one model; give each its own (`rate`, `beside`)", "find_rate")
    if words.find_rate and words.arrivals in ("closed", "at-once"):
        reader.wrong(f"{words.arrivals} has no rate that could be found", "find_rate")


USES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("clients",), "is of a closed loop (`arrivals` closed)", "closed"),
    (("cv",), "is of gamma arrivals (`arrivals` gamma)", "gamma"),
    (("swing",), "is of a day (`arrivals` day)", "day"),
)
"""Words that one kind of arrivals uses."""

OF_A_TRACE = ("isl", "osl", "isl_spread", "osl_spread", "turns", "think")
"""Words that a trace says itself, or a log whose lengths are drawn."""


def _unheard(words: SimulateWords, reader: WordReader) -> None:
    """Words that would change nothing."""
    said = {one.name for one in fields(SimulateWords) if getattr(words, one.name) != one.default}
    for names, message, kind in USES:
        for name in names:
            if name in said and words.arrivals != kind:
                reader.wrong(message, name)
    logged = "trace" if words.trace is not None else "fit_trace" if words.fit_trace is not None else None
    for name in OF_A_TRACE if logged else ():
        if name in said and not (name == "think" and words.arrivals == "closed"):
            reader.wrong(f"is what `{logged}` says itself; give one of them", name)
    if words.trace is not None and "arrivals" in said:
        reader.wrong("a trace says when its requests come; `fit_trace` takes only its lengths with it", "arrivals")
    if "think" in said and words.turns is None and words.arrivals != "closed" and not logged:
        reader.wrong("is of sessions (`turns`) or of a closed loop (`arrivals` closed)", "think")
    if "due" in said and words.order != "slo":
        reader.wrong("is of the order of least time left (`order` slo)", "due")
    if words.order == "priority" and words.priorities is None:
        reader.wrong("all requests are of one priority; say what share each has, such as `priorities` 10%,90%", "order")
    if words.priorities is not None and words.order == "fcfs":
        reader.wrong("who came first goes first, whatever its priority; take `order` priority or slo", "priorities")


def _priorities(reader: WordReader, text: str | None) -> tuple[float, ...]:
    """`10%,90%`: shares of the requests that go first, second and so on."""
    if text is None:
        return ()
    shares = tuple(reader.number(part.strip(), "share", "priorities") for part in text.split(","))
    if not 2 <= len(shares) <= 10 or abs(sum(shares) - 1.0) > 1e-6:
        reader.wrong(f'expected 2 to 10 shares that add up to 100 %, got "{text[:40]}"', "priorities")
    return shares


def _many(reader: WordReader, text: str | None) -> int | None:
    if text is None:
        return None
    many = reader.number(text, "count", "requests", (1, MOST, f"1 to {MOST:,} requests"))
    if many != int(many):
        reader.wrong(f"expected a whole number of requests, got {many:g}", "requests")
    return max(int(many), 1)


def _arrivals(words: SimulateWords, reader: WordReader) -> ArrivalProcess:
    from tonnage.simulate.generate import COMINGS, ArrivalProcess

    kind = next((one for one in COMINGS if one == words.arrivals), None)
    if kind is None:
        message = f'"{words.arrivals[:40]}" is not one of {", ".join(COMINGS)}'
        reader.problems.append(Problem(message, path="arrivals", suggestion=nearest(words.arrivals[:40], COMINGS)))
    if kind == "closed" and words.clients is None:
        reader.wrong("a closed loop needs `clients`, such as 64", "arrivals")
    return ArrivalProcess(
        kind=kind or "poisson",
        cv=reader.number(words.cv, "number", "cv", (0.01, 100, "0.01 to 100")),
        swing=reader.number(words.swing, "number", "swing", (0, 1, "0 to 1")),
        clients=1 if words.clients is None else reader.whole(words.clients, "clients"),
        think=0.0 if words.think is None else reader.number(words.think, "time", "think"),
    )


def _spread(reader: WordReader, text: str, name: str) -> tuple[Spread, float]:
    """`lognormal:0.8` as the kind and its sigma."""
    from tonnage.simulate.generate import SPREADS

    known = [one for one in SPREADS if one != "empirical"]
    word, colon, sigma = text.partition(":")
    kind = next((one for one in known if one == word), None)
    if kind is None:
        message = f'"{word[:40]}" is not one of {", ".join(known)}'
        reader.problems.append(Problem(message, path=name, suggestion=nearest(word[:40], known)))
        return "fixed", 1.0
    return kind, reader.number(sigma, "number", name, (0, 5, "a spread of 0 to 5")) if colon else 1.0


def _sessions(words: SimulateWords, reader: WordReader) -> Sessions | None:
    from tonnage.simulate.generate import Sessions

    if words.turns is None:
        return None
    turns = reader.whole(words.turns, "turns")
    if turns > 1000:
        reader.wrong(f"expected 1 to 1,000 turns, got {turns:,}", "turns")
    return Sessions(turns, 5.0 if words.think is None else reader.number(words.think, "time", "think"))


def _replica_set(words: SimulateWords, reader: WordReader) -> ReplicaSet:
    from tonnage.simulate.service import ORDERS, ROUTINGS, ReplicaSet

    order: Order | None = next((one for one in ORDERS if one == words.order), None)
    asked = words.routing or ("least-loaded" if words.beside else "round-robin")
    routing: Routing | None = next((one for one in ROUTINGS if one == asked), None)
    for name, text, known, found in (
        ("order", words.order, ORDERS, order),
        ("routing", asked, ROUTINGS, routing),
    ):
        if found is None:
            message = f'"{text[:40]}" is not one of {", ".join(known)}'
            reader.problems.append(Problem(message, path=name, suggestion=nearest(text[:40], known)))
    return ReplicaSet(
        order=order or "fcfs",
        routing=routing or "round-robin",
        front=0.0 if words.front is None else reader.number(words.front, "time", "front"),
        due=2.0 if words.due is None else reader.number(words.due, "time", "due"),
        outages=tuple(_outage(reader, text) for text in words.outage),
        switch=0.0 if words.switch is None else reader.number(words.switch, "time", "switch"),
        autoscale=_autoscale(reader, words.autoscale),
    )


def _beside(reader: WordReader, text: str) -> tuple[Path, float]:
    """`r2.json@3/s`: the plan of another model on the same replicas, and its rate."""
    name, _, rate = text.rpartition("@")
    if not name:
        reader.wrong(f'expected a plan and its rate, such as r2.json@3/s, got "{text[:40]}"', "beside")
        return Path(), 1.0
    return Path(name), reader.number(rate, "rate", "beside")


def _tier(reader: WordReader, text: str | None, name: str) -> tuple[float, float] | None:
    """`200GB@50GB/s`: of a replica, and how fast what is there comes back."""
    if text is None:
        return None
    memory, at, bandwidth = text.partition("@")
    if not at:
        reader.wrong(f'expected something like 200GB@50GB/s, got "{text[:40]}"', name)
        return None
    room = reader.number(memory, "memory", name, (0.0, 1e18, "0 to 1e18 B"))
    return room, reader.number(bandwidth, "bandwidth", name)


def _outage(reader: WordReader, text: str) -> Outage:
    """`3@10s-60s`: replica 3 fails after 10 s and is back after 60 s; `3@10s`: it stays away."""
    from tonnage.simulate.service import Outage

    replica, at, span = text.partition("@")
    start, dash, end = span.partition("-")
    if not (at and replica.isascii() and replica.isdigit() and start):
        reader.wrong(f'expected something like 3@10s-60s, got "{text[:40]}"', "outage")
        return Outage(0, 0.0)
    return Outage(
        int(replica[:9]),
        reader.number(start, "time", "outage"),
        reader.number(end, "time", "outage") if dash else math.inf,
    )


def _autoscale(reader: WordReader, text: str | None) -> Autoscale | None:
    """`target=32,loading=60s,every=15s,fewest=1`."""
    from tonnage.simulate.service import Autoscale

    if text is None:
        return None
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    strange = [name for name in given if name not in ("target", "loading", "every", "fewest")]
    if strange or "target" not in given or "loading" not in given:
        reader.wrong(
            f'expected something like target=32,loading=60s,every=15s,fewest=1, got "{text[:60]}"', "autoscale"
        )
        return None
    every = reader.number(given.get("every", "15s"), "time", "autoscale", (0.1, 86400, "0.1 s to a day"))
    return Autoscale(
        reader.whole(given["target"], "autoscale"),
        reader.number(given["loading"], "time", "autoscale"),
        every,
        reader.whole(given.get("fewest", "1"), "autoscale"),
    )
