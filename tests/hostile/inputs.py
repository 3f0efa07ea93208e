"""Hostile inputs of the verbs that plan: programmes, configurations, flags, saved answers, own facts, measured runs."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.catalog.models import find
from tonnage.cli import run

ATOMS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 1e30, -1e30, 1e308, 0.5, 1.5, 10**40, "", " ", "x", "zzz", "-1", "0", "1e30",
    "nan", "inf", "1e999", "\u0661\u0662", "½", "9" * 4301,
    "a" * 5000, "\x1b[31mred\x1b[0m", "\x9b2J", "\u202eevil", "a\tb",
    "=HYPERLINK(1)", "-1+1", "@cmd", "<script>", "../../etc/passwd", "%s%n", "{}", "[]", "--help", "-o",
    "--output=x.json",
    [], {}, [[]], [None], [1] * 50, {"a": {"b": 1}}, {"": ""}, ["zzz"] * 3, "normal(1, 100)", "uniform(5, 1)",
    "one of()", "5 to 1", "0 to 0", "2025-13-01", "0001-01-01", "9999-12-31", "1 week to 9999 years", "$-1/h",
    "$1e30/h",
    "-5 %", "500 %", "8xh20", "0xh20", "1e12xh20", "8 x", "xh20",
)  # fmt: skip
"""Values that nobody means, in place of those that people mean."""

MODELS = ("qwen3-0.6b", "qwen3-30b-a3b", "deepseek-v2-lite", "gpt-oss-20b", "gemma-2b")
CHIPS = ("8xh20", "1xh20", "16xascend-910c", "3xh800", "8xrtx-4090", "64xh100-sxm", "8xmi300x")

FLAGS = {
    "fit": ("context", "weights", "kv", "layout", "engine", "chunk", "running", "memory-share", "as-of"),
    "train": (
        "tokens", "seq", "global-batch", "precision", "task", "layout", "shard-group", "software", "routing",
        "framework", "price", "term", "in", "start", "rollout-tokens", "rollout-length", "rollout-prompt",
        "rollout-on", "rollout-tail", "reward", "move-to", "move-at", "move-on", "move-wire", "as-of",
    ),
    "serve": (
        "isl", "osl", "ttft", "tpot", "rate", "concurrency", "cache-hit", "weights", "kv", "engine", "mode", "layout",
        "prefill-layout", "chunk", "ffn-layout", "micro-batches", "speculate", "batch", "imbalance", "price", "term",
        "price-list", "exchange-rate", "power-share", "in", "as-of",
    ),
}  # fmt: skip
SOUND = (
    "8k", "1B", "50ms", "2s", "fp8", "bf16", "tp2", "tp4,ep4", "pp3", "ep7", "tp3", "dp8", "tp1,pp2,dp4", "1@0.8", "3",
    "0.9", "64", "1/s", "2025-06", "CN", "EU", "sglang", "vllm", "trtllm", "$2/h", "decode", "prefill", "512xh20",
    "30%", "100M", "16", "spot",
)  # fmt: skip
"""Values that some flag means, for another."""


@dataclass(frozen=True)
class Tried:
    """One input: its kind, the words of the command line, and files by name beside them.

    outputs: what may be there afterwards; after: what is wrong with it then, if anything; instead: what is asked where
    it is no command.
    """

    kind: str
    words: tuple[str, ...]
    files: tuple[tuple[str, str | bytes], ...] = ()
    outputs: tuple[str, ...] = ()
    after: Callable[[Path], str | None] | None = None
    instead: Callable[[Path], str | None] | None = None


def atom(dice: random.Random) -> Any:
    """Any hostile value."""
    return copy.deepcopy(dice.choice(ATOMS))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a nested value."""
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(value: Any, dice: random.Random, times: int) -> Any:
    """A nested value with some of its parts replaced, taken away, renamed, wrapped or repeated."""
    value = copy.deepcopy(value)
    for _ in range(times):
        every = list(places(value))
        if not every:
            return atom(dice)
        *above, last = dice.choice(every)
        parent = value
        for step in above:
            parent = parent[step]
        how = dice.randrange(6)
        if how <= 2:
            parent[last] = atom(dice)
        elif how == 3:
            del parent[last]
        elif how == 4 and isinstance(parent, dict):
            name = atom(dice)
            parent[name if isinstance(name, str) else str(name)] = parent.pop(last)
        else:
            parent[last] = [parent[last], atom(dice)] if dice.random() < 0.5 else {"a": parent[last]}
    return value


