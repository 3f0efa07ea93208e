"""Who takes a chip: the buyer by name, who owns it, how many it takes, and where from; and what rules say of that."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from tonnage.law.criteria import ChipTraits, tpp
from tonnage.law.data import Party, Pause, Rule


@dataclass(frozen=True)
class Buyer:
    """Who takes the chips. None: not said.

    name: of the firm, as rules write it; listed_share: of it that firms on the Entity List own, alone or together;
    count: chips that it takes; origin: country from which they are shipped.
    """

    name: str | None = None
    listed_share: float | None = None
    count: float | None = None
    origin: str | None = None

    def is_one_of(self, names: Iterable[str]) -> bool:
        """Whether it goes by one of these names."""
        return self.name is not None and self.name.strip().lower() in {name.lower() for name in names}


def listing(buyer: Buyer, parties: Iterable[Party], date: datetime.date) -> Party | None:
    """The entry of the Entity List that names the buyer on a day."""
    return next((p for p in parties if p.listed and p.since <= date and buyer.name and p.named(buyer.name)), None)


def units(rule: Rule, buyer: Buyer, about: ChipTraits) -> float | None:
    """What the buyer takes in the unit that a grant's cap counts in, by TPP. None: its count or the chip's is unknown.

    How Commerce counts equivalents was not published; TPP is taken here.
    """
    total = tpp(about)
    if buyer.count is None or not rule.unit_tpp:
        return buyer.count
    return None if total is None else buyer.count * total / rule.unit_tpp


def pause_words(pause: Pause) -> str:
    """`suspended until 2026-11-09, back unless extended`, or `not enforced since 2025-05-13`."""
    if pause.until is None:
        return f"{pause.state} since {pause.since}"
    return f"{pause.state} until {pause.until - datetime.timedelta(days=1)}, back unless extended"


def ownership_note(rule: Rule, buyer: Buyer, date: datetime.date) -> str | None:
    """What a rule on owners says of a buyer whom it does not catch on that day. None where it says nothing."""
    if rule.owner_share is None or not buyer.listed_share:
        return None
    pause = rule.pause(date)
    if buyer.listed_share < rule.owner_share:
        return f"{rule.title}: under {rule.owner_share:.0%} of listed owners, not caught; the ownership is a red flag"
    if pause is None:
        return None
    return f"{rule.title} is {pause_words(pause)}: ownership alone adds no requirement; other rules still decide"
