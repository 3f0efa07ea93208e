"""What once hurt: files and words that were obeyed, believed or repeated, each with what is right instead."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from xml.dom import minidom

import pytest

from tonnage import files
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.printable import encodable, json_safe, printable
from tonnage.report.answer import Answer, render, to_csv

Captured = pytest.CaptureFixture[str]

FIT = ("fit", "qwen3-0.6b", "--on", "1xh20")
TRAIN = ("train", "qwen3-0.6b", "--on", "8xh20", "--tokens", "1B")
SERVE = ("serve", "qwen3-0.6b", "--on", "1xh20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TRAIN, "--price", "$-1/h"), "--price expected"),
        ((*TRAIN, "--price", "$1e30/h"), "--price expected"),
        ((*TRAIN, "--start", "nonsense"), "--start .* not a date"),
        ((*TRAIN, "--start", "2025-13-01"), "--start .* not a date"),
        ((*TRAIN, "--reward", "banana"), "--reward expected a time"),
        ((*TRAIN, "--reward", "1e12s"), "--reward expected"),
        ((*TRAIN, "--rollout-prompt", "x"), "--rollout-prompt expected"),
        ((*TRAIN, "--rollout-stale"), "--rollout-stale needs --rollout-tokens"),
        ((*TRAIN, "--rollout-tokens", "1"), "at least one response"),
        ((*TRAIN, "--rollout-tokens", "1e308"), "--rollout-tokens expected"),
        ((*TRAIN, "--software", "0001-01-01"), "--software expected a date from"),
        ((*TRAIN, "--software", "9998"), "--software expected a date from"),
        ((*TRAIN, "--move-to", "8xh800", "--move-at", "30%", "--move-wire", "0B/s"), "--move-wire expected"),
        ((*TRAIN, "--move-to", "8xh800", "--move-at", "30%", "--move-wire", "1e-30B/s"), "--move-wire expected"),
        ((*TRAIN, "--layout", "tp" + "1" * 4301), "--layout .*expected a whole number"),
        ((*TRAIN[:-1], "1e30"), "--tokens expected"),
        ((*TRAIN[:-1], "0.5"), "--tokens expected"),
        ((*TRAIN[:-1], "1000"), "at least one step, 4,194,304 tokens"),
        ((*SERVE, "--rate", "1e-30/s"), "--rate expected"),
        ((*SERVE, "--isl", "1.5"), "not a whole number"),
        ((*SERVE, "--ttft", "-1s"), "--ttft expected"),
        ((*SERVE, "--tpot", "50"), "needs its unit"),
        ((*SERVE, "--exchange-rate", "0"), "--exchange-rate expected"),
        ((*SERVE, "--layout", "tp8," * 30_000), "given twice"),
        ((*SERVE, "--as-of", "x" * 100_000), "not a date"),
        ((*FIT, "--context", "1.5"), "not a whole number"),
        ((*FIT, "--weights", "\x1b[31mred\u202e"), r"\\x1b\[31mred\\u202e"),
    ],
    ids=lambda value: " ".join(value[4:])[:40] if isinstance(value, tuple) else "",
)
def test_words_that_nobody_means_are_refused_in_short(words: tuple[str, ...], said: str, capsys: Captured) -> None:
    assert run([*words]) == 2
    told = capsys.readouterr().err
    assert re.search(said, told), told
    assert len(told) < 3000 and told.isprintable() is False and "\x1b" not in told


def test_all_that_is_wrong_with_a_question_is_said_at_once(capsys: Captured) -> None:
    assert run(["serve", "deepsek-r1", "--on", "8xh2", "--tpot", "50", "--engine", "tgi"]) == 2
    told = capsys.readouterr().err
    assert "4 problems" in told
    for said in ("--tpot", 'did you mean "deepseek-r1"', "--on", "--engine"):
        assert said in told


def test_a_chip_that_was_not_out_yet_is_said_to_be(capsys: Captured) -> None:
    assert run([*FIT, "--as-of", "2018"]) == 3
    assert "not yet released on 2018-01-01" in capsys.readouterr().err


def test_a_group_of_shards_is_whole_or_not_there(capsys: Captured) -> None:
    assert run([*TRAIN, "--shard-group", "1e9"]) == 1
    assert "the system has 8" in capsys.readouterr().out
    assert run([*TRAIN, "--shard-group", "3", "--json"]) == 0
    degrees = json.loads(capsys.readouterr().out)["degrees"]
    assert degrees["dp"] * degrees["cp"] % 3 == 0 or degrees["dp"] * degrees["cp"] < 3


# what a terminal obeys


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    evil = "\x1b[31mred\x9b2J\x07\u202eevil\u2066"
    assert printable(evil) == r"\x1b[31mred\x9b2J\x07\u202eevil\u2066"
    text = render(Answer(evil, ((evil, evil),), picture=lambda width: (evil,), hints=(evil,)), (evil,))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", text)
    assert json.loads(json_safe(json.dumps(evil, ensure_ascii=False))) == evil
    assert "\x1b" not in json_safe(json.dumps({evil: evil}, ensure_ascii=False))


def test_own_words_are_written_in_ascii_where_there_is_nothing_else() -> None:
    assert encodable("5 × H20 … −3 ± 1", "ascii") == "5 x H20 ... -3 +- 1"
    assert encodable("Größe", "ascii") == r"Gr\xf6\xdfe"
    done = subprocess.run(
        [sys.executable, "-m", "tonnage", "show", "h20-96gb"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.isascii()


def test_no_cell_of_a_table_runs_in_a_spreadsheet() -> None:
    evil = ("=HYPERLINK(1)", "-1+1", "+1+1", "@x", "\tx", "\rx", "-cmd|calc")
    text = to_csv(Answer("", records=tuple({"name": value} for value in evil)))
    rows = [row["name"] for row in csv.DictReader(io.StringIO(text))]
    assert len(rows) == len(evil) and not [row for row in rows if row[0] in "=+-@\t\r|"]
    assert (
        to_csv(Answer("", records=({"a": -1.5, "b": "-1.5", "c": "-", "d": float("nan")},)))
        == "a,b,c,d\n-1.5,-1.5,-,\n"
    )


# programmes

GOOD = """\
name: mini
start: 2025-06-01
horizon: 12 months
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 64, tenure: owned}
  - {lot: rent, chip: h200, count: 32, price: $2/h to $3/h, from: 2025-08-01}
