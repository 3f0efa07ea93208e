"""Verdicts of one's own on a chip or lot: a word, or a file that `tonnage qualify` wrote.

A word counts as a few runs of the planned kind. A file says for which model and for how many cards over how many days
it was asked:

    fit for training   counts as runs that completed: of the planned kind where the model has all that the planned one
                       asks for, of its scale where model and card-days come near it
    inference only     forbids training; where only the size of its run was too much, and that is far above the
                       planned one, it counts as runs that failed
    unfit              the same, and forbids serving
    unknown            adds nothing
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

from tonnage import units
from tonnage.qualify.gate import run_words

Date = datetime.date
Word = Literal["fit", "inference only", "unfit", "unknown"]
"""What trials of one's own say of a chip: fit for training, for inference only, for neither; or nothing."""

SAID: tuple[Word, ...] = ("fit", "inference only", "unfit")
"""Words that a programme may hold itself."""

QUARTER = 0.25
"""A model of less than this share of the planned one's parameters, or a run of less than this share of its card-days,
is of another scale: an assumption."""


@dataclass(frozen=True)
class Judged:
    """A verdict. file: where it stands, empty for a word of the programme. Of a file: device, software, date; model,
    cards and days that it was asked for; binds: gates that failed; size_alone: whether only the size of its run was too
    much; params, sparse: of the model, None where it is not known here.
    """

    word: Word
    file: str = ""
    device: str = ""
    software: str = ""
    date: Date | None = None
    model: str = ""
    cards: int = 0
    days: float = 0.0
    binds: tuple[str, ...] = ()
    size_alone: bool = False
    params: float | None = None
    sparse: bool | None = None

    @property
    def card_days(self) -> float:
        """Size of the run that it was asked for."""
        return self.cards * self.days

    def like(self, sparse: bool) -> bool:
        """Whether it speaks of the planned kind of model: what fails there fails for each; of a sparse one only what is
        fit for a sparse one is fit.
        """
        return self.word != "fit" or not self.file or not sparse or bool(self.sparse)

    def large(self, size: float, card_days: float) -> bool:
        """Whether it speaks of the planned scale: parameters, and card-days of training."""
        if self.word != "fit" or not self.file:
            return True
        return (self.params or 0.0) >= QUARTER * size and self.card_days >= QUARTER * card_days

    def forbids_training(self, card_days: float) -> bool:
        """Whether a run of so many card-days is not begun there."""
        if not self.file or self.word == "fit":
            return False
        return not self.size_alone or card_days >= QUARTER * self.card_days

    @property
    def forbids_serving(self) -> bool:
        """Whether no model is served there."""
        return bool(self.file) and self.word == "unfit"

    @property
    def text(self) -> str:
        """In words: the verdict, its file, what it was asked for."""
        if not self.file:
            return self.word
        said = "fit for training" if self.word == "fit" else self.word
        return f"{said}, by {self.file} ({self.model}, {run_words(self.cards, self.days)}; {self.date})"


def card_days(active: float, tokens: float, rate: float) -> float:
    """What a training run takes at least [card-day]: 6 FLOP for each parameter and token, at the chip's rate."""
    return 6 * active * tokens / rate / units.DAY
