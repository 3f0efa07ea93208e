"""One question of the page as it is answered: lines of JSON, the quick answer first, what happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import cast

from tonnage.report.charts.reading import at
from tonnage.web.picked import picked
from tonnage.web.pool import NotAnswered, Question, WorkerPool
from tonnage.web.questions import ViewAsked

BEAT = 0.5
"""Time between two lines while nothing happens [s]: so soon it is noticed that nobody listens."""

Line = dict[str, object]

Gone = Callable[[], Awaitable[bool]]
"""Whether nobody listens any more."""


async def answered(pool: WorkerPool, view: str, asked: ViewAsked, gone: Gone) -> AsyncGenerator[str]:
    """Lines: `told` (the command, how many stages), `progress`, `answer` by stage, `base`, and `end` or `refused`.

    When nobody listens any more what was asked is given up.
    """
    stages = asked.stages[-1:] if pool.known(asked.stages[-1]) is not None else asked.stages
    yield _line({"kind": "told", "command": asked.command, "stages": len(stages)})
    befores: list[Line] = []
    whole: Line | None = None
    for kind, question, number in _parts(pool, asked, stages):
        lines = _one(pool, question, gone)
        async with contextlib.aclosing(lines):
            async for line in lines:
                if "reply" in line:
                    reply = cast("Line", line["reply"])
                    if kind == "base":
                        befores.append(reply)
                        found: Line = {"facts": picked(view, reply, asked.names)["facts"]}
                        found |= {"charts": _picked(view, whole, asked, befores)["charts"]} if whole else {}
                    else:
                        found = _picked(view, reply, asked, befores)
                        whole = reply if number == len(stages) else None
                    told = {"kind": kind, "stage": number, "of": len(stages), "key": question.key, **found}
                    yield _line(told)
                    if found.get("errors"):
                        yield _line({"kind": "end"})
                        return
                else:
                    yield _line({**line, "stage": number, "of": len(stages)})
                    if line["kind"] in ("refused", "gone"):
                        return
    yield _line({"kind": "end"})


def _picked(view: str, reply: Line, asked: ViewAsked, befores: Sequence[Line]) -> Line:
    """What is shown of a reply, beside the answer of as many draws before rules were switched off."""
    draws = [at(reply, "reply", "draws"), *(at(each, "reply", "draws") for each in befores)]
    before = next((each for each, many in zip(befores, draws[1:], strict=True) if many == draws[0]), None)
    return picked(view, reply, asked.names, before)


def _parts(pool: WorkerPool, asked: ViewAsked, stages: Sequence[Question]) -> list[tuple[str, Question, int]]:
    """What is asked one after the other: kind, question, number of the stage.

    A stage whose answer is kept was passed over for the whole one that is kept too. What an answer is compared with
    comes first where it is kept; else the whole one comes last, and that of the quick answer is done without.
    """
    parts = [("answer", stage, number + 1) for number, stage in enumerate(stages)]
    bases = [base for base in (asked.first_base, asked.base) if base is not None]
    known = [("base", base, 0) for base in bases if pool.known(base) is not None]
    last = [("base", asked.base, 0)] if asked.base is not None and pool.known(asked.base) is None else []
    return [*known, *parts, *last]


async def _one(pool: WorkerPool, question: Question, gone: Gone) -> AsyncGenerator[Line]:
    """Progress of a question, then its reply; or why there is none."""
    news: list[object] = []
    asking = asyncio.create_task(pool.ask(question, news.append))
    try:
        while not asking.done():
            await asyncio.wait((asking,), timeout=BEAT)
            if await gone():
                yield {"kind": "gone"}
                return
            if not asking.done():
                yield {"kind": "progress", "ahead": pool.ahead(question), "what": news[-1] if news else None}
        yield {"kind": "reply", "reply": asking.result()}
    except NotAnswered as refused:
        yield {"kind": "refused", "why": refused.why}
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError, NotAnswered):
            await asking


def _line(line: Mapping[str, object]) -> str:
    return json.dumps(line) + "\n"