def programme(dice: random.Random) -> Tried:
    """A small programme with mistakes."""
    text = json.dumps(mutated(PROGRAMME, dice, dice.choice((1, 1, 1, 2, 4))), ensure_ascii=dice.random() < 0.5)
    return Tried("programme", ("launch", "p.yaml", "--draws", "20"), (("p.yaml", text),))


def config(dice: random.Random) -> Tried:
    """A config.json with mistakes."""
    found = mutated(dict(find(dice.choice(MODELS), _catalog().model_lines)[1]), dice, dice.choice((1, 1, 2, 4)))
    verb = dice.choice(("fit", "serve", "train"))
    words = (verb, "config.json", "--on", dice.choice(CHIPS))
    return Tried("config", words, (("config.json", json.dumps(found)),))


def arguments(dice: random.Random) -> Tried:
    """Flags with values that they do not mean."""
    verb = dice.choice(tuple(FLAGS))
    words = [verb, dice.choice(MODELS) if dice.random() < 0.95 else str(atom(dice)), "--on", dice.choice(CHIPS)]
    for flag in dice.sample(FLAGS[verb], dice.choice((1, 1, 2, 3))):
        value = dice.choice(SOUND) if dice.random() < 0.5 else str(atom(dice))
        words += [f"--{flag}={value}"] if dice.random() < 0.8 else [f"--{flag}", value]
    return Tried("arguments", tuple(words))


def overlay(dice: random.Random) -> Tried:
    """Facts of one's own with mistakes."""
    if dice.random() < 0.5:
        chip = mutated(CHIP, dice, dice.choice((1, 1, 2)))
        return Tried(
            "overlay", ("fit", "qwen3-0.6b", "--on", "2xmy", "--catalog", "own"), (("own/my.yaml", json.dumps(chip)),)
        )
    cells = [*FACT]
    cells[dice.randrange(len(cells))] = str(atom(dice)).replace('"', "").replace("\n", " ")
    text = f"{HEADER}\n" + ",".join(f'"{cell}"' for cell in cells) + "\n"
    return Tried("overlay", ("show", "h20-96gb", "--catalog", "own"), (("own/chips.csv", text),))


def saved(dice: random.Random) -> Tried:
    """A saved answer with mistakes."""
    text = json.dumps(
        (mutated if dice.random() < 0.5 else tweaked)(dice.choice(_answers()), dice, dice.choice((1, 1, 2, 4)))
    )
    verb = dice.choice(("rerun", "sources", "compare"))
    words = (verb, "a.json", "b.json") if verb == "compare" else (verb, "a.json")
    return Tried("saved", words, (("a.json", text), ("b.json", json.dumps(_answers()[0]))))


def rows(dice: random.Random) -> Tried:
    """Measured runs of one's own with mistakes."""
    lines = [json.dumps(mutated(RUN, dice, dice.choice((0, 1, 2)))) for _ in range(dice.choice((1, 3)))]
    text = dice.choice(("\n", "\r\n")).join(lines + dice.choice(([], ["{", "", "\x00", "[]", "1"])))
    way = dice.choice(
        (
            ("train", "qwen3-0.6b", "--on", "8xh20", "--anchor", "r.jsonl"),
            ("serve", "qwen3-0.6b", "--on", "1xh20", "--anchor", "r.jsonl"),
            ("accuracy", "serve", "--cases", "r.jsonl"),
            ("accuracy", "durations", "--cases", "r.jsonl"),
        )
    )
    return Tried("rows", way, (("r.jsonl", text),))


OLDER: tuple[Callable[[random.Random], Tried], ...] = (arguments, config, programme, saved, overlay, rows)

