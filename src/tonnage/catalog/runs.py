"""Training runs in public as values: what was announced, on which chip and stack, and how it ended.

A run known only by its announcement is `running` and has no chip unless one was named with it. Most runs became public
together with their success; those announced well before their outcome are the ones that tell how often runs fail.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.catalog.facts import Fact

Date = datetime.date

OUTCOMES = ("completed", "failed", "abandoned", "moved", "restarted", "unfinished", "running")
"""How a run ended. abandoned: given up, or trained and never released; moved: to another chip (`moved_to`); restarted:
given up or rewound and begun again (`ended_as`); unfinished: stopped short of its plan in the last public state.
"""

TROUBLE = "trouble."
"""Prefix of the flags of a run's troubles, such as `trouble.loss_spikes`; a flag that is absent is not a `no`."""


@dataclass(frozen=True)
class TrainingRun:
    """One training run as the public knew it on a day.

    chip: key of the catalogue, empty where the public did not know it or the catalogue has none (`chip_other`, in
    words); stack: cuda, cann, xla, rocm ...; chips: accelerators; sparse: a mixture of experts; both None where
    unknown; announced: first public day of the intention, None where it became known only with its result;
    known_on: the day on which the outcome became known, None as long as it was not; ended_as: how a run that was moved
    or restarted ended after that; by_maker: run by the chip's own maker; attested: report, lab, vendor or press;
    confidence: doubts, in words; troubles: what was reported; task: empty for pre-training from scratch; params,
    tokens: as reported, None where unknown; source: id of the fact that says how it ended, else of the model's.
    """

    name: str
    id: str
    lab: str
    chip: str
    stack: str
    chips: float | None
    sparse: bool | None
    announced: Date | None
    started: Date | None
    known_on: Date | None
    outcome: str
    moved_to: str
    by_maker: bool
    attested: str
    confidence: str
    troubles: tuple[str, ...]
    source: str
    chip_other: str = ""
    ended_as: str = ""
    task: str = ""
    params: float | None = None
    tokens: float | None = None
    mark: str = ""


def read_run(key: str, facts: Mapping[str, Fact]) -> TrainingRun:
    """A run from the facts that were known of it. A table of the user's may say `completed` instead of `outcome`."""

    def text(attribute: str) -> str:
        return facts[attribute].text if attribute in facts else ""

    def number(attribute: str) -> float | None:
        return facts[attribute].number if attribute in facts else None

    def day(attribute: str) -> Date | None:
        return facts[attribute].day if attribute in facts else None

    ended = facts.get("outcome") or facts.get("completed")
    last = ended or next(iter(facts.values()))
    return TrainingRun(
        name=text("model") or key,
        id=key,
        lab=text("lab"),
        chip=text("chip"),
        stack=text("stack"),
        chips=number("chips"),
        sparse=facts["sparse"].flag if "sparse" in facts else None,
        announced=day("announced"),
        started=day("started"),
        known_on=ended.since if ended else None,
        outcome=_outcome(ended),
        moved_to=text("moved_to"),
        by_maker="by_maker" in facts and facts["by_maker"].flag,
        attested=text("attested"),
        confidence=text("confidence"),
        troubles=_troubles(facts),
        source=last.id,
        chip_other=text("chip_other"),
        ended_as=text("finally"),
        task=text("task"),
        params=number("params"),
        tokens=number("tokens"),
        mark=last.mark,
    )


def _outcome(ended: Fact | None) -> str:
    if ended is None:
        return "running"
    return ended.text if ended.unit == "text" else "completed" if ended.flag else "failed"


def _troubles(facts: Mapping[str, Fact]) -> tuple[str, ...]:
    found = [name for name, fact in facts.items() if name.startswith(TROUBLE) and fact.flag]
    return tuple(name.removeprefix(TROUBLE).replace("_", " ") for name in found)
