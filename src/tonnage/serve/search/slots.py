"""How many sequences an engine is told that it may run at once, where the load and not the limits say how many run.

The mean number that run carries a rate; an engine that is told no more than that makes every burst wait. It is told as
many as the limits let it run, and memory has room for. Where a number of requests is kept in flight, it is told that.
"""

from __future__ import annotations

import math

import numpy as np

from tonnage.arrays import distinct
from tonnage.serve.replica.points import decode_only
from tonnage.serve.search.grid import PointGrid, ServeSetting
from tonnage.serve.search.modes import evaluate

STEPS = 64
"""Batches that are looked at between the mean and the room in memory."""


def slots(given: ServeSetting, point: PointGrid) -> int | None:
    """The largest batch of a replica whose time per token keeps the limit, at a rate; in a closed
    loop all that are in flight; None where neither is asked for.
    """
    running, most = float(point.running), float(point.most)
    if given.job.concurrency is not None and point.mode in ("aggregated", "disaggregated"):
        flight = math.ceil(given.job.concurrency / (float(point.instances) * float(point.layout.dp)))
        return int(min(flight, most)) if min(flight, most) > running else None
    if given.job.rate is None or point.mode in ("prefill", "afd") or point.ffn is not None or not most > running:
        return None
    batches = distinct(np.floor(np.geomspace(max(running, 1.0), most, STEPS)))
    limit = np.inf if given.job.tpot is None else float(given.job.tpot)
    if point.mode == "aggregated":
        chunk = given.chunk if point.chunk is None else float(point.chunk)
        found = evaluate(given, point.layout, batches, chunk)
    else:
        found = decode_only(given.service, point.layout, given.traffic, batches)
    good = batches[np.broadcast_to(np.asarray(found.tpot), batches.shape) <= limit]
    return int(good.max()) if good.size and good.max() > running else None
