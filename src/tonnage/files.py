"""Files in and out, safely: bounded text, YAML with the place of every node, JSON, and atomic writing.

Nothing is executed: tags are refused, aliases are counted with what they expand to, and size, depth and number of
nodes are bounded. Everything that can be wrong with a file the user named ends as an `InputError` with
`file:line:column`, never as a traceback.
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.errors import InputError, Problem

SCRATCH = "tonnage-scratch-"
"""How folders for a moment are called, below the one for temporary files."""

LIMIT = 1_000_000
"""Largest file that is read unless the caller says otherwise [byte]."""

LEFT = 3600.0
"""Age from which a temporary file is one that a killed run left [s]: none is written that long."""

DEPTH, NODES, ALIASES = 40, 20_000, 200
"""Bounds on a YAML or JSON document: nesting, nodes after expansion of aliases, aliases."""

BRACKETS = 2_000_000
"""Most lists and objects of a JSON text: an empty one takes 60 bytes of memory, one with a single key 240."""

LARGEST_NUMBER = 1e308
"""Numbers beyond it are none to anything that computes in float64."""

Key = str | int
Scalar = str | int | float | bool | datetime.date | None


@dataclass(frozen=True)
class Node:
    """One node of a YAML document: a scalar, a dict of nodes or a list of nodes, and where it and its keys stand."""

    value: Any
    where: str
    keys: dict[str, str] | None = None
    size: int = 1


@dataclass(frozen=True)
class Document:
    """A parsed file. `value` is plain (dict, list, str, int, float, bool, date, None); `place` says where a node is."""

    value: Any
    root: Node
    name: str = ""

    def place(self, path: Sequence[Key] = (), *, key: bool = False) -> str:
        """`file:line:column` of the node at `path`, or of its key; of the nearest node above it when it is missing."""
        node = self.root
        for index, step in enumerate(path):
            last = index == len(path) - 1
            if last and key and node.keys and str(step) in node.keys:
                return node.keys[str(step)]
            below = _child(node, step)
            if below is None:
                return node.where
            node = below
        return node.where


def _child(node: Node, step: Key) -> Node | None:
    if isinstance(node.value, dict):
        found = node.value.get(str(step))
        return found if isinstance(found, Node) else None
    if isinstance(node.value, list) and isinstance(step, int) and 0 <= step < len(node.value):
        item = node.value[step]
        return item if isinstance(item, Node) else None
    return None


_READ: ContextVar[set[tuple[int, int]] | None] = ContextVar("files that were read", default=None)
"""Device and inode of every file that the running command has read, where somebody asked for it."""


@contextlib.contextmanager
def noting() -> Iterator[None]:
    """Within, files that are read are noted, so that none of them is written over."""
    token = _READ.set(set())
    try:
        yield
    finally:
        _READ.reset(token)


def note_read(path: str | Path) -> None:
    """Notes a file that is read by other means than this module's."""
    held = _READ.get()
    if held is not None:
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(str(path))  # noqa: PTH116
            held.add((found.st_dev, found.st_ino))


def was_read(path: str | Path) -> bool:
    """Whether this file, by whatever name, was read since `noting` began."""
    try:
        found = os.stat(str(path))  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return (found.st_dev, found.st_ino) in (_READ.get() or ())


def read_bytes(path: str | Path, limit: int = LIMIT) -> bytes:
    """Content of a regular file of at most `limit` bytes. Directories, pipes and devices are refused."""
    name = str(path)
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 (the path may hold what Path refuses)
            kind = "a directory" if Path(name).is_dir() else "not a regular file"
            raise InputError(Problem(f"is {kind}", where=_short(name)))
        with open(name, "rb") as file:  # noqa: PTH123
            data = file.read(limit + 1)
        note_read(name)
    except FileNotFoundError:
        raise InputError(Problem("no such file", where=_short(name)), hint=_neighbour(name)) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(Problem(f"cannot be read: {reason}", where=_short(name))) from None
    if len(data) > limit:
        raise InputError(Problem(f"larger than the {limit:,} bytes that are read", where=_short(name)))
    return data


def _short(name: str) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= 200 else printable[:200] + "..."


