"""An answer as Markdown: for a pull request, an issue, a page of notes."""

from __future__ import annotations

import re

from tonnage.report.answer import Answer, Table, safe

SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")
"""Characters that Markdown, or HTML within it, would take for something else."""


def to_markdown(answer: Answer, command: str | None = None) -> str:
    """The sentence, why, the tables, and the command that asks it."""
    answer = safe(answer)
    parts = [f"**{_text(answer.sentence)}**"]
    if answer.rows:
        parts.append("\n".join(_row(label, text) for label, text in answer.rows))
    parts += [_table(table) for table in answer.tables]
    if command:
        parts.append(f"```sh\n{command.replace('`', '')}\n```")
    return "\n\n".join(parts) + "\n"


def _row(label: str, text: str) -> str:
    return f"- {_text(label)}: {_text(text)}" if label.strip() else f"  {_text(text)}"


def _table(table: Table) -> str:
    lines = [f"### {_text(table.title)}", "", _cells(table.header), "|" + " --- |" * len(table.header)]
    lines += [_cells(row) for row in table.rows]
    return "\n".join([*lines, *(["", _text(table.note)] if table.note else [])])


def _cells(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_text(cell) or " " for cell in cells) + " |"


def _text(text: str) -> str:
    """On one line, with nothing in it that is markup."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
