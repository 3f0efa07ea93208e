"""What a new user, an inference engineer, a training engineer and a lab's lead typed, and what was wrong with it.

Rows that a room tests already are named here and not doubled.

| row | what was wrong | where it is tested |
| --- | --- | --- |
| A1, A5, A7, A9, E5, E6 | what-ifs, shares and waits of a programme | fleet/test_as_asked.py |
| A2, A3 | an answer beyond the model's context | cli/test_reports.py, serve/test_serve_context.py |
| A4, E1 | a name that means another | cli/test_reports.py, catalog/test_chips_2026.py |
| A6, C3 | `no price is known` of a chip with a market | cli/test_prices_cli.py, catalog/test_owning.py |
| A8 | a saved answer without what was asked | here |
| B1, B2, B5 | layouts that the engine does not start | here, export/test_launch_lines.py |
| B3, B4 | lines without drafts, servers, exchange | here, export/test_launch_lines.py |
| C1, C2 | prices of other terms and places | cli/test_reports.py, cli/test_prices_cli.py, catalog/test_prices.py |
| C4 | compare in seconds, bytes and numbers of a list | here |
| D1 | gpt-oss at saturation | truth/ |
| D2, D3 | first tokens that nobody accepts, or none | here, serve/test_serve_engines.py |
| D4 | what stands above the label | cli/test_reports.py |
| D5 | spares, batches that do not divide, LoRA's layout | here, train/test_counts.py, train/test_spares.py |
| D6 | `interpolated` far from every published run | here, train/test_evidence.py |
| E2 | lines wider than the terminal | cli/test_width.py |
| E3 | two ranks in one 910C | here, export/test_launch_lines.py |
| E4 | the chosen point, and others of another kind | here, serve/test_serve_engines.py |
| E7 | one problem at a time; lists of --help | here, cli/test_reports.py |
| E8 | headquarters in `show` | cli/test_show_buyer.py |
| E9 | rented before it was released | here, catalog/test_chips_2026.py |
| F | examples, completion, LoRA's rank, QLoRA | cli/test_start.py, cli/test_completion.py, cli/test_train_recipe.py |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tonnage.cli import run

Captured = pytest.CaptureFixture[str]
Ask = Callable[..., dict[str, Any]]
Told = Callable[..., str]

SMALL = """
name: small
start: 2026-03-02
horizon: 6 months
place: US
fleet:
  - {lot: a, chip: h100-sxm, count: 16, tenure: owned, price: $2/h}
models:
  m: {model: llama-3.1-8b, serve: {output_tokens: 0.2B/day, isl: 1k, osl: 500}}
  n: {model: llama-3.1-8b, after: m, train: {stages: [{pretrain: 100B}]}, serve: {takes_over: 100 %, within: 1 week}}
"""


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a programme, its answer, and the answer to a larger one."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("s1.json", 16), ("s2.json", 24)):
        Path("same.yaml").write_text(SMALL.replace("count: 16", f"count: {count}"), encoding="utf-8")
        assert run(["launch", "same.yaml", "--draws", "20", "-q", "-o", name]) == 0
    return tmp_path


def test_a_saved_launch_holds_what_was_asked(saved: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A8: `0 inputs and 417 results differ`, no hint that the file changed, and no answer from another folder."""
    words = told("compare s1.json s2.json")
    assert words.startswith("1 input and ") and re.search(r"programme\.fleet\.a\.count 16 24", words)
    assert "a file moved" in told("rerun s1.json")
    elsewhere = saved / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    words = told("rerun ../s1.json")
    assert words.startswith("The answer is the same.") and "same.yaml" in words


def test_compare_speaks_of_causes_by_name_in_days_and_dollars(saved: Path, told: Told) -> None:
    """C4: `binds[7].by` means nothing to a reader, nor 2.93601e+09 bytes."""
    words = told("compare s1.json s2.json", whole=True)
    assert "cost.by_lot[a]." in words
    assert not re.search(r"(binds|by_lot)\[\d", words) and not re.search(r"\de[+-]\d", words)
    shown = re.findall(r"^  (?:cost|binds|launch)\S* .*?([+-]\d+\.\d) %$", words.partition("results")[2], re.MULTILINE)
    changes = [float(x) for x in shown]
    assert len(changes) > 5 and 0.0 not in changes
    logs = [abs(x) if x > 0 else 100 * (1 / (1 + x / 100) - 1) for x in changes]
    assert logs == sorted(logs, reverse=True)


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("train", "--global-batch 512", "--global-batch 1024"),
        ("serve", "--isl 1k", "--isl 4k"),
    ],
)
def test_compare_tells_each_number_as_people_read_it(
    told: Told, tmp_path: Path, command: str, first: str, second: str
) -> None:
    """C4: dollars a second, joules, and a step's parts as shares of one second; largest change first."""
    files = []
    for words in (first, second):
        files.append(tmp_path / f"{len(files)}.json")
        layout = "--layout tp1" if command == "serve" else "--layout tp1,pp1,zero1,mbs1"
        told(f"{command} llama-3.1-8b --on 8xh100-sxm {layout} {words} -q -o {files[-1]}")
    words = told(f"compare {files[0]} {files[1]}", whole=True)
    rows = {line.split()[0]: line for line in words.splitlines() if line.startswith("  ")}
    if command == "train":
        assert re.search(r"\d (s|ms)\b", rows["breakdown.gemm"])
        assert re.search(r"\d (s|ms|h|d)\b", rows["step_time"])
    else:
        assert re.search(r"\d k?Wh\b", rows["energy_per_million_input_tokens"])
        assert re.search(r"\$\d", rows["cost_per_million_output_tokens"])
    shown = [row for row in rows.values() if row.endswith(" %")]
    assert len(shown) > 5


