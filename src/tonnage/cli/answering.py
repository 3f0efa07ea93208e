"""Answers as values: the command line for a page, for agents and for tests.

`answer(argv)` runs a verb as the command line does and gives plain JSON; it prints nothing, writes no file and raises
nothing. `python -m tonnage.cli.answering` does so for each line `{"id": ..., "argv": [...]}` of its standard input and
writes one line of JSON for each, with `{"id": ..., "progress": {...}}` before it where a verb says how far it is. A
process that takes too long can be ended: there is nothing to clean up.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tonnage.cli.heard import Heard, Progress, listening

if TYPE_CHECKING:
    from tonnage.errors import Problem, TonnageError

REFUSED = {
    "run": "starts something that goes on",
    "qualify": "measures the device that it runs on",
}
"""Verbs that are not answered here, and why."""

FLAGS = {
    "--help": "prints a text",
    "-h": "prints a text",
    "--version": "prints a text",
    "--picture": "writes a file",
    "--resume": "writes a folder",
    "--ray": "computes elsewhere",
}
"""The same of flags; `-o` and `--ledger` are refused where they are read."""

WRITES = "the answer is a value here, and no file is written"

DEFECT = 70
"""Exit code of what nobody meant."""

LONGEST_LINE = 2_000_000
"""Characters of a question at most."""


def answer(argv: Sequence[str], progress: Progress | None = None) -> dict[str, object]:
    """What a command line gives, as JSON: `code` (as its exit code), `command`, `reply` (as --json prints it), `answer`
    (in words), `charts`, `errors` (every problem, as on the command line), `hint`, `notes`, `text`.
    """
    words = [str(word) for word in argv]
    heard = Heard(words[0] if words else "", progress)
    try:
        with listening(heard):
            code = _run(words)
        return _told(words, heard, code, [], None)
    except Exception as error:
        return _told(words, heard, *_failure(error, words))


def _run(words: list[str]) -> int:
    """The exit code of a verb, run as the command line runs it."""
    from tonnage import cli

    _check(words)
    code: Any = cli.app()(cli.words_of(words), exit_on_error=False, print_error=False, help_on_error=False)
    return code if isinstance(code, int) else 0


def _check(words: list[str]) -> None:
    """Raises InputError for no verb, and for what would write, go on or leave this process."""
    from tonnage import cli
    from tonnage.errors import InputError, Problem

    if not words or words[0].startswith("-"):
        raise InputError(Problem("expected a verb first"), hint="tonnage --help")
    cli.check_verb(words)
    verb, rest = words[0], words[1:]
    if verb in REFUSED:
        raise InputError(Problem(f"{verb} {REFUSED[verb]}; run it on the command line"))
    given = dict.fromkeys(name for word in rest if (name := word.partition("=")[0]) in FLAGS)
    problems = [Problem(f"{FLAGS[name]}; use it on the command line", name) for name in given]
    if verb == "new" and not _only(rest, "--from"):
        problems.append(Problem(WRITES, "new"))
    if verb == "ledger" and "add" in rest:
        problems.append(Problem("writes to the ledger; use it on the command line", "ledger add"))
    if problems:
        raise InputError(problems)


def _only(words: Sequence[str], flag: str) -> bool:
    """Whether nothing but this flag with its value is given."""
    return not words or (words[0] == flag and len(words) == 2) or (words[0].startswith(f"{flag}=") and len(words) == 1)


def _failure(error: Exception, words: list[str]) -> tuple[int, list[dict[str, object]], str | None]:
    """Exit code, problems and hint of what went wrong."""
    from cyclopts import CycloptsError

    from tonnage import cli
    from tonnage.errors import TonnageError

    if isinstance(error, TonnageError):
        return error.exit_code, _problems(error), error.hint
    if isinstance(error, CycloptsError):
        text, hint = cli.usage(error, words)
        return 2, [_problem(text)], hint
    if isinstance(error, OSError):
        return 2, [_problem((error.strerror or str(error)).lower(), str(error.filename or ""))], None
    return DEFECT, [_problem(f"a defect in tonnage: {type(error).__name__}: {str(error)[:200]}")], cli.TRACEBACK


def _problems(error: TonnageError) -> list[dict[str, object]]:
    from tonnage.errors import InputError

    if isinstance(error, InputError):
        return [_problem_of(problem) for problem in error.problems]
    return [_problem(error.message)]


def _problem_of(problem: Problem) -> dict[str, object]:
    return _problem(problem.message, problem.where, problem.path, problem.suggestion)


def _problem(text: str, place: str = "", path: str = "", nearest: str | None = None) -> dict[str, object]:
    """One problem: where it is, in which key, what is wrong, and the nearest valid name."""
    from tonnage.printable import printable

    found = {"place": printable(place), "path": printable(path), "text": printable(text)}
    return {**found, "nearest": None if nearest is None else printable(nearest)}


def _told(
    words: list[str], heard: Heard, code: int, errors: list[dict[str, object]], hint: str | None
) -> dict[str, object]:
    """Everything that came of a command, as JSON."""
    from tonnage.printable import printable

    reply: dict[str, object] | None = None
    said: dict[str, object] | None = None
    charts: list[object] = []
    if heard.reply is not None and not errors:
        from tonnage.report.answer import to_json
        from tonnage.report.charts import charts_of
        from tonnage.report.envelope import envelope, plain

        reply, said = plain(envelope(heard.reply)), plain(to_json(heard.reply.answer))
        charts = [chart.to_json() for chart in charts_of(reply or {})]
    return {
        "code": code,
        "command": printable(shlex.join(["tonnage", *words])),
        "reply": reply,
        "answer": said,
        "charts": charts,
        "errors": errors,
        "hint": None if hint is None else printable(hint),
        "notes": [printable(note) for note in heard.notes],
        "text": "".join(heard.texts) or None,
    }


def serve(lines: Iterable[str], write: Callable[[str], object]) -> None:
    """Answer each line of JSON with one; a line that is none is answered with what is wrong with it."""
    for line in lines:
        if line.strip():
            write(json.dumps(_answered(line, write), allow_nan=False) + "\n")


def _answered(line: str, write: Callable[[str], object]) -> dict[str, object]:
    try:
        asked = json.loads(line) if len(line) <= LONGEST_LINE else None
    except (ValueError, RecursionError):
        asked = None
    argv = asked.get("argv") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        wrong = _problem('expected one object with "id" and "argv", a list of text, on each line')
        return {"id": None, **_told([], Heard(""), 2, [wrong], None)}
    key = asked.get("id")

    def tell(done: dict[str, object]) -> None:
        write(json.dumps({"id": key, "progress": done}, allow_nan=False) + "\n")

    try:
        return {"id": key, **answer(argv, tell)}
    except Exception as error:  # a reply that is no JSON, a chart that cannot be drawn
        return {"id": key, **_told(argv, Heard(""), *_failure(error, argv))}


def main() -> None:
    """The loop: questions from standard input, answers to standard output, which nothing else may write to."""
    out, sys.stdout = sys.stdout, sys.stderr

    def write(text: str) -> None:
        out.write(text)
        out.flush()

    serve(sys.stdin, write)


if __name__ == "__main__":
    main()
