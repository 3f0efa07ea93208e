"""`tonnage new`: what there is to start from."""

from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.cli.new import STARTS
from tonnage.fleet import read_programme

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", STARTS)
def test_every_programme_to_start_from_is_sound(name, tmp_path, capsys):
    file = tmp_path / "p.yaml"
    assert run(["new", str(file), "--from", name, "-q"]) == 0
    assert read_programme(file).name


@pytest.mark.parametrize("name", [name for name in STARTS if name != "mini"])
def test_what_it_writes_is_the_example(name, capsys):
    assert run(["new", "--from", name]) == 0
    assert capsys.readouterr().out.strip() == (ROOT / "examples" / f"{name}.yaml").read_text("utf-8").strip()


def test_without_a_terminal_nothing_is_asked(tmp_path, capsys):
    file = tmp_path / "p.yaml"
    assert run(["new", str(file), "-q"]) == 0
    assert "my-programme" in file.read_text("utf-8")


def test_on_a_terminal_it_asks(tmp_path, monkeypatch, capsys):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("cloud\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    file = tmp_path / "p.yaml"
    assert run(["new", str(file)]) == 0
    assert "name: cloud" in file.read_text("utf-8")


def test_another_name_is_refused_with_the_nearest(capsys):
    assert run(["new", "--from", "eu-lb"]) == 2
    assert 'did you mean "eu-lab"' in capsys.readouterr().err
