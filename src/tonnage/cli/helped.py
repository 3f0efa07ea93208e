"""What `--help` prints: names on the left, what they mean beside them, wrapped to the terminal; no frames in a pipe."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from tonnage.cli.wide import columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

USUAL = 100
"""Characters of a line of help where nobody says how many: longer ones are hard to read."""

NAMES = 26
"""Characters of names beside which there is room for words; what has longer ones has its words below."""

FEWEST = 30
"""Characters of a line of words at least."""


class Help:
    """The way cyclopts is told to print help."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """One group of arguments, flags or verbs."""
        rows = [(_names(entry), _words(entry)) for entry in panel.entries]
        left = max((len(name) for name, _ in rows if len(name) <= NAMES), default=NAMES)
        lines = [line for name, words in rows for line in _row(name, words, left, columns(USUAL))]
        if lines:
            _put(console, ["", str(panel.title), *lines])

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        """How the verb is called."""
        if usage:
            text = f"Usage: {_plain(usage).removeprefix('Usage: ')}"
            _put(console, textwrap.wrap(text, columns(USUAL), subsequent_indent=" " * 7, break_on_hyphens=False))

    def render_description(self, console: Console, options: ConsoleOptions, description: object) -> None:
        """What the verb answers."""
        if text := _plain(description):
            _put(console, ["", *textwrap.wrap(text, columns(USUAL), break_on_hyphens=False)])


def example(words: str) -> str:
    """A command to paste, on several lines where one is too short for it."""
    wide = columns(USUAL)
    parts = re.split(r" (?=-|> )", f"tonnage {words}")
    lines = ["  " + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 3 <= wide:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"      {part}")
    return "\n".join(lines)


def _row(name: str, words: str, left: int, wide: int) -> list[str]:
    """A name with its words beside it, or below where the name is long."""
    indent = " " * (left + 4)
    lines = textwrap.wrap(words, max(FEWEST, wide - len(indent)), break_on_hyphens=False) or [""]
    if len(name) > left:
        return [f"  {name}", *(indent + line for line in lines if line)]
    return [f"  {name:{left}}  {lines[0]}".rstrip(), *(indent + line for line in lines[1:])]


def _names(entry: HelpEntry) -> str:
    """Every name of an argument or flag, the short ones first; what turns a switch off where it is not off anyway."""
    if entry.positional_label is not None:
        return entry.positional_label
    off = () if entry.default == "False" else entry.negative_names
    names = ", ".join((*entry.positive_shorts, *entry.positive_names, *off))
    return names + (f" {entry.metavar}" if entry.metavar else "")


def _words(entry: HelpEntry) -> str:
    """What it means, and what it is unless given."""
    said = {"True": "on"}.get(entry.default or "", entry.default)
    said = None if said in ("()", "False", '""', "") else said
    notes = [f"[one of {', '.join(entry.choices)}]"] if entry.choices else []
    notes += [f"[{said}]"] if said else []
    notes += ["[needed]"] if entry.required else []
    return " ".join([_plain(entry.description), *notes]).strip()


def _plain(text: object) -> str:
    """Words without the breaks of the place that they were written in."""
    inner = getattr(text, "primary_renderable", text)
    return " ".join(str(getattr(inner, "plain", inner) or "").split())


def _put(console: Console, lines: Iterable[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True, emoji=False)
