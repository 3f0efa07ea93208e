"""A question of the page, and of an agent, through everything but the network: what comes back must be JSON."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from tonnage.agents.folder import QuestionFolder
from tonnage.agents.server import _bounded, _failed, _result, _shown
from tonnage.agents.tool import AgentTool
from tonnage.cli.answering import DEFECT, answer
from tonnage.errors import InputError
from tonnage.printable import UNSAFE
from tonnage.web.picked import picked, renamed, report_of, sources_of, whole
from tonnage.web.questions import Asker


def sent(value: object) -> str | None:
    """What is wrong with a value that is to be sent as JSON."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError) as error:
        return f"cannot be sent: {type(error).__name__}: {error}"
    return None


def asked_of_page(folder: Path, view: str, fields: Any, programme: Any) -> str | None:
    """What is wrong with what the page makes of it."""
    folder.mkdir(exist_ok=True)
    asker = Asker(folder, "code", today=lambda: datetime.date(2026, 11, 30))
    if not isinstance(fields, dict):
        return None  # refused before it comes here
    try:
        asked = asker.asked(view, fields, programme)
    except InputError as error:
        return sent([(one.message, one.where, one.path, one.suggestion) for one in error.problems])
    if UNSAFE.search(asked.command):
        return f"a command to copy that a terminal obeys: {asked.command!r}"
    said = answer(asked.stages[-1].argv)
    if said["code"] == DEFECT:
        return f"{asked.stages[-1].argv}: {said['errors']}"
    wrong = sent(picked(view, said, asked.names)) or sent(said)
    if wrong is None and said.get("reply"):
        whole(said)
        text = report_of(renamed(said, asked.names), asked.command)
        wrong = sent(sources_of(said)) or (
            "a report with a control character" if UNSAFE.search(text.replace("\r", "")) else None
        )
    return wrong


def asked_by_agent(folder: Path, tool: AgentTool, given: dict[str, Any]) -> str | None:
    """What is wrong with what an agent gets."""
    import os

    folder.mkdir(exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with QuestionFolder(folder) as own:
            try:
                _bounded(given)
                found = answer(tool.words(given, own))
            except InputError as error:
                return sent(_failed([_shown(one) for one in error.problems], error.hint).model_dump(mode="json"))
            clean = own.without(dict(found))
    finally:
        os.chdir(before)
    assert isinstance(clean, dict)
    if found["code"] == DEFECT:
        return f"{found['command']}: {found['errors']}"[:600]
    if [path.name for path in folder.iterdir()]:
        return f"wrote {[path.name for path in folder.iterdir()]}"
    return sent(_result(clean).model_dump(mode="json"))
