"""Write the output of every example again: `examples/`, and the blocks of the README, the guide and the Python page.

`examples/NAME.yaml` is a programme; what `tonnage launch` says of it stands in `NAME.out`, its timeline in `NAME.svg`.
A console example is a file whose first line is `$ tonnage ...` and whose other lines are what that command prints.
A Python example is a block whose lines `# -> ...` are what the statement before them prints; the blocks of one section
are run one after the other.
With `--check` nothing is written: the exit code says whether all examples still print what they say.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path

from tonnage.cli import run

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/guide.md")
PYTHON_PAGE = "docs/python.md"
BLOCK = re.compile(r"(```console\n)(.*?)(```\n)", re.S)
PYTHON = re.compile(r"(```python\n)(.*?)(```\n)", re.S)
PRINTS = "# -> "


def programmes() -> list[Path]:
    """Outputs of the example programmes that changed, written again."""
    changed = []
    for programme in sorted((ROOT / "examples").glob("*.yaml")):
        files = [programme.with_suffix(ending) for ending in (".out", ".svg")]
        old = [file.read_bytes() if file.exists() else b"" for file in files]
        words = [word for file in files for word in ("-o", str(file))]
        output(f"tonnage launch examples/{programme.name} {shlex.join(words)}")
        changed += [file for file, before in zip(files, old, strict=True) if file.read_bytes() != before]
    return changed


def output(command: str) -> str:
    """What a command line of the examples prints on stdout."""
    words = shlex.split(command.removeprefix("$ "))
    if words[0] != "tonnage":
        raise SystemExit(f"not a tonnage command: {command}")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run([*words[1:], "--quiet"])
    if code not in (0, 1):
        raise SystemExit(f"exit {code}: {command}")
    return out.getvalue()


def again(text: str) -> str:
    """A console text whose every `$ tonnage` line is followed by what it prints; `...` keeps a cut cut."""
    parts = re.split(r"(?m)^(?=\$ )", text)
    return parts[0] + "".join(_again(part) for part in parts[1:])


def _again(part: str) -> str:
    command, _, printed = part.partition("\n")
    if not command.startswith("$ tonnage"):
        return part
    lines = output(command).splitlines()
    if printed.rstrip().endswith("\n..."):
        lines = [*lines[: len(printed.rstrip().splitlines()) - 1], "..."]
    return "\n".join([command, *lines]).rstrip() + "\n" + ("\n" if printed.endswith("\n\n") else "")


def page(text: str) -> str:
    """A Markdown page with its console blocks printed again."""
    return BLOCK.sub(lambda block: block[1] + again(block[2]) + block[3], text)


def python_page(text: str) -> str:
    """A Markdown page with its Python blocks run again, each section in a namespace of its own."""
    return "".join(_section(part) for part in re.split(r"(?m)^(?=## )", text))


def _section(text: str) -> str:
    names: dict[str, object] = {"__name__": "example"}
    return PYTHON.sub(lambda block: block[1] + ran(block[2], names) + block[3], text)


def ran(code: str, names: dict[str, object]) -> str:
    """Python code whose every statement is followed by what it prints, as comments."""
    lines, made, done = code.splitlines(), [], 0
    for statement in ast.parse(code).body:
        made += lines[done : statement.end_lineno] + [PRINTS + line for line in _printed(statement, names)]
        done = statement.end_lineno or done
        while done < len(lines) and lines[done].startswith(PRINTS):
            done += 1
    return "".join(line.rstrip() + "\n" for line in made + lines[done:])


def _printed(statement: ast.stmt, names: dict[str, object]) -> list[str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(ast.Module([statement], []), PYTHON_PAGE, "exec"), names)
    return out.getvalue().splitlines()


def _renewed(path: Path, text: str) -> str:
    if path.name == Path(PYTHON_PAGE).name:
        return python_page(text)
    return page(text) if path.suffix == ".md" else again(text)


def main(arguments: list[str]) -> int:
    """Regenerate (or with `--check` compare) all examples; a name as argument limits it to files with that name in."""
    check = "--check" in arguments
    os.chdir(ROOT)
    wanted = [word for word in arguments if not word.startswith("-")]
    stale = [] if check or wanted else [path.name for path in programmes()]
    pages = [ROOT / name for name in (*PAGES, PYTHON_PAGE)]
    for path in [*sorted((ROOT / "examples").glob("*.console")), *pages]:
        if wanted and not any(word in str(path) for word in wanted):
            continue
        old = path.read_text(encoding="utf-8")
        new = _renewed(path, old)
        if new != old:
            stale.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'nothing'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
