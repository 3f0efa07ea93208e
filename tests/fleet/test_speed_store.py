"""Speeds that are kept between runs: the same bytes with and without, and nothing is believed that is not whole."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tonnage import catalog as catalogues
from tonnage.cli import run
from tonnage.fleet import speed_store
from tonnage.fleet.speed_store import FileStore, cache_folder
from tonnage.fleet.speeds import EnginePlanner, Missed, PlannedSpeed, impossible

SPEED = PlannedSpeed(
    "serve", "m", "h800-sxm", 64, 0.1 + 0.2, 0.2, 1 / 3, "tp8", sources=("a/b",), detail={"tpot": 0.05}
)
REFUSED = dataclasses.replace(impossible("serve", "m", "h20-96gb", 8, "why"), missed=Missed("tpot", 1.5, None, 0.07))
SMALL = """
name: small
start: 2025-01-06
horizon: 6 months
place: US
fleet: [{lot: own, chip: h100-sxm, count: 32, tenure: owned}]
models:
  a:
    model: llama-3.1-8b
    train: {stages: [{pretrain: 20B tokens}, {rl: {rollout_tokens: 1B, global_batch: 512}}], try: [own]}
    serve: {output_tokens: 1B/day, osl: 1k, isl: 1k}
"""


@pytest.fixture
def answer(capsys, monkeypatch, tmp_path):
    """A function: more words -> bytes of the answer of a programme, with what is kept in a folder of its own."""
    monkeypatch.setenv(speed_store.SWITCH, str(tmp_path / "kept"))
    (tmp_path / "small.yaml").write_text(SMALL)

    def ask(*words):
        assert run(["launch", str(tmp_path / "small.yaml"), "--draws", "20", "--json", "-q", *words]) == 0
        return capsys.readouterr().out

    return ask


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*.*"))


def test_an_answer_is_the_same_with_without_and_from_what_is_kept(answer, tmp_path, monkeypatch):
    without = answer("--no-cache")
    assert not files_of(tmp_path / "kept")
    first = answer()
    assert len(files_of(tmp_path / "kept")) == 1

    def never(*_):
        raise AssertionError("this was planned before")

    for name in ("_serve", "_update", "_rl"):
        monkeypatch.setattr(EnginePlanner, name, never)
    assert without == first == answer()


def test_a_file_that_is_damaged_or_foreign_is_left_aside_and_replaced(tmp_path):
    def kept():
        store = FileStore(tmp_path, "catalogue")
        found = store.find("one")
        store.add("one", SPEED)
        store.save()
        return found

    kept()
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    rate, other = json.loads(whole), json.loads(whole)
    rate["speeds"]["one"]["rate"] = 1e9
    other["speeds"]["one"].pop("rate")
    other["checksum"] = speed_store._checksum(other["speeds"])
    for damaged in (b"", whole[:-9], b"\xff\xfe", b"[1]", b'{"speeds": 3}', b"null", *map(as_bytes, (rate, other))):
        path.write_bytes(damaged)
        assert kept() is None
        assert path.read_bytes() == whole
    assert kept() == SPEED


def as_bytes(value):
    return json.dumps(value).encode()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "kept").write_text("a file, not a folder")
    store = FileStore(tmp_path / "kept", "catalogue")
    store.add("one", SPEED)
    store.save()
    assert FileStore(tmp_path / "kept", "catalogue").find("one") is None


def test_speeds_come_back_to_the_bit(tmp_path):
    store = FileStore(tmp_path, "catalogue")
    store.add("one", SPEED)
    store.add("other", REFUSED)
    store.save()
    again = FileStore(tmp_path, "catalogue")
    assert (again.find("one"), again.find("other"), again.find("third")) == (SPEED, REFUSED, None)


def test_another_catalogue_or_other_code_has_a_file_of_its_own(tmp_path, monkeypatch):
    store = FileStore(tmp_path, "catalogue")
    store.add("one", SPEED)
    store.save()
    assert FileStore(tmp_path, "another").find("one") is None
    monkeypatch.setattr(speed_store, "code", lambda: "other code")
    assert FileStore(tmp_path, "catalogue").find("one") is None


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_store, "MOST", 3)
    monkeypatch.setattr(speed_store, "FILES", 2)
    for catalogue in "abc":
        store = FileStore(tmp_path, catalogue)
        for question in ("1", "2", "3", "4"):
            store.add(question, SPEED)
        store.save()
    assert len(files_of(tmp_path)) == 2
    last = FileStore(tmp_path, "c")
    assert [last.find(question) is not None for question in "1234"] == [False, True, True, True]


def test_a_question_is_all_that_the_answer_depends_on(programme, catalog):
    """A speed is never taken for a model of the same name with other layers, another service level or another day."""
    seen = []

    class Noting:
        def find(self, question):
            seen.append(question)
            return SPEED

        def add(self, question, speed):
            raise AssertionError("it was found")

    plain = programme()
    for asked in (
        plain,
        programme(models__r1__serve__tpot="40ms"),
        programme(models__r1__serve__osl="1300"),
        programme(as_of=plain.start),
        programme(programme.story.replace("model: deepseek-r1", "model: {like: deepseek-v3, layers: 60}")),
    ):
        EnginePlanner(asked, catalog, Noting()).serve(asked.models[0], "h20-96gb", 256)
    assert len(set(seen)) == len(seen) == 5
    model = plain.models[1]
    stage = model.training.stages[0]
    for change in ({}, {"seq": 8192.0}, {"global_batch": 512}, {"precision": "fp8"}, {"kind": "extend"}):
        EnginePlanner(plain, catalog, Noting()).train(model, dataclasses.replace(stage, **change), "h20-96gb", 512)
    assert len(set(seen)) == len(seen) == 10


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"TONNAGE_CACHE": "off", "XDG_CACHE_HOME": "/c"}, None),
        ({"TONNAGE_CACHE": "/mine", "XDG_CACHE_HOME": "/c"}, Path("/mine")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/tonnage")),
    ],
)
def test_where_it_is_kept(environment, folder):
    assert cache_folder(environment) == folder


def test_the_catalogue_of_a_user_is_another_catalogue(tmp_path):
    (tmp_path / "sources.csv").write_text("key,title\nmine,My own\n")
    assert catalogues.load(tmp_path).digest != catalogues.load().digest
