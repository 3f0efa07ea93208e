"""`--measured`: chips priced by what was measured on them, and how the answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tonnage.report.answer import Answer
    from tonnage.system import System


def measured(systems: Sequence[System], names: Sequence[str]) -> list[System]:
    """The systems with the measurements that were asked for; as they are where none were."""
    if not names:
        return list(systems)
    from tonnage.system.measurements import with_measurements

    chips = with_measurements([one.accelerator for one in systems], names)
    return [replace(one, accelerator=chip) for one, chip in zip(systems, chips, strict=True)]


def told(answer: Answer, body: dict[str, Any], systems: Sequence[System]) -> Answer:
    """The answer with a line on whose measurements were used, which go into the body as well, by chip."""
    chips = {one.accelerator.name: one.accelerator.measured for one in systems}
    held = {name: found.source for name, found in chips.items() if found is not None}
    if not held:
        return answer
    body["measured"] = held
    return replace(answer, rows=(*answer.rows, ("measured", "; ".join(held.values()))))
