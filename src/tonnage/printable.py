r"""Text of unknown origin, made safe to print: nothing in it moves a cursor, paints, rings or turns the direction.

Names and values of files come back in answers and in errors. A terminal obeys control characters (ESC, C1, BEL) and a
reader is misled by those that turn the direction of writing, so each is shown as its code: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # zero width, separators, directions
    "\ud800-\udfff]"  # halves of surrogate pairs: no encoding takes them
)
"""Control characters, characters that turn the direction of writing or have no width, and lone surrogates."""

ASCII = str.maketrans({"…": "...", "−": "-", "–": "-", "—": "-", "×": "x", "±": "+-", "·": ".", "≤": "<=", "≥": ">="})
"""What our own words have beyond ASCII, for a terminal that has nothing else."""


def printable(text: str) -> str:
    """The text with every unsafe character as its code; line feeds and tabs stay."""
    return UNSAFE.sub(_code, text)


def one_line(text: str, most: int = 200) -> str:
    """The same on one line, cut after `most` characters."""
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= most else line[:most] + "..."


def json_safe(text: str) -> str:
    """JSON text with unsafe characters of its strings as JSON escapes: the same value, inert on a terminal."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def encodable(text: str, encoding: str | None) -> str:
    """The text in characters that the encoding has: its own words in ASCII, other characters as their codes."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        plain = text.translate(ASCII)
        return plain.encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")
    except LookupError:
        return text
    return text


def _code(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
