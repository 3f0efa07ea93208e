"""Whether the counts and lengths that a GGUF header names lie within its file, before a reader believes them.

A reader that maps the file finds nothing beyond its end and goes on to count: a list of 2^60 numbers in a file of 68
bytes would never be done. Layout of the file: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from tonnage.errors import InputError, Problem

WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type: whole numbers, floats and a switch (ggml, docs/gguf.md, gguf_metadata_value_type)."""

TEXT, LIST = 8, 9
"""Types of values that say their own length (the same)."""

FIELD, TENSOR = 13, 24
"""Least bytes of a key with its value, and of what is said of a tensor: a length, a type and at least a byte."""

NESTED = 4
"""Lists within lists; those that are written have none."""


def check_header(path: Path) -> None:
    """Raises InputError where a header names more than the file holds."""
    with path.open("rb") as file:
        try:
            _Walk(file, path.stat().st_size).header()
        except (EOFError, struct.error):
            raise InputError(Problem("is no whole GGUF file: its header goes on beyond its end", str(path))) from None
        except ValueError as error:
            raise InputError(Problem(f"is no whole GGUF file: {error}", str(path))) from None


class _Walk:
    """Passes over a header. Raises ValueError and EOFError."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.order = file, size, "<"

    def header(self) -> None:
        """Version, counts, keys and values. Tensors are left to the reader: each is asked for by its own place."""
        self.skip(4)
        version = self.number("I")
        if version > 0xFFFF and version & 0xFFFF == 0:
            self.order, version = ">", version >> 24
        if version < 2:
            raise ValueError(f"version {version} is not read")
        tensors, keys = self.number("Q"), self.number("Q")
        if tensors * TENSOR + keys * FIELD > self.left():
            raise ValueError(f"{tensors:,} tensors and {keys:,} keys in {self.size:,} bytes")
        for _ in range(keys):
            self.skip(self.number("Q"))
            self.value(self.number("I"), 0)

    def value(self, kind: int, depth: int) -> None:
        """Passes over one value."""
        if kind in WIDTHS:
            self.skip(WIDTHS[kind])
        elif kind == TEXT:
            self.skip(self.number("Q"))
        elif kind == LIST and depth < NESTED:
            self.items(self.number("I"), self.number("Q"), depth)
        else:
            raise ValueError(f"values of a type {kind} are not read" if kind != LIST else "lists within lists")

    def items(self, kind: int, count: int, depth: int) -> None:
        """Passes over a list."""
        if count * WIDTHS.get(kind, 8) > self.left():
            raise ValueError(f"a list of {count:,} values in {self.size:,} bytes")
        if kind in WIDTHS:
            self.skip(count * WIDTHS[kind])
            return
        for _ in range(count):
            self.value(kind, depth + 1)

    def number(self, form: str) -> int:
        """A whole number."""
        size = struct.calcsize(f"{self.order}{form}")
        found: int = struct.unpack(f"{self.order}{form}", self.file.read(size))[0]
        return found

    def skip(self, size: int) -> None:
        """Passes over so many bytes."""
        if size > self.left():
            raise EOFError
        self.file.seek(size, 1)

    def left(self) -> int:
        """Bytes to the end of the file."""
        return self.size - self.file.tell()
