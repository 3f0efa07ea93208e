"""A published training case as what `train` predicts: a job, a system and the layout that ran."""

from __future__ import annotations

import datetime
import re

from tonnage.layout import RECOMPUTE
from tonnage.model import flop_per_token
from tonnage.system import System
from tonnage.train.frameworks import published, traits
from tonnage.train.job import PRECISIONS, TASKS, TrainJob
from tonnage.truth.cases import Skip, at, number, required, text, whole
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction
from tonnage.truth.scored import TRAINING_RATE, flags, group
from tonnage.truth.shapes import Library, family
from tonnage.truth.table import Row

CLASSES = {"bf16": "16", "fp16": "16", "fp8": "8", "mxfp8": "8", "nvfp4": "4"}
"""Precision class of the GEMMs [bit]."""

EXCHANGES = {"a2a": "all-to-all", "alltoall": "all-to-all", "deepep": "forwarded", "hybridep": "forwarded"}
"""How expert copies travel, by the names that sources give to dispatchers."""

_SCHEDULES = {"1f1b": 0, "interleaved-1f1b": 1, "zb": 2, "zb1p": 2, "zero-bubble": 2, "dualpipe": 3}


def training_job(case: Row, library: Library) -> tuple[TrainJob, System, dict[str, int]]:
    """The job, the system and the layout of a row; what its source leaves open is left out of the layout.

    Left open are the micro-batch, recomputation and virtual stages where unstated: the best feasible setting is taken.
    ZeRO 1 (the distributed optimizer) is meant where no sharding is stated; routing that a benchmark on synthetic data
    leaves unstated is taken as forced. Raises Skip with the reason when the row cannot be expressed.
    """
    seq = required(whole(case, "seq"), "seq")
    count = required(whole(case, "count"), "count")
    if seq > 10**8 or count > 10**7:
        raise Skip("seq or count is out of range")
    layout = training_layout(case, count * (whole(case, "layout", "ranks_per_accelerator") or 1))
    framework, batch = framework_of(text(case, "framework")), _batch(case, seq)
    if "mbs" not in layout and (sequences := _cut(framework, layout, batch)):
        layout["mbs"] = sequences
    job = TrainJob(
        arch=library.shape(case.get("model")),
        seq=seq,
        global_batch=batch,
        precision=_choice(case, "precision", PRECISIONS),
        task=_choice(case, "task", TASKS),
        framework=framework,
        date=software_date(case),
        routing=_routing(flags(case)),
        moe_overlap=_overlaps(text(case, "layout", "comm_overlap")),
        sequence_parallel=at(case, "layout", "sequence_parallel") is not False,
        shard_group=whole(case, "layout", "zero_group"),
        tp_overlap=True if True in (at(case, "layout", "async_tp"), at(case, "layout", "mc2")) else None,
        exchange=EXCHANGES.get((text(case, "layout", "dispatcher") or "").lower()),
        compiled=True if at(case, "layout", "torch_compile") is True else None,
    )
    if not job.arch.moe:
        layout.pop("ep", None), layout.pop("etp", None)
    chip = library.chip(str(required(text(case, "chip"), "chip")))
    return job, System(chip, count), layout


def _overlaps(said: str | None) -> bool | None:
    """Whether a source says that experts' copies travel behind compute; None where it says nothing."""
    return None if not said else not said.lower().startswith("disabled")


def _cut(framework: str | None, layout: dict[str, int], batch: int) -> int:
    """Sequences of a micro-batch where a framework cuts a pipeline's share into as many as it has ranks; else 0."""
    stages, share = layout.get("pp", 1), batch // layout.get("dp", 1)
    told = framework is None or not traits(framework).rounds or "dp" not in layout or stages == 1
    return 0 if told or share % stages else share // stages


def training_layout(case: Row, ranks: int) -> dict[str, int]:
    """The layout of a row as `parse_layout` would give it. Raises Skip when its degrees do not multiply out."""
    sizes = {name: whole(case, "layout", name) for name in ("tp", "pp", "cp", "dp", "ep", "etp")}
    layout = {name: size for name, size in sizes.items() if size is not None}
    stated = [name for name in ("tp", "pp", "cp", "dp") if name in layout]
    product = 1
    for name in stated:
        product *= layout[name]
    if product > ranks or ranks % product or (len(stated) == 4 and product != ranks):
        raise Skip("layout does not multiply out to the count")
    if stated:
        layout["zero"] = _zero(case)
        layout |= _pipeline(case)
    recompute = text(case, "layout", "recompute")
    if recompute in RECOMPUTE:
        layout["recompute"] = RECOMPUTE.index(str(recompute))
    micro = whole(case, "micro_batch")
    return layout if micro is None else {**layout, "mbs": micro}


