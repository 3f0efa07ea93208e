"""The loop's outside: requests come and are routed, replicas fail, return and are started or stopped by load."""

from __future__ import annotations

from tonnage.simulate.cache import forget, matched
from tonnage.simulate.core import come, complete, cut, lasting, latest, plan_step, put_back, until
from tonnage.simulate.heaps import merge
from tonnage.simulate.state import (
    COMING,
    DECODES,
    DRAINING,
    E_BACK,
    E_REPLICA,
    E_SIZE,
    E_TIME,
    EVENT,
    EXPECTED,
    G_ALONE,
    G_END,
    G_EVERY,
    G_FEWEST,
    G_FIRST,
    G_GAIN,
    G_KNOWN,
    G_LATER,
    G_LIMITS,
    G_LOADING,
    G_REPLICAS,
    G_ROUTE,
    G_SIZE,
    G_STAY,
    G_TARGET,
    G_UNIT,
    LAST,
    LEFT,
    LIMITS,
    LOADING,
    NEVER,
    OFF,
    ON,
    PENDING,
    PLACED,
    PREFIX_AWARE,
    Q_ARRIVAL,
    Q_DUE,
    Q_FOLLOWS,
    Q_ISL,
    Q_KEPT,
    Q_KEY,
    Q_LEFT,
    Q_MODEL,
    Q_MOVED,
    Q_RANK,
    Q_RIGHT,
    Q_SIZE,
    Q_STATE,
    Q_STEPS,
    Q_THINK,
    Q_WHERE,
    R_ASKED,
    R_CLOCK,
    R_FLYING,
    R_JUMP,
    R_LIT,
    R_MODEL,
    R_NEXT,
    R_ON,
    R_PREFILLS,
    R_QUEUE,
    R_READY,
    R_ROLE,
    R_RUNNING,
    R_SINCE,
    R_SIZE,
    REFUSED,
    ROBIN,
    ROBIN_APART,
    ROUND_ROBIN,
    TICK,
    Row,
)


def price(x: Row, r: int, i: int) -> int:
    """What a router counts a replica for: requests in flight, or tokens that are to be computed there."""
    if x[G_ROUTE] == PREFIX_AWARE and x[i + Q_MOVED] == 0:
        if x[r + R_MODEL] != x[i + Q_MODEL]:
            return x[r + R_ASKED] + x[i + Q_ISL] * (1 + x[G_STAY])
        return x[r + R_ASKED] + x[i + Q_ISL] - matched(x, r, i) * x[G_UNIT]
    found = x[r + R_FLYING]
    if x[r + R_MODEL] != x[i + Q_MODEL]:
        found += x[G_STAY]
    return found


def choose(x: Row, i: int) -> int:
    """The replica that a request goes to, or -1: in turn, or of the lowest price, equal ones in turn."""
    apart = x[i + Q_MOVED] > 0
    turn = ROBIN_APART if apart else ROBIN
    found, best, r = -1, 0, x[turn]
    for _ in range(x[G_REPLICAS]):
        if x[r + R_ON] == ON and (x[r + R_ROLE] == DECODES) == apart:
            if x[G_ROUTE] == ROUND_ROBIN:
                found = r
                break
            cost = price(x, r, i)
            if found < 0 or cost < best:
                found, best = r, cost
        r = after(x, r)
    if found >= 0:
        x[turn] = after(x, found)
    return found


def after(x: Row, r: int) -> int:
    """The next replica, after the last the first."""
    return r + R_SIZE if r + R_SIZE < x[G_END] else x[G_FIRST]


def too_long(x: Row, i: int) -> bool:
    """Whether a request alone is more than a replica's cache holds, with the request's model on it."""
    tokens = x[i + Q_ISL] + ((x[i + Q_STEPS] * x[G_GAIN]) >> 10) + 1
    return (tokens - 1) // x[G_SIZE] + 1 > x[x[G_LIMITS] + LIMITS * x[i + Q_MODEL] + 3]


