"""`tonnage serve` and `fit` as people call them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tonnage import cli


def run(capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, str]:
    code = cli.run(text.split())
    return code, capsys.readouterr().out


@pytest.mark.parametrize("name", ["lmdeploy", "jetstream", "mango"])
def test_an_engine_that_is_not_known_is_refused_and_never_replaced(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.run(f"serve qwen3-32b --on 8xh100-sxm --engine {name}".split()) == 2
    assert f'no engine named "{name}"; known: vllm, sglang' in capsys.readouterr().err


def asked(capsys: pytest.CaptureFixture[str], text: str) -> dict[str, Any]:
    code, out = run(capsys, f"serve {text} --json")
    held: dict[str, Any] = json.loads(out)
    assert code == (0 if held["outcome"] == "feasible" else 1)
    return held


def test_a_usable_speed_is_assumed_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    """50 ms, 20 tokens/s: what DeepSeek's published day gave a user."""
    found = asked(capsys, "deepseek-r1 --on 16xh20")
    assert found["assumed_tpot"] == 0.05 and found["tpot"] <= 0.05
    _, out = run(capsys, "serve deepseek-r1 --on 16xh20")
    assert "50 ms per token, for no --tpot is given" in out
    assert "most tokens" in out and "fastest per user" in out


def test_no_limit_is_a_word_and_a_load_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    free = asked(capsys, "deepseek-r1 --on 16xh20 --tpot none")
    assert free["assumed_tpot"] is None and free["tpot"] > 0.05
    loaded = asked(capsys, "llama-3.1-8b --on 1xh100-sxm --concurrency 512")
    assert loaded["assumed_tpot"] is None


def test_chips_too_slow_for_the_usual_get_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "llama-3.1-405b --on 16xa100-pcie-80gb --isl 1k --osl 256")
    assert found["outcome"] == "feasible"
    assert found["tpot"] is not None
    assert found["assumed_tpot"] == pytest.approx(0.05) or found["assumed_tpot"] > 0.05


