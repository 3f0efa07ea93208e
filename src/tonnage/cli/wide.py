"""How many characters a line may have."""

from __future__ import annotations

import os
import sys

NARROW, WIDE = 60, 240
"""Least and most characters of a line, whatever the terminal says."""


def columns(usual: int) -> int:
    """Characters of a line: what COLUMNS says, else those of the terminal, within reason; in a pipe as usual."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said[:6]) > 0:
        return max(NARROW, min(int(said[:6]), WIDE))
    if sys.stdout is None or not sys.stdout.isatty():
        return usual
    import shutil

    return max(NARROW, min(usual, shutil.get_terminal_size().columns))
