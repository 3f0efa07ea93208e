"""What the loop reads and writes: one row of 64-bit integers.

It begins with what is common to all and with the rules; records of replicas, requests, pieces of prompts and events
follow, and the tables of step times. A record is named by the place where it begins, an entry of it by its place in the
record: `x[r + R_STEP]` is the step of replica r. One row, for a compiled function that is handed many counts references
to each, at a hundred times the cost of what it then does. Times are picoseconds, lengths tokens, memory blocks.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import NamedTuple

Row = MutableSequence[int]
"""An array of 64-bit integers, of Python's own where the loop runs as Python, of numpy's where it is compiled."""

NEVER = 1 << 62
"""A time that does not come [ps]."""

WHOLE = 1024
"""One, in numbers that are counted in 1,024ths."""

SERVES, PREFILLS, DECODES = 0, 1, 2
"""What a replica does: both, or a request's prefill only, or what comes after it."""

ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE = 0, 1, 2
"""How requests are routed."""

EXPECTED, PLACED, DECODING, MOVING, DONE, REFUSED = 0, 1, 2, 3, 4, 5
"""Where a request is; placed: on a replica, in its queue or with its prompt under way; refused: no replica could ever
hold it, or none is left."""

OFF, ON, LOADING, DRAINING = 0, 1, 2, 3
"""Whether a replica takes requests."""

ROBIN, ROBIN_APART, PENDING, COMING, EVENT, TICK, LEFT, LAST = 0, 1, 2, 3, 4, 5, 6, 7
"""Places at the beginning: turns of round robin before and behind the transfer, root of the heap of requests to come,
next request of a known arrival, next failure or return, next look of the autoscaler [ps], requests that are not done,
latest time [ps]."""

COMMON = 8
"""Entries of it."""


class LoopRules(NamedTuple):
    """What does not change.

    seqs: sequences of a replica at once, of any model; size: tokens of a block; mixed: 1 where prompts ride in decode
    steps; whole: 1 where prompts are not cut into chunks; gain: tokens gained per decode step [1/1,024]; width: tokens
    that a decode step computes a sequence; crowd: prefill in service over prefill alone [1/1,024]; stages: of a
    pipeline; each: host time of a sequence of a prefill [ps]; route; unit: tokens of a hashed piece of a prompt;
    unit_blocks; hashes: how many pieces are known; replicas; moved, moved_token: time of a transfer between pools, and
    more per token [ps]; every: time between two looks of the autoscaler, 0 for none [ps]; target: requests in flight of
    a replica that it aims at; fewest: replicas; loading: time until a new one takes requests [ps]; switch: time to load
    another model [ps]; stay: requests in flight that a replica with another model counts for beside its own; known:
    requests whose arrival is known beforehand, as the place behind them; deep, wide: entries of a model in the tables
    by sequences and by tokens. Places: base, slope: of a decode step by model and sequences, its time without context,
    and what each token of context of all of them adds [ps]; mix: of a step of so many new tokens, without attention
    [ps]; pairs: by model, for each token of a prompt and token that it looks at [ps/1,024]; first, end: of the
    replicas; requests; limits: by model, sequences of a replica at once at most, new tokens of a step at most, of them
    of one prompt, blocks of a replica. prefix: 1 where the cache of what was computed is found again; host, disk:
    pieces of prompts that a replica has room for there; host_piece, disk_piece: time to bring one back [ps]. alone: 1
    where there is one replica, of one model, that never stops; pools: 1 where prefill is apart; later: 1 where requests
    may come at times that are not known beforehand.
    """

    seqs: int
    size: int
    mixed: int
    whole: int
    gain: int
    width: int
    crowd: int
    stages: int
    each: int
    route: int
    unit: int
    unit_blocks: int
    hashes: int
    replicas: int
    moved: int
    moved_token: int
    every: int
    target: int
    fewest: int
    loading: int
    switch: int
    stay: int
    known: int
    deep: int
    wide: int
    base: int
    slope: int
    mix: int
    pairs: int
    first: int
    end: int
    requests: int
    prefix: int
    limits: int
    host: int
    disk: int
    host_piece: int
    disk_piece: int
    alone: int
    pools: int
    later: int


class Requests(NamedTuple):
    """By request. Given: arrival; isl; steps: of decode that are left; rank: what arrival [us] is added to for the
    order of the queue; model; low, high: its pieces among all; follows: who comes after
    it is done, -1 nobody; think: how long after [ps]. Found: state; done, total: tokens computed by the end of the
    present step, and to be; base: context less what a replica's steps have gained; due: when it comes (again); end:
    step in which it is done; pieces: held of the cache; key: place in the queue; left, right: of a heap; moved: whether
    its cache came from a prefill pool; start, first, finish: times, -1 if not yet; where: replica; hit: tokens found in
    the cache; again: how often it was put back; kept: blocks that it had computed then; mark: of all blocks that its
    replica takes, the one from which on these go.
    """

    arrival: Row
    isl: Row
    steps: Row
    rank: Row
    model: Row
    low: Row
    high: Row
    follows: Row
    think: Row
    state: Row
    done: Row
    total: Row
    base: Row
    due: Row
    end: Row
    pieces: Row
    key: Row
    left: Row
    right: Row
    moved: Row
    start: Row
    first: Row
    finish: Row
    where: Row
    hit: Row
    again: Row
    kept: Row
    mark: Row


