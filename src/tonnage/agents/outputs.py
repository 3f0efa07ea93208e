"""What a tool gives, as a JSON Schema: the envelope of every answer, and the main keys of each verb's own."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.provenance import SCHEMA

NUMBER: Mapping[str, object] = {"type": ["number", "null"]}
OBJECT: Mapping[str, object] = {"type": ["object", "null"]}
ROWS: Mapping[str, object] = {"type": "array", "items": {"type": "object"}}
TEXT: Mapping[str, object] = {"type": ["string", "null"]}


def _said(kind: Mapping[str, object], what: str) -> dict[str, object]:
    return {**kind, "description": what}


BINDS: Mapping[str, object] = {
    "type": "array",
    "description": "what limits or forbids the plan, the worst first",
    "items": {
        "type": "object",
        "properties": {
            "what": _said(TEXT, "its name: memory, tpot, supply ..."),
            "by": _said(NUMBER, "how much is missing, as a ratio or in base units"),
            "text": _said(TEXT, "one sentence"),
            "lift": _said(TEXT, "the cheapest change that lifts it"),
        },
    },
}

HEAD: Mapping[str, object] = {
    "schema": {"const": SCHEMA},
    "command": {"type": "string"},
    "inputs": _said({"type": "object"}, "what was asked; tonnage rerun asks it again"),
    "outcome": _said({"type": "string"}, "feasible, or the reason why not"),
    "binds": BINDS,
    "sources": _said({"type": "array", "items": {"type": "string"}}, "facts that it rests on; the tool sources tells"),
    "catalog": _said(TEXT, "digest of the facts that were asked"),
    "seed": {"type": "integer"},
    "version": {"type": "string"},
    "evidence": _said(TEXT, "interpolated, extrapolated or analytic: how near published results are"),
}
"""Keys of every answer (`tonnage.report.envelope`). Base units: byte, FLOP, second, USD, token."""

OWN: Mapping[str, Mapping[str, object]] = {
    "fit": {
        "memory": _said(OBJECT, "bytes on an accelerator: weights, kv_cache, activations, buffers, total, capacity"),
        "max_context": _said(NUMBER, "tokens"),
        "max_batch": _said(NUMBER, "sequences of the context asked for"),
        "kv_bytes_per_token": NUMBER,
        "params": NUMBER,
        "active_params": NUMBER,
    },
    "train": {
        "layout": _said({}, "degrees, as an object or as text"),
        "step_time": _said(NUMBER, "seconds"),
        "step_time_low": _said(NUMBER, "seconds; with _high the interval that holds 90 %"),
        "step_time_high": NUMBER,
        "mfu": NUMBER,
        "memory": OBJECT,
        "breakdown": _said(OBJECT, "seconds of a step by what it does"),
        "goodput": NUMBER,
        "wall_time": _said(NUMBER, "seconds, failures included"),
        "accelerator_hours": NUMBER,
        "cost": _said({}, "USD"),
    },
    "serve": {
        "layout": _said({}, "degrees, as an object or as text"),
        "ttft": _said(NUMBER, "seconds to the first token; _low and _high hold 90 %"),
        "tpot": _said(NUMBER, "seconds per output token; _low and _high hold 90 %"),
        "output_tokens_per_second_per_accelerator": NUMBER,
        "requests_per_second": NUMBER,
        "memory": OBJECT,
        "breakdown": OBJECT,
        "cost_per_million_output_tokens": _said(NUMBER, "USD"),
        "frontier": _said({"type": "array"}, "speed of a user against throughput"),
    },
    "launch": {
        "launch": _said(OBJECT, "p10, p50, p90: dates, null beyond the horizon; probability_by_horizon"),
        "cost": _said(OBJECT, "USD, p10, p50, p90"),
        "sensitivity": _said({"type": "array"}, "inputs that move the day, the most first"),
        "timeline": _said({"type": "array"}, "what each lot does in each period"),
        "alternatives": {},
    },
    "simulate": {
        "requests": {},
        "duration": _said(NUMBER, "seconds"),
        "ttft": _said(OBJECT, "seconds: p50, p90, p95, p99, mean"),
        "tpot": OBJECT,
        "e2e": OBJECT,
        "goodput": {},
    },
    "accuracy": {
        "n": {"type": "integer"},
        "median_abs_error": NUMBER,
        "p90_abs_error": NUMBER,
        "bias": NUMBER,
        "coverage_90": NUMBER,
        "rows": ROWS,
    },
    "export": {"engine": {"type": "string"}, "files": _said(ROWS, "name, text, executable")},
}
"""Main keys of a verb; there are more, and none is sure to be there where the answer is no."""


def answer_schema(verb: str) -> dict[str, object]:
    """What a verb gives. Keys beyond the envelope are those of `docs/python.md`."""
    return {
        "type": "object",
        "properties": {**HEAD, **OWN.get(verb, {})},
        "required": list(HEAD),
    }
