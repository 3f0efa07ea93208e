"""From a workload and a service to the rows of integers that the loop reads, and back to what happened."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.simulate.service import ORDERS, PICO, ROUTINGS, EngineLimits, ReplicaSet, Simulated, Whole
from tonnage.simulate.state import (
    ABSENT,
    COMING,
    COMMON,
    DECODES,
    DONE,
    E_SIZE,
    EVENT,
    G_END,
    G_FIRST,
    G_REQUESTS,
    LAST,
    LEFT,
    NEVER,
    OFF,
    ON,
    P_AFTER,
    P_BEFORE,
    P_SIZE,
    P_USERS,
    PENDING,
    PREFILLS,
    Q_AGAIN,
    Q_ARRIVAL,
    Q_FINISH,
    Q_FIRST,
    Q_HIT,
    Q_SIZE,
    Q_START,
    Q_STATE,
    Q_WHERE,
    R_BUSY,
    R_LIT,
    R_ON,
    R_SINCE,
    R_SIZE,
    R_STEPS,
    REFUSED,
    ROBIN,
    ROBIN_APART,
    TICK,
    TIERS,
    WHOLE,
    LoopRules,
    Replicas,
    Requests,
    Row,
)
from tonnage.simulate.workload import Real, Workload

LISTED = 15_000_000
"""Entries of a row up to which it is a list, whose integers are there already when the loop asks for them; beyond, an
array, that takes a third of the memory: half a million requests of one loop."""


def as_list(x: Whole) -> Row:
    """The row for the loop as Python."""
    if x.size <= LISTED:
        listed: list[int] = x.tolist()
        return listed
    found = array("q")
    found.frombytes(x.data.cast("B"))
    return found


LONGEST = 40 * 86400.0
"""Seconds until the last arrival at most: 64 bits of picoseconds are 106 days, half of which mean never."""


def ps(seconds: float) -> int:
    """Seconds as picoseconds, whole ones."""
    return NEVER if seconds == math.inf else round(seconds * PICO)


def decode_steps(load: Workload, limits: EngineLimits, seed: int) -> Whole:
    """Decode steps of each request: all tokens but the first, or as many as drafts leave.

    With drafts a step gains 1 + a number that ends with the first refusal; steps until n tokens are drawn from the
    normal distribution of renewals, mean n / m and variance n v / m^3 with m, v those of one step's gain.
    """
    tokens = np.maximum(load.osl - 1, 0)
    if limits.accepted <= 1.0 or limits.drafts < 1:
        return tokens
    mean, variance = limits.accepted, gain_variance(limits.accepted, limits.drafts)
    drawn = np.random.default_rng([seed, 7]).standard_normal(load.size)
    found = np.rint(tokens / mean + drawn * np.sqrt(tokens * variance / mean**3))
    return np.clip(found, -(-tokens // (limits.drafts + 1)), tokens).astype(np.int64)


def gain_variance(mean: float, drafts: int) -> float:
    """Variance of the tokens that a step gains, from their mean and the drafts of a step."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(middle**j for j in range(drafts + 1)) < mean:
            low = middle
        else:
            high = middle
    shares = [low**j * (1 - low) for j in range(drafts)] + [low**drafts]
    values = range(1, drafts + 2)
    average = sum(share * value for share, value in zip(shares, values, strict=True))
    return sum(share * (value - average) ** 2 for share, value in zip(shares, values, strict=True))


def arrivals(load: Workload, given: ReplicaSet) -> Whole:
    """When requests reach the routers [ps]: behind the one process that takes them in, if it takes time."""
    come = np.where(np.isfinite(load.arrival), load.arrival, 0.0)
    if float(np.max(come, initial=0.0)) > LONGEST or not float(np.min(come, initial=0.0)) >= 0:
        raise InputError(
            Problem(f"requests come from 0 to {LONGEST / 86400:.0f} days, which the clock counts", load.name)
        )
    if given.front > 0 and load.size:
        busy = np.arange(1, load.size + 1) * given.front
        come = np.maximum.accumulate(come - busy + given.front) + busy
    found = np.rint((come + given.admission) * PICO).astype(np.int64)
    return np.where(np.isfinite(load.arrival), found, NEVER)


