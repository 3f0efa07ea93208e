"""Regenerate docs/accuracy.md: every published result we know against what tonnage predicts for it.

Also src/tonnage/report/data/boards.json, which the page and `tonnage accuracy train|serve --kept` show, unless the page
is written elsewhere.

python scripts/accuracy.py [-o FILE] [--ledger FILE]
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from tonnage import __version__, catalog, files
from tonnage.ledger import errors, reading
from tonnage.report.accuracy import answer
from tonnage.report.answer import Answer
from tonnage.report.boards import packed
from tonnage.report.page import INTRODUCTION
from tonnage.report.page_capacity import capacity_page
from tonnage.report.page_durations import durations_page
from tonnage.report.page_ledger import ledger_page
from tonnage.report.page_serving import serving_page
from tonnage.report.page_training import training_page
from tonnage.truth.board import Board
from tonnage.truth.capacity import capacities
from tonnage.truth.durations_board import accuracy as durations
from tonnage.truth.evaluate import accuracy
from tonnage.truth.shapes import Library

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/accuracy.md"
DATA = ROOT / "src/tonnage/report/data/boards.json"
PEER = ROOT / "benchmarks/aiconfigurator.csv"


def peer() -> dict[str, tuple[float, float]]:
    """AIConfigurator's (TPOT, TTFT) of the silicon cases that it was asked (benchmarks/aiconfigurator_silicon.py)."""
    if not PEER.exists():
        return {}
    with PEER.open(newline="", encoding="utf-8") as file:
        return {row["id"]: (float(row["tpot"]), float(row["ttft"])) for row in csv.DictReader(file)}


def bars(lines: list[str], heading: str) -> list[str]:
    """The lines under a heading down to the next one: the figures beside their bars."""
    text = "\n".join(lines).split("\n")
    start = text.index(heading)
    end = next(i for i in range(start + 1, len(text)) if text[i].startswith("#"))
    return text[start:end]


def kept(board: Board) -> tuple[dict[str, Any], Answer]:
    """A board as `tonnage accuracy` answers it: without the chips left out."""
    board = replace(board, chip_out=(), null_chip_out=())
    return board.to_json(), answer(board)


def recorded(path: Path | None) -> list[str]:
    """Lines on what a ledger has measured, by chip; none without one."""
    if path is None:
        return []
    with reading(path) as ledger:
        return ledger_page(errors(ledger, "chip"))


def main() -> None:
    """Write the page, and print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUT)
    parser.add_argument("--ledger", type=Path, help="a ledger, for a section on what was measured of recorded plans")
    options = parser.parse_args()
    start = time.perf_counter()
    facts = catalog.load()
    library = Library(facts)
    lines = [INTRODUCTION]
    train, serve = (accuracy(what, facts, chips=True) for what in ("train", "serve"))
    lines += training_page(train, library)
    lines += serving_page(serve, library, peer())
    lines += durations_page(durations(facts))
    lines += capacity_page(capacities(facts))
    lines += recorded(options.ledger)
    files.write(options.output, "\n".join(lines).rstrip() + "\n")
    if options.output == OUT:
        files.write(DATA, packed({"serve": kept(serve), "train": kept(train)}, str(date.today()), __version__))
    heads = ("## Training", "## Serving", "## Durations", "## Capacities")
    print("\n".join(line for head in heads for line in bars(lines, head)))
    print(f"{options.output} ({time.perf_counter() - start:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
