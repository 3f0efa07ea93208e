"""R1 serves; R2 is examined, launched once as a bad release and once as a good one, under live load, and timed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from statistics import stdev
from typing import Any

from r2mini import fronts, judge
from r2mini.clients import Asked, Reply, ask_all, ask_while, lengths, pace, per_token, per_token_at, unseen
from r2mini.commands import say
from r2mini.fronts import Front
from r2mini.judge import FEWEST, MOST

CALIBRATED = {1: 30, 4: 80, 12: 160}
"""Clients at once with which R1 is timed, and the answers of each; the load of the launch is none of them."""

WARM = {12: 60, 4: 40, 1: 10}
"""Clients and answers before that: an engine's first batches of a size are slow."""

CLIENTS = 8
"""Clients of the launch."""

MEASURED = 200
"""Answers of R2 after its launch by which the prediction is judged."""

EXAMINED = 64
"""Questions of an examination that are asked at once: the larger an engine's batch, the less each token costs it."""

TURNS = 8
"""Turns in which those are asked for, each beside as many of R1, which goes first in every second one."""

QUICKEST = 1.0
"""Load before a canary begins [s]."""

LONGEST = 120.0
"""Most time of a canary here [s]."""


@dataclass
class Watched:
    """What was seen of a canary: (time [s], R2's share, failed attempts at engines so far), from its beginning."""

    began: float = 0.0
    ended: float = 0.0
    state: str = ""
    why: str = ""
    seen: list[tuple[float, float, float]] = field(default_factory=list)


def law(points: Mapping[float, float]) -> Callable[[float], float]:
    """A time over clients at once, or over 1 / clients: the line of least relative squares through what was measured.

    Neither its start nor its slope is less than nothing: more are never sooner. A time of nothing was too short for its
    clock (the processor's has ticks of 10 ms) and says nothing.
    """
    points = {clients: value for clients, value in points.items() if value > 0}
    if len(points) < 2:
        return lambda clients: sum(points.values())
    rows = [(1 / value, clients / value) for clients, value in points.items()]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(row[i] for row in rows) for i in (0, 1))
    whole = aa * bb - ab * ab
    start, slope = (a1 * bb - b1 * ab) / whole, (b1 * aa - a1 * ab) / whole
    if slope < 0:
        start, slope = a1 / aa, 0.0
    elif start < 0:
        start, slope = 0.0, b1 / bb
    return lambda clients: start + slope * clients


class R1:
    """R1's engine, one for all seeds, and the front by which it is timed, as long as R2's."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.questions = unseen(run, MOST)
        self.engine = Front("r1", folder, fronts.engines({"r1": run / "model"}))
        self.front = Front("timed", folder, fronts.launch(self.engine.url, self.engine.url))
        self.counted = 0.0
        self.right: list[bool] = []
        say(f"R1's engine is ready after {self.engine.starting:.0f} s")

    def __enter__(self) -> R1:
        return self

    def __exit__(self, *why: object) -> None:
        self.front.__exit__(*why)
        self.engine.__exit__(*why)

    def cpu(self) -> float:
        """Seconds on the processor since it was last asked, the start included."""
        now, before = self.engine.used() + self.front.used(), self.counted
        self.counted = now
        return now - before

    def known(self) -> dict[str, Any]:
        """R1 timed at several loads and examined, once: by it each seed is judged."""
        began = time.monotonic()
        questions = self.questions[:FEWEST]
        warmed(self.front, questions)
        points = {}
        for clients, answers in CALIBRATED.items():
            some = [questions[index % FEWEST] for index in range(answers)]
            replies, cpu = timed(self.front, self.engine, some, clients)
            points[str(clients)] = {**pace(replies), "cpu": cpu / sum(reply.tokens for reply in replies)}
        replies = examined(self.engine, "r1", questions)
        return {
            "starting": self.engine.starting,
            "calibrated": points,
            "right": [reply.right for reply in replies],
            "length": lengths(replies),
            "cpu": self.cpu(),
            "wall": time.monotonic() - began + self.engine.starting,
        }

    def examined(self, count: int, right: Sequence[bool]) -> list[bool]:
        """Whether its first so many answers are right; right: those that are known. More are asked for once."""
        self.right = [*right, *self.right[len(right) :]]
        more = self.questions[len(self.right) : count]
        self.right += [reply.right for reply in examined(self.engine, "r1", more)]
        return self.right[:count]


def launched(folder: Path, r1: R1, known: Mapping[str, Any], r2: Path, extra: Sequence[str] = ()) -> dict[str, Any]:
    """Everything from the start of R2's engine to its launch, or to the refusal. extra: flags of the front."""
    questions = r1.questions[:FEWEST]
    ahead = predicted(known["calibrated"])
    found: dict[str, Any] = {"canary_ahead": canary_ahead(known["calibrated"]), "predicted": ahead}
    began = time.monotonic()
    r1.cpu()
    with Front("r2", folder, fronts.engines({"r2": r2 / "model"})) as engine:
        say(f"R2's engine is ready after {engine.starting:.0f} s")
        replies: list[Reply] = []

        def right(count: int) -> list[bool]:
            replies.extend(examined(engine, "r2", r1.questions[len(replies) : count]))
            return [reply.right for reply in replies]

        judged = judge.examined(lambda count: r1.examined(count, known["right"]), right, say)
        found |= {"starting": engine.starting, "verdict": judged.to_json(), "engine": replies[0].engine}
        used = 0.0
        if judged.passes:
            with Front("bad", folder, fronts.launch(r1.engine.url, engine.url, bad=True)) as bad:
                found |= {"bad": canaried(bad, questions, "returned")}
            told = {key: ahead[key] for key in ("ttft", "latency")}
            content = fronts.launch(r1.engine.url, engine.url, predicted=told)
            with Front("launch", folder, content, extra) as good:
                found |= {"canary": canaried(good, questions, "launched")}
                found |= measured(good, engine, r1, questions, lengths(replies))
            used = bad.cpu + good.cpu
    shares = {"cpu": engine.cpu + used + r1.cpu(), "engines_cpu": engine.cpu, "wall": time.monotonic() - began}
    return {**found, **shares}