PROGRAMME: dict[str, Any] = {
    "name": "mini",
    "start": "2025-06-01",
    "horizon": "12 months",
    "place": "US",
    "fleet": [
        {"lot": "own", "chip": "h100-sxm", "count": 64, "tenure": "owned"},
        {
            "lot": "rent",
            "chip": "h200",
            "count": "16 to 32",
            "price": "$2/h to $3/h",
            "from": "2025-08-01 to 2025-10-01",
        },
    ],
    "models": {
        "old": {
            "model": "qwen3-8b",
            "serve": {"input_tokens": "1B/day", "output_tokens": "0.2B/day", "ttft": "2s", "tpot": "50ms", "peak": 1.2},
        },
        "new": {
            "model": "qwen3-8b",
            "after": "old",
            "train": {"stages": [{"pretrain": {"tokens": "0.2T", "seq": "4k", "global_batch": 1024}}], "try": ["own"]},
            "serve": {"like": "old", "takes_over": "60 % to 90 %", "within": "4 weeks", "surge": "0.1 to 0.3"},
            "good_enough": {"rounds": "1 to 2", "each": "1 to 3 weeks"},
        },
    },
    "rules": "as-of",
    "assumptions": {"slip": "1.2 to 3", "give_up": "uniform(10 %, 100 %)"},
}
CHIP: dict[str, Any] = {
    "chip": "my", "source": "a data sheet", "vendor": "NVIDIA", "title": "Mine", "stack": "cuda", "memory": "80 GB",
    "bandwidth": "2 TB/s", "rates": {"bf16": "300 TFLOP/s"}, "link": "400 GB/s", "domain": 8, "power": "500 W",
    "released": "2024-01-01", "price": "$1/h",
}  # fmt: skip
HEADER = "entity,attribute,value,unit,low,high,source,locator,retrieved,date,kind,note"
FACT = (
    "h20-96gb",
    "memory",
    "96e9",
    "byte",
    "",
    "",
    "nvidia-h20",
    "page 1",
    "2025-01-01",
    "2025-01-01",
    "datasheet",
    "",
)
RUN: dict[str, Any] = {
    "id": "mine", "model": "qwen3-0.6b", "chip": "h20-96gb", "count": 8, "seq": 4096, "global_batch": 64,
    "framework": "Megatron-LM", "precision": "bf16", "metric": "step_time", "published": 3.2, "engine": "sglang",
    "workload": {"isl": 1000, "osl": 100, "concurrency": 8}, "metrics": {"output_tokens_per_second": 500.0},
}  # fmt: skip


def _catalog() -> Any:
    from tonnage import catalog

    return catalog.load()


_MADE: list[dict[str, Any]] = []


def _answers() -> list[dict[str, Any]]:
    """Answers as the verbs save them, made once."""
    if not _MADE:
        for words in (
            ("fit", "qwen3-0.6b", "--on", "1xh20"),
            ("train", "qwen3-0.6b", "--on", "8xh20", "--tokens", "1B"),
        ):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                assert run([*words, "--json", "-q"]) == 0
            _MADE.append(json.loads(out.getvalue()))
    return _MADE


def tweaked(value: Any, dice: random.Random, times: int) -> Any:
    """A nested value with some of its numbers, switches and texts replaced by others of their kind."""
    value = copy.deepcopy(value)
    every = [path for path in places(value) if isinstance(_at(value, path), (bool, int, float, str, list))]
    for path in dice.sample(every, min(times, len(every))):
        parent, old = _at(value, path[:-1]), _at(value, path)
        if not isinstance(parent, (dict, list)) or isinstance(old, dict):
            continue  # what stood there is gone by now
        if isinstance(old, bool):
            new: Any = not old
        elif isinstance(old, (int, float)):
            others = (0, -1, -old, old * 1_000_000, 1, 2, 7, 10**9, 10**15)
            new = dice.choice(others) if isinstance(old, int) else dice.choice((*others, 1e-30, 1e30, 0.5, 1e-9, -0.5))
        elif isinstance(old, str):
            new = dice.choice((old + "x", "", "zzz", "\x1b[31mx", "a" * 300, "8xh20", "h100-sxm", "vllm", "1e30", "no"))
        else:
            new = dice.choice(([], old + old, old[:1], old[::-1]))
        parent[path[-1]] = new
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path, or None where it is gone by now."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return {}
    return value
