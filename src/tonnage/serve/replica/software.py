"""What serving engines add to bare operators: few constants, fitted by `scripts/fit_serve.py` on published results."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    the scheduler, per request; filled: sequences that decode at once over those for which an engine's own pool of
    recurrent states has room; eager: seconds per kernel that the host takes to launch it where no graph was captured
    (0: captured); acceptance: of a drafted token of random text, which benchmarks without a data set send; that of real
    text is `job.ACCEPTANCE`.
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
    filled: Numbers = 1.0
    eager: Numbers = 0.0
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
    "acceptance",
)
_OF_ENGINE = ("host", "sequence", "interference", "polls", "admission", "filled")


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
    text = importlib.resources.files("tonnage.serve").joinpath("data/tuning.json").read_text(encoding="utf-8")
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
    four-bit weights are widened on the way (`upcast`).
    """
    stored = precision.weights("experts").name
    runs = rate(die, format_of(stored).compute).runs_in
    if format_of(stored).element < 0.75 and runs in ("bf16", "fp16"):
        return "upcast"
    return {"fp16": "bf16", "int8": "fp8"}.get(runs, runs)


def tuning(
    engines: Sequence[Engine], die: Accelerator, precision: Precision, fitted: Constants | None = None
) -> Software:
    """The tuning of these engines on a chip, as arrays over `engines`. An engine without constants of its own takes
    those of SGLang; on the chips of a vendor without any, operators take as long as they take alone.
    """
    names, many = [one.name for one in engines], len(engines)
    immature, format_ = kernels(die, precision), arithmetic(die, precision)
    return each(fitted or constants(), names, [die.vendor or ""] * many, [immature] * many, [format_] * many)


def each(
    found: Constants,
    engines: Sequence[str],
    vendors: Sequence[str],
    immature: Sequence[str | None],
    formats: Sequence[str],
) -> Software:
    """The tuning of cases on any chips, as arrays: their engines and vendors by name, `kernels` and `arithmetic`."""
    values: dict[str, Any] = {name: found.shared[name] for name in _SHARED}
    for name in _OF_ENGINE:
        values[name] = np.array([found.engine.get(engine, found.engine["sglang"])[name] for engine in engines])
    usual = [(f"{vendor}.{engine}", vendor) for vendor, engine in zip(vendors, engines, strict=True)]
    values["device"] = np.array([found.vendor.get(own, found.vendor.get(all_, 1.0)) for own, all_ in usual])
    values["experts"] *= np.array([found.kernels[name] if name else 1.0 for name in immature])
    values["crowding"] = np.array([found.crowding[name] for name in formats])
    return Software(**values)
