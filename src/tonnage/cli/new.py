"""`tonnage new`: a commented programme file to start from."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tonnage.cli.common import PLAIN, PlainOptions, put, tell
from tonnage.errors import InputError, Problem, nearest

STARTS = {
    "mini": "a small made-up programme with every part",
    "r2": "the model after R1, on H800, H20 and Ascend (China, 2025)",
    "eu-lab": "a European lab that trains and serves a 70B on rented H100 and H200",
    "cloud": "a cloud that serves three models on H20, Ascend and MI300X",
}
"""Programmes to start from, and what each is."""


def new(
    file: Path | None = None,
    /,
    *,
    start_from: Annotated[str | None, Parameter(name="--from")] = None,
    common: PlainOptions = PLAIN,
) -> int:
    """Write a commented programme file to start from; without a name it is printed.

    Parameters
    ----------
    file
        where to write it; a file that is already there is never written over.
    start_from
        mini, r2, eu-lab or cloud; asked on a terminal, mini otherwise.
    """
    from tonnage import files

    text = _text(_chosen(start_from, bool(file)))
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


def _chosen(name: str | None, to_file: bool) -> str:
    """The programme to start from: as given, asked for on a terminal, else the small one."""
    if name is None:
        name = _asked() if to_file and sys.stdin.isatty() and sys.stderr.isatty() else "mini"
    if name not in STARTS:
        message = f'"{name[:40]}" is none of {", ".join(STARTS)}'
        raise InputError(Problem(message, "--from", suggestion=nearest(name[:40], STARTS)))
    return name


def _asked() -> str:
    for name, what in STARTS.items():
        tell(f"  {name:<7} {what}")
    tell("start from which? [mini]")
    return sys.stdin.readline().strip() or "mini"


def _text(name: str) -> str:
    file = "programme.yaml" if name == "mini" else f"{name}.yaml"
    return resources.files("tonnage.fleet").joinpath(f"data/{file}").read_text(encoding="utf-8")
