"""`tonnage mcp`: the verbs as tools of an agent, over standard input and output."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import resources as package_files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tonnage.cli.common import PLAIN, PlainOptions
from tonnage.errors import InputError, Problem

MOST_SECONDS = 24 * 3600.0


def mcp(
    *,
    folder: Annotated[Path | None, Parameter(name="--in")] = None,
    seconds: float = 300.0,
    workers: int = 2,
    common: PlainOptions = PLAIN,
) -> int:
    """Serve the verbs as tools to the agent on standard input and output (Model Context Protocol), until it ends.

    Nothing is written and nothing is started. Needs the extra: `pip install 'tonnage[mcp]'`.

    Parameters
    ----------
    folder
        the folder whose files may be named in a question; the one that it is started in if not given.
    seconds
        a question may take.
    workers
        questions that are answered at once.
    """
    _check(folder, seconds, workers, common)
    if importlib.util.find_spec("mcp") is None:
        raise InputError("needs the package mcp", hint="pip install 'tonnage[mcp]'")
    from tonnage.agents.server import Served, run
    from tonnage.agents.workers import Workers
    from tonnage.cli.tools import FAMILIES, resources, tools

    if folder is not None:
        os.chdir(folder)
    skill = package_files.files("tonnage.agents").joinpath("data/SKILL.md").read_text(encoding="utf-8")
    # where this process has its modules from, the others have them too, whatever folder they are started in
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    command = (sys.executable, "-m", "tonnage.cli.confined")
    run(
        Served(
            tools(), resources(skill), FAMILIES, _instructions(skill), Workers(command, Path.cwd(), workers), seconds
        )
    )
    return 0


def _check(folder: Path | None, seconds: float, workers: int, common: PlainOptions) -> None:
    problems = []
    if folder is not None and not folder.is_dir():
        problems.append(Problem("is no folder", f"--in {folder}"))
    if not 1 <= seconds <= MOST_SECONDS:
        problems.append(Problem(f"expected 1 to {MOST_SECONDS:,.0f}", "--seconds"))
    if not 1 <= workers <= 64:
        problems.append(Problem("expected 1 to 64", "--workers"))
    if common.output:
        problems.append(Problem("nothing is printed here that could be written", "--output"))
    if problems:
        raise InputError(problems)


def _instructions(skill: str) -> str:
    """What an agent is told at the start: the guide without its head (YAML between two lines of dashes)."""
    return skill.split("\n---\n", 1)[-1].strip()
