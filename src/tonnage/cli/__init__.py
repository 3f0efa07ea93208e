"""The command line: one file per verb, loaded only when that verb is asked for."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
"""As in `typing`, which is not imported here: an interrupt before `main` runs could not be answered in one line."""

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cyclopts import App, CycloptsError

    from tonnage.errors import TonnageError

LONGEST = 600
"""Characters of a line of an error: what was given is quoted, not repeated whole."""

VERBS = {
    "launch": "Whether, when and at what cost a programme launches: P10, P50, P90, what binds, what moves it.",
    "fit": "Does a model fit on these chips; with what context and batch.",
    "train": "The best layout to train a model on these chips: step time, memory, days, cost.",
    "serve": "The best way to serve a model on these chips under a service level: speed, memory, price.",
    "simulate": "A service request by request: percentiles, goodput, queues, from a plan and a trace or a rate.",
    "page": "The same in a browser, on this machine: seen, moved, sent on.",
    "show": "What is known: chips, models, prices, rules, events, or one thing by name.",
    "lawful": "Which chips may be brought to a place, what they do for a model; the best design within limits.",
    "sources": "Where the facts in a saved answer come from.",
    "compare": "What differs between two saved answers.",
    "rerun": "Ask again what a saved answer was asked, and say what changed.",
    "new": "Write a commented programme file to start from.",
    "schema": "The JSON Schema of the programme file, for editors.",
    "completion": "The script by which bash, zsh or fish completes verbs, flags, models and chips.",
    "accuracy": "Predictions held against published, measured results.",
    "ledger": "Predicted against happened: plans that were recorded, and what was measured of them.",
    "export": "A saved plan as the files that start it, with the reason of every value.",
    "run": "Carry a plan out.",
    "mcp": "The verbs as tools of an agent, over standard input and output (Model Context Protocol).",
    "qualify": "Measure this device: fit for training, inference only, or unfit; the calibration that plans use.",
}

GROUPS = {"run": "tonnage.cli.run_verbs:run"}
"""Verbs with verbs of their own, and where each is held (in no module that is called as a function of this one)."""


def app() -> App:
    """The cyclopts application; each verb is imported when it is called."""
    from cyclopts import App

    from tonnage import __version__
    from tonnage.cli.helped import Help

    root = App(
        name="tonnage",
        help="Can this model be trained and served on the chips we can lawfully have; when does it launch, "
        "at what cost, and what is in the way?",
        version=__version__,
        help_format="plaintext",
        help_formatter=Help(),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for verb, summary in VERBS.items():
        if verb in GROUPS:
            root.command(GROUPS[verb], name=verb, help=summary)
            continue
        root.command(f"tonnage.cli.{verb}:{verb}", name=verb, help=summary, help_epilogue=_examples(verb))
    return root


EXAMPLES = {
    "export": (
        "serve deepseek-r1 --on 32xh20 --isl 4k --osl 1k --engine sglang -o plan.json",
        "export plan.json sglang -o launch",
        "export plan.json k8s -o launch",
    ),
    "launch": (
        "launch examples/r2.yaml",
        "launch r2.yaml --by 2026-01-01 --set fleet.own.count=12000 -o r2.json -o r2.svg",
    ),
    "fit": (
        "fit deepseek-r1 --on 8xh200",
        "fit config.json --on 2xrtx-5090 --engine vllm --kv fp8 --context 32k",
    ),
    "train": (
        "train deepseek-v3 --on 2048xh800 --tokens 14.8T",
        "train qwen3-32b --on 16xh100 --task sft --seq 20k --global-batch 16 --tokens 100M",
    ),
    "serve": (
        "serve deepseek-r1 --on 16xh20 --isl 4k --osl 1k --tpot 50ms",
        "serve llama-3.3-70b --on 8xh100 --weights fp8 --ttft 2s --tpot 30ms --rate 5/s --in US",
    ),
    "simulate": (
        "simulate plan.json --rate 20/s --requests 10k",
        "simulate plan.json --trace azure.csv --replicas auto --slo 'ttft p95 2s, tpot p95 50ms' -o run.svg",
    ),
    "show": ("show h20 --in CN", "show prices", "show rules --as-of 2025-02-28"),
    "lawful": ("lawful deepseek-v3 --in CN", "lawful deepseek-v3 --in CN --from h100-sxm"),
    "page": ("page", "page examples/r2.yaml --work build"),
    "sources": ("sources plan.json",),
    "compare": ("compare before.json after.json",),
    "rerun": ("rerun plan.json",),
    "new": ("new mine.yaml --from r2",),
    "schema": ("schema > programme.schema.json",),
    "completion": ("completion bash > ~/.local/share/bash-completion/completions/tonnage", "completion fish"),
    "accuracy": ("accuracy serve", "accuracy train --cases mine.jsonl"),
    "ledger": (
        "ledger --ledger mine.sqlite",
        "ledger add 459cbf3f --set step_time=3.2s,mfu=45% --ledger mine.sqlite",
        "ledger add 459cbf3f --measured steps.jsonl --run r2 --since 2025-03-01",
        "ledger errors --by chip --ledger mine.sqlite",
    ),
    "mcp": ("mcp", "mcp --in plans --seconds 600"),
    "qualify": (
        "qualify --device cpu --quick",
        "qualify --device cuda --standard --check --cards 1024 --days 30 --report verdict.html",
        "qualify --device npu --soak 3d --nproc 8 --into 910c.jsonl",
    ),
}
"""Commands that work as they stand, or once the files are there."""


def _examples(verb: str) -> str:
    """What `--help` of a verb ends with."""
    from tonnage.cli.helped import example

    return "Examples:\n\n" + "\n\n".join(map(example, EXAMPLES[verb]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs one command and exits with 0 (feasible), 1 (infeasible), 2 (bad input), 3 (fact missing)."""
    before, sys.unraisablehook = sys.unraisablehook, _unraisable
    _end_in_order()
    try:
        code = run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt as stop:
        code = _interrupted(stop)
    finally:
        sys.unraisablehook = before
    sys.exit(code)


