"""Any option of any verb with a value that it does not mean: an error that says where, or an honest answer."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from pathlib import Path

import pytest
from fuzz import wrong
from hypothesis import given, settings
from hypothesis import strategies as st
from options import BASES, SELDOM, flags, question, told_where

from tonnage.cli import run

QUICK = sorted(verb for verb in BASES if verb not in SELDOM)


@given(st.sampled_from(QUICK), st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_an_option_with_any_value_gets_an_error_or_an_answer(verb: str, seed: int, many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert wrong(question(verb, random.Random(seed), many), Path(folder)) is None


@given(st.sampled_from(("fit", "train", "serve", "show", "export")), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_refusal_says_where(verb: str, seed: int) -> None:
    tried, err = question(verb, random.Random(seed), 1), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tried.files:
            (Path(folder) / name).write_text(str(text), encoding="utf-8")
        own = {name for name, _ in tried.files}
        quiet = contextlib.redirect_stdout(io.StringIO())
        with contextlib.chdir(folder), quiet, contextlib.redirect_stderr(err):
            code = run([str(Path(folder) / word) if word in own else word for word in tried.words])
    assert code != 2 or told_where(tried, err.getvalue()) is None, tried.words


def test_every_verb_has_its_options_tried() -> None:
    assert set(flags()) - set(BASES) == {"mcp"}, "its questions come from an agent: carried.py"


@pytest.mark.parametrize(
    "words",
    [("fit", "qwen3-0.6b", "--on=1xh20", "-v", f"-o={'a' * 5000}"), ("new", "-o=x\0y"), ("export", "p.json", "-o=")],
)
def test_a_name_that_no_file_can_have_is_wrong_input(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words]) == 2
    assert len(capsys.readouterr().err) < 1000
