"""`tonnage new`: a commented programme file to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tonnage.cli.common import COMMON, Common, put
from tonnage.errors import InputError, Problem


def new(file: Path | None = None, /, *, common: Common = COMMON) -> int:
    """Write a commented programme file to start from; without a name it is printed.

    Parameters
    ----------
    file
        where to write it; a file that is already there is never written over.
    """
    from tonnage import files

    text = resources.files("tonnage.fleet").joinpath("data/programme.yaml").read_text(encoding="utf-8")
    targets = [*([file] if file else []), *common.output]
    taken = [path for path in targets if path.exists()]
    if taken:
        raise InputError([Problem("is already there; choose another name", str(path)) for path in taken])
    files.write_all([(path, text) for path in targets])
    for path in targets:
        common.note(f"saved: {path}")
        common.note(f"hint: tonnage launch {path}")
    if not targets:
        put(text)
    return 0