def _neighbour(name: str) -> str | None:
    """A hint that names a file beside the missing one whose name is close."""
    from tonnage.errors import nearest

    folder = Path(name).parent
    try:
        names = [entry.name for entry, _ in zip(folder.iterdir(), range(500), strict=False)]
    except OSError:
        return None
    found = nearest(Path(name).name, names)
    return f'did you mean "{folder / found}"?' if found else None


def read_text(path: str | Path, limit: int = LIMIT) -> str:
    """UTF-8 text of a file. Binary content (not UTF-8, or with NULs) is an `InputError` that says where."""
    data = read_bytes(path, limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _at(str(path), data[: error.start].decode("utf-8", "replace"))
        raise InputError(Problem("is not UTF-8 text", where=where)) from None
    if "\0" in text:
        where = _at(str(path), text[: text.index("\0")])
        raise InputError(Problem("is not text: it holds a NUL character", where=where))
    return text


def _at(name: str, before: str) -> str:
    line = before.count("\n") + 1
    return f"{_short(name)}:{line}:{len(before) - before.rfind(chr(10))}"


def read_yaml(path: str | Path, limit: int = LIMIT) -> Document:
    """YAML 1.2 from a file; see `parse_yaml`."""
    return parse_yaml(read_text(path, limit), str(path))


def parse_yaml(text: str, name: str = "") -> Document:
    """YAML 1.2 text -> `Document`.

    Plain scalars become null, true/false, int, float or date (`2025-02-28`); all else is str. Keys are always str.
    Refused, each with its place: tags, duplicate keys, several documents, too deep, too many nodes, aliases that
    expand to too much or contain themselves.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    builder = _Builder(_short(name))
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{builder.name}:{mark.line + 1}:{mark.column + 1}" if mark else builder.name
        raise InputError(Problem(f"is not YAML: {error.problem or error.context}", where=where)) from None
    except YAMLError as error:
        where = _at(name, text[: getattr(error, "position", 0)])
        raise InputError(Problem("is not YAML: a character that is not allowed", where=where)) from None
    except (RecursionError, ValueError, IndexError, AttributeError) as error:
        raise InputError(Problem(f"is not YAML: {error}", where=builder.name)) from None
    root = builder.finish()
    return Document(plain(root), root, builder.name)


def plain(node: Node) -> Any:
    """The values under a node without their places."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


@dataclass
class _Open:
    """A mapping or sequence whose end has not been seen."""

    where: str
    children: Any
    keys: dict[str, str]
    anchor: str | None
    key: str | None = None
    size: int = 1


class _Builder:
    """Takes parser events one by one and builds nodes; holds the bounds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.nodes = self.aliases = self.documents = 0

    def take(self, event: Any) -> None:
        handler = getattr(self, f"_{type(event).__name__}", None)
        if handler:
            handler(event, f"{self.name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}")

    def finish(self) -> Node:
        if self.problems:
            raise InputError(self.problems)
        if self.root is None:
            raise InputError(Problem("is empty", where=self.name))
        return self.root

    def _fail(self, message: str, where: str) -> None:
        raise InputError([*self.problems, Problem(message, where=where)])

    def _DocumentStartEvent(self, event: Any, where: str) -> None:  # noqa: N802 (names of the parser's events)
        self.documents += 1
        if self.documents > 1:
            self._fail("a second document; one file holds one", where)

    def _MappingStartEvent(self, event: Any, where: str) -> None:  # noqa: N802
        self._open(event, where, {})

    def _SequenceStartEvent(self, event: Any, where: str) -> None:  # noqa: N802
        self._open(event, where, [])

    def _open(self, event: Any, where: str, children: Any) -> None:
        self._check(event, where)
        if self.stack and isinstance(self.stack[-1].children, dict) and self.stack[-1].key is None:
            self._fail("a key must be a name, not a list or a mapping", where)
        if len(self.stack) >= DEPTH:
            self._fail(f"nested deeper than {DEPTH} levels", where)
        self.stack.append(_Open(where, children, {}, event.anchor))

    def _MappingEndEvent(self, event: Any, where: str) -> None:  # noqa: N802
        done = self.stack.pop()
        self._add(Node(done.children, done.where, done.keys, done.size), done.anchor)

    _SequenceEndEvent = _MappingEndEvent

    def _ScalarEvent(self, event: Any, where: str) -> None:  # noqa: N802
        self._check(event, where)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.children, dict) and top.key is None:
            self._key(top, event.value, where)
            return
        plain = event.implicit[0] and event.style is None
        self._add(Node(resolve(event.value) if plain else event.value, where), event.anchor)

    def _key(self, top: _Open, key: str, where: str) -> None:
        if key in top.children:
            self.problems.append(Problem("this key is given twice", where=where, path=_short(key)))
        top.key = key
        top.keys.setdefault(key, where)

    def _AliasEvent(self, event: Any, where: str) -> None:  # noqa: N802
        self.aliases += 1
        if self.aliases > ALIASES:
            self._fail(f"more than {ALIASES} aliases", where)
        node = self.anchors.get(event.anchor)
        if node is None:
            self._fail(f'alias "*{_short(event.anchor)}" has no finished anchor before it', where)
        elif self.stack and isinstance(self.stack[-1].children, dict) and self.stack[-1].key is None:
            self._fail("an alias cannot be a key", where)
        else:
            self._count(node.size, where)
            self._add(node, None)

    def _check(self, event: Any, where: str) -> None:
        tag = getattr(event, "ctag", None) or getattr(event, "tag", None)
        if tag and str(tag) != "!":
            self._fail(f"tags such as {_short(str(tag))[:60]} are not read", where)
        self._count(1, where)

    def _count(self, size: int, where: str) -> None:
        self.nodes += size
        if self.nodes > NODES:
            self._fail(f"more than {NODES:,} values (aliases counted as what they stand for)", where)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.size += node.size
        if isinstance(top.children, list):
            top.children.append(node)
        else:
            top.children[top.key or ""] = node
            top.key = None


_INT = r"[-+]?\d{1,18}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}"
_FLOAT = r"[-+]?(?:\.\d+|\d{1,300}(?:\.\d*)?)(?:[eE][-+]?\d{1,3})?"
_DATE = r"\d{4}-\d\d-\d\d"
"""Compiled when a YAML is read; most commands read none."""
_WORDS: dict[str, Scalar] = {"": None, "~": None, "true": True, "false": False}
_WORDS |= {"null": None, "Null": None, "NULL": None, "True": True, "TRUE": True, "False": False, "FALSE": False}


def resolve(text: str) -> Scalar:
    """A plain scalar by the core schema of YAML 1.2, and dates. `.inf` and `.nan` stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(_INT, text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if re.fullmatch(_FLOAT, text):
        found = float(text)
        return found if math.isfinite(found) else text
    if re.fullmatch(_DATE, text):
        with contextlib.suppress(ValueError):
            return datetime.date.fromisoformat(text)
    return text


def read_json(path: str | Path, limit: int = 50_000_000) -> Document:
    """JSON from a file -> `Document`, whose places say the file only; see `parse_json`."""
    value = parse_json(read_text(path, limit), str(path))
    return Document(value, Node(value, _short(str(path))), _short(str(path)))


def parse_json(text: str, name: str = "") -> Any:
    """JSON text -> plain values. NaN, Infinity, numbers that are as good as that (1e999), duplicate keys, nesting over
    `2 * DEPTH` levels and more than `BRACKETS` lists and objects are refused.
    """
    short = _short(name)
    if text.count("[") + text.count("{") > BRACKETS:
        raise InputError(Problem(f"holds more than {BRACKETS:,} lists and objects", where=short))
    try:
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_real, parse_int=_whole, object_pairs_hook=_unique
        )
    except json.JSONDecodeError as error:
        where = f"{short}:{error.lineno}:{error.colno}"
        raise InputError(Problem(f"is not JSON: {error.msg}", where=where)) from None
    except RecursionError:
        raise InputError(Problem("is nested too deeply", where=short)) from None
    except ValueError as error:
        raise InputError(Problem(f"is not JSON: {error}", where=short)) from None
    if _deeper(value, 2 * DEPTH):
        raise InputError(Problem(f"nested deeper than {2 * DEPTH} levels", where=short))
    return value


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number in JSON")


def _real(word: str) -> float:
    found = float(word)
    if not -LARGEST_NUMBER <= found <= LARGEST_NUMBER:
        raise ValueError(f"{_short(word)[:40]} is beyond {LARGEST_NUMBER:g}")
    return found


def _whole(word: str) -> int:
    if len(word) > 300:
        raise ValueError(f"{word[:20]}... is a number of {len(word):,} digits")
    return int(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f'the key "{_short(twice)}" is given twice')
    return found


def _deeper(value: Any, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        level = [child for item in level for child in _below(item)]
        if not level:
            return False
    return True


def _below(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from (child for child in item.values() if isinstance(child, (dict, list)))
    elif isinstance(item, list):
        yield from (child for child in item if isinstance(child, (dict, list)))


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 over parts, each after its length, so that no two lists of parts run into one another."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def write(path: str | Path, data: str | bytes) -> None:
    """Write a file atomically: a temporary one in the same folder, fsync, rename. Devices and folders are refused."""
    write_all([(path, data)])


def write_all(contents: Sequence[tuple[str | Path, str | bytes]]) -> None:
    """Write files, all or none: every one to a temporary beside its target first, then each renamed.

    A target keeps its rights; what a symbolic link points at is replaced, not the link. A file of several names (hard
    links) is written in place, so that all of them are the new one, once there is room for it and a whole temporary
    beside it. Temporaries are taken away whatever happens, also when the process is asked to end (the command line
    raises SystemExit on SIGTERM).
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, data in contents:
            with _told(path):
                target = Path(path).resolve() if Path(path).is_symlink() else Path(path)
                temporary = target.with_name(f".{target.name[:100]}.{os.urandom(6).hex()}.tmp")
                ready.append((temporary, target))
                _write_temporary(*ready[-1], data.encode("utf-8", "replace") if isinstance(data, str) else data)
        for temporary, target in ready:
            with _told(target):
                if target.exists() and target.stat().st_nlink > 1:
                    _write_in_place(target, temporary.read_bytes())
                else:
                    temporary.replace(target)
                _clear_left(target)
    finally:
        for temporary, _ in ready:
            with contextlib.suppress(OSError, ValueError):
                temporary.unlink(missing_ok=True)


def _write_in_place(target: Path, content: bytes) -> None:
    """Writes over a file that has other names; room for it is taken before a byte is written."""
    with target.open("r+b") as file:
        before = os.fstat(file.fileno()).st_size
        if hasattr(os, "posix_fallocate") and len(content) > before:
            try:
                os.posix_fallocate(file.fileno(), 0, len(content))
            except OSError:
                file.truncate(before)
                raise
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _clear_left(target: Path) -> None:
    """Takes away temporaries of this target that a killed run left more than `LEFT` ago."""
    pattern = re.compile(rf"\.{re.escape(target.name[:100])}\.[0-9a-f]{{12}}\.tmp")
    with contextlib.suppress(OSError):
        now = target.stat().st_mtime
        for other in target.parent.glob(f".{glob.escape(target.name[:100])}.*.tmp"):
            if pattern.fullmatch(other.parts[-1]) and now - other.stat().st_mtime > LEFT:
                other.unlink(missing_ok=True)


def _write_temporary(temporary: Path, target: Path, content: bytes) -> None:
    check_target(target)
    with open(temporary, "xb") as file:  # noqa: PTH123
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """What the system refuses, as an InputError that names the path and the reason."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(Problem(f"cannot be written: {reason}", where=_short(str(path)))) from None


def check_target(path: str | Path) -> None:
    """Raises InputError when a file could not be written there: no such folder, no right to, not a file."""
    with _told(path):
        target = Path(path)
        if target.exists() and not target.is_file():
            raise InputError(Problem("is not a file that can be replaced", where=_short(str(path))))
        folder = target.parent
        if not folder.is_dir():
            message = f'cannot be written: there is no folder "{_short(str(folder))}"'
            raise InputError(Problem(message, where=_short(str(path))))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(Problem("cannot be written: permission denied", where=_short(str(path))))
