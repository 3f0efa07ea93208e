"""R1 serves; R2 is examined, launched once as a bad release and once as a good one, under live load, and timed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r2mini import fronts
from r2mini.clients import Asked, Reply, ask_all, ask_while, pace, unseen
from r2mini.commands import say
from r2mini.fronts import Front
from r2mini.judge import FEWEST, Verdict, verdict

CALIBRATED = {1: 30, 4: 80, 12: 160}
"""Clients at once with which R1 is timed, and the answers of each; the load of the launch is none of them."""

WARM = {12: 60, 4: 40, 1: 10}
"""Clients and answers before that: an engine's first batches of a size are slow."""

CLIENTS = 8
"""Clients of the launch."""

MEASURED = 200
"""Answers of R2 after its launch by which the prediction is judged."""

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


def law(points: dict[int, float]) -> Callable[[float], float]:
    """A time over clients at once: the line of least relative squares through what was measured."""
    rows = [(1 / value, clients / value) for clients, value in points.items()]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(row[i] for row in rows) for i in (0, 1))
    whole = aa * bb - ab * ab
    start, slope = (a1 * bb - b1 * ab) / whole, (b1 * aa - a1 * ab) / whole
    return lambda clients: start + slope * clients


def launched(folder: Path, r1: Path, r2: Path) -> dict[str, Any]:
    """Everything from the start of the engines to R2's launch, or to the refusal."""
    questions = unseen(r2, FEWEST)
    found: dict[str, Any] = {"canary_ahead": fronts.HOLD * len(fronts.STEPS)}
    began = time.monotonic()
    with Front("engines", folder, fronts.engines({"r1": r1 / "model", "r2": r2 / "model"})) as engines:
        say(f"engines are ready after {engines.starting:.0f} s")
        found |= {"starting": engines.starting}
        good = Front("launch", folder, fronts.launch(engines.url))
        with good:
            found |= predicted(good, questions)
            judged, engine = examined(engines, questions)
            say(judged.text)
            found |= {"verdict": judged.to_json(), "engine": engine}
            if judged.passes:
                with Front("bad", folder, fronts.launch(engines.url, bad=True)) as bad:
                    found |= {"bad": canaried(bad, questions, "returned")}
                found |= {"bad_cpu": bad.cpu, "canary": canaried(good, questions, "launched")}
                found |= measured(good, questions)
    cpu = engines.cpu + good.cpu + found.get("bad_cpu", 0.0)
    return {**found, "cpu": cpu, "engines_cpu": engines.cpu, "wall": time.monotonic() - began}


def predicted(front: Front, questions: Sequence[Asked]) -> dict[str, Any]:
    """R1 timed at several loads, and from it what R2 will take: the same sizes, so the same times."""
    warmed(front, questions)
    points = {}
    for clients, answers in CALIBRATED.items():
        some = [questions[index % len(questions)] for index in range(answers)]
        replies = ask_all(front.url, "reasoner", some, clients)
        points[clients] = pace(replies)
    figures = {key: law({n: point[key] for n, point in points.items()})(CLIENTS) for key in ("ttft", "tpot")}
    said = f"TTFT {1e3 * figures['ttft']:.1f} ms, TPOT {1e3 * figures['tpot']:.2f} ms"
    say(f"predicted for R2 at {CLIENTS} clients: {said}")
    return {"calibrated": {str(n): point for n, point in points.items()}, "predicted": figures}


def warmed(front: Front, questions: Sequence[Asked]) -> None:
    """Answers that count for nothing."""
    for clients, answers in WARM.items():
        ask_all(front.url, "reasoner", questions[:answers], clients)


def examined(front: Front, questions: Sequence[Asked]) -> tuple[Verdict, str]:
    """The same questions asked of both engines, sampled; and which engine it is that answers."""
    before, after = (answered(front.url, model, questions) for model in ("r1", "r2"))
    wrong = [reply.wrong for reply in (*before, *after) if reply.wrong]
    if wrong:
        raise SystemExit(f"{len(wrong)} questions of the examination were not answered: {wrong[0]}")
    return verdict([reply.right for reply in before], [reply.right for reply in after]), after[0].engine


def answered(url: str, model: str, questions: Sequence[Asked]) -> list[Reply]:
    """A reply to each question; what was not answered is asked again, twice at most."""
    replies = ask_all(url, model, questions, 2 * CLIENTS)
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


def measured(front: Front, questions: Sequence[Asked]) -> dict[str, Any]:
    """R2 alone under the load of the launch; R1 drained."""
    drained = front.order("drain", model="reasoner", replica="r1-0")
    warmed(front, questions)
    some = [questions[index % len(questions)] for index in range(MEASURED)]
    replies = ask_all(front.url, "reasoner", some, CLIENTS)
    figures = pace(replies)
    say(f"measured: TTFT {1e3 * figures['ttft']:.1f} ms, TPOT {1e3 * figures['tpot']:.2f} ms")
    return {"drained": drained["drained"], "measured": figures, "by": dict(Counter(reply.release for reply in replies))}
