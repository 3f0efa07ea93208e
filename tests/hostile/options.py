"""Absurd but well-formed questions: every option of every verb, alone and beside others, with values none means."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any

from inputs import PROGRAMME, Tried, atom
from newer import saved_plan

ABSURD = (
    "0", "-1", "1", "1.5", "1e30", "-1e30", "1e-30", "nan", "inf", "-inf", "1e999", "9" * 400, "", " ", ",", "none",
    "0s", "-5ms", "1e300s", "1e-300s", "50", "50ms", "1 week to 9999 years", "$0/h", "$-1/h", "$1e30/h", "2 EUR/h",
    "0 %", "-5 %", "500 %", "100 %", "30%", "0001-01-01", "9999-12-31", "2025-13-01", "1970", "2099-01-01",
    "tomorrow", "8xh20", "0xh20", "-1xh20", "1e12xh20", "8xzzz", "xh20", "8x", "tp0", "tp-1", "tp3", "ep7", "pp99",
    "dp1e9", "tp1,tp1", "tp2;ep2", "zzz", "fp3", "fp8", "int8", "vllm@0.0.0", "vllm@999", "vllm@", "@", "sglang",
    "CN", "ZZ", "EU", "Atlantis", "a=b", "=", "a=", "fleet=1", "models.new.serve.tpot=0s", "start=0001-01-01", "0@0",
    "1@2", "99@0.5", "1@-1", "3@0.7", "0B/s", "-1 GB/s", "1e30B/s", "1e30 GB", "uniform:9", "fixed:", "p101",
    "ttft p95 0s", "--help", "-q", "\u0661", "\u00b2", "[]", "{}", "null", "true", "../../etc/passwd", "/dev/null",
    "/dev/zero", ".", "/nowhere/x.json", "h20", "qwen3-0.6b",
)  # fmt: skip

BASES: dict[str, tuple[str, ...]] = {
    "launch": ("launch", "p.yaml", "--draws=20"),
    "fit": ("fit", "qwen3-0.6b", "--on=1xh20"),
    "train": ("train", "qwen3-0.6b", "--on=8xh20", "--tokens=1B"),
    "serve": ("serve", "qwen3-0.6b", "--on=1xh20"),
    "simulate": ("simulate", "p.json", "--rate=2/s", "--requests=20"),
    "show": ("show", "h20"),
    "lawful": ("lawful", "qwen3-0.6b", "--in=CN"),
    "sources": ("sources", "p.json"),
    "compare": ("compare", "p.json", "p.json"),
    "rerun": ("rerun", "p.json"),
    "schema": ("schema",),
    "completion": ("completion", "bash"),
    "new": ("new", "n.yaml"),
    "accuracy": ("accuracy", "capacity"),
    "ledger": ("ledger", "list", "--ledger=l.sqlite"),
    "export": ("export", "p.json", "vllm"),
    "run serve": ("run", "serve", "f.yaml", "--check"),
    "run train": ("run", "train", "t.yaml", "--into=into", "--device=npu"),
    "qualify": ("qualify", "--device=npu", "--into=c.jsonl"),
    "page": ("page", "--port=99999999"),
}
"""A question of each verb that is sound, or that is refused before anything is started or measured."""

LASTING = {"ray", "sobol", "device", "check", "port", "host", "open", "workers"}
"""Options that start processes, listen, or take long by what they are for."""

WRITTEN = {"output", "picture", "requests_out", "report", "into", "resume"}
"""Options that name what is written: they get names of nothing that can be."""

NOWHERE = ("/nowhere/x.json", "", ".", "/dev/full/x", "x\0y", "a" * 5000, "/proc/x.csv")

SELDOM = ("lawful", "accuracy", "launch", "simulate")
"""Verbs that take the longest."""


@functools.cache
def flags() -> dict[str, tuple[Any, ...]]:
    """Options of each verb, as it says them itself."""
    from tonnage.cli.arguments import verbs

    return {" ".join(one.path): one.flags for one in verbs()}


@functools.cache
def _files() -> tuple[tuple[str, str], ...]:
    return (
        ("p.yaml", json.dumps(PROGRAMME)), ("p.json", json.dumps(saved_plan("serve"))),
        ("f.yaml", "models: {m: {releases: {r: {replicas: [{url: 'http://127.0.0.1:9'}]}}}}\n"),
        ("t.yaml", "model: deepseek-r1\nscale: 56\n"),
    )  # fmt: skip


def absurd(dice: random.Random) -> Tried:
    """One to three options of a verb with values that none of them means."""
    verb = dice.choice([verb for verb in BASES if verb not in SELDOM or dice.random() < 0.3])
    return question(verb, dice, dice.choice((1, 1, 2, 3)))


def question(verb: str, dice: random.Random, many: int) -> Tried:
    """So many options of this verb."""
    able = [one for one in flags()[verb] if one.name not in LASTING]
    words = list(BASES[verb])
    for one in dice.sample(able, min(many, len(able))):
        name = dice.choice(one.names)
        if not one.takes:
            words.append(dice.choice([name, *([one.off] if one.off else [])]))
            continue
        values = NOWHERE if one.name in WRITTEN else (*ABSURD, *one.choices)
        value = dice.choice(values) if dice.random() < 0.9 or one.name in WRITTEN else str(atom(dice))
        words = [word for word in words if not word.startswith(f"{name}=")]
        words.append(f"{name}={value}")
    return Tried("options", tuple(words), _files(), ("l.sqlite", "n.yaml", "into", "l.sqlite.v1.bak"))


def told_where(tried: Tried, err: str) -> str | None:
    """Whether a refusal names an option that was given, a file, or what was said."""
    given = [word for word in tried.words if word.startswith("-")]
    names = [word.partition("=")[0] for word in given] + [Path(word).name for word in tried.words if "." in word]
    values = [word.partition("=")[2][:20] for word in given if word.partition("=")[2].strip()]
    plain = err.replace("_", "-")
    return None if any(one in plain for one in (*names, *values)) else f"says not where: {err[:300]}"
