"""A launch holds its question and comes back from its JSON."""

import json
from pathlib import Path

from tonnage.fleet import launch, read_programme
from tonnage.fleet.plan import from_json
from tonnage.report.compare import differences
from tonnage.report.envelope import plain

R2 = Path(__file__).parents[2] / "examples/r2.yaml"


def test_a_launch_comes_back_from_its_json() -> None:
    plan = launch(read_programme(R2), draws=20)
    assert from_json(json.loads(json.dumps(plain(plan.to_json())))) == plan


def test_two_launches_of_an_edited_file_differ_in_the_inputs_that_were_edited(tmp_path: Path) -> None:
    text = R2.read_text(encoding="utf-8")
    edited = tmp_path / "r2.yaml"
    edited.write_text(text.replace("count: 10000,", "count: 4000,"), encoding="utf-8")
    bodies = []
    for path in (R2, edited):
        plan = launch(read_programme(path), draws=20, what_if=False)
        bodies.append(plain({"command": "launch", "inputs": {"draws": 20}, **plan.to_json()}))
    changes = differences(*bodies)
    asked = [change for change in changes if change["path"].startswith("inputs.")]
    assert [(change["path"], change["first"], change["second"]) for change in asked] == [
        ("inputs.programme.fleet.own-h800.count", "10000", "4000")
    ]
    said = [change for change in changes if not change["path"].startswith("inputs.")]
    assert said
    assert not any(change["path"].startswith("plan") for change in said)
