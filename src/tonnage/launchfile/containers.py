"""Commands that start a container (`docker run IMAGE ...`), and files that make one (Dockerfile) or keep one running
(a unit of systemd): the command inside.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tonnage.launchfile.value import Command, Word

RUNNERS = ("docker", "podman", "nerdctl")

ALONE = frozenset(
    {
        "d",
        "detach",
        "i",
        "interactive",
        "t",
        "tty",
        "rm",
        "init",
        "privileged",
        "read-only",
        "P",
        "publish-all",
        "no-healthcheck",
        "oom-kill-disable",
        "sig-proxy",
        "q",
        "quiet",
    }
)
"""Options of `docker run` and `docker exec` that take no value (docker CLI reference, 2026); all others take one."""


@dataclass(frozen=True)
class Contained:
    """What is given to a container. image: its image, None in one that runs; env: what is set there."""

    words: tuple[Word, ...]
    image: str | None
    env: dict[str, str]


def contained(words: Sequence[Word]) -> Contained | None:
    """The command inside `docker run` or `docker exec`; None for any other command."""
    for at, word in enumerate(words[:-1]):
        if word.text.rsplit("/", 1)[-1] in RUNNERS:
            verb = next((i for i in range(at + 1, min(at + 4, len(words))) if words[i].text in ("run", "exec")), None)
            return None if verb is None else _inside(words[verb + 1 :], run=words[verb].text == "run")
    return None


def _inside(words: Sequence[Word], *, run: bool) -> Contained | None:
    env: dict[str, str] = {}
    entry: list[Word] = []
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        flag, equals, value = words[at].text.partition("=")
        takes = not (equals or flag.lstrip("-") in ALONE or re.fullmatch(r"-[ditq]{2,}", flag))
        given = words[at + 1].text if takes and at + 1 < len(words) else value
        if flag in ("-e", "--env") and "=" in given:
            name, _, text = given.partition("=")
            env[name] = text
        if flag == "--entrypoint":
            entry = [Word(text, words[at].line) for text in given.split()]
        at += 1 + takes
    if at >= len(words):
        return None
    image = words[at].text if run else None
    return Contained((*entry, *words[at + 1 :]), image, env)


@dataclass
class BuiltImage:
    """A Dockerfile as far as it is read: the image it builds on, what it sets, what it starts."""

    image: str | None = None
    env: dict[str, str] | None = None
    entry: tuple[Word, ...] = ()
    command: tuple[Word, ...] = ()

    def started(self) -> Command:
        """The command that a container of it starts."""
        return Command((*self.entry, *self.command), self.image)


def dockerfile(text: str) -> BuiltImage:
    """The last stage of a Dockerfile."""
    found = BuiltImage(env={})
    for line, name, rest in _instructions(text):
        if name == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            found = BuiltImage(words[0] if words else None, {})
        elif name in ("ENV", "ARG"):
            assert found.env is not None
            found.env |= _set(rest)
        elif name in ("ENTRYPOINT", "CMD"):
            words_ = _listed(rest, line)
            if words_ is None:
                words_ = (Word("sh", line), Word("-c", line), Word(rest, line))
            if name == "CMD":
                found.command = words_
            else:
                found.entry, found.command = words_, ()
    return found


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, instruction, what it is given), joined lines in one."""
    held, start = "", 0
    for number, row in enumerate(text.splitlines(), 1):
        if row.lstrip().startswith("#"):
            continue
        start = start if held else number
        held += row
        if held.rstrip().endswith("\\"):
            held = held.rstrip()[:-1] + " "
            continue
        name, _, rest = held.strip().partition(" ")
        held = ""
        if name:
            yield start, name.upper(), rest.strip()


def _listed(rest: str, line: int) -> tuple[Word, ...] | None:
    """Words of the form in JSON; None of the form of a shell."""
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    return tuple(Word(str(one), line) for one in value) if isinstance(value, list) else None


def _set(rest: str) -> dict[str, str]:
    """`A=1 B="2 3"` or `A 1`."""
    try:
        words = shlex.split(rest)
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])} if len(words) > 1 else {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def unit(text: str) -> tuple[str, int, dict[str, str]] | None:
    """(what a unit of systemd starts, its line, what it sets); None where it starts nothing."""
    env: dict[str, str] = {}
    found: tuple[str, int] | None = None
    for line, row in _joined(text):
        name, _, rest = row.partition("=")
        if name.strip() == "Environment":
            env |= _set(rest.strip())
        elif name.strip() == "ExecStart":
            found = (rest.strip().lstrip("@-:+!"), line)
    return None if found is None else (*found, env)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    held, start = "", 0
    for number, row in enumerate(text.splitlines(), 1):
        start = start if held else number
        held += row
        if held.rstrip().endswith("\\"):
            held = held.rstrip()[:-1] + " "
            continue
        yield start, held
        held = ""


FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([\w+-]*)")

SHELL = ("bash", "sh", "shell", "console", "shell-session", "zsh", "")


def fenced(text: str) -> str:
    """The blocks of shell of a text in Markdown, every line at its place; prompts taken off."""
    kept: list[str] = []
    mark, reading = "", False
    for row in text.splitlines():
        found = FENCE.match(row)
        if found and not mark:
            mark, reading = found[1], found[2].lower() in SHELL
            kept.append("")
        elif found and row.strip() == mark:
            mark, reading = "", False
            kept.append("")
        else:
            kept.append(re.sub(r"^\s*(\$|>|#) (?=\S)", "", row) if reading else "")
    return "\n".join(kept) + "\n"
