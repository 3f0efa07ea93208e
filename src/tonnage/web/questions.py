"""What the page asks for a view: the words of the command line, in stages, and the command to copy."""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tonnage.errors import InputError, Problem
from tonnage.files import write
from tonnage.printable import one_line
from tonnage.web import programmes
from tonnage.web.fields import KNOWN, PLAN, VIEWS, checked, words
from tonnage.web.pool import Lane, Question

FIRST_DRAWS = 25
"""Draws of the first answer of a launch, which the whole one then replaces."""

FEWER = "--no-what-ifs"
"""What is left out of the first answer of a launch besides: two thirds of its time."""

MOST_DRAWS = 5000
"""Draws of a launch on the page at most: more take minutes, and belong on the command line."""

MOST_REQUESTS = 100_000
"""Requests of a simulation on the page at most."""

KEEPS: dict[str, Literal["fresh", "disk"]] = {"accuracy": "disk", "runs": "fresh"}
"""How long answers of some views are kept: those of long ones on disk, those of a ledger that grows not at all."""

KEPT, BOARDS = "--kept", ("serve", "train")
"""Boards that are shown as they were last predicted, unless they are asked for anew."""

QUICK_REQUESTS = 20_000
"""Requests up to which a simulation takes a second at most."""


@dataclass(frozen=True)
class ViewAsked:
    """What a view asks. command: to copy; stages: first a quick answer where there is one, the last the whole one;
    base: the same with no rule switched off, to compare with; first_base: that to compare the quick answer with; names:
    paths of the answer, and what they are called.
    """

    command: str
    stages: tuple[Question, ...]
    base: Question | None = None
    first_base: Question | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asker:
    """Where questions are written, and what else they depend on.

    folder: of files that the page writes for its workers; code: digest of the program; programme: the text and name of
    the one that the page was opened with; ledger: the file of runs, if there is one.
    """

    folder: Path
    code: str
    programme: tuple[str, str] | None = None
    ledger: Path | None = None
    today: Callable[[], datetime.date] = datetime.date.today

    def start(self, name: str | None) -> tuple[str, str]:
        """(file name, text) of a programme to start from."""
        if name is None or name not in programmes.BUNDLED:
            return self.programme or ("r2.yaml", programmes.bundled("r2"))
        return programmes.BUNDLED[name], programmes.bundled(name)

    def asked(self, view: str, given: Mapping[str, object], programme: object = None) -> ViewAsked:
        """What a view asks with these fields. Raises InputError for what is wrong with them."""
        values = checked(view, given)
        if view == "launch":
            return self._launch(values, programme)
        if programme is not None:
            raise InputError(Problem("goes with a launch", "programme"))
        if view == "simulate":
            return self._simulate(values)
        argv, command = self._plain(view, values)
        lane: Lane = "heavy" if view == "accuracy" and KEPT not in argv else "quick"
        question = Question(self._key(argv), argv, lane, KEEPS.get(view, "while"))
        names = {str(self.ledger): self.ledger.name} if self.ledger is not None else {}
        return ViewAsked(command, (question,), names=names)

    def _plain(self, view: str, values: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
        """The words of a view that is one command, and the same to copy."""
        flags = words(VIEWS[view], values)
        if view == "catalogue":
            return _both(["show", values.get("what", "chips"), *flags, *self._aged(values)])
        if view == "accuracy":
            what = values.get("what", "serve")
            return _both(["accuracy", what, *([KEPT] if what in BOARDS and "anew" not in values else [])])
        if view == "runs":
            return self._runs(values, flags)
        if "model" not in values or "on" not in values:
            missing = [name for name in ("model", "on") if name not in values]
            raise InputError([Problem("is needed", name) for name in missing])
        return _both([view, values["model"], *flags])

    def _aged(self, values: Mapping[str, str]) -> list[str]:
        """The day to which prices are old, where none is asked for: today."""
        what = values.get("what", "chips")
        return [f"--as-of={self.today()}"] if "as_of" not in values and (what == "prices" or what not in KNOWN) else []

    def _runs(self, values: Mapping[str, str], flags: list[str]) -> tuple[tuple[str, ...], str]:
        if self.ledger is None:
            raise InputError(Problem("no ledger: tonnage page --ledger FILE opens one", "ledger"))
        what = values.get("what", "list")
        plan = [values["plan"]] if what == "show" and "plan" in values else []
        argv, command = _both(["ledger", what, *plan, *(flags if what == "errors" else [])])
        return (*argv, f"--ledger={self.ledger}"), f"{command} --ledger {shlex.quote(self.ledger.name)}"

    def _simulate(self, values: Mapping[str, str]) -> ViewAsked:
        """A simulation: the service as a file, the rest as flags."""
        many = _number(values.get("requests", "5k"))
        if many > MOST_REQUESTS:
            raise InputError(Problem(f"expected at most {MOST_REQUESTS:,} on the page", "requests"))
        service = {name: values[name] for name in PLAN if name in values}
        path = self._written(json.dumps(service, indent=1), "service.yaml")
        flags = words([each for each in VIEWS["simulate"] if each.name not in PLAN], values)
        argv = ("simulate", str(path), *flags)
        key = self._key(("simulate", json.dumps(service), *flags))
        command = shlex.join(["tonnage", "simulate", "service.yaml", *_spaced(flags)])
        text = "\n".join(f"{name}: {value}" for name, value in service.items())
        long = many > QUICK_REQUESTS or "find_rate" in values or values.get("replicas") == "auto"
        command = f"cat > service.yaml <<'END'\n{text}\nEND\n{command}"
        return ViewAsked(
            command, (Question(key, argv, "heavy" if long else "quick"),), names={str(path): "service.yaml"}
        )

    def _launch(self, values: Mapping[str, str], programme: object) -> ViewAsked:
        """A launch: first a few draws without what-ifs, then all; with rules switched off, also with them on."""
        name, text = self.start(values.get("start"))
        if programme is not None:
            if not isinstance(programme, str):
                raise InputError(Problem("expected the text of a programme", "programme"))
            text = programme
        draws = int(_number(values.get("draws", "500")))
        if not 20 <= draws <= MOST_DRAWS:
            raise InputError(Problem(f"expected 20 to {MOST_DRAWS:,} draws on the page", "draws"))
        document = programmes.checked(text)
        path = self._written(text, name)
        flags = [flag for flag in words(VIEWS["launch"], values) if not flag.startswith("--draws")]
        off = [rule for rule in values.get("off", "").split(",") if rule]
        change = [f"--set={programmes.without(document, off)}"] if off else []

        def question(many: int, changed: Sequence[str]) -> Question:
            argv = ("launch", str(path), f"--draws={many}", "--workers=1", *flags, *changed)
            key = self._key(("launch", name, text, str(many), *flags, *changed))
            return Question(key, argv, "heavy", "disk")

        stages = [question(draws, change)]
        quick = draws > 2 * FIRST_DRAWS
        if quick:
            stages.insert(0, question(FIRST_DRAWS, (*change, FEWER)))
        drawn = [] if draws == 500 else [f"--draws={draws}"]
        command = shlex.join(["tonnage", "launch", name, *_spaced([*drawn, *flags, *change])])
        base = question(draws, ()) if off else None
        first = question(FIRST_DRAWS, (FEWER,)) if off and quick else None
        return ViewAsked(command, tuple(stages), base, first, {str(path): name})

    def _written(self, text: str, name: str) -> Path:
        """A file of the page's own folder with this text: the same text is the same file."""
        folder = self.folder / hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        if not path.exists():
            write(path, text)
        return path

    def _key(self, parts: Sequence[str]) -> str:
        """The same for the same question, asked of the same program on the same day."""
        text = json.dumps([self.code, str(self.today()), *parts])
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _both(argv: Sequence[str]) -> tuple[tuple[str, ...], str]:
    return tuple(argv), shlex.join(["tonnage", *_spaced(argv)])


def _spaced(flags: Sequence[str]) -> list[str]:
    """`--flag=value` as people write it."""
    found: list[str] = []
    for word in flags:
        name, equals, value = word.partition("=")
        found += [name, value] if equals and name.startswith("--") else [word]
    return found


def _number(text: str) -> float:
    """A number of the page: 500, 2k, 1M."""
    scale = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text.strip()[-1:], 1.0)
    try:
        return float(text.strip().rstrip("kMBT ").replace(",", "")) * scale
    except ValueError:
        raise InputError(Problem(f'expected a number, got "{one_line(text, 40)}"')) from None
