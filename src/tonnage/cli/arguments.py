"""The verbs and their options as data: what a shell completes and an agent's schema says, read from the verbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tonnage.cli import GROUPS, VERBS, app


@dataclass(frozen=True)
class Option:
    """A flag, or a word without one.

    names: as written, the full name first; empty for a word by its place. label: of such a word, such as `MODEL`.
    off: the name that turns it off, where it is on without it.
    takes: whether a value follows. many: whether it may be repeated. hint: type of the value. choices: all its values,
    where they are few and fixed. default: without it, None where there is none. help: what the verb says of it.
    group: `Everywhere` for those of all verbs.
    """

    names: tuple[str, ...]
    label: str
    off: str
    takes: bool
    many: bool
    hint: object
    choices: tuple[str, ...]
    required: bool
    default: Any
    help: str
    group: str

    @property
    def name(self) -> str:
        """`--as-of` -> `as_of`, `MODEL` -> `model`."""
        return (self.names[0] if self.names else self.label).lstrip("-").replace("-", "_").lower()


@dataclass(frozen=True)
class VerbWords:
    """A verb by its path (`("run", "train")`), one line on it, and what it takes."""

    path: tuple[str, ...]
    summary: str
    options: tuple[Option, ...]

    @property
    def flags(self) -> tuple[Option, ...]:
        """Options with a name."""
        return tuple(option for option in self.options if option.names)

    @property
    def words(self) -> tuple[Option, ...]:
        """Options by their place, in order."""
        return tuple(option for option in self.options if not option.names)


def verbs() -> tuple[VerbWords, ...]:
    """Every verb, those of a group each by itself."""
    root = app()
    paths = [(verb, *sub) for verb in VERBS for sub in (_subverbs(verb) if verb in GROUPS else [()])]
    return tuple(verb_words(path, root) for path in paths)


def verb_words(path: tuple[str, ...], root: Any = None) -> VerbWords:
    """One verb. root: the application, if it is at hand."""
    found = root or app()
    for word in path:
        found = found[word]
    arguments = found.assemble_argument_collection(parse_docstring=True)
    return VerbWords(path, _first_line(found.help), tuple(_option(one) for one in arguments if one.show))


def _subverbs(group: str) -> list[tuple[str, ...]]:
    return [(name,) for name in app()[group] if not name.startswith("-")]


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _option(argument: Any) -> Option:
    names = tuple(name for name in argument.names if name.startswith("-") and name not in argument.negatives)
    default = argument.field_info.default
    groups = [group.name for group in argument.parameter.group or ()]
    return Option(
        names=names,
        label="" if names else str(argument.names[0]),
        off=str(argument.negatives[0]) if default is True and argument.negatives else "",
        takes=argument.token_count()[0] > 0,
        many=bool(argument.token_count()[1]),
        hint=argument.hint,
        choices=tuple(argument.get_choices() or ()),
        required=bool(argument.required),
        default=None if default is argument.field_info.empty else default,
        help=" ".join((argument.parameter.help or "").split()),
        group=str(groups[0]) if groups else "",
    )
