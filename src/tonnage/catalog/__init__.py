"""What is known: facts with sources, looked up by name and date."""

from __future__ import annotations

from tonnage.catalog.catalog import Catalog, Record
from tonnage.catalog.facts import KINDS, Fact, Source
from tonnage.catalog.loading import load
from tonnage.catalog.prices import Price

__all__ = ["KINDS", "Catalog", "Fact", "Price", "Record", "Source", "load"]