def _end_in_order() -> None:
    """A request to end (SIGTERM) unwinds as an interrupt does, so that no temporary file is left."""
    import contextlib
    import signal

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, leave)


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code instead of leaving."""
    if sys.stdout is None:
        _tell("error: standard output is closed")
        return 2
    try:
        return _answered(arguments)
    except KeyboardInterrupt as stop:
        return _interrupted(stop)
    except BrokenPipeError:
        _silence()
        return 0
    except OSError as error:
        if {"-v", "--verbose"} & set(arguments) and error.filename is None:
            raise
        _silence()
        _tell(f"error: {error.filename or 'standard output'}: {(error.strerror or str(error)).lower()}")
        return 2


LASTING = {"run", "qualify", "mcp", "new"}
"""Verbs that say themselves how far they are, go on until they are ended, or ask."""


def _answered(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from tonnage import files
    from tonnage.cli.heard import asking
    from tonnage.cli.progress import working
    from tonnage.errors import TonnageError

    _unsay_odd_sizes()
    try:
        check_verb(arguments)
        words = words_of(arguments) or ["--help"]
        shown = not ({"-q", "--quiet"} & {*words}) and words[0] not in LASTING
        with files.noting(), asking(arguments), working(words[0], shown=shown):
            code: Any = app()(words, exit_on_error=False, print_error=False, help_on_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _usage(error, arguments)
    except TonnageError as error:
        return _report(error)
    except OSError:
        raise
    except Exception as error:
        return _defect(error, arguments)
    return code if isinstance(code, int) else 0


def _unsay_odd_sizes() -> None:
    """COLUMNS and LINES that are no size of a terminal are not said: libraries read them as numbers."""
    import os

    for name in ("COLUMNS", "LINES"):
        said = os.environ.get(name, "")
        if said and not (said.isascii() and said.isdigit() and len(said) < 9):
            del os.environ[name]


def _interrupted(stop: BaseException | None = None) -> int:
    """What an interrupt leaves: nothing, unless whoever was interrupted says what."""
    _tell(f"error: interrupted; {stop if stop and stop.args else 'nothing was written'}")
    return 130


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """An interrupt that Python would report and forget, as in the midst of an import, ends the command as well."""
    import os

    if what.exc_type is KeyboardInterrupt:
        os._exit(_interrupted())
    sys.__unraisablehook__(what)


def _silence() -> None:
    """Sends what is still to be printed nowhere, so that leaving does not fail on it again."""
    import contextlib
    import os

    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(*lines: str) -> None:
    """Lines on stderr, safe to print and not endless; lost when it is closed or full."""
    import contextlib

    from tonnage.printable import encodable, printable

    if sys.stderr is None:
        return
    shown = (line if len(line) <= LONGEST else line[:LONGEST] + "..." for line in "\n".join(lines).split("\n"))
    with contextlib.suppress(OSError):
        print(encodable(printable("\n".join(shown)), sys.stderr.encoding), file=sys.stderr)


def words_of(arguments: list[str]) -> list[str]:
    """The words of a command line as the parser takes them."""
    return _with_negatives(_as_flags(arguments))


def check_verb(arguments: list[str]) -> None:
    """Raises InputError for a verb that is none, with the nearest, and for words that no program is started with."""
    from tonnage.errors import InputError, Problem, nearest

    if nul := [word for word in arguments if "\0" in word]:
        raise InputError(Problem("holds a NUL character", nul[0][:60]))
    if empty := [word for word in arguments if word in ("-o=", "--output=")]:
        raise InputError(Problem("expected a file", empty[0].rstrip("=")))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
        problem = Problem(f'no verb named "{arguments[0][:60]}"', suggestion=nearest(arguments[0][:60], VERBS))
        raise InputError(problem, hint="tonnage --help")


def _as_flags(arguments: list[str]) -> list[str]:
    """`--set KEY=VALUE` as `--KEY=VALUE` for the verbs that are asked in flags; those of `launch` are a programme's."""
    from tonnage.errors import InputError, Problem

    if not {*arguments[:1]} & ASKED:
        return arguments
    words, rest = [], iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != "--set":
            words.append(word)
            continue
        pair = value if equals else next(rest, "")
        key, separator, _ = pair.partition("=")
        if not (separator and key.replace("_", "-").replace("-", "").isalnum()):
            raise InputError(Problem(f'expected KEY=VALUE, got "{pair[:60]}"', "--set"))
        words.append(f"--{key.replace('_', '-')}={pair.partition('=')[2]}")
    return words


