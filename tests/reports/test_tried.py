"""Public reports that were looked up and asked for after the rules were written (tried.csv): what is right stays right.

A row has its report in words of our own, the command that asks for it, the value that was reported, what was right
before anything was mended for it (`blind`) and what is now (`verdict`). Sources: an address, a repository with the
number of a thread, or the line of the log. Right is: capacity and weights within the share that the row names (8 %), a
speed or the memory of training inside the interval that is printed, what ran or was refused as a yes or a no. What is
wrong stays in the file with the answer it got (docs/lab.md, Reports tried).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tonnage.cli import run

Row = dict[str, str]
GIB = 2.0**30
VERDICTS = {"right", "wrong", "false yes", "false no", "cannot be asked"}
INTERVALS = {"out_each": "output_tokens_per_second_per_accelerator"}


def rows() -> list[Row]:
    with (Path(__file__).parent / "tried.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def asked(words: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run(shlex.split(words))
    return code, out.getvalue()


def value(found: dict[str, Any], of: str) -> float:
    """What a row compares, of an answer."""
    memory = found.get("memory") or {}
    if of in ("kv_gib", "weights_gib", "train_gib"):
        return float(memory[{"kv_gib": "kv_cache", "weights_gib": "weights", "train_gib": "total"}[of]]) / GIB
    if of == "train_gb":
        return float(memory["total"]) / 1e9
    if of == "sequences":
        return float(found["cached_tokens"]) / float(found["context"])
    if of == "price":
        return float(found["price_per_accelerator"]) * 3600.0
    name = {"train_rate": "tokens_per_second_per_accelerator", **INTERVALS}.get(of, of)
    return float(found[name])


def inside(found: dict[str, Any], row: Row) -> bool:
    """Whether the report lies in the interval that the answer prints."""
    of, memory = row["of"], found.get("memory") or {}
    if of == "train_gib":
        return bool(memory["total_low"] <= float(row["reported"]) * GIB <= memory["total_high"])
    name = INTERVALS.get(of, of)
    return bool(found[f"{name}_low"] <= float(row["reported"]) <= found[f"{name}_high"])


RIGHT = [row for row in rows() if row["verdict"] == "right"]


@pytest.mark.parametrize("row", RIGHT, ids=[f"{row['kind']}-{n}" for n, row in enumerate(RIGHT)])
def test_what_was_right_stays_right(row: Row) -> None:
    if row["of"] == "says":
        code, text = asked(row["ask"])
        assert code == 0 and row["reported"] in " ".join(text.split())[:220]
        return
    code, text = asked(f"{row['ask']} --json")
    if row["of"] == "outcome" and code == 2:
        assert row["reported"] == "infeasible" and "does not divide" in text
        return
    found = json.loads(text)
    if row["of"] == "outcome":
        assert (found["outcome"] == "feasible") == (row["reported"] == "feasible")
    elif row["within"] == "inside":
        assert inside(found, row)
    else:
        assert value(found, row["of"]) == pytest.approx(float(row["reported"]), rel=float(row["within"]))


def test_every_report_has_its_source_its_year_and_its_verdicts() -> None:
    every = rows()
    for row in every:
        assert row["source"] and row["setting"] and "2023" <= row["date"][:4] <= "2026"
        assert {row["blind"], row["verdict"]} <= VERDICTS
    assert len({(row["source"], row["setting"], row["of"]) for row in every}) == len(every)
    kinds = Counter(row["kind"] for row in every)
    assert len(every) > 100 and set(kinds) == {"memory", "launch", "speed", "training", "law", "price"}


def test_a_report_that_is_wrong_would_be_seen() -> None:
    """The comparison can fail: a capacity that is 60 % off, a speed outside its interval."""
    wrong = next(row for row in rows() if row["verdict"] == "wrong" and row["of"] == "cached_tokens")
    found = json.loads(asked(f"{wrong['ask']} --json")[1])
    assert value(found, "cached_tokens") != pytest.approx(float(wrong["reported"]), rel=0.5)
    slow = next(row for row in rows() if row["verdict"] == "wrong" and row["of"] == "ttft")
    assert not inside(json.loads(asked(f"{slow['ask']} --json")[1]), slow)
