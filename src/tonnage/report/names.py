"""Names of chips that could mean several products: what each was read as, said in every answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tonnage import units
from tonnage.report.envelope import Reply

FLEETS = ("on", "move_to", "rollout_on")
"""Inputs that name chips."""


def with_names(reply: Reply) -> Reply:
    """The reply with a row, and a key of JSON, for every name that could mean several products."""
    if reply.catalog is None:
        return reply
    found = {name: reply.catalog.read_as(name) for name in _chips(reply.inputs)}
    read = {name: alias for name, alias in found.items() if alias is not None}
    if not read:
        return reply
    text = "; ".join(f'"{name}" as {alias.key}: {alias.reason}' for name, alias in read.items())
    answer = replace(reply.answer, rows=(*reply.answer.rows, ("read", text)))
    body = dict(reply.body) | {"read_as": {name: alias.key for name, alias in read.items()}}
    return replace(reply, answer=answer, body=body)


def _chips(inputs: Mapping[str, Any]) -> Iterator[str]:
    for name in FLEETS:
        given = inputs.get(name)
        for text in [given] if isinstance(given, str) else given or ():
            try:
                yield units.parse_fleet(text)[1]
            except ValueError:
                continue
