"""Bundled model configurations: one JSON object a line, looked up by id, alias or the id's last part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tonnage.errors import AmbiguousName, InputError, Problem, nearest


def lines_of(text: str) -> dict[str, str]:
    """Text of models.jsonl -> id -> its line, unparsed: a line is read when its model is asked for."""
    lines: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
        # the id is the first key, so that an index costs no parsing of the configurations
        head = line.split('"', 4)
        identifier = head[3] if len(head) == 5 and head[1] == "id" else str(json.loads(line)["id"])
        lines[identifier] = line
    return lines


def identifiers(lines: Mapping[str, str]) -> tuple[str, ...]:
    """Ids of all bundled models."""
    return tuple(lines)


def short_names(lines: Mapping[str, str]) -> tuple[str, ...]:
    """Aliases and last parts of ids, in lower case, that mean one model each."""
    return tuple(sorted(name for name, found in _names(lines).items() if "/" not in name and len(found) == 1))


def entry(identifier: str, lines: Mapping[str, str]) -> dict[str, Any]:
    """The whole object of one model: id, aliases, source, retrieved, config and what else the line holds."""
    found: dict[str, Any] = json.loads(lines[identifier])
    return found


def find(name: str, lines: Mapping[str, str]) -> tuple[str, dict[str, Any], str]:
    """(id, config, source) of the model that `name` means; raises InputError with the nearest name."""
    found = found_if_known(name, lines)
    if found is None:
        plain, names = name.strip().lower(), _names(lines)
        suggestion = nearest(plain[:80], names) or nearest(plain.rsplit("/", 1)[-1][:80], names)
        raise InputError(Problem(f'no bundled model named "{name[:80]}"', suggestion=suggestion), hint=_HINT)
    return found


def found_if_known(name: str, lines: Mapping[str, str]) -> tuple[str, dict[str, Any], str] | None:
    """As `find`; None for a name that is not known, without a look for the nearest."""
    found = _names(lines).get(name.strip().lower())
    if not found:
        return None
    if len(found) > 1:
        problem = Problem(f'"{name[:80]}" can mean {", ".join(found)}')
        raise AmbiguousName(problem, found, hint="write one of these ids in full")
    whole = entry(found[0], lines)
    return found[0], whole["config"], str(whole["source"])


def begun(name: str, lines: Mapping[str, str]) -> str | None:
    """The id of the one model whose name begins like `name`, separators apart: `qwen3-235b`, `llama3.1-405b`; of
    several, the one whose own name the others carry on (`-FP8`, `-Instruct-2507`).

    None where none does; raises AmbiguousName where several do.
    """
    wanted = squeezed(name)
    if len(wanted) < LEAST or "/" in name.strip("/"):
        return None
    every = [(squeezed(known), ids) for known, ids in _names(lines).items() if "/" not in known]
    same = dict.fromkeys(one for known, ids in every for one in ids if known == wanted)
    found = list(same or dict.fromkeys(one for known, ids in every for one in ids if known.startswith(wanted)))
    plain = min(found, key=len, default="")
    if len(found) > 1 and all(one.startswith(plain) for one in found):
        return plain
    if len(found) > 1:
        listed = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        problem = Problem(f'"{name[:80]}" can mean {listed}')
        raise AmbiguousName(problem, found, hint="write one of these ids in full")
    return found[0] if found else None


def squeezed(name: str) -> str:
    """A name without what people leave out or write in several ways."""
    return re.sub(r"[-_. ]", "", name.strip().lower()[:120])


LEAST, SHOWN = 4, 8
"""Letters and digits from which the beginning of a name is looked for, and the readings that are listed."""

_HINT = "tonnage show models lists the bundled ones; a config.json, or a folder with one, works too"


def _aliases(identifier: str, lines: Mapping[str, str]) -> Sequence[object]:
    """Other names of a model. They come second in its line, so that the configuration after them is not read."""
    head = lines[identifier].split('"', 6)
    if len(head) == 7 and head[1] == "id" and head[5] == "aliases" and head[6].startswith(":["):
        found: list[object] = _DECODER.raw_decode(head[6], 1)[0]
        return found
    held: Sequence[object] = entry(identifier, lines).get("aliases", ())
    return held


_DECODER = json.JSONDecoder()


def _names(lines: Mapping[str, str]) -> dict[str, list[str]]:
    """Every way to name a model, in lower case -> the ids it means. Ids win over aliases, aliases over last parts."""
    names: dict[str, list[str]] = {identifier.lower(): [identifier] for identifier in lines}
    aliases: dict[str, list[str]] = {}
    parts: dict[str, list[str]] = {}
    for identifier in lines:
        for alias in _aliases(identifier, lines):
            aliases.setdefault(str(alias).lower(), []).append(identifier)
        parts.setdefault(identifier.rsplit("/", 1)[-1].lower(), []).append(identifier)
    for more in (aliases, parts):
        for name, found in more.items():
            names.setdefault(name, found)
    return names
