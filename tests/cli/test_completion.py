"""What a tab offers: in a real bash, asked as bash asks; zsh and fish read their scripts, where they are there."""

from __future__ import annotations

import functools
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.cli import VERBS
from tonnage.cli.arguments import verbs
from tonnage.cli.choices import FILES, NAMES, kind, names
from tonnage.cli.shells import SHELLS, brief, quoted

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash")


@functools.cache
def script(shell: str) -> str:
    return SHELLS[shell](verbs(), names())


HARNESS = r"""
source "$1"; shift
while IFS= read -r line; do
  IFS=$'\x1f' read -ra COMP_WORDS <<< "$line"
  [[ $line == *$'\x1f' ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _tonnage
  (IFS=' '; echo "${COMPREPLY[*]}")
done
"""
"""Each line of stdin: the words of a command line, the last one under the cursor; answered with what is offered."""


def ask(tmp_path: Path, *lines: str) -> list[list[str]]:
    """What bash offers at the end of each line, cut into words as bash does (also at `=`)."""
    path = tmp_path / "tonnage.bash"
    path.write_text(script("bash"), encoding="utf-8")
    given = "\n".join("\x1f".join(line.replace("=", " = ").split(" ")) for line in lines) + "\n"
    assert BASH, "bash is part of what the tests need"
    done = subprocess.run(
        [BASH, "--norc", "-c", HARNESS, "bash", str(path)],
        input=given, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert not done.stderr
    return [line.split() for line in done.stdout.split("\n")[: len(lines)]]


def test_verbs_and_flags_are_offered(tmp_path: Path) -> None:
    first, some, sub, flags, one, version = ask(
        tmp_path, "tonnage ", "tonnage s", "tonnage run ", "tonnage serve deepseek-r1 --t", "tonnage fit --layo",
        "tonnage --ver",
    )  # fmt: skip
    assert set(first) == {*VERBS, "--help", "--version"}
    assert set(some) == {verb for verb in VERBS if verb.startswith("s")}
    assert sub == ["serve", "train", "--help"]
    assert {"--ttft", "--tpot", "--ttft-p99", "--term"} <= set(flags)
    assert all(flag.startswith("--t") for flag in flags)
    assert one == ["--layout"]
    assert version == ["--version"]


def test_models_and_chips_are_offered_by_name(tmp_path: Path) -> None:
    model, full, fleet, joined, counted, bare, chip = ask(
        tmp_path, "tonnage fit deepseek-r", "tonnage fit deepseek-ai/DeepSeek-R", "tonnage fit deepseek-r1 --on 8xh20",
        "tonnage fit --on=16xh80", "tonnage serve x --on 32", "tonnage serve x --on ",
        "tonnage lawful --in CN --from h8",
    )  # fmt: skip
    assert "deepseek-r1" in model
    assert "deepseek-ai/DeepSeek-R1" in full
    assert {"8xh20", "8xh200"} <= set(fleet) and all(word.startswith("8xh20") for word in fleet)
    assert "16xh800-sxm" in joined
    assert counted == ["32x"]
    assert {"8x", "16x"} <= set(bare)
    assert "h800-sxm" in chip


def test_values_are_those_of_the_flag_and_the_verb(tmp_path: Path) -> None:
    engine, target, term, places, routing, sent, by, what, shell, after = ask(
        tmp_path, "tonnage serve m --engine sg", "tonnage export plan.json k", "tonnage serve m --json --term on",
        "tonnage show h20 --in C", "tonnage train m --routing ", "tonnage simulate p.json --routing ",
        "tonnage ledger errors --by m", "tonnage ledger e", "tonnage completion ", "tonnage fit deepseek-r1 -q --kv fp",
    )  # fmt: skip
    assert engine == ["sglang"]
    assert target == ["k8s"]
    assert term == ["on-demand"]
    assert "CN" in places and "CH" in places
    assert routing == ["learned", "forced", "dropped"]
    assert sent == ["round-robin", "least-loaded", "prefix-aware"]
    assert by == ["model", "month"]
    assert what == ["errors"]
    assert shell == ["bash", "zsh", "fish"]
    assert after == ["fp16", "fp8"]


def test_files_are_offered_where_a_file_is_taken(tmp_path: Path) -> None:
    for name in ("plan.json", "r2.yaml", "picture.svg"):
        (tmp_path / name).touch()
    (tmp_path / "my plans").mkdir()
    saved, programme, output, folder, own, served = ask(
        tmp_path, "tonnage rerun p", "tonnage launch r", "tonnage fit m -o p", "tonnage fit m --catalog my",
        "tonnage fit r2", "tonnage mcp --in my",
    )  # fmt: skip
    assert saved == ["plan.json"]
    assert programme == ["r2.yaml"]
    assert set(output) == {"plan.json", "picture.svg"}
    assert folder == served == ["my", "plans"]
    assert own == ["r2.yaml"], "a model's own file, where no name fits"


def test_nothing_is_offered_where_anything_may_stand(tmp_path: Path) -> None:
    (tmp_path / "4k").touch()
    assert ask(tmp_path, "tonnage serve m --isl 4", "tonnage fit m 8x", "tonnage nothing ") == [[], [], []]


def test_hostile_words_run_nothing(tmp_path: Path) -> None:
    """What was typed is compared, never evaluated."""
    lines = [f"tonnage fit {text}" for text in ("$(touch${IFS}a)", "`touch a`", "a[$(touch${IFS}b)]", "*", "';touch")]
    lines += [f"tonnage fit --on {text}" for text in ("8x$(touch${IFS}c)", "8x*", "a[0]")]
    assert all(answer == [] for answer in ask(tmp_path, *lines))
    assert [path.name for path in tmp_path.iterdir()] == ["tonnage.bash"]


def test_a_tab_takes_less_than_a_tenth_of_a_second(tmp_path: Path) -> None:
    """Of processor time, over a hundred tabs; nothing is started at one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ask(tmp_path, *["tonnage serve deepseek-r1 --on 8xh2 --isl 4k --on 16xh"] * 100)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    assert "$(" not in script("bash").replace("$((", "")


# ---------------------------------------------------------------- what stands in the scripts


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_flag_model_and_chip(shell: str) -> None:
    text = script(shell)
    known = catalog.load()
    for name in (*known.models(), *known.chips(), *known.aliases):
        assert quoted(name) in text, name
    for verb in verbs():
        for option in verb.flags:
            name = option.off or option.names[0]
            assert (f"-l {name[2:]} " if shell == "fish" else name) in text, (verb.path, name)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(shell: str, tmp_path: Path) -> None:
    """bash is always there; the others where they are installed."""
    program = shutil.which(shell)
    if program is None:
        assert shell != "bash"
        return
    path = tmp_path / "script"
    path.write_text(script(shell), encoding="utf-8")
    subprocess.run([program, "-n", str(path)], check=True, capture_output=True)


def test_fish_offers_the_same(tmp_path: Path) -> None:
    """Where it is installed."""
    program = shutil.which("fish")
    if program is None:
        return
    path = tmp_path / "tonnage.fish"
    path.write_text(script("fish"), encoding="utf-8")
    lines = (
        "tonnage fit deepseek-r1 --on 8xh20",
        "tonnage fit --on=16xh80",
        "tonnage ledger errors --by m",
        "tonnage run ",
    )
    code = f"source {path}; for line in $argv; complete -C $line | string split -f1 \\t | string join ' '; end"
    done = subprocess.run([program, "--no-config", "-c", code, *lines], capture_output=True, text=True, check=True)
    fleet, joined, by, sub = (line.split() for line in done.stdout.splitlines())
    assert {"8xh20", "8xh200"} <= set(fleet)
    assert "--on=16xh800-sxm" in joined
    assert by == ["model", "month"]
    assert sub == ["serve", "train"]


def test_the_verb_prints_the_script() -> None:
    command = [sys.executable, "-m", "tonnage", "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == script("bash")
    wrong = subprocess.run([*command[:-1], "tcsh"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "bash" in wrong.stderr


def test_the_tables_of_values_name_options_that_are_there() -> None:
    there = {(path, option.name) for verb in verbs() for path in ("", " ".join(verb.path)) for option in verb.options}
    assert {*FILES, *NAMES} <= there
    assert not {*FILES} & {*NAMES}


def test_every_kind_of_name_is_known_and_used() -> None:
    kinds = {kind(verb, option) for verb in verbs() for option in verb.options}
    assert {name for name in kinds if name and name != ":" and not name.startswith("file:")} <= set(names())
    assert all(values and len(set(values)) == len(values) for values in names().values())


def test_a_help_text_in_brief() -> None:
    assert brief("bf16, fp8 or int8 cache.") == "bf16, fp8 or int8 cache"
    assert brief("of one accelerator, such as $2.10/h; default the catalogue's best match.") == (
        "of one accelerator, such as $2.10/h"
    )
    assert len(brief("word " * 40)) <= 70
    assert quoted("it's\n\\ this") == "'it’s this'"
