"""The command line's frame: start-up, verbs, errors, exit codes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tonnage import cli, files
from tonnage.cli import EXAMPLES, GROUPS, VERBS, run
from tonnage.cli.run_verbs import SUBVERBS
from tonnage.errors import InputError

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
    for words in [[verb, below] for below in SUBVERBS] if verb in GROUPS else [[verb]]:
        assert run([*words, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"Usage: tonnage {' '.join(words)}" in text
        assert "--json" in text or verb in ("new", "page", "schema", "completion", "mcp")


def test_no_verb_takes_the_place_of_a_function_of_the_frame() -> None:
    """`import tonnage.cli.run` would put a module where `tonnage.cli.run` is a function."""
    folder = Path(cli.__file__).parent
    frame = {name for name, value in vars(cli).items() if callable(value)}
    assert "run" in frame and not frame & {path.stem for path in folder.glob("*.py")}


def test_a_verb_of_a_group_explains_itself_too(capsys):
    assert run(["run", "serve", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: tonnage run serve" in text and "--check" in text and "--json" in text
    assert run(["run", "serve", "--chek"]) == 2
    assert "hint: tonnage run serve --help" in capsys.readouterr().err


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


def test_an_unexpected_word_is_named(capsys):
    assert run(["show", "chips", "extra"]) == 2
    assert 'error: "extra" is not expected here' in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show", "chips", "--json", "--csv"], ["schema", "--csv"]])
def test_formats_that_cannot_be_printed_are_refused(words, capsys):
    assert run(words) == 2
    assert "--csv" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["b.foo", "absent/b.json", "folder.json"])
def test_of_several_files_all_are_written_or_none(tmp_path, capsys, bad):
    (tmp_path / "folder.json").mkdir()
    good = tmp_path / "a.json"
    assert run(["show", "h20", "-o", str(good), "-o", str(tmp_path / bad)]) == 2
    captured = capsys.readouterr()
    assert str(tmp_path / bad) in captured.err
    assert captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def test_a_file_that_fails_while_written_leaves_none(tmp_path, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"b\.txt cannot be written: no space"):
        files.write_all([(tmp_path / "b.txt", "x"), (tmp_path / "a.txt", "x")])
    assert list(tmp_path.iterdir()) == []


def started(words, **more):
    code = f"from tonnage.cli import main; main({words!r})"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False, **more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["show", "chips"], ["--help"], ["schema"]])
def test_a_full_disk_behind_stdout_is_one_line(words):
    with Path("/dev/full").open("w") as full:
        done = started(words, stdout=full)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "standard output" in done.stderr


def test_a_closed_stdout_is_one_line():
    code = f"exec >&-; exec {sys.executable} -m tonnage.cli show chips"
    done = subprocess.run(["sh", "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: standard output is closed\n")


@pytest.mark.parametrize("place", ["import", "verb"])
def test_an_interrupt_is_one_line(place, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    if place == "import":
        monkeypatch.setattr(cli, "_answered", interrupt)
    else:
        monkeypatch.setattr("tonnage.report.show.listed", interrupt)
    with pytest.raises(SystemExit) as left:
        cli.main(["show", "chips"])
    assert left.value.code == 130
    assert capsys.readouterr().err == "error: interrupted; nothing was written\n"


@pytest.mark.parametrize("resume", [False, True])
def test_an_interrupt_says_what_is_kept(resume, tmp_path, capsys, monkeypatch):
    """With --resume the pieces are kept; it said that nothing was written."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tonnage.fleet.launch", interrupt)
    folder = tmp_path / "pieces"
    with pytest.raises(SystemExit) as left:
        cli.main(["launch", "examples/r2.yaml", "-q", *(["--resume", str(folder)] if resume else [])])
    kept = f"what is played is kept in {folder}: the same command goes on from there; no answer was written"
    assert left.value.code == 130
    assert capsys.readouterr().err == f"error: interrupted; {kept if resume else 'nothing was written'}\n"


@pytest.mark.parametrize("verb", ["serve", "train"])
def test_a_place_is_read_by_name_and_one_that_is_none_is_listed_with_the_rest(verb, capsys):
    assert run([verb, "llama-3.1-8b", "--on", "8xh800", "--in", "china", "--json"]) == 0
    assert '"in": "CN"' in capsys.readouterr().out
    assert run([verb, "llama-3.1-8b", "--on", "8xh800", "--in", "XX", "--price", "cheap"]) == 2
    text = capsys.readouterr().err
    assert "--in" in text
    assert "--price" in text


def test_one_token_asked_for_has_no_time_per_token(capsys):
    assert run(["serve", "llama-3.1-8b", "--on", "8xh800", "--osl", "1"]) == 0
    first = capsys.readouterr().out.split("\n\n")[0]
    assert "to the one token asked for" in " ".join(first.split())
    assert "per token" not in first


@pytest.mark.parametrize("verb", EXAMPLES)
def test_help_ends_with_commands_that_name_the_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"tonnage {verb}" in out.split("Examples:")[1]


@pytest.mark.parametrize(
    "words",
    [words for verb in ("fit", "train", "serve", "show", "lawful") for words in EXAMPLES[verb] if ".json" not in words],
)
def test_examples_of_help_work_as_they_stand(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*shlex.split(words), "-q"]) in (0, 1), capsys.readouterr().err


COUNTED = """
import sys
from tonnage.catalog.facts import Fact

made, check = [], Fact.__post_init__
Fact.__post_init__ = lambda fact: (made.append(fact.id), check(fact))[1]
from tonnage.cli import run

run(sys.argv[1:])
print(len(made), *sorted(sys.modules), file=sys.stderr)
"""

UNUSED = {"importlib.metadata", "numpy.ma", "secrets", "statistics", "tempfile", "tonnage.report.charts"}
"""Modules that take some hundredths of a second and are for other commands."""


@pytest.mark.parametrize(
    ("words", "modules", "without"),
    [
        ("fit deepseek-r1 --on 8xh20", 125, {"tonnage.train", "tonnage.export", "tonnage.simulate"}),
        (
            "train llama-3.1-405b --on 16384xh100-sxm --seq 8192 --global-batch 2048 --layout tp8,pp16,dp128",
            138,
            {"tonnage.serve.plan", "tonnage.export", "tonnage.simulate"},
        ),
        (
            "serve deepseek-v3 --on 32xh200 --isl 4000 --osl 1000 --layout tp1,dp32,ep32 --json",
            154,
            {"tonnage.train", "tonnage.export.training", "tonnage.simulate", "tonnage.system.measurements"},
        ),
    ],
)
def test_a_command_loads_the_modules_and_reads_the_facts_it_uses(words: str, modules: int, without: set[str]) -> None:
    """Counts, which no machine changes: serving had loaded 221 modules of ours, and every fact of the catalogue."""
    plain = {name: value for name, value in os.environ.items() if name != "TONNAGE_LEDGER"}
    command = [sys.executable, "-c", COUNTED, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)
    facts, *loaded = done.stderr.split()
    assert 0 < int(facts) < 300
    assert sorted((UNUSED | without) & {*loaded}) == []
    assert sum(name.startswith("tonnage.") for name in loaded) <= modules
