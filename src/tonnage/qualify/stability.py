"""A soak: the same work over and over, each step replayed bit for bit, and what the counts show.

A step that is done twice from one state gives the same bits on a sound device with deterministic kernels; one that does
not is a silent error, seen the moment it happens (the practice that docs/method/qualify.md names). The work runs in a
thread of its own: one that does not come back is a hang. An exception is an interruption: the work is set back and goes
on. What was seen is a `Soaked`; two of them add up, so that a soak may be resumed.
"""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tonnage.device.rounding import EPSILON
from tonnage.errors import InputError
from tonnage.qualify.gate import Needed, State, Subject, Verified, rate_words, run_words, watched_words
from tonnage.qualify.rates import exposure, least, most, share_most
from tonnage.qualify.small import SmallRun, Stepped
from tonnage.train.goodput import Failures, useful
from tonnage.units import DAY, show_time

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture

WATCHDOG = 600.0
"""Seconds without a step after which the work hangs: torch's own limit of a collective (`init_process_group`)."""

GROWTH = 1.15
"""Most that steps at the end take over those at the beginning: the spread over which a machine counts as noisy."""

FEWEST = 8
"""Steps from which on a beginning and an end can be told apart: an assumption."""

ROUNDED = EPSILON["bf16"]
"""Relative difference of a loss or a gradient's norm that another order of sums may make: means over thousands of
results of one format differ by less than one result is rounded.
"""

EFFECTIVE = 0.85
"""Least share of wall time that makes progress: an assumption; large published runs are at 0.9 (arXiv 2407.21783 and
2410.21680).
"""

EXPECTED = 1.0
"""Silent errors, expected over the planned run, from which on it needs a detector: an assumption."""


REPLAY = 1.0
"""Days between steps that a run replays where nobody says: an assumption."""


@dataclass(frozen=True)
class PlannedRun:
    """The run that is planned: cards, days; replay: days between steps that it replays, None where it replays none;
    effective: least share of wall time that makes progress.
    """

    cards: int = 1
    days: float = 1.0
    replay: float | None = REPLAY
    effective: float = EFFECTIVE

    @property
    def bearable(self) -> float:
        """Interruptions for each card-day at which the run is still effective enough."""
        low, high = 0.0, 1.0e6
        for _ in range(100):
            middle = (low + high) / 2
            rate = middle / DAY
            fine = useful(Failures(rate, rate, rate, "asked"), self.cards) >= self.effective
            low, high = (middle, high) if fine else (low, middle)
        return low

    @property
    def soak(self) -> float:
        """Card-days that must pass without an interruption to show it, at 95 %."""
        return exposure(self.bearable)

    @property
    def text(self) -> str:
        """What a soak must show, in a sentence: printed first."""
        return (
            f"a run of {run_words(self.cards, self.days)} bears {rate_words(self.bearable, 'interruption')}; "
            f"a soak shows that, at 95 %, by {watched_words(self.soak)} without one"
        )

    @property
    def detector(self) -> str:
        """How it finds silent errors, in a sentence."""
        if self.replay is None:
            return "the planned run replays no step: silent errors are left to the soak to rule out"
        return f"the planned run replays a step every {show_time(self.replay * DAY)} to find silent errors"


@dataclass(frozen=True)
class Soaked:
    """What a soak saw: steps, card-days, steps whose replay differed, those of them that differed by more than
    rounding, hangs, interruptions, retries that helped; times: seconds of each step.
    """

    steps: int = 0
    card_days: float = 0.0
    wrong: int = 0
    gross: int = 0
    hangs: int = 0
    interruptions: int = 0
    retried: int = 0
    times: tuple[float, ...] = ()
    first: float | None = None
    """Seconds after which the first silent error, hang or interruption was seen."""

    def and_then(self, other: Soaked) -> Soaked:
        """Both together, this one first."""
        return Soaked(
            self.steps + other.steps,
            self.card_days + other.card_days,
            self.wrong + other.wrong,
            self.gross + other.gross,
            self.hangs + other.hangs,
            self.interruptions + other.interruptions,
            self.retried + other.retried,
            self.times + other.times,
            self.first if self.first is not None else other.first,
        )


class SoakWork(Protocol):
    """What is done over and over."""

    def step(self, number: int) -> Stepped:
        """One step from the state of now."""

    def keep(self) -> None:
        """Keeps the state."""

    def back(self) -> None:
        """Sets the state back to what was kept."""


@dataclass(frozen=True)
class _Told:
    """One step told by the thread: its seconds, whether its replay was the same, whether it was interrupted."""

    seconds: float
    same: bool = True
    interrupted: bool = False
    gross: bool = False


