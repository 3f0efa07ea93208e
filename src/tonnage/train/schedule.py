"""Pipeline schedules: how layers lie in stages, how long the pipe stands idle, how many micro-batches are in flight.

All functions broadcast: degrees and times are numbers or arrays of one shape. Schedules are the indices of
`tonnage.layout.SCHEDULE`: 0 1F1B, 1 interleaved 1F1B, 2 ZB1P (zero bubble, same memory as 1F1B), 3 DualPipe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Ints, Numbers

F1B1, INTERLEAVED, ZERO_BUBBLE, DUALPIPE = 0, 1, 2, 3


@dataclass(frozen=True)
class Stages:
    """Layers on the stages that matter: the first (with the embedding), any in the middle, the last (with the head)."""

    first: Numbers
    middle: Numbers
    last: Numbers


def split(layers: int, pp: Ints, head: Numbers, kind: Ints = F1B1) -> Stages:
    """Layers per stage; uneven stages allowed.

    `head` is the last stage's extra work (head, loss, multi-token prediction) in units of one layer. With at most
    q = ceil(L/p) layers on a stage, q p - L places stay free: the last stage leaves as many as its head is worth, the
    first one if any is left (Llama 3 405B: 126 layers on 16 stages, 7 on the first and the last, 8 between, arXiv
    2407.21783 section 3.3.2). Where one layer more on the others makes the slowest stage faster, because the head
    alone weighs more than a layer, that is done instead.

    In DualPipe a rank holds stages i and p - 1 - i, so the ranks with the ends work half of the time on the first and
    half on the last stage: the head weighs half as much on twice as many ranks, and both ends give up layers for it.
    """
    dual = np.asarray(kind) == DUALPIPE
    plain = _split(layers, pp, head)
    if not np.any(dual):
        return plain
    paired = _paired(layers, pp, head)
    return Stages(*(np.where(dual, getattr(paired, n), getattr(plain, n)) for n in ("first", "middle", "last")))


def _paired(layers: int, pp: Ints, head: Numbers) -> Stages:
    """DualPipe: the ends' layers are even fractions, because the two stages of a rank share them."""
    q = np.ceil(layers / pp)
    ends = np.clip((layers - (pp - 2) * q) / 2, 0, q)
    more = np.clip((layers - (pp - 2) * (q + 1)) / 2, 0, q + 1)
    better = np.maximum(q + 1, more + head / 2) < np.maximum(q, ends + head / 2)
    edge = np.where(better, more, ends)
    return Stages(edge, np.where(better, q + 1, q), edge)


def _split(layers: int, pp: Ints, head: Numbers) -> Stages:
    """Every schedule but DualPipe; see `split`."""
    q = np.ceil(layers / pp)
    free = q * pp - layers
    given = np.minimum(free, np.ceil(head))
    last = np.maximum(q - given, 0)
    relieved = np.maximum(layers - (q + 1) * (pp - 1), 0)
    better = (pp > 1) & (np.maximum(q + 1, relieved + head) < np.maximum(q, last + head))
    middle = np.where(better, q + 1, q)
    last = np.where(better, relieved, last)
    first = np.where(better, middle, middle - np.minimum(np.where(pp > 1, free - given, 0), 1))
    return Stages(first, middle, last)


def bubble(
    schedule: Ints, pp: Ints, vpp: Ints, others: Numbers, wgrad: Numbers, forward: Numbers, backward: Numbers
) -> Numbers:
    """Time that the slowest stage stands idle in one step [s].

    others: forward and backward time of one micro-batch on all the other stages together; forward, backward, wgrad:
    of one micro-batch on one stage, wgrad being the part of backward that computes weight gradients.

    1F1B and interleaving: a micro-batch must pass all other stages once, down and up, in chunks of 1/v of a stage:
    others / v, which is (p - 1)(F + B)/v for equal stages (arXiv 2104.04473, section 2.2). ZB1P:
    (p - 1)(F + B - 2W); DualPipe: (p/2 - 1)(F&B + B - 3W), F&B taken as F + B (arXiv 2412.19437, table 2).
    """
    plain = others / np.where(schedule == INTERLEAVED, vpp, 1)
    zero = np.maximum((pp - 1) * (forward + backward - 2 * wgrad), 0)
    dual = np.maximum((pp / 2 - 1) * (forward + 2 * backward - 3 * wgrad), 0)
    return np.where(pp > 1, np.select([schedule == ZERO_BUBBLE, schedule == DUALPIPE], [zero, dual], plain), 0.0)


def in_flight(schedule: Ints, pp: Ints, vpp: Ints, micro_batches: Numbers, stage: int) -> Numbers:
    """Micro-batches whose activations a stage holds at its worst (stage 0 is the first, -1 the last).

    1F1B and ZB1P: p - stage. Interleaved: chunks of 1/v, 2(p - stage - 1) + (v - 1) p + 1 of them, which for the
    first stage is p (1 + (p - 1)/(p v)) (arXiv 2205.05198, section 4.2.3). DualPipe: p + 1 on every stage.
    """
    behind = np.maximum(pp - 1 - stage, 0) if stage >= 0 else np.zeros_like(pp)
    plain = np.minimum(behind + 1, micro_batches)
    chunks = np.minimum(2 * behind + (vpp - 1) * pp + 1, micro_batches * vpp) / vpp
    dual = np.minimum(pp + 1, micro_batches)
    chosen = np.select([schedule == INTERLEAVED, schedule == DUALPIPE], [chunks, dual], plain)
    return np.where(pp > 1, chosen, 1)
