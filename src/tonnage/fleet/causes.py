"""What takes time on the way to a launch, what a lot does, and which what-if acts on which cause: values, no words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tonnage.fleet.programme import StageKind

CauseKind = (
    StageKind
    | Literal["rounds", "waits_for_chips", "waits_for_lot", "waits_for_capacity", "failed_attempt", "moves", "no_place"]
)
"""waits_for_chips: of a place, which services hold; waits_for_lot: until there are enough there that can be had."""

RUNS: frozenset[CauseKind] = frozenset(("pretrain", "extend", "sft", "rl"))
"""Stages that take less time with more or other chips; a pause does not."""

CHIPS: frozenset[CauseKind] = frozenset(("waits_for_chips", "waits_for_lot", "moves", "no_place"))
CAPACITY: frozenset[CauseKind] = frozenset(("waits_for_capacity",))
FAILURES: frozenset[CauseKind] = frozenset(("failed_attempt",))
ROUNDS: frozenset[CauseKind] = frozenset(("rounds",))


@dataclass(frozen=True)
class Cause:
    """Something that takes time before a launch. model: whose; place: where it is trained, None for what has none:
    rounds until it is good enough, and the wait for capacity to serve it.
    """

    kind: CauseKind
    model: str
    place: str | None = None


@dataclass(frozen=True)
class Activity:
    """What a lot does: it serves a model, trains it in a stage or in a run that fails, takes over a run that moves,
    improves it; or is available.
    """

    kind: StageKind | Literal["serves", "fails", "moves", "improves", "available"]
    model: str = ""


LeverKind = Literal[
    "replan",
    "without",
    "licence",
    "fee",
    "earlier",
    "later",
    "thresholds",
    "twice",
    "train",
    "flat",
    "quiet",
    "ready",
    "verdict",
    "failed",
    "good",
    "prices",
    "buy",
]
"""replan: places in no given order, chosen again at each event; without: a rule taken away; licence: held for a lot;
fee: the same for a fee; earlier, later: a rule's day moved; thresholds: a rule's, just so far that it lets lots come;
twice: a lot doubled; train: on another place first; flat: demand; quiet: other people's demand gone; ready: every run
completes; verdict: a verdict of a file not there; failed: the first attempt does not complete; good: no rounds; prices:
rents up by half; buy: a lot not rented.
"""


@dataclass(frozen=True)
class Lever:
    """One thing that a what-if changes.

    about: the rule, lot, place or model that is changed; causes: kinds of causes that it acts on; models, lots: those
    of the causes that it acts on, empty for all; lawful: whether it may lawfully be done.
    """

    kind: LeverKind
    about: str
    causes: frozenset[CauseKind]
    models: tuple[str, ...] = ()
    lots: tuple[str, ...] = ()
    lawful: bool = True

    @property
    def key(self) -> str:
        """A stable name: `without:us_2025...`."""
        middle = self.models if self.kind in ("train", "failed") else ()
        return ":".join((self.kind, *middle, *([self.about] if self.about else ())))

    def acts_on(self, cause: Cause, places: Mapping[tuple[str, str], tuple[str, ...]]) -> bool:
        """Whether it changes how long a cause takes. places: names of the lots of a model's place."""
        if cause.kind not in self.causes or (self.models and cause.model not in self.models):
            return False
        if cause.place is None or not self.lots:
            return True
        return not set(self.lots).isdisjoint(places[cause.model, cause.place])
