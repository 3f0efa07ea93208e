"""One tool of an agent: what it takes as a JSON Schema, what it gives, and the command line that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.agents.folder import QuestionFolder
from tonnage.errors import InputError, Problem, nearest

MOST_WORD = 4000
"""Characters of a value that is no file."""

MOST_WORDS = 200
"""Values of one that may be repeated."""

Schema = Mapping[str, object]

ITSELF = {
    "answer": "the whole answer that a tool gave, or the text of one",
    "model": "the content of a config.json as an object",
}
"""What may be given in place of a file besides its text, by the kind of file."""


@dataclass(frozen=True)
class Property:
    """One input. flag: as on the command line, empty for a word by its place; kind: `text`, `whole`, `number`, `flag`
    (on or off); many: several may be given; files: it may be, or is, a file: `file` (a path or its text), `answer` (the
    same, or an earlier answer itself), `model` (a name, a path, or a configuration itself), else empty; ending: of such
    a file; choices: all values, where they are few; required; help; default, as text.
    """

    name: str
    flag: str
    kind: str
    many: bool = False
    files: str = ""
    ending: str = "json"
    choices: tuple[str, ...] = ()
    required: bool = False
    help: str = ""
    default: str = ""

    def schema(self) -> dict[str, object]:
        """What it takes."""
        one = self._one()
        if self.many:
            one = {"anyOf": [one, {"type": "array", "items": one, "maxItems": MOST_WORDS}]}
        told = [self.help, f"Default {self.default}." if self.default and self.kind != "flag" else ""]
        told += [f"A path in the server's folder, or {ITSELF.get(self.files, 'its text')}."] if self.files else []
        return {**one, "description": " ".join(filter(None, told))}

    def _one(self) -> dict[str, object]:
        if self.choices:
            return {"enum": list(self.choices)}
        types = {"flag": "boolean", "whole": "integer", "number": "number", "text": ["string", "number"]}
        plain: dict[str, object] = {"type": types[self.kind]}
        if not self.files:
            return plain
        text: dict[str, object] = {
            "type": "object",
            "properties": {"text": {"type": "string"}, "name": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        }
        more = [{"type": "object"}] if self.files in ITSELF else []
        return {"anyOf": [{"type": "string"}, text, *more]}


@dataclass(frozen=True)
class AgentTool:
    """A verb as a tool. outputs: what it gives; None for a text."""

    name: str
    title: str
    description: str
    verb: tuple[str, ...]
    properties: tuple[Property, ...]
    outputs: Schema | None

    @property
    def inputs(self) -> dict[str, object]:
        """What it takes, as a JSON Schema."""
        return {
            "type": "object",
            "properties": {one.name: one.schema() for one in self.properties},
            "required": [one.name for one in self.properties if one.required],
            "additionalProperties": False,
        }

    def words(self, given: Mapping[str, object], folder: QuestionFolder) -> list[str]:
        """The command line; raises InputError with everything that is wrong with what was given."""
        known = {one.name: one for one in self.properties}
        problems = [
            Problem(f"is no input of {self.name}", name[:60], suggestion=nearest(name[:60], known))
            for name in given
            if name not in known
        ]
        places, flags = [], []
        for one in self.properties:
            value = given.get(one.name)
            if value is None:
                problems += [Problem("is needed", one.name)] if one.required else []
            elif one.flag:
                flags += self._flag(one, value, folder)
            else:
                places += self._texts(one, value, folder)
        problems += folder.problems
        if problems:
            raise InputError(problems, hint=f"the schema of the tool {self.name} says what it takes")
        return [*self.verb, *places, *flags]

    def _flag(self, one: Property, value: object, folder: QuestionFolder) -> list[str]:
        if one.kind != "flag":
            return [f"{one.flag}={text}" for text in self._texts(one, value, folder)]
        if not isinstance(value, bool):
            folder.problems.append(Problem("expected true or false", one.name))
        wanted = one.default != "true"
        return [one.flag] if value is wanted else []

    def _texts(self, one: Property, value: object, folder: QuestionFolder) -> list[str]:
        values = value if isinstance(value, list) and one.many else [value]
        if len(values) > MOST_WORDS:
            folder.problems.append(Problem(f"expected {MOST_WORDS} values at most, got {len(values):,}", one.name))
            return []
        found = [_text(one, item, folder) for item in values]
        if not one.flag and any(text.startswith("-") for text in found):
            folder.problems.append(Problem('a name cannot begin with "-"', one.name))
        return found


def _text(one: Property, value: object, folder: QuestionFolder) -> str:
    """One value as the command line takes it; what is wrong with it is noted."""
    if one.files and isinstance(value, dict):
        return _file(one, value, folder)
    wrong = _wrong(one, value)
    if wrong:
        folder.problems.append(Problem(wrong, one.name, suggestion=_near(one, value)))
        return ""
    text = f"{value:g}" if isinstance(value, float) and value == int(value) < 1e15 else str(value)
    return folder.named(one.name, text) if one.files else text


def _file(one: Property, value: Mapping[str, object], folder: QuestionFolder) -> str:
    text = value.get("text")
    if isinstance(text, str) and set(value) <= {"text", "name"}:
        return folder.given(one.name, text, value.get("name"), one.ending)
    if one.files in ITSELF:
        return folder.json(one.name, value)
    folder.problems.append(Problem('expected a path, or an object with its "text"', one.name))
    return ""


def _wrong(one: Property, value: object) -> str:
    """What is wrong with a plain value; empty where nothing is."""
    if one.choices and value not in one.choices:
        return f"expected one of {', '.join(one.choices)}"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return f"expected {_expected(one)}"
    if one.kind == "whole" and not (isinstance(value, int) or str(value).lstrip("-").isdecimal()):
        return "expected a whole number"
    if isinstance(value, float) and value - value != 0:
        return "expected a finite number"
    text = str(value)
    if len(text) > MOST_WORD:
        return f"has {len(text):,} characters; {MOST_WORD:,} at most"
    return "holds a character that no name has" if "\0" in text else ""


def _expected(one: Property) -> str:
    kinds = {"whole": "a whole number", "number": "a number", "text": "a text"}
    return "a path, or an object" if one.files else kinds.get(one.kind, "a value")


def _near(one: Property, value: object) -> str | None:
    return nearest(str(value)[:60], one.choices) if one.choices else None
