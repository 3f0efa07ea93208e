"""A file that a user names is read within bounds or refused with its place; writing is all or nothing."""

from __future__ import annotations

import datetime
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage import files
from tonnage.errors import InputError


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        files.parse_yaml(text, "p.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_plain_values_of_yaml_1_2():
    text = "a: 1\nb: 1.5\nc: yes\nd: 2025-02-28\ne: 5 %\nf: ~\ng: '7'\nh: 0x10\ni: true\nj: 608B/day\nk: 1e3\nl: .nan\n"
    value = files.parse_yaml(text).value
    assert value == {
        "a": 1, "b": 1.5, "c": "yes", "d": datetime.date(2025, 2, 28), "e": "5 %", "f": None, "g": "7",
        "h": 16, "i": True, "j": "608B/day", "k": 1000.0, "l": ".nan",
    }  # fmt: skip


def test_every_node_and_key_has_its_place():
    document = files.parse_yaml("fleet:\n  - {lot: a, chip: h20}\n  - lot: b\n    chip: h800\n", "p.yaml")
    assert document.place(("fleet", 0, "chip")) == "p.yaml:2:20"
    assert document.place(("fleet", 0, "chip"), key=True) == "p.yaml:2:14"
    assert document.place(("fleet", 1, "chip")) == "p.yaml:4:11"
    assert document.place(("fleet", 1, "nothing", "below")) == "p.yaml:3:5"
    assert document.place() == "p.yaml:1:1"


def test_aliases_within_bounds_are_expanded():
    value = files.parse_yaml("a: &x {n: [1, 2]}\nb: *x\n").value
    assert value["b"] == {"n": [1, 2]}
    assert value["b"] is not value["a"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "aliases counted as what they stand for"),
        ("a: &a [*a]\n", "no finished anchor"),
        ("a: *nowhere\n", "no finished anchor"),
        ("[" * 10_000, "nested deeper"),
        ("- " * 10_000, "nested deeper"),
        ("a: !!python/object/apply:os.system [id]\n", "tags such as"),
        ("a: !include x\n", "tags such as"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("[a, b]: 1\n", "a key must be a name"),
        ("a: [1, 2\n", "is not YAML"),
        ("a: \x07\n", "not allowed"),
        ("\t- a\n", "is not YAML"),
        ("", "is empty"),
        ("a: 'never closed\n", "is not YAML"),
        ("- x\n" * 30_000, "more than 20,000 values"),
        ("a: &x 1\n" + "b: [" + "*x, " * 300 + "]", "more than 200 aliases"),
    ],
)
def test_hostile_yaml_is_refused_with_its_place(text, expected):
    found = problems(text)
    assert expected in found[0]
    assert found[0].startswith("p.yaml")


def test_all_duplicate_keys_are_reported():
    found = problems("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [line.split()[0] for line in found] == ["p.yaml:2:1", "p.yaml:3:11"]


def test_what_is_no_regular_text_file_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"abc\n\xff\xfe\x00")
    (tmp_path / "nul").write_bytes(b"ab\n\0")
    (tmp_path / "large").write_bytes(b"#" * 2_000_000)
    os.mkfifo(tmp_path / "pipe")
    cases = {
        "binary": "2:1 is not UTF-8",
        "nul": "NUL",
        "large": "larger than",
        "pipe": "not a regular file",
        ".": "directory",
    }
    for name, expected in cases.items():
        with pytest.raises(InputError, match=expected):
            files.read_yaml(tmp_path / name)
    for name in ("/dev/zero", "/nowhere/at/all.yaml", "a\0b", "x" * 5000, ""):
        with pytest.raises(InputError):
            files.read_yaml(name)


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "programme.yaml").write_text("a: 1")
    with pytest.raises(InputError) as caught:
        files.read_yaml(tmp_path / "program.yaml")
    assert "programme.yaml" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', "{", "9" * 5000, "[" * 90 + "]" * 90]
)
def test_hostile_json_is_refused(text):
    with pytest.raises(InputError, match=r"^p\.json"):
        files.parse_json(text, "p.json")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_any_text_is_parsed_or_refused(text):
    try:
        files.parse_yaml(text, "p.yaml")
    except InputError as error:
        assert error.problems


def test_write_is_atomic(tmp_path):
    target = tmp_path / "answer.json"
    files.write(target, "one")
    files.write(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["answer.json"]
    for bad in (tmp_path, tmp_path / "no" / "folder.json", "/dev/null", "a\0b"):
        with pytest.raises(InputError):
            files.write(bad, "x")
    assert os.path.exists("/dev/null")  # noqa: PTH110


def test_json_comes_as_a_document(tmp_path):
    files.write(tmp_path / "a.json", '{"a": [1, 2.5, null]}')
    document = files.read_json(tmp_path / "a.json")
    assert document.value == {"a": [1, 2.5, None]}
    assert document.place(("a", 0)).endswith("a.json")
