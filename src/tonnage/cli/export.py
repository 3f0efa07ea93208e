"""`tonnage export RESULT.json ENGINE`: a saved plan as the files that start it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import files
from tonnage.ask.saved import read_answer
from tonnage.cli.common import SAVED, SavedOptions, finish
from tonnage.errors import InputError, Outcome, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.export import ExportedFile


def export(result: Path, engine: str, /, *, engine_version: str | None = None, common: SavedOptions = SAVED) -> int:
    """A saved plan as files of an engine, or of a scheduler that starts it, with the reason of every value.

    Parameters
    ----------
    result
        an answer of serve or train saved with `-o FILE.json`.
    engine
        of serve vllm, sglang, trtllm, vllm-ascend, dynamo, ray, k8s or skypilot; of train megatron, bridge, torchtitan,
        mindspeed, verl or run.
    engine_version
        of the engine; flags are known of one release each, and another is refused.
    common
        `-o FOLDER` writes the files there; without it they are shown. `-o FILE.json` saves the answer as elsewhere.
    """
    from tonnage.ask.exported import exported
    from tonnage.report.export import answer

    catalog = common.load_catalog()
    made = exported(read_answer(result), engine, catalog, engine_version)
    folders = [Path(path) for path in common.output if not Path(path).suffix]
    common = replace(common, output=tuple(path for path in common.output if Path(path).suffix))
    for folder in folders:
        _write(folder, made)
    shown: list[dict[str, Any]] = [{"name": m.name, "text": m.text, "executable": m.executable} for m in made]
    body: dict[str, Any] = {"engine": engine, "into": [str(folder) for folder in folders], "files": shown}
    inputs = {"result": str(result), "engine": engine, "engine_version": engine_version}
    return finish(Reply("export", inputs, body, answer(engine, made, folders), Outcome(), catalog=catalog), common)


def _write(folder: Path, made: tuple[ExportedFile, ...]) -> None:
    """All files or none, and what is started may be started."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(f"cannot be made: {error.strerror}", "-o", str(folder))) from None
    files.write_all([(folder / one.name, one.text) for one in made])
    for one in made:
        if one.executable:
            (folder / one.name).chmod(0o755)
