"""Why a flag has its value: the line of the plan that decided it (`data/reasons.toml`)."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

DATA = Path(__file__).parent / "data" / "reasons.toml"

_WORD = re.compile(r"\$\(\([^)]*\)\)|'[^']*'|\S+")
"""A word of a command line as it is written: arithmetic and quoted text whole."""


@functools.cache
def reasons() -> Mapping[str, str]:
    """Flag -> line of the plan, and why."""
    rows = tomllib.loads(DATA.read_text(encoding="utf-8"))["reason"]
    return {flag: f"{row['line']}: {row['why']}" for row in rows for flag in row["flags"]}


def grouped(flags: str) -> Iterator[tuple[str, str]]:
    """Each flag of a command line with its values, as written, and why it stands there."""
    group: list[str] = []
    for word in [*_WORD.findall(flags), "--"]:
        if word.startswith("--") and group:
            yield " ".join(group), reasons().get(group[0], "")
            group = []
        group.append(word)
