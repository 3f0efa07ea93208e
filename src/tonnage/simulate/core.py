"""The loop: replicas, their steps, their queues and caches, on a clock of integer picoseconds.

One rule serves prefill, chunked prefill, decode, prefix cache, speculation and preemption: in each step the tokens that
are computed of a request catch up with the tokens that it has. Sequences that decode are counted, not visited: as long
as nobody joins or leaves, k steps of D sequences with C tokens of context take

    k * base[D] + slope[D] * (k * C + D * (what the context gains, summed over the steps))

which is exact in integers, so that a run of equal steps is one event. It ends where the first sequence is done, where
the cache has no block left for the next step, or at the end of the step in which a request comes.

Written for integers, lists or arrays, plain loops and named tuples, which `numba` compiles as they are (`loop`).
"""

from __future__ import annotations

from tonnage.simulate.cache import evict, forget, keep, matched, pin, release
from tonnage.simulate.heaps import floors, merge, put_end, take_end
from tonnage.simulate.state import (
    ABSENT,
    DECODING,
    DONE,
    G_ALONE,
    G_BASE,
    G_CROWD,
    G_DEEP,
    G_DISK,
    G_DISK_PIECE,
    G_EACH,
    G_GAIN,
    G_HASHES,
    G_HOST,
    G_HOST_PIECE,
    G_LATER,
    G_LIMITS,
    G_MIX,
    G_MIXED,
    G_MOVED,
    G_MOVED_TOKEN,
    G_PAIRS,
    G_POOLS,
    G_PREFIX,
    G_SIZE,
    G_SLOPE,
    G_STAGES,
    G_SWITCH,
    G_UNIT,
    G_UNIT_BLOCKS,
    G_WHOLE,
    G_WIDE,
    G_WIDTH,
    HOST,
    LEFT,
    LIMITS,
    MOVING,
    NEVER,
    P_USERS,
    PENDING,
    PLACED,
    PREFILLS,
    Q_AGAIN,
    Q_ARRIVAL,
    Q_BASE,
    Q_DONE,
    Q_DUE,
    Q_END,
    Q_FINISH,
    Q_FIRST,
    Q_FOLLOWS,
    Q_HIGH,
    Q_HIT,
    Q_ISL,
    Q_KEPT,
    Q_KEY,
    Q_LEFT,
    Q_LOW,
    Q_MARK,
    Q_MODEL,
    Q_MOVED,
    Q_RIGHT,
    Q_START,
    Q_STATE,
    Q_STEPS,
    Q_THINK,
    Q_TOTAL,
    R_AGAIN,
    R_ASKED,
    R_BUSY,
    R_CAP,
    R_CLASSES,
    R_CLOCK,
    R_CONTEXT,
    R_DISK,
    R_ENDS,
    R_FLYING,
    R_HITS,
    R_HOST,
    R_JUMP,
    R_LAG,
    R_LIVE,
    R_MODEL,
    R_NEXT,
    R_PIECES,
    R_POOL,
    R_PREFILLS,
    R_PROMPTS,
    R_QUEUE,
    R_ROLE,
    R_RUNNING,
    R_SEQS,
    R_STEP,
    R_STEPS,
    R_TAKEN,
    R_TOKENS,
    R_USED,
    R_WAIT,
    Row,
)


def lasting(x: Row, r: int, k: int) -> int:
    """How long k decode steps of a replica take [ps]."""
    d = x[r + R_RUNNING]
    row = x[r + R_MODEL] * x[G_DEEP] + d
    if x[G_GAIN] == 1024:
        gained = k * (k - 1) // 2
    else:
        s = x[r + R_STEP] * x[G_GAIN]
        gained = floors(k, x[G_GAIN], s) - k * (s >> 10)
    return k * x[x[G_BASE] + row] + x[x[G_SLOPE] + row] * (k * x[r + R_CONTEXT] + d * gained)


