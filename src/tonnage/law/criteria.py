"""What a chip is in the eyes of an export rule, and whether a criterion holds, with the margin to each threshold."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonnage.errors import InputError, Problem, nearest
from tonnage.law.data import AnyOf, Clause, Not, Tree, clauses, load_rules
from tonnage.units import parse, parse_date

if TYPE_CHECKING:
    from tonnage.catalog.catalog import Catalog

BITS = {
    "fp64": 64,
    "fp64_tensor": 64,
    "fp32": 32,
    "fp32_tensor": 32,
    "bf16": 16,
    "fp16": 16,
    "int16": 16,
    "fp8": 8,
    "mxfp8": 8,
    "int8": 8,
    "fp6": 6,
    "fp4": 4,
    "mxfp4": 4,
    "nvfp4": 4,
    "int4": 4,
}
"""Bit length of the operation, by precision. TF32 is left out: its bit length is argued and it never binds."""

LOWER_BOUNDS = ("interconnect_2022",)
"""Metrics of which only a part is known, so that the value is a lower bound."""


@dataclass(frozen=True)
class ChipTraits:
    """What export rules ask about a chip.

    rates: (precision, dense rate [FLOP/s]) pairs; die_area_mm2: applicable die area [mm2]; bandwidth: of its memory
    [byte/s]; link: to other chips of its kind, per direction [byte/s]; datacentre: designed or marketed for data
    centres; designed_in: country of the designer's headquarters; memory_bandwidth_density [GB/s/mm2]: only for memory
    sold by itself; facts: ids in the catalogue; rates_high: upper ends of the rates, where the sources give intervals;
    sold: whether the chip itself is sold in the United States, and not only rented in its maker's cloud;
    china_oriented: made for the Chinese market; free_sale: day from which its maker sold it to China without a licence.
    None: not known.
    """

    key: str
    title: str = ""
    vendor: str = ""
    rates: tuple[tuple[str, float], ...] = ()
    die_area_mm2: float | None = None
    bandwidth: float | None = None
    link: float | None = None
    datacentre: bool | None = None
    designed_in: str | None = None
    released: datetime.date | None = None
    memory_bandwidth_density: float | None = None
    facts: tuple[str, ...] = ()
    rates_high: tuple[tuple[str, float], ...] = ()
    sold: bool | None = None
    china_oriented: bool | None = None
    free_sale: datetime.date | None = None

    @property
    def name(self) -> str:
        """Title if there is one, else key."""
        return self.title or self.key


def tpp(traits: ChipTraits) -> float | None:
    """Total processing performance [TOPS x bit]: the largest dense rate x bit length over all precisions.

    TPP = 2 x MacTOPS x bits = (dense FLOP/s / 1e12) x bits (3A090, technical notes 1 to 3; 88 FR 73458). None when no
    rate is known.
    """
    products = [round(rate / 1e12 * BITS[precision], 6) for precision, rate in traits.rates if precision in BITS]
    return max(products, default=None)


def performance_density(traits: ChipTraits) -> float | None:
    """TPP over applicable die area [TPP/mm2] (3A090, technical note 4). None when either is unknown."""
    total = tpp(traits)
    return None if total is None or not traits.die_area_mm2 else total / traits.die_area_mm2


def metric_value(traits: ChipTraits, metric: str) -> float | None:
    """Value of a metric in the unit that rules print, or None when it is not known."""
    if metric in ("tpp", "bit_tops_2022"):
        return tpp(traits)
    if metric == "performance_density":
        return performance_density(traits)
    if metric in ("memory_bandwidth", "dram_bandwidth"):
        return None if traits.bandwidth is None else traits.bandwidth / 1e9
    if metric in ("interconnect", "interconnect_2022"):
        return None if traits.link is None else 2 * traits.link / 1e9
    if metric == "memory_bandwidth_density":
        return traits.memory_bandwidth_density
    raise ValueError(f'no metric named "{metric}"')


@dataclass(frozen=True)
class Margin:
    """Distance of a chip from one threshold of one paragraph.

    value and threshold in the metric's printed unit; ratio: value/threshold; margin: positive (or zero, where equality
    suffices) exactly when the comparison holds, as a share of the threshold; None: the value is not known.
    """

    rule: str
    paragraph: str
    metric: str
    op: str
    threshold: float
    value: float | None
    unit: str

    @property
    def ratio(self) -> float | None:
        """Value over threshold."""
        return None if self.value is None else self.value / self.threshold

    @property
    def margin(self) -> float | None:
        """Share of the threshold by which the comparison holds (positive) or fails (negative)."""
        if self.value is None:
            return None
        gap = (self.value - self.threshold) / self.threshold
        return gap if self.op.startswith(">") else 0.0 - gap

    @property
    def holds(self) -> bool | None:
        """Whether the comparison holds; None when the value is not known."""
        return compare(self.value, self.op, self.threshold)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("rule", "paragraph", "metric", "op", "threshold", "value", "unit", "ratio", "margin", "holds")
        return {name: getattr(self, name) for name in names}


def compare(value: float | None, op: str, threshold: float) -> bool | None:
    """Whether `value op threshold`; None when the value is not known."""
    if value is None:
        return None
    if op == ">=":
        return value >= threshold
    if op == ">":
        return value > threshold
    return value <= threshold if op == "<=" else value < threshold


def holds(tree: Tree, traits: ChipTraits) -> bool | None:
    """Whether a criterion holds, in three values (Kleene): None when what is known does not decide it."""
    if isinstance(tree, Clause):
        return compare(metric_value(traits, tree.metric), tree.op, tree.value)
    if isinstance(tree, Not):
        inner = holds(tree.part, traits)
        return None if inner is None else not inner
    answers = [holds(part, traits) for part in tree.parts]
    deciding = isinstance(tree, AnyOf)
    if deciding in answers:
        return deciding
    return None if None in answers else not deciding


def margins(rule: str, paragraph: str, tree: Tree | None, traits: ChipTraits) -> tuple[Margin, ...]:
    """Margin to each different numeric threshold of a tree, in its order."""
    known = load_rules().metrics
    found: dict[tuple[str, str, float], Margin] = {}
    for clause in clauses(tree):
        value = metric_value(traits, clause.metric)
        margin = Margin(rule, paragraph, clause.metric, clause.op, clause.value, value, known[clause.metric].unit)
        found[clause.metric, clause.op, clause.value] = margin
    return tuple(found.values())


def unknown_metrics(tree: Tree | None, traits: ChipTraits) -> tuple[str, ...]:
    """Names of the metrics of a tree whose value is not known."""
    known = load_rules().metrics
    missing = [c.metric for c in clauses(tree) if metric_value(traits, c.metric) is None]
    return tuple(known[metric].name for metric in dict.fromkeys(missing))


# ---------------------------------------------------------------- where traits come from


def traits(chip: str, catalog: Catalog, as_of: datetime.date | None = None) -> ChipTraits:
    """Traits of a chip of the catalogue, by any name that the catalogue takes. What is not known stays None."""
    key = catalog.chip(chip)
    facts = catalog.facts_of(key, as_of)
    used = []

    def get(attribute: str, kind: type) -> Any:
        fact = facts.get(attribute)
        if fact is None or not isinstance(fact.value, kind):
            return None
        used.append(fact.id)
        return fact.value

    names = [name.partition(".")[2] for name in facts if name.startswith("rates.")]
    rates = tuple((name, get(f"rates.{name}", float)) for name in names)
    upper = tuple((name, facts[f"rates.{name}"].high or rate) for name, rate in rates if rate is not None)
    vendor = get("vendor", str) or ""
    built = {
        "title": get("title", str) or key,
        "vendor": vendor,
        "rates": tuple((name, rate) for name, rate in rates if rate is not None),
        "rates_high": () if upper == rates else upper,
        "die_area_mm2": get("die_area", float),
        "bandwidth": get("bandwidth", float),
        "link": None if get("domain", float) == 1 else get("link", float),
        "datacentre": get("datacentre", bool),
        "released": get("released", datetime.date),
        "designed_in": get("designed_in", str) or load_rules().places.home(vendor),
        "sold": get("sold", bool),
        "china_oriented": get("china_oriented", bool),
        "free_sale": get("licence_free_sale", datetime.date),
    }
    return ChipTraits(key, **built, facts=tuple(used))


_QUANTITIES = {"bandwidth": "bandwidth", "memory_bandwidth": "bandwidth", "link": "bandwidth"}
_TEXTS = ("name", "title", "vendor", "designed_in")
_KEYS = (*_TEXTS, *_QUANTITIES, "rates", "die_area", "datacentre", "sold", "released", "memory_bandwidth_density")


def traits_from_mapping(mapping: Mapping[str, Any], path: str = "chip", where: str = "") -> ChipTraits:
    """A chip described by its user -> traits. Every problem is collected into one InputError.

    Keys: name, vendor, designed_in (country), rates: {fp8: 300 TFLOP/s, ...} (dense), die_area: 800 mm2, bandwidth (or
    memory_bandwidth): 4 TB/s, link: 450 GB/s (per direction), datacentre: true, sold: true, released: date,
    memory_bandwidth_density: 2.4 GB/s/mm2 (memory sold by itself).
    """
    reader = _Reader(path, where)
    built: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in _KEYS:
            reader.problem(str(key), f'no key "{str(key)[:60]}" here', nearest(str(key)[:60], _KEYS))
            continue
        built |= reader.one(key, value)
    vendor, name = built.get("vendor", ""), built.pop("name", "")
    if not name:
        reader.problem("name", "a described chip needs a name")
    if reader.problems:
        raise InputError(reader.problems)
    built.setdefault("designed_in", load_rules().places.home(vendor))
    return ChipTraits(name, **{"title": name, **built})


class _Reader:
    """Reads one described chip and keeps what is wrong with it."""

    def __init__(self, path: str, where: str) -> None:
        self.path, self.where = path, where
        self.problems: list[Problem] = []

    def problem(self, key: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(Problem(message, self.where, f"{self.path}.{key}", suggestion))

    def one(self, key: str, value: Any) -> dict[str, Any]:
        try:
            return self._read(key, value)
        except ValueError as error:
            self.problem(key, str(error))
        except InputError as error:
            first = error.problems[0]
            self.problem(key, first.message, first.suggestion)
        return {}

    def _read(self, key: str, value: Any) -> dict[str, Any]:
        if key in _QUANTITIES:
            return {_QUANTITIES[key] if key != "link" else "link": _positive(parse(value, "bandwidth"))}
        if key == "rates":
            return {"rates": self._rates(value)}
        if key == "die_area":
            return {"die_area_mm2": _plain(value, "mm2")}
        if key == "memory_bandwidth_density":
            return {key: _plain(value, "GB/s/mm2")}
        if key in ("datacentre", "sold"):
            return {key: _flag(value)}
        if key == "released":
            return {key: parse_date(value)}
        if not isinstance(value, str) or not 0 < len(value) <= 100:
            raise ValueError("expected a short text")
        return {key: load_rules().places.code(value) if key == "designed_in" else value}

    def _rates(self, value: Any) -> tuple[tuple[str, float], ...]:
        if not isinstance(value, Mapping):
            raise ValueError("expected rates by precision, such as {fp8: 300 TFLOP/s}")
        rates = []
        for precision, rate in value.items():
            if precision not in BITS and precision != "tf32":
                self.problem(
                    f"rates.{precision}", f'no precision "{str(precision)[:40]}"', nearest(str(precision)[:40], BITS)
                )
                continue
            try:
                rates.append((str(precision), _positive(parse(rate, "flop_rate"))))
            except ValueError as error:
                self.problem(f"rates.{precision}", str(error))
        return tuple(rates)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be above zero")
    return value


def _plain(value: Any, unit: str) -> float:
    text = value.strip().removesuffix(unit).strip() if isinstance(value, str) else value
    try:
        return _positive(parse(text, "number"))
    except ValueError as error:
        raise ValueError(f'expected a figure in {unit} such as "800 {unit}": {error}') from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value
