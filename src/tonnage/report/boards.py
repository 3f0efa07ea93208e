"""Boards of accuracy as they were last predicted: to predict every published figure anew takes half a minute.

They stand in `data/boards.json`, with a digest of the facts and constants that they rest on: `make accuracy` writes
them. Numbers have six digits.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import cast

from tonnage.report.answer import Answer, from_json, to_json

Json = Mapping[str, object]

RESTS_ON = ("catalog", "model", "serve", "system", "train", "truth")
"""Rooms whose data a prediction is made of, or held against."""

APART = ("launches.json",)
"""Data of these rooms that no prediction is made of: the back-test."""

RANGED = ("published_low", "published_high", "error_to_range")
"""What only a figure has of which the source gives a range."""

DIGITS = 6
"""Digits of a number that is kept."""


@dataclass(frozen=True)
class KeptBoard:
    """A board as it was predicted. body: as JSON; answer: in words; made: on which day; version: by which; current:
    whether with the facts and constants that are there now.
    """

    body: Json
    answer: Answer
    made: str
    version: str
    current: bool


def board(what: str) -> KeptBoard:
    """The board of `train` or `serve`."""
    held = _held()
    kept = cast("Json", held[what])
    body = {**cast("Json", kept["body"]), "rows": _rows(cast("Json", kept["rows"]))}
    current = held["constants"] == constants()
    made, version = str(held["made"]), str(held["version"])
    said = from_json(cast("Json", kept["answer"]), tuple(cast("list[dict[str, object]]", body["rows"])))
    return KeptBoard(body, said, made, version, current)


def packed(boards: Mapping[str, tuple[Json, Answer]], made: str, version: str) -> str:
    """Boards, each as JSON and in words, as the text of the file: a line for each column of their rows."""
    lines = [f'"made": {json.dumps(made)}', f'"version": {json.dumps(version)}', f'"constants": "{constants()}"']
    for what, (body, answer) in boards.items():
        said = {key: value for key, value in to_json(answer).items() if key != "csv"}
        rest = {key: value for key, value in body.items() if key != "rows"}
        columns = _columns(cast("Sequence[Json]", body["rows"]))
        rows = ",\n".join(f"  {json.dumps(name)}: {_text(column)}" for name, column in columns.items())
        lines.append(
            f'"{what}": {{\n "body": {_text(_rounded(rest))},\n "answer": {_text(said)},\n "rows": {{\n{rows}\n }}\n}}'
        )
    return "{\n" + ",\n".join(lines) + "\n}\n"


@functools.cache
def constants() -> str:
    """Digest of the facts, cases and constants that a prediction rests on (SHA-256)."""
    total = hashlib.sha256()
    for room in RESTS_ON:
        for name, file in _files(resources.files(f"tonnage.{room}") / "data"):
            total.update(f"{room}/{name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _files(folder: Traversable, above: str = "") -> list[tuple[str, Traversable]]:
    """Every file below a folder by its name, in order."""
    found: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _files(item, f"{above}{item.name}/")
        elif item.name not in APART:
            found.append((above + item.name, item))
    return sorted(found)


@functools.cache
def _held() -> Json:
    return cast("Json", json.loads(resources.files("tonnage.report").joinpath("data/boards.json").read_text("utf-8")))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _columns(rows: Sequence[Json]) -> dict[str, object]:
    """Rows by column; words that come again as numbers of a list."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column([_rounded(row.get(name)) for row in rows]) for name in names}


def _column(values: list[object]) -> object:
    distinct = list(dict.fromkeys(values))
    if not any(isinstance(value, str) for value in distinct) or 2 * len(distinct) > len(values):
        return values
    places = {value: index for index, value in enumerate(distinct)}
    return {"of": distinct, "at": [places[value] for value in values]}


def _rows(columns: Json) -> list[dict[str, object]]:
    """Rows as a board has them."""
    lists = {name: _values(column) for name, column in columns.items()}
    rows = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    return [{name: cell for name, cell in row.items() if cell is not None or name not in RANGED} for row in rows]


def _values(column: object) -> list[object]:
    if isinstance(column, Mapping):
        of, places = cast("list[object]", column["of"]), cast("list[int]", column["at"])
        return [of[place] for place in places]
    return cast("list[object]", column)


def _rounded(value: object) -> object:
    """Numbers to so many digits, whatever holds them."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
