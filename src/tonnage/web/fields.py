"""What may be asked of each view: a list of fields, and nothing else, made into the words of the command line.

A field is written as `--flag=value`, so that no value is read as a flag. No field names a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import one_line

LONGEST = 200
"""Characters of a field at most."""

PATTERNS = {
    "model": r"[A-Za-z0-9][\w.+:@-]*(?:/[A-Za-z0-9][\w.+:@-]*)?",
    "chips": r"[\w.-]+(?: ?x ?[\w.-]+)?(?: ?[,+] ?[\w.-]+(?: ?x ?[\w.-]+)?){0,7}",
    "quantity": r"[\w .,%$€¥:+@=*|-]+(?:/(?:h|s|day|month|year|kWh))?",
    "layout": r"[\w.,=+ -]+",
    "number": r"\d[\d.,]{0,15}(?: ?[kMBT])?",
    "date": r"\d{4}-\d\d(?:-\d\d)?",
    "word": r"[\w .,:@+-]+",
    "choice": r"[\w.-]+",
    "flag": r"1",
    "rules": r"[a-z0-9_]+(?:,[a-z0-9_]+){0,63}",
}
"""What the value of a field of each kind looks like, whole. `/` stands in a model's published name and in a unit."""

FILES = re.compile(r"(?:^|/)\.\.?(?:/|$)|\.(?:json|ya?ml|gguf|csv|jsonl|parquet|sqlite)$", re.I)
"""What would be read as a file by name."""


@dataclass(frozen=True)
class ViewField:
    """One thing to be asked. flag: as on the command line, empty where it stands first; usual: its value where none is
    given; more: shown when more is asked for; again: a list that repeats the flag.
    """

    name: str
    kind: str
    flag: str = ""
    usual: str = ""
    choices: tuple[str, ...] = ()
    more: bool = False
    again: bool = False


MODEL, CHIPS = ViewField("model", "model"), ViewField("on", "chips", "--on")
WEIGHTS = ("bf16", "fp16", "fp8", "mxfp8", "int8", "fp4", "nvfp4", "mxfp4", "w4a8", "w4a16", "w8a16")
ENGINES = ("vllm", "sglang", "trtllm", "vllm-ascend", "atom")
TERMS = ("on-demand", "monthly", "1-year", "3-year", "reserved", "spot")
PRICED = (
    ViewField("place", "word", "--in"),
    ViewField("price", "quantity", "--price", more=True),
    ViewField("term", "choice", "--term", choices=TERMS, more=True),
    ViewField("as_of", "date", "--as-of", more=True),
)
SERVED = (
    ViewField("weights", "choice", "--weights", choices=WEIGHTS, more=True),
    ViewField("kv", "choice", "--kv", choices=("bf16", "fp8", "int8"), more=True),
    ViewField("engine", "word", "--engine", choices=ENGINES),
    ViewField("layout", "layout", "--layout", more=True),
)
FIT = (
    MODEL,
    CHIPS,
    ViewField("context", "quantity", "--context"),
    *SERVED,
    ViewField("running", "number", "--running", more=True),
    ViewField("memory_share", "quantity", "--memory-share", more=True),
    ViewField("eager", "flag", "--eager", more=True),
)
TRAIN = (
    MODEL,
    ViewField("on", "chips", "--on", again=True),
    ViewField("tokens", "quantity", "--tokens"),
    ViewField("seq", "number", "--seq", "4096"),
    ViewField("global_batch", "number", "--global-batch", "1024"),
    ViewField("precision", "choice", "--precision", "bf16", ("bf16", "fp16", "fp8", "mxfp8", "nvfp4")),
    ViewField("task", "choice", "--task", "pretrain", ("pretrain", "sft", "lora", "qlora"), more=True),
    ViewField("layout", "layout", "--layout", more=True),
    *PRICED,
)
SERVE = (
    MODEL,
    ViewField("on", "chips", "--on", again=True),
    ViewField("isl", "number", "--isl", "4k"),
    ViewField("osl", "number", "--osl", "1k"),
    ViewField("ttft", "quantity", "--ttft"),
    ViewField("tpot", "quantity", "--tpot"),
    ViewField("rate", "quantity", "--rate"),
    ViewField("cache_hit", "quantity", "--cache-hit", "0", more=True),
    ViewField("mode", "choice", "--mode", "auto", ("auto", "aggregated", "disaggregated", "prefill", "decode", "afd")),
    *SERVED,
    ViewField("prefill_layout", "layout", "--prefill-layout", more=True),
    *PRICED,
)
PLAN = ("model", "on", "isl", "osl", "tpot", "engine")
"""Fields of a simulation that say which service is simulated: written as a file of a service."""

