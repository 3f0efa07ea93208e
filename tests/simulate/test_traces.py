"""Traces of each kind, and what is wrong with them: named with line and count, never silent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.simulate import traces
from tonnage.simulate.generate import ArrivalProcess
from tonnage.simulate.traces import LINE, at_rate, fit_trace, like_trace, read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def azure(rows: int) -> str:
    return AZURE + "".join(
        f"2023-11-16 18:{15 + i // 60:02}:{i % 60:02}.1234567,{100 + i},{10 + i}\n" for i in range(rows)
    )


def test_azure_of_2023_and_2024(tmp_path: Path) -> None:
    load = read_trace(written(tmp_path, "a.csv", azure(5)))
    assert load.arrival.tolist() == pytest.approx([0, 1, 2, 3, 4]) and load.isl.tolist() == [100, 101, 102, 103, 104]
    newer = AZURE + "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,100,7\n"
    load = read_trace(written(tmp_path, "b.csv", newer))
    assert load.arrival.tolist() == pytest.approx([0, 0.99007]) and load.osl.tolist() == [5, 7]


def test_burstgpt(tmp_path: Path) -> None:
    text = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
    )
    load = read_trace(written(tmp_path, "b.csv", text + "45,GPT-4,1087,230,1317,API log\n"))
    assert (load.arrival.tolist(), load.isl.tolist(), load.osl.tolist()) == ([0, 40], [472, 1087], [18, 230])


def test_mooncake_with_its_hashes(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [7, 8, 9]},
        {"timestamp": 2000, "input_length": 600, "output_length": 6, "hash_ids": [7, 30]},
        {"timestamp": 1000, "input_length": 500, "output_length": 7, "hash_ids": [9]},
    ]
    load = read_trace(written(tmp_path, "m.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert load.arrival.tolist() == [0, 1, 2] and load.isl.tolist() == [1100, 500, 600] and load.unit == 512
    assert load.pieces.tolist() == [0, 1, 2, 2, 0, 3] and load.at.tolist() == [0, 3, 4, 6]
    assert "1 rows earlier" in load.notes[0] and "row 3" in load.notes[0]


def test_what_vllm_wrote(tmp_path: Path) -> None:
    bench = {"input_lens": [10, 20], "output_lens": [3, 4], "start_times": [100.5, 101.0], "request_rate": "inf"}
    load = read_trace(written(tmp_path, "v.json", json.dumps(bench)))
    assert load.arrival.tolist() == [0, 0.5] and load.isl.tolist() == [10, 20]
    del bench["start_times"]
    load = read_trace(written(tmp_path, "w.json", json.dumps(bench, indent=1)))
    assert load.arrival.tolist() == [0, 0] and "all at once" in load.notes[0]
    row = {"input_toks": 10, "output_toks": 3, "arrival_time": 5.5}
    assert read_trace(written(tmp_path, "l.jsonl", json.dumps(row) + "\n")).osl.tolist() == [3]


def test_a_few_bad_rows_are_left_out_and_told(tmp_path: Path) -> None:
    rows = azure(500).splitlines()
    rows[3] = rows[3].rpartition(",")[0] + ",-7"
    rows[9] = "nonsense"
    rows[20] = rows[20][:22]
    load = read_trace(written(tmp_path, "a.csv", "\n".join(rows)))
    assert load.size == 497
    assert load.notes == ("3 of 500 rows left out: bad row: 2 rows, lines 10, 21; negative length: 1 row, line 4",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is of no trace that is known"),
        ("a,b,c\n1,2,3\n", 'the first line, "a,b,c", is of no trace'),
        (AZURE, "no row"),
        (AZURE + "2023-11-16 18:15:46.68,-1,44\n" * 7, "negative length: 7 rows, lines 2, 3, 4, 5, 6, ..."),
        (AZURE + "2023-11-16 18:15:46.68,374,1e400\n", "bad row: 1 row, line 2"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 5}\n{"timest', "bad row: 1 row, line 2"),
        ('{"timestamp": NaN, "input_length": 5, "output_length": 5}\n', "no time: 1 row, line 1"),
        ('{"foo": 1}\n', "input_lens and output_lens"),
        ("[1, 2]\n", "is of no trace that is known"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        read_trace(written(tmp_path, "t.csv", text))
    assert said in str(found.value)


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    rows = azure(300).splitlines()
    rows[5] = "9" * (2 * LINE + 10)
    load = read_trace(written(tmp_path, "a.csv", "\n".join(rows)))
    assert load.size == 299 and f"line of more than {LINE:,} bytes: 1 row, line 6" in load.notes[0]


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InputError):
            read_trace(path)
    (tmp_path / "a.csv.gz").write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    with pytest.raises(InputError):
        read_trace(tmp_path / "a.csv.gz")


def test_a_log_is_stretched_and_drawn_like(tmp_path: Path) -> None:
    load = read_trace(written(tmp_path, "a.csv", azure(400)))
    assert np.diff(at_rate(load, 4.0).arrival).mean() == pytest.approx(0.25)
    fit = fit_trace(load)
    assert fit.rate == pytest.approx(1.0) and fit.cv == pytest.approx(0.01) and fit.isl == load.isl.mean()
    more = like_trace(load, 2000, seed=1)
    assert more.size == 2000 and more.isl.mean() == pytest.approx(load.isl.mean(), rel=0.05)
    assert np.array_equal(more.arrival, like_trace(load, 2000, seed=1).arrival)


def test_lengths_of_a_log_come_as_asked(tmp_path: Path) -> None:
    load = read_trace(written(tmp_path, "a.csv", azure(100)))
    clients = like_trace(load, 50, how=ArrivalProcess("closed", clients=5))
    assert (
        set(clients.isl.tolist()) <= set(load.isl.tolist())
        and clients.follows[0] == 5
        and "closed loop" in clients.name
    )
    day = like_trace(load, 50, how=ArrivalProcess("day"))
    assert "day curve" in day.name and "of the day of 24 h" in day.notes[0]


def test_requests_that_failed_are_left_out_however_many(tmp_path: Path) -> None:
    """BurstGPT lists requests that failed with no tokens out."""
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    rows = [f"{i},GPT-4,{100 + i},{0 if i % 7 == 0 else 20},120,API log\n" for i in range(100)]
    load = read_trace(written(tmp_path, "b.csv", head + "".join(rows)))
    assert load.size == 85 and load.notes[0].startswith("15 of 100 rows left out: no tokens in or out (a request that")
    with pytest.raises(InputError, match="100 of 100 rows cannot be used"):
        read_trace(written(tmp_path, "c.csv", head + "".join(row.replace(",20,", ",0,") for row in rows)))


@pytest.mark.parametrize("filling", [b"2023-11-16 18:15:00.1,100,10\n", b"9" * 1000, b"\n" * 1000])
def test_what_is_packed_too_well_is_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes) -> None:
    monkeypatch.setattr(traces, "BEGINNING", 300_000)
    monkeypatch.setattr(traces, "LOOKS", 1024)
    monkeypatch.setattr(traces, "HOPELESS", 1 << 40)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode() + filling * (20_000_000 // len(filling))))
    with pytest.raises(InputError, match="unpacks to more than 50 times its size"):
        read_trace(path)


def test_more_rows_than_are_simulated_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "ROWS", 20)
    row = '{"timestamp": 0, "input_length": 5, "output_length": 5}\n'
    for text in (azure(30), row * 30, AZURE + "\n" * 30):
        with pytest.raises(InputError, match="has more than 20 rows"):
            read_trace(written(tmp_path, "t.csv", text))


def test_reading_is_told_of_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "LOOKS", 100)
    path, told = written(tmp_path, "a.csv", azure(500)), list[int]()
    assert read_trace(path, lambda lines: told.append(lines) is None).size == 500 and told == [100, 200, 300, 400, 500]
    with pytest.raises(KeyboardInterrupt):
        read_trace(path, lambda lines: lines < 300)


def test_times_of_zones_are_of_one_clock(tmp_path: Path) -> None:
    """Rows that say their zone and rows that do not, with decimals and without."""
    times = (
        "2023-11-16 18:15:00",
        "2023-11-16 10:15:01.5-08:00",
        "2023-11-16T19:15:02+01:00",
        "2023-11-16 18:15:03.25Z",
    )
    rows = "".join(f"{time},100,10\n" for time in times)
    load = read_trace(written(tmp_path, "z.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows))
    assert load.arrival.tolist() == pytest.approx([0, 1.5, 2, 3.25])
