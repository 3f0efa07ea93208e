"""Who gets which accelerators in a period: the quick rule that is used in every draw.

Services come first, training takes what is left. With one service, lots are filled in order of cost per request; with
several, each takes the lots where it has the greatest advantage over those still to be placed. For two services
this finds a placement whenever there is one (moving work towards the greater ratio of rates never loses capacity of
both: the exchange argument of the transportation problem with two rows); for three or more it is a heuristic. It does
not look ahead. `optimum.py` solves the same question as a mixed-integer programme, and tests hold one
against the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.draws import Bools
from tonnage.fleet.uncertain import Floats

Ints = NDArray[np.int64]

TINY = 1e-9

LATE = 1e6
"""What is added to the key of lots that are touched last: more than any key but that of a lot that cannot."""


def share(capacity: Floats, need: Floats, rate: Floats, price: Floats, last: Bools) -> tuple[Floats, Floats]:
    """Accelerators that each service uses, and what stays unserved.

    capacity: accelerators [d, l]; need: requests/s [d, m]; rate: requests/s per accelerator, 0 where a service cannot
    run [d, m, l]; price: [USD/accelerator-s] [d, l]; last: lots to be touched only when nothing else is left [d, l].
    Returns used [d, m, l] and short, requests/s [d, m].
    """
    left = capacity.copy()
    used = np.zeros_like(rate)
    short = np.zeros_like(need)
    for m in range(need.shape[1]):
        key = _order(rate, price, need, m) + np.where(last, LATE, 0.0)
        used[:, m], short[:, m] = _fill(left, need[:, m], rate[:, m], key)
        left = np.maximum(left - used[:, m], 0.0)
    return used, short


class Sharing:
    """`share` in period after period, of the same draws: the order of the lots is made again only in draws in which
    another service is wanted, or other lots are to be touched last.
    """

    def __init__(self, rate: Floats, price: Floats) -> None:
        d, self._services, lots = rate.shape
        self._rate, self._price = rate, price
        self._rates = [np.ascontiguousarray(rate[:, m]) for m in range(self._services)]
        self._runs = [rate[:, m] > 0 for m in range(self._services)]
        self._asked = np.full((d, self._services + lots), -1, dtype=np.int8)
        self._orders = [np.zeros((d, lots), dtype=np.int64) for _ in range(self._services)]

    def share(self, capacity: Floats, need: Floats, last: Bools, at: Ints | None = None) -> tuple[Floats, Floats]:
        """Accelerators that each service uses [d, m, l], and what stays unserved [d, m], in all draws or in those `at`
        [r]: capacity, need and last are of these.
        """
        orders, rates, runs = self._ordered(need, last, at), self._rates, self._runs
        if at is not None:
            rates, runs = [rate[at] for rate in rates], [run[at] for run in runs]
        left, short = capacity, np.zeros_like(need)
        used = np.zeros((len(need), self._services, capacity.shape[1]))
        first = capacity.shape[1] * np.arange(len(need))[:, None]
        for m in range(self._services):
            used[:, m], short[:, m] = _filled(left, need[:, m], rates[m], runs[m], orders[m] + first)
            if m + 1 < self._services:
                left = np.maximum(left - used[:, m], 0.0)
        return used, short

    def _ordered(self, need: Floats, last: Bools, at: Ints | None) -> list[Ints]:
        """The order of the lots for each service [r, l]."""
        asked = np.concatenate([need > 0, last], axis=1)
        known = self._asked if at is None else self._asked[at]
        new = np.flatnonzero((asked != known).any(axis=1))
        rows = new if at is None else at[new]
        if rows.size:
            self._asked[rows] = asked[new]
            rate, price = self._rate[rows], self._price[rows]
            late = np.where(last[new], LATE, 0.0)
            for m, order in enumerate(self._orders):
                order[rows] = np.argsort(_order(rate, price, need[new], m) + late, axis=1, kind="stable")
        return self._orders if at is None else [order[at] for order in self._orders]


def _order(rate: Floats, price: Floats, need: Floats, m: int) -> Floats:
    """Sorting key of the lots for service m [d, l], smallest first, within a range of a few units."""
    own = np.maximum(rate[:, m], TINY)
    cannot = np.where(rate[:, m] <= 0, 1e9, 0.0)
    other = np.where(need[:, m + 1 :, None] > 0, rate[:, m + 1 :], 0.0).max(axis=1, initial=0.0)
    rivals = (other > 0).any(axis=1, keepdims=True)
    advantage = np.log(own) - np.log(np.maximum(other, TINY)) if rivals.any() else np.zeros_like(own)
    if rivals.all():
        return -advantage + cannot
    cost = np.where(np.isnan(price), 0.0, price) / own
    cost = cost / np.maximum(cost.max(axis=1, keepdims=True), 1e-300)
    return np.asarray(np.where(rivals, -advantage, cost) + cannot)


def _fill(left: Floats, need: Floats, rate: Floats, key: Floats) -> tuple[Floats, Floats]:
    """Fill lots in the order of `key` until `need` is met: accelerators used [d, l], what is missing [d]."""
    rows, lots = key.shape
    order = np.argsort(key, axis=1, kind="stable") + lots * np.arange(rows)[:, None]
    return _filled(left, need, rate, rate > 0, order)


def _filled(left: Floats, need: Floats, rate: Floats, runs: Bools, order: Ints) -> tuple[Floats, Floats]:
    """The same in an order that is known, of flat indices; runs: where there is a rate [d, l]."""
    offered = (left * rate).reshape(-1)[order]
    before = np.cumsum(offered, axis=1) - offered
    taken = np.empty_like(offered)
    taken.reshape(-1)[order] = np.clip(need[:, None] - before, 0.0, offered)
    used = np.divide(taken, rate, out=np.zeros_like(taken), where=runs)
    return used, np.maximum(need - offered.sum(axis=1), 0.0)
