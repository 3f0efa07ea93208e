"""Calibration files in the verbs that plan: chips of their own, layouts, sources, mistakes with their place."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.ask.calibration import calibrated
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.layout.backward import backward
from tonnage.system import Accelerator, accelerator, operator_time
from tonnage.system.calibrated import Device, read_device
from tonnage.system.measurements import with_measurements
from tonnage.system.precision import Precision
from tonnage.system.samples import Sample, gemm

DEVICE = Device(
    "my-card", "cuda", "My Card 9000", "CUDA 13.1", "torch 2.13", datetime.date(2026, 11, 30), 64e9,
    {"bf16": 4e14, "fp32": 4e13}, 2e12,
)  # fmt: skip


def file(tmp_path: Path, device: Device = DEVICE, slow: float = 3.0) -> Path:
    """Multiplications at a third of the rate; in the backward layouts at a sixth."""
    rows: list[dict[str, object]] = [device.to_json()]
    for m in (256, 1024, 4096):
        for n, k in ((1024, 1024), (4096, 1024), (1024, 4096), (4096, 4096)):
            for layout, more in (("NT", 1.0), ("NN", 2.0), ("TN", 2.0)):
                seconds = 2e-6 + slow * more * 2 * m * n * k / device.rates["bf16"]
                shape = {"m": m, "n": n, "k": k}
                rows.append({"operator": "gemm", "shape": shape, "layout": layout, "seconds": seconds})
    rows.append({"operator": "softmax", "shape": {"rows": 128, "width": 4096}, "format": "fp32", "seconds": 1e-5})
    for row in rows[1:]:
        row |= {"chip": device.chip, "software": device.software}
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chip(path: Path, name: str = "my-card") -> Accelerator:
    return accelerator(name, calibrated(catalog.load(), [str(path)]))


def key(name: str) -> str:
    return catalog.load().chip(name)


def test_a_name_that_means_a_chip_has_to_be_its_key(tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match=f'did you mean "{key("h200")}"'):
        chip(file(tmp_path, replace(DEVICE, chip="h200")))


def test_the_first_line_reads_back(tmp_path: Path) -> None:
    assert read_device(file(tmp_path)) == DEVICE


def test_a_device_in_no_catalogue_becomes_a_chip(tmp_path: Path) -> None:
    found = chip(file(tmp_path))
    assert (found.title, found.memory, found.bandwidth, found.rates["bf16"]) == ("My Card 9000", 64e9, 2e12, 4e14)
    assert found.link is None and found.vendor is None and found.measured is not None
    assert found.measured.source == "my-card by torch 2.13 (mine.jsonl, measured on 2026-11-30)"
    assert found.facts and all(each.startswith("own:my-card/") for each in found.facts)


def test_a_chip_of_the_catalogue_keeps_its_datasheet(tmp_path: Path) -> None:
    from dataclasses import replace

    path = file(tmp_path, replace(DEVICE, chip=key("h200"), rates={"bf16": 9e14}, memory=1e9))
    ours, plain = chip(path, key("h200")), accelerator("h200", catalog.load())
    assert ours == plain and ours.measured is not None and plain.measured is None


def test_each_direction_is_priced_by_its_own_layout(tmp_path: Path) -> None:
    found = chip(file(tmp_path))
    forward = gemm(1024.0, 4096.0, 1024.0)
    dgrad = Sample(**{**vars(gemm(1024.0, 1024.0, 4096.0)), "direction": "dgrad"})
    wgrad = Sample(**{**vars(gemm(1024.0, 4096.0, 1024.0)), "direction": "wgrad"})
    ideal = 2 * 1024 * 4096 * 1024 / 4e14
    times = [operator_time(work, found, Precision()).seconds for work in (forward, dgrad, wgrad)]
    assert times == pytest.approx([2e-6 + 3 * ideal, 2e-6 + 6 * ideal, 2e-6 + 6 * ideal], rel=0.01)
    assert backward is not None


def test_without_layouts_all_directions_are_priced_as_forward(tmp_path: Path) -> None:
    path = file(tmp_path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [
        rows[0],
        *({k: v for k, v in row.items() if k != "layout"} for row in rows[1:] if row.get("layout") == "NT"),
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    found = chip(path)
    given = Sample(**{**vars(gemm(1024.0, 4096.0, 1024.0)), "direction": "wgrad"})
    assert operator_time(given, found).seconds == pytest.approx(
        operator_time(gemm(1024.0, 4096.0, 1024.0), found).seconds
    )


def test_a_time_that_beats_the_datasheet_is_a_mistake_but_a_processors_caches_are_none(tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="faster than my-card's datasheet allows"):
        chip(file(tmp_path, slow=0.1))
    assert chip(file(tmp_path, replace(DEVICE, device="cpu"), slow=0.9)).measured is not None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 2}, "version 2; this tonnage reads 1"),
        ({"chip": "My Card"}, "is not small letters, digits and dashes"),
        ({"rates": {}}, "rates: expected FLOP/s by format"),
        ({"rates": {"bf16": -1}}, "rates.bf16: expected a number above zero"),
        ({"memory": None}, "memory: expected a number above zero"),
        ({"date": "yesterday"}, "Invalid isoformat"),
    ],
)
def test_a_wrong_first_line_is_said_with_its_place(change: dict[str, object], text: str, tmp_path: Path) -> None:
    path = file(tmp_path)
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join((json.dumps({**json.loads(first), **change}), *rest)))
    with pytest.raises(InputError, match=text) as caught:
        calibrated(catalog.load(), [str(path)])
    assert "mine.jsonl:1" in str(caught.value)


def test_wrong_rows_are_said_with_their_place(tmp_path: Path) -> None:
    path = file(tmp_path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace('"NN"', '"XX"')
    lines[3] = lines[3].replace('"layout"', '"lay"')
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        calibrated(catalog.load(), [str(path)])
    assert "mine.jsonl:3" in str(caught.value) and "expected one of NT, NN, TN" in str(caught.value)
    assert "mine.jsonl:4" in str(caught.value) and 'did you mean "layout"' in str(caught.value)


def test_a_file_of_chips_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path)
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    with pytest.raises(InputError, match="no chip my-card is known"):
        calibrated(catalog.load(), [str(path)])


def test_what_is_measured_already_counts_first(tmp_path: Path) -> None:
    first = chip(file(tmp_path))
    (tmp_path / "other").mkdir()
    again = with_measurements([first], [str(file(tmp_path / "other", slow=6.0))])[0]
    work = gemm(1024.0, 4096.0, 1024.0)
    assert operator_time(work, again).seconds == pytest.approx(operator_time(work, first).seconds)


# ---------------------------------------------------------------- the verbs


def asked(words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert run([*words.split(), "--json"]) in (0, 1)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_verbs_take_it_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path)
    on = f"--on 8xmy-card --calibration {path}"
    assert asked(f"fit qwen3-0.6b --on 1xmy-card --calibration {path}", capsys)["outcome"] == "feasible"
    assert run(f"serve qwen3-0.6b --on 1xmy-card --calibration {path}".split()) == 0
    assert "mine.jsonl, measured on 2026-11-30" in capsys.readouterr().out
    assert run(f"train qwen3-0.6b --on 1xmy-card --calibration {path} --seq 1k --global-batch 4".split()) == 0
    assert "mine.jsonl, measured on 2026-11-30" in capsys.readouterr().out
    assert run(f"train qwen3-0.6b {on} --seq 1k --global-batch 8".split()) == 3
    assert "no nic for my-card" in capsys.readouterr().err


def test_a_slower_device_is_planned_slower_and_a_saved_answer_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    plain = "train qwen3-8b --on 8xh100-sxm --seq 4k --global-batch 64 --layout tp1"
    path = file(tmp_path, replace(DEVICE, chip=key("h100-sxm"), rates={"bf16": 9.89e14}))
    before = asked(plain, capsys)
    saved = tmp_path / "plan.json"
    after = asked(f"{plain} --calibration {path} -o {saved}", capsys)
    assert after["step_time"] > 1.1 * before["step_time"]  # type: ignore[operator]
    assert "calibration" not in before["inputs"] and after["inputs"]["calibration"] == [str(path)]  # type: ignore[index, operator]
    assert run(["rerun", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_a_missing_file_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", "qwen3-0.6b", "--on", "1xh100", "--calibration", "none.jsonl"]) == 2
    assert "none.jsonl no such file" in capsys.readouterr().err