ASKED = {"fit", "train", "serve", "show", "lawful"}
"""Verbs whose whole question is in flags."""


ELSEWHERE = ("--json", "--csv", "--seed", "--set", "--catalog", "--as-of")
"""Options of most verbs, some of which mean nothing to others."""


def _with_negatives(words: list[str]) -> list[str]:
    """`--ttft -1s` as `--ttft=-1s`: the number belongs to the flag, and can be said to be out of bounds."""
    joined: list[str] = []
    for word in words:
        flag = joined[-1] if joined else ""
        number = len(word) > 1 and word[0] == "-" and (word[1].isdigit() or word[1] in ".$")
        if number and flag.startswith("--") and "=" not in flag:
            joined[-1] = f"{flag}={word}"
        else:
            joined.append(word)
    return joined


TRACEBACK = "the same command with -v prints the traceback; please report it"


def _defect(error: Exception, arguments: list[str]) -> int:
    """An exception that nobody meant: one line, and the traceback only with -v."""
    if {"-v", "--verbose"} & set(arguments):
        raise error
    _tell(
        f"error: a defect in tonnage: {type(error).__name__}: {error}",
        f"hint: {TRACEBACK}",
    )
    return 70


def _report(error: TonnageError) -> int:
    from tonnage.errors import InputError

    problems = error.problems if isinstance(error, InputError) else ()
    if len(problems) > 1:
        lines = [f"error: {len(problems)} problems", *(f"  {problem}" for problem in problems)]
    else:
        lines = [f"error: {error.message}"]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    if any(problem.where == "standard output" for problem in problems):
        _silence()
    _tell(*lines)
    return error.exit_code


def _usage(error: CycloptsError, arguments: list[str]) -> int:
    text, hint = usage(error, arguments)
    _tell(f"error: {text}", f"hint: {hint}")
    return 2


def usage(error: CycloptsError, arguments: list[str]) -> tuple[str, str]:
    """What is wrong with the words of a command line, and where its help is."""
    from cyclopts import UnusedCliTokensError

    verb = next((word for word in arguments if word in VERBS), None)
    if verb in GROUPS:
        verb = " ".join([verb, *arguments[arguments.index(verb) + 1 :][:1]])
    text = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = ", ".join(f'"{word[:60]}"' for word in error.unused_tokens[:5])
        text = f"{words} {'is' if len(error.unused_tokens) == 1 else 'are'} not expected here"
    flag = text.removeprefix("Unknown option: ").partition("=")[0].partition(". ")[0].rstrip(".").strip('"')
    if verb and flag in ELSEWHERE:
        text = f"{flag} means nothing to {verb}"
    return text, f"tonnage {verb + ' ' if verb else ''}--help"
