"""What has to be installed for a file that an answer is written to."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from tonnage.errors import InputError, Problem

EXTRA = {".png": "vl_convert", ".svg": "vl_convert", ".parquet": "pyarrow"}
"""What is needed to write a file of this ending, which the extra `report` brings."""


def missing(ending: str) -> str | None:
    """What to install before a file of this ending can be written; None where nothing is missing."""
    name = EXTRA.get(ending)
    if name is None or importlib.util.find_spec(name) is not None:
        return None
    return f"{ending} files need an extra: pip install 'tonnage[report]'"


def needed(ending: str) -> ModuleType:
    """The module that writes files of this ending. Raises InputError naming the extra that brings it."""
    text = missing(ending)
    if text is not None:
        raise InputError(Problem(text))
    return importlib.import_module(EXTRA[ending])
