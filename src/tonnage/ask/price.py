"""What accelerators are paid at: as people say, or the catalogue's best match."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from tonnage.catalog import Catalog, Price
from tonnage.system import System


@dataclass(frozen=True)
class Paid:
    """USD per accelerator-second, None where no price is known; quote: of the catalogue, None where people said it."""

    value: float | None
    quote: Price | None = None

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of the facts it rests on."""
        return (self.quote.fact,) if self.quote else ()


def price(catalog: Catalog, system: System, place: str | None, as_of: datetime.date | None) -> Price | None:
    """The catalogue's best match, or None."""
    found = catalog.price(system.accelerator.name, place, as_of)
    return found[0] if found else None


def paid(
    catalog: Catalog, system: System, quoted: float | None, place: str | None, as_of: datetime.date | None
) -> Paid:
    """The price that is given, or the catalogue's."""
    if quoted is not None:
        return Paid(quoted)
    found = price(catalog, system, place, as_of)
    return Paid(None) if found is None else Paid(found.value, found)
