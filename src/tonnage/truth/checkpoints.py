"""Published sizes of released checkpoints: what their files hold, and what engines log on load, against ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tonnage.errors import InputError, Problem
from tonnage.files import parse_json, read_text
from tonnage.layout import Layout
from tonnage.model import Architecture, Load, Step, build, checkpoint_bytes, load, operators
from tonnage.serve.replica.formats import formats
from tonnage.serve.replica.memory import held_bytes, weight_bytes
from tonnage.system import Precision, accelerator, per_die
from tonnage.values import Plain

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.system import Accelerator

TOLERANCE = {"sum": 0.01, "load": 0.04}
"""How far off a size may be: files are exact; engines hold buffers and copies of their own."""

REFERENCE = "h200-sxm"
"""The chip on which loads are counted: it holds every format as it is released."""

CheckpointRow = Mapping[str, object]


@dataclass(frozen=True)
class Checkpoint:
    """One published size [byte] and ours: measure: `sum` of the files, or `load` on one rank; source: its address."""

    name: str
    measure: str
    published: float
    predicted: float
    method: str
    source: str

    @property
    def error(self) -> float:
        """Relative error, positive where we say more."""
        return self.predicted / self.published - 1.0

    @property
    def within(self) -> bool:
        """Whether it is inside the tolerance of its measure."""
        return abs(self.error) <= TOLERANCE[self.measure]

    def to_json(self) -> dict[str, Plain]:
        """The fields."""
        return {**vars(self), "error": self.error, "within": self.within}


@dataclass(frozen=True)
class Checkpoints:
    """The board: rows with a size of ours, and how many have none, by reason."""

    rows: tuple[Checkpoint, ...]
    skipped: Mapping[str, int]

    def of(self, measure: str) -> tuple[Checkpoint, ...]:
        """The rows of one measure."""
        return tuple(row for row in self.rows if row.measure == measure)

    def to_json(self) -> dict[str, Plain]:
        """Counts by measure, and the rows."""
        counts: dict[str, Plain] = {name: summary(self.of(name)) for name in TOLERANCE if self.of(name)}
        skipped: dict[str, Plain] = dict(self.skipped)
        return {"by": counts, "skipped": skipped, "rows": [row.to_json() for row in self.rows]}


def summary(rows: Iterable[Checkpoint]) -> dict[str, Plain]:
    """How many, how many within the tolerance, and the median and 90th percentile of the errors."""
    found = list(rows)
    errors = [abs(row.error) for row in found]
    median, high = (float(value) for value in np.quantile(errors, (0.5, 0.9)))
    return {"n": len(found), "within": sum(row.within for row in found), "median": median, "p90": high}


def accuracy(catalog: Catalog, paths: Iterable[Path] = ()) -> Checkpoints:
    """The board over the bundled rows, or over those of JSON Lines files."""
    rows = [row for path in paths for row in _read(read_text(path), str(path))] or _bundled()
    die = per_die(accelerator(REFERENCE, catalog))
    scored = [row for row in rows if "left_out" not in row]
    skipped = Counter(str(row["left_out"]) for row in rows if "left_out" in row)
    return Checkpoints(tuple(_scored(row, catalog, die) for row in scored), dict(skipped.most_common()))


def _bundled() -> list[CheckpointRow]:
    text = resources.files("tonnage.truth").joinpath("data/checkpoints.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _read(text: str, name: str) -> list[CheckpointRow]:
    found = []
    for number, line in enumerate(filter(None, text.split("\n")), 1):
        row = parse_json(line, f"{name}:{number}")
        if not _whole(row):
            message = "expected id, measure (sum or load), published, and a model or config"
            raise InputError(Problem(message, f"{name}:{number}"))
        found.append(row)
    return found


def _whole(row: object) -> bool:
    """Whether a row has what it needs."""
    if not isinstance(row, dict) or row.get("measure") not in TOLERANCE or "id" not in row:
        return False
    published = row.get("published")
    sized = isinstance(published, (int, float)) and not isinstance(published, bool) and published > 0
    return sized and ("left_out" in row or isinstance(row.get("model"), str) or isinstance(row.get("config"), dict))


def _scored(row: CheckpointRow, catalog: Catalog, die: Accelerator) -> Checkpoint:
    arch, source = release(row, catalog), row.get("source")
    ours = checkpoint_bytes(arch) if row["measure"] == "sum" else _loaded(arch, row, die)
    name = f"{row['id']} {row.get('row', '')}".strip()
    url = str(source.get("url", "")) if isinstance(source, Mapping) else ""
    method = arch.release.method or arch.release.plain.said
    return Checkpoint(name, str(row["measure"]), float(str(row["published"])), ours, method, url)


def release(row: CheckpointRow, catalog: Catalog) -> Architecture:
    """The architecture of a row: a bundled model or a configuration, with the quantisation that the row gives."""
    config = row.get("config")
    named = dict(config) if isinstance(config, Mapping) else dict(load(str(row["model"]), catalog).config)
    if "quantization" in row:
        named["quantization_config"] = row["quantization"]
    made = build(named, name=str(row["id"]))
    without = row.get("without")
    return replace(made, mtp=None) if isinstance(without, list) and "mtp" in without else made


def _loaded(arch: Architecture, row: CheckpointRow, die: Accelerator) -> float:
    """Bytes on the fullest rank of the row's layout; experts are cut like the rest where no `ep` is given."""
    given = row.get("layout")
    sizes = {key: int(str(value)) for key, value in given.items()} if isinstance(given, Mapping) else {}
    tp, ep = sizes.get("tp", 1), sizes.get("ep", 1)
    layout = Layout(tp=tp, pp=sizes.get("pp", 1), ep=ep, etp=1 if ep > 1 else tp)
    precision = formats(arch, die).precision
    return float(weight_bytes(arch, precision, layout)) + _kept_whole(arch, row, precision, tp)


def _kept_whole(arch: Architecture, row: CheckpointRow, precision: Precision, tp: int) -> float:
    """What operators take that an engine does not cut over the ranks of this row, beyond their share of one rank."""
    named = row.get("kept_whole")
    if not isinstance(named, list):
        return 0.0
    one = np.asarray(1.0)
    made = operators(arch, Step((Load(one, one),), one))
    held = sum((float(held_bytes(each, precision)) for each in made if each.name in named), start=0.0)
    return held * (1.0 - 1.0 / tp)