def test_the_first_sentence_of_a_mixed_fleet_answers(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = run(capsys, "serve deepseek-r1 --on 16xh20 --on 16xascend-910c --tpot 50ms")
    first = " ".join(out.split("\n\n")[0].split())
    assert first.startswith("Yes: 16 x H20 SXM 96 GB + 16 x Ascend 910C serve DeepSeek-R1")
    assert "in all" in first
    assert "prefill" in first or "by themselves" in first or "stand idle" in first


def test_hints_ask_the_same_point_again(capsys: pytest.CaptureFixture[str]) -> None:
    base = "deepseek-v3 --on 32xh800 --tpot 50ms"
    for more in ("--afd", "--mode decode", "--mode aggregated", ""):
        found = asked(capsys, f"{base} {more}")
        _, out = run(capsys, f"serve {base} {more}")
        hint = " ".join(out[out.index("hint: tonnage serve") :].split())
        again = hint.removeprefix("hint: tonnage serve ").partition(" pins this")[0]
        pinned = asked(capsys, again)
        assert pinned["layout_text"] == found["layout_text"]
        assert pinned["requests_per_second"] == pytest.approx(found["requests_per_second"], rel=0.03)


def test_prices_in_cny_are_taken_at_a_rate_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """The list planned for V4-Pro from 2026-07-15: by the hour, in CNY alone; the catalogue has 7.12 CNY/USD."""
    text = "deepseek-r1 --on 32xh200 --tpot 50ms --ttft 5s --price-list api-deepseek-v4-pro-2026-07-15"
    usual, given = asked(capsys, text), asked(capsys, f"{text} --exchange-rate 8")
    assert "off-peak hours, CNY at 7.12" in usual["day"]["price_list"] and "CNY at 8" in given["day"]["price_list"]
    ratio = usual["day"]["revenue_per_day"] / given["day"]["revenue_per_day"]
    assert ratio == pytest.approx(8 / 7.12)


def test_the_chunk_of_fit_is_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    room = []
    for chunk in ("2k", "32k"):
        _, out = run(capsys, f"fit deepseek-r1 --on 16xh20 --engine vllm --chunk {chunk} --json")
        room.append(json.loads(out)["memory"]["activations"])
    assert room[0] < room[1]


@pytest.mark.parametrize(
    "wrong",
    [
        "--mode decode --ttft 1s",
        "--mode aggregated --afd",
        "--ffn-layout ep16",
        "--micro-batches 2",
        "--chunk 1",
        "--exchange-rate 0.1",
        "--price $-1/h",
        "--price $0/h",
        "--imbalance 0.5",
        "--imbalance 1e9",
        "--batch 0",
        "--batch 1e12",
        "--rate 1e300/s",
        "--rate 1/s --batch 3",
        "--concurrency 1e12",
        "--concurrency 8 --batch 3",
        "--disaggregate --concurrency 64",
    ],
)
def test_flags_that_do_not_go_together_are_refused(capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    assert run(capsys, f"serve deepseek-r1 --on 16xh20 {wrong}")[0] == 2


def test_fit_takes_the_settings_that_engines_log(capsys: pytest.CaptureFixture[str]) -> None:
    """vLLM samples all sequences that may run in its trial step: the more, the less cache is left."""
    command = "fit llama-3.1-8b --on 1xh100-sxm --engine vllm --json --running"
    few, many = (json.loads(run(capsys, f"{command} {n}")[1])["cached_tokens"] for n in (16, 1024))
    assert few > many
    assert run(capsys, f"{command} 0")[0] == 2
    assert run(capsys, "fit llama-3.1-8b --on 1xh100-sxm --layout tp1,zero1")[0] == 2


def test_two_flags_of_one_chip_are_one_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    twice = run(capsys, "serve deepseek-r1 --on 8xh20 --on 8xh20")[1].splitlines()
    once = run(capsys, "serve deepseek-r1 --on 16xh20")[1].splitlines()
    assert twice[0] == once[0]


@pytest.mark.parametrize("flags", ["--afd", "--layout tp1 --afd", "--ffn-layout tp1 --afd"])
def test_attention_and_ffn_that_cannot_be_apart_are_said_of_what_was_asked(
    capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    assert cli.run(f"serve qwen3-0.6b --on 1xh20 {flags}".split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {flags.split()[0]} no unit of attention and FFN ranks")
    assert "of 1 rank" in err and "1 ranks" not in err


def test_a_mixed_fleet_is_priced_at_what_its_bill_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "serve deepseek-r1 --on 16xh20 --on 16xh800 --tpot 50ms")[1]
    assert "mean of the fleets" in text and "at $1.55/h" in text


def test_a_model_without_layers_that_draft_is_said_to_need_another(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(run(capsys, "serve llama-3.1-8b --on 1xh100-sxm --speculate 3@0.8")[1].split())
    assert "by an EAGLE-3 head of usual shape, counted" in text and "--speculative-draft-model-path DRAFT_MODEL" in text
    own = " ".join(run(capsys, "serve deepseek-r1 --on 16xh20 --speculate 1@0.85")[1].split())
    assert "by the model's own layers" in own and "DRAFT_MODEL" not in own


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("deepseek-r1 --on 16xh20 --batch 1e5", "sequences per accelerator are asked for"),
        ("llama-3.1-8b --on 1xh200 --disaggregate", "not in two pools"),
        ("qwen3-235b-a22b --on 8xascend-910b", "--weights int8"),
    ],
)
def test_what_does_not_fit_is_said_as_it_is(capsys: pytest.CaptureFixture[str], asked: str, words: str) -> None:
    code, text = run(capsys, f"serve {asked}")[:2]
    assert code == 1 and words in " ".join(text.split())


def test_the_engine_s_version_and_settings_are_said_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """By the words of the issue and by ours; the answer names the rules and its cache line multiplies out."""
    text = "fit gpt-oss-120b --on 2xh100-sxm --engine vllm@0.11"
    code, out = run(capsys, f"{text} --max-running 64 --max-batched-tokens 2k --eager --memory-share 0.85")
    assert code == 0 and "vllm 0.11 rules" in out
    assert "what the whole cache holds" in out and "bytes a token x" in out
    assert run(capsys, f"{text} --running 64 --chunk 2k --eager --memory-share 0.85") == (code, out)
    code, out = run(capsys, "fit gpt-oss-120b --on 1xh100-sxm --engine vllm@0.14.1")
    assert code == 1 and "vllm 0.14.1 rules" in out


def test_serve_follows_what_is_said_and_its_hint_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = "serve llama-3.1-8b --on 1xh100-sxm --engine vllm@0.20 --max-running 16 --memory-share 0.5 --eager"
    code, out = run(capsys, text)
    assert code == 0 and "vllm 0.20 rules" in out
    flags = out.split("launch")[1]
    assert "--max-num-seqs 16" in flags and "--enforce-eager" in flags and "--gpu-memory-utilization 0.5" in flags
    hint = out.split("hint:")[1]
    assert "--engine vllm@0.20" in hint and "--eager" in hint and "--memory-share 0.5" in hint


def test_a_version_that_is_none_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fit", "llama-3.1-8b", "--on", "1xh100-sxm", "--engine", "vllm@new"]) == 2
    assert 'did you mean "vllm@' in capsys.readouterr().err


def test_accuracy_of_capacities_is_told_by_engine_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "accuracy capacity")
    assert code == 0
    assert "by engine and version" in out and "vllm@0.11" in out and "sglang@0.5.15" in out and "trtllm@1.2" in out
    code, out = run(capsys, "accuracy capacity --json")
    held = json.loads(out)
    assert len(held["rows"]) >= 60 and held["stated"]["median"] < 0.02


def test_a_usual_wait_for_the_first_token_is_assumed_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    """8 A100: the most requests would let first tokens wait 6 s."""
    base = "llama-3.3-70b --on 8xa100-sxm-80gb --engine vllm --tpot 50ms"
    bound, free = asked(capsys, base), asked(capsys, f"{base} --ttft none")
    assert bound["assumed_ttft"] == 2.0 and bound["ttft"] <= 2.0 and bound["assumed_tpot"] is None
    assert free["assumed_ttft"] is None and free["ttft"] > 2.0
    assert free["requests_per_second"] > bound["requests_per_second"]
    _, out = run(capsys, f"serve {base}")
    assert "2 s to the first, for no --ttft is given" in out
    assert asked(capsys, f"{base} --ttft 1s")["assumed_ttft"] is None


def test_where_the_usual_wait_cannot_be_kept_it_is_twice_the_shortest(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "deepseek-r1 --on 16xh20 --isl 64k")
    assert found["outcome"] == "feasible" and 2.0 < found["ttft"] <= found["assumed_ttft"]
    _, out = run(capsys, "serve deepseek-r1 --on 16xh20 --isl 64k")
    assert "these do not keep the usual 2 s" in out


def test_percentiles_are_asked_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "glm-5 --on 16xh200 --ttft-p99 2s --tpot-p95 60ms")
    assert found["ttft_p99"] <= 2.0 and found["tpot"] <= 0.06 and found["assumed_ttft"] is None
    for words in ("--ttft-p99 soon", "--on 16xh20 --ttft-p99 2s"):
        assert cli.run(f"serve glm-5 --on 16xh200 {words}".split()) == 2
        assert "--ttft-p99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("qwen3-0.6b --on 1xh20 --prefill-layout tp8", ("--prefill-layout", "needs 8 ranks", "there is 1")),
        ("qwen3-0.6b --on 2xh800 --prefill-layout tp7", ("--prefill-layout", "tp7 does not divide")),
        ("qwen3-8b --on 8xascend-910c --engine trtllm", ("--engine", "does not run on", "vllm-ascend")),
        ("qwen3-30b-a3b --on 8xh20 --layout ep7", ("--layout", "nearest: ep8")),
        ("qwen3-8b --on 8xh20 --layout ep999999", ("--layout", "dense model")),
    ],
)
def test_what_cannot_be_is_wrong_with_its_flag(
    capsys: pytest.CaptureFixture[str], words: str, says: tuple[str]
) -> None:
    assert cli.run(f"serve {words}".split()) == 2
    err = capsys.readouterr().err
    assert all(text in err for text in says)