def rules_of(load: Workload, service: Simulated) -> LoopRules:
    """What does not change."""
    limits, given, times = service.limits, service.deployment, service.times
    prefix = limits.prefix and load.unit > 0 and load.pieces.size > 0
    size = math.gcd(limits.block, load.unit) if prefix else limits.block
    kept = limits_of(load, service, size)
    seqs, tokens = int(kept[:, 0].max()), int(kept[:, 1].max())
    scaled = given.autoscale
    host, disk = limits.host, limits.disk
    stops = scaled is not None or bool(given.outages)
    return LoopRules(
        seqs=seqs,
        size=size,
        mixed=int(limits.mixed),
        whole=int(not limits.chunked),
        gain=round(limits.accepted * WHOLE),
        width=1 + limits.drafts,
        crowd=round(times[0].crowd * WHOLE),
        stages=times[0].stages,
        each=times[0].sequence,
        route=ROUTINGS.index(given.routing),
        unit=load.unit if prefix else 1,
        unit_blocks=load.unit // size if prefix else 0,
        hashes=int(load.pieces.max()) + 1 if prefix else 0,
        replicas=given.every,
        moved=ps(given.move),
        moved_token=ps(given.move_token),
        every=0 if scaled is None else ps(scaled.every),
        target=1 if scaled is None else scaled.target,
        fewest=given.every if scaled is None else scaled.fewest,
        loading=0 if scaled is None else ps(scaled.loading),
        switch=ps(given.switch),
        stay=given.stay,
        known=0,
        deep=seqs + 1,
        wide=tokens + seqs * (1 + limits.drafts) + 2,
        base=0,
        slope=0,
        mix=0,
        pairs=0,
        first=0,
        end=0,
        requests=0,
        prefix=int(limits.prefix),
        limits=0,
        host=host.tokens // load.unit if prefix else 0,
        disk=disk.tokens // load.unit if prefix else 0,
        host_piece=round(host.token * load.unit * PICO),
        disk_piece=round(disk.token * load.unit * PICO),
        alone=int(given.every == len(times) == 1 and not stops),
        pools=int(given.prefill > 0),
        later=int(stops or given.prefill > 0 or load.chained),
    )


