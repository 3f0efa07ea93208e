"""`python -m tonnage.cli.confined`: answers as `tonnage.cli.answering` gives them, in a process that reads what it may.

The folder that it is started in, the folders of given files, Python's own and tonnage's caches may be read; only the
caches are written to, no program is started and no address is spoken to. Python's audit events are what it stands on:
it keeps questions from wandering, and is no jail for code that is out to leave it.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from tonnage.files import SCRATCH

READS = {"open", "os.listdir", "os.scandir", "sqlite3.connect"}
WRITES = {
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
    "shutil.rmtree",
}  # fmt: skip
NEVER = {"os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"}
"""Audit events of what is looked at, of what changes files, and of what is not done here."""

GIVEN = "tonnage-asked-"
"""Beginning of the folders of given files (`tonnage.agents.folder`)."""

SYSTEM = ("/dev", "/proc", "/sys", "/etc/localtime", "/usr/share/zoneinfo")
"""What libraries look at of the machine."""


class _Bounds:
    """Which paths may be read, and which written."""

    def __init__(self, start: Path) -> None:
        own = {sys.prefix, sys.base_prefix, *site.getsitepackages(), *sysconfig.get_paths().values()}
        own |= {path for path in sys.path if path}
        self.start = str(start.resolve())
        self.readable = [str(Path(path).resolve()) for path in sorted(own)] + list(SYSTEM)
        self.given, self.scratch = (f"{os.path.realpath(tempfile.gettempdir())}/{name}" for name in (GIVEN, SCRATCH))
        self.caches = [os.path.realpath(path) for path in _caches()]
        self.ledgers = [os.path.realpath(path) for path in _ledgers()]

    def may_read(self, path: str) -> bool:
        """Whether a path with every link followed may be read; nothing hidden in the folder of the start is."""
        if path.startswith((self.given, self.scratch)) or _within(path, (*self.readable, *self.caches, *self.ledgers)):
            return True
        return _within(path, [self.start]) and not any(p.startswith(".") for p in path[len(self.start) :].split("/"))

    def may_write(self, path: str) -> bool:
        """Whether it may be written: what Python and numba keep of code, what tonnage keeps of speeds, its scratch."""
        compiled = "/__pycache__/" in path and _within(path, self.readable)
        return path == os.devnull or compiled or path.startswith(self.scratch) or _within(path, self.caches)


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _caches() -> list[Path]:
    """Folders in which tonnage and numba keep what they have computed."""
    from tonnage.fleet.speed_store import cache_folder

    own = cache_folder()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return [home / "numba", *([own] if own else [])]


def _ledgers() -> list[Path]:
    """The ledgers that may be read from here, if they are there: the usual one and the one that is named."""
    from tonnage.cli.ledger_file import SWITCH, usual_file

    named = os.environ.get(SWITCH)
    found = [usual_file(), *([Path(named)] if named else [])]
    return [path.with_name(path.name + more) for path in found for more in ("", "-wal", "-shm")]


def confine(start: Path) -> None:
    """From now on this process reads and writes within bounds; what it may not is refused as the system refuses it."""
    bounds = _Bounds(start)

    def heard(event: str, given: tuple[object, ...]) -> None:
        if event in NEVER:
            raise PermissionError(1, "no program is started here", event)
        if event == "socket.connect" and isinstance(given[1], tuple):
            raise PermissionError(1, "no address is spoken to here", str(given[1][0]))
        if event in READS or event in WRITES:
            _judged(event, given, bounds)

    sys.addaudithook(heard)


def _judged(event: str, given: tuple[object, ...], bounds: _Bounds) -> None:
    path = given[0]
    if not isinstance(path, (str, bytes, os.PathLike)) or path in ("", b""):
        return
    text = os.fsdecode(path)
    if event == "sqlite3.connect":
        text = unquote(text.removeprefix("file://").partition("?")[0])
        if text == ":memory:":
            return
    found = os.path.realpath(text)
    writes = event in WRITES or (event == "open" and _writing(given))
    if not (bounds.may_write(found) if writes else bounds.may_read(found)):
        raise PermissionError(13, "lies outside of what may be read here", text)


def _writing(given: tuple[object, ...]) -> bool:
    """Whether a file is opened to be changed, by its mode or by the flags of the system."""
    mode, flags = given[1], given[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def main() -> None:
    """Confine this process to the folder that it was started in, and answer."""
    from tonnage.cli import answering

    confine(Path.cwd())
    answering.main()


if __name__ == "__main__":
    main()
