"""All layouts of a job on a system, as arrays: what divides, before what fits and what is fast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import distinct
from tonnage.errors import Bind
from tonnage.layout import Layout
from tonnage.system import System
from tonnage.train import schedule
from tonnage.train.job import TrainJob
from tonnage.train.pieces import expert_count

Column = NDArray[np.int64]
"""Values of one degree, one entry a candidate."""

OUTER = ("tp", "pp", "cp", "ep", "etp")
INNER = ("vpp", "zero", "mbs", "recompute", "schedule")
CHUNK = 1 << 16
MOST_STAGES = 128
"""Pipeline stages beyond which none is searched. Assumption: no published run has as many."""
MICRO = (1, 2, 4, 8, 16, 32)
RAGGED = (2, 0.06)
"""Places for layers that pipeline chunks may leave free: so many, or that share of the layers where it is more (Llama 3
405B left 2 of 128: 126 layers on 16 stages, arXiv 2407.21783 section 3.3.2). Emptier layouts are not searched.
Assumption."""
MOST_MODEL = 64 * 8
"""Ranks of one replica (tensor times pipeline) beyond which a batch is called too small for a system. Assumption."""
LIKELY_MODEL = 64
"""Ranks of one replica for which a larger batch is proposed. Assumption."""


def ranks(system: System) -> int:
    """Ranks of a system: one for each die."""
    return system.count * system.accelerator.dies


def choices(job: TrainJob, system: System, fixed: Mapping[str, int], *, idle: bool = False) -> dict[str, Column]:
    """Values of each degree worth trying; a fixed one alone. idle: ranks may be left over, so that tp and pp need not
    divide them.

    ZB1P (zero bubble) is taken when it is asked for (`schedule=zb`) and not searched: no published run validates it, so
    it would have to win by its doubt of 10 %, and it does not win at all (Llama 405B on 8,192 and 16,384 H100, 70B on
    512, DeepSeek-V3 on 2,048 H800, at 8K: 8 to 17 % slower than the best interleaved or DualPipe layout).
    """
    total = ranks(system)
    domain = min(system.accelerator.domain * system.accelerator.dies, 64)
    layers, experts = job.arch.depth, expert_count(job)
    counts = list(range(1, min(total, MOST_STAGES) + 1)) if idle else divisors(total)
    tried: dict[str, list[int]] = {
        "tp": [n for n in counts if n <= min(domain, 16) and _heads(job) % n == 0],
        "pp": [n for n in counts if n <= min(layers, MOST_STAGES)],
        "cp": [n for n in _powers(total, 64) if n == 1 or job.seq // n >= 2048],
        "ep": [n for n in divisors(experts) if n <= total] if experts and deals(job, total, fixed) else [1],
        "etp": [1] if not experts else [1, *([fixed["tp"]] if fixed.get("tp", 1) > 1 else [2, 4, 8])],
        "vpp": [n for n in range(1, 25) if n <= layers],
        "zero": list(job.traits.zero),
        "mbs": list(MICRO),
        "recompute": [0, 1, 2],
        "schedule": [0, 1, 3] if experts and job.paired else [0, 1],
    }
    tried |= {name: [value] for name, value in fixed.items() if name in tried}
    if fixed.get("vpp", 1) > 1 and "schedule" not in fixed:
        tried["schedule"] = [schedule.INTERLEAVED]
    return {name: distinct(np.asarray(values, dtype=np.int64)) for name, values in tried.items()}


def deals(job: TrainJob, total: int, fixed: Mapping[str, int]) -> bool:
    """Whether experts are dealt out over ranks without being asked to.

    Not where a layout says that gradients or weights are sharded and either its framework shards experts as it does
    the rest (FSDP, DeepSpeed's ZeRO), or the layout is written out for all ranks.
    """
    if fixed.get("zero", 0) < 2:
        return True
    degrees = math.prod(fixed.get(name, 1) for name in ("tp", "pp", "cp", "dp"))
    return job.traits.deals and not ("dp" in fixed and degrees == total)


def _heads(job: TrainJob) -> int:
    """Heads of the widest attention."""
    return max((int(getattr(b.mixer, "heads", 1) or 1) for b in job.arch.blocks if b.mixer is not None), default=1)


def divisors(n: int) -> list[int]:
    """Divisors of a number, in order."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def _powers(n: int, most: int) -> list[int]:
    return [d for d in (2**i for i in range(20)) if d <= min(n, most)]


def layouts(job: TrainJob, system: System, fixed: Mapping[str, int]) -> Iterator[Layout]:
    """Every layout that divides, in chunks of about `CHUNK` candidates."""
    waiting: list[Layout] = []
    for found in _raw(job, system, fixed):
        waiting.append(found)
        if sum(np.size(part.tp) for part in waiting) >= CHUNK:
            yield _end_to_end(waiting)
            waiting = []
    if waiting:
        yield _end_to_end(waiting)


def _end_to_end(parts: list[Layout]) -> Layout:
    if len(parts) == 1:
        return parts[0]
    names = (*OUTER, "dp", *INNER)
    return Layout(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _raw(job: TrainJob, system: System, fixed: Mapping[str, int]) -> Iterator[Layout]:
    """Products of outer and inner choices, cut to what divides; pieces of any size."""
    values = choices(job, system, fixed)
    outer = _outer(job, system, fixed, values)
    every = product([values[name] for name in INNER])
    if not outer[0].size:
        return
    step = max(1, CHUNK // max(every[0].size, 1))
    inner = [column[_chunked(every)] for column in every]
    for start in range(0, outer[0].size, step):
        picked = [column[start : start + step] for column in outer]
        wide = [np.repeat(column, inner[0].size) for column in picked]
        narrow = [np.tile(column, picked[0].size) for column in inner]
        found = Layout(**dict(zip((*OUTER, "dp", *INNER), [*wide, *narrow], strict=True)))
        keep = fits_schedule(job, found)
        if "zero" not in fixed:
            keep = keep & ((np.asarray(found.zero) < 3) | (np.asarray(found.pp) == 1))
        if keep.any():
            yield found.at(np.flatnonzero(keep)) if not keep.all() else found


def _chunked(inner: list[Column]) -> NDArray[np.bool_]:
    """Whether `fits_schedule` can take so many chunks in such a schedule, whatever the rest is."""
    vpp, kind = inner[INNER.index("vpp")], inner[INNER.index("schedule")]
    kept: NDArray[np.bool_] = (vpp > 1) == (kind == schedule.INTERLEAVED)
    return kept


def product(columns: list[Column]) -> list[Column]:
    """All combinations of some columns, each a column."""
    return [grid.reshape(-1) for grid in np.meshgrid(*columns, indexing="ij")]


def _outer(job: TrainJob, system: System, fixed: Mapping[str, int], values: dict[str, Column]) -> list[Column]:
    """Columns tp, pp, cp, ep, etp, dp of what divides the ranks, the batch and the experts."""
    tp, pp, cp, ep, etp = product([values[name] for name in OUTER])
    total = ranks(system)
    dp = total // (tp * pp * cp)
    keep = (tp * pp * cp * dp == total) & (dp >= 1)
    keep &= (tp * cp * dp) % (ep * etp) == 0
    keep &= job.global_batch % np.maximum(dp, 1) == 0
    keep &= whole_groups(job, dp * cp) & ((job.shard_group or 1) <= total)
    if "dp" in fixed:
        keep &= dp == fixed["dp"]
    if "etp" not in fixed:
        keep &= (etp == 1) | (etp == tp)
    if not expert_count(job):
        keep &= ep == 1
    return [column[keep] for column in (tp, pp, cp, ep, etp, dp)]


def whole_groups(job: TrainJob, replicas: Column) -> NDArray[np.bool_]:
    """Whether replicas (dp x cp) make whole groups of those over which ZeRO shards, or all of them are one group."""
    group = job.shard_group or 1
    whole: NDArray[np.bool_] = (replicas % group == 0) | (replicas < group)
    return whole


def fits_schedule(job: TrainJob, layout: Layout) -> NDArray[np.bool_]:
    """Whether micro-batches and pipeline chunks come out even enough for the schedule."""
    pp, vpp, kind = np.asarray(layout.pp), np.asarray(layout.vpp), np.asarray(layout.schedule)
    batch = job.global_batch
    keep = batch % (layout.dp * layout.mbs) == 0
    m = batch // np.maximum(layout.dp * layout.mbs, 1)
    chunks = pp * vpp
    keep &= np.where(vpp > 1, (kind == schedule.INTERLEAVED) & (pp > 1), kind != schedule.INTERLEAVED)
    keep &= (pp > 1) | ((kind == 0) & (vpp == 1))
    ragged = -(-job.arch.depth // chunks) * chunks - job.arch.depth
    keep &= (vpp == 1) | (
        (chunks <= job.arch.depth + 2) & (ragged <= np.maximum(RAGGED[0], RAGGED[1] * job.arch.depth))
    )
    even: NDArray[np.bool_] = keep & ((kind != schedule.DUALPIPE) | ((pp % 2 == 0) & (m >= 2 * pp)))
    return even


def why_none(job: TrainJob, system: System, fixed: Mapping[str, int]) -> Bind:
    """Why nothing can be laid out, as a constraint, and the nearest thing that can."""
    total = ranks(system)
    degrees = [name for name in ("tp", "pp", "cp", "dp") if name in fixed]
    asked = math.prod(fixed[name] for name in degrees)
    if asked > total:
        written = ",".join(f"{name}{fixed[name]}" for name in degrees)
        most = total // math.prod(fixed[name] for name in degrees if name != "dp")
        lift = f"use {asked} ranks" + (f", or dp{most}" if most and "dp" in fixed else "")
        return Bind("divisibility", f"{written} is {asked} ranks, the system has {total}", asked / total - 1, lift)
    if fixed.get("pp", 1) > job.arch.depth:
        text = f"pp{fixed['pp']} is more stages than the model has layers ({job.arch.depth})"
        return Bind("divisibility", text, fixed["pp"] / job.arch.depth - 1, f"pp{job.arch.depth} or less")
    if job.shard_group is not None and job.shard_group > total:
        text = f"ZeRO is to shard over {job.shard_group:,} ranks, the system has {total:,}"
        return Bind("divisibility", text, job.shard_group / total - 1, f"shard over {total:,} or fewer")
    dp = fixed.get("dp", 1) * fixed.get("mbs", 1)
    if job.global_batch % dp:
        which = "batch" if job.global_batch < dp else "divisibility"
        text = f"a batch of {job.global_batch} sequences does not divide over dp x mbs = {dp}"
        return Bind(which, text, dp / job.global_batch - 1, f"a batch of {-(-job.global_batch // dp) * dp}")
    experts = expert_count(job)
    if fixed.get("ep", 1) > 1 and (not experts or experts % fixed["ep"]):
        text = f"ep{fixed['ep']} does not divide {experts} experts"
        return Bind("divisibility", text, None, "an ep that divides the experts")
    return _unjoinable(job, total)


def _unjoinable(job: TrainJob, total: int) -> Bind:
    """What is said where no one degree is to blame."""
    if job.global_batch < total // MOST_MODEL:
        text = f"a batch of {job.global_batch} sequences is too small for {total} ranks"
        return Bind("batch", text, None, f"a batch of {total // LIKELY_MODEL} sequences")
    text = f"no layout of at most {total} ranks divides {job.global_batch} sequences with the given degrees"
    return Bind("divisibility", text)
