"""A service as it would run, and what its figures mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tonnage.errors import Outcome


@dataclass(frozen=True)
class ServePlan:
    """A service as it would run. Times [s]; rates per accelerator over all accelerators of the deployment; memory
    [byte] per accelerator. ttft, tpot: means; low, high: 90 % intervals; parts: what each of several fleets does;
    price_per_accelerator: what the costs rest on [USD/accelerator-s], the mean of several fleets. Energy [J]; day:
    revenue, cost and margin of a day at a price list. Figures that a mode lacks are None.
    With attention and FFN apart `layout` and `memory` are those of the attention ranks, ffn_layout and ffn_memory of
    the FFN ranks, and busy says which share of a step each side and the wire work. chunk: new tokens per step and
    replica at most, of the ranks that prefill; launch: what each kind of engine instance has to be told (`launch`);
    variants: what a narrower cache or drafts would bring, where these were left open; fewest: accelerators that carry a
    given rate; measured_share: of the time in kernels, what rests on shapes measured on the chip;
    left_out: layouts that were not looked at because the catalogue lacks a fact;
    ttft_p50, p90, p99: times to the first token that so many of a hundred requests do not exceed.
    """

    outcome: Outcome
    mode: str
    layout: dict[str, int] | None
    layout_text: str
    prefill_layout: dict[str, int] | None
    prefill_layout_text: str | None
    weights: str
    kv: str
    why: str
    engine: str
    accelerators: int
    used: float
    ttft: float | None
    ttft_low: float | None
    ttft_high: float | None
    tpot: float | None
    tpot_low: float | None
    tpot_high: float | None
    output_tokens_per_second_per_accelerator: float | None
    output_tokens_per_second_per_accelerator_low: float | None
    output_tokens_per_second_per_accelerator_high: float | None
    input_tokens_per_second_per_accelerator: float | None
    requests_per_second: float | None
    batch_per_accelerator: float | None
    memory: dict[str, float]
    breakdown: dict[str, float]
    cost_per_million_input_tokens: float | None
    cost_per_million_output_tokens: float | None
    price: str | None
    frontier: tuple[dict[str, Any], ...]
    alternatives: tuple[dict[str, Any], ...]
    search: dict[str, Any]
    price_per_accelerator: float | None = None
    cost_per_million_fresh_tokens: float | None = None
    cost_per_million_cached_tokens: float | None = None
    energy_per_million_input_tokens: float | None = None
    energy_per_million_output_tokens: float | None = None
    power: str | None = None
    day: dict[str, Any] | None = None
    nearest: dict[str, Any] | None = None
    parts: tuple[dict[str, Any], ...] = ()
    ffn_layout: dict[str, int] | None = None
    ffn_layout_text: str | None = None
    micro_batches: int | None = None
    ffn_memory: dict[str, float] | None = None
    busy: dict[str, float] | None = None
    chunk: int | None = None
    launch: tuple[dict[str, Any], ...] = ()
    variants: tuple[dict[str, Any], ...] = ()
    fewest: int | None = None
    measured_share: float | None = None
    ttft_p50: float | None = None
    ttft_p90: float | None = None
    ttft_p99: float | None = None
    left_out: str | None = None
    definitions: tuple[str, ...] = ()
    evidence: str = "analytic"
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Keys of the interface, base units."""
        held = dict(self.__dict__)
        for name in ("outcome", "sources", "evidence"):
            held.pop(name)
        return held | {
            name: list(held[name])
            for name in ("frontier", "alternatives", "parts", "launch", "variants", "definitions")
        }


DEFINITIONS = (
    "ttft: mean time from arrival to the first token, queueing included",
    "tpot: mean time per output token of a request after its first",
    "per accelerator: over all accelerators of the deployment, prefill pool and idle ones included",
    "cost: price of all accelerators, split between input and output by the time spent on prefill and decode",
    "cached tokens: cost what attention over them adds to the prefill of fresh ones; keeping them is not priced",
    "attention and FFN apart: a step is the longest of m turns of attention, FFN or wire, and one turn of all in a row",
    "energy: power of all accelerators [J], split in the same way",
    "day: every token of a day billed at the price list, against the price of all accelerators for a day",
)