def until(x: Row, r: int, time: int, most: int) -> int:
    """The fewest steps, at least one and at most `most`, that last `time` or longer: no step is shorter than the first,
    none longer than one after `most` of them.
    """
    d = x[r + R_RUNNING]
    row = x[r + R_MODEL] * x[G_DEEP] + d
    base, slope = x[x[G_BASE] + row], x[x[G_SLOPE] + row]
    first = base + slope * x[r + R_CONTEXT]
    last = first + slope * d * (((most * x[G_GAIN]) >> 10) + 1)
    low = high = most
    if first > 0:
        high = (time - 1) // first + 1
        low = (time - 1) // last + 1
    if high > most:
        high = most
    if low > high:
        low = high
    if low < 1:
        low = 1
    while low < high:
        middle = (low + high) >> 1
        spent = lasting(x, r, middle)
        if spent >= time:
            high = middle
        else:
            low = middle + 1
    return low


def grown(x: Row, r: int, k: int) -> int:
    """Blocks that the sequences of a replica that decode take in its next k steps.

    A sequence whose context is c + G, G gained in the replica's steps, holds floor((c + G - 1) / size) + 1. With c - 1
    = size f + o and G = size q + m, that is f + q + 1, and one more where o + m reaches size: sequences are counted by
    o, and between two G all of them take a block for each q, those whose o lies between the two ends of m one more.
    """
    size, s = x[G_SIZE], x[r + R_STEP]
    if k == 1 and x[G_GAIN] == 1024:
        return x[x[r + R_CLASSES] + size - 1 - s % size]
    before, after = s, s + k
    if x[G_GAIN] != 1024:
        before, after = (s * x[G_GAIN]) >> 10, ((s + k) * x[G_GAIN]) >> 10
    low, high = size - 1 - before % size, size - 1 - after % size
    found = x[r + R_RUNNING] * (after // size - before // size)
    at = x[r + R_CLASSES]
    while low > high:
        found += x[at + low]
        low -= 1
    while low < high:
        low += 1
        found -= x[at + low]
    return found


def within(x: Row, r: int, free: int, most: int) -> int:
    """The most steps, of `most`, that take no more than `free` blocks; at least one."""
    low, high = 1, most
    middle = most
    while low < high:
        more = grown(x, r, middle)
        if more <= free:
            low = middle
        else:
            high = middle - 1
        middle = (low + high + 1) >> 1
    return low


def leave(x: Row, r: int, i: int) -> int:
    """A request that decodes leaves its replica's count; returns its context."""
    size = x[G_SIZE]
    base = x[i + Q_BASE]
    c = base + ((x[r + R_STEP] * x[G_GAIN]) >> 10)
    x[r + R_RUNNING] -= 1
    x[r + R_CONTEXT] -= c
    x[x[r + R_CLASSES] + (base - 1) % size] -= 1
    return c


def join(x: Row, r: int, i: int) -> None:
    """A request whose tokens are all computed decodes from now on."""
    size = x[G_SIZE]
    c = x[i + Q_TOTAL]
    base = c - ((x[r + R_STEP] * x[G_GAIN]) >> 10)
    x[i + Q_BASE] = base
    x[i + Q_END] = x[r + R_STEP] + x[i + Q_STEPS]
    x[i + Q_STATE] = DECODING
    put_end(x, x[r + R_ENDS], x[r + R_RUNNING], (x[i + Q_END] << 32) | i)
    x[r + R_RUNNING] += 1
    x[r + R_CONTEXT] += c
    x[x[r + R_CLASSES] + (base - 1) % size] += 1


def come(x: Row, i: int, time: int) -> None:
    """A request will come at a time that was not known before."""
    x[i + Q_DUE] = time
    x[i + Q_LEFT] = -1
    x[i + Q_RIGHT] = -1
    x[PENDING] = merge(x, x[PENDING], i, Q_DUE)


def finish(x: Row, r: int, i: int, time: int) -> None:
    """A request has all its tokens."""
    x[i + Q_STATE] = DONE
    x[i + Q_FINISH] = time if time > x[i + Q_FIRST] else x[i + Q_FIRST]
    if x[G_ALONE] == 0:
        x[r + R_FLYING] -= 1
        x[r + R_ASKED] -= x[i + Q_ISL]
    x[LEFT] -= 1
    f = x[i + Q_FOLLOWS] if x[G_LATER] > 0 else -1
    if f >= 0:
        x[f + Q_ARRIVAL] = x[i + Q_FINISH] + x[f + Q_THINK]
        come(x, f, x[f + Q_ARRIVAL])


def computed(x: Row, r: int, i: int, time: int, lag: int) -> None:
    """All tokens of a request are computed: it has one more, or its cache moves to another pool."""
    if x[r + R_ROLE] == PREFILLS:
        release(x, r, i, x[i + Q_TOTAL])
        x[r + R_FLYING] -= 1
        x[r + R_ASKED] -= x[i + Q_ISL]
        x[i + Q_STATE] = MOVING
        x[i + Q_MOVED] = 1
        come(x, i, time + lag + x[G_MOVED] + x[G_MOVED_TOKEN] * x[i + Q_TOTAL])
        return
    if x[i + Q_FIRST] < 0:
        x[i + Q_FIRST] = time + lag
    else:
        x[i + Q_STEPS] -= 1
    if x[i + Q_STEPS] > 0:
        join(x, r, i)
        return
    release(x, r, i, x[i + Q_TOTAL])
    if x[G_HASHES] > 0:
        keep(x, r, i, x[i + Q_TOTAL])
    finish(x, r, i, time)


def complete(x: Row, r: int, time: int) -> None:
    """What a replica was doing is done: sequences have their tokens, prompts theirs computed."""
    k = x[r + R_JUMP]
    if k == 0:
        return
    x[r + R_STEPS] += k
    x[r + R_BUSY] += time - x[r + R_CLOCK]
    if x[r + R_LIVE] > 0 and x[r + R_RUNNING] > 0:
        s = x[r + R_STEP]
        more = grown(x, r, k)
        x[r + R_USED] += more
        x[r + R_TAKEN] += more
        x[r + R_STEP] = s + k
        gained = k if x[G_GAIN] == 1024 else (((s + k) * x[G_GAIN]) >> 10) - ((s * x[G_GAIN]) >> 10)
        x[r + R_CONTEXT] += x[r + R_RUNNING] * gained
        evict(x, r, 0)
    ends, prompts, s = x[r + R_ENDS], x[r + R_PROMPTS], x[r + R_STEP]
    while x[r + R_RUNNING] > 0 and (x[ends] >> 32) <= s:
        i = x[ends] & 0xFFFFFFFF
        take_end(x, ends, x[r + R_RUNNING], 0)
        c = leave(x, r, i)
        release(x, r, i, c)
        if x[G_HASHES] > 0:
            keep(x, r, i, c)
        finish(x, r, i, time)
    count = x[r + R_PREFILLS]
    stay = 0
    x[r + R_PREFILLS] = 0
    for j in range(prompts, prompts + count):
        i = x[j]
        if x[i + Q_DONE] == x[i + Q_TOTAL]:
            computed(x, r, i, time, x[r + R_LAG])
        else:
            x[prompts + stay] = i
            stay += 1
    x[r + R_PREFILLS] = stay


def remember(x: Row, r: int, i: int, tokens: int, blocks: int) -> None:
    """What a request had computed stays in its blocks until they are taken again: those that are free go first, the
    longest free before all, then its own from its end on.
    """
    kept = tokens // x[G_SIZE]
    x[i + Q_KEPT] = kept
    x[i + Q_MARK] = x[r + R_TAKEN] + x[r + R_POOL] - x[r + R_USED] + blocks - kept


def found_again(x: Row, r: int, i: int) -> int:
    """Tokens of a request that was put back that are still in its blocks; the last token is computed in any case.
    Where prompts have pieces in common, these alone are found again.
    """
    if x[G_PREFIX] == 0 or x[G_HASHES] > 0 or x[i + Q_KEPT] == 0:
        return 0
    blocks = x[i + Q_KEPT] - max(0, x[r + R_TAKEN] - x[i + Q_MARK])
    return max(0, min(blocks, (x[i + Q_TOTAL] - 1) // x[G_SIZE])) * x[G_SIZE]


def put_back(x: Row, r: int, i: int) -> None:
    """A request loses its place: all tokens that it has are to be computed again."""
    ends, prompts = x[r + R_ENDS], x[r + R_PROMPTS]
    if x[i + Q_STATE] == DECODING:
        for j in range(x[r + R_RUNNING]):
            if (x[ends + j] & 0xFFFFFFFF) == i:
                take_end(x, ends, x[r + R_RUNNING], j)
                break
        c = leave(x, r, i)
        x[i + Q_STEPS] = x[i + Q_END] - x[r + R_STEP]
        remember(x, r, i, c, (c - 1) // x[G_SIZE] + 1)
        release(x, r, i, c)
        x[i + Q_TOTAL] = c + 1
    else:
        keep_at = 0
        for j in range(x[r + R_PREFILLS]):
            if x[prompts + j] != i:
                x[prompts + keep_at] = x[prompts + j]
                keep_at += 1
        x[r + R_PREFILLS] = keep_at
        remember(x, r, i, x[i + Q_DONE], (x[i + Q_TOTAL] - 1) // x[G_SIZE] + 1)
        release(x, r, i, x[i + Q_TOTAL])
    x[i + Q_DONE] = 0
    x[i + Q_MOVED] = 0
    x[i + Q_AGAIN] += 1
    x[r + R_AGAIN] += 1
    x[i + Q_STATE] = PLACED
    x[i + Q_LEFT] = -1
    x[i + Q_RIGHT] = -1


def latest(x: Row, r: int) -> int:
    """Of the requests that a replica runs, the last in the order of the queue."""
    ends, prompts = x[r + R_ENDS], x[r + R_PROMPTS]
    found = -1
    for j in range(x[r + R_RUNNING] + x[r + R_PREFILLS]):
        decodes = j < x[r + R_RUNNING]
        i = x[ends + j] & 0xFFFFFFFF if decodes else x[prompts + j - x[r + R_RUNNING]]
        if found < 0 or x[i + Q_KEY] > x[found + Q_KEY] or (x[i + Q_KEY] == x[found + Q_KEY] and i > found):
            found = i
    return found


def make_room(x: Row, r: int) -> int:
    """Put requests back until the next decode step has its blocks; returns how many."""
    gone = 0
    while x[r + R_RUNNING] > 0:
        if x[r + R_USED] + x[r + R_RUNNING] * x[G_WIDTH] <= x[r + R_POOL]:
            break
        more = grown(x, r, 1)
        if more <= x[r + R_POOL] - x[r + R_USED]:
            break
        i = latest(x, r)
        put_back(x, r, i)
        x[r + R_QUEUE] = merge(x, x[r + R_QUEUE], i, Q_KEY)
        gone += 1
    return gone


def fits(x: Row, r: int, i: int, more: int) -> int:
    """Tokens of a request that the cache has, or -1 where a replica has no room for the rest beside `more` blocks."""
    blocks = (x[i + Q_TOTAL] - 1) // x[G_SIZE] + 1
    if x[G_HASHES] == 0 or x[i + Q_HIGH] == x[i + Q_LOW]:
        if x[r + R_USED] + more + blocks > x[r + R_POOL]:
            return -1
        return found_again(x, r, i)
    pieces = min(x[i + Q_HIGH] - x[i + Q_LOW], x[i + Q_ISL] // x[G_UNIT])
    at = x[r + R_PIECES]
    blocks -= pieces * x[G_UNIT_BLOCKS]
    for j in range(x[i + Q_LOW], x[i + Q_LOW] + pieces):
        if x[at + x[j] + P_USERS] <= 0:
            blocks += x[G_UNIT_BLOCKS]
    if x[r + R_USED] + more + blocks > x[r + R_POOL]:
        return -1
    return min(matched(x, r, i), pieces, (x[i + Q_TOTAL] - 1) // x[G_UNIT]) * x[G_UNIT]


def bring_back(x: Row, r: int, i: int, pieces: int) -> int:
    """How long the first pieces of a prompt take to come from host and disk, one after the other [ps]."""
    at, found = x[r + R_PIECES] + P_USERS, 0
    for j in range(x[i + Q_LOW], x[i + Q_LOW] + pieces):
        users = x[at + x[j]]
        if users < ABSENT:
            found += x[G_HOST_PIECE] if users == HOST else x[G_DISK_PIECE]
    return found


def admit(x: Row, r: int, i: int, hit: int, time: int, more: int) -> None:
    """The first of the queue begins: its blocks are taken, what the cache has of it need not be computed."""
    x[r + R_QUEUE] = merge(x, x[i + Q_LEFT], x[i + Q_RIGHT], Q_KEY)
    pieces = 0
    if x[G_HASHES] > 0 and x[i + Q_HIGH] > x[i + Q_LOW]:
        pieces = min(x[i + Q_HIGH] - x[i + Q_LOW], x[i + Q_ISL] // x[G_UNIT])
        if x[r + R_HOST] + x[r + R_DISK] > 0 and x[i + Q_MOVED] == 0:
            x[r + R_WAIT] += bring_back(x, r, i, hit // x[G_UNIT])
        pin(x, r, i, pieces)
    blocks = (x[i + Q_TOTAL] - 1) // x[G_SIZE] + 1 - pieces * x[G_UNIT_BLOCKS]
    x[r + R_USED] += blocks
    moved = x[G_POOLS] > 0 and x[i + Q_MOVED] > 0
    x[r + R_TAKEN] += blocks - (0 if pieces > 0 or moved else hit // x[G_SIZE])
    evict(x, r, more)
    if x[i + Q_START] < 0:
        x[i + Q_START] = time
        x[i + Q_HIT] = hit
        x[r + R_HITS] += hit
    x[i + Q_DONE] = x[i + Q_TOTAL] - 1 if moved else hit
    x[x[r + R_PROMPTS] + x[r + R_PREFILLS]] = i
    x[r + R_PREFILLS] += 1


def extra(x: Row, r: int, live: int, tokens: int, looks: int, prompts: int) -> int:
    """What `tokens` of `prompts` prompts, which look at `looks` / 2 others, add to a step [ps]."""
    m = x[r + R_MODEL]
    beside = live * x[G_WIDTH] // x[G_STAGES]
    row = x[G_MIX] + m * x[G_WIDE] + beside
    found = x[row + tokens] + ((x[x[G_PAIRS] + m] * looks) >> 11) + x[G_EACH] * prompts
    if live > 0:
        found = ((found - x[row]) * x[G_CROWD]) >> 10
    return found


def shortest(tokens: int, budget: int, cap: int) -> int:
    """New tokens of a prompt in a step: what is left of it, of the step's, or as many as one may have; none less than
    zero.
    """
    n = tokens
    if n > budget:
        n = budget
    if n > cap:
        n = cap
    if n < 0:
        n = 0
    return n


def plan_step(x: Row, r: int, time: int) -> None:
    """Decide what a replica does from now on."""
    x[r + R_CLOCK] = time
    if x[G_HOST] + x[G_DISK] > 0:
        x[r + R_WAIT] = 0
    gone = more = 0
    budget = x[r + R_TOKENS]
    if x[G_MIXED] > 0 and x[r + R_RUNNING] > 0:
        gone = make_room(x, r)
        budget -= x[r + R_RUNNING] * x[G_WIDTH]
    tokens = looks = prompts = 0
    for j in range(x[r + R_PROMPTS], x[r + R_PROMPTS] + x[r + R_PREFILLS]):
        i = x[j]
        n = shortest(x[i + Q_TOTAL] - x[i + Q_DONE], budget, x[r + R_CAP])
        budget -= n
        tokens += n
        looks += n * (2 * x[i + Q_DONE] + n)
        x[i + Q_DONE] += n
        prompts += 1
    while gone == 0 and x[r + R_QUEUE] >= 0 and budget > 0 and x[r + R_RUNNING] + x[r + R_PREFILLS] < x[r + R_SEQS]:
        i = x[r + R_QUEUE]
        if x[G_ALONE] == 0 and x[i + Q_MODEL] != x[r + R_MODEL]:
            if x[r + R_RUNNING] + x[r + R_PREFILLS] == 0:
                load(x, r, x[i + Q_MODEL], time)
                return
            break
        if x[G_MIXED] > 0 and x[r + R_RUNNING] > 0:
            more = grown(x, r, 1)
        hit = fits(x, r, i, more)
        if hit < 0:
            break
        n = 1 if x[G_POOLS] > 0 and x[i + Q_MOVED] > 0 else x[i + Q_TOTAL] - hit
        if x[G_WHOLE] > 0 and n > budget and tokens > 0:
            break
        if x[G_WHOLE] == 0:
            n = shortest(n, budget, x[r + R_CAP])
        admit(x, r, i, hit, time, more)
        budget -= n
        tokens += n
        looks += n * (2 * x[i + Q_DONE] + n)
        x[i + Q_DONE] += n
        prompts += 1
    if tokens > 0:
        mixed_step(x, r, tokens, looks, prompts)
    else:
        decode_steps(x, r, gone)


def take_on(x: Row, r: int, model: int) -> None:
    """The limits of a model are those of the replica that has it."""
    at = x[G_LIMITS] + LIMITS * model
    x[r + R_MODEL] = model
    x[r + R_SEQS] = x[at]
    x[r + R_TOKENS] = x[at + 1]
    x[r + R_CAP] = x[at + 2]
    x[r + R_POOL] = x[at + 3]


def load(x: Row, r: int, model: int, time: int) -> None:
    """An idle replica loads another model; its cache is lost."""
    take_on(x, r, model)
    forget(x, r)
    x[r + R_JUMP] = 0
    x[r + R_NEXT] = time + x[G_SWITCH]


def mixed_step(x: Row, r: int, tokens: int, looks: int, prompts: int) -> None:
    """One step with prompts; sequences that decode ride in it or wait. What comes back from host or disk comes layer by
    layer beside the computing, so that the step takes the longer of both.
    """
    live = x[r + R_RUNNING] if x[G_MIXED] > 0 else 0
    time = 0
    if live > 0:
        time = lasting(x, r, 1)
    more = extra(x, r, live, tokens, looks, prompts)
    if x[G_MIXED] == 0 and x[r + R_RUNNING] > 0:
        more = (more * x[G_CROWD]) >> 10
    x[r + R_LIVE] = live
    x[r + R_JUMP] = 1
    x[r + R_LAG] = more // x[G_STAGES] * (x[G_STAGES] - 1)
    spent = time + (more // x[G_STAGES] if more >= x[G_STAGES] else 1)
    if x[G_HOST] + x[G_DISK] > 0 and spent < x[r + R_WAIT]:
        spent = x[r + R_WAIT]
    x[r + R_NEXT] = x[r + R_CLOCK] + spent


def decode_steps(x: Row, r: int, gone: int) -> None:
    """As many equal steps as nothing ends; none where nobody decodes."""
    if x[G_MIXED] == 0:
        gone += make_room(x, r)
    x[r + R_LIVE] = x[r + R_RUNNING]
    if x[r + R_RUNNING] == 0:
        x[r + R_JUMP] = 0
        x[r + R_NEXT] = x[r + R_CLOCK] if gone > 0 else NEVER
        return
    s = x[r + R_STEP]
    k = 1 if gone > 0 else (x[x[r + R_ENDS]] >> 32) - s
    most = x[r + R_RUNNING] * (((k * x[G_GAIN]) >> 10) // x[G_SIZE] + 2)
    free = x[r + R_POOL] - x[r + R_USED]
    if most > free:
        k = within(x, r, free, k)
    x[r + R_JUMP] = k
    spent = lasting(x, r, k)
    x[r + R_NEXT] = x[r + R_CLOCK] + spent


def cut(x: Row, r: int, time: int) -> None:
    """End a run of equal steps with the step in which `time` lies."""
    if x[r + R_JUMP] > 1:
        k = until(x, r, time - x[r + R_CLOCK], x[r + R_JUMP])
        spent = lasting(x, r, k)
        x[r + R_JUMP] = k
        x[r + R_NEXT] = x[r + R_CLOCK] + spent
