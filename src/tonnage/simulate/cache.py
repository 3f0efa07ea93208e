"""The prefix cache of a replica: pieces of prompts that somebody uses, and the others in the order in which they go."""

from __future__ import annotations

from tonnage.simulate.state import (
    ABSENT,
    DISK,
    G_DISK,
    G_HASHES,
    G_HOST,
    G_SIZE,
    G_UNIT,
    G_UNIT_BLOCKS,
    HOST,
    P_AFTER,
    P_BEFORE,
    P_SIZE,
    P_USERS,
    Q_HIGH,
    Q_LOW,
    Q_PIECES,
    R_CACHED,
    R_HOST,
    R_ORDER,
    R_PIECES,
    R_POOL,
    R_USED,
    Row,
)


def unlink(x: Row, r: int, p: int) -> None:
    """A piece is used again, or goes: out of the order of going."""
    b, a = x[p + P_BEFORE], x[p + P_AFTER]
    x[b + P_AFTER] = a
    x[a + P_BEFORE] = b
    x[r + R_CACHED] -= 1


def enter(x: Row, r: int, p: int, tier: int) -> None:
    """A piece goes to the host or to disk, as the last that leaves it."""
    last = x[r + R_ORDER] + (HOST - tier + 1) * P_SIZE
    b = x[last + P_BEFORE]
    x[b + P_AFTER] = p
    x[p + P_BEFORE] = b
    x[p + P_AFTER] = last
    x[last + P_BEFORE] = p
    x[p + P_USERS] = tier
    x[r + R_HOST + HOST - tier] += 1


def drop(x: Row, r: int, p: int) -> None:
    """A piece leaves the host or the disk."""
    b, a = x[p + P_BEFORE], x[p + P_AFTER]
    x[b + P_AFTER] = a
    x[a + P_BEFORE] = b
    x[r + R_HOST + HOST - x[p + P_USERS]] -= 1
    x[p + P_USERS] = ABSENT


def put_out(x: Row, r: int, p: int) -> None:
    """A piece leaves the cache: to the host, whose longest unused goes to disk, whose longest unused is lost."""
    if x[G_HOST] > 0:
        enter(x, r, p, HOST)
        if x[r + R_HOST] <= x[G_HOST]:
            return
        p = x[x[r + R_ORDER] + P_SIZE + P_AFTER]
        drop(x, r, p)
    if x[G_DISK] > 0:
        enter(x, r, p, DISK)
        if x[r + R_HOST + 1] > x[G_DISK]:
            drop(x, r, x[x[r + R_ORDER] + 2 * P_SIZE + P_AFTER])


def evict(x: Row, r: int, more: int) -> None:
    """Pieces that nobody uses go, the longest unused first, until what is used and `more` blocks have room."""
    if x[G_HASHES] == 0:
        return
    count, each, room = x[r + R_CACHED], x[G_UNIT_BLOCKS], x[r + R_POOL] - x[r + R_USED] - more
    if count == 0 or count * each <= room:
        return
    tiered, end = x[G_HOST] + x[G_DISK], x[r + R_ORDER]
    p = x[end + P_AFTER]
    while count > 0 and count * each > room:
        after = x[p + P_AFTER]
        x[p + P_USERS] = ABSENT
        if tiered > 0:
            put_out(x, r, p)
        p = after
        count -= 1
    x[end + P_AFTER] = p
    x[p + P_BEFORE] = end
    x[r + R_CACHED] = count


def forget(x: Row, r: int) -> None:
    """All pieces of a replica's cache that nobody uses go, and those on its host and disk."""
    while x[r + R_CACHED] > 0:
        p = x[x[r + R_ORDER] + P_AFTER]
        unlink(x, r, p)
        x[p + P_USERS] = ABSENT
    while x[r + R_HOST] > 0:
        drop(x, r, x[x[r + R_ORDER] + P_SIZE + P_AFTER])
    while x[r + R_HOST + 1] > 0:
        drop(x, r, x[x[r + R_ORDER] + 2 * P_SIZE + P_AFTER])


def lay_down(x: Row, r: int, p: int) -> None:
    """A piece that nobody uses any more goes to the end of the order of going."""
    last = x[r + R_ORDER]
    b = x[last + P_BEFORE]
    x[b + P_AFTER] = p
    x[p + P_BEFORE] = b
    x[p + P_AFTER] = last
    x[last + P_BEFORE] = p
    x[p + P_USERS] = 0
    x[r + R_CACHED] += 1


def matched(x: Row, r: int, i: int) -> int:
    """Pieces at the beginning of a prompt that a replica has, be it on its host or disk."""
    low, high, at = x[i + Q_LOW], x[i + Q_HIGH], x[r + R_PIECES]
    at += P_USERS
    for j in range(low, high):
        if x[at + x[j]] == ABSENT:
            return j - low
    return high - low


def pin(x: Row, r: int, i: int, pieces: int) -> None:
    """A request uses its first so many pieces, those that are not there being made."""
    at, low = x[r + R_PIECES], x[i + Q_LOW]
    for j in range(low, low + pieces):
        p = at + x[j]
        users = x[p + P_USERS]
        if users <= 0:
            if users == 0:
                unlink(x, r, p)
            elif users < ABSENT:
                drop(x, r, p)
            x[r + R_USED] += x[G_UNIT_BLOCKS]
            users = 0
        x[p + P_USERS] = users + 1
    x[i + Q_PIECES] = pieces


def release(x: Row, r: int, i: int, tokens: int) -> None:
    """A request that has the cache of so many tokens gives it back; pieces at the end of it go first."""
    held = x[i + Q_PIECES] if x[G_HASHES] > 0 else 0
    x[r + R_USED] -= (tokens - 1) // x[G_SIZE] + 1 - held * x[G_UNIT_BLOCKS]
    if held == 0:
        return
    x[i + Q_PIECES] = 0
    at, low, end = x[r + R_PIECES], x[i + Q_LOW], x[r + R_ORDER]
    before, free = x[end + P_BEFORE], 0
    for j in range(low + held - 1, low - 1, -1):
        p = at + x[j]
        users = x[p + P_USERS] - 1
        x[p + P_USERS] = users
        if users == 0:
            x[before + P_AFTER] = p
            x[p + P_BEFORE] = before
            before = p
            free += 1
    x[before + P_AFTER] = end
    x[end + P_BEFORE] = before
    x[r + R_CACHED] += free
    x[r + R_USED] -= free * x[G_UNIT_BLOCKS]


def keep(x: Row, r: int, i: int, tokens: int) -> None:
    """What a request that is done has written stays in the cache, as far as its pieces are known."""
    at, low = x[r + R_PIECES], x[i + Q_LOW]
    whole = min(x[i + Q_HIGH] - low, tokens // x[G_UNIT])
    for j in range(low + whole - 1, low - 1, -1):
        p = at + x[j]
        if x[p + P_USERS] < ABSENT:
            drop(x, r, p)
        if x[p + P_USERS] < 0:
            lay_down(x, r, p)
    evict(x, r, 0)
