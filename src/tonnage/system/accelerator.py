"""An accelerator and the system built of it, in base units, with the facts they came from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Accelerator:
    """One accelerator as it is leased (a 910C is one accelerator of two dies).

    name: chip key (`h20-96gb`); title: as people call it; rates: dense FLOP/s by precision (`bf16`, `fp16`, `fp8`,
    `int8`, `fp4` ...), datasheet; memory [byte]; bandwidth: memory bandwidth [byte/s]; link: scale-up bandwidth per
    direction [byte/s]; domain: accelerators in one scale-up domain; nic: scale-out bandwidth per accelerator and
    direction [byte/s]; power [W], None if unknown; dies: ranks in one accelerator; facts: ids of the facts used;
    low, high: 90 % interval of a fact where its source gives one, by field name (`rates.bf16`, `memory`, ...).
    """

    name: str
    title: str
    vendor: str
    rates: dict[str, float]
    memory: float
    bandwidth: float
    link: float
    domain: int
    nic: float
    power: float | None = None
    dies: int = 1
    facts: tuple[str, ...] = ()
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """`count` accelerators of one kind, in scale-up domains of `accelerator.domain`, joined by their NICs."""

    accelerator: Accelerator
    count: int