def limits_of(load: Workload, service: Simulated, size: int) -> Whole:
    """By model: sequences, new tokens of a step, of them of one prompt, blocks of `size` tokens."""
    longest = int(np.max(load.isl + load.osl, initial=1))
    rows = []
    for one in service.every:
        tokens = one.tokens if one.chunked else max(one.tokens, longest)
        cap = tokens if one.prompt is None else min(one.prompt, tokens)
        rows.append((one.sequences, tokens, cap, one.blocks * one.block // size))
    return np.array(rows, dtype=np.int64)


def stretched(values: Whole, size: int) -> Whole:
    """The first `size` entries, the last step between two going on where there are fewer."""
    if values.size >= size:
        return values[:size]
    step = int(values[-1] - values[-2]) if values.size > 1 else 0
    return np.concatenate([values, values[-1] + step * np.arange(1, size - values.size + 1)])


def requests_of(load: Workload, service: Simulated, rules: LoopRules, seed: int, known: int) -> Whole:
    """Records of the requests, none of which has come; known: where the pieces of their prompts are listed."""
    given, size = service.deployment, load.size
    zero, none = np.zeros(size, dtype=np.int64), np.full(size, -1, dtype=np.int64)
    hashed = rules.hashes > 0
    given_rows = {
        "arrival": arrivals(load, given),
        "isl": load.isl,
        "steps": decode_steps(load, service.limits, seed),
        "rank": ranks(load, service),
        "total": load.isl,
        "model": load.model,
        "low": load.at[:-1] + known if hashed else zero,
        "high": load.at[1:] + known if hashed else zero,
        "follows": np.where(load.follows < 0, -1, rules.requests + Q_SIZE * load.follows),
        "think": np.rint(load.think * PICO).astype(np.int64),
    }
    empty = {name: none if name in UNSEEN else zero for name in Requests._fields if name not in given_rows}
    made = given_rows | empty
    return np.array([made[name] for name in Requests._fields], dtype=np.int64).T.ravel()


DAYS = 43
"""Bits of the microseconds of a run."""


def ranks(load: Workload, service: Simulated) -> Whole:
    """What goes before arrival in the order of the queue, above its bits, or is added to it [us]."""
    order = service.deployment.order
    if order == ORDERS[3]:
        late = 1e6 * service.deployment.due * (1 + load.priority) - own_prefill(load, service) / 1e6
        return np.rint(late).astype(np.int64)
    if order not in (ORDERS[1], ORDERS[2]):
        return np.zeros(load.size, dtype=np.int64)
    _, place = np.unique(load.priority if order == ORDERS[1] else load.isl, return_inverse=True)
    return np.minimum(place, (1 << (62 - DAYS)) - 1).astype(np.int64) << DAYS


UNSEEN = ("left", "right", "start", "first", "finish", "where")
"""Rows of requests that are -1 until they are known."""


def own_prefill(load: Workload, service: Simulated) -> Real:
    """About how long the prompts take alone [ps]."""
    mix = service.times[0].mix
    tokens = min(service.limits.tokens, mix.size - 1)
    return np.asarray(load.isl * float(mix[tokens]) / max(tokens, 1))


def replicas_of(service: Simulated, rules: LoopRules, places: dict[str, int], kept: Whole) -> Whole:
    """Records of the replicas, idle; scaled by load, only the fewest of them are on. places: where what is theirs
    begins; kept: `limits_of` models.
    """
    given, size = service.deployment, rules.replicas
    zero, each = np.zeros(size, dtype=np.int64), np.arange(size)
    made = dict.fromkeys(Replicas._fields, zero)
    model = each % len(service.times)
    made["next"] = np.full(size, NEVER, dtype=np.int64)
    made["queue"] = np.full(size, -1, dtype=np.int64)
    made["on"] = np.where(each < rules.fewest, ON, OFF)
    if given.prefill:
        made["role"] = np.where(each < given.prefill, PREFILLS, DECODES)
    made["model"] = model
    for column, name in enumerate(("seqs", "tokens", "cap", "pool")):
        made[name] = kept[model, column]
    made["classes"] = places["classes"] + each * rules.size
    made["ends"] = places["ends"] + each * rules.seqs
    made["prompts"] = places["prompts"] + each * rules.seqs
    made["pieces"] = places["pieces"] + each * (rules.hashes + 1 + TIERS) * P_SIZE
    made["order"] = made["pieces"] + rules.hashes * P_SIZE
    return np.array([made[name] for name in Replicas._fields], dtype=np.int64).T.ravel()


def caches_of(rules: LoopRules, begin: int) -> Whole:
    """Caches with nothing in them: pieces that are not there, and the ends of empty orders, of each tier one."""
    size = rules.hashes + 1 + TIERS
    one = np.zeros((rules.replicas, size, P_SIZE), dtype=np.int64)
    one[:, :, P_USERS] = ABSENT
    for end in range(rules.hashes, size):
        order = begin + (np.arange(rules.replicas) * size + end) * P_SIZE
        one[:, end, P_BEFORE] = one[:, end, P_AFTER] = order
    return one.ravel()


def events_of(given: ReplicaSet, first: int) -> Whole:
    """Failures and returns in order of time, and one that never comes."""
    found = [(ps(one.start), first + one.replica * R_SIZE, 0) for one in given.outages]
    found += [(ps(one.end), first + one.replica * R_SIZE, 1) for one in given.outages if one.end < math.inf]
    return np.array([*sorted(found), (NEVER, 0, 0)], dtype=np.int64).ravel()


def tables_of(service: Simulated, rules: LoopRules) -> dict[str, Whole]:
    """The step times of all models."""
    times = service.times
    return {
        "base": np.concatenate([stretched(one.base, rules.deep) for one in times]),
        "slope": np.concatenate([stretched(one.slope, rules.deep) for one in times]),
        "mix": np.concatenate([stretched(one.mix, rules.wide) for one in times]),
        "pairs": np.array([one.pairs for one in times], dtype=np.int64),
    }


def row_of(load: Workload, service: Simulated, seed: int) -> Whole:
    """Everything before the first request: the loop's row (`state`)."""
    rules = rules_of(load, service)
    kept = limits_of(load, service, rules.size)
    parts = {
        "common": np.zeros(COMMON, dtype=np.int64),
        "rules": np.zeros(len(rules), dtype=np.int64),
        "limits": kept.ravel(),
        **tables_of(service, rules),
        "known": load.pieces * P_SIZE if rules.hashes else np.zeros(0, dtype=np.int64),
        "classes": np.zeros(rules.replicas * rules.size, dtype=np.int64),
        "ends": np.zeros(rules.replicas * rules.seqs, dtype=np.int64),
        "prompts": np.zeros(rules.replicas * rules.seqs, dtype=np.int64),
        "events": np.zeros(E_SIZE * (1 + 2 * len(service.deployment.outages)), dtype=np.int64),
        "replicas": np.zeros(rules.replicas * R_SIZE, dtype=np.int64),
        "pieces": np.broadcast_to(np.int64(0), rules.replicas * (rules.hashes + 1 + TIERS) * P_SIZE),
        "requests": np.zeros(load.size * Q_SIZE, dtype=np.int64),
    }
    places = dict(zip(parts, np.cumsum([0, *(part.size for part in parts.values())]).tolist(), strict=False))
    known = places["requests"] + int(np.count_nonzero(np.isfinite(load.arrival))) * Q_SIZE
    end = places["replicas"] + rules.replicas * R_SIZE
    tables = {name: places[name] for name in ("base", "slope", "mix", "pairs", "requests", "limits")}
    rules = rules._replace(known=known, first=places["replicas"], end=end, **tables)
    events = events_of(service.deployment, rules.first)
    parts |= {
        "common": common_of(load, rules, places["events"]),
        "rules": np.array(rules, dtype=np.int64),
        "events": np.resize(events, parts["events"].size) if events.size < parts["events"].size else events,
        "replicas": replicas_of(service, rules, places, kept),
        "pieces": caches_of(rules, places["pieces"]),
        "requests": requests_of(load, service, rules, seed, places["known"]),
    }
    return np.concatenate(list(parts.values()), dtype=np.int64, casting="same_kind")


def common_of(load: Workload, rules: LoopRules, events: int) -> Whole:
    """What is common to all, at the start."""
    found = np.zeros(COMMON, dtype=np.int64)
    found[ROBIN] = found[ROBIN_APART] = rules.first
    found[PENDING], found[COMING], found[EVENT] = -1, rules.requests, events
    found[TICK], found[LEFT] = rules.every, load.size
    return found


@dataclass(frozen=True)
class Happened:
    """What happened. By request: arrival, start, first, finish [s], NaN where it did not come to that; replica; hit:
    tokens found in the cache; again: how often it was put back; done, refused. By replica: steps, busy, lit [s].
    duration: from the first arrival to the end [s]; partial: not all was simulated.
    """

    load: Workload
    arrival: Real
    start: Real
    first: Real
    finish: Real
    replica: Whole
    hit: Whole
    again: Whole
    refused: NDArray[np.bool_]
    steps: Whole
    busy: Real
    lit: Real
    duration: float
    partial: bool = False

    @property
    def done(self) -> NDArray[np.bool_]:
        """Requests that have all their tokens."""
        return np.isfinite(self.finish)


def happened(load: Workload, x: Row) -> Happened:
    """What is in the rows, in seconds."""
    first, end, begin_ = int(x[G_FIRST]), int(x[G_END]), int(x[G_REQUESTS])

    def row(entry: int) -> Whole:
        return np.array(x[begin_ + entry : begin_ + load.size * Q_SIZE : Q_SIZE], dtype=np.int64)

    def of_replicas(entry: int) -> Whole:
        return np.array(x[first + entry : end : R_SIZE], dtype=np.int64)

    def seconds(found: Whole) -> Real:
        return np.where((found < 0) | (found >= NEVER), np.nan, found / PICO)

    status, last, finish, where = row(Q_STATE), int(x[LAST]), row(Q_FINISH), row(Q_WHERE)
    known = np.isfinite(load.arrival)
    came = load.arrival if known.all() else np.where(known, load.arrival, seconds(row(Q_ARRIVAL)))
    running = np.where(of_replicas(R_ON) == OFF, 0, last - of_replicas(R_SINCE))
    ends = max(int(finish.max(initial=0)), last)
    begin = float(np.min(came[np.isfinite(came)], initial=np.inf))
    return Happened(
        load,
        came,
        seconds(row(Q_START)),
        seconds(row(Q_FIRST)),
        np.where(status == DONE, seconds(finish), np.nan),
        np.where(where < 0, -1, (where - first) // R_SIZE),
        row(Q_HIT),
        row(Q_AGAIN),
        status == REFUSED,
        of_replicas(R_STEPS),
        of_replicas(R_BUSY) / PICO,
        (of_replicas(R_LIT) + running) / PICO,
        max(ends / PICO - begin, 0.0) if math.isfinite(begin) else 0.0,
        partial=bool(x[LEFT] > 0),
    )
