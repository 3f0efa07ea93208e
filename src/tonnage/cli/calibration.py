"""`--calibration FILE`: what `tonnage qualify` measured, in the verbs that plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.cli.common import Common
    from tonnage.system.accelerator import Measurements


def catalog_with(given: tuple[str, ...], common: Common) -> Callable[[], Catalog]:
    """The catalogue, with what files say that were measured; read when it is asked for."""

    def load() -> Catalog:
        catalog = common.load_catalog()
        if not given:
            return catalog
        from tonnage.ask.calibration import calibrated

        return calibrated(catalog, given)

    return load


def said(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a verb, with the files where some were given."""
    kept = {name: value for name, value in inputs.items() if name != "calibration"}
    files = inputs.get("calibration")
    return kept | ({"calibration": list(files)} if files else {})


def measured_rows(catalog: Catalog, chips: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The row that says whose measurements an answer rests on."""
    keys = [catalog.chip(chip) for chip in dict.fromkeys(chips)] if catalog.measured else []
    sources = [cast("Measurements", catalog.measured[key]).source for key in keys if key in catalog.measured]
    return (("measured", "; ".join(dict.fromkeys(sources))),) if sources else ()