def test_the_answer_has_whole_commands_what_is_refused_and_the_chosen_point(capsys: pytest.CaptureFixture[str]) -> None:
    base = "llama-3.3-70b --on 8xh200 --weights fp8 --speculate 3@0.7 --engine vllm"
    _, out = run(capsys, f"serve {base}")
    text = " ".join(out.split())
    assert "refused" in out and "does not draft tokens over pipeline stages" in text
    assert "vllm serve meta-llama/" in text and "--quantization fp8" in text and "<- chosen" in out
    found = asked(capsys, base)
    assert found["refused"]["why"] and sum(row["chosen"] for row in found["frontier"]) == 1
    assert "--speculative-config" in found["launch"][0]["flags"] and found["launch"][0]["commands"]
    _, out = run(capsys, "serve qwen3-8b --on 16xascend-910c")
    assert "one Ascend 910C is 2 ranks" in " ".join(out.split())


@pytest.mark.parametrize(
    "words",
    [
        "deepseek-r1 --on 144xh800 --mode decode --isl 4k --osl 1k --tpot 50ms --layout tp1,ep144",
        "deepseek-r1 --on 32xh200 --tpot 20ms --speculate 1@0.85",
        "deepseek-v3 --on 128xh800 --afd --disaggregate --ttft 2s --tpot 50ms",
        "deepseek-v3 --on 16xh20 --on 32xh800 --afd --tpot 60ms",
        "qwen3-235b-a22b --on 16xmi300x --tpot 30ms",
    ],
)
def test_the_guides_own_examples_have_flags_for_every_instance(capsys: pytest.CaptureFixture[str], words: str) -> None:
    rows = asked(capsys, words)["launch"]
    assert rows and all(row["flags"] and row["commands"] for row in rows)
    assert not any("pp-size" in row["flags"] and "speculative" in row["flags"] for row in rows)
