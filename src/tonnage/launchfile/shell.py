"""Text of a shell script -> tokens: words in pieces, operators, texts put in place. Nothing is executed.

Read: quotes, comments, joined lines, `$NAME`, `${NAME...}`, `$((...))`, arrays, here-documents. What a command would
print (`$(...)`) is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TOKENS = 50_000
"""Most tokens of a script that are read."""

DEEPEST = 40
"""How deep brackets may be nested in one word."""

OPERATORS = ("<<<", "&&", "||", ";;", "|&", "&>>", "&>", ">>", ">&", "<<-", "<<", ";", "&", "|", "(", ")", ">", "<")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?!$-]")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|()<>]+")
_DOUBLE = re.compile(r"[^\"\\$`]+")

Kind = Literal["text", "variable", "sum", "unknown"]


@dataclass(frozen=True)
class ShellPiece:
    """A piece of a word: text, what stands between `${` and `}`, a sum, or what cannot be known; whether in quotes."""

    kind: Kind
    text: str
    quoted: bool
    line: int


@dataclass(frozen=True)
class Token:
    """A word in pieces, or an operator (a new line is `;`)."""

    line: int
    pieces: tuple[ShellPiece, ...] = ()
    operator: str = ""
    before: bool = False

    @property
    def raw(self) -> str:
        """What was written, without quotes."""
        return "".join(piece.text for piece in self.pieces)


@dataclass
class Scanner:
    """Where reading is."""

    text: str
    line: int = 1
    at: int = 0

    def tokens(self) -> Iterator[Token]:
        """Every token of the text, up to `TOKENS`."""
        waiting: list[str] = []
        for _ in range(TOKENS):
            found = self._next(waiting)
            if found is None:
                return
            yield from found

    def _next(self, waiting: list[str]) -> list[Token] | None:
        blank = self._blank()
        if self.at >= len(self.text):
            return None
        here, start = self.text[self.at], self.line
        if here == "\n":
            self.at += 1
            self.line += 1
            texts = [self._put(end) for end in waiting]
            waiting.clear()
            return [*texts, Token(start, operator=";")]
        for operator in OPERATORS:
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return self._operator(Token(start, operator=operator, before=blank), waiting)
        return [Token(start, tuple(self._word()), before=blank)]

    def _operator(self, found: Token, waiting: list[str]) -> list[Token]:
        if found.operator in ("<<", "<<-"):
            self._blank()
            waiting.append("".join(piece.text for piece in self._word()))
            return []
        return [found]

    def _put(self, end: str) -> Token:
        """The text of a here-document, as a token of its own."""
        start, lines = self.line, []
        while self.at < len(self.text):
            stop = self.text.find("\n", self.at)
            row = self.text[self.at : stop if stop >= 0 else len(self.text)]
            self.at = len(self.text) if stop < 0 else stop + 1
            self.line += 1
            if row.strip() == end.strip():
                break
            lines.append(row)
        return Token(start, (ShellPiece("text", "\n".join(lines), True, start),), operator="<<")

    def _blank(self) -> bool:
        """Skips spaces, joined lines and comments; whether there were any."""
        start = self.at
        while self.at < len(self.text):
            here = self.text[self.at]
            joined = re.compile(r"\\[ \t]*\r?\n").match(self.text, self.at)
            if joined:
                self.at = joined.end()
                self.line += 1
            elif here in " \t\r":
                self.at += 1
            elif here == "#" and (self.at == 0 or self.text[self.at - 1] in " \t\n;"):
                stop = self.text.find("\n", self.at)
                self.at = len(self.text) if stop < 0 else stop
            else:
                break
        return self.at > start

    def _word(self) -> list[ShellPiece]:
        pieces: list[ShellPiece] = []
        while self.at < len(self.text):
            here = self.text[self.at]
            if here in " \t\r\n;&|()<>":
                break
            if here == "'":
                stop = self.text.find("'", self.at + 1)
                pieces.append(self._taken(self.at + 1, stop, quoted=True))
            elif here == '"':
                self.at += 1
                pieces += self._inside()
            elif here == "\\":
                if re.compile(r"\\[ \t]*\r?\n").match(self.text, self.at):
                    break
                pieces.append(ShellPiece("text", self.text[self.at + 1 : self.at + 2], True, self.line))
                self.at += 2
            elif here in "$`":
                pieces.append(self._expansion(quoted=False))
            else:
                match = _PLAIN.match(self.text, self.at)
                stop = match.end() if match else self.at + 1
                pieces.append(ShellPiece("text", self.text[self.at : stop], False, self.line))
                self.at = stop
        return pieces

    def _taken(self, start: int, stop: int, *, quoted: bool) -> ShellPiece:
        """Text up to a closing mark, or to the end where there is none."""
        stop = len(self.text) if stop < 0 else stop
        piece = ShellPiece("text", self.text[start:stop], quoted, self.line)
        self.line += piece.text.count("\n")
        self.at = stop + 1
        return piece

    def _inside(self) -> Iterator[ShellPiece]:
        """Pieces between double quotes."""
        yield ShellPiece("text", "", True, self.line)
        while self.at < len(self.text) and self.text[self.at] != '"':
            here = self.text[self.at]
            if here == "\\":
                after = self.text[self.at + 1 : self.at + 2]
                kept = "" if after == "\n" else after if after in '"$`\\' else "\\" + after
                yield ShellPiece("text", kept, True, self.line)
                self.line += after == "\n"
                self.at += 2
            elif here in "$`":
                yield self._expansion(quoted=True)
            else:
                match = _DOUBLE.match(self.text, self.at)
                stop = match.end() if match else self.at + 1
                piece = ShellPiece("text", self.text[self.at : stop], True, self.line)
                self.line += piece.text.count("\n")
                self.at = stop
                yield piece
        self.at += 1

    def _expansion(self, *, quoted: bool) -> ShellPiece:
        """What begins with `$` or a backtick."""
        line, start = self.line, self.at
        if self.text[start] == "`":
            stop = self.text.find("`", start + 1)
            return ShellPiece("unknown", self._taken(start + 1, stop, quoted=quoted).text, quoted, line)
        for opening, closing, kind in _BRACKETS:
            if self.text.startswith(opening, start):
                inner = self._bracket(start + len(opening), closing)
                return ShellPiece(kind, inner, quoted, line)
        name = _NAME.match(self.text, start + 1)
        if name is None:
            self.at += 1
            return ShellPiece("text", "$", quoted, line)
        self.at = name.end()
        return ShellPiece("variable", name[0], quoted, line)

    def _bracket(self, start: int, closing: str) -> str:
        """Text up to the bracket that closes what was opened."""
        opening = {"}": "{", ")": "(", "))": "("}[closing]
        depth, at = 0, start
        while at < len(self.text) and depth < DEEPEST:
            here = self.text[at]
            if depth == 0 and self.text.startswith(closing, at):
                break
            depth += (here == opening) - (here == closing[0])
            at += 1
        inner = self.text[start:at]
        self.line += inner.count("\n")
        self.at = at + len(closing)
        return inner


_BRACKETS: tuple[tuple[str, str, Kind], ...] = (("$((", "))", "sum"), ("$(", ")", "unknown"), ("${", "}", "variable"))


def tokens(text: str, line: int = 1) -> list[Token]:
    """The tokens of a script whose first line is `line` of its file."""
    return list(Scanner(text, line).tokens())
