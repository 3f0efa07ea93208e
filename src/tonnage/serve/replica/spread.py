"""How far predictions are off where the answer is known: 90 % intervals from cross-validated residuals.

`scripts/fit_serve.py` predicts each published figure with its source in no fit, and keeps per metric and regime the
log-spread whose 1.645-fold holds 90 % of these errors, each source one vote. Regimes are the maker of the chip
(NVIDIA's are measured, others are not), whether drafts are accepted at an unknown rate, and whether prefill and decode
are apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tonnage.provenance import Evidence
from tonnage.serve.replica.software import Constants, constants
from tonnage.system import Accelerator, measured_maker

METRICS = ("rate", "tpot", "ttft")

CROWDED = 256
"""Sequences in flight on an accelerator above which mixtures of experts are hardly published but in offline tables."""

CROWD = 0.371
"""Log-spread of rate and TPOT there: all 49 published rates on NVIDIA's chips (TensorRT-LLM's tables but for four) are
within a factor of 1.84 of the prediction, although they entered the fit, half of them within 1.17; nine in ten within
1.46, but what is further off is of one kind, attention in data parallel on Hopper. No mechanism that was tried holds
for all of it (docs/lab.md)."""

GIB = 2.0**30

ROOM = 2.4 * GIB
"""Bytes of a rank by which the room for the cache is off, nine times in ten: 45 of the 50 logged rooms whose caches are
not compressed, as engines print them when they start (`tonnage accuracy capacity`), those that lack a setting with
them; half are within 0.6 GiB. What is off is what lies beside weights and cache, so that it is bytes and no share."""

COMPRESSED_ROOM = 5.2 * GIB
"""The same of caches with compressed entries: all six logs are within 3.0; one of them, asked without its version and
its step of twice the usual tokens (two GH200), within 5.2."""


def room_doubt(compressed: bool) -> float:
    """Bytes of a rank by which the room may be off."""
    return COMPRESSED_ROOM if compressed else ROOM


@dataclass(frozen=True)
class SpeedSpread:
    """Log-spread of each figure (1.645 of them are a 90 % interval), and the tier of the evidence."""

    rate: float
    tpot: float
    ttft: float
    evidence: Evidence


def regime(accelerator: Accelerator, mode: str, speculation: bool) -> tuple[str, ...]:
    """Names of the regime of a prediction, the most particular first; the last always has a spread."""
    maker = "nvidia" if measured_maker(accelerator) else "other"
    drafts = ["drafts"] if speculation else []
    apart = ["apart"] if mode != "aggregated" else []
    return tuple(dict.fromkeys((".".join([maker, *drafts, *apart]), ".".join([maker, *drafts]), maker, "all")))


def crowded(moe: bool, sequences: float | None) -> bool:
    """Whether a mixture of experts has more sequences in flight on an accelerator than published services have."""
    return moe and sequences is not None and sequences > CROWDED


def in_a_crowd(found: SpeedSpread) -> SpeedSpread:
    """The doubt of a mixture where it is crowded: never less than its published tables are off, and extrapolated."""
    tier: Evidence = "analytic" if found.evidence == "analytic" else "extrapolated"
    return replace(found, rate=max(found.rate, CROWD), tpot=max(found.tpot, CROWD), evidence=tier)


def doubt(
    accelerator: Accelerator, mode: str, speculation: bool, fitted: Constants | None = None, *, untouched: bool = False
) -> SpeedSpread:
    """The doubt of a figure in a regime; untouched: of an engine that is run as it comes, which is never less than
    what such runs are off when none of them is in the fit; nor is that of a chip of which no published service was in
    the fit less than what chips left out are off.

    evidence: interpolated on chips of which published services entered the fit and whose maker's operators are
    measured; extrapolated on others of that maker, and where published services of the vendor entered the fit; analytic
    elsewhere, half as wide again.
    """
    found = fitted or constants()
    names = regime(accelerator, mode, speculation)
    known = measured_maker(accelerator) or accelerator.vendor in found.vendor
    wider = 1.0 if known else 1.5
    values = [wider * next(found.spread[metric][n] for n in names if n in found.spread[metric]) for metric in METRICS]
    seen = accelerator.name in found.chips
    tiers = [name for name, holds in (("untouched", untouched), ("unseen", not seen)) if holds]
    values = [
        max([value, *(found.spread[metric].get(tier, 0.0) for tier in tiers)])
        for value, metric in zip(values, METRICS, strict=True)
    ]
    near = measured_maker(accelerator) and seen
    tier: Evidence = "interpolated" if near else "extrapolated" if known else "analytic"
    return SpeedSpread(values[0], values[1], values[2], tier)
