"""Fields that mean nothing without others, as tables: what is given without what it belongs to is told, never passed.

A field is given where it is not what it is by itself (its default).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING

from tonnage.errors import Problem

if TYPE_CHECKING:
    from tonnage.ask.serve import ServeWords
    from tonnage.ask.train_words import TrainWords


@dataclass(frozen=True)
class Belongs:
    """Fields that mean nothing unless `to` is given; with is_one_of, unless `to` says one of these.

    text: what a problem says. after: the rule is silent unless this field is given too, for another rule speaks then.
    """

    names: tuple[str, ...]
    to: str
    text: str
    is_one_of: tuple[str, ...] = ()
    after: str | None = None

    def holds(self, words: ServeWords | TrainWords) -> bool:
        """Whether the fields have what they belong to."""
        if self.after is not None and not given(words, self.after):
            return True
        return getattr(words, self.to) in self.is_one_of if self.is_one_of else given(words, self.to)


ADAPTED = ("lora", "qlora")
"""Tasks that have adapters."""

TRAIN = (
    Belongs(("move_at", "move_on", "move_wire", "start"), "move_to", "needs `move_to`"),
    Belongs(("move_to",), "tokens", "needs `tokens`, those of the whole run"),
    Belongs(
        ("rollout_length", "rollout_prompt", "rollout_on", "rollout_tail", "rollout_stale", "reward"),
        "rollout_tokens",
        "needs `rollout_tokens`",
    ),
    Belongs(("rollout_stale",), "rollout_on", "needs `rollout_on`: one pool works in turns", after="rollout_tokens"),
    Belongs(("lora_rank", "lora_on", "base"), "task", "needs `task` lora or qlora", ADAPTED),
    Belongs(("lora_on",), "lora_rank", "needs `lora_rank`"),
)
"""Of a training run."""

SERVE = (
    Belongs(("exchange_rate",), "price_list", "needs `price_list`: it turns its prices"),
    Belongs(("disaggregate",), "mode", "prefill and decode apart are no such mode", ("auto", "disaggregated", "afd")),
)
"""Of a service, but for what hangs on several fields."""


def given(words: ServeWords | TrainWords, name: str) -> bool:
    """Whether a field says something."""
    field = next(one for one in fields(words) if one.name == name)
    return field.default is MISSING or getattr(words, name) != field.default


def astray(words: ServeWords | TrainWords, table: Sequence[Belongs]) -> Iterator[Problem]:
    """Every field that is given without what it belongs to."""
    for rule in table:
        if not rule.holds(words):
            yield from (Problem(rule.text, path=name) for name in rule.names if given(words, name))
