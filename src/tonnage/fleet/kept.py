"""Pieces of a launch on disk, so that a run that was interrupted goes on where it was.

One file a piece, named by the digest of its question and of the code: plain arrays (`.npz`, nothing pickled) with a
checksum over all that it holds. What is not whole is played again, never trusted.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.fleet.causes import Cause
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.paid import LaunchBill, PaidDraws
from tonnage.fleet.pieces import Piece, PieceWork, Ran, Runner, played
from tonnage.values import decode, encode

LARGEST = 1_000_000_000
"""Largest piece that is read [byte]; one of 2,000 draws takes some megabytes."""

ROWS = ("launch", "first", "trained")
"""Fields of a forecast that are an array for each project."""
SINGLE = (
    "training_cost",
    "service_cost",
    "held",
    "served",
    "unserved",
    "unserved_at",
    "unserved_until",
    "missing",
    "place",
)
"""Fields of a forecast that are one array each."""
BILL = tuple(item.name for item in fields(LaunchBill))


class KeptPieces:
    """A runner that looks for pieces in a folder first, and keeps there what another runner plays."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self._folder, self._runner = folder, runner
        self._taken_over = self._damaged = 0
        _make(folder)

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """The piece of each work, in order."""
        asked = [(work, work.digest) for work in works]
        there = [self._seen(digest) for _, digest in asked]
        made = self._runner.run([work for (work, _), seen in zip(asked, there, strict=True) if not seen])
        for (work, digest), seen in zip(asked, there, strict=True):
            if seen:
                yield self._read(digest) or played(work)
                continue
            new = next(made)
            files.write(self._path(digest), to_bytes(new, digest))
            yield new

    def _seen(self, digest: str) -> bool:
        """Whether a piece is there, whole."""
        exists = self._path(digest).exists()
        whole = exists and self._read(digest) is not None
        self._taken_over += whole
        self._damaged += exists and not whole
        return whole

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.npz"

    def ran(self) -> Ran:
        """How it went so far."""
        ran = self._runner.ran()
        pieces = ran.pieces + self._taken_over
        return replace(ran, pieces=pieces, taken_over=self._taken_over, damaged=self._damaged)

    def _read(self, digest: str) -> Piece | None:
        try:
            return from_bytes(files.read_bytes(self._path(digest), LARGEST), digest)
        except InputError:
            return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(f"cannot be a folder for pieces: {reason}", where=str(folder))) from None


def to_bytes(piece: Piece, digest: str) -> bytes:
    """A piece as an `.npz`, under the digest of its question."""
    result = piece.paid.result
    arrays: dict[str, NDArray[Any]] = {f"result.{name}": getattr(result, name) for name in SINGLE}
    for name in ROWS:
        arrays |= {f"{name}.{i}": row for i, row in enumerate(getattr(result, name))}
    arrays |= {f"bill.{name}": getattr(piece.paid.bill, name) for name in BILL}
    arrays |= {"over": piece.paid.over, "left_away": piece.paid.left_away, "there": piece.there}
    named: dict[str, Mapping[Any, NDArray[Any]]] = {
        "causes": result.causes,
        "never": result.never,
        "drawn": piece.drawn,
        "values": piece.values,
    }
    for part, values in named.items():
        arrays |= {f"{part}.{i}": value for i, value in enumerate(values.values())}
    labels: dict[str, Any] = {
        "digest": digest,
        "rows": len(result.launch),
        "causes": [encode(cause) for cause in result.causes],
        "never": [encode(cause) for cause in result.never],
        "drawn": list(piece.drawn),
        "values": list(piece.values),
        "places": list(piece.places),
        "unpriced": [list(lots) for lots in result.unpriced],
    }
    text = np.frombuffer(json.dumps(labels).encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays, labels=text, checksum=_checksum(text, arrays), allow_pickle=False)
    return out.getvalue()


def _checksum(text: NDArray[np.uint8], arrays: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    parts = [text.tobytes()]
    for name in sorted(arrays):
        one = arrays[name]
        parts += [name.encode(), str((one.dtype.str, one.shape)).encode(), one.tobytes()]
    return np.frombuffer(bytes.fromhex(files.digest(parts)), dtype=np.uint8)


def from_bytes(data: bytes, digest: str) -> Piece | None:
    """The piece of a question; None where it is not whole, or of another question."""
    if not data.startswith(b"PK"):
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as opened:
            arrays: dict[str, NDArray[Any]] = {name: opened[name] for name in opened.files}
        text, checksum = arrays.pop("labels"), arrays.pop("checksum")
        if not np.array_equal(checksum, _checksum(text.astype(np.uint8), arrays)):
            return None
        labels = json.loads(text.tobytes())
        return _piece(labels, arrays) if labels["digest"] == digest else None
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, OSError, EOFError, NotImplementedError):
        return None


def _piece(labels: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Piece:
    causes, never = ([decode(Cause, cause) for cause in labels[part]] for part in ("causes", "never"))
    parts: dict[str, Any] = {name: tuple(arrays[f"{name}.{i}"] for i in range(labels["rows"])) for name in ROWS}
    parts |= {name: arrays[f"result.{name}"] for name in SINGLE}
    result = Forecast(
        **parts,
        causes=_by("causes", causes, arrays),
        never=_by("never", never, arrays),
        unpriced=(tuple(labels["unpriced"][0]), tuple(labels["unpriced"][1])),
    )
    bill = LaunchBill(**{name: arrays[f"bill.{name}"] for name in BILL})
    return Piece(
        PaidDraws(result, bill, arrays["over"], arrays["left_away"]),
        _by("drawn", labels["drawn"], arrays),
        arrays["there"],
        _by("values", labels["values"], arrays),
        tuple(labels["places"]),
    )


def _by(part: str, keys: Iterable[Any], arrays: dict[str, NDArray[Any]]) -> dict[Any, Any]:
    return {key: arrays[f"{part}.{i}"] for i, key in enumerate(keys)}
