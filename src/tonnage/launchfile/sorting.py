"""Settings by what they mean, and those that mean nothing here: priced, without effect, not priced, not known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tonnage.errors import Problem, nearest
from tonnage.launchfile.names import names, plain
from tonnage.launchfile.value import Said
from tonnage.printable import one_line

FALSE, TRUE = ("false", "0", "no", "off", "none", "null", ""), ("true", "1", "yes", "on")


OBJECTS = ("drafting", "graphs")
"""Settings that mean something as a whole object."""


@dataclass
class Sorted:
    """What is known of the settings of one start.

    by: meaning -> setting (the last that says it); unpriced: of the engine, and not priced here; strange: not of the
    engine, as far as its settings are known; problems: values that cannot be read.
    """

    engine: str
    by: dict[str, Said] = field(default_factory=dict)
    unpriced: list[Said] = field(default_factory=list)
    strange: list[Said] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Settings as they are named."""
        return tuple(one.name for one in (*self.by.values(), *self.unpriced))

    def text(self, meaning: str) -> str | None:
        """A value as text; None where it is not said, or stands for nothing."""
        said = self.by.get(meaning)
        if said is None or said.value is None or isinstance(said.value, (dict, list, bool)):
            return None
        return str(said.value).strip()

    def number(self, meaning: str) -> float | None:
        """A value as a number. What is set outside the file (`$NODES`) is not said; what is no number is a problem."""
        text = self.text(meaning)
        if text is None or "$" in text or text.lower() in ("none", "null", "auto", ""):
            return None
        scale = {"k": 1e3, "K": 1024, "m": 1e6, "M": 1024**2}.get(text[-1], 1)
        try:
            value = float(text if scale == 1 else text[:-1]) * scale
        except ValueError:
            said = self.by[meaning]
            self.problems.append(Problem(f'expected a number, got "{one_line(text, 40)}"', said.where, said.name))
            return None
        return value if abs(value) < 1e15 else None

    def whole(self, meaning: str) -> int | None:
        """A whole number of at least 1; `-1` and 0 stand for nothing said."""
        value = self.number(meaning)
        return int(value) if value is not None and value >= 1 else None

    def on(self, meaning: str) -> bool | None:
        """Whether a switch is on; None where it is not said."""
        said = self.by.get(meaning)
        if said is None:
            return None
        if isinstance(said.value, str):
            return said.value.strip().lower() not in FALSE
        return said.value is not None and said.value is not False and said.value != 0

    def leave(self, meaning: str) -> None:
        """A setting whose value has no price here."""
        if meaning in self.by:
            self.unpriced.append(self.by.pop(meaning))


def sort(engine: str, said: Iterable[Said]) -> Sorted:
    """Settings of an engine by what they mean."""
    own = names(engine)
    found = Sorted(engine)
    for one in said:
        meaning = own.meaning(one.name)
        negated = plain(one.name).startswith("no-")
        whole = isinstance(one.value, dict) and meaning not in OBJECTS
        if meaning is not None and not negated and not whole:
            found.by[meaning] = one
        elif isinstance(one.value, dict) or one.value is None or one.value is False or own.quiet(one.name):
            continue
        elif own.known(one.name):
            found.unpriced.append(one)
        else:
            found.strange.append(one)
    return found


def told(said: Said, engine: str) -> str:
    """A setting as it is told: its name, its value, its line, and the nearest name where it is not known."""
    value = "" if said.value is True or isinstance(said.value, dict) else f" {one_line(str(said.value), 40)}"
    own = names(engine)
    near = None
    if not own.known(said.name):
        near = nearest(plain(said.name), [*own.means, *own.every, *own.still])
    advice = f' (did you mean "{near}"?)' if near else ""
    return f"{said.name}{value} at {said.where}{advice}"
