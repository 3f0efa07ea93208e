"""`-o` by ending: pictures, Markdown, Parquet; what has to be installed is said before anything is computed."""

import importlib.util
import io
from pathlib import Path

import pyarrow.parquet
import pytest

from tonnage.cli import run
from tonnage.cli.contents import contents
from tonnage.report import extras, frames
from tonnage.report.answer import Answer, Table
from tonnage.report.envelope import Reply
from tonnage.report.markdown import to_markdown

FIT = ["fit", "qwen3-8b", "--on", "1xh100", "-q"]


def test_every_ending_is_written_at_once(tmp_path: Path) -> None:
    endings = ("html", "png", "svg", "csv", "json", "md", "parquet", "txt")
    words = [word for ending in endings for word in ("-o", str(tmp_path / f"a.{ending}"))]
    assert run([*FIT, *words]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert (tmp_path / "a.md").read_text().startswith("**Yes: ")
    assert "tonnage fit qwen3-8b --on 1xh100" in (tmp_path / "a.md").read_text()
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows == len((tmp_path / "a.csv").read_text().splitlines()) - 1


def test_another_chart_is_picked_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, other = tmp_path / "a.svg", tmp_path / "b.svg"
    assert run([*FIT, "-o", str(first)]) == 0
    assert run([*FIT, "-o", str(other), "--chart", "cache"]) == 0
    assert "what the whole cache holds" in other.read_text() and "what the whole cache holds" not in first.read_text()
    capsys.readouterr()
    assert run([*FIT, "-o", str(other), "--chart", "cash"]) == 2
    assert 'no chart named "cash" here; there are memory, cache' in (told := capsys.readouterr().err)
    assert 'did you mean "cache"' in told
    assert run([*FIT, "--chart", "cache"]) == 2
    assert "write one with -o" in capsys.readouterr().err


def test_the_picture_of_a_verb_stays_and_its_charts_can_be_picked() -> None:
    memory = {"weights": 1e9, "total": 1e9, "capacity": 2e9}
    made = Reply("fit", {}, {"memory": memory}, Answer("Yes."), pictures={".svg": lambda: "of its own"})
    assert contents(Path("a.svg"), made) == "of its own"
    assert b"memory of one accelerator" in bytes(contents(Path("a.svg"), made, "memory"))  # type: ignore[arg-type]


def test_an_answer_without_a_chart_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "events", "-q", "-o", str(tmp_path / "a.png")]) == 2
    assert 'cannot write ".png" files here; endings: .json' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["png", "parquet", "svg"])
def test_without_the_extra_it_is_named(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in extras.EXTRA.values() else there(name, *rest)
    )
    path = tmp_path / f"a.{ending}"
    assert run([*FIT, "-o", str(path)]) == 2
    assert "pip install 'tonnage[report]'" in capsys.readouterr().err
    assert not path.exists()


def test_markdown_is_inert() -> None:
    table = Table("t*", ("a|b",), (("`c` [d](e)",),), "note")
    said = Answer("a | <b>", (("x", "1\n# two"), ("", "more")), (table,))
    assert to_markdown(said, "tonnage `fit`") == (
        "**a \\| \\<b\\>**\n\n- x: 1 \\# two\n  more\n\n### t\\*\n\n| a\\|b |\n| --- |\n| \\`c\\` \\[d\\](e) |\n\n"
        "note\n\n"
        "```sh\ntonnage fit\n```\n"
    )


def test_columns_of_several_kinds_and_nested_values_become_text() -> None:
    written = frames.parquet([{"a": 1, "b": 2.0, "c": {}}, {"a": "x", "b": None}])
    made = pyarrow.parquet.read_table(io.BytesIO(written))
    assert made.to_pydict() == {"a": ["1", "x"], "b": [2.0, None], "c": ["{}", None]}
