"""What `tonnage train` can be asked beside one plan: mixed fleets, moves, reinforcement learning, anchors."""

from __future__ import annotations

import json

import pytest

from tonnage.cli import run

SMALL = ("train", "llama-3.1-8b", "--global-batch", "512")


@pytest.fixture
def ask(capsys):
    def asked(*words, code=0):
        assert run([*SMALL, *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return asked


def test_a_mixed_fleet_has_the_keys_of_a_run_and_of_each_part(ask):
    found = ask("--on", "64xh100-sxm", "--on", "64xa100-sxm-80gb", "--tokens", "1T", "--price", "$2/h")
    one, other = found["parts"]
    assert found["outcome"] == "feasible"
    assert one["global_batch"] + other["global_batch"] == 512
    assert one["share"] + other["share"] == pytest.approx(1)
    assert one["share"] > other["share"], "an H100 is faster than an A100"
    assert found["tokens_per_second_per_accelerator"] * 128 * found["step_time"] == pytest.approx(512 * 4096)
    assert sum(found["breakdown"].values()) == pytest.approx(found["step_time"])
    assert found["cost"] == pytest.approx(one["cost"] + other["cost"])
    assert found["cost"] == pytest.approx(2 * found["accelerator_hours"])
    assert found["gain"] == pytest.approx(found["tokens_per_second_per_accelerator"] * 128 / found["alone"] - 1)
    assert found["gain"] > 0.2


def test_a_part_without_a_price_leaves_the_whole_unpriced(ask):
    found = ask("--on", "64xh800", "--on", "64xb30a", "--tokens", "1T")
    assert [part["cost"] is None for part in found["parts"]] == [False, True]
    assert found["cost"] is None


def test_a_layout_of_each_part_is_kept(ask):
    found = ask("--on", "64xh800", "--on", "64xh100-sxm", "--layout", "tp2,pp1 + tp4,pp1")
    assert [part["degrees"]["tp"] for part in found["parts"]] == [2, 4]
    assert [text.split(",")[0] for text in found["layout"].split(" + ")] == ["tp2", "tp4"]


def test_a_part_that_cannot_hold_the_model_is_said_and_infeasible(capsys):
    words = ["train", "llama-3.1-405b", "--on", "4xh100-sxm", "--on", "8xh800"]
    assert run(words) == 1
    text = capsys.readouterr().out
    assert text.startswith("No: ")
    assert "4 h100-sxm cannot take part: memory" in text


def test_a_move_costs_a_pause_and_pays_from_the_break_even_on(ask):
    words = ("--on", "64xh800", "--move-to", "256xh800", "--tokens", "1T", "--start", "2025-01-01")
    early = ask(*words, "--move-at", "10 %")["switch"]
    kinds = ("checkpoint", "convert", "transfer", "warm_up", "check", "lost")
    assert early["total"] == pytest.approx(sum(early[kind] for kind in kinds))
    assert early["worth"] and early["saved"] == pytest.approx(early["stay"] - early["move"])
    late = ask(*words, "--move-at", f"{100 * early['latest'] + 0.5} %")["switch"]
    assert not late["worth"]
    assert early["date"] < early["break_even_date"] < late["date"]
    by_date = ask(*words, "--move-on", "2025-01-03")["switch"]
    assert by_date["date"] == "2025-01-03"
    assert ask(*words, "--move-wire", "1 GB/s")["switch"]["transfer"] > 100


def test_a_move_to_fewer_never_pays(ask):
    found = ask("--on", "64xh800", "--move-to", "8xh800", "--tokens", "1T")["switch"]
    assert found["break_even_tokens"] is None and found["latest"] is None and not found["worth"]


def test_a_round_is_generation_reward_update_and_transfer(ask):
    words = ("--on", "16xh800", "--rollout-tokens", "10B", "--rollout-length", "2k", "--reward", "5s")
    found = ask(*words, "--price", "$2/h")["rl"]
    parts = [found[name] for name in ("generate", "reward", "update", "transfer")]
    assert found["reward"] == 5 and min(parts) > 0
    assert found["total"] == pytest.approx(sum(parts))
    assert found["rounds"] == pytest.approx(10e9 / (512 * 2000))
    assert found["total_low"] < found["total"] < found["total_high"]
    assert found["wall_time"] > found["rounds"] * found["total"], "interruptions cost time"
    assert found["cost"] == pytest.approx(2 / 3600 * 16 * found["wall_time"])


def test_pools_apart_with_stale_responses_take_the_slower(ask):
    words = ("--on", "16xh800", "--rollout-tokens", "10B", "--rollout-length", "2k", "--rollout-on", "16xh20")
    found = ask(*words, "--rollout-stale")["rl"]
    assert found["total"] == pytest.approx(max(found["generate"], found["update"]) + found["transfer"])
    assert ask(*words)["rl"]["total"] > found["total"]


def test_an_anchor_brings_the_same_run_onto_its_rate_and_narrows_the_interval(ask, tmp_path):
    words = ("--on", "64xh800", "--layout", "tp2,pp1,dp32,zero1,mbs1,recompute=none")
    plain = ask(*words)
    path = tmp_path / "runs.jsonl"
    rate = 0.8 * plain["tokens_per_second_per_accelerator"]
    path.write_text(json.dumps({"layout": plain["layout"], "published": rate}), encoding="utf-8")
    found = ask(*words, "--anchor", str(path))
    assert found["tokens_per_second_per_accelerator"] == pytest.approx(rate)
    assert found["step_time"] == pytest.approx(plain["step_time"] / 0.8)
    assert found["step_time_high"] / found["step_time"] < plain["step_time_high"] / plain["step_time"]
    assert found["anchor"]["runs"] == 1


def test_runs_on_other_chips_are_no_anchor(capsys, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"chip": "h20-96gb", "published": 1000}\n', encoding="utf-8")
    assert run([*SMALL, "--on", "64xh800", "--anchor", str(path)]) == 2
    assert "no run of this file is on h800-sxm" in capsys.readouterr().err
    path.write_text('{"layout": "tp3"}\n{"published": 10, "layout": "tp9x"}\n', encoding="utf-8")
    assert run([*SMALL, "--on", "64xh800", "--anchor", str(path)]) == 2
    said = capsys.readouterr().err
    assert "runs.jsonl:1" in said and "runs.jsonl:2" in said, "all at once"


def test_smaller_shard_groups_hold_more(ask):
    words = ("--on", "64xh800", "--layout", "tp1,pp1,zero3,mbs1,recompute=full")
    states = [
        ask(*words, *more)["memory"]["optimizer"] for more in (("--shard-group", "8"), ("--shard-group", "32"), ())
    ]
    assert states[0] == pytest.approx(4 * states[1]) == pytest.approx(8 * states[2])


def test_zero_bubble_and_lora_can_be_asked(ask):
    zero = ask("--on", "64xh800", "--layout", "pp8,schedule=zb,mbs1")
    plain = ask("--on", "64xh800", "--layout", "pp8,schedule=1f1b,mbs1")
    assert zero["degrees"]["schedule"] == "zb"
    assert zero["breakdown"]["bubble"] < plain["breakdown"]["bubble"]
    assert ask("--on", "64xh800", "--task", "lora")["step_time"] < plain["step_time"]


def test_every_bad_flag_is_said_at_once(capsys):
    words = ["--on", "8xh800", "--on", "0xh800", "--seq", "x", "--move-at", "3 %", "--rollout-on", "8xh20"]
    assert run([*SMALL, *words, "--layout", "tp1 + tp2 + tp4"]) == 2
    said = capsys.readouterr().err
    for flag in ("--on", "--seq", "--move-at", "--rollout-on", "--layout"):
        assert flag in said