SIMULATE = (
    MODEL,
    CHIPS,
    ViewField("isl", "number", "", "4k"),
    ViewField("osl", "number", "", "1k"),
    ViewField("tpot", "quantity", ""),
    ViewField("engine", "word", "", choices=ENGINES, more=True),
    ViewField("rate", "quantity", "--rate"),
    ViewField("requests", "number", "--requests"),
    ViewField("arrivals", "choice", "--arrivals", "poisson", ("poisson", "gamma", "day", "even", "at-once")),
    ViewField("slo", "quantity", "--slo"),
    ViewField(
        "routing", "choice", "--routing", "round-robin", ("round-robin", "least-loaded", "prefix-aware"), more=True
    ),
    ViewField("order", "choice", "--order", "fcfs", ("fcfs", "shortest"), more=True),
    ViewField("isl_spread", "word", "--isl-spread", "fixed", more=True),
    ViewField("osl_spread", "word", "--osl-spread", "fixed", more=True),
    ViewField("replicas", "word", "--replicas", more=True),
    ViewField("find_rate", "flag", "--find-rate", more=True),
    ViewField("seed", "number", "--seed", "0", more=True),
)
LAUNCH = (
    ViewField("start", "choice", "", "own", ("own", "r2", "eu-lab", "cloud", "mini")),
    ViewField("draws", "number", "--draws", "500"),
    ViewField("by", "date", "--by"),
    ViewField("as_of", "date", "--as-of"),
    ViewField("seed", "number", "--seed", "0", more=True),
    ViewField("off", "rules"),
)
KNOWN = ("chips", "prices", "models", "rules", "events", "supply", "demand", "servers", "runs", "launches", "sources")
CATALOGUE = (
    ViewField("what", "model", "", "chips", KNOWN),
    ViewField("place", "word", "--in"),
    ViewField("as_of", "date", "--as-of"),
)
ACCURACY = (
    ViewField("what", "choice", "", "serve", ("serve", "train", "durations", "capacity", "checkpoints", "launch")),
    ViewField("anew", "flag"),
)
RUNS = (
    ViewField("what", "choice", "", "list", ("list", "show", "errors")),
    ViewField("plan", "choice", ""),
    ViewField("by", "choice", "--by", choices=("chip", "engine", "model", "month")),
)
QUALIFY = (ViewField("file", "choice", ""),)
VIEWS = {
    "launch": LAUNCH,
    "fit": FIT,
    "train": TRAIN,
    "serve": SERVE,
    "simulate": SIMULATE,
    "catalogue": CATALOGUE,
    "qualify": QUALIFY,
    "runs": RUNS,
    "accuracy": ACCURACY,
}
"""Views in the order of the page, and what may be asked of each."""

SHOWN = {
    "fit": {"model": "deepseek-r1", "on": "8xh200"},
    "train": {
        "model": "deepseek-v3",
        "on": "2048xh800",
        "tokens": "14.8T",
        "global_batch": "15360",
        "precision": "fp8",
    },
    "serve": {"model": "deepseek-r1", "on": "16xh20", "tpot": "50ms"},
    "catalogue": {"place": "CN"},
    "simulate": {
        "model": "llama-3.3-70b",
        "on": "8xh100",
        "rate": "2/s",
        "requests": "2k",
        "slo": "ttft p95 2s, tpot p95 50ms",
    },
}
"""What a view shows before anybody asks: an example of each question."""


def usual(view: str, field: ViewField) -> str:
    """The value of a field where none is given."""
    return SHOWN.get(view, {}).get(field.name, field.usual)


def checked(view: str, given: Mapping[str, object]) -> dict[str, str]:
    """The values of a view's fields, those not given by their usual. Raises InputError with every problem."""
    fields = {field.name: field for field in VIEWS[view]}
    problems = [_unknown(name, fields) for name in given if name not in fields]
    values: dict[str, str] = {}
    for name, field in fields.items():
        value = given.get(name, usual(view, field))
        problem = _wrong(field, value)
        if problem is not None:
            problems.append(problem)
        elif value:
            values[name] = str(value).strip()
    if problems:
        raise InputError(problems)
    return values


def _unknown(name: str, names: Mapping[str, ViewField]) -> Problem:
    return Problem("is no field of this view", one_line(name, 40), suggestion=nearest(name[:40], names))


def _wrong(field: ViewField, value: object) -> Problem | None:
    """What is wrong with the value of a field, if anything."""
    if not isinstance(value, str):
        return Problem("expected text", field.name)
    text = value.strip()
    if not text:
        return None
    if len(text) > LONGEST and field.kind != "rules":
        return Problem(f"expected at most {LONGEST} characters", field.name)
    if field.kind == "choice" and field.choices and text not in field.choices:
        message = f'"{one_line(text, 40)}" is none of {", ".join(field.choices)}'
        return Problem(message, field.name, suggestion=nearest(text, field.choices))
    if not re.fullmatch(PATTERNS[field.kind], text) or FILES.search(text):
        return Problem(f'cannot be asked from the page: "{one_line(text, 60)}"', field.name)
    return None


def words(fields: Sequence[ViewField], values: Mapping[str, str], view: str = "") -> list[str]:
    """The flags of the values that are not the command line's own default."""
    found: list[str] = []
    for field in fields:
        value = values.get(field.name, "")
        if not field.flag or not value or value == field.usual:
            continue
        if field.kind == "flag":
            found.append(field.flag)
        elif field.again:
            found += [f"{field.flag}={part.strip()}" for part in re.split(r"[,+]", value)]
        else:
            found.append(f"{field.flag}={value}")
    return found
