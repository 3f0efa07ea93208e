"""How much of the time a run makes progress: failures, checkpoints, restarts.

References: Young 1974; Daly 2006 (doi 10.1016/j.future.2004.11.016); the failure counts named below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.interval import Z90
from tonnage.system import System
from tonnage.units import DAY, MINUTE


@dataclass(frozen=True)
class Failures:
    """Unexpected interruptions for each accelerator-second, with a 90 % interval, and where the figure is from."""

    rate: float
    low: float
    high: float
    source: str


def _per_kilo_days(middle: float, low: float, high: float, source: str) -> Failures:
    unit = 1.0 / (1000 * DAY)
    return Failures(middle * unit, low * unit, high * unit, source)


LLAMA = _per_kilo_days(
    0.47, 0.3, 0.8, "Llama 3, 16,384 H100, 54 days, 419 unexpected interruptions (arXiv 2407.21783, section 3.3.4)"
)
META = _per_kilo_days(
    0.49,
    0.29,
    0.81,
    "Meta RSC-1 and RSC-2, 24K A100, 11 months: 0.81 and 0.29 (arXiv 2410.21680); their geometric mean",
)
CRUSOE = _per_kilo_days(1.1, 0.6, 2.0, "about 1,600 H200, 4 months (Crusoe, GTC 2025); the count is a lower bound")
UNPROVEN = _per_kilo_days(1.2, 0.5, 3.0, "assumption: no public count for this chip; twice a mature fleet and more")

RECOVERY = (6 * MINUTE, 12 * MINUTE, 30 * MINUTE)
"""Detection, replacement and restart after an interruption: low, middle, high [s]. ByteRobust (arXiv 2509.16293) and
Llama 3 report minutes with automation; Alibaba C4 (arXiv 2406.04594) far more without. Assumption."""
WRITE = (5.0, 20.0, 60.0)
"""Time that a checkpoint stops training: low, middle, high [s]. Asynchronous writes; assumption."""
REPAIR = 2 * DAY
"""Time until a server that was taken out is back. Assumption, 90 % interval 0.5 to 7 days."""
SERVER = 8
"""Accelerators that leave together when one fails, where a scale-up domain is no smaller."""


@dataclass(frozen=True)
class Goodput:
    """Effective training time. value: share of wall time (low, high: 90 % interval); interval: seconds between
    checkpoints; mtbf: mean seconds between interruptions of the whole run; spares: accelerators to keep beside the run;
    failures: what it rests on.
    """

    value: float
    low: float
    high: float
    interval: float
    mtbf: float
    failures: Failures
    spares: int = 0


FLEETS = {"h200-sxm": CRUSOE, "h200-nvl": CRUSOE}
"""Chips with a published fleet of their own, by the catalogue's key."""

GENERATIONS = {"ampere": META, "hopper": LLAMA}
"""The record of a generation's largest published fleet: its dies, memory and servers fail alike (assumption)."""


def failures(system: System) -> Failures:
    """The public record nearest to a chip: its own, else its generation's, else that nothing is known."""
    chip = system.accelerator
    return FLEETS.get(chip.name) or GENERATIONS.get(chip.generation or "") or UNPROVEN


def goodput(system: System) -> Goodput:
    """Share of wall time that makes progress.

    With M = 1/(rate x accelerators) between interruptions and w seconds lost for each checkpoint, the best distance is
    Daly's sqrt(2 w M) - w, and of the time (1 - (R + d/2)/M) / (1 + w/d) is useful: each interruption costs the
    recovery R and half a checkpoint distance d on average.
    """
    return _effective(failures(system), system.count, min(system.accelerator.domain, SERVER))


def updated(found: Failures, interruptions: int, exposure: float) -> Failures:
    """What is known of interruptions once so many were seen in so many accelerator-seconds of a run of one's own.

    Gamma-Poisson: the record's 90 % interval is worth a = (2 Z90 / ln(high / low))^2 interruptions in a / rate
    accelerator-seconds (11 for Hopper's, 3 where nothing is known), far fewer than were counted, for fleets differ from
    one another; those seen are added to both.
    """
    worth = (2 * Z90 / np.log(found.high / found.low)) ** 2
    rate = float((worth + interruptions) / (worth / found.rate + exposure))
    spread = float(np.exp(Z90 / np.sqrt(worth + interruptions)))
    said = f"{interruptions} interruptions of the run under way; before it: {found.source}"
    return Failures(rate, rate / spread, rate * spread, said)


def useful(found: Failures, count: int) -> float:
    """Share of wall time that makes progress on so many accelerators."""
    return _effective(found, count, SERVER).value


def together(systems: Sequence[System]) -> Goodput:
    """The same for one run over several systems: an interruption of one stops all, so their rates add."""
    found = [(failures(system), system.count) for system in systems]
    count = sum(size for _, size in found)
    low, rate, high = (sum(getattr(f, name) * size for f, size in found) / count for name in ("low", "rate", "high"))
    source = "; ".join(dict.fromkeys(record.source for record, _ in found))
    return _effective(Failures(rate, low, high, source), count, SERVER)


def spares(rate: float, count: int, server: int) -> int:
    """Accelerators to keep beside a run so that 19 times in 20 a failed server is replaced at once.

    Servers in repair follow a Poisson distribution of mean L = rate x count x REPAIR (an M/G/infinity queue); its 95th
    percentile is about L + `Z90` sqrt(L). Cui SC'25 (arXiv 2503.11901) found 5 % necessary in one cluster. They are not
    in the cost of the run. A run inside one server has none beside it: what stops is the server.
    """
    if count <= server:
        return 0
    mean = rate * count * REPAIR
    return server * int(np.ceil(mean + Z90 * np.sqrt(mean)))


def _effective(found: Failures, count: int, server: int) -> Goodput:
    middle = _share(found.rate * count, WRITE[1], RECOVERY[1])
    best = _share(found.low * count, WRITE[0], RECOVERY[0])
    worst = _share(found.high * count, WRITE[2], RECOVERY[2])
    mtbf = 1.0 / (found.rate * count)
    return Goodput(middle, worst, best, daly(mtbf, WRITE[1]), mtbf, found, spares(found.rate, count, server))


def daly(mtbf: float, write: float) -> float:
    """Best distance of checkpoints [s]."""
    return max(float(np.sqrt(2 * write * mtbf)) - write, write)


def _share(rate: float, write: float, recovery: float) -> float:
    mtbf = 1.0 / rate
    distance = daly(mtbf, write)
    return float(np.clip((1 - (recovery + distance / 2) / mtbf) / (1 + write / distance), 0.01, 1.0))
