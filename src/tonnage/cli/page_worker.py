"""A process of the page that answers questions: confined to its folder, then `tonnage.cli.answering` as it is."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

NEEDED = (
    "tonnage.cli.launch",
    "tonnage.fleet.speeds",
    "tonnage.fleet.highs",
    "tonnage.fleet.launch",
    "tonnage.report.launch",
    "tonnage.report.charts.drawn",
    "tonnage.serve.plan",
    "tonnage.train.search",
    "tonnage.train.rl",
)
"""Modules of the view that opens first."""


def main(arguments: list[str]) -> None:
    """arguments: the folder to write in, then files that may be read besides."""
    folder, *more = map(Path, arguments)
    os.environ["TONNAGE_CACHE"] = str(folder / "speeds")
    os.environ.pop("TONNAGE_LEDGER", None)
    (folder / "speeds").mkdir(exist_ok=True)
    from tonnage.cli import answering
    from tonnage.web.confine import confine

    confine(folder, more)
    ready()
    answering.main()


def ready() -> None:
    """Load what the first question needs before it is asked: the verbs, the catalogue, what a launch is made of."""
    for name in NEEDED:
        importlib.import_module(name)
    from tonnage import catalog, cli

    cli.app()
    catalog.load(None)


if __name__ == "__main__":
    main(sys.argv[1:])
