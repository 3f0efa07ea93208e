"""What a worker of the page may touch: its folder to write in, the program's own files to read, so much memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

MEMORY = 6_000_000_000
"""Address space of a worker [byte]: a launch of thousands of draws takes under one; numpy and the solver map more."""

SYSTEM = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/null",
    "/dev/urandom",
)
"""What libraries read of the machine to count its processors and memory."""

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
"""Events that start another program."""

CALLS = ("socket.connect", "socket.bind", "socket.sendto")
"""Events that reach the network."""


def confine(folder: Path, more: Sequence[Path] = (), memory: int = MEMORY) -> None:
    """From here on this process writes in `folder` alone and reads there, in `more` and in what it is made of.

    What a question names beyond that cannot be read, whoever asks; no program is started, nothing is connected.
    """
    os.chdir(folder)
    _limit(memory)
    write = (_real(folder),)
    here = Path(__file__).parents[2]
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, str(here))
    made_of = {_real(Path(each)) for each in (*prefixes, *sys.path) if each}
    read = (*write, *(_real(each) for each in more), *sorted(made_of - {"/"}), *SYSTEM)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)):
                _check(path, write if _writes(mode, flags) else read)
        elif event == "sqlite3.connect":
            _check(str(arguments[0]).removeprefix("file:").partition("?")[0], read)
        elif event in STARTS or event in CALLS:
            raise PermissionError(1, "not from the page")

    sys.addaudithook(hook)


def _limit(memory: int) -> None:
    """Bounds the address space, where the system can."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _writes(mode: object, flags: object) -> bool:
    """Whether a file is opened to be changed."""
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _check(path: str | bytes | os.PathLike[str], roots: Sequence[str]) -> None:
    """Raises PermissionError for a path outside the roots, links followed."""
    real = os.path.realpath(os.fsdecode(path))
    if not any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots):
        raise PermissionError(13, "outside the folder of the page")


def _real(path: Path) -> str:
    return os.path.realpath(path)
