"""`tonnage simulate PLAN.json --rate 20/s`: a service request by request: percentiles, goodput, queues."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tonnage.ask.simulate import SimulateWords
from tonnage.cli.common import COMMON, Common, check_inputs_kept, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.heard import listener
from tonnage.cli.progress import quiet
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.simulate.prepare import Happened

TABLES = (".csv", ".parquet")
"""Endings of files of per-request results."""


@Parameter(name="*")
@dataclass(frozen=True)
class SimulateOptions(SimulateWords):
    """What comes, and how it is served.

    Parameters
    ----------
    trace
        requests to replay: Azure LLM traces (CSV), BurstGPT (CSV), Mooncake (JSON Lines with block hashes), what
        `vllm bench serve --save-detailed` wrote (JSON), or a log of vLLM's requests (JSON Lines). With --rate their
        times are stretched to it.
    fit_trace
        a log of the same kinds to draw new requests like, as many as --requests: pairs of its lengths, that come in
        bursts like its own or as --arrivals says.
    rate
        requests that arrive, such as 20/s.
    requests
        how many to draw or to replay, such as 10k; or a file, as --requests-out.
    requests_out
        write what happened to each request: .csv, .parquet.
    arrivals
        poisson, gamma (bursty), day (a curve over 24 h), even, closed (clients that ask again) or at-once.
    cv
        of gamma arrivals: coefficient of variation of the times between.
    swing
        of a day: how far its peak is above the mean, as a share.
    clients
        of a closed loop.
    think
        time between an answer and the next question of a client or a session.
    isl
        mean input tokens; default those of the plan.
    osl
        mean output tokens; default those of the plan.
    isl_spread
        fixed, uniform:0.5, lognormal:1 or exponential.
    osl_spread
        the same for the output.
    turns
        of a session: each turn's prompt begins with what was said before.
    order
        of the queue: fcfs, priority, shortest (prompt) or slo (least time left until --due).
    priorities
        shares of the requests that go first, second and so on, such as 10%,90%.
    routing
        round-robin (the usual), least-loaded (with --beside) or prefix-aware.
    replicas
        instead of the plan's; auto: the fewest that keep --slo.
    running
        sequences of a replica at once at most.
    chunk
        new tokens of a step at most.
    prompt_chunk
        of them, of one prompt at most.
    blocks
        of a replica's cache.
    prefix_cache
        whether the beginning of a prompt may be found in the cache.
    host
        time of the CPU in each step, such as 0.5ms.
    front
        time of the one process that takes requests in, of each, one after the other.
    due
        until the first token, of --order slo.
    outage
        a replica that fails and returns, such as 3@10s-60s; may be repeated.
    autoscale
        replicas by load, up to those of the plan, such as target=32,loading=60s,every=15s,fewest=1.
    slo
        limits, such as "ttft p95 2s, tpot p95 50ms, e2e mean 30s".
    find_rate
        find the highest rate that keeps --slo.
    beside
        the plan of another model on the same replicas, with its rate: r2.json@3/s; may be repeated. A replica has one
        model at a time.
    switch
        time that a replica takes to load another model, such as 60s.
    host_cache
        memory of a replica's host for what its cache has no room for, and how fast it comes back: 200GB@50GB/s.
    disk_cache
        the same of its disks, behind the host.
    """

    requests_out: Path | None = None
    outage: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    beside: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    find_rate: Annotated[bool, Parameter(negative="")] = False


NAMES = frozenset(field.name for field in fields(SimulateOptions))


USUAL = SimulateOptions()


def simulate(plan: Path, /, *, options: SimulateOptions = USUAL, common: Common = COMMON) -> int:
    """A service request by request: what percentiles, bursts, caches and failures make of a plan.

    Parameters
    ----------
    plan
        what `tonnage serve ... -o plan.json` saved, or a service in YAML: model, on, and other words of serve.
    """
    from tonnage.ask.simulate import read
    from tonnage.ask.simulated import plan_of, simulated
    from tonnage.report.simulate import answer_of, body_of, outcome, svg

    options = _split(options)
    check_outputs(common, (".svg",), drawn=True)
    if options.requests_out is not None:
        _check_table(options.requests_out)
    with as_flags(NAMES):
        asked = read(options)
        made = plan_of(plan, common.load_catalog, common.date, common.seed)
        others = tuple(plan_of(path, common.load_catalog, common.date, common.seed) for path, _ in asked.beside)
        with _interruptible() as stopped, _bar(common) as shown:
            found = simulated(
                asked, made, common.seed, lambda done, all_: not stopped() and shown(done, all_), common.note, others
            )
    inputs = {"plan": plan, **vars(options), "as_of": common.as_of}
    del inputs["requests_out"]
    ended = outcome(found)
    reply = Reply(
        "simulate",
        {name: str(value) if isinstance(value, Path) else value for name, value in inputs.items()},
        body_of(found),
        answer_of(found),
        ended,
        made.evidence,
        made.sources,
        common.load_catalog(),
        pictures={".svg": lambda: svg(found)},
        formats=f"{made.formats.weights} {made.formats.kv}",
    )
    if options.requests_out is not None:
        check_inputs_kept(common, reply)
        _write_table(options.requests_out, found.run)
    code = finish(reply, common)
    return 130 if found.run.partial else code


def _split(options: SimulateOptions) -> SimulateOptions:
    """`--requests FILE` as `--requests-out FILE`."""
    text = options.requests
    if text is None or Path(text).suffix.lower() not in TABLES:
        return options
    return replace(options, requests=None, requests_out=Path(text))


def _check_table(path: Path) -> None:
    from tonnage import files

    if path.suffix.lower() not in TABLES:
        raise InputError(
            Problem(f'cannot write "{path.suffix or path.name}" files; endings: {", ".join(TABLES)}', "--requests-out")
        )
    files.check_target(path)


def _write_table(path: Path, run: Happened) -> None:
    from tonnage import files
    from tonnage.report.simulate import columns, requests_csv

    if files.was_read(path):
        raise InputError(Problem("is a file that was read; write the requests to another", f"--requests-out {path}"))
    if path.suffix.lower() == ".csv":
        files.write(path, requests_csv(run))
        return
    from tonnage.simulate.written import parquet

    files.write(path, parquet(columns(run), f"--requests-out {path}"))


@contextlib.contextmanager
def _interruptible() -> Iterator[Stopped]:
    """The first interrupt stops the simulation where it is, with what was simulated so far; the second ends it all."""
    stopped = Stopped()

    def stop(number: int, frame: object) -> None:
        if stopped.was:
            raise KeyboardInterrupt
        stopped.was = True

    before = None
    with contextlib.suppress(ValueError):  # only the main thread may
        before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


class Stopped:
    """Whether somebody interrupted."""

    was = False

    def __call__(self) -> bool:
        """Yes or no."""
        return self.was


@contextlib.contextmanager
def _bar(common: Common) -> Iterator[ProgressBar]:
    """A line that says how far it is, on a terminal."""
    shown = ProgressBar(sys.stderr is not None and sys.stderr.isatty() and not common.quiet)
    try:
        yield shown
    finally:
        shown.clear()


SECONDS_BETWEEN = 0.2
"""Between two lines of progress at least."""


class ProgressBar:
    """The line; written now and then."""

    def __init__(self, visible: bool) -> None:
        self.visible, self.last, self.began = visible, 0.0, time.monotonic()

    def __call__(self, done: int, total: int) -> bool:
        """So many of so many; the simulation goes on."""
        now, heard = time.monotonic(), listener()
        quiet()
        if heard is not None and now - self.last > SECONDS_BETWEEN:
            self.last = now
            heard.at(done if total else now - self.began, total, "requests" if total else "lines read")
        elif self.visible and now - self.last > SECONDS_BETWEEN:
            self.last = now
            share = done / max(total, 1)
            filled = round(30 * share)
            text = (
                f"[{'#' * filled}{'.' * (30 - filled)}] {done:,} of {total:,} requests" if total else f"{done:,} lines"
            )
            sys.stderr.write(f"\r{text}, {now - self.began:.0f} s")
            sys.stderr.flush()
        return True

    def clear(self) -> None:
        """Nothing of it is left."""
        if self.visible and self.last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
