"""What a user's own fact may be: which attributes a chip and a price have, in which unit, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.catalog.facts import Value
from tonnage.errors import nearest

PRECISIONS = ("fp64", "fp64_tensor", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4", "int4")
"""Precisions that a chip may have a rate for."""


@dataclass(frozen=True)
class Limit:
    """Bounds of a number in base units, and the base unit; whole: only whole numbers."""

    unit: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    def check(self, value: Value) -> None:
        """Raises ValueError with a sentence when a number lies outside of the bounds. Text is not looked at."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        if value <= 0 < self.low:
            raise ValueError("must be more than nothing")
        if not self.low <= value <= self.high:
            raise ValueError(f"{value:g} {self.unit}".strip() + f" is not between {self.low:g} and {self.high:g}")
        if self.whole and value != int(value):
            raise ValueError(f"{value:g} is not a whole number")


_COUNT = Limit("", 1, 1e6, whole=True)
_SPEED = Limit("byte/s", 1e3, 1e17)
_POWER = Limit("W", 1e-3, 1e6)

CHIP = {
    **{f"rates.{precision}": Limit("FLOP/s", 1e6, 1e20) for precision in PRECISIONS},
    **dict.fromkeys(("memory", "memory_visible"), Limit("byte", 1e6, 1e15)),
    **dict.fromkeys(("bandwidth", "link", "nic", "host_link"), _SPEED),
    **dict.fromkeys(("power", "all_in_power"), _POWER),
    **dict.fromkeys(("domain", "dies", "silicon_dies"), _COUNT),
    "die_area": Limit("mm2", 1e-2, 1e6),
    "process_node": Limit("nm", 1e-2, 1e5),
    **dict.fromkeys(("title", "vendor", "stack", "generation", "designed_in"), Limit("text")),
    **dict.fromkeys(("memory_type", "link_name", "process", "note", "status"), Limit("text")),
    **dict.fromkeys(("market", "short", "read_as"), Limit("text")),
    **dict.fromkeys(("datacentre", "china_oriented", "sold"), Limit("flag")),
    **dict.fromkeys(("announced", "released", "shipping_from", "licence_free_sale"), Limit("date")),
}
"""Attributes of a chip. The bounds are wide: they keep out slips of the pen and what no arithmetic survives."""

RENT = Limit("USD/accelerator-s", 1e-9, 0.3)
"""What an accelerator may cost by the hour: $3.6e-6 to $1,080, wherever people say it."""

YUAN = 10
"""CNY that a USD is at most, where a bound in USD is to hold in CNY."""

_RENT = ("USD/accelerator-s", "CNY/accelerator-s")


def chip_limit(attribute: str) -> Limit:
    """Limit of a chip's attribute. Raises UnknownAttribute with the nearest name."""
    if attribute not in CHIP:
        raise UnknownAttribute(attribute)
    return CHIP[attribute]


class UnknownAttribute(ValueError):
    """No chip has such an attribute; `suggestion` is the nearest one."""

    def __init__(self, attribute: str) -> None:
        super().__init__(f'a chip has no attribute "{attribute[:60]}"')
        self.suggestion = nearest(attribute[:60], CHIP)


def price_limit(attribute: str, unit: str) -> Limit:
    """Limit of a price: what is paid is not negative and not absurd, and a rent is per hour."""
    if attribute in ("price.rental", "price.owning"):
        named = unit if unit in _RENT else RENT.unit
        return Limit(named, RENT.low, RENT.high * (1 if named == RENT.unit else YUAN))
    return Limit(unit, 1e-6, 1e12)


def limit_of(table: str, attribute: str, unit: str) -> Limit | None:
    """Limit of an attribute in a table; None where it is not bounded.

    A number that chips have is bounded in every table: facts are looked up by entity, whatever table they stand in.
    """
    if table == "chips":
        return chip_limit(attribute)
    if table == "prices":
        return price_limit(attribute, unit)
    found = CHIP.get(attribute)
    return found if found and found.low else None