def refuse(x: Row, i: int, time: int) -> None:
    """A request that nobody will serve; whoever follows it comes all the same."""
    x[i + Q_STATE] = REFUSED
    x[LEFT] -= 1
    f = x[i + Q_FOLLOWS] if x[G_LATER] > 0 else -1
    if f >= 0:
        x[f + Q_ARRIVAL] = time + x[f + Q_THINK]
        come(x, f, x[f + Q_ARRIVAL])


def deliver(x: Row, i: int, time: int) -> None:
    """A request comes: to a replica's queue, which looks at it when its step ends, or at once where it is idle."""
    far = False
    if x[G_LATER] == 0 or x[i + Q_STATE] == EXPECTED:
        x[i + Q_KEY] = x[i + Q_RANK] + x[i + Q_ARRIVAL] // 1000000
        far = too_long(x, i)
    if far:
        refuse(x, i, time)
        return
    r = x[G_FIRST] if x[G_ALONE] > 0 else choose(x, i)
    if x[G_ALONE] == 0 and r < 0:
        later = next_change(x)
        if later >= NEVER:
            refuse(x, i, time)
        else:
            come(x, i, later + 1)  # a picosecond behind it: at the same time, what comes would go first, for ever
        return
    x[i + Q_STATE] = PLACED
    x[i + Q_WHERE] = r
    if x[G_LATER] > 0:
        x[i + Q_LEFT] = -1
        x[i + Q_RIGHT] = -1
    x[r + R_QUEUE] = merge(x, x[r + R_QUEUE], i, Q_KEY)
    if x[G_ALONE] == 0:
        x[r + R_FLYING] += 1
        x[r + R_ASKED] += x[i + Q_ISL]
    if x[r + R_NEXT] >= NEVER:
        x[r + R_CLOCK] = time
        x[r + R_JUMP] = 0
        x[r + R_NEXT] = time
    else:
        cut(x, r, time)


def next_change(x: Row) -> int:
    """When the next replica fails or returns, or the autoscaler looks."""
    at = x[EVENT]
    found = x[at + E_TIME]
    if x[G_EVERY] > 0:
        found = min(found, x[TICK])
    return found


def send_away(x: Row, r: int, time: int) -> None:
    """All requests of a replica go to others, with the tokens that they have got."""
    while x[r + R_RUNNING] + x[r + R_PREFILLS] > 0:
        i = latest(x, r)
        put_back(x, r, i)
        x[i + Q_KEPT] = 0
        come(x, i, time)
    while x[r + R_QUEUE] >= 0:
        i = x[r + R_QUEUE]
        x[r + R_QUEUE] = merge(x, x[i + Q_LEFT], x[i + Q_RIGHT], Q_KEY)
        x[i + Q_MOVED] = 0
        x[i + Q_KEPT] = 0
        come(x, i, time)
    x[r + R_FLYING] = 0
    x[r + R_ASKED] = 0


def fail(x: Row, r: int, time: int) -> None:
    """A replica stops: steps that are not done are lost, and its cache."""
    if x[r + R_ON] == OFF:
        return
    if x[r + R_NEXT] < NEVER and x[r + R_JUMP] > 0:
        k = done_by(x, r, time)
        if k > 0:
            x[r + R_JUMP] = k
            complete(x, r, x[r + R_CLOCK] + lasting(x, r, k))
    send_away(x, r, time)
    forget(x, r)
    x[r + R_LIT] += time - x[r + R_SINCE]
    x[r + R_ON] = OFF
    x[r + R_JUMP] = 0
    x[r + R_NEXT] = NEVER


def done_by(x: Row, r: int, time: int) -> int:
    """Steps of a run of equal ones that are done at a time; a single one with prompts is not."""
    spent = time - x[r + R_CLOCK]
    if x[r + R_JUMP] == 1:
        return 0
    k = until(x, r, spent, x[r + R_JUMP])
    return k if lasting(x, r, k) <= spent else k - 1


