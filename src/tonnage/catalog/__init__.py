"""What is known: facts with sources, looked up by name and date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.catalog.catalog import Catalog, Record
    from tonnage.catalog.facts import KINDS, Fact, Source
    from tonnage.catalog.loading import load
    from tonnage.catalog.prices import Price

__all__ = ["KINDS", "Catalog", "Fact", "Price", "Record", "Source", "load"]

opened(
    __name__,
    {
        "catalog": "Catalog Record",
        "facts": "KINDS Fact Source",
        "loading": "load",
        "prices": "Price",
    },
)
