"""Hostile inputs by kind, and what must hold for every one of them.

`python tests/hostile/fuzz.py 10000 [SEED]` runs as many and prints each that fails with a way to repeat it;
`test_hostile.py` runs a few hundred in every test. What must hold: exit 0 to 3, never a defect (70); nothing that a
terminal obeys is printed; no cost below nothing, no NaN; a few seconds of CPU and less than a gigabyte.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from bodies import to_front, to_page
from carried import agent, checkpoint, front, page, run_plan
from inputs import OLDER, Tried
from newer import book, calibration, export, launch_file, simulation, verdict_file
from options import absurd
from packed import encoded, gguf, packed_trace
from resumed import events, qualification, shown, width

from tonnage.cli import run
from tonnage.printable import UNSAFE

KINDS: tuple[Callable[[random.Random], Tried], ...] = (
    *OLDER, simulation, launch_file, export, book, calibration, verdict_file, run_plan, checkpoint, front, page, agent,
    to_front, to_page, packed_trace, gguf, encoded, qualification, events, shown, width,
    absurd,
)  # fmt: skip

SECONDS = {"launch": 10.0}
"""Most CPU seconds of a verb; 5 for the others."""

GIGABYTE = 1_000_000
"""Most memory of the process [kB, as the system counts it]."""

BELOW = re.compile(r"(?:costs?|of|P\d0|at) +(?:-\$|\$-)\d|(?<!\S)-?(?:nan|inf)(?=[\s,;/%]|$)")
"""A cost below nothing, or a number that is none, in an answer."""


def wrong(tried: Tried, folder: Path) -> str | None:
    """What must hold and does not, or None."""
    for name, text in tried.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    before = {path.name for path in folder.iterdir()} | {*tried.outputs}
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    printed = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with warnings.catch_warnings(), contextlib.chdir(folder), printed[0], printed[1]:
        warnings.simplefilter("error")
        found = _asked(tried, folder)
    spent = time.process_time() - start
    if found is not None:
        return f"{found}: {err.getvalue()[:300]}"
    if UNSAFE.search(out.getvalue()) or UNSAFE.search(err.getvalue()):
        return "printed what a terminal obeys"
    if spent > SECONDS.get(tried.words[0], 5.0):
        return f"{spent:.1f} s of CPU"
    if max(map(len, err.getvalue().split("\n"))) > 1000:
        return "a line of an error is over 1,000 characters"
    here = not {"-o=.", "--output=."}.isdisjoint(tried.words)  # what was asked for: this folder
    if {path.name for path in folder.iterdir()} - before and not here:
        return "wrote a file"
    if tried.kind not in ("saved", "front") and (bad := BELOW.search(out.getvalue())):
        return f"an answer below nothing, or none: {out.getvalue()[max(0, bad.start() - 100) : bad.end() + 50]!r}"
    return tried.after(folder) if tried.after is not None else None


def _asked(tried: Tried, folder: Path) -> str | None:
    """Asks; what is wrong with how it ended."""
    if tried.instead is not None:
        try:
            return tried.instead(folder)
        except Exception as error:  # whatever it is: nobody meant it
            return f"raised {traceback.format_exception(error)[-3:]}"
    own = {part for name, _ in tried.files for part in (name, name.split("/")[0])} | {*tried.outputs}
    try:
        code = run([str(folder / word) if word in own else word for word in tried.words])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    return None if code in (0, 1, 2, 3) else f"exit {code}"


def tries(count: int, seed: int = 0, kinds: tuple[Callable[[random.Random], Tried], ...] = KINDS) -> Iterator[Tried]:
    """So many inputs of these kinds, in turn; each by a seed of its own, so that it can be had again."""
    for number in range(count):
        yield kinds[number % len(kinds)](random.Random(f"{seed}:{number}"))


def main(count: int, seed: int) -> int:
    """Run so many; returns how many failed."""
    seen: Counter[str] = Counter()
    bad = 0
    for number, tried in enumerate(tries(count, seed)):
        with tempfile.TemporaryDirectory() as folder:
            found = wrong(tried, Path(folder))
        seen[tried.kind] += 1
        if found is not None:
            bad += 1
            print(f"{seed}:{number} {tried.kind}: {found}\n  {' '.join(tried.words)[:300]!r}", flush=True)
            for name, text in tried.files[:1]:
                print(f"  {name}: {text[:1500]!r}", flush=True)
        if number % 500 == 499:
            print(f"{number + 1:,} of {count:,}: {bad} failed", file=sys.stderr, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = ", ".join(f"{name} {many:,}" for name, many in sorted(seen.items()))
    print(f"{count:,} hostile inputs ({counts}): {bad} failed; most memory {peak / 1e3:,.0f} MB")
    return bad + (peak > GIGABYTE)


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(1 if main(*(words + [10_000, 0][len(words) :])) else 0)
