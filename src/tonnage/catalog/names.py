"""A chip's name as people write it -> its key in the catalogue. Which short name means what is a fact of the chip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tonnage.catalog.facts import Fact
from tonnage.errors import AmbiguousName, InputError, Problem, nearest

_BRANDS = r"^(nvidia|amd|huawei|intel|google|aws|geforce|tesla|quadro|instinct|hgx|dgx(?!-spark)|chip)-"

SHORT, READ_AS = "short", "read_as"
"""Attributes of a chip: names that only it has, and names of several products that are read as this one."""
ALIASES = (SHORT, READ_AS)


@dataclass(frozen=True)
class Alias:
    """What a name that is no key is read as. reason: why, where other products bear it too; empty where none does."""

    key: str
    reason: str = ""


def aliases_of(facts: Iterable[Fact]) -> dict[str, Alias]:
    """The names that chips are known by besides their keys."""
    found: dict[str, Alias] = {}
    for fact in facts:
        if fact.attribute in (SHORT, READ_AS):
            alias = Alias(fact.entity, fact.note if fact.attribute == READ_AS else "")
            found |= {name: alias for name in str(fact.value).split() if name not in found}
    return found


def resolve(name: str, keys: Iterable[str], aliases: Mapping[str, Alias], where: str = "") -> str:
    """Key of the chip that `name` means.

    Exact keys first, then the names of `aliases`, then the same without dashes (`rtx4090`), then a name that only one
    key begins with or contains as a whole part; a number with a letter after it is another product (`l40` is not
    `l40s`). Raises AmbiguousName when several do, InputError with the nearest name when none does.
    """
    known = tuple(keys)
    plain = normal(name)
    if plain in known:
        return plain
    if plain in aliases and aliases[plain].key in known:
        return aliases[plain].key
    alike = {key for key in known for way in (key, key.partition("-")[2]) if way and _squeezed(way) == _squeezed(plain)}
    alike |= {alias.key for way, alias in aliases.items() if alias.key in known and _squeezed(way) == _squeezed(plain)}
    if len(alike) == 1:
        return alike.pop()
    found = [key for key in known if key.startswith(plain)] if len(plain) >= 2 else []
    found = found or [key for key in known if plain and plain in key.split("-")]
    found = found or ([key for key in known if f"-{plain}" in key] if len(plain) >= 2 else [])
    if len(found) == 1 and not _another(plain, found[0]):
        return found[0]
    if len(found) > 1:
        choices = ", ".join(found[:12]) + (" ..." if len(found) > 12 else "")
        problem = Problem(f'"{name[:60]}" can mean {choices}', where)
        raise AmbiguousName(problem, found, hint="write one of these names in full")
    suggestion = nearest(plain[:60], (*known, *aliases))
    raise InputError(Problem(f'no chip named "{name[:60]}"', where, suggestion=suggestion), hint="tonnage show chips")


def _squeezed(name: str) -> str:
    """A name without its dashes, and without the number of an SXM socket (`a100-sxm4-40gb`)."""
    return re.sub(r"sxm\d(?=-|$)", "sxm", name).replace("-", "")


def _another(plain: str, key: str) -> bool:
    """Whether a key goes on where a name ends in a number: the L40S is not an L40, the B30A no B30."""
    rest = key.partition(plain)[2]
    return plain[-1:].isdigit() and rest[:1].isalnum()


def normal(name: str) -> str:
    """Lower case, dashes for spaces and underscores, no maker's or brand name: `NVIDIA H100 SXM` -> `h100-sxm`."""
    plain = re.sub(r"[\s_]+", "-", name.strip().lower()[:120])
    while (shorter := re.sub(_BRANDS, "", plain)) != plain:
        plain = shorter
    return plain
