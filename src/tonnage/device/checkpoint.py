"""Checkpoints that survive anything: written aside, synced, named at once, and verified before they are used.

A checkpoint is a folder `step-00000120`. It is written as `step-00000120.tmp`, every file of it is synced to the disk,
a manifest with the SHA-256 of each is put beside them, and one rename makes it a checkpoint: a process that is killed
at any point leaves either the whole or a folder that nobody reads. The last N are kept; one that does not match its
manifest is passed over, and the one before it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.printable import one_line

MANIFEST = "manifest.json"
LARGEST = 16 * 2**20
"""Largest manifest that is read [byte]: 100 bytes a file."""

NAME = re.compile(r"step-(\d{8})")
BLOCK = 1 << 20
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was verified: where it is, its step, and what was said beside it."""

    path: Path
    step: int
    meta: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """Checkpoints of one run."""

    root: Path
    keep: int

    def temporary(self, step: int) -> Path:
        """An empty folder to write the checkpoint of a step into."""
        folder = self.root / f"step-{step:08d}.tmp"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def commit(self, folder: Path, meta: dict[str, Any]) -> Path:
        """Syncs what was written, adds the manifest and gives it its name; then takes away the oldest.

        Raises OSError when the disk does not hold it; nothing that was a checkpoint is touched by then.
        """
        sums = {path.relative_to(folder).as_posix(): digest(path) for path in _files(folder)}
        for name in sums:
            sync(folder / name)
        text = json.dumps({"files": sums, "meta": meta})
        manifest = folder / MANIFEST
        manifest.write_text(json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}))
        sync(manifest)
        sync(folder)
        final = folder.with_name(folder.stem)
        if final.exists():
            _remove(final)
        folder.rename(final)
        sync(self.root)
        self._prune()
        return final

    def abandon(self, step: int) -> None:
        """Takes away what was written of a checkpoint that could not be finished."""
        shutil.rmtree(self.root / f"step-{step:08d}.tmp", ignore_errors=True)

    def clear(self) -> None:
        """Takes away what a killed process left."""
        for path in (*self.root.glob("step-*.tmp"), *self.root.glob("step-*.old")):
            shutil.rmtree(path, ignore_errors=True)

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, newest first."""
        folders = (path for path in self.root.glob("step-*") if path.is_dir() and not path.is_symlink())
        found = (NAME.fullmatch(path.name) for path in folders)
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def newest(self) -> tuple[Saved | None, list[str]]:
        """The newest checkpoint that is whole, and what is wrong with each newer one."""
        damaged: list[str] = []
        for step in self.steps():
            path = self.root / f"step-{step:08d}"
            try:
                return Saved(path, step, verify(path)), damaged
            except ValueError as error:
                damaged.append(f"step {step}: {error}")
        return None, damaged

    def forget_after(self, step: int) -> None:
        """Takes away checkpoints newer than a step: they are damaged, or of a path that was rolled back."""
        for other in self.steps():
            if other > step:
                _remove(self.root / f"step-{other:08d}")

    def _prune(self) -> None:
        for step in self.steps()[self.keep :]:
            _remove(self.root / f"step-{step:08d}")


def _remove(path: Path) -> None:
    """Takes a checkpoint away; it stops being one before its files go."""
    aside = path.with_name(f"{path.stem}.old")
    with contextlib.suppress(OSError):
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def verify(path: Path) -> dict[str, Any]:
    """What was said beside a checkpoint. Raises ValueError when a file is missing, cut or changed."""
    try:
        outer = json.loads(_read(path / MANIFEST))
        text = outer["text"]
        whole = hashlib.sha256(text.encode()).hexdigest() == outer["sha256"]
        inner = json.loads(text)
        listed, meta = dict(inner["files"]), dict(inner["meta"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("its manifest is missing or damaged") from None
    if not whole:
        raise ValueError("its manifest is damaged")
    strange = sorted(one_line(str(one.relative_to(path)), 60) for one in path.rglob("*") if not _ours(one))
    if strange:
        raise ValueError(f"{strange[0]} is a link, or no file")
    for name, expected in listed.items():
        if not _inside(name):
            raise ValueError(f'its manifest names "{one_line(name, 60)}", which is not in it')
        try:
            found = digest(path / name)
        except (OSError, ValueError):
            raise ValueError(f"{one_line(name, 60)} is missing") from None
        if found != expected:
            raise ValueError(f"{one_line(name, 60)} is not what was written")
    return meta


def _read(path: Path) -> str:
    """The text of a manifest. Raises OSError or ValueError where it is none."""
    if not stat.S_ISREG(path.lstat().st_mode) or path.lstat().st_size > LARGEST:
        raise ValueError("no manifest")
    return path.read_text(encoding="utf-8")


def _inside(name: str) -> bool:
    """Whether a name of a manifest is one of a file below its folder."""
    return bool(name) and all(part not in ("", ".", "..") for part in name.replace("\\", "/").split("/"))


def _ours(path: Path) -> bool:
    """Whether this is what a checkpoint is made of: files and folders, no links, pipes or devices."""
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def sync(path: Path) -> None:
    """Waits until a file or a folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
