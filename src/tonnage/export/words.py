"""What all engines' flags are written with."""

from __future__ import annotations

import json
from collections.abc import Mapping

DRAFT_MODEL = "DRAFT_MODEL"
"""Stands for the path of a draft model, where the model has no layers of its own that draft."""


def quoted(fields: Mapping[str, object]) -> str:
    """JSON as one word of a shell."""
    return f"'{json.dumps(fields)}'"