def predicted(points: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What R2 will take at the launch's load, from R1 at several: the same sizes, so the same times.

    On the processor a token costs its own work and its part of what a step costs whatever its batch: a + b / clients.
    """
    found = {
        key: law({int(n): point[key] for n, point in points.items()})(CLIENTS) for key in ("ttft", "tpot", "latency")
    }
    found["cpu"] = law({1 / int(n): point["cpu"] for n, point in points.items()})(1 / CLIENTS)
    said = (
        f"TTFT {1e3 * found['ttft']:.1f} ms, TPOT {1e3 * found['tpot']:.2f} ms, {1e3 * found['cpu']:.2f} CPU ms a token"
    )
    say(f"predicted for R2 at {CLIENTS} clients: {said}")
    return found


def canary_ahead(points: Mapping[str, Mapping[str, float]]) -> float:
    """How long the canary will take [s]: each step its time, or that of its answers where R2's share of what
    the clients ask is longer in bringing them.
    """
    rate = CLIENTS / law({int(n): point["latency"] for n, point in points.items()})(CLIENTS)
    return sum(max(fronts.HOLD, fronts.ANSWERS / (share * rate)) for share in fronts.STEPS)


def timed(front: Front, engine: Front, questions: Sequence[Asked], clients: int) -> tuple[list[Reply], float]:
    """Replies through a front before an engine's; what all of it took on the processor [s]."""
    before = front.used() + engine.used()
    replies = ask_all(front.url, "reasoner", questions, clients)
    return replies, front.used() + engine.used() - before


def warmed(front: Front, questions: Sequence[Asked]) -> None:
    """Answers that count for nothing."""
    for clients, answers in WARM.items():
        ask_all(front.url, "reasoner", questions[:answers], clients)


def examined(engine: Front, model: str, questions: Sequence[Asked]) -> list[Reply]:
    """An answer to each question, sampled."""
    replies = answered(engine.url, model, questions)
    if wrong := [reply.wrong for reply in replies if reply.wrong]:
        raise SystemExit(f"{len(wrong)} questions of the examination were not answered: {wrong[0]}")
    return replies


def answered(url: str, model: str, questions: Sequence[Asked]) -> list[Reply]:
    """A reply to each question; what was not answered is asked again, twice at most."""
    replies = ask_all(url, model, questions, EXAMINED)
    for _ in range(2):
        left = [index for index, reply in enumerate(replies) if reply.wrong]
        again = ask_all(url, model, [questions[index] for index in left], CLIENTS)
        for index, reply in zip(left, again, strict=True):
            replies[index] = reply
    return replies


def canaried(front: Front, questions: Sequence[Asked], expected: str) -> dict[str, Any]:
    """A canary under load, until it is launched or returned, with a second of load before and after."""
    front.until_usable("r2")
    watched, over = Watched(), threading.Event()
    begin = time.time()
    thread = threading.Thread(target=_steered, args=(front, watched, over))
    thread.start()
    replies = ask_while(front.url, "reasoner", questions, CLIENTS, lambda: not over.is_set())
    thread.join()
    if watched.state != expected:
        raise SystemExit(f"the canary is {watched.state or 'not ended'}, not {expected}: {watched.why}")
    failed = [reply for reply in replies if reply.wrong]
    took = watched.ended - watched.began
    say(f"canary {watched.state} after {took:.1f} s; {len(failed)} of {len(replies)} requests failed. {watched.why}")
    return {
        "state": watched.state,
        "why": watched.why,
        "took": took,
        "answers": dict(Counter(reply.release for reply in replies)),
        "failed": len(failed),
        "hidden": watched.seen[-1][2],
        "began": watched.began - begin,
        "seen": [[round(at - watched.began, 2), share, hidden] for at, share, hidden in watched.seen],
        "replies": [[round(r.at - watched.began, 2), r.release, r.wrong, round(r.ttft, 4)] for r in replies],
    }


def _steered(front: Front, watched: Watched, over: threading.Event) -> None:
    """Starts the canary, watches it, and lets the load go on for a moment after its end."""
    try:
        _look(front, watched, QUICKEST, lambda canary: False)
        watched.began = time.time()
        front.order("canary", model="reasoner", action="start")
        _look(front, watched, LONGEST, lambda canary: canary["state"] in ("returned", "launched"))
        watched.ended = time.time()
        _look(front, watched, QUICKEST, lambda canary: False)
    finally:
        over.set()


def _look(front: Front, watched: Watched, seconds: float, enough: Callable[[dict[str, Any]], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = front.status("reasoner")
        canary = status["canary"]
        watched.state, watched.why = canary["state"], canary.get("why", "")
        watched.seen.append((time.time(), status["releases"]["r2"]["share"], front.failed_attempts()))
        if enough(canary):
            return
        time.sleep(0.2)


def measured(front: Front, engine: Front, r1: R1, questions: Sequence[Asked], length: float) -> dict[str, Any]:
    """R2 alone under the load of the launch, R1 drained from it; and R1's engine under the same load by turns with it:
    a busy machine is not the same a minute later. length: tokens of R2's answers to come.
    """
    drained = front.order("drain", model="reasoner", replica="r1-0")
    both = {"r1": (r1.front, r1.engine), "r2": (front, engine)}
    for one, _ in both.values():
        warmed(one, questions)
    turns: list[dict[str, tuple[list[Reply], float]]] = []
    each = MEASURED // TURNS
    for turn in range(TURNS):
        some = [questions[(turn * each + index) % len(questions)] for index in range(each)]
        order = list(both) if turn % 2 == 0 else list(both)[::-1]
        turns.append({name: timed(*both[name], some, CLIENTS) for name in order})
    replies = [reply for turn in turns for reply in turn["r2"][0]]
    found = {"per_token": by_clock(turns, length), "token_cpu": on_the_processor(turns)}
    for name, pair in (("by the clock", found["per_token"]), ("on the processor", found["token_cpu"])):
        ahead, came = 1e3 * pair["predicted"], 1e3 * pair["measured"]
        say(f"a token of R2 {name}: {ahead:.2f} ms predicted, {came:.2f} ms measured")
    by = dict(Counter(reply.release for reply in replies))
    return {"drained": drained["drained"], "measured": pace(replies), "by": by, **found}


Turns = Sequence[Mapping[str, tuple[list[Reply], float]]]


def by_clock(turns: Turns, length: float) -> dict[str, float]:
    """Time of a token [s]: R1's at the length of R2's answers, and R2's; doubt: standard error of their ratio, from how
    far it goes from turn to turn.
    """
    ratios = [log(per_token_at(turn["r1"][0], length) / per_token(turn["r2"][0])) for turn in turns]
    ours, theirs = ([reply for turn in turns for reply in turn[name][0]] for name in ("r2", "r1"))
    doubt = stdev(ratios) / len(ratios) ** 0.5
    return {"predicted": per_token_at(theirs, length), "measured": per_token(ours), "doubt": doubt}


def on_the_processor(turns: Turns) -> dict[str, float]:
    """CPU time of a token, of the engine and its fronts [s]: R1's and R2's."""
    each = {
        name: sum(turn[name][1] for turn in turns)
        / sum(reply.tokens for turn in turns for reply in turn[name][0] if not reply.wrong)
        for name in ("r1", "r2")
    }
    return {"predicted": each["r1"], "measured": each["r2"]}