# B: what is recommended starts


@pytest.mark.parametrize(
    ("words", "has", "hasnt"),
    [
        # 256 experts over 144 ranks: with copies that make them divide, on 18 servers, over an exchange
        (
            "serve deepseek-r1 --on 144xh800 --mode decode --layout tp1,ep144",
            ("--ep-num-redundant-experts 32", "--moe-a2a-backend", "--deepep-mode low_latency", "--nnodes 18",
             "--node-rank $NODE_RANK", "--dist-init-addr $HEAD_ADDR:", "--model-path deepseek-ai/DeepSeek-R1"),
            (),
        ),
        # drafts and pipeline stages do not go together
        (
            "serve llama-3.3-70b --on 8xh200 --weights fp8 --speculate 3@0.7 --engine vllm",
            ("--speculative-config", "vllm does not draft tokens over pipeline stages"),
            ("--pipeline-parallel-size",),
        ),
        # both pools draft: the cache of the draft layer goes with the rest
        (
            "serve llama-3.3-70b --on 8xh200 --weights fp8 --speculate 3@0.7 --disaggregate --engine sglang",
            ("--disaggregation-mode prefill", "--disaggregation-mode decode"),
            ("--pp-size",),
        ),
    ],
    ids=("experts", "stages", "pools"),
)  # fmt: skip
def test_a_recommended_line_starts(told: Told, words: str, has: tuple[str, ...], hasnt: tuple[str, ...]) -> None:
    text = told(words)
    lines = re.split(r" launch (?=prefill|decode|serve)", text.partition("throughput against")[0])[1:]
    assert lines and not [flag for flag in hasnt for line in lines if flag in line]
    assert not [flag for flag in has if flag not in text]
    if "--speculate" in words:
        assert all("--speculative" in line for line in lines)


def test_a_pinned_layout_that_the_engine_has_not_is_refused_for_that(told: Told) -> None:
    """B5: it was `does not fit in the cache: at most 163,840 do`, of 5,000 tokens."""
    text = told("serve deepseek-v3 --on 16xh200-sxm --engine trtllm --layout tp2,dp8", 1)
    assert "TensorRT-LLM gives each attention replica one rank" in text
    assert "does not fit" not in text and "another --layout" in text


def test_a_plugin_that_takes_two_batches_in_turns_does_not_get_three(told: Told) -> None:
    """B5: `Yes` for what the plugin does not run; the best that it runs wins, the other is told of."""
    text = told("serve deepseek-v3 --on 32xh800-sxm --afd --layout tp1 --ffn-layout tp1,dp16")
    assert text.startswith("Yes") and "num_ffn_ranks" in text and "3 micro-batches in turns" not in text


# D, E: what an answer says


def test_a_service_without_a_limit_has_first_tokens_that_people_accept(ask: Ask) -> None:
    """D2: 6.4 s on average were the best of all, and what stood beside it no better."""
    found = ask("serve llama-3.3-70b --on 8xa100-sxm-80gb --engine vllm --tpot 50ms")
    assert found["ttft"] < found["assumed_ttft"] == 2.0
    assert found["alternatives"] and all(row["ttft"] <= 2.0 for row in found["alternatives"])


@pytest.mark.parametrize(
    "words",
    [
        "llama-3.3-70b --on 8xh200-sxm --weights fp8 --speculate 3@0.7 --engine vllm",
        "llama-3.3-70b --on 8xh20 --tpot 60ms",
        "qwen3-32b --on 16xa100-sxm-80gb",
    ],
)
def test_what_stands_beside_is_of_another_kind_and_within_the_same_limits(ask: Ask, words: str) -> None:
    """E4: five times one decode with another prefill; or one prefill with another decode, as fast."""
    found = ask(f"serve {words}")
    rows = [row for row in found["alternatives"] if row["mode"] == "disaggregated"]
    fed = {(row["prefill_layout"], round(row["requests_per_second"], 2)) for row in rows}
    assert len(fed) == len(rows) and len({row["layout"] for row in rows}) == len(rows)
    assert all(row["ttft"] <= 2.0 for row in found["alternatives"])
    assert sum(row["chosen"] for row in found["frontier"]) == 1


