"""An accelerator and the system built of it, in base units, with the facts they came from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

from tonnage.errors import InputError, MissingFact, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tonnage.arrays import Numbers
    from tonnage.catalog import Catalog
    from tonnage.system.collectives import Collective
    from tonnage.system.operators import Work
    from tonnage.system.precision import Precision


class Measurements(Protocol):
    """What was measured on a chip; see `measured.Measured`. source: who measured what, in words."""

    @property
    def source(self) -> str:
        """Who measured what."""

    def factor(
        self, work: Work | Collective, precision: Precision | None = None, *, fused: bool = False
    ) -> tuple[Numbers, Numbers]:
        """(measured over modelled time of an operator or collective, share of it that is measured: 0 to 1)."""


@dataclass(frozen=True)
class Accelerator:
    """One accelerator as it is leased (a 910C is one accelerator of two dies).

    name: chip key (`h20-96gb`); title: as people call it; rates: dense FLOP/s by precision (`bf16`, `fp16`, `fp8`,
    `int8`, `fp4` ...), datasheet; memory [byte]; bandwidth: memory bandwidth [byte/s]; link: scale-up bandwidth per
    direction [byte/s]; domain: accelerators in one scale-up domain; nic: scale-out bandwidth per accelerator and
    direction [byte/s]; host_link: bandwidth to its host's memory per direction [byte/s]; power [W], None if unknown;
    dies: ranks in one accelerator; facts: ids of the facts used; low, high: 90 % interval of a fact where its source
    gives one, by field name (`rates.bf16`, `memory`, ...).
    visible: memory that a program finds on it [byte], None where nobody has said. released: first day on sale.
    measured: operators and collectives measured on one die of this chip, None where the cost models speak alone.

    vendor: who makes it; stack: the software it is programmed by (`cuda`, `rocm`, `cann`, `xla` ...); generation: the
    family of its die, that kernels are written for and failures are recorded by (`hopper`, `cdna3`, `ascend-910b` ...).
    Facts of the catalogue, None where it does not say: nothing is taken from a name.

    link, nic and host_link are None where no source gives them. Whoever needs them asks `needed`, which raises
    `MissingFact`.
    """

    name: str
    title: str
    vendor: str | None
    rates: dict[str, float]
    memory: float
    bandwidth: float
    link: float | None
    domain: int
    nic: float | None
    power: float | None = None
    dies: int = 1
    facts: tuple[str, ...] = ()
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    visible: float | None = None
    released: datetime.date | None = None
    measured: Measurements | None = field(default=None, repr=False, compare=False)
    stack: str | None = None
    generation: str | None = None
    host_link: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError for a chip that could do nothing, as an answer that was changed may hold."""
        figures = {"memory": self.memory, "bandwidth": self.bandwidth}
        figures |= {f"rates.{name}": rate for name, rate in self.rates.items()}
        if nothing := [name for name, figure in figures.items() if not figure > 0]:
            raise InputError([Problem("expected above 0", path=name) for name in nothing])


@dataclass(frozen=True)
class System:
    """`count` accelerators of one kind, in scale-up domains of `accelerator.domain`, joined by their NICs."""

    accelerator: Accelerator
    count: int


_NEEDED = ("memory", "bandwidth")
_TEXTS = ("title", "vendor", "stack", "generation")
_NUMBERS = (*_NEEDED, "link", "domain", "nic", "power", "dies", "memory_visible", "host_link")

_SELDOM = ("host_link",)
"""Numbers that few questions rest on: those name the fact themselves."""


def accelerator(name: str, catalog: Catalog, as_of: datetime.date | None = None) -> Accelerator:
    """The chip that a user means by `name`, from the facts known on `as_of`.

    Raises `InputError`/`AmbiguousName` for a name the catalogue cannot place, `MissingFact` where memory, bandwidth or
    every 16-bit rate is unknown. Where several sources give an attribute, the catalogue chooses.
    """
    key = catalog.chip(name)
    facts = catalog.facts_of(key, as_of)
    if not facts:
        catalog.fact(key, "memory", as_of)  # raises, and says why: not yet released on that day
    used = {name: fact for name, fact in facts.items() if name in _NUMBERS or name.startswith("rates.")}
    values = {name: float(fact.number) for name, fact in used.items()}
    bounded = {name: fact for name, fact in used.items() if fact.low is not None and fact.high is not None}
    found = _assemble(
        key,
        {name: fact.text for name, fact in facts.items() if name in _TEXTS},
        values,
        tuple(fact.id for name, fact in used.items() if name not in _SELDOM),
        {name: float(fact.low or 0.0) for name, fact in bounded.items()},
        {name: float(fact.high or 0.0) for name, fact in bounded.items()},
    )
    released = facts["released"].day if "released" in facts else None
    return replace(found, released=released, measured=cast("Measurements | None", catalog.measured.get(key)))


