"""Several launches at once: each as it is alone, in one table, by whoever plays the draws."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.fleet import ray_runner
from tonnage.fleet.pieces import InProcess, Ran
from tonnage.fleet.speeds import EnginePlanner
from tonnage.fleet.sweep import SweepCase, cases

SMALL = """
name: small
start: 2025-01-06
horizon: 6 months
place: US
fleet: [{lot: own, chip: h100-sxm, count: 32, tenure: owned}]
models:
  a: {model: llama-3.1-8b, train: {stages: [{pretrain: 20B tokens}], try: [own]}}
"""
DRAWS = ["--draws", "20", "-q"]
COUNTS = ["--sweep", "fleet.own.count=16,64"]


@pytest.fixture
def told(tmp_path, capsys):
    """A function: words after `launch` (A and B are programmes) -> what is printed."""
    for name, tokens in (("a.yaml", "20B"), ("b.yaml", "2T")):
        (tmp_path / name).write_text(SMALL.replace("20B", tokens))

    def tell(*words, code=0):
        paths = [str(tmp_path / f"{word.lower()}.yaml") if word in ("A", "B", "C") else word for word in words]
        assert run(["launch", *paths, *DRAWS]) == code
        streams = capsys.readouterr()
        return streams.err if code > 1 else streams.out

    return tell


def test_each_launch_is_as_it_is_alone(told):
    found = json.loads(told("A", "B", *COUNTS, "--json"))
    assert [one["changed"] for one in found["launches"]] == [{"fleet.own.count": n} for n in ("16", "64", "16", "64")]
    alone = json.loads(told("B", "--set", "fleet.own.count=16", "--json"))
    swept = found["launches"][2]
    assert swept["programme"].endswith("b.yaml")
    shared = alone.keys() & swept.keys() - {"sources", "outcome", "binds"}
    assert len(shared) > 20
    assert {key: swept[key] for key in shared} == {key: alone[key] for key in shared}


def test_the_table_compares_date_never_and_cost(told):
    text = told("A", *COUNTS)
    rows = list(csv.DictReader(io.StringIO(told("A", *COUNTS, "--csv"))))
    assert len(rows) == 2
    for row in rows:
        assert row["launch_p10"] in text and row["launch_p50"] in text
        assert 0 <= float(row["never"]) <= 1 and float(row["training_p50"]) > 0
    assert "Of 2 launches the earliest is that of small with fleet.own.count=64" in " ".join(text.split())


def test_speeds_are_shared_by_the_variants(told, monkeypatch):
    planned = []
    update = EnginePlanner._update
    monkeypatch.setattr(EnginePlanner, "_update", lambda *one: planned.append(one[3:]) or update(*one))
    told("A", "--sweep", "models.a.train.stages.0.pretrain=20B tokens,30B tokens,40B tokens")
    assert len(planned) == len(set(planned)) > 2


def test_the_same_bytes_whoever_plays(told, monkeypatch):
    class Elsewhere(InProcess):
        def __init__(self, address):
            super().__init__()
            self.address = address

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ran(self):
            return Ran(f"Ray, {self.address}", super().ran().pieces)

    monkeypatch.setattr(ray_runner, "RayRunner", Elsewhere)
    found = json.loads(told("A", "B", "--json", "--ray", "there:6379"))
    assert found.pop("run")["on"] == "Ray, there:6379"
    assert json.dumps(found) == json.dumps(json.loads(told("A", "B", "--json")))


def test_a_sweep_can_be_asked_again(told, tmp_path, capsys):
    told("A", "B", *COUNTS, "-o", str(tmp_path / "s.json"))
    assert run(["rerun", str(tmp_path / "s.json"), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_what_is_wrong_with_any_programme_is_said_before_any_is_planned(told, monkeypatch):
    monkeypatch.setattr(EnginePlanner, "train", None)
    assert "c.yaml no such file" in told("A", "C", code=2)
    assert 'did you mean "count"' in told("A", "--sweep", "fleet.own.cnt=1,2", code=2)
    assert "--sweep expected KEY=VALUE,VALUE" in told("A", "--sweep", "fleet.own.count", code=2)
    assert "--by is of one launch" in told("A", "B", "--by", "2025-03-01", code=2)
    assert 'cannot write ".svg"' in told("A", "B", "-o", "x.svg", code=2)


def test_every_combination_in_order():
    found = cases(["p", "q"], ["x=1, 2", "y=a"])
    assert found[1] == SweepCase("p", (("x", "2"), ("y", "a"))) and found[1].words == "x=2, y=a"
    assert [case.path for case in found] == ["p", "p", "q", "q"]
    for wrong, said in ((["x=1", "x=2"], "swept twice"), (["=1"], "expected"), (["x=" + "1," * 1001], "at most 1,000")):
        with pytest.raises(InputError, match=said):
            cases(["p"], wrong)
