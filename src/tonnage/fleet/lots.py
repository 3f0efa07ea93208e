"""What a programme says of a lot: how it is delivered, held and shared, and by which term it is priced."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace

from tonnage import units
from tonnage.catalog.owning import LIFE, RESALE
from tonnage.fleet import programme as p
from tonnage.fleet import schema
from tonnage.fleet.keys import Keys
from tonnage.fleet.prices import Owning
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader
from tonnage.fleet.uncertain import Uncertain

RENTED_KEYS = ("term", "notice")
OWNED_KEYS = ("purchase", "life", "resale", "power_price", "hosting")

CONTRACTS = (("3-year", 3 * 365 * units.DAY), ("1-year", 365 * units.DAY))
"""Terms by which a lease is priced that lasts so long at least; shorter ones are on demand."""


def terms(lot: p.Lot, read: Keys, taken: Keys) -> p.Lot:
    """The lot with what is said of its delivery and its lease; taken: what other people's demand takes."""
    return replace(
        lot,
        over=read.uncertain("over", lot.over),
        acquired=read.uncertain("acquired"),
        licence=read.text("licence"),
        spare=read.uncertain("spare", lot.spare),
        busy=taken.uncertain("share", lot.busy),
        busy_growth=taken.uncertain("growth", lot.busy_growth),
        term=read.term("term").least,
        notice=read.number("notice"),
        lead=read.uncertain("lead", lot.lead),
        optional=read.text("optional") == "yes",
        step=read.number("step"),
    )


def busy(reader: ProgrammeReader, read: Keys, path: Where) -> Keys:
    """Other people's demand on a lot: a share, or a share that grows."""
    value = read.raw("busy")
    if isinstance(value, Mapping):
        return reader.mapping(value, path, schema.BUSY, "busy")
    return Keys({} if value is None else {"share": reader.value(value, path, schema.BUSY["share"])})


def tenure_keys(reader: ProgrammeReader, read: Keys, path: Where) -> None:
    """Keys of a lease in an owned lot, and the other way round."""
    tenure = read.text("tenure", "rented")
    for key in RENTED_KEYS if tenure == "owned" else OWNED_KEYS:
        if key in read:
            reader.problem((*path, key), f"says nothing of {'an' if tenure == 'owned' else 'a'} {tenure} lot")


def optional_keys(reader: ProgrammeReader, read: Keys, price: Uncertain | None, path: Where) -> None:
    """Refuse an option without a price, or of what is there already."""
    if read.text("optional") != "yes":
        if "step" in read:
            reader.problem((*path, "step"), "says nothing of a lot that is not optional")
        return
    if "from" not in read:
        reader.problem((*path, "optional"), "is of a lot in hand: add from: DATE, the first day on which it may come")
    if price is None and read.text("tenure") == "owned":
        reader.problem((*path, "optional"), "needs a price, by which it is taken or left: add price or purchase")


def owned(read: Keys) -> Owning:
    """What is said of owning a lot."""
    return Owning(
        read.uncertain("purchase"),
        read.number("life", LIFE),
        read.number("resale", RESALE),
        read.number("power_price"),
        read.number("hosting"),
    )


def tariff(read: Keys, start: datetime.date) -> str | None:
    """The term by which a rented lot is priced: the one that is named, else that of its length."""
    term = read.term("term")
    if term.name is not None:
        return term.name
    first, until = read.uncertain("from"), read.uncertain("until")
    begins = start.toordinal() if first is None else first.median
    length = 0.0 if until is None else (until.median - begins) * units.DAY
    longest = max(term.least, length)
    return next((name for name, seconds in CONTRACTS if longest >= seconds - units.DAY), None)
