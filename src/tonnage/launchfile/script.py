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

from tonnage.launchfile.containers import contained
from tonnage.launchfile.shell import ShellPiece, Token, tokens
from tonnage.launchfile.value import Command, Word

LONGEST = 200_000
"""Characters that one script may grow to when its variables are put in."""

DEEPEST = 6
"""How many scripts may stand in one another (`bash -c "..."`)."""

OPENING = {"then", "do", "{", "(", "!", "time", "nohup", "exec", "env", "sudo", "command", "else"}
"""Words before a command that do not change what it starts."""

CLOSING = {"fi", "done", "esac", "}", "in"}

SHELLS = {"bash", "sh", "/bin/bash", "/bin/sh", "/usr/bin/bash", "zsh"}

SAYING = {"echo", "printf", "cat", "log", "logger", "grep", "sed", "awk", "pkill", "info"}
"""Programs that start nothing of what they are given."""

STARTING = re.compile(
    r"\b(vllm serve|trtllm-serve|sglang serve|(sglang\.launch_server|vllm\.entrypoints\.\S+|dynamo\.\w+)\s)"
)
"""What a word has that is a whole command (`tmux new-session "vllm serve ..."`)."""

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
        every = index in ("[@]", "[*]") or (name in ("@", "*") and index is None)
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

    def filled(self, text: str) -> str:
        """A text of a manifest with what its environment says: `$(NAME)`, `${NAME:-other}`."""
        named = re.sub(r"\$\((\w+)\)", lambda one: self.text(one[1]) or one[0], text)
        return self.expanded(named) if re.fullmatch(r"[^\s'\"`;&|()<>]*\$\{[^\s'\"`;&|()<>]*", named) else named

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
    functions: dict[str, list[list[Token]]] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    image: str | None = None

    def read(self, text: str, line: int = 1) -> None:
        """Reads a script, or a part of one."""
        if self.depth >= DEEPEST:
            return
        self.depth += 1
        text = _ECHOED.sub(r"\1", text)
        self._statements(_statements(tokens(text, line), line))
        if self.depth == 1:
            for name in [name for name in self.functions if name not in self.called]:
                self._called(name, [])
        self.depth -= 1

    def _statements(self, every: list[list[Token]]) -> None:
        skipped, at = 0, 0
        while at < len(every):
            name, end = _function(every, at)
            if name:
                body = every[at:end]
                self.functions[name] = [body[0][_opened(body[0]) :], *body[1:]]
                at = end
                continue
            held = every[at]
            case = bool(held) and held[-1].operator == ";;"
            skipped = self._statement(held[:-1] if case else held, skipped)
            self.chosen = self.chosen or case
            at += 1

    def _called(self, name: str, given: list[Word]) -> None:
        """A function of the script, with what it is given as `$1`, `$2`, `$@`."""
        self.called.add(name)
        if self.depth >= DEEPEST:
            return
        self.depth += 1
        before = {key: value for key, value in self.known.values.items() if key.isdigit() or key in ("@", "*", "#")}
        self._given(given)
        self._statements(self.functions[name])
        self._given([])
        self.known.values |= before
        self.depth -= 1

    def _given(self, words: list[Word]) -> None:
        """Sets `$1`, `$2` and so on."""
        for key in [key for key in self.known.values if key.isdigit() or key in ("@", "*", "#")]:
            del self.known.values[key]
        for index, word in enumerate(words, 1):
            self.known.values[str(index)] = word.text
        if words:
            self.known.values |= {"@": list(words), "*": list(words), "#": str(len(words))}

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
        first = words[0].text
        if first == "eval":
            self.read(" ".join(word.text for word in words[1:]), words[0].line)
        elif first == "set" and len(words) > 1 and words[1].text == "--":
            self._given(words[2:])
        elif first == "shift":
            held = self.known.values.get("@", [])
            count = int(words[1].text) if len(words) > 1 and words[1].text.isdigit() else 1
            self._given(held[count:] if isinstance(held, list) else [])
        elif first in self.functions:
            self._called(first, words[1:])
        elif first not in SAYING:
            self._carried_inside(words)

    def _carried_inside(self, words: list[Word]) -> None:
        """A command, or the one that it gives to a shell, a container or another server."""
        inner, box = _inner(words), contained(words)
        whole = next((word for word in words[1:] if " " in word.text and STARTING.search(word.text)), None)
        if box is not None:
            self._boxed(box.words, box.image, box.env)
        elif inner is not None:
            image, self.image = self.image, None
            self.read(inner.text, inner.line)
            self.image = image
        elif whole is not None:
            self.read(whole.text, whole.line)
        else:
            self.commands.append(Command(tuple(words), self.image))

    def _boxed(self, words: tuple[Word, ...], image: str | None, env: Mapping[str, str]) -> None:
        """What is given to a container."""
        outer, self.image = self.image, image
        self.known.values |= {name: value for name, value in env.items() if "$" not in value}
        if words and self.depth < DEEPEST:
            self.depth += 1
            self.carried_out(list(words))
            self.depth -= 1
        self.image = outer


def _statements(every: list[Token], line: int) -> list[list[Token]]:
    """Tokens as commands; one that ends a way of `case` keeps its `;;`."""
    found: list[list[Token]] = []
    held: list[Token] = []
    for token in [*every, Token(line, operator=";")]:
        ends = token.operator in (";", "&&", "||", "&", "|", "|&", ";;")
        if ends and not _open(held):
            found.append([*held, token] if token.operator == ";;" else held)
            held = []
        elif not (ends and _open(held)):
            held.append(token)
    return found


def _opened(held: list[Token]) -> int:
    """Words of `name() {` or `function name {` at the beginning of a command; 0 where there are none."""
    marks = [token.operator or token.raw for token in held[:5]]
    if marks[:1] == ["function"] and len(marks) > 1:
        at = 4 if marks[2:4] == ["(", ")"] else 2
    elif marks[1:3] == ["(", ")"]:
        at = 3
    else:
        return 0
    return at + (marks[at : at + 1] == ["{"])


def _function(every: list[list[Token]], at: int) -> tuple[str, int]:
    """(name of the function that begins here, where its commands end); no name where none begins."""
    held = every[at]
    opened = _opened(held)
    if not opened:
        return "", at
    name = held[1].raw if held[0].raw == "function" else held[0].raw
    depth = 0
    for end in range(at, len(every)):
        words = [token.raw for token in every[end] if not token.operator]
        depth += (words[:1] == ["{"] or (end == at and "{" in words[:4])) - (words[:1] == ["}"])
        if depth <= 0 and end > at:
            return name, end + 1
        if end == at and words[-1:] == ["}"]:
            return name, end + 1
    return "", at


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
