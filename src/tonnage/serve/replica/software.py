"""What serving engines add to bare operators: few constants, fitted by `scripts/fit_serve.py` on published results."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonnage.arrays import Numbers
from tonnage.serve.replica.engines import Engine
from tonnage.system import Accelerator, Precision, format_of, rate


@dataclass(frozen=True)
class Software:
    """Constants of an engine on a chip; each may be an array over cases.

    gemm, experts, attention, pointwise, reduce, exchange: time in service over time alone, by class; crowding: further
    time of routed experts per second of their arithmetic at the datasheet rate (permutation, uneven experts); overlap:
    share of the shorter of compute and exchange that is hidden; device: time on this vendor's chips and software over
    what the operators say; kernel: seconds per kernel launched; host: seconds per engine step; sequence: seconds per
    sequence and step; interference: prefill in service over prefill alone; imbalance: load of the hottest expert rank
    over the mean; together: how far replicas that share experts prefill at the same time; polls: steps that a request
    waits until the scheduler looks for new ones, half of those between two looks; admission: seconds from arrival to
    the scheduler, per request; widened: further time of dense matrices per second of their arithmetic at the datasheet
    rate where weights are stored narrower than they are multiplied (FP8 on an A100, W4A16), for each tile of rows
    widens them anew; front: seconds that the process before the engine takes for each of the requests that are sent at
    once; eager: seconds per kernel that the host takes to launch it where no graph was captured (0: captured); launch:
    the same of a step with prompts, per operator as they are counted here (0: captured, or compiled); acceptance: of a
    drafted token of random text, which benchmarks without a data set send; that of real text is `job.ACCEPTANCE`.
    """

    gemm: Numbers = 1.0
    experts: Numbers = 1.0
    attention: Numbers = 1.0
    pointwise: Numbers = 1.0
    reduce: Numbers = 1.0
    exchange: Numbers = 1.0
    crowding: Numbers = 0.0
    overlap: Numbers = 0.0
    device: Numbers = 1.0
    kernel: Numbers = 0.0
    host: Numbers = 1e-3
    sequence: Numbers = 5e-6
    interference: Numbers = 1.0
    imbalance: Numbers = 1.2
    together: Numbers = 1.0
    polls: Numbers = 1.0
    admission: Numbers = 0.02
    widened: Numbers = 0.0
    front: Numbers = 0.0
    eager: Numbers = 0.0
    launch: Numbers = 0.0
    acceptance: Numbers = 0.6


_SHARED = (
    "gemm",
    "experts",
    "attention",
    "pointwise",
    "reduce",
    "exchange",
    "overlap",
    "kernel",
    "imbalance",
    "together",
    "widened",
    "acceptance",
)
_OF_ENGINE = ("host", "sequence", "interference", "polls", "admission", "front", "launch")


EAGER = 10e-6
"""Seconds that PyTorch and an engine's Python take to launch one of a step's kernels without a captured graph. An
assumption, 5 to 20 microseconds: launches alone take about 5 (NVIDIA, "Getting Started with CUDA Graphs"), and each
operator of a model is Python besides."""

ADMISSION = 0.01
"""Seconds that a load generator inside the engine's process takes of a request. An assumption, 3 to 30 ms:
TensorRT-LLM's online tables of 2024 leave about as much beside the prefill of Llama-3.1-8B."""


def independent(tuned: Software) -> Software:
    """The tuning for requests that arrive by themselves (Poisson): such runs (TensorRT-LLM's `gptManagerBenchmark`,
    MLPerf's LoadGen) feed the engine inside its process, without the server, and it looks at every step.
    """
    return replace(tuned, polls=0.0, admission=ADMISSION)


def looking(tuned: Software, steps: Numbers) -> Software:
    """The tuning of engines that were told to look for new requests every so many steps (SGLang's
    `--scheduler-recv-interval`); nan: not told. A step that is scheduled while another runs comes on top, as where the
    scheduler looks at each step.
    """
    told = np.asarray(steps, dtype=float)
    more = np.where(np.isnan(told), 0.0, (told - 1.0) / 2.0)
    return replace(tuned, polls=tuned.polls + more)


LOOKS = 1.0
"""Steps that a request waits for a look of the scheduler of an engine that is run as it comes: one step is scheduled
while another runs, and each step looks (vLLM; SGLang's `--scheduler-recv-interval` is 1 unless a recipe raises it)."""


def as_it_comes(tuned: Software, untouched: Numbers, stream: Numbers, factor: Numbers) -> Software:
    """The tuning where the engine was left as it comes, for the cases where `untouched` is 1, not 0.

    stream: seconds per sequence and step beside the tuned `sequence`: each token is sampled as the release says (top-k
    and top-p over all logits) and streamed to its client by one process, which recipes switch off or spread; factor:
    device time over that of a tuned stack (kernels whose tiles nobody has searched for this model and chip).
    """
    on = np.asarray(untouched, dtype=float)
    return replace(
        tuned,
        sequence=tuned.sequence + on * stream,
        device=tuned.device * np.asarray(factor, dtype=float) ** on,
        polls=np.where(on > 0, np.minimum(tuned.polls, LOOKS), tuned.polls),
    )


