"""What several verbs read alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.cli.common import Common


def place_of(text: str | None, common: Common, problems: list[Problem]) -> str | None:
    """The code of the country that `--in` names, or None; what is wrong with it is added to `problems`."""
    if text is None:
        return None
    try:
        return common.place(text)
    except InputError as error:
        problems.extend(error.problems)
        return None