def _zero(case: Row) -> int:
    stage = whole(case, "layout", "zero", least=0)
    if stage is not None:
        return min(stage, 3)
    return 3 if at(case, "layout", "fsdp") is True else 1


def _pipeline(case: Row) -> dict[str, int]:
    """Virtual stages and schedule, as far as the source says: an absent `vpp` is not known to be one."""
    virtual = whole(case, "layout", "vpp")
    name = (text(case, "layout", "schedule") or "").lower()
    if name in _SCHEDULES:
        known = {"schedule": _SCHEDULES[name]}
        if virtual is not None or name != "interleaved-1f1b":
            known["vpp"] = virtual or 1
        return known
    return {} if virtual is None else {"vpp": virtual, "schedule": 1 if virtual > 1 else 0}


def framework_of(name: str | None) -> str | None:
    """The framework that a source names; `unknown` where its traits are not."""
    return None if name is None else published(name)


def _routing(flagged: frozenset[str]) -> str:
    if "token_drop" in flagged:
        return "dropped"
    unstated = {"synthetic_data", "routing_unstated"} <= flagged
    return "forced" if unstated or "forced_balanced_routing" in flagged else "learned"


def _batch(case: Row, seq: int) -> int:
    batch, tokens = whole(case, "global_batch"), whole(case, "global_batch_tokens")
    if batch is None and tokens is not None:
        batch = max(tokens // seq, 1)
    return int(required(batch, "global_batch"))


def _choice(case: Row, key: str, known: tuple[str, ...]) -> str:
    value = required(text(case, key), key)
    if value not in known:
        raise Skip(f"{key} is not one of {', '.join(known)}")
    return str(value)


def software_date(case: Row) -> datetime.date | None:
    """Date of the software, to the month or the middle of the year; None where the source has none."""
    match = re.match(r"(\d{4})-(\d{2})", text(case, "date") or "")
    if match and 2000 <= int(match[1]) <= 2100 and 1 <= int(match[2]) <= 12:
        return datetime.date(int(match[1]), int(match[2]), 1)
    year = whole(case, "year")
    return datetime.date(year, 7, 1) if year and 2000 <= year <= 2100 else None


def figure(case: Row, moe: bool) -> Prediction:
    """What of a row is compared, the prediction still open (NaN). Raises Skip when there is no figure."""
    value = float(required(number(case, "published"), "published"))
    if text(case, "metric") not in (None, TRAINING_RATE):
        raise Skip("metric is not a training rate")
    low, high = _range(case)
    chip, precision = text(case, "chip") or "not given", text(case, "precision") or "not given"
    name = text(case, "model", "bundled") or text(case, "model", "name") or "not given"
    tags = {
        "chip": chip,
        "family": family(text(case, "model", "name") or name),
        "model": name,
        "kind": "MoE" if moe else "dense",
        "precision": CLASSES.get(precision, "other"),
        "task": text(case, "task") or "not given",
        "framework": (text(case, "framework") or "not given").split(",")[0][:40],
    }
    return Prediction(
        id=text(case, "id") or "unnamed",
        group=group(case),
        metric=TRAINING_RATE,
        published=value,
        predicted=float("nan"),
        published_low=low,
        published_high=high,
        tags=tags,
        cluster=(name, chip, precision),
        share=float(whole(case, "same_config") or 1),
    )


def _range(case: Row) -> tuple[float | None, float | None]:
    bounds = case.get("published_range")
    if bounds is None:
        return None, None
    if not (isinstance(bounds, list) and len(bounds) == 2):
        raise Skip("published_range is not a pair")
    pair = {"low": bounds[0], "high": bounds[1]}
    low, high = number(pair, "low"), number(pair, "high")
    if low is None or high is None or low > high:
        raise Skip("published_range is not a pair")
    return low, high


def anchored(case: Row, job: TrainJob, system: System, layout: dict[str, int]) -> Anchored:
    """The figure with what the null model needs: FLOP executed for a token, and the peak rate of its precision class.

    Backward is twice forward, full recomputation another forward; LoRA needs no gradients of frozen weights.
    """
    seen = figure(case, job.arch.moe)
    forward = float(flop_per_token(job.arch, job.seq))
    work = forward * ((2.0 if job.frozen else 3.0) + (layout.get("recompute") == RECOMPUTE.index("full")))
    rates = system.accelerator.rates
    peak = rates.get(job.compute) or rates.get("fp8" if job.compute == "fp4" else "bf16") or rates["bf16"]
    return Anchored(seen, base=1 / work, peak=peak)
