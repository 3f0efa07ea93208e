"""The command line's frame: start-up, verbs, errors, exit codes."""

import subprocess
import sys

import pytest

from tonnage import cli
from tonnage.cli import VERBS, run

HEAVY = {"numpy", "pydantic", "ruamel", "highspy", "torch", "pandas", "scipy"}


def test_help_imports_nothing_heavy():
    code = "import sys; from tonnage.cli import run; run(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.strip("'[],").split(".")[0] for name in done.stderr.split()}
    assert "cyclopts" in loaded
    assert not loaded & HEAVY
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    assert run([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: tonnage {verb}" in text
    assert "--json" in text


def test_an_unknown_verb_gets_the_nearest(capsys):
    assert run(["lunch"]) == 2
    assert 'did you mean "launch"' in capsys.readouterr().err


def test_an_unknown_flag_is_bad_input(capsys):
    assert run(["fit", "deepseek-r1", "--onn", "8xh20"]) == 2
    captured = capsys.readouterr()
    assert "--onn" in captured.err
    assert "hint: tonnage fit --help" in captured.err
    assert captured.out == ""


def test_a_defect_is_one_line_without_a_traceback(capsys, monkeypatch):
    def broken():
        raise RuntimeError("boom")

    monkeypatch.setattr(cli, "app", broken)
    assert run(["show"]) == 70
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        run(["show", "-v"])


@pytest.mark.parametrize("text", ["--as-of=yesterday", "--set=novalue", "--seed=x"])
def test_bad_common_options_are_bad_input(text, capsys):
    assert run(["show", "chips", text]) == 2
    assert "error:" in capsys.readouterr().err


def test_set_is_another_way_to_write_a_flag(capsys):
    assert run(["fit", "deepseek-r1", "--on", "16xh20", "--json"]) == 0
    plain = capsys.readouterr().out
    assert run(["fit", "deepseek-r1", "--set", "on=16xh20", "--json"]) == 0
    assert capsys.readouterr().out == plain


def test_setting_what_is_no_input_is_bad_input(capsys):
    assert run(["fit", "deepseek-r1", "--on", "16xh20", "--set", "memroy=1"]) == 2
    assert "--memroy" in capsys.readouterr().err
