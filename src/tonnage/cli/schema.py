"""`tonnage schema`: the JSON Schema of the programme file."""

from __future__ import annotations

import json

from tonnage.cli.common import PLAIN, PlainOptions, put


def schema(*, common: PlainOptions = PLAIN) -> int:
    """Print the JSON Schema of the programme file, for completion and checks in an editor."""
    from tonnage import files
    from tonnage.fleet import programme_schema

    text = json.dumps(programme_schema(), indent=2, ensure_ascii=False) + "\n"
    files.write_all([(path, text) for path in common.output])
    put(text)
    return 0
