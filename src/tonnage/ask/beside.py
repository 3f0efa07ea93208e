"""The best plan beside one that is given: the same model, chips and limits, with nothing else fixed."""

from __future__ import annotations

import datetime
from dataclasses import replace

from tonnage.ask.serve import ServeAsked, ServeFound, plan_asked
from tonnage.catalog import Catalog
from tonnage.serve import ServePlan


def best_beside(
    model: str, asked: ServeAsked, found: ServeFound, catalog: Catalog, as_of: datetime.date | None, seed: int
) -> ServePlan:
    """The best service under the limits that `found` keeps: its layout, tokens of a step and sequences are free."""
    limits = found.assumed
    tpot = asked.tpot if limits is None or limits.tpot is None else limits.tpot
    ttft = asked.ttft if limits is None or limits.ttft is None else limits.ttft
    words = replace(asked.words, tpot="none", ttft="none")  # limits are fixed: nothing is to be assumed
    mode = asked.mode if asked.mode in ("prefill", "decode", "afd") else "auto"
    free = replace(
        asked, words=words, tpot=tpot, ttft=ttft, mode=mode, layout=None, prefill_layout=None, ffn_layout=None,
        chunk=None, running=None,
    )  # fmt: skip
    return plan_asked(model, free, catalog, as_of, seed).plan
