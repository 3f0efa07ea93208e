"""`tonnage lawful [MODEL] --in CN --as-of DATE [--from h100]`: lawful chips by what they do, and the best design."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

from cyclopts import Parameter

from tonnage.ask.lawful import LawfulWords
from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.report.envelope import Reply


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LawfulOptions(LawfulWords):
    """Where, and for what work.

    Parameters
    ----------
    place
        where the chips are brought, such as CN.
    day
        when they are brought there, such as 2023-11-17; default --as-of, else today. With a day alone, models, facts
        and software are those known now.
    headquarters
        country of the receiving firm's headquarters; that of the place if not given.
    origin
        chip from which a maker's design starts, such as h100: how much of its rates, memory bandwidth and link stays
        outside every limit, and what that does.
    count
        accelerators that train the model, and that serve it.
    seq
        tokens in a sequence of training.
    global_batch
        sequences in a step of training.
    precision
        of training: bf16, fp16, fp8, mxfp8 or nvfp4.
    isl
        input tokens of a request.
    osl
        output tokens of a request.
    ttft
        most time to the first token, such as 2s.
    tpot
        most time per output token; none for no limit.
    """

    place: Annotated[str, Parameter(name="--in")]
    origin: Annotated[str | None, Parameter(name="--from")] = None


NAMES = frozenset({*(field.name for field in fields(LawfulOptions)), "in", "from"})
"""Fields that have a flag."""


def lawful(model: str = "deepseek-v3", /, *, options: LawfulOptions, common: Common = COMMON) -> int:
    """Which chips may be brought to a place on a day without a licence, and which of them does most for a model.

    With `--from CHIP` also the best design within the limits as they are published. Planning figures, not legal advice.

    Parameters
    ----------
    model
        bundled name, config.json, folder with one, or an architecture in YAML.
    """
    from tonnage.ask import lawful as ask
    from tonnage.ask.together import names, with_the_rest
    from tonnage.report.lawful import answer, body

    check_outputs(common, drawn=True)
    chips = (f"1x{options.origin}",) if options.origin else ()
    rest = names(model, chips, common.load_catalog, common.date, "from")
    with as_flags(NAMES), with_the_rest(lambda: ask.read(options), *rest):
        asked = ask.read(options)
        catalog = common.load_catalog()
        found = ask.found(model, asked, catalog, common.date())
    inputs: dict[str, Any] = {"model": model, **vars(options), "in": asked.place, "from": options.origin}
    del inputs["place"], inputs["origin"]
    inputs["as_of"] = common.as_of
    facts = {fact for chip in found.chips for fact in chip.facts}
    reply = Reply("lawful", inputs, body(found), answer(found), found.outcome, found.evidence, facts, catalog)
    return finish(reply, common)
