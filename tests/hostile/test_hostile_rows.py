"""Numbers and words that once went through: a release that cannot be, a programme that nobody means, a flag alone.

Where each kind of what once broke or hurt is tested; `fuzz.py` tries more of every kind.

| what | where |
| --- | --- |
| a saved answer writes or reads what its verb was not asked (rerun) | test_hostile.py, test_hostile_newer.py |
| what a terminal obeys: messages, answers, keys, titles, saved files, fronts, agents | test_hostile.py, fuzz.py |
| a picture that is no XML; names in SVG, HTML, CSV, Markdown, Parquet, notebooks | test_hostile.py, resumed.py |
| no end: leaves of a saved file, brackets, digits, lines of errors | test_hostile.py, test_hostile_newer.py |
| cells that run in a spreadsheet | test_hostile.py |
| prices below nothing or beyond all | test_hostile.py |
| a quantised release taken for BF16 | here, model/test_quantisation.py, cli/test_reports.py |
| demand that disagrees with isl and osl; a typo in readiness | test_hostile.py, here |
| layouts of experts that cannot be; more ranks than there are | here, cli/test_reports.py, users/test_use.py |
| engines on chips they do not run on | here |
| beyond the model's context | here, cli/test_reports.py, serve/test_serve_context.py |
| tails of distributions beyond what can be; draws that never launch | test_hostile.py, here, fleet/test_causes.py |
| flags that are read only beside another; unbounded amounts | test_hostile.py, here |
| a bare number for a time | test_hostile.py |
| sizes that no model can have | here |
| price lists, software, shard groups, formats, half tokens, late lots | test_hostile.py, here, cli/test_reports.py |
| exit 70: layouts, wires, dates, digits, own facts, saved files, ascii | test_hostile.py, cli/test_reports.py |
| input as output, killed runs, rights, links, a full disk | test_hostile.py, test_hostile_newer.py, test_files.py |
| equal questions, equal bytes; nan in a table | test_hostile.py, here |
| messages that contradict, or do not say where | test_hostile.py, here |
| requests that are none | test_bodies.py, bodies.py, run/serve/test_front.py, web/test_web_app.py |
| packed and encoded files, GGUF headers, resumed work | test_odd_files.py, packed.py, resumed.py |
| every option of every verb | test_odd_questions.py, options.py |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from test_hostile import FIT, GOOD, SERVE, TRAIN

from tonnage import catalog
from tonnage.cli import run
from tonnage.model import load

Captured = pytest.CaptureFixture[str]


def config(name: str) -> dict[str, Any]:
    return dict(load(name, catalog.load()).config)


def quantised(section: object) -> dict[str, Any]:
    return {**config("llama-3.1-8b"), "quantization_config": section}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (quantised("x"), "quantization_config"),
        (quantised(5), "quantization_config"),
        (quantised([]), "quantization_config"),
        (quantised({}), "quant_method: is missing"),
        (quantised({"quant_method": "zipnn"}), '"zipnn" is not known; needed: bits of an element'),
        (quantised({"quant_method": "gptq", "bits": -4}), "from 1 to 8, got -4"),
        (quantised({"quant_method": "gptq", "bits": 4.5}), "expected a whole number, got 4.5"),
        (quantised({"quant_method": "gptq", "bits": 4, "group_size": 0}), "or -1 for a whole row, got 0"),
        (quantised({"quant_method": "ascend"}), "quant_model_description.json must lie beside"),
        (config("llama-3.1-8b") | {"torch_dtype": "int8"}, "dtype"),
        (config("llama-3.1-8b") | {"torch_dtype": "float8_e4m3fn"}, "dtype"),
        (config("llama-3.1-8b") | {"torch_dtype": "zzz"}, "dtype"),
        (config("llama-3.1-8b") | {"torch_dtype": 5}, "dtype"),
        (config("llama-3.1-8b") | {"hidden_size": 4097}, "4097 is not a multiple of 32 heads"),
        (config("llama-3.1-8b") | {"hidden_size": 2}, "2 is not a multiple of 32 heads"),
        (config("llama-3.1-8b") | {"rope_scaling": {"rope_type": "zzz", "factor": 4}}, "no kind of scaling"),
        (config("llama-3.1-8b") | {"rope_scaling": {"rope_type": "yarn", "factor": -4}}, "from 1 to 10000, got -4"),
        (config("gpt-oss-20b") | {"layer_types": ["zzz"] * 24}, "'zzz' is no kind of layer"),
        (config("gpt-oss-20b") | {"layer_types": [1] * 24}, "1 is no kind of layer"),
        (config("deepseek-v2") | {"moe_layer_freq": "x"}, "moe_layer_freq: expected a whole number"),
        (config("deepseek-v2") | {"first_k_dense_replace": 61}, "61 dense layers are more than the 60"),
    ],
    ids=str,
)  # fmt: skip
def test_a_release_that_cannot_be_is_refused_at_its_place(
    tmp_path: Path, capsys: Captured, body: Mapping[str, Any], said: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    assert run(["fit", str(path), "--on", "8xh20-96gb"]) == 2
    told = capsys.readouterr().err
    assert said in told, told
    assert f"{path}:1:" in told


def test_dense_layers_between_are_counted() -> None:
    """Every second layer of DeepSeek-V2 dense: 126.7B parameters instead of 235.7B."""
    from tonnage.model import build, params

    every = params(build(config("deepseek-v2"), name="x")).total
    second = params(build(config("deepseek-v2") | {"moe_layer_freq": 2}, name="x")).total
    assert every == pytest.approx(235.7e9, rel=0.001)
    assert second == pytest.approx(126.7e9, rel=0.001)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*FIT, "--layout", "ep999999"), 2, "a dense model has no experts"),
        (("fit", "qwen3-30b-a3b", "--on", "8xh20-96gb", "--layout", "ep7"), 2, "nearest: ep8"),
        (("serve", "qwen3-30b-a3b", "--on", "8xh20-96gb", "--layout", "ep3"), 2, "nearest: ep2"),
        (("serve", "qwen3-8b", "--on", "8xascend-910c", "--engine", "trtllm"), 2, "does not run on Ascend 910C"),
        (("serve", "qwen3-8b", "--on", "8xmi300x", "--engine", "trtllm"), 2, "vllm, sglang, atom do"),
        (("fit", "qwen3-8b", "--on", "8xh20-96gb", "--engine", "atom"), 2, "vllm, sglang, trtllm do"),
        ((*SERVE, "--isl", "40k", "--osl", "100k"), 1, "140,000 tokens are beyond the 40,960"),
        ((*SERVE, "--isl", "100k", "--osl", "1"), 1, "beyond the 40,960"),
        ((*FIT, "--context", "100k"), 1, "beyond the 40,960"),
        (("serve", "deepseek-r1", "--on", "30xh20-96gb", "--layout", "ep30"), 2, "equally; nearest: ep24"),
        ((*FIT, "--engine", "vllm@0.0.0"), 2, "is not a version of vllm; the newest known is"),
        ((*TRAIN, "--rollout-length", "1k"), 2, "--rollout-length needs --rollout-tokens"),
        ((*TRAIN, "--rollout-on", "8xh20-96gb"), 2, "--rollout-on needs --rollout-tokens"),
        ((*TRAIN, "--move-wire", "1GB/s"), 2, "--move-wire needs --move-to"),
        ((*TRAIN, "--rollout-prompt", "8;ls"), 2, "--rollout-prompt"),
        ((*SERVE, "--ffn-layout", "tp1"), 2, "needs attention and FFN apart"),
        ((*SERVE, "--micro-batches", "2"), 2, "with attention and FFN apart"),
        ((*SERVE, "--price-list", "on-demand@9999-01-01"), 2, "--price-list no whole list"),
        ((*SERVE, "--prefill-layout", "tp8"), 2, "needs 8 ranks for a prefill pool"),
        ((*SERVE, "--osl", "1.5"), 2, "not a whole number"),
        ((*FIT, "--running", "1.5"), 2, "not a whole number"),
        ((*FIT, "--as-of", "2010"), 3, "was not yet released on 2010-01-01"),
        ((*TRAIN, "--software", "9999"), 2, "not a date"),
        (("lawful", "qwen3-8b", "--in", "CN", "--count", "1000000"), 2, "at most 100,000 accelerators"),
    ],
    ids=lambda value: " ".join(value[-2:])[:40] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_flags_that_cannot_be_meant(words: tuple[str, ...], code: int, said: str, capsys: Captured) -> None:
    assert run([*words]) == code
    out = capsys.readouterr()
    assert said in " ".join((out.out + out.err).split())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{slip: 1.2 to 3}", "{slip: 1.2 to 3, readiness: {onw: 1 %}}", 'chip named "onw"   did you mean "own"'),
        ("$2/h to $3/h", '"normal($2/h, $100/h)"', "is below $0.00/h in over a third of the draws"),
        ("$2/h to $3/h", "$-2/h", '"$-2/h" is below $0.00/h'),
        ("input_tokens: 0.8B/day", "input_tokens: 1e30/day", "the most that is taken here"),
        ("  new:\n", '  "\\e[31mE":\n', r'expected a name of 1 to 100 printable characters, got "\x1b[31mE"'),
        ("model: qwen3-8b\n    after", "model: {like: qwen3-8b, precision: zzz}\n    after", "is no format of weights"),
        ("ttft: 2s", "ttft: -2s", "is below 100 us"),
        ("peak: 1.2", "peak: 1e9", "is above 20"),
        ("within: 4 weeks", "within: -4 weeks", "is negative"),
        ("takes_over: 60 % to 90 %", "takes_over: 60 % to 190 %", "is above 100 %"),
        ("slip: 1.2 to 3", "slpi: 2", 'did you mean "slip"'),
        ("place: US", "place: Atlantis", '"Atlantis" is not a country'),
    ],
)  # fmt: skip
def test_a_programme_that_nobody_means(tmp_path: Path, capsys: Captured, old: str, new: str, said: str) -> None:
    assert old in GOOD
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    assert run(["launch", str(path), "--draws", "20"]) == 2
    told = capsys.readouterr().err
    assert said in told, told
    assert "\x1b" not in told


def test_draws_that_never_launch_cost_no_nothing(tmp_path: Path, capsys: Captured) -> None:
    """Half of the draws have no lot: what is said to be paid is of those that launch."""
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("count: 64,", 'count: "one of(0, 64)",', 1), encoding="utf-8")
    assert run(["launch", str(path), "--draws", "20", "--json", "-q"]) in (0, 1)
    plan = json.loads(capsys.readouterr().out)
    assert min(plan["cost"][name] for name in ("p10", "p50", "p90")) > 0


def test_a_lot_that_comes_too_late_is_said(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("from: 2025-08-01", "from: 2052-08-01", 1), encoding="utf-8")
    assert run(["launch", str(path), "--draws", "20"]) == 0
    assert "it comes after 2035-06-01, up to which launches are looked for" in capsys.readouterr().out


def test_one_lot_is_one_lot(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("from: 2025-08-01", "from: 2052-08-01", 1), encoding="utf-8")
    assert run(["launch", str(path), "--draws", "20"]) == 0
    assert "planning mini: 1 lot, 2 models, 20 draws" in capsys.readouterr().err


def test_what_has_no_number_is_an_empty_cell(capsys: Captured) -> None:
    assert run(["serve", "qwen3-0.6b", "--on", "13xh20-96gb", "--afd", "--ffn-layout", "tp8", "--csv"]) == 0
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*SERVE, "--running", "1.5"], "--running"),
        ([*SERVE, "--chunk", "100.5"], "--chunk"),
        ([*SERVE, "--afd", "--micro-batches", "2.5"], "--micro-batches"),
        ([*FIT, "--chunk", "100.5"], "--chunk"),
        ([*FIT, "--running", "1.5"], "--running"),
    ],
)
def test_what_is_counted_in_whole_ones_is_never_cut(words: list[str], said: str, capsys: Captured) -> None:
    assert run(words) == 2
    told = capsys.readouterr().err
    assert said in told and "is not a whole number" in told