def _asked_for(key: str, missing: Sequence[str]) -> str:
    return f"give it in a catalogue overlay: {key}, {', '.join(missing)}"


def _assemble(
    key: str,
    names: dict[str, str],
    values: dict[str, float],
    ids: tuple[str, ...],
    low: dict[str, float],
    high: dict[str, float],
) -> Accelerator:
    """The chip of its facts; raises `MissingFact` for those that nothing can do without."""
    rates = {name.removeprefix("rates."): value for name, value in values.items() if name.startswith("rates.")}
    rated = bool(rates.keys() & {"bf16", "fp16"})
    if missing := [*(name for name in _NEEDED if name not in values), *(() if rated else ("rates.bf16",))]:
        unrated = missing == ["rates.bf16"]
        hint = "neither a BF16 nor an FP16 rate is known for this chip" if unrated else _asked_for(key, missing)
        raise MissingFact(key, missing[0], hint=hint)
    return Accelerator(
        name=key,
        title=names.get("title", key),
        vendor=names.get("vendor"),
        rates=rates,
        memory=values["memory"],
        bandwidth=values["bandwidth"],
        link=values.get("link"),
        domain=int(values.get("domain", 1)),
        nic=values.get("nic"),
        power=values.get("power"),
        visible=values.get("memory_visible"),
        dies=int(values.get("dies", 1)),
        facts=ids,
        low=low,
        high=high,
        stack=names.get("stack"),
        generation=names.get("generation"),
        host_link=values.get("host_link"),
    )


def needed(accelerator: Accelerator, attribute: Literal["link", "nic", "host_link"]) -> float:
    """Bandwidth of its link, its NIC or to its host [byte/s]. Raises `MissingFact` where no source gives it."""
    value: float | None = getattr(accelerator, attribute)
    if value is None:
        raise MissingFact(
            accelerator.name, attribute, hint=f"give it in a catalogue overlay: {accelerator.name}, {attribute}"
        )
    return value


def unjoined(accelerator: Accelerator, ranks: int) -> Literal["link", "nic"] | None:
    """What would have to be known to join so many ranks (dies) of this chip and is not; None where nothing is missing.

    Ranks of one domain talk over the link, those of several over the NIC too.
    """
    if ranks > 1 and accelerator.domain * accelerator.dies > 1 and accelerator.link is None:
        return "link"
    return "nic" if ranks > accelerator.domain * accelerator.dies and accelerator.nic is None else None


def per_die(accelerator: Accelerator) -> Accelerator:
    """The accelerator as its ranks see it: one die, with its share of rates, memory, bandwidth and links.

    An accelerator of one die is returned as it is. The domain grows by the number of dies.
    """
    dies = accelerator.dies
    if dies == 1:
        return accelerator
    return replace(
        accelerator,
        rates={name: rate / dies for name, rate in accelerator.rates.items()},
        memory=accelerator.memory / dies,
        bandwidth=accelerator.bandwidth / dies,
        link=None if accelerator.link is None else accelerator.link / dies,
        nic=None if accelerator.nic is None else accelerator.nic / dies,
        power=None if accelerator.power is None else accelerator.power / dies,
        visible=None if accelerator.visible is None else accelerator.visible / dies,
        host_link=None if accelerator.host_link is None else accelerator.host_link / dies,
        domain=accelerator.domain * dies,
        dies=1,
        low={name: value if name == "domain" else value / dies for name, value in accelerator.low.items()},
        high={name: value if name == "domain" else value / dies for name, value in accelerator.high.items()},
    )
