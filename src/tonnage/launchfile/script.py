"""Tokens of a script -> the commands that it would start, with variables and arrays put in. Nothing is executed.

Where a script chooses (`if ... else`, `case`), its first way is read. Of a loop the body is read once.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.launchfile.shell import ShellPiece, Token, tokens
from tonnage.launchfile.value import Command, Word

LONGEST = 200_000
"""Characters that one script may grow to when its variables are put in."""

DEEPEST = 6
"""How many scripts may stand in one another (`bash -c "..."`)."""

OPENING = {"then", "do", "{", "(", "!", "time", "nohup", "exec", "eval", "env", "sudo", "command", "else"}
"""Words before a command that do not change what it starts."""

CLOSING = {"fi", "done", "esac", "}", "in"}

SHELLS = {"bash", "sh", "/bin/bash", "/bin/sh", "/usr/bin/bash", "zsh"}

Value = list[Word] | str
"""An array, or one text."""

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(?:\[(\w*)\])?(\+?)=")
_INSIDE = re.compile(r"(!?#?[A-Za-z_]\w*|[0-9@*#?])(\[[^\]]*\])?(.*)", re.DOTALL)


@dataclass
class Variables:
    """What is set so far; grown: characters that were put in."""

    values: dict[str, Value] = field(default_factory=dict)
    grown: int = 0

    def text(self, name: str) -> str | None:
        """A variable as one text."""
        found = self.values.get(name)
        if isinstance(found, list):
            return " ".join(word.text for word in found)
        return found

    def words(self, pieces: tuple[ShellPiece, ...], *, split: bool = True) -> list[Word]:
        """A word of a script as the words that it becomes."""
        if (
            split
            and len(pieces) <= 2
            and pieces
            and pieces[-1].kind == "variable"
            and not "".join(piece.text for piece in pieces[:-1])
        ):
            whole = self._whole(pieces[-1])
            if whole is not None:
                return whole
        text = "".join(self.one(piece) for piece in pieces)
        line = pieces[0].line if pieces else 0
        if split and any(piece.kind == "variable" and not piece.quoted for piece in pieces):
            return [Word(part, line) for part in text.split()] or []
        return [Word(text, line)]

    def _whole(self, piece: ShellPiece) -> list[Word] | None:
        """A word that is one variable: an array whole, an unquoted text split."""
        match = _INSIDE.fullmatch(piece.text)
        if match is None:
            return None
        name, index, rest = match[1], match[2], match[3]
        found = self.values.get(name)
        every = index in ("[@]", "[*]")
        if isinstance(found, list) and not rest and (every or index is None):
            self.grown += sum(len(word.text) for word in found)
            return found if self.grown <= LONGEST and every else found[:1] if not every else []
        if every and found is None:
            return []
        text = self.one(piece)
        if piece.quoted:
            return None
        return [Word(word.text, piece.line if word.line == 0 else word.line) for word in split_text(text, piece.line)]

    def one(self, piece: ShellPiece) -> str:
        """A piece as text; what is not known stays as it is written."""
        if piece.kind == "text":
            return piece.text
        if piece.kind == "unknown":
            return f"$({piece.text})"
        if self.grown > LONGEST:
            return ""
        found = _summed(piece.text, self) if piece.kind == "sum" else self._variable(piece.text)
        self.grown += len(found)
        return found

    def _variable(self, inside: str) -> str:
        match = _INSIDE.fullmatch(inside)
        if match is None:
            return f"${{{inside}}}"
        name, index, rest = match[1], match[2], match[3]
        if name.startswith("#"):
            held = self.values.get(name[1:])
            return str(len(held)) if held is not None else f"${{{inside}}}"
        found = self._indexed(name, index)
        for mark in (":-", ":=", "-", "="):
            if rest.startswith(mark):
                other = self.expanded(rest[len(mark) :])
                if found is None or (mark[0] == ":" and not found):
                    found = other
                    if mark.endswith("="):
                        self.values[name] = other
                return found
        for mark in (":+", "+"):
            if rest.startswith(mark):
                return self.expanded(rest[len(mark) :]) if found else ""
        if found is None:
            return f"${name}" if not rest else f"${{{inside}}}"
        return _changed(found, rest)

    def _indexed(self, name: str, index: str | None) -> str | None:
        found = self.values.get(name)
        if isinstance(found, list) and index and index[1:-1].isdigit():
            at = int(index[1:-1])
            return found[at].text if at < len(found) else ""
        return self.text(name)

    def expanded(self, text: str) -> str:
        """A text inside a variable, with its own variables put in."""
        if "$" not in text:
            return text.strip("\"'")
        found = [self.words(token.pieces, split=False) for token in tokens(text) if token.pieces]
        return " ".join(word.text for words in found for word in words)


def _changed(text: str, rest: str) -> str:
    """`${NAME%tail}`, `${NAME##head}`, `${NAME/a/b}` as far as they are plain."""
    for mark in ("%%", "%", "##", "#"):
        if rest.startswith(mark):
            cut = rest[len(mark) :]
            if cut.startswith("*") and mark[0] == "#":
                return text.rpartition(cut[1:])[2] if len(mark) == 2 else text.partition(cut[1:])[2]
            return text.removesuffix(cut) if mark[0] == "%" else text.removeprefix(cut)
    return text


def split_text(text: str, line: int) -> list[Word]:
    """Text as words of a command, its own quotes read, lines counted from `line`."""
    made = (token for token in tokens(text, line) if token.pieces)
    return [Word("".join(_kept(piece) for piece in token.pieces), token.line) for token in made]


def _kept(piece: ShellPiece) -> str:
    if piece.kind == "text":
        return piece.text
    return f"$({piece.text})" if piece.kind != "variable" else f"${{{piece.text}}}"


_SUMS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: a // b if b else 0,
    ast.Mod: lambda a, b: a % b if b else 0,
}


def _summed(text: str, known: Variables) -> str:
    """A sum in whole numbers; as it is written where something in it is not known."""
    unknown = f"$(({text}))"
    if len(text) > 200:
        return unknown
    named = re.sub(r"\$?\{?([A-Za-z_]\w*)(?::-(\d+))?\}?", lambda m: known.text(m[1]) or m[2] or m[0], text)
    try:
        value = _evaluated(ast.parse(named.replace("//", "/").replace("/", "//").strip(), mode="eval").body, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return unknown
    return unknown if value is None else str(value)


def _evaluated(node: ast.expr, depth: int) -> int | None:
    if depth > 20:
        return None
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 10**15:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        left, right = _evaluated(node.left, depth + 1), _evaluated(node.right, depth + 1)
        if left is None or right is None or max(abs(left), abs(right)) > 10**15:
            return None
        return _SUMS[type(node.op)](left, right)
    return None


_ECHOED = re.compile(r"<\(echo ('[^']*')\)")
"""A file that a shell makes of a text: the text stands for it."""


@dataclass
class Script:
    """A script as it is read: what is set, the commands, and texts that it puts into files."""

    known: Variables = field(default_factory=Variables)
    commands: list[Command] = field(default_factory=list)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    depth: int = 0
    chosen: bool = False

    def read(self, text: str, line: int = 1) -> None:
        """Reads a script, or a part of one."""
        if self.depth >= DEEPEST:
            return
        self.depth += 1
        text = _ECHOED.sub(r"\1", text)
        held: list[Token] = []
        skipped = 0
        for token in [*tokens(text, line), Token(line, operator=";")]:
            ends = token.operator in (";", "&&", "||", "&", "|", "|&", ";;")
            if ends and not _open(held):
                skipped = self._statement(held, skipped)
                held = []
                self.chosen = self.chosen or token.operator == ";;"
            elif not (ends and _open(held)):
                held.append(token)
        self.depth -= 1

    def _statement(self, held: list[Token], skipped: int) -> int:
        """One command; skipped: whether in a way that is not taken, as the number of `if`s in it."""
        if held and held[0].raw == "esac":
            self.chosen = False
        if self.chosen:
            return skipped
        while held and not held[0].operator and held[0].raw in ("else", "elif", "fi", "if"):
            word = held[0].raw
            if word == "if" and skipped:
                skipped += 1
            elif word in ("else", "elif") and skipped <= 1:
                skipped = 1
            elif word == "fi" and skipped:
                skipped -= 1
            if word in ("if", "elif"):
                return skipped  # what is asked is not known
            held = held[1:]
        if not skipped:
            self._carried(held)
        return skipped

    def _carried(self, held: list[Token]) -> None:
        while held and not held[0].operator and held[0].raw in OPENING | {"export", "declare", "local", "readonly"}:
            held = held[1:]
        closed = [i for i, token in enumerate(held) if token.operator == ")"]
        if closed and not any(token.operator == "(" for token in held[: closed[0]]):
            held = held[closed[0] + 1 :]  # a pattern of `case`
        while held and (held[0].operator in ("(", ")") or held[0].raw in ("-x", "-g", "-a", "-r", "-gx")):
            held = held[1:]
        while held:
            left = self._assigned(held)
            if left is None:
                break
            held = left
        if held and held[0].raw in OPENING and not held[0].operator:
            return self._carried(held[1:])
        self._started(held)
        return None

    def _assigned(self, held: list[Token]) -> list[Token] | None:
        """Sets what the first word sets; the words after it, None where it sets nothing."""
        first = held[0]
        if not first.pieces or first.operator or first.pieces[0].kind != "text" or first.pieces[0].quoted:
            return None
        match = _ASSIGNED.match(first.pieces[0].text)
        if match is None:
            return None
        name, more = match[1], bool(match[3])
        head = first.pieces[0]
        rest = (ShellPiece("text", head.text[match.end() :], head.quoted, head.line), *first.pieces[1:])
        if len(held) > 1 and held[1].operator == "(" and not "".join(piece.text for piece in rest):
            return self._array(name, held[2:], more=more)
        made = "".join(self.known.one(piece) for piece in rest)
        before = self.known.values.get(name)
        if more and isinstance(before, list):
            self.known.values[name] = [*before, Word(made, first.line)]
        else:
            self.known.values[name] = (str(before or "") if more else "") + made
        return held[1:]

    def _array(self, name: str, held: list[Token], *, more: bool) -> list[Token]:
        found: list[Word] = []
        index = next((i for i, token in enumerate(held) if token.operator == ")"), len(held))
        for token in held[:index]:
            if token.pieces and not token.operator:
                found += self.known.words(token.pieces)
        before = self.known.values.get(name, [])
        old = before if isinstance(before, list) else [Word(before, 0)]
        self.known.values[name] = [*old, *found] if more else found
        return held[index + 1 :]

    def _started(self, held: list[Token]) -> None:
        """The command that is left, without where it writes to."""
        words: list[Word] = []
        put, target, skip = None, "", False
        for token in held:
            if token.operator == "<<":
                put = token
            elif token.operator:
                if (
                    token.operator.startswith((">", "<"))
                    and not token.before
                    and words
                    and words[-1].text in ("1", "2")
                ):
                    words.pop()
                skip = token.operator in (">", ">>", "<", "&>", ">&", "&>>", "<<<")
            elif skip:
                target, skip = "".join(word.text for word in self.known.words(token.pieces, split=False)), False
            else:
                words += self.known.words(token.pieces)
        if put is not None:
            self._put(put, words, target)
        elif words and words[0].text not in CLOSING:
            self.carried_out(words)

    def _put(self, put: Token, words: list[Word], target: str) -> None:
        """A here-document: a file, a script for another shell, or nothing."""
        path = target or next((word.text for word in words[1:] if not word.text.startswith("-")), "")
        programs = {word.text for word in words}
        if programs & SHELLS or (not target and programs & {"ssh", "srun", "docker"}):
            self.read(put.raw, put.line)
        elif path:
            self.files[Path(path).name] = (put.raw, put.line)

    def carried_out(self, words: list[Word]) -> None:
        """A command that is given in words."""
        inner = _inner(words)
        if inner is not None:
            self.read(inner.text, inner.line)
        else:
            self.commands.append(Command(tuple(words)))


def _inner(words: list[Word]) -> Word | None:
    """The script that a shell is given in a word."""
    for at, word in enumerate(words[:-1]):
        if word.text in SHELLS:
            for after, flag in enumerate(words[at + 1 : -1], at + 1):
                if re.fullmatch(r"-[a-z]*c", flag.text):
                    return words[after + 1]
            return None
    return None


def _open(held: list[Token]) -> bool:
    """Whether an array is still to be closed."""
    opened = [i for i, token in enumerate(held) if token.operator == "(" and i and held[i - 1].raw.endswith("=")]
    return bool(opened) and not any(token.operator == ")" for token in held[opened[-1] :])


def commands(text: str, known: Mapping[str, str] | None = None, line: int = 1) -> Script:
    """What a script would start."""
    script = Script(Variables(dict(known or {})))
    script.read(text, line)
    return script
