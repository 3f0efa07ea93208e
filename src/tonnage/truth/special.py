"""The published tables that everybody compares with, picked out of a set of predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tonnage.serve.as_run.anchor import UNLIKE
from tonnage.truth.score import Prediction, abs_error, split
from tonnage.truth.scored import RATE
from tonnage.truth.table import Row

SC21 = "megatron-sc21-gpt-"
KORTHIKANTI = "korthikanti-"
LLAMA = "llama3-405b-"
DEEPSEEK_V3 = "deepseek-v3-2048h800"

_LATEST = "trtllm-latest-"
TRTLLM_CELLS = (
    *(
        f"{_LATEST}llama-3-3-70b-h200-tp2-{lengths}"
        for lengths in ("1000-1000", "1024-8192", "8192-1024", "32768-1024")
    ),
    *(f"{_LATEST}llama-3-3-70b-h100-tp2-{lengths}" for lengths in ("1000-1000", "8192-1024")),
    *(
        f"{_LATEST}llama-3-3-70b-b200-tp1-{lengths}"
        for lengths in ("1000-1000", "1024-8192", "8192-1024", "32768-1024")
    ),
    *(f"{_LATEST}llama-3-3-70b-gb200-tp1-{lengths}" for lengths in ("1000-1000", "8192-1024")),
    *(f"{_LATEST}deepseek-r1-0528-h200-dep8-{lengths}" for lengths in ("1000-1000", "1024-8192", "1024-32768")),
    *(f"{_LATEST}deepseek-r1-0528-b200-dep4-{lengths}" for lengths in ("1000-1000", "1024-8192", "8192-1024")),
    *(f"{_LATEST}qwen3-235b-a22b-h200-dep4-{lengths}" for lengths in ("1000-1000", "1024-8192", "8192-1024")),
    *(f"{_LATEST}gpt-oss-120b-h200-tp1-{lengths}" for lengths in ("1000-1000", "8192-1024")),
)
"""NVIDIA/TensorRT-LLM docs/source/developer-guide/perf-overview.md: a dense model on four chips, three MoE on two."""

_SIBLING = f"{_LATEST}llama-3-3-70b-h100-tp2-1000-1000"
_H200 = {(1000, 1000): 2587.0, (1024, 8192): 2009.0, (8192, 1024): 537.0, (32768, 1024): 120.0}
"""The same table's H200 column for Llama-3.3-70B FP8 at TP2 [output token/s per GPU], not among the bundled cases."""


def trtllm_cells(cases: Iterable[Row]) -> list[Row]:
    """Rows of the table's 23 cells; the four not bundled differ from their H100 sibling in chip and lengths."""
    found = {case["id"]: case for case in cases if case["id"] in TRTLLM_CELLS}
    sibling = found[_SIBLING]
    for (isl, osl), rate in _H200.items():
        name = f"{_LATEST}llama-3-3-70b-h200-tp2-{isl}-{osl}"
        lengths = {**sibling["workload"], "input_len": isl, "output_len": osl}
        found[name] = {**sibling, "id": name, "chip": "h200-sxm", "workload": lengths, "metrics": {RATE: rate}}
    return [found[name] for name in TRTLLM_CELLS]


WIDE_EP = (
    "sglang-96h100-prefill-ep32-1024",
    "sglang-96h100-prefill-ep32-2048",
    "sglang-96h100-prefill-ep32-4096",
    "sglang-96h100-decode-ep72-2048",
    "deepseek-profile-h800-prefill-ep32",
    "deepseek-profile-h800-decode-ep128",
)
"""DeepSeek-V3/R1 over many nodes: the SGLang report of 2025-05 and DeepSeek's profile data."""

CLOUDMATRIX = ("cloudmatrix384-prefill-default", "cloudmatrix384-decode-50ms")


def picked(rows: Iterable[Prediction], ids: Sequence[str]) -> list[Prediction]:
    """Rows of these ids, in that order; rates before times."""
    order = {name: place for place, name in enumerate(ids)}
    return sorted((row for row in rows if row.id in order), key=lambda row: (order[row.id], row.metric != RATE))


def starting(rows: Iterable[Prediction], prefix: str) -> list[Prediction]:
    """Rows whose id begins so."""
    return [row for row in rows if row.id.startswith(prefix)]


def size(row: Prediction) -> float:
    """exp|ln(predicted/published)| - 1 of a row; 0 inside a published range."""
    return float(abs_error(row.predicted, row.target))


def mean_and_worst(rows: Sequence[Prediction]) -> tuple[float, float]:
    """Mean and largest error; NaN where there is no row."""
    errors = [size(row) for row in rows]
    return (float(np.mean(errors)), max(errors)) if errors else (math.nan, math.nan)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; ties are broken by order."""
    a, b = (np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (first, second))
    return float(np.corrcoef(a, b)[0, 1])


def anchored_rows(rows: Sequence[Prediction], anchors: int = 3) -> list[Prediction]:
    """The rest of each sweep when `anchors` of its points are known: ours, scaled by the level that those show.

    A sweep is what shares source, model, chip, engine and metric and has at least twice as many points as anchors; its
    anchors are spread evenly over what is predicted, as somebody who has not measured yet would choose them.
    """
    sweeps: dict[tuple[str, ...], list[Prediction]] = {}
    for row in rows:
        sweeps.setdefault((row.group, row.metric, *row.cluster), []).append(row)
    made: list[Prediction] = []
    for sweep in sweeps.values():
        if len(sweep) < 2 * anchors:
            continue
        ordered = sorted(sweep, key=lambda row: (row.predicted, row.id))
        places = {round(place) for place in np.linspace(0, len(ordered) - 1, anchors)}
        known = [ordered[place] for place in sorted(places)]
        rest = [row for place, row in enumerate(ordered) if place not in places]
        made += [row.scaled(row.predicted * math.exp(-_level(row, known))) for row in rest]
    return made


def _level(row: Prediction, known: Sequence[Prediction]) -> float:
    """Mean log error of the known points, each by how much it is like this one: exp(-2) for each of mode, formats and
    speculation that differs (as `serve.anchor` has it), and the inverse ratio of what is predicted for the two.
    """
    other = [
        sum(row.tags.get(tag) != one.tags.get(tag) for tag in ("mode", "precision", "speculation")) for one in known
    ]
    apart = [abs(math.log(row.predicted / one.predicted)) for one in known]
    weight = np.exp(-UNLIKE * np.array(other, dtype=float) - np.array(apart))
    return float((weight * [one.log_error for one in known]).sum() / weight.sum())


def median_over(rows: Sequence[Prediction], key: Callable[[Prediction], str]) -> tuple[float, float]:
    """Median over the parts (chips) of each part's median and 90th percentile; NaN where there is no row."""
    parts = split(rows, key).values()
    if not parts:
        return math.nan, math.nan
    medians = [part.median_abs_error or 0.0 for part in parts]
    return float(np.median(medians)), float(np.median([part.p90_abs_error or 0.0 for part in parts]))
