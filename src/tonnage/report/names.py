"""Names of chips and models that could mean several, or another: what each was read as, said in every answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tonnage import units
from tonnage.catalog import Catalog
from tonnage.catalog.models import squeezed
from tonnage.model.load import meant
from tonnage.report.envelope import Reply

FLEETS = ("on", "move_to", "rollout_on")
"""Inputs that name chips."""


def with_names(reply: Reply) -> Reply:
    """The reply with a row, and a key of JSON, for every name that could mean several products."""
    if reply.catalog is None:
        return reply
    found = {name: reply.catalog.read_as(name) for name in _chips(reply.inputs)}
    read = {name: (alias.key, alias.reason) for name, alias in found.items() if alias is not None}
    read |= _model(reply.inputs.get("model"), reply.catalog)
    if not read:
        return reply
    text = "; ".join(f'"{name}" as {key}: {reason}' for name, (key, reason) in read.items())
    answer = replace(reply.answer, rows=(*reply.answer.rows, ("read", text)))
    body = dict(reply.body) | {"read_as": {name: key for name, (key, _) in read.items()}}
    return replace(reply, answer=answer, body=body)


def _model(name: object, catalog: Catalog) -> dict[str, tuple[str, str]]:
    """What a model's name is read as, and why: a release of the same shape, or the plain one of several."""
    if not isinstance(name, str) or (found := meant(name, catalog)) is None:
        return {}
    title, asked = found.rsplit("/", 1)[-1], squeezed(name.rsplit("/", 1)[-1])
    if asked not in squeezed(title):
        return {name: (title, "a release of the same shape, whose configuration is the one on file")}
    many = [one for one in catalog.models() if asked in squeezed(one.rsplit("/", 1)[-1])]
    return {} if asked == squeezed(title) or len(many) < 2 else {name: (title, "others are named as such")}


def _chips(inputs: Mapping[str, Any]) -> Iterator[str]:
    for name in FLEETS:
        given = inputs.get(name)
        for text in [given] if isinstance(given, str) else given or ():
            try:
                yield units.parse_fleet(text)[1]
            except ValueError:
                continue