def soak(
    work: SoakWork,
    *,
    seconds: float,
    steps: int | None = None,
    cards: int = 1,
    watchdog: float = WATCHDOG,
    clock: Callable[[], float] = time.monotonic,
) -> Soaked:
    """Replays steps until the time is over or so many were done. Stops at a hang."""
    told: queue.Queue[_Told | None] = queue.Queue()
    over = threading.Event()
    begun = clock()

    def run() -> None:
        number = 0
        while not over.is_set() and clock() - begun < seconds and (steps is None or number < steps):
            told.put(_once(work, number, clock))
            number += 1
        told.put(None)

    threading.Thread(target=run, daemon=True, name="soak").start()
    seen = Soaked()
    while True:
        try:
            one = told.get(timeout=watchdog)
        except queue.Empty:
            over.set()
            seen = replace(seen, hangs=1, first=_first(seen, True, clock() - begun))
            break
        if one is None:
            break
        seen = _added(seen, one, clock() - begun)
    return replace(seen, card_days=cards * (clock() - begun) / DAY)


def _once(work: SoakWork, number: int, clock: Callable[[], float]) -> _Told:
    begun = clock()
    try:
        work.keep()
        first = work.step(number)
        passed = clock() - begun
        work.back()
        again = work.step(number)
        return _Told(passed, again.bits == first.bits, gross=not _near(first, again))
    except (RuntimeError, OSError):
        work.back()
        return _Told(clock() - begun, interrupted=True)


def _near(first: Stepped, again: Stepped) -> bool:
    """Whether loss and gradient differ by no more than rounding may make of them."""
    return all(
        a == b or abs(a - b) <= ROUNDED * max(abs(a), abs(b)) for a, b in zip(first.figures, again.figures, strict=True)
    )


def _added(seen: Soaked, one: _Told, passed: float) -> Soaked:
    bad = one.interrupted or not one.same
    return replace(
        seen,
        steps=seen.steps + 1,
        wrong=seen.wrong + (not one.same),
        gross=seen.gross + one.gross,
        interruptions=seen.interruptions + one.interrupted,
        times=seen.times if one.interrupted else (*seen.times, one.seconds),
        first=_first(seen, bad, passed),
    )


def _first(seen: Soaked, bad: bool, passed: float) -> float | None:
    return passed if bad and seen.first is None else seen.first


def gates(
    device: torch.device,
    model: Architecture,
    run: PlannedRun,
    *,
    seconds: float,
    steps: int | None = None,
    cards: int = 1,
    watchdog: float = WATCHDOG,
    clock: Callable[[], float] = time.monotonic,
    before: Soaked | None = None,
    after: Callable[[Soaked], None] | None = None,
    work: SmallRun | None = None,
) -> Iterator[Verified]:
    """Soaks a device with training steps of a small model of the architecture, and says what that shows about the run.

    work: what is done, where it is not that; before: what an earlier soak of the same device saw; after: is told
    what both saw together, to be kept.
    """
    try:
        work = work or SmallRun(model, device, "bf16")
    except InputError as error:
        why = f"no small model of this architecture can be made: {error}"
        yield Verified("soak", "stability", "inference", "not tested", why=why, subject="replay")
        return
    yield from _learning(work)
    begun = time.perf_counter()
    seen = soak(work, seconds=seconds, steps=steps, cards=cards, watchdog=watchdog, clock=clock)
    both = before.and_then(seen) if before else seen
    if after:
        after(both)
    yield from judged(both, run, time.perf_counter() - begun)


def _learning(work: SmallRun) -> Iterator[Verified]:
    """One training step before the soak: where there is none, forward passes are soaked."""
    work.keep()
    try:
        work.step(0)
    except NotImplementedError as error:
        work.learns = False
        why = f"no training step can be done: {(str(error).splitlines() or [''])[0][:200]}"
        yield Verified("training steps to soak with", "stability", "training", "fail", why=why, subject="steps")
    except RuntimeError:
        return  # an interruption: the soak counts it
    finally:
        work.back()


def judged(seen: Soaked, run: PlannedRun, seconds: float = 0.0) -> Iterator[Verified]:
    """What a soak shows about the planned run. seconds: that it took."""
    yield from _replays(seen, seconds)
    yield _hangs(seen)
    yield _latency(seen)
    yield _interruptions(seen, run)
    yield _undetected(seen, run)


