"""What every answer looks like as JSON: one versioned envelope around the keys of its own."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import __version__
from tonnage.errors import Outcome
from tonnage.printable import json_safe
from tonnage.provenance import SCHEMA
from tonnage.report.answer import Answer

if TYPE_CHECKING:
    from tonnage.catalog import Catalog


@dataclass(frozen=True)
class Reply:
    """An answer on its way out: to the screen, to JSON, to CSV and to files.

    command, inputs: what was asked, so that `rerun` can ask it again; body: the result's own keys (JSON values, base
    units); outcome, evidence, sources: as in every plan; answer: the same in words; catalog: the one that was
    asked; seed: of what was drawn; pictures: by file ending (`.svg`), a function that draws it; formats: number formats
    that were multiplied in, as text, so that rates of others are no part of the answer (None: any rate may be).
    """

    command: str
    inputs: Mapping[str, Any]
    body: Mapping[str, Any]
    answer: Answer
    outcome: Outcome = field(default_factory=Outcome)
    evidence: str | None = None
    sources: Iterable[str] = ()
    catalog: Catalog | None = None
    pictures: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    seed: int = 0
    formats: str | None = None


def envelope(reply: Reply) -> dict[str, Any]:
    """The reply with the keys that every answer has."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "command": reply.command,
        "inputs": dict(reply.inputs),
        "outcome": reply.outcome.reason,
        "binds": [
            {"what": bind.what, "by": bind.by, "text": bind.text, "lift": bind.lift} for bind in reply.outcome.binds
        ],
        "sources": sorted(set(reply.sources)),
        "catalog": reply.catalog.digest if reply.catalog else None,
        "seed": reply.seed,
        "version": __version__,
        "evidence": reply.evidence,
    }
    return head | dict(reply.body)


def to_json(reply: Reply) -> str:
    """One line of sorted meaning, indented; numbers as plain floats; no NaN (an unknown is null)."""
    return json_safe(json.dumps(plain(envelope(reply)), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def plain(value: Any) -> Any:
    """Only what JSON has: numpy numbers become floats, dates ISO text, infinities and NaN null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime.date, Path)):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)
