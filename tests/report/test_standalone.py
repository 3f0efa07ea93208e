"""The report in one file: whole, inert, small, asking for nothing outside itself, and able to be asked again."""

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.cli.heard import asking, command
from tonnage.errors import Outcome
from tonnage.report.answer import Answer, Table
from tonnage.report.envelope import Reply
from tonnage.report.standalone import MOST, page

MEMORY = {"weights": 60e9, "kv_cache": 10e9, "total": 70e9, "capacity": 80e9}
NASTY = "<script>alert('x')</script>\" onload=x \x1b[2J\u202e & </title><!-- ]]>"


def reply(name: str = "m", feasible: bool = True, **body: object) -> Reply:
    said = Answer(
        f"Yes: {name} fits.",
        (("layout", name), ("", f"more of {name}")),
        (Table(f"of {name}", (name, "b"), ((name, "1"),), name),),
        feasible=feasible,
    )
    return Reply("fit", {"model": name, "on": "8xh200", "eager": False}, {"memory": MEMORY, "name": name, **body}, said)


class Seen(HTMLParser):
    """Elements of a page, those that are open at its end, and its texts."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        last = self.found[-1] if self.found else ("", {})
        key = last[1].get("id") or last[0]
        self.texts[str(key)] = self.texts.get(str(key), "") + data


def test_the_file_is_whole_and_asks_for_nothing_outside_itself() -> None:
    text = page(reply(), "tonnage fit m --on 8xh200")
    seen = Seen(text)
    assert seen.open == []
    assert not [tag for tag, held in seen.found if tag in ("link", "img", "iframe", "object", "base", "form")]
    assert not [held for tag, held in seen.found if {"src", "srcset", "action", "onclick", "onload"} & held.keys()]
    assert {held["href"] for tag, held in seen.found if "href" in held} == {"#main"}
    policy = next(str(held["content"]) for tag, held in seen.found if held.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_every_script_that_runs_is_named_by_its_hash() -> None:
    text = page(reply())
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 4 and all(f"'sha256-{each}'" in unescape(text.partition("</head>")[0]) for each in hashes)


def test_it_says_the_answer_first_then_charts_words_tables_and_how_to_ask_again() -> None:
    text = page(reply(), "tonnage fit m --on 8xh200")
    places = [
        text.index(part)
        for part in (
            '<h1 class="yes">Yes: m fits.',
            'id="chart-0"',
            "<dt>layout",
            "<table>",
            "ask again",
            "tonnage fit m",
        )
    ]
    assert places == sorted(places)
    assert '<h1 class="no">' in page(reply(feasible=False))
    assert 'aria-label="memory of one accelerator. 70 GB of 80 GB' in text
    assert 'lang="en"' in text and 'name="viewport"' in text and 'class="skip"' in text


def test_nothing_of_a_name_is_markup_or_obeyed() -> None:
    text = page(reply(NASTY), f"tonnage fit {NASTY}")
    plain = Seen(page(reply("m"), "tonnage fit m"))
    seen = Seen(text)
    assert [tag for tag, _ in seen.found] == [tag for tag, _ in plain.found], "a name makes no element"
    assert all("onload" not in held for _, held in seen.found)
    assert "\x1b" not in text and "\u202e" not in text
    for name in ("answer", "charts"):
        assert "<" not in seen.texts[name]
    assert json.loads(seen.texts["answer"])["name"] == NASTY


def test_a_page_without_charts_carries_no_scripts_that_draw() -> None:
    bare = Reply("sources", {}, {}, Answer("3 facts."))
    text = page(bare)
    assert len(text) < 30_000 and "vegaEmbed=" not in text and 'class="charts"' not in text


def test_an_answer_too_large_is_left_out_and_that_is_said() -> None:
    text = page(reply(long=["x" * 1000] * (MOST // 1000)))
    assert 'id="answer"' not in text and "too large to be held here" in text


def test_it_stays_small() -> None:
    assert len(page(reply()).encode()) < 900_000


def test_the_command_line_writes_it_and_asks_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"
    assert run(["fit", "qwen3-8b", "--on", "1xh100", "--kv", "fp8", "-q", "-o", str(path)]) == 0
    text = path.read_text("utf-8")
    assert "<code>tonnage fit qwen3-8b --on 1xh100 --kv fp8</code>" in text
    assert "facts that this rests on" in text
    capsys.readouterr()
    assert run(["rerun", str(path)]) == 0
    assert "The answer is the same." in capsys.readouterr().out
    assert run(["sources", str(path), "-q"]) == 0


def test_the_report_of_a_launch_says_how_right_such_dates_were(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    words = [str(Path(__file__).parent / "small.yaml"), "--draws", "20", "--no-what-ifs", "--workers", "1"]
    assert run(["launch", *words, "-q", "-o", str(path)]) in (0, 1)
    text = path.read_text("utf-8")
    assert "<h2>how right such dates were</h2>" in text and "Llama 4 Behemoth, 2025-04-05" in text


def test_what_is_infeasible_has_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert run(["fit", "deepseek-r1", "--on", "1xh200", "-q", "-o", str(path)]) == 1
    text = path.read_text("utf-8")
    assert '<h1 class="no">No: DeepSeek-R1' in text and 'id="chart-0"' in text


def test_a_page_of_others_holds_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"
    path.write_text("<p>hello</p>")
    assert run(["rerun", str(path)]) == 2
    assert "holds no answer of tonnage" in capsys.readouterr().err
    path.write_text('<script type="application/json" id="answer">{"a": </script>')
    assert run(["rerun", str(path)]) == 2
    capsys.readouterr()


def test_the_command_leaves_out_where_the_answer_goes() -> None:
    assert command() is None
    with asking(
        ["fit", "a b", "-o", "x.json", "--on", "1xh100", "-q", "--output=y.html", "--json", "--chart", "cache"]
    ):
        assert command() == "tonnage fit 'a b' --on 1xh100"


def test_outcomes_have_their_sign() -> None:
    made = Reply("fit", {}, {}, Answer("No: too large.", feasible=False), Outcome("memory"))
    assert '<h1 class="no">No: too large.' in page(made)