models:
  old:
    model: qwen3-8b
    serve: {input_tokens: 0.8B/day, output_tokens: 0.2B/day, isl: 2k, osl: 500, ttft: 2s, tpot: 50ms, peak: 1.2}
  new:
    model: qwen3-8b
    after: old
    train: {stages: [{pretrain: {tokens: 0.2T, seq: 4k, global_batch: 1024}}], try: [own]}
    serve: {like: old, takes_over: 60 % to 90 %, within: 4 weeks, surge: 0.1 to 0.3}
    good_enough: {rounds: 1 to 2, each: 1 to 3 weeks}
rules: as-of
assumptions: {slip: 1.2 to 3}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("input_tokens: 0.8B", "input_tokens: 1000B", "1,250 times isl over osl"),
        ("isl: 2k, osl: 500", "isl: 10, osl: 100k", "times isl over osl"),
        ("each: 1 to 3 weeks", "each: 3", 'each: "3" needs its unit'),
        ("within: 4 weeks", "within: 4", 'within: "4" needs its unit'),
        ("horizon: 12 months", "horizon: 12", "needs its unit"),
        ("tpot: 50ms", "tpot: 50", "needs its unit"),
        ("seq: 4k", "seq: 1.5", "whole number"),
        ("tokens: 0.2T", "tokens: 1000", "less than one step, 4,096,000 tokens"),
        ("count: 32,", "count: 32, acquired: 2099-01-01,", "after the first day of the lot"),
        ("like: old, takes", "like: new, takes", "is the model itself"),
        ("rules: as-of", "rules: with us_2023_10_17.fee_share=500", "a fee is 0 % to 100 %"),
        ("peak: 1.2", 'peak: "normal(1.2, 100)"', "below 1 in over a third of the draws"),
        ("surge: 0.1 to 0.3", 'surge: "normal(0.2, 50)"', "negative in over a third"),
        ("60 % to 90 %", '"normal(70 %, 300 %)"', "negative in over a third"),
        ("{pretrain: {tokens: 0.2T, seq: 4k, global_batch: 1024}}", "{pause: 3 weeks}", "every stage is a pause"),
    ],
)  # fmt: skip
def test_a_programme_that_cannot_be_meant_is_refused_at_its_place(
    tmp_path: Path, capsys: Captured, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    assert run(["launch", str(path), "--draws", "20"]) == 2
    told = capsys.readouterr().err
    assert said in told, told
    assert re.search(r"p\.yaml:\d+:\d+", told)


def test_tails_beyond_what_can_be_are_held_at_the_bound() -> None:
    from dataclasses import replace

    import numpy as np

    from tonnage.fleet import uncertain

    busy = replace(uncertain.parse("normal(1.5, 0.2)", "number"), within=(1.2, 1.9))
    drawn = uncertain.draw(busy, 0, "x", 1000)
    assert (np.min(drawn), np.max(drawn)) == (1.2, 1.9)


# saved answers


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    assert run([*FIT, "-o", str(path), "-q"]) == 0
    return path


@pytest.mark.parametrize("verb", ["rerun", "sources", "compare"])
@pytest.mark.parametrize(
    "change",
    [
        {"command": []}, {"inputs": "x"}, {"inputs": None}, {"sources": 1.5}, {"sources": [True]}, {"plan": 3},
        {"seed": ""}, {"inputs": {"model": {"a": 1}}}, {"command": ""}, {"outcome": -1},
    ],
    ids=str,
)  # fmt: skip
def test_a_saved_answer_of_another_shape_is_said_to_be_none(
    answer: Path, capsys: Captured, verb: str, change: dict[str, object]
) -> None:
    answer.write_text(json.dumps({**json.loads(answer.read_text()), **change}), encoding="utf-8")
    words = [verb, str(answer), *([str(answer)] if verb == "compare" else [])]
    assert run(words) == 2
    assert "expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "inputs",
    [
        {"output": "victim.json"}, {"picture": "victim.svg"}, {"color": False}, {"verbose": True}, {"resume": "folder"},
        {"catalog": "folder"}, {"help": True}, {"model": "--help"}, {"engine": "-o"}, {"layout": ["tp1", "--output=v"]},
        {"model": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_saved_answer_cannot_make_rerun_write_or_read_what_its_verb_was_not_asked(
    answer: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, object]
) -> None:
    monkeypatch.chdir(answer.parent)
    body = json.loads(answer.read_text())
    answer.write_text(json.dumps({**body, "inputs": {**body["inputs"], **inputs}}), encoding="utf-8")
    assert run(["rerun", "a.json"]) == 2
    assert "inputs." in capsys.readouterr().err
    assert [path.name for path in answer.parent.iterdir()] == ["a.json"]


def test_a_saved_answer_has_an_end(answer: Path, capsys: Captured) -> None:
    body = json.loads(answer.read_text()) | {"x": [1] * 300_001}
    answer.write_text(json.dumps(body), encoding="utf-8")
    for verb in ("sources", "compare", "rerun"):
        assert run([verb, str(answer), *([str(answer)] if verb == "compare" else [])]) == 2
        assert "holds more than" in capsys.readouterr().err


def test_equal_questions_have_equal_bytes(capsys: Captured) -> None:
    made = []
    for _ in range(2):
        assert run([*SERVE, "--tpot", "50ms", "--json"]) == 0
        made.append(capsys.readouterr().out)
    assert made[0] == made[1]


# files


def test_what_was_read_is_not_written_over(tmp_path: Path, answer: Path, capsys: Captured) -> None:
    config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 4096}
    model = tmp_path / "m" / "config.json"
    model.parent.mkdir()
    model.write_text(json.dumps(config), encoding="utf-8")
    kept = model.read_bytes()
    for words in (
        ["fit", str(model), "--on", "1xh20", "-o", str(model)],
        ["fit", str(model.parent), "--on", "1xh20", "-o", str(model)],
        ["compare", str(answer), str(answer), "-o", str(answer)],
    ):
        assert run(words) == 2
        assert "was read" in capsys.readouterr().err
    assert model.read_bytes() == kept


def test_a_target_keeps_its_rights_and_a_link_its_place(tmp_path: Path) -> None:
    target, link = tmp_path / "a.json", tmp_path / "l.json"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o600)
    link.symlink_to("a.json")
    files.write(link, "new")
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("new", ["new", "", "a longer one than before" * 1000])
def test_a_file_of_two_names_stays_one(tmp_path: Path, new: str) -> None:
    target, other = tmp_path / "a.json", tmp_path / "b.json"
    target.write_text("an old one", encoding="utf-8")
    target.chmod(0o640)
    os.link(target, other)
    files.write_all([(target, new), (tmp_path / "c.json", "c")])
    assert target.samefile(other) and other.read_text(encoding="utf-8") == new
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "c.json"]