def test_no_row_of_the_table_is_one_user_on_all_chips(ask: Ask, told: Told) -> None:
    """E4: 0.641 tokens/s each; JSON has the end of the curve."""
    words = "serve qwen3-32b --on 64xh100-sxm --engine sglang"
    table = told(words, whole=True).partition("throughput against speed per user")[2].partition("\n\n")[0]
    each = [float(line.split()[0].replace(",", "")) for line in table.splitlines()[2:] if line.strip()]
    assert len(each) > 5 and min(each) >= 0.01 * max(each) and "<- chosen" in table


@pytest.mark.parametrize(
    ("words", "said", "unsaid"),
    [
        # one card, and 21 minutes on one server: nothing to swap in, and no interruption to speak of
        ("llama-3.1-8b --on 1xrtx-4090 --task lora --tokens 10M --seq 2048 --global-batch 16", "none is likely in",
         "spares"),
        ("llama-3.1-8b --on 8xh100-sxm --task sft --tokens 100M --seq 4096 --global-batch 64", "none is likely in",
         "spares"),
        ("llama-3.1-70b --on 2048xh100-sxm --tokens 1T --global-batch 1024", "spares beside it", "none is likely"),
        # a run is no nearer to a published one than it says
        ("deepseek-v3 --on 2048xascend-910b3 --tokens 1T", "extrapolated", "interpolated"),
    ],
    ids=("one card", "one server", "many servers", "another vendor"),
)  # fmt: skip
def test_training_says_what_means_something_there(told: Told, words: str, said: str, unsaid: str) -> None:
    """D5, D6."""
    text = told(f"train {words}")
    assert said in text and unsaid not in text


@pytest.mark.parametrize(
    ("words", "batch", "gain"),
    [
        ("llama-3.1-8b --on 64xh100-sxm --global-batch 1000 --tokens 100B", 1024, 12),
        ("qwen3-8b --on 64xh100-sxm --global-batch 1000 --tokens 100B", 1024, 7),
        ("llama-3.1-8b --on 48xh100-sxm --global-batch 500 --tokens 100B", None, None),
    ],
)
def test_a_batch_that_does_not_divide_has_the_nearest_that_pays(
    ask: Ask, told: Told, words: str, batch: int | None, gain: int | None
) -> None:
    """D5: 12 % were lost in silence; what the hint says is what the other batch does, asked for by itself."""
    text = told(f"train {words}")
    found = re.search(r"--global-batch (\d+)[^(]*? ([\d,]+) tokens/s per accelerator \(\+(\d+)%\)", text)
    assert found is not None
    if batch is not None:
        assert (int(found[1]), int(found[3])) == (batch, gain)
    asked = re.sub(r"--global-batch \d+", f"--global-batch {found[1]}", words)
    other = ask(f"train {asked}")
    assert round(other["tokens_per_second_per_accelerator"]) == int(found[2].replace(",", ""))


def test_lora_takes_a_layout_that_surely_fits_where_it_costs_next_to_nothing(ask: Ask) -> None:
    """D5: it was one whose upper end did not fit, although one of 60 GB took 2.2 % longer."""
    found = ask("train llama-3.1-70b --on 8xh100-sxm --task lora --tokens 100M --seq 4096 --global-batch 64")
    assert found["memory"]["total_high"] <= found["memory"]["capacity"]
    assert min(row["slower"] for row in found["alternatives"]) > -0.025


def test_two_ranks_of_one_910c_are_said(told: Told) -> None:
    """E3."""
    assert "one Ascend 910C is 2 ranks" in told("fit deepseek-r1 --on 16xascend-910c")


@pytest.mark.parametrize(
    ("verb", "flag"),
    [
        *((verb, flag) for verb in ("serve", "fit") for flag in ("engine", "weights", "kv")),
        *(("serve", flag) for flag in ("mode", "term", "stack")),
        *(("train", flag) for flag in ("precision", "task", "term", "optimizer", "moments", "gradients", "master",
                                       "offload", "base", "lora-on", "routing")),
    ],
)  # fmt: skip
def test_help_names_what_the_error_names(capsys: Captured, verb: str, flag: str) -> None:
    """E7: --help's list of engines lacked one, that of formats another."""
    assert run([verb, "qwen3-8b", "--on", "8xh200-sxm", f"--{flag}", "zzq"]) == 2
    error = capsys.readouterr().err
    listed = re.search(r'"zzq"(?: is not one of|; known:) (.*)', error)
    assert listed is not None, error
    assert run([verb, "--help"]) == 0
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    text = words.partition(f" --{flag} ")[2].partition(" --")[0]
    if verb == "serve" and flag == "mode":
        text = words.partition(f" --{flag} ")[2][:200]
    for name in listed[1].strip().split(", "):
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), (name, text)


@pytest.mark.parametrize("as_of", ["2024-08-01", "2024-10-01"])
def test_an_h200_was_known_before_it_was_released_to_all(ask: Ask, as_of: str) -> None:
    """E9: no fact of it was known, `released on 2024-11-18`, in a summer in which it was for rent."""
    found = ask(f"show h200 --as-of {as_of}")
    assert len(json.dumps(found)) > 2000
