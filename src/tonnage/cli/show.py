"""`tonnage show [chips|models|prices|rules|events|supply|sources|NAME]`: what is known, of all or of one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import flag
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.law import Buyer


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BuyerOptions:
    """Who would receive the chips, for the rules that ask. They classify, and go with --in.

    Parameters
    ----------
    headquarters
        country of the headquarters of the receiving firm or of its parent, such as CN; that of the place if not given.
    buyer
        the receiving firm by name, such as G42, where rules or licences name it.
    count
        how many chips it takes, for licences with a number.
    listed_owner
        share of it that firms on the Entity List own, such as 52%.
    shipped_from
        country from which the chips are shipped, such as MY; else the United States are taken.
    """

    headquarters: str | None = None
    buyer: str | None = None
    count: str | None = None
    listed_owner: str | None = None
    shipped_from: str | None = None


BUYER = BuyerOptions()


def show(
    what: str = "chips",
    /,
    *,
    place: Annotated[str | None, Parameter(name="--in")] = None,
    options: BuyerOptions = BUYER,
    common: Common = COMMON,
) -> int:
    """What is known: a list (chips, models, prices, rules, events, supply, sources ...), or one thing by name.

    Parameters
    ----------
    what
        chips, models, prices, rules, events, supply, demand, servers, runs, launches, releases, api, power, fleets,
        market, cutoffs, sources, or the name of a chip, model, rule, event, record, fact or source.
    place
        the place to look from, such as CN or EU: its prices first, and what is lawful there.
    """
    from tonnage.ask.together import with_the_rest
    from tonnage.report.show import ShowQuestion, shown

    check_outputs(common, drawn=True)

    def question(*, plain: bool = False) -> ShowQuestion:
        if plain:
            return ShowQuestion(what.strip(), common.load_catalog(), None, None)
        code = common.place(place) if place else None
        home, buyer = _buyer(options, common, code)
        return ShowQuestion(what.strip(), common.load_catalog(), common.date(), code, home, buyer)

    checks = (lambda: _buyer(options, common, place), common.date, lambda: shown(question(plain=True)))
    with with_the_rest(lambda: place and common.place(place), *checks):
        asked = question()
        found = shown(asked)
        if not found.judged:
            said = [name for name, value in vars(options).items() if value is not None]
            _refuse(Problem("asks about chips that are brought somewhere; this is none", flag(name)) for name in said)
    inputs = {"what": what, "as_of": str(asked.as_of) if asked.as_of else None, "in": asked.place} | vars(options)
    reply = Reply("show", inputs, found.body, found.answer, sources=found.facts, catalog=asked.catalog)
    return finish(reply, common)


def _refuse(problems: Iterable[Problem]) -> None:
    """Raise InputError with the problems, if there are any."""
    found = tuple(problems)
    if found:
        raise InputError(found)


def _buyer(options: BuyerOptions, common: Common, place: str | None) -> tuple[str | None, Buyer]:
    """Code of the headquarters, and the buyer. Raises `InputError` with every problem."""
    from tonnage import units
    from tonnage.law import Buyer

    given = [name for name, value in vars(options).items() if value is not None]
    problems = []
    if given and place is None:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        problems.append(Problem("goes with --in, the place that the chips come to", flags))
    share = count = None
    try:
        share = None if options.listed_owner is None else units.parse(options.listed_owner, "share")
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"expected a share from 0 to 1, got {share:g}")
    except ValueError as error:
        problems.append(Problem(str(error), "--listed-owner"))
    try:
        count = None if options.count is None else units.parse(options.count, "number")
        if count is not None and not 1 <= count <= 1e9:
            raise ValueError(f"expected a number of chips from 1 to 1,000,000,000, got {options.count}")
    except ValueError as error:
        problems.append(Problem(str(error), "--count"))
    if problems:
        raise InputError(problems)
    origin = common.place(options.shipped_from, "--shipped-from") if options.shipped_from else None
    home = common.place(options.headquarters, "--headquarters") if options.headquarters else None
    return home, Buyer(options.buyer, share, count, origin)
