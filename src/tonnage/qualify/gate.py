"""One gate of a verdict: what was asked of a device, what was found, and whether that is enough.

A verdict is read from its gates alone. A gate that could not be tried says why; one that was tried too little to say
anything names what is missing. Neither counts as passed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from tonnage.units import DAY, show_time
from tonnage.values import Plain

State = Literal["pass", "fail", "not tested", "not enough evidence"]
Needed = Literal["training", "inference"]
Part = Literal["speed", "numerics", "stability"]
Subject = Literal[
    "", "operators", "bias", "width", "denormals", "overflow", "repeat", "across", "fp8", "steps", "loss", "spikes",
    "checkpoint", "move", "replay", "hang", "latency", "interruptions", "undetected",
]  # fmt: skip


def run_words(cards: int, days: float) -> str:
    """The size of a run in words: `8 cards for 30 days`."""
    return f"{cards:,} {'card' if cards == 1 else 'cards'} for {days:g} {'day' if days == 1 else 'days'}"


def watched_words(card_days: float) -> str:
    """How long cards were, or must be, watched: `64 card-days`; less than one in `7 h of one card`."""
    return f"{card_days:,.3g} card-days" if card_days >= 1 else f"{show_time(card_days * DAY)} of one card"


def rate_words(rate: float, what: str) -> str:
    """How often something happens, each card-day: `47 errors in 1,000 card-days`; above one, `one error in 2.3 h of a
    card`.
    """
    if rate > 1:
        return f"one {what} in {show_time(DAY / rate)} of a card"
    return f"{1000 * rate:,.3g} {what}s in 1,000 card-days"


@dataclass(frozen=True)
class Verified:
    """One gate. name: in people's words ("backward GEMM, bf16, NT"); part; needed: the least use that asks for it (what
    inference needs, training needs too); measured, limit: in unit, None where nothing was measured; why: one sentence
    on a state that is no pass; seconds: what it took.

    subject: what it is about, where a verdict asks for gates of that kind; decides: whether it refuses a use on its
    own. One that does not leaves the use unknown where it fails, and is not missed where it was not tested.
    """

    name: str
    part: Part
    needed: Needed
    state: State
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    why: str = ""
    seconds: float = 0.0
    subject: Subject = ""
    decides: bool = True

    def to_json(self) -> dict[str, Plain]:
        """Its fields as JSON has them."""
        made: dict[str, Plain] = {field.name: getattr(self, field.name) for field in fields(self)}
        return made | {"why": self.why or None, "subject": self.subject or None}
