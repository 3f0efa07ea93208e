"""`tonnage schema`: the JSON Schema of the programme file."""

from __future__ import annotations

import json
import sys

from tonnage.cli.common import COMMON, Common


def schema(*, common: Common = COMMON) -> int:
    """Print the JSON Schema of the programme file, for completion and checks in an editor."""
    from tonnage import files
    from tonnage.fleet import programme_schema

    text = json.dumps(programme_schema(), indent=2, ensure_ascii=False) + "\n"
    for path in common.output:
        files.write(path, text)
    sys.stdout.write(text)
    return 0
