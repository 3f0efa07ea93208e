"""The documentation site: its navigation names every page, and its pages are made as they should be (`make docs`)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import tonnage

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts" / "docs_site.py")
assert spec is not None and spec.loader is not None
site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site)

SETTINGS = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into: Path = tmp_path_factory.mktemp("site") / "pages"
    site.pages(into)
    return into


def named(nav: Any) -> list[str]:
    """Every page of a navigation."""
    if isinstance(nav, str):
        return [nav]
    items = nav.values() if isinstance(nav, dict) else nav
    return [page for item in items for page in named(item)]


def test_the_navigation_names_every_page(pages: Path) -> None:
    there = sorted(path.relative_to(pages).as_posix() for path in pages.rglob("*.md"))
    books = {f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.ipynb")}
    assert sorted(named(SETTINGS["nav"])) == sorted({*there} - books), "mkdocs.yml"
    examples = (pages / "examples" / "index.md").read_text(encoding="utf-8")
    assert books <= {*there} and all(f"({book.removeprefix('examples/')})" in examples for book in books)
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} < set(there)


def test_the_search_works_from_a_folder_with_nothing_from_outside(pages: Path) -> None:
    assert "offline" in SETTINGS["plugins"] and SETTINGS["use_directory_urls"] is False
    assert SETTINGS["extra"]["polyfills"] == [site.WORKER] and "iframe-worker" in site.WORKER
    assert "window.Worker = class" in (pages / site.WORKER).read_text(encoding="utf-8")


def test_nothing_is_fetched_from_outside() -> None:
    assert SETTINGS["theme"]["font"] is False
    assert SETTINGS["strict"] is True
    assert "//" not in str([SETTINGS.get(key) for key in ("extra_css", "extra_javascript", "repo_url")])


FETCHES = {
    '<script src="https://a.example/x.js">': 1,
    "<link rel='stylesheet' href='//a.example/x.css'>": 1,
    '<img alt="x" src="http://a.example/x.png">': 1,
    '<style>@import "https://a.example/x.css"; a { b: url(https://a.example/f.woff) }</style>': 2,
    '<a href="https://a.example">x</a><script src="x.js"></script><link href="x.css">': 0,
    '<pre><script src="https://a.example/x.js"></pre>': 0,
}


@pytest.mark.parametrize("text", FETCHES)
def test_what_a_page_asks_for_from_outside_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    assert len(site.asked_outside(tmp_path)) == FETCHES[text]


def test_examples_stand_with_what_they_print(pages: Path) -> None:
    text = (pages / "examples" / "index.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.out"):
        assert path.read_text(encoding="utf-8").rstrip() in text
        assert f"({path.stem}.svg)" in text and (pages / "examples" / f"{path.stem}.svg").is_file()
    for path in (ROOT / "examples").glob("*.console"):
        assert path.read_text(encoding="utf-8").rstrip() in text


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": [{"data": {"text/plain": ["2"]}}, {"text": ["said\n"]}]},
        {
            "cell_type": "code",
            "source": ["f"],
            "outputs": [{"data": {"text/html": ["<p>a\n\n</p>"], "text/plain": "p"}}],
        },
        {"cell_type": "code", "source": ["g"], "outputs": [{"data": {"text/html": "<script>", "text/plain": "q"}}]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert site.notebook(path) == (
        "# Title\nwords\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n\n```text\nsaid\n```\n\n"
        "```python\nf\n```\n\n<div><p>a\n</p></div>\n\n```python\ng\n```\n\n```text\nq\n```\n\n"
        "The notebook: [a.ipynb](a.ipynb)\n"
    )


def test_the_reference_has_every_public_name(pages: Path) -> None:
    text = (pages / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in tonnage.__all__ if f"### {name}\n" not in text] == []
    assert "### load_catalog\n\n`tonnage.catalog.load` by its public name.\n\n::: tonnage.catalog." in text


def test_links_lead_where_they_lead_in_the_repository(pages: Path) -> None:
    text = (pages / "examples" / "r2-mini" / "README.md").read_text(encoding="utf-8")
    assert "(../../scripts/r2mini/judge.py)" in text and (pages / "scripts" / "r2mini" / "judge.py").is_file()
    assert "](../../scripts/r2mini)" not in text, "a folder is no page"