def light(x: Row, r: int, time: int, how: int) -> None:
    """A replica is paid for from now on."""
    x[r + R_ON] = how
    x[r + R_SINCE] = time
    x[r + R_CLOCK] = time
    x[r + R_NEXT] = NEVER


def change(x: Row, time: int) -> None:
    """The next failure or return, or look of the autoscaler."""
    at = x[EVENT]
    if x[at + E_TIME] <= time:
        r = x[at + E_REPLICA]
        x[EVENT] = at + E_SIZE
        if x[at + E_BACK] == 0:
            fail(x, r, time)
        elif x[r + R_ON] == OFF:
            light(x, r, time, ON)
        return
    scale(x, time)
    x[TICK] = time + x[G_EVERY]


def scale(x: Row, time: int) -> None:
    """As many replicas as requests in flight ask for; new ones load first, old ones finish what they have."""
    flying = there = 0
    for r in range(x[G_FIRST], x[G_END], R_SIZE):
        if x[r + R_ON] == LOADING and x[r + R_READY] <= time:
            x[r + R_ON] = ON
        if x[r + R_ON] == DRAINING and x[r + R_FLYING] == 0:
            x[r + R_ON] = OFF
            x[r + R_LIT] += time - x[r + R_SINCE]
            forget(x, r)
        flying += x[r + R_FLYING]
        if x[r + R_ON] == ON or x[r + R_ON] == LOADING:
            there += 1
    wanted = max(x[G_FEWEST], min(x[G_REPLICAS], -(-flying // x[G_TARGET])))
    for r in range(x[G_FIRST], x[G_END], R_SIZE):
        if there < wanted and x[r + R_ON] == DRAINING:
            x[r + R_ON] = ON
            there += 1
    for r in range(x[G_FIRST], x[G_END], R_SIZE):
        if there < wanted and x[r + R_ON] == OFF:
            light(x, r, time, LOADING)
            x[r + R_READY] = time + x[G_LOADING]
            there += 1
    for r in range(x[G_END] - R_SIZE, x[G_FIRST] - 1, -R_SIZE):
        if there > wanted and x[r + R_ON] == ON:
            x[r + R_ON] = DRAINING
            there -= 1


def coming(x: Row) -> int:
    """When the next request of a known arrival comes."""
    first = x[COMING]
    return x[first + Q_ARRIVAL] if first < x[G_KNOWN] else NEVER


def run(x: Row, most: int) -> int:
    """Go on for at most so many events; returns how many there were, fewer when all is done.

    What comes at the end of a step is seen by the next one: of events at one time, what comes goes before what ends.
    """
    count, time = 0, x[LAST]
    comes = coming(x)
    while count < most and x[LEFT] > 0:
        r, ends = x[G_FIRST], x[x[G_FIRST] + R_NEXT]
        for j in range(x[G_FIRST] + R_SIZE, x[G_END], R_SIZE):
            if x[j + R_NEXT] < ends:
                r, ends = j, x[j + R_NEXT]
        later = x[PENDING] if x[G_LATER] > 0 else -1
        again = x[later + Q_DUE] if later >= 0 else NEVER
        turns = NEVER if x[G_ALONE] > 0 else next_change(x)
        if x[G_ALONE] == 0 and turns < ends and turns < comes and turns < again:
            change(x, turns)
            time = turns
        elif comes <= ends and comes < NEVER and (x[G_LATER] == 0 or comes <= again):
            first = x[COMING]
            x[COMING] = first + Q_SIZE
            deliver(x, first, comes)
            time = comes
            comes = coming(x)
        elif x[G_LATER] > 0 and again <= ends and again < NEVER:
            x[PENDING] = merge(x, x[later + Q_LEFT], x[later + Q_RIGHT], Q_DUE)
            deliver(x, later, again)
            time = again
        elif ends < NEVER:
            complete(x, r, ends)
            plan_step(x, r, ends)
            time = ends
        else:
            break
        count += 1
    x[LAST] = time
    return count
