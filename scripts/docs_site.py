"""The pages of the documentation site, laid out as the repository is, so that every link leads where it leads there.

`python scripts/docs_site.py FOLDER` writes them: the README as the first page, docs/, examples with what they print,
and the reference of the public names from their docstrings. `--check SITE` looks a built site over: no page asks for
anything from outside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tonnage

ROOT = Path(__file__).parents[1]
WHOLE = ("README.md", "CHANGELOG.md", "SKILL.md", "NOTICE", "LICENSE")
SHOWN = (".md", ".svg", ".yaml", ".json", ".out", ".console", ".ipynb")
"""Files of examples that are part of the site."""

CAPTIONS = {
    "tonnage.arrays": "Arrays",
    "tonnage.catalog": "Facts",
    "tonnage.errors": "Outcomes and errors",
    "tonnage.export": "Launch files",
    "tonnage.fleet": "Programmes and launches",
    "tonnage.interval": "Intervals",
    "tonnage.law": "Export rules",
    "tonnage.layout": "Layouts",
    "tonnage.model": "Models",
    "tonnage.provenance": "Provenance",
    "tonnage.report.saved": "Saved answers",
    "tonnage.serve": "Serving",
    "tonnage.system": "Accelerators and systems",
    "tonnage.train": "Training",
}
"""Headings of the rooms that public names live in."""

WORKER = "iframe-worker.js"
"""What lets the search work where the site is opened from a folder."""

STYLE = """/* Answers are 118 characters wide, and are read, not decoration. */
.md-grid { max-width: 84rem; }
.md-typeset pre > code { font-size: 0.6rem; }
.md-typeset .highlight .go { color: var(--md-code-fg-color); }
.md-typeset h1 { font-weight: 400; color: var(--md-default-fg-color); }
"""

OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source|audio|video)\b[^>]*\ssrc=["'](?:https?:)?//[^"']*"""
    r"""|<link\b(?![^>]*rel=["'](?:canonical|next|prev)["'])[^>]*\shref=["'](?:https?:)?//[^"']*"""
    r"""|url\(["']?(?:https?:)?//[^)]*|@import\s+["'](?:https?:)?//[^"']*"""
)
"""What a browser would fetch from elsewhere when it opens a page or a style sheet; links that people follow are not."""


def pages(into: Path) -> None:
    """Write every page and what it shows."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for name in WHOLE:
        shutil.copy(ROOT / name, into / name)
    shutil.copytree(ROOT / "docs", into / "docs")
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.suffix in SHOWN:
            target = into / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for book in sorted((into / "examples").glob("*.ipynb")):
        book.with_suffix(".md").write_text(notebook(book), encoding="utf-8")
    for page in sorted(into.rglob("*.md")):
        follow(into, page)
    (into / "examples" / "index.md").write_text(examples(), encoding="utf-8")
    (into / "site.css").write_text(STYLE, encoding="utf-8")
    shutil.copy(ROOT / "scripts" / WORKER, into / WORKER)
    (into / "docs" / "reference.md").write_text(reference(), encoding="utf-8")


def follow(into: Path, page: Path) -> None:
    """Copy what a page links to and is no page; a link to a folder becomes its words."""

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        source = ROOT / page.relative_to(into).parent / target
        if re.match(r"[a-z]+:|#", match[2]) or not target:
            return match[0]
        if source.is_dir():
            return match[1]
        copy = into / Path(os.path.normpath(source)).relative_to(ROOT)
        if source.is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
        return match[0]

    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", kept, text), encoding="utf-8")


def examples() -> str:
    """One page with each example: what is asked, what it prints, its picture."""
    folder = ROOT / "examples"
    parts = ["# Examples\n\nEach is run again in the tests, and prints what stands here.\n"]
    for path in sorted(folder.glob("*.yaml")):
        name = path.stem
        parts.append(f"## {name}\n\nThe programme: [{path.name}]({path.name})\n\n![Who does what when]({name}.svg)\n")
        parts.append(f"```console\n{(folder / f'{name}.out').read_text(encoding='utf-8').rstrip()}\n```\n")
    books = [f"- [{path.stem.replace('-', ' ')}]({path.stem}.md)" for path in sorted(folder.glob("*.ipynb"))]
    parts += ["## Notebooks\n\n" + "\n".join(books) + "\n"] if books else []
    texts = {path.stem: path.read_text(encoding="utf-8").rstrip() for path in sorted(folder.glob("*.console"))}
    parts += [f"## {name}\n\n```console\n{text}\n```\n" for name, text in texts.items()]
    return "\n".join(parts)


def notebook(path: Path) -> str:
    """A notebook as a page: its words, its code, and what is kept of its outputs."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
        else:
            parts.append(f"```python\n{text}\n```")
            parts += [output(one) for one in cell["outputs"]]
    return "\n\n".join([*filter(None, parts), f"The notebook: [{path.name}]({path.name})"]) + "\n"


def output(one: Mapping[str, Any]) -> str:
    """One output: HTML without scripts as it is, text else."""
    data = one.get("data", {})
    html, plain = "".join(data.get("text/html", "")), "".join(one.get("text", data.get("text/plain", "")))
    if html and "<script" not in html:
        return "<div>" + re.sub(r"\n\s*\n", "\n", html).strip() + "</div>"
    return f"```text\n{plain.rstrip()}\n```" if plain.strip() else ""


def homes() -> dict[str, list[tuple[str, str]]]:
    """Room -> (public name, name in the room) of each of its public names."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in sorted(tonnage._HOMES):
        home = tonnage._HOMES[name]
        room, _, own = home.partition(":")
        found[room].append((name, own or name))
    return dict(sorted(found.items()))


def reference() -> str:
    """The public names, by room, as `mkdocstrings` reads them."""
    parts = [
        "# Reference\n\nThe public names of `import tonnage`, from their docstrings; [how to use them](python.md).\n"
    ]
    for room, names in homes().items():
        parts.append(f"## {CAPTIONS.get(room, room.rpartition('.')[2].capitalize())}\n")
        for name, own in names:
            alias = "" if own == name else f"`{room}.{own}` by its public name.\n\n"
            parts.append(f"### {name}\n\n{alias}::: {defined(room, own)}\n")
    return "\n".join(parts)


def defined(room: str, name: str) -> str:
    """Where a name is defined: `tonnage.serve.plan.plan`."""
    found = getattr(__import__(room, fromlist=[name]), name)
    return f"{found.__module__}.{found.__qualname__}"


def asked_outside(site: Path) -> list[str]:
    """What the pages of a built site would fetch from elsewhere."""
    found = []
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        text = path.read_text(encoding="utf-8", errors="replace")
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", text, flags=re.S)
        found += [f"{path.relative_to(site)}: {match[0][:120]}" for match in OUTSIDE.finditer(text)]
    return found


def main() -> int:
    """Write the pages, or look a site over."""
    if sys.argv[1:2] == ["--check"]:
        site = Path(sys.argv[2])
        count, problems = len(list(site.rglob("*.html"))), asked_outside(site)
        print("\n".join(problems) or f"{count} pages, none asks for anything from outside")
        return bool(problems) or count < 10
    pages(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
