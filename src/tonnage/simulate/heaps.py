"""Heaps among the loop's integers, and a sum in closed form."""

from __future__ import annotations

from tonnage.simulate.state import Q_LEFT, Q_RIGHT, Row


def merge(x: Row, a: int, b: int, key: int) -> int:
    """The root of two skew heaps brought together (Sleator and Tarjan 1986), by an entry of requests; equal ones in
    order of the requests.
    """
    if a < 0:
        return b
    if b < 0:
        return a
    if x[b + key] < x[a + key] or (x[b + key] == x[a + key] and b < a):
        a, b = b, a
    root = a
    while True:
        c = x[a + Q_RIGHT]
        x[a + Q_RIGHT] = x[a + Q_LEFT]
        if c < 0:
            x[a + Q_LEFT] = b
            return root
        if x[b + key] < x[c + key] or (x[b + key] == x[c + key] and b < c):
            b, c = c, b
        x[a + Q_LEFT] = c
        a = c


def put_end(x: Row, at: int, count: int, entry: int) -> None:
    """Add to a binary heap of `count` entries that begins at `at`."""
    i = count
    while i > 0:
        up = (i - 1) >> 1
        if x[at + up] <= entry:
            break
        x[at + i] = x[at + up]
        i = up
    x[at + i] = entry


def take_end(x: Row, at: int, count: int, i: int) -> None:
    """Take entry `i` out of a binary heap of `count` entries that begins at `at`: the smaller child comes up, down to
    the end of the heap, and the last entry goes up from there, which is seldom far (Wegener 1993).
    """
    count -= 1
    entry = x[at + count]
    c = 2 * i + 1
    while c < count:
        if x[at + c + 1] < x[at + c]:
            c += 1
        x[at + i] = x[at + c]
        i = c
        c = 2 * i + 1
    while i > 0:
        up = (i - 1) >> 1
        if x[at + up] <= entry:
            break
        x[at + i] = x[at + up]
        i = up
    x[at + i] = entry


def floors(n: int, a: int, b: int) -> int:
    """The sum of (a i + b) >> 10 over i below n, by Euclid's algorithm on the lattice below a line."""
    m = 1024
    found = 0
    while True:
        if a >= m:
            found += (n - 1) * n // 2 * (a // m)
            a %= m
        if b >= m:
            found += n * (b // m)
            b %= m
        y = a * n + b
        if y < m:
            return found
        n = y // m
        b = y % m
        m, a = a, m
