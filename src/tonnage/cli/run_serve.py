"""`tonnage run serve FILE`: the front of a YAML file, until it is asked to end."""

from __future__ import annotations

import datetime
import importlib.util
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, put
from tonnage.cli.ledger_file import carried
from tonnage.errors import InputError, Problem

NEEDED = ("httptools", "httpx", "starlette", "uvicorn")
"""What the extra brings that a front needs."""


def serve(
    file: Path,
    /,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    common: Common = COMMON,
) -> int:
    """Serve models at one OpenAI-compatible address, as a file says, until interrupted.

    Parameters
    ----------
    file
        YAML with models, releases, replicas, shares, canary, SLO, tenants; docs/run-serve.md has one to start from.
    check
        read the file and say what would be started; start nothing.
    """
    from tonnage.run.serve.reading import read_front
    from tonnage.run.serve.told import Teller, told

    if common.csv or common.output:
        raise InputError(Problem("a service has no table or file; --json gives its events, one a line", "--csv, -o"))
    front = read_front(file, os.environ)
    if check:
        put("\n".join(told(front, os.environ)))
        return 0
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"{', '.join(absent)} not installed", hint='pip install "tonnage[run]"')
    from tonnage.run.serve import kept
    from tonnage.run.serve.server import run_front

    teller = Teller(put if common.json else common.note, as_json=common.json)
    for line in told(front, os.environ):
        teller(line)
    began = datetime.datetime.now(datetime.UTC)
    run_front(front, teller, lambda state: carried(kept.carried(state, str(file), began), common))
    teller("ended in order")
    return 0