Widths = Mapping[str, Mapping[str, float]]
"""Log-spreads by metric and regime."""


@dataclass(frozen=True)
class Constants:
    """The fitted constants: shared by all; by engine; by vendor; and the log-spread of what they leave unexplained, by
    metric and regime; anchored: that once points of the same sweep are known; chips: those whose published services
    were fitted on.
    """

    shared: Mapping[str, float]
    engine: Mapping[str, Mapping[str, float]]
    vendor: Mapping[str, float]
    kernels: Mapping[str, float]
    crowding: Mapping[str, float]
    spread: Widths
    anchored: Widths
    source: str
    chips: tuple[str, ...] = ()


@functools.cache
def constants() -> Constants:
    """The constants that come with tonnage."""
    text = (Path(__file__).parents[1] / "data" / "tuning.json").read_text(encoding="utf-8")
    held = json.loads(text)
    return Constants(
        held["shared"],
        held["engine"],
        held["vendor"],
        held["kernels"],
        held["crowding"],
        held["spread"],
        held["anchored"],
        held["source"],
        tuple(held["chips"]),
    )


def kernels(die: Accelerator, precision: Precision) -> str | None:
    """Which kernels of routed experts are known to be immature on this chip, by their name in `Constants.kernels`.

    ROCm has no tuned kernels for experts stored in four bits and computed in sixteen, and CDNA3 has another FP8
    encoding than the released weights (FNUZ), converted on the way. Older chips count as CDNA3, others as CDNA4.
    """
    if die.stack != "rocm":
        return None
    stored = precision.weights("experts").name
    cdna = _CDNA.get(die.generation or "", "cdna4")
    if stored == "w4a16":
        return f"amd.{cdna}.w4a16"
    return "amd.cdna3.fp8" if stored in ("fp8", "fp8_block") and cdna == "cdna3" else None


_CDNA = {"cdna2": "cdna3", "cdna3": "cdna3"}


def arithmetic(die: Accelerator, precision: Precision) -> str:
    """Class of the routed experts' arithmetic, by its name in `Constants.crowding`: the format it runs in, and whether
    weights are widened on the way (`upcast`): four-bit ones, or FP8 on a chip without it.
    """
    stored = precision.weights("experts").name
    runs = rate(die, format_of(stored).compute).runs_in
    if format_of(stored).element < 1.5 and runs in ("bf16", "fp16"):
        return "upcast"
    return {"fp16": "bf16", "int8": "fp8"}.get(runs, runs)


def tuning(
    engines: Sequence[Engine],
    die: Accelerator,
    precision: Precision,
    fitted: Constants | None = None,
    untouched: Sequence[bool] | None = None,
) -> Software:
    """The tuning of these engines on a chip, as arrays over `engines`; untouched: which are run as they come. An engine
    without constants of its own takes those of SGLang; on the chips of a vendor without any, operators take as long as
    they take alone.
    """
    names, many = [one.name for one in engines], len(engines)
    immature, format_ = kernels(die, precision), arithmetic(die, precision)
    chips = ([die.vendor or ""] * many, [immature] * many, [format_] * many)
    return each(fitted or constants(), names, *chips, untouched, [one.launched for one in engines])


def each(
    found: Constants,
    engines: Sequence[str],
    vendors: Sequence[str],
    immature: Sequence[str | None],
    formats: Sequence[str],
    untouched: Sequence[bool] | None = None,
    launched: Sequence[bool] | None = None,
) -> Software:
    """The tuning of cases on any chips, as arrays: their engines and vendors by name, `kernels` and `arithmetic`,
    whether they are run as they come, and whether they launch each kernel of a step with prompts.
    """
    values: dict[str, Any] = {name: found.shared[name] for name in _SHARED}
    for name in _OF_ENGINE:
        values[name] = np.array([found.engine.get(engine, found.engine["sglang"])[name] for engine in engines])
    usual = [(f"{vendor}.{engine}", vendor) for vendor, engine in zip(vendors, engines, strict=True)]
    values["device"] = np.array([found.vendor.get(own, found.vendor.get(all_, 1.0)) for own, all_ in usual])
    values["experts"] *= np.array([found.kernels[name] if name else 1.0 for name in immature])
    values["crowding"] = np.array([found.crowding[name] for name in formats])
    tuned = Software(**values)
    if launched is not None:
        tuned = replace(tuned, launch=np.where(launched, tuned.launch, 0.0))
    if untouched is None or not any(untouched):
        return tuned
    own = [found.engine.get(engine, found.engine["sglang"]) for engine in engines]
    stream, factor = (np.array([one[name] for one in own]) for name in ("stream", "untuned"))
    return as_it_comes(tuned, np.array(untouched), stream, factor)
