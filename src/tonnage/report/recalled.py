"""Which of the facts behind an answer are recalled: known from memory of their source, which was not read again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tonnage.catalog.facts import entity_of
from tonnage.catalog.limits import PRECISIONS

if TYPE_CHECKING:
    from tonnage.catalog import Catalog, Fact

WORD = re.compile(r"[a-z0-9_]+")
"""A number format in a text such as `fp8_block, cache bf16`."""

IDLE = {"rates.fp64", "rates.fp64_tensor"}
"""Rates in which nothing is ever multiplied here."""

MOST = 6
"""Most recalled facts that an answer names; of more it gives the number."""


def recalled_row(
    facts: Iterable[str], catalog: Catalog | None, formats: str | None = None
) -> tuple[tuple[str, str], ...]:
    """`rests on 3 facts that are recalled, not re-read: rtx-5090 link, rates.bf16, rates.fp8`; nothing where none is.

    formats: number formats that the answer multiplies in, as text: rates of others are left out. None: all count.
    """
    wanted = set(facts)
    if catalog is None or not wanted:
        return ()
    idle = IDLE if formats is None else {f"rates.{name}" for name in PRECISIONS} - _rates(formats)
    about = {entity_of(identifier) for identifier in wanted}
    kept = (fact for entity in about for fact in catalog.all_facts(entity) if fact.recalled and fact.id in wanted)
    found = sorted((fact for fact in kept if fact.attribute not in idle), key=lambda fact: fact.id)
    if not found:
        return ()
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    count = f"{len(found)} facts that are" if len(found) > 1 else "1 fact that is"
    return (("recalled", f"rests on {count} recalled, not re-read: {_named(found[:MOST])}{more}"),)


def _rates(formats: str) -> set[str]:
    """Attributes of the rates behind formats: that of each, and the 16-bit ones that it is compared with."""
    from tonnage.system.precision import FORMATS

    named = [FORMATS[word].compute for word in WORD.findall(formats) if word in FORMATS]
    return {f"rates.{name}" for name in (*named, "bf16", "fp16")} if named else set()


def _named(facts: Iterable[Fact]) -> str:
    """Attributes by entity: `rtx-5090 link, rates.bf16; h20-96gb price.rental`."""
    grouped: dict[str, list[str]] = {}
    for fact in facts:
        grouped.setdefault(fact.entity, []).append(fact.attribute)
    return "; ".join(f"{entity} {', '.join(dict.fromkeys(names))}" for entity, names in grouped.items())