def test_a_full_disk_leaves_files_of_every_kind_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, other, alone = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    for path in (target, alone):
        path.write_text("old", encoding="utf-8")
    os.link(target, other)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("posix_fallocate", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, full, raising=False)
            for path in (target, alone)[: 1 if name == "posix_fallocate" else 2]:
                with pytest.raises(InputError, match="no space left"):
                    files.write(path, "a new one that is longer")
        assert [path.read_text(encoding="utf-8") for path in (target, other, alone)] == ["old"] * 3
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f".a.json.{name}.tmp" for name in ("0123456789ab", "ba9876543210", "mine"))
    for path in (old, new, other):
        path.write_text("x", encoding="utf-8")
    long_ago = time.time() - 2 * files.LEFT
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    files.write(tmp_path / "a.json", "x")
    assert not old.exists() and new.exists() and other.exists()


def test_a_request_to_end_leaves_no_temporary(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
from tonnage import cli, files
wrote = files.os.fsync
def ended(number):
    os.kill(os.getpid(), signal.SIGTERM)
    return wrote(number)
files.os.fsync = ended
cli.main(["show", "h20-96gb", "-o", {str(tmp_path / "a.json")!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_cases_of_no_kind_are_no_cases(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"a": 1}\n', encoding="utf-8")
    for what in ("serve", "train", "durations"):
        assert run(["accuracy", what, "--cases", str(path)]) == 2
        assert "no row of this file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["domain: []", "domain: {}", 'vendor: "\\e[31mZ"', "title: [a]", "price: $1e9/h", "memory: true", "rates: 3"],
)
def test_facts_of_ones_own_are_of_their_kind(tmp_path: Path, capsys: Captured, line: str) -> None:
    key = line.split(":")[0]
    lines = {"chip": "my", "source": "mine", "vendor": "me", "title": "My", "memory": "80 GB", "bandwidth": "2 TB/s"}
    text = "".join(f"{name}: {value}\n" for name, value in lines.items() if name != key)
    text += "" if key == "rates" else "rates: {bf16: 300 TFLOP/s}\n"
    (tmp_path / "my.yaml").write_text(text + line + "\n", encoding="utf-8")
    assert run([*FIT, "--catalog", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert re.search(rf"my\.yaml:\d+:1  {key}: ", told), told
    assert "\x1b" not in told


def test_a_picture_is_xml_whatever_the_names(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("lot: own", "lot: <script>").replace("[own]", '["<script>"]'), encoding="utf-8")
    picture = tmp_path / "p.svg"
    assert run(["launch", str(path), "--draws", "20", "-q", "-o", str(picture)]) == 0
    assert minidom.parse(str(picture)).documentElement.tagName == "svg"
