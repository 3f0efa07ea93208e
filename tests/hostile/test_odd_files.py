"""Files that say more than they hold, or were measured elsewhere: refused in a line, before they cost anything."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import pytest
from newer import saved_plan
from packed import FIRST, _text
from resumed import ROW, Sound

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.qualify import partial
from tonnage.qualify.stability import Soaked

Captured = pytest.CaptureFixture[str]

HEADERS = {
    "keys": struct.pack("<IQQ", 3, 0, 2**60),
    "tensors": struct.pack("<IQQ", 3, 2**60, 0),
    "numbers": struct.pack("<IQQ", 3, 0, 1) + _text(b"general.architecture") + struct.pack("<IIQ", 9, 4, 2**60),
    "texts": struct.pack("<IQQ", 3, 0, 1) + _text(b"general.architecture") + struct.pack("<IIQ", 9, 8, 2**60),
    "a text": struct.pack("<IQQ", 3, 0, 1) + _text(b"general.architecture") + struct.pack("<IQ", 8, 2**62) + b"llama",
    "lists": struct.pack("<IQQ", 3, 0, 1) + _text(b"x") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 2000,
    "a type": struct.pack("<IQQ", 3, 0, 1) + _text(b"x") + struct.pack("<I", 77) + b"\0" * 9,
    "a version": struct.pack("<IQQ", 0, 0, 0),
    "nothing": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_says_more_than_its_file_holds_is_refused(tmp_path: Path, capsys: Captured, name: str) -> None:
    """A list of 2^60 numbers in a file of 68 bytes was counted to its end."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + HEADERS[name])
    assert run(["fit", str(path), "--on", "1xh20"]) == 2
    told = capsys.readouterr().err
    assert "m.gguf" in told and "no whole GGUF file" in told


@pytest.mark.parametrize(("piece", "said"), [(b"\n", "cannot be used"), (b"\0", "unpacks to more than")])
def test_a_packed_trace_does_not_unpack_without_end(tmp_path: Path, capsys: Captured, piece: bytes, said: str) -> None:
    (tmp_path / "p.json").write_text(json.dumps(saved_plan("serve")), encoding="utf-8")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(FIRST + piece * 60_000_000, 1))
    assert run(["simulate", str(tmp_path / "p.json"), "--trace", str(tmp_path / "t.csv.gz")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": "Another processor"}, "measured with title"),
        ({"torch": "0.1"}, "measured with torch"),
        ({"tonnage": "x"}, "is not what an interrupted qualification leaves"),
    ],
)
def test_what_another_device_measured_is_not_taken(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    path, soak, kind = tmp_path / "c.partial", tmp_path / "c.soak", Sound()
    partial.begin(path, kind)  # type: ignore[arg-type]
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=said):
        partial.rows(path, kind)  # type: ignore[arg-type]
    partial.keep_soak(soak, Soaked(steps=3), kind)  # type: ignore[arg-type]
    assert partial.read_soak(soak, kind) == Soaked(steps=3)  # type: ignore[arg-type]
    soak.write_text(json.dumps({**json.loads(soak.read_text()), **changed}), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        partial.read_soak(soak, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [json.dumps(ROW | {"seconds": value}) for value in (0, -1, "x", None, 1e300)]
    + [json.dumps(ROW | {"shape": [[]]}), json.dumps(ROW | {"operator": "zzz"}), "[]", "{", "[" * 5000],
    ids=lambda line: line[-60:],
)
def test_a_row_that_nothing_measured_is_refused_at_its_line(tmp_path: Path, line: str) -> None:
    path, kind = tmp_path / "c.partial", Sound()
    partial.begin(path, kind)  # type: ignore[arg-type]
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(ROW)}\n{line}\n{json.dumps(ROW)[:30]}")
    with pytest.raises(InputError) as raised:
        partial.rows(path, kind)  # type: ignore[arg-type]
    assert "c.partial:3" in str(raised.value)
