"""From cases to a board: what the planners predict for published runs, and what the null model does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.truth import predict_serving, predict_training
from tonnage.truth.board import Board, assemble, choose
from tonnage.truth.cases import load_cases, read_cases
from tonnage.truth.scored import why_not_serving, why_not_training
from tonnage.truth.shapes import Library
from tonnage.truth.table import Row

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

COMMANDS = {"train": ("training",), "serve": ("serving", "silicon")}
"""The bundled cases that each command is held against."""


def accuracy(
    command: str, catalog: Catalog, files: Sequence[Path] = (), everything: bool = False, chips: bool = False
) -> Board:
    """The board of `train` or `serve` over the bundled cases, or over files of the same form.

    everything: also the cases that are not scored (`--all`); chips: also predict each chip left out. The null model is
    always fitted on the bundled scored cases. Raises InputError for a file that holds no cases at all.
    """
    library = Library(catalog)
    cases, skipped = gather(command, files)
    mine, other = split_kinds(cases, command)
    skipped["a case of the other command"] += other
    chosen, unscored = choose(mine, _why_not(command), everything)
    skipped += unscored
    predictor = predict_training if command == "train" else predict_serving
    made = predictor.predict(chosen, library, skipped, chips)
    same = not files and not everything
    known = made.anchored if same else predictor.references(bundled(command), library) if made.rows else []
    return assemble(made, command, known, +skipped)


def bundled(command: str) -> list[Row]:
    """The bundled cases of a command that are scored."""
    return choose((case for kind in COMMANDS[command] for case in load_cases(kind)), _why_not(command), False)[0]


def gather(command: str, files: Sequence[Path]) -> tuple[list[Row], Counter[str]]:
    """The bundled cases of a command, or those of the files given; and lines that could not be read, by reason."""
    if not files:
        return [case for kind in COMMANDS[command] for case in load_cases(kind)], Counter()
    cases: list[Row] = []
    skipped: Counter[str] = Counter()
    for path in files:
        read = read_cases(path)
        cases += read.cases
        skipped += read.skipped
    return cases, skipped


def split_kinds(cases: Iterable[Row], command: str) -> tuple[list[Row], int]:
    """Cases of a command, and how many are of the other: training cases have `published`, serving ones `metrics`."""
    mine: list[Row] = []
    other = 0
    for case in cases:
        serving = "metrics" in case or ("published" not in case and "workload" in case)
        if serving == (command == "serve"):
            mine.append(case)
        else:
            other += 1
    return mine, other


def _why_not(command: str) -> Callable[[Row], str | None]:
    return why_not_training if command == "train" else why_not_serving
