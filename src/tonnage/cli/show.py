"""`tonnage show [chips|models|prices|rules|events|supply|sources|NAME]`: what is known, of all or of one thing."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.report.envelope import Reply


def show(
    what: str = "chips",
    /,
    *,
    place: Annotated[str | None, Parameter(name="--in")] = None,
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
    from tonnage.report.show import ShowQuestion, shown

    check_outputs(common)
    code = common.place(place) if place else None
    asked = ShowQuestion(what.strip(), common.load_catalog(), common.date(), code)
    found = shown(asked)
    inputs = {"what": what, "as_of": str(asked.as_of) if asked.as_of else None, "in": code}
    reply = Reply("show", inputs, found.body, found.answer, sources=found.facts, catalog=asked.catalog)
    return finish(reply, common)
