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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
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
        found = (NAME.fullmatch(path.stem) for path in self.root.glob("step-*") if path.suffix == "")
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
        outer = json.loads((path / MANIFEST).read_text())
        text = outer["text"]
        whole = hashlib.sha256(text.encode()).hexdigest() == outer["sha256"]
        inner = json.loads(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("its manifest is missing or damaged") from None
    if not whole:
        raise ValueError("its manifest is damaged")
    for name, expected in inner["files"].items():
        try:
            found = digest(path / name)
        except OSError:
            raise ValueError(f"{name} is missing") from None
        if found != expected:
            raise ValueError(f"{name} is not what was written")
    meta: dict[str, Any] = inner["meta"]
    return meta


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