def _gate(
    subject: Subject, name: str, needed: Needed, state: State, measured: float, limit: float, unit: str, why: str
) -> Verified:
    shown = "" if state == "pass" else why
    return Verified(name, "stability", needed, state, measured, limit, unit, shown, subject=subject)


def _replays(seen: Soaked, seconds: float) -> Iterator[Verified]:
    """Two gates: any other bit takes training its detector of silent errors; a gross one is a wrong answer."""
    names = ("steps replayed bit for bit", "steps replayed, but for rounding")
    done = seen.steps - seen.interruptions
    if done <= 0:
        why = "no step was done twice"
        for name in names:
            yield Verified(name, "stability", "inference", "not tested", why=why, subject="replay", seconds=seconds)
        return
    asked: tuple[Needed, Needed] = ("training", "inference")
    for name, needed, count, took in zip(names, asked, (seen.wrong, seen.gross), (seconds, 0.0), strict=True):
        bound = share_most(count, done)
        why = (
            f"{count} of {done} steps gave other {'bits' if needed == 'training' else 'results'} when they were done "
            f"again; up to {100 * bound:.2g} % of steps may be wrong (95 %)"
        )
        state: State = "fail" if count else "pass"
        yield replace(_gate("replay", name, needed, state, count, 0.0, "steps", why), seconds=took)


def _hangs(seen: Soaked) -> Verified:
    state: State = "fail" if seen.hangs else ("pass" if seen.steps else "not tested")
    why = f"no step came back any more after {seen.steps} steps" if seen.hangs else "no step was done"
    return _gate("hang", "hangs", "inference", state, seen.hangs, 0.0, "hangs", why)


def _latency(seen: Soaked) -> Verified:
    name = "time of a step, last quarter over first"
    if len(seen.times) < FEWEST:
        why = f"{len(seen.times)} steps with a time; {FEWEST} tell a beginning from an end"
        return Verified(name, "stability", "training", "not enough evidence", why=why, subject="latency")
    quarter = len(seen.times) // 4
    warm = seen.times[1 : quarter + 1]
    cold = seen.times[-quarter:]
    ratio, least_ratio = (_over(of(cold), of(warm)) for of in (statistics.median, min))
    state: State = "pass" if ratio <= GROWTH else "fail" if least_ratio > GROWTH else "not enough evidence"
    why = f"steps at the end take {ratio:.3g} times those at the beginning"
    if state == "not enough evidence":
        why += f", but the fastest of them {least_ratio:.3g} times: others work on the machine, or too few were done"
    return _gate("latency", name, "training", state, ratio, GROWTH, "", why)


def _over(last: float, first: float) -> float:
    return last / first if first > 0 else 1.0


def _interruptions(seen: Soaked, run: PlannedRun) -> Verified:
    """Fails where even the lower bound is too often; passes where the upper bound is seldom enough."""
    count = seen.interruptions + seen.hangs
    name = "interruptions, at 95 %"
    if seen.card_days <= 0:
        return Verified(name, "stability", "training", "not tested", why=run.text, subject="interruptions")
    low, high = (1000 * bound / seen.card_days for bound in (least(count), most(count)))
    limit = 1000 * run.bearable
    state: State = "pass" if high <= limit else "fail" if low > limit else "not enough evidence"
    why = (
        f"{count} in {watched_words(seen.card_days)} show {rate_words(high / 1000, 'interruption')} at most, at 95 %; "
        f"{run.text}"
        + (f", or by {watched_words(exposure(run.bearable, count))} with the {count} seen" if count else "")
    )
    return _gate("interruptions", name, "training", state, high, limit, "per 1,000 card-days", why)


def _undetected(seen: Soaked, run: PlannedRun) -> Verified:
    """Silent errors to be expected over the run, unless it replays steps."""
    name = "silent errors over the planned run, at 95 %"
    planned = run.cards * run.days
    if seen.card_days <= 0:
        return Verified(name, "stability", "training", "not tested", why="no soak", subject="undetected")
    expected = most(seen.wrong) / seen.card_days * planned
    if run.replay is not None:
        why = f"steps that the run replays every {show_time(run.replay * DAY)} find them"
        return replace(_gate("undetected", name, "training", "pass", expected, EXPECTED, "errors", ""), why=why)
    state: State = "pass" if expected < EXPECTED else "not enough evidence"
    enough = watched_words(exposure(EXPECTED / planned, seen.wrong))
    why = (
        f"{seen.wrong} in {watched_words(seen.card_days)} may be {expected:.3g} over {watched_words(planned)}; the run "
        f"needs a detector (a step replayed at times), or {enough}"
    )
    return _gate("undetected", name, "training", state, expected, EXPECTED, "errors", why)
