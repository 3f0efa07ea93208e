"""Which cases are scored, and why the others are not.

The rule is that of the collection (docs/cases.md): training cases of quality `full`, curated, without a flag that
forbids it; serving cases that are expressible, of quality high or medium, without such a flag.
"""

from __future__ import annotations

from tonnage.truth.cases import at, number, text
from tonnage.truth.table import Row

DO_NOT_SCORE = frozenset(
    [
        "layer_reduced",
        "lower_bound",
        "production_average",
        "conflicting_duplicate",
        "noisy_steps",
        "step_and_throughput_disagree",
        "layout_inconsistent",
        "layout_incomplete",
        "series_label_inferred",
        "modified_block",
        "shape_from_defaults",
        "untuned_layout",
        "count_rounded",
        "early_software",
        "known_regression",
    ]
)
"""Flags that keep a training case out of the score."""

DAGGER = frozenset(
    [
        "layout_uncertain",
        "moe_layout_unstated",
        "random_prompt_speculation",
        "inconsistent",
        "rate_meaning_unclear",
        "peak_not_steady",
        "simulated_expert_balance",
        "counts_cached_tokens",
        "simulated_speculation",
    ]
)
"""Flags that keep a serving case out of the score."""

RATE, TPOT, TTFT, INPUT_RATE = (
    "output_tokens_per_second_per_accelerator",
    "tpot",
    "ttft",
    "input_tokens_per_second_per_accelerator",
)
TRAINING_RATE = "tokens_per_second_per_accelerator"


def flags(case: Row) -> frozenset[str]:
    """Flags of a case; nothing where they are absent or not a list of strings."""
    found = case.get("flags")
    return frozenset(flag for flag in found if isinstance(flag, str)) if isinstance(found, list) else frozenset()


def why_not_training(case: Row) -> str | None:
    """Reason for which a training case is not scored, or None when it is."""
    if case.get("quality") != "full":
        return f"quality is {_shown(case.get('quality'))}, not full"
    if case.get("curated") is not True:
        return "not marked curated by its source"
    flagged = sorted(flags(case) & DO_NOT_SCORE)
    return f"flagged {flagged[0]}" if flagged else None


def why_not_serving(case: Row) -> str | None:
    """Reason for which a serving or silicon case is not scored, or None when it is."""
    if case.get("expressible") is not True:
        missing = case.get("missing")
        known = isinstance(missing, list) and missing and all(isinstance(item, str) for item in missing)
        return f"not expressible: {_shown(missing[0])} missing" if known and missing else "not expressible"
    if case.get("quality") not in ("high", "medium"):
        return f"quality is {_shown(case.get('quality'))}"
    flagged = sorted(flags(case) & DAGGER)
    return f"flagged {flagged[0]}" if flagged else None


def _shown(value: object) -> str:
    return value[:40] if isinstance(value, str) else "not given" if value is None else "malformed"


def metrics(case: Row) -> dict[str, float]:
    """Published figures of a serving case that are fit to be compared, by metric.

    Rates of cases limited by their arrivals say nothing about a ceiling, and most published TTFT is queue: it counts
    for aggregated cases without `queueing_ttft` only. The input rate is that of prefill alone. Raises Skip when a
    figure is not a number.
    """
    chosen = [TPOT] if case.get("mode") != "prefill" else [INPUT_RATE]
    if case.get("mode") not in ("prefill",):
        chosen.append(RATE)
    if arrival_limited(case):
        chosen = [name for name in chosen if name == TPOT]
    if case.get("mode") == "aggregated" and "queueing_ttft" not in flags(case):
        chosen.append(TTFT)
    figures = {name: number(case, "metrics", name) for name in chosen}
    return {name: value for name, value in figures.items() if value is not None}


def arrival_limited(case: Row) -> bool:
    """Whether the rate served is the rate offered: arrivals at a set rate, or a closed loop throttled to one.

    A closed loop with a request rate counts when what was offered is no more than a tenth above what was served.
    """
    if text(case, "workload", "arrival") in ("poisson", "request-rate"):
        return True
    offered, length = number(case, "workload", "request_rate"), number(case, "workload", "output_len")
    if offered is None:
        return False
    served, count = number(case, "metrics", RATE), number(case, "count")
    if served is None or count is None or length is None or at(case, "workload", "concurrency") is None:
        return True
    return offered * length / count <= 1.1 * served


def group(case: Row) -> str:
    """The source whose vote a case is part of: points of InferenceX count as InferenceX however they came."""
    name = case.get("group")
    if not isinstance(name, str) or not name:
        return "unnamed"
    return "inferencex" if name == "aic-inferencex" else name[:80]
