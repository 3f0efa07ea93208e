"""`tonnage page [PROGRAMME]`: the local page, until it is asked to end."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tonnage.cli.common import PLAIN, PlainOptions, tell
from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.web.app import PageSettings
    from tonnage.web.guard import Access

NEEDED = ("jinja2", "starlette", "uvicorn")
"""What the extra brings that a page needs."""

PORT = 8321
"""Where the page listens unless told otherwise; another free port if that is taken."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY = ("0.0.0.0", "::")

SCRATCH = ".tonnage-page"
"""Folder in the work folder where the page writes its questions and keeps answers."""


def page(
    programme: Path | None = None,
    /,
    *,
    port: int | None = None,
    host: Annotated[str, Parameter(negative="")] = "127.0.0.1",
    token: Annotated[str | None, Parameter(negative="")] = None,
    work: Annotated[Path | None, Parameter(negative="")] = None,
    no_open: Annotated[bool, Parameter(negative="")] = False,
    common: PlainOptions = PLAIN,
) -> int:
    """Open the local page: launch, fit, train, serve, simulate, the catalogue, runs and accuracy, seen and moved.

    Parameters
    ----------
    programme
        the programme that the launch shows; R2 if not given.
    port
        where it listens; 8321, or a free one if that is taken.
    host
        another address than this machine's own: then a token is needed, which is in the address that is printed.
    token
        instead of a random one; asked for also on this machine.
    work
        folder with runs and verdicts, in which the page keeps its files; the one of the cache unless given.
    no_open
        do not open a browser.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"{', '.join(absent)} not installed", hint='pip install "tonnage[page]"')
    from tonnage.web.server import Listening, run_page

    if common.output:
        raise InputError(Problem("a page is no file; -o goes with the verbs that answer", "--output"))
    _check(port, token)
    settings = settings_of(programme, work, common.ledger, access_of(host, token))
    run_page(settings, Listening(host, _port(port, host), not no_open), tell)
    return 0


def access_of(host: str, token: str | None) -> Access:
    """Who may ask: on the loopback anybody there, elsewhere who has the token."""
    from tonnage.web.guard import Access

    if host not in LOOPBACK and token is None:
        token = secrets.token_urlsafe(24)
    name = f"[{host}]" if ":" in host else host.lower()
    return Access((name,), any_address=host in ANY, token=token)


def settings_of(
    programme: Path | None, work: Path | None, ledger: Path | None, access: Access, *, warm: bool = True
) -> PageSettings:
    """What a page is started with."""
    from tonnage import files
    from tonnage.web.app import PageSettings
    from tonnage.web.keep import made_of
    from tonnage.web.programmes import checked
    from tonnage.web.questions import Asker

    opened = None
    if programme is not None:
        opened = (programme.name, files.read_text(programme))
        checked(opened[1])
    folder = _folder(work)
    scratch = folder / SCRATCH
    scratch.mkdir(mode=0o700, exist_ok=True)
    held = None if ledger is None else ledger.resolve()
    command = (sys.executable, "-m", "tonnage.cli.page_worker", str(scratch), *([str(held)] if held else []))
    return PageSettings(command, folder, Asker(scratch, made_of(), opened, held), access, warm)


def _folder(work: Path | None) -> Path:
    """The work folder: as given, else one in the folder of the cache."""
    if work is not None:
        if not work.is_dir():
            raise InputError(Problem("is not a folder", f"--work {work}"))
        return work.resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "tonnage" / "page"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(f"cannot be made: {reason}", str(folder)), hint="--work FOLDER") from None
    return folder.resolve()


def _check(port: int | None, token: str | None) -> None:
    problems = []
    if port is not None and not 0 <= port <= 65_535:
        problems.append(Problem("expected 0 to 65,535", "--port"))
    if token is not None and not (token.isascii() and token.replace("-", "").replace("_", "").isalnum()):
        problems.append(Problem("expected letters, digits, - and _", "--token"))
    if token is not None and len(token) < 16:
        problems.append(Problem("expected 16 characters at least", "--token"))
    if problems:
        raise InputError(problems)


def _port(port: int | None, host: str) -> int:
    """The port: as given, else the usual one if it is free."""
    if port is not None:
        return port
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, PORT))
        except OSError:
            return 0
    return PORT
