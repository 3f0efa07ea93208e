"""A chip's name as people write it -> its key in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tonnage.errors import AmbiguousName, InputError, Problem, nearest

SHORT = {
    "h20": "h20-96gb",
    "h800": "h800-sxm",
    "a800": "a800-sxm-80gb",
    "h200": "h200-sxm",
    "b200": "b200-sxm",
    "b300": "b300-sxm",
    "v100": "v100-sxm2-32gb",
    "910a": "ascend-910a",
    "910b": "ascend-910b",
    "910c": "ascend-910c",
    "950pr": "ascend-950pr",
    "950dt": "ascend-950dt",
    "4090": "rtx-4090",
    "4090d": "rtx-4090d",
    "5090": "rtx-5090",
    "h20-3e": "h20-141gb",
    "rubin": "vr200",
    "ironwood": "tpu-v7",
    "trillium": "tpu-v6e",
    "mi308": "mi308x",
    "mi325": "mi325x",
    "mi355": "mi355x",
    "mi455": "mi455x",
}
"""Short names that everyone reads one way."""

_BRANDS = r"^(nvidia|amd|huawei|intel|google|aws|geforce|instinct|hgx|dgx(?!-spark)|chip)-"


def resolve(name: str, keys: Iterable[str], where: str = "") -> str:
    """Key of the chip that `name` means.

    Exact keys first, then the short names of `SHORT`, then a name that only one key begins with or contains as a
    whole part; a number with a letter after it is another product (`l40` is not `l40s`). Raises
    AmbiguousName when several do, InputError with the nearest name when none does.
    """
    known = tuple(keys)
    plain = normal(name)
    if plain in known:
        return plain
    if SHORT.get(plain) in known:
        return SHORT[plain]
    found = [key for key in known if key.startswith(plain)] if len(plain) >= 2 else []
    found = found or [key for key in known if plain and plain in key.split("-")]
    found = found or ([key for key in known if f"-{plain}" in key] if len(plain) >= 2 else [])
    if len(found) == 1 and not _another(plain, found[0]):
        return found[0]
    if len(found) > 1:
        choices = ", ".join(found[:12]) + (" ..." if len(found) > 12 else "")
        problem = Problem(f'"{name[:60]}" can mean {choices}', where)
        raise AmbiguousName(problem, found, hint="write one of these names in full")
    suggestion = nearest(plain[:60], (*known, *SHORT))
    raise InputError(Problem(f'no chip named "{name[:60]}"', where, suggestion=suggestion), hint="tonnage show chips")


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
