"""Room for the cache as engines print it when they start, by engine and version, and what is predicted for it.

`data/capacity.csv` holds one logged figure a row: model, chip, layout, the engine with its version, the settings that
the log states (defaults of that version and chip where it does not), what was printed, and why a row is off. pool_gib:
the cache that the log gives, where only what it holds is compared; states: recurrent states kept for a sequence where
prefix caching is on; window_share: tokens of the windows' pool over those of the full one, where it was set; wide: a
further part of the model that is cut over all ranks; outlier:
the log lacks a setting that matters, or the figure rests on a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.layout import Layout
from tonnage.model import Architecture, build
from tonnage.serve.replica import compressed
from tonnage.serve.replica.engines import Engine, engine
from tonnage.serve.replica.formats import formats
from tonnage.serve.replica.memory import RankMemory, memory
from tonnage.serve.replica.pages import Asked, cached_on, held, layer_kinds, mixed, spread_tokens, token_bytes
from tonnage.system import Accelerator, format_of, per_die
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row, read_table

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

DATA = Path(__file__).parent / "data" / "capacity.csv"
GIB = 2.0**30
ROOM = ("GiB", "tokens", "spread tokens", "sequences")
"""Units in which a log tells how much room there is; the others tell what a sequence takes of it."""

SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-4B": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "head_dim": 128,
        "num_hidden_layers": 36,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "torch_dtype": "bfloat16",
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 40960,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
}
"""Models that are not bundled: their config.json on Hugging Face."""


@dataclass(frozen=True)
class CapacityLog:
    """What an engine printed. name: model, chip and engine; kinds: `plain`, or `mixed` where layers keep different
    things (windows, compressed entries, states); what: `room` that the settings leave for the cache, or what a given
    cache `holds`; unit: of `printed`.
    """

    row: Row
    name: str
    engine: str
    kinds: str
    what: str
    unit: str
    printed: float
    outlier: bool
    source: str
    note: str


@dataclass(frozen=True)
class CapacityRow:
    """A log and what is predicted for it."""

    log: CapacityLog
    predicted: float

    @property
    def error(self) -> float:
        """How far off, as a share of what was printed."""
        return self.predicted / self.log.printed - 1.0


def read_logs(library: Library, path: Path = DATA) -> tuple[CapacityLog, ...]:
    """All logs."""
    return tuple(_log(row, library) for row in read_table(path))


def _log(row: Row, library: Library) -> CapacityLog:
    whose = f"{row['model'].rpartition('/')[2]} on {row['count']} x {row['chip']}, {row['engine']}"
    arch = _model(row["model"], library)
    several = mixed(layer_kinds(arch, 2.0, Layout())) or compressed.kept(arch)
    return CapacityLog(
        row,
        whose,
        row["engine"],
        "mixed" if several else "plain",
        "room" if "pool_gib" not in row and row["unit"] in ROOM else "holds",
        row["unit"],
        float(row["printed"]),
        "outlier" in row,
        row["source"],
        row.get("note", ""),
    )


def _model(name: str, library: Library) -> Architecture:
    return build(SHAPES[name], name=name) if name in SHAPES else library.model(name)


def capacities(catalog: Catalog) -> tuple[CapacityRow, ...]:
    """Every log with what is predicted for it."""
    library = Library(catalog)
    return tuple(CapacityRow(log, predict(log, library)) for log in read_logs(library))


@dataclass(frozen=True)
class Started:
    """An engine as a log says it was started."""

    arch: Architecture
    die: Accelerator
    layout: Layout
    engine: Engine
    kv: str
    asked: Asked
    rank: RankMemory

    @property
    def pool(self) -> float:
        """Bytes of the cache on a rank."""
        return float(np.max(np.asarray(self.rank.pool)))

    def bytes_held(self, context: float) -> float:
        """Bytes of a sequence on a rank."""
        return float(held(self.arch, self.kv, self.layout, self.engine, replace(self.asked, context=context)))

    def bytes_wanted(self, context: float) -> float:
        """Bytes that a rank must have free for one sequence of that length when the engine starts."""
        asked = replace(self.asked, context=context, start=True)
        return float(held(self.arch, self.kv, self.layout, self.engine, asked))


def predict(log: CapacityLog, library: Library) -> float:
    """What would be printed, in the unit of the log."""
    return _UNITS[log.unit](_started(log.row, library))


def _started(row: Row, library: Library) -> Started:
    chip = library.chip(row["chip"])
    arch = cached_on(_model(row["model"], library), chip.generation)
    if "visible_gib" in row:
        chip = replace(chip, visible=float(row["visible_gib"]) * GIB)
    die = per_die(chip)
    how = formats(arch, die, row.get("weights"), row.get("kv"))
    layout = Layout(**_degrees(row["layout"]))
    own = engine(row["engine"]).told(int(row["step"]), int(row["running"]), eager="eager" in row)
    ratio = float(row.get("window_share", own.compressed_share))
    wide = (*own.wide, row["wide"]) if "wide" in row else own.wide
    own = replace(own, states=int(row.get("states", own.states)), compressed_share=ratio, wide=wide)
    drafts = float(row.get("drafts", 0))
    step = float(row["step"])
    rank = memory(
        arch,
        die,
        how.precision,
        layout,
        own,
        context=float(row["context"]),
        tokens=step,
        drafts=drafts,
        mtp=drafts > 0,
        share=row.get("share"),
        longest=float(row["context"]),
    )
    if "pool_gib" in row:
        rank = replace(rank, pool=float(row["pool_gib"]) * GIB)
    asked = Asked(float(row["context"]), step - float(row["running"]) * drafts, drafts, drafts > 0)
    return Started(arch, die, layout, own, how.kv, asked, rank)


def _degrees(text: str) -> dict[str, int]:
    """`tp8 ep8` as degrees; experts are cut where they are not dealt."""
    found = {part[:2]: int(part[2:]) for part in text.split()}
    return found if "ep" in found else {**found, "etp": found.get("tp", 1)}


def _longest(found: Started) -> float:
    """Longest sequence that the pool holds, by bisection [tokens]."""
    low, high = 0, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if found.bytes_wanted(float(middle)) <= found.pool else (low, middle)
    return float(low)


def _spread(found: Started) -> float:
    kinds = layer_kinds(found.arch, format_of(found.kv).element, found.layout)
    return float(spread_tokens(kinds, found.engine, found.pool))


def _sequences(found: Started) -> float:
    return found.pool / found.bytes_held(float(found.asked.context)) * float(found.layout.dp)


def _token(found: Started) -> float:
    token = token_bytes(found.arch, found.kv, Layout(), found.engine)
    assert token is not None
    return float(token)


_UNITS: dict[str, Callable[[Started], float]] = {
    "GiB": lambda found: found.pool / GIB,
    "tokens": lambda found: float(np.max(np.asarray(found.rank.tokens))),
    "spread tokens": _spread,
    "sequences": _sequences,
    "GiB a sequence": lambda found: found.bytes_wanted(float(found.asked.context)) / GIB,
    "longest": _longest,
    "bytes a token": _token,
}


def median_and_90th(rows: Sequence[CapacityRow]) -> tuple[float, float]:
    """Median and 90th percentile of the errors, without sign."""
    errors = np.abs([row.error for row in rows])
    return float(np.median(errors)), float(np.quantile(errors, 0.9))
