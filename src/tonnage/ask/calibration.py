"""Files of `tonnage qualify` beside the catalogue: their devices as chips, their rows as what was measured on them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage import files
from tonnage.catalog import Catalog
from tonnage.catalog.facts import Fact, Source
from tonnage.errors import InputError, Problem
from tonnage.system import accelerator
from tonnage.system.calibrated import Device, read_device
from tonnage.system.measurements import with_measurements
from tonnage.system.qualified import MAX_FILE, read_qualified

SOURCE = "own-calibration"
"""Key of the source of what such files say."""


def calibrated(catalog: Catalog, given: Sequence[str]) -> Catalog:
    """The catalogue with what the files say: a device that it does not know becomes a chip of the file's own facts.

    The catalogue's facts stay where it knows the chip: a datasheet's rate is no measured one. Raises InputError with
    what is wrong with a file.
    """
    paths = [Path(name) for name in dict.fromkeys(given)]
    found = [(path, device) for path in paths if (device := read_device(path)) is not None]
    known = set(catalog.chips())
    wrong = [
        Problem(f'"{d.chip}" is read as a chip', f"{p}:1", "chip", k) for p, d in found if (k := _alias(d, catalog))
    ]
    if wrong:
        raise InputError(wrong)
    facts = [fact for path, device in found if device.chip not in known for fact in _facts(device, path)]
    chips = dict.fromkeys(row.chip for path in paths for row in read_qualified(path))
    unknown = sorted(chip for chip in chips if chip not in known and chip not in {one.chip for _, one in found})
    if unknown:
        raise InputError(Problem(f"no chip {', '.join(unknown)[:200]} is known", str(paths[0])))
    digest = files.digest((catalog.digest.encode(), *(files.read_bytes(path, MAX_FILE) for path in paths)))
    source = Source(SOURCE, "measured by tonnage qualify", via=", ".join(path.name for path in paths), known="own")
    own = {"chips": tuple(facts)}
    made = Catalog(
        digest,
        catalog.tables.and_added(own),
        {**catalog.source_list, SOURCE: source},
        catalog.model_lines,
    )
    asked = [accelerator(chip, made) for chip in chips]
    measured = {chip.name: chip.measured for chip in with_measurements(asked, [str(path) for path in paths])}
    return replace(made, measured={name: value for name, value in measured.items() if value is not None})


def _alias(device: Device, catalog: Catalog) -> str | None:
    """Key of the chip that a device's name means, where it is no key: its rows would be of another chip."""
    try:
        key = catalog.chip(device.chip)
    except InputError:
        return None
    return None if key == device.chip else key


def _facts(device: Device, path: Path) -> Iterator[Fact]:
    """What a chip of this device is."""
    numbers: dict[str, tuple[float, str]] = {
        **{f"rates.{name}": (rate, "FLOP/s") for name, rate in device.rates.items()},
        "memory": (device.memory, "byte"),
        "bandwidth": (device.bandwidth, "byte/s"),
        "domain": (float(device.processes), ""),
    }
    if device.link is not None:
        numbers["link"] = (device.link, "byte/s")
    yield _fact(device, "title", device.title, "text", path, device.date)
    for name, (value, unit) in numbers.items():
        yield _fact(device, name, value, unit, path, device.date)


def _fact(device: Device, name: str, value: str | float, unit: str, path: Path, day: datetime.date) -> Fact:
    return Fact(
        id=f"own:{device.chip}/{name}",
        entity=device.chip,
        attribute=name,
        value=value,
        unit=unit,
        source=SOURCE,
        kind="measured",
        locator=path.name,
        retrieved=day,
        note=f"{device.driver}; {device.software}"[:300],
        known="own",
        printed=f"{value} {unit}".strip() if unit != "text" else str(value),
    )