class Replicas(NamedTuple):
    """By replica. clock, next: start and end of what it is doing; jump: how many steps that is; live: whether they
    decode; running: sequences that decode; context: of all of them; step: decode steps so far; used: blocks;
    prefills: how many prompts are being computed; queue: root of the heap of those
    that wait; flying, asked: requests and tokens that it has; lag: of first tokens behind a step, in the other
    stages of a pipeline; steps, busy, again, hits: totals; role; on; ready: when loading ends; since, lit: on
    since, and time on before; cached: pieces that nobody uses; model. Places: classes: counts of `grown`; ends: a
    heap of (step in which it is done, request); prompts: that are being computed; pieces: of its cache; order:
    before the first and behind the last of those that nobody uses, and behind it the same of the host's and the disk's.
    taken: blocks that were taken so far; host, disk: pieces there; wait: time to bring back what the step needs [ps];
    seqs, tokens, cap, pool: limits of the model that it has.
    """

    clock: Row
    next: Row
    jump: Row
    live: Row
    running: Row
    context: Row
    step: Row
    used: Row
    prefills: Row
    queue: Row
    flying: Row
    asked: Row
    lag: Row
    steps: Row
    busy: Row
    again: Row
    hits: Row
    role: Row
    on: Row
    ready: Row
    since: Row
    lit: Row
    cached: Row
    model: Row
    classes: Row
    ends: Row
    prompts: Row
    pieces: Row
    order: Row
    taken: Row
    host: Row
    disk: Row
    wait: Row
    seqs: Row
    tokens: Row
    cap: Row
    pool: Row


# Places of entries.

(
    G_SEQS,
    G_SIZE,
    G_MIXED,
    G_WHOLE,
    G_GAIN,
    G_WIDTH,
    G_CROWD,
    G_STAGES,
    G_EACH,
    G_ROUTE,
    G_UNIT,
    G_UNIT_BLOCKS,
    G_HASHES,
    G_REPLICAS,
    G_MOVED,
    G_MOVED_TOKEN,
    G_EVERY,
    G_TARGET,
    G_FEWEST,
    G_LOADING,
    G_SWITCH,
    G_STAY,
    G_KNOWN,
    G_DEEP,
    G_WIDE,
    G_BASE,
    G_SLOPE,
    G_MIX,
    G_PAIRS,
    G_FIRST,
    G_END,
    G_REQUESTS,
    G_PREFIX,
    G_LIMITS,
    G_HOST,
    G_DISK,
    G_HOST_PIECE,
    G_DISK_PIECE,
    G_ALONE,
    G_POOLS,
    G_LATER,
) = range(COMMON, COMMON + 41)
(
    Q_ARRIVAL,
    Q_ISL,
    Q_STEPS,
    Q_RANK,
    Q_MODEL,
    Q_LOW,
    Q_HIGH,
    Q_FOLLOWS,
    Q_THINK,
    Q_STATE,
    Q_DONE,
    Q_TOTAL,
    Q_BASE,
    Q_DUE,
    Q_END,
    Q_PIECES,
    Q_KEY,
    Q_LEFT,
    Q_RIGHT,
    Q_MOVED,
    Q_START,
    Q_FIRST,
    Q_FINISH,
    Q_WHERE,
    Q_HIT,
    Q_AGAIN,
    Q_KEPT,
    Q_MARK,
) = range(28)
Q_SIZE = 28
(
    R_CLOCK,
    R_NEXT,
    R_JUMP,
    R_LIVE,
    R_RUNNING,
    R_CONTEXT,
    R_STEP,
    R_USED,
    R_PREFILLS,
    R_QUEUE,
    R_FLYING,
    R_ASKED,
    R_LAG,
    R_STEPS,
    R_BUSY,
    R_AGAIN,
    R_HITS,
    R_ROLE,
    R_ON,
    R_READY,
    R_SINCE,
    R_LIT,
    R_CACHED,
    R_MODEL,
    R_CLASSES,
    R_ENDS,
    R_PROMPTS,
    R_PIECES,
    R_ORDER,
    R_TAKEN,
    R_HOST,
    R_DISK,
    R_WAIT,
    R_SEQS,
    R_TOKENS,
    R_CAP,
    R_POOL,
) = range(37)
R_SIZE = 37
P_USERS, P_BEFORE, P_AFTER, P_SIZE = range(4)
"""Of a piece of a prompt in a replica's cache: who uses it, less than 0 where it is not there; what goes before and
after it of those that nobody uses, or of those of its tier."""

ABSENT, HOST, DISK = -1, -2, -3
"""Users of a piece that is not in the cache: nowhere, on the host, on disk."""

TIERS = 2
LIMITS = 4
"""Entries of the limits of a model."""

E_TIME, E_REPLICA, E_BACK, E_SIZE = range(4)
"""Of a failure or return: when [ps], which replica, and whether it returns."""
