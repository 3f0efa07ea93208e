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
class Field:
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


MODEL, CHIPS = Field("model", "model"), Field("on", "chips", "--on")
WEIGHTS = ("bf16", "fp16", "fp8", "mxfp8", "int8", "fp4", "nvfp4", "mxfp4", "w4a8", "w4a16", "w8a16")
ENGINES = ("vllm", "sglang", "trtllm", "vllm-ascend", "atom")
TERMS = ("on-demand", "monthly", "1-year", "3-year", "reserved", "spot")
PRICED = (
    Field("place", "word", "--in"),
    Field("price", "quantity", "--price", more=True),
    Field("term", "choice", "--term", choices=TERMS, more=True),
    Field("as_of", "date", "--as-of", more=True),
)
SERVED = (
    Field("weights", "choice", "--weights", choices=WEIGHTS, more=True),
    Field("kv", "choice", "--kv", choices=("bf16", "fp8", "int8"), more=True),
    Field("engine", "word", "--engine", choices=ENGINES),
    Field("layout", "layout", "--layout", more=True),
)
FIT = (
    MODEL,
    CHIPS,
    Field("context", "quantity", "--context"),
    *SERVED,
    Field("running", "number", "--running", more=True),
    Field("memory_share", "quantity", "--memory-share", more=True),
    Field("eager", "flag", "--eager", more=True),
)
TRAIN = (
    MODEL,
    Field("on", "chips", "--on", again=True),
    Field("tokens", "quantity", "--tokens"),
    Field("seq", "number", "--seq", "4096"),
    Field("global_batch", "number", "--global-batch", "1024"),
    Field("precision", "choice", "--precision", "bf16", ("bf16", "fp16", "fp8", "mxfp8", "nvfp4")),
    Field("task", "choice", "--task", "pretrain", ("pretrain", "sft", "lora", "qlora"), more=True),
    Field("layout", "layout", "--layout", more=True),
    *PRICED,
)
SERVE = (
    MODEL,
    Field("on", "chips", "--on", again=True),
    Field("isl", "number", "--isl", "4k"),
    Field("osl", "number", "--osl", "1k"),
    Field("ttft", "quantity", "--ttft"),
    Field("tpot", "quantity", "--tpot"),
    Field("rate", "quantity", "--rate"),
    Field("cache_hit", "quantity", "--cache-hit", "0", more=True),
    Field("mode", "choice", "--mode", "auto", ("auto", "aggregated", "disaggregated", "prefill", "decode", "afd")),
    *SERVED,
    Field("prefill_layout", "layout", "--prefill-layout", more=True),
    *PRICED,
)
PLAN = ("model", "on", "isl", "osl", "tpot", "engine")
"""Fields of a simulation that say which service is simulated: written as a file of a service."""

SIMULATE = (
    MODEL,
    CHIPS,
    Field("isl", "number", "", "4k"),
    Field("osl", "number", "", "1k"),
    Field("tpot", "quantity", ""),
    Field("engine", "word", "", choices=ENGINES, more=True),
    Field("rate", "quantity", "--rate"),
    Field("requests", "number", "--requests"),
    Field("arrivals", "choice", "--arrivals", "poisson", ("poisson", "gamma", "day", "even", "at-once")),
    Field("slo", "quantity", "--slo"),
    Field("routing", "choice", "--routing", "round-robin", ("round-robin", "least-loaded", "prefix-aware"), more=True),
    Field("order", "choice", "--order", "fcfs", ("fcfs", "shortest"), more=True),
    Field("isl_spread", "word", "--isl-spread", "fixed", more=True),
    Field("osl_spread", "word", "--osl-spread", "fixed", more=True),
    Field("replicas", "word", "--replicas", more=True),
    Field("find_rate", "flag", "--find-rate", more=True),
    Field("seed", "number", "--seed", "0", more=True),
)
LAUNCH = (
    Field("start", "choice", "", "own", ("own", "r2", "eu-lab", "cloud", "mini")),
    Field("draws", "number", "--draws", "500"),
    Field("by", "date", "--by"),
    Field("as_of", "date", "--as-of"),
    Field("seed", "number", "--seed", "0", more=True),
    Field("off", "rules"),
)
KNOWN = ("chips", "prices", "models", "rules", "events", "supply", "demand", "servers", "runs", "launches", "sources")
CATALOGUE = (
    Field("what", "model", "", "chips", KNOWN),
    Field("place", "word", "--in"),
    Field("as_of", "date", "--as-of"),
)
ACCURACY = (Field("what", "choice", "", "serve", ("serve", "train", "durations", "capacity", "checkpoints")),)
RUNS = (
    Field("what", "choice", "", "list", ("list", "show", "errors")),
    Field("plan", "choice", ""),
    Field("by", "choice", "--by", choices=("chip", "engine", "model", "month")),
)
QUALIFY = (Field("file", "choice", ""),)
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
        "rate": "4/s",
        "requests": "2k",
        "slo": "ttft p95 2s, tpot p95 50ms",
    },
}
"""What a view shows before anybody asks: an example of each question."""


def usual(view: str, field: Field) -> str:
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


def _unknown(name: str, names: Mapping[str, Field]) -> Problem:
    return Problem("is no field of this view", one_line(name, 40), suggestion=nearest(name[:40], names))


def _wrong(field: Field, value: object) -> Problem | None:
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


def words(fields: Sequence[Field], values: Mapping[str, str], view: str = "") -> list[str]:
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
