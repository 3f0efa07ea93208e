"""Training plans as files of engines: taken by their tables, read back to the same plan, mistakes refused."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tonnage.ask import train as ask
from tonnage.ask.exported import exported
from tonnage.ask.train_plan import planned
from tonnage.ask.train_words import TrainWords
from tonnage.catalog import load
from tonnage.catalog.software import software
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.export import TRAINING, CannotExport, training_files
from tonnage.export.setting import decisions
from tonnage.export.stages import chunks, written
from tonnage.export.train_accepted import FILLED, block, check_files, refused, settings_file
from tonnage.export.train_tables import settings_of
from tonnage.launchfile import read
from tonnage.train import TrainPlan

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
checks = importlib.import_module("export_check.training")

CATALOG = load()

ENGINES = {
    "dense on one server": {"megatron", "bridge", "run"},
    "dense on many, as of a day": {"megatron", "bridge", "run"},
    "mixture with latent attention": {"megatron", "bridge", "run"},
    "mixture": {"megatron", "bridge", "run"},
    "hybrid": {"megatron", "bridge", "run"},
    "amd": {"megatron", "bridge", "run"},
    "ascend": {"mindspeed", "run"},
    "ascend of two dies": {"mindspeed", "run"},
    "adapters on ascend": {"mindspeed"},
    "sharded weights": {"megatron", "bridge", "run"},
    "uneven stages": {"megatron", "bridge", "run"},
    "narrow states": {"megatron", "bridge", "run"},
    "four bits": {"megatron", "bridge", "run"},
    "long sequences": {"megatron", "bridge", "run"},
    "muon": {"megatron", "bridge", "run"},
    "groups": {"megatron", "bridge", "run"},
    "torchtitan": {"torchtitan", "run"},
    "torchtitan with a pipeline": {"torchtitan", "run"},
    "torchtitan, mixture": {"torchtitan", "run"},
    "torchtitan in FP8": {"torchtitan", "run"},
    "rounds": {"megatron", "bridge", "verl", "run"},
    "rounds with two pools": {"megatron", "bridge", "verl", "run"},
}
"""Which engines have what a plan decided."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    made = {}
    for number, (name, words) in enumerate(checks.PLANS.items()):
        path = folder / f"{number}.json"
        assert run(["train", *shlex.split(words), "-o", str(path), "--quiet", "--ledger=off"]) == 0, name
        made[name] = path
    return made


@pytest.fixture(scope="module")
def answers(saved):
    return {name: json.loads(path.read_text()) for name, path in saved.items()}


@pytest.fixture(scope="module")
def plans(answers):
    return {name: TrainPlan.from_json(answer) for name, answer in answers.items()}


def test_every_plan_of_the_script_is_here():
    assert set(ENGINES) == set(checks.PLANS)


@pytest.mark.parametrize("name", ENGINES)
def test_a_plan_is_written_for_engines_that_have_what_it_decided_and_refused_by_the_others(plans, name):
    for engine in TRAINING:
        if engine not in ENGINES[name]:
            with pytest.raises(CannotExport):
                training_files(plans[name], engine)
            continue
        made = training_files(plans[name], engine)
        assert len({one.name for one in made}) == len(made)
        for one in made:
            if one.name.endswith(".sh"):
                found = subprocess.run(["bash", "-n"], input=one.text, text=True, capture_output=True, check=False)
                assert found.returncode == 0, found.stderr
            elif one.name.endswith(".py"):
                compile(one.text, one.name, "exec")
            else:
                assert YAML(typ="safe").load(one.text)
        if engine != "run":
            check_files(engine, made)


ASKED: dict[str, TrainPlan] = {}
"""Plans by their question, which the files of several engines share."""


def planned_again(path):
    """What a file asks, planned, and what was read of it."""
    found = read(path, CATALOG, train=True)
    words = TrainWords(**{**found.words, "on": tuple(found.on.split(" + "))})
    key = repr((found.model, words, found.as_of))
    if key not in ASKED:
        asked = ask.read(found.model, words, None if found.as_of is None else datetime.date.fromisoformat(found.as_of))
        ASKED[key] = planned(asked, asked.job(CATALOG), CATALOG).plan
    return ASKED[key], found


@pytest.mark.parametrize("name", ENGINES)
def test_files_are_read_back_to_the_same_plan(answers, plans, tmp_path, name):
    for engine in ENGINES[name]:
        for one in exported(answers[name], engine, CATALOG):
            (tmp_path / one.name).write_text(one.text)
        file = {"bridge": "config.yaml", "run": "run.yaml"}.get(engine, "train.sh")
        again, found = planned_again(tmp_path / file)
        assert not found.strange and not found.unpriced, engine
        before = plans[name].rl.update if engine == "verl" else plans[name]
        assert (again.layout, again.run, again.price) == (before.layout, before.run, plans[name].price), engine
        assert again.rl == plans[name].rl and again.job.arch.name == plans[name].job.arch.name, engine


def test_the_command_reads_a_file_back(saved, answers, tmp_path, capsys):
    for name, engine, file in (
        ("dense on many, as of a day", "bridge", "train.sh"),
        ("ascend", "mindspeed", "train.sh"),
    ):
        assert run(["export", str(saved[name]), engine, "-o", str(tmp_path / engine), "--quiet"]) == 0
        capsys.readouterr()
        assert run(["train", "--from", str(tmp_path / engine / file), "--json", "--quiet"]) == 0
        found = json.loads(capsys.readouterr().out)
        for key in ("layout", "step_time", "step_time_high", "memory", "wall_time", "cost"):
            assert found[key] == answers[name][key], (engine, key)


def test_flags_alone_give_the_layout_back(answers, tmp_path, capsys):
    """Without the comment the layout and the sizes of a step are still in the flags."""
    for name in ("mixture", "narrow states", "torchtitan with a pipeline", "ascend"):
        engine = next(one for one in ("megatron", "torchtitan", "mindspeed") if one in ENGINES[name])
        (text,) = (
            one.text for one in training_files(TrainPlan.from_json(answers[name]), engine) if one.name == "train.sh"
        )
        (tmp_path / "train.sh").write_text(text)
        asked = answers[name]["inputs"]
        words = ["train", asked["model"], "--from", str(tmp_path / "train.sh"), "--on", asked["on"]]
        assert run([*words, "--json", "--quiet"]) == 0, capsys.readouterr().err
        assert json.loads(capsys.readouterr().out)["layout"] == answers[name]["layout"], name


def edited(answers, tmp_path, old, new):
    made = {one.name: one.text for one in exported(answers["dense on many, as of a day"], "megatron", CATALOG)}
    assert old in made["train.sh"]
    (tmp_path / "train.sh").write_text(made["train.sh"].replace(old, new))
    return tmp_path / "train.sh"


def test_where_flags_and_the_comment_contradict_each_other_the_flags_are_right(answers, tmp_path, capsys):
    path = edited(answers, tmp_path, "--seq-length 8000", "--seq-length 4000")
    assert run(["train", "--from", str(path), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"]["seq"] == "4000" and found["inputs"]["as_of"] == "2025-06-01"
    assert any("seq 4000 is the file's, not 8k as was asked" in note for note in found["written"]["read"])
    path = edited(answers, tmp_path, "--nnodes 8 ", "--nnodes 4 ")
    assert run(["train", "--from", str(path), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"]["on"] == "32xh100"
    path = edited(answers, tmp_path, "--nnodes 8 ", "--nnodes 8 ")
    assert run(["train", "--from", str(path), "--json", "--quiet", "--on", "128xh100", "--seq", "2k"]) == 0
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert inputs["on"] == "128xh100" and inputs["seq"] == "2k" and inputs["tokens"] == "1T"


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", '{"command": "launch", "model": "x"}', '{"command": "train", "model": 3}',
     '{"command": "train", "model": "x", "words": 3, "files": ["../../etc/passwd", "/etc/passwd", 3]}', "{" * 5000],
)  # fmt: skip
def test_a_comment_of_anybody_is_words_or_nothing(line, answers, tmp_path, capsys):
    path = edited(answers, tmp_path, "# tonnage asked: ", f"# tonnage asked: {line}\n# ")
    assert run(["train", "llama-3.1-8b", "--from", str(path), "--on", "64xh100", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == answers["dense on many, as of a day"]["layout"]


FIRST = {"megatron": "mixture", "bridge": "mixture", "torchtitan": "torchtitan, mixture", "mindspeed": "ascend",
         "verl": "rounds"}  # fmt: skip


@pytest.mark.parametrize("engine", FIRST)
def test_each_table_refuses_planted_mistakes(plans, engine):
    one = settings_file(engine, training_files(plans[FIRST[engine]], engine))
    assert refused(one) == () and len(checks.MISTAKES[engine]) >= 10
    for label, edit in checks.MISTAKES[engine].items():
        wrong = dataclasses.replace(one, words=tuple(checks.edited(one.words, edit)))
        assert refused(wrong), label


def test_experts_beyond_their_ranks_are_refused(plans):
    one = settings_file("megatron", training_files(plans["mixture"], "megatron"))
    for name, value in {"--expert-model-parallel-size": "256", "--expert-tensor-parallel-size": "64"}.items():
        assert refused(dataclasses.replace(one, words=tuple(checks.edited(one.words, {name: value}))))
    with pytest.raises(InputError, match="no-such"):
        check_files("megatron", [dataclasses.replace(m, text=m.text.replace("--bf16", "--no-such")) for m in
                                 training_files(plans["mixture"], "megatron")])  # fmt: skip


@pytest.mark.parametrize("engine", FIRST)
def test_every_setting_has_its_line_of_the_plan(plans, engine):
    made = {one.name: one.text for one in training_files(plans[FIRST[engine]], engine)}
    if engine == "bridge":
        rows = [row for row in made["config.yaml"].splitlines() if not row.startswith("#") and not row.endswith(":")]
    else:
        rows = made["train.sh"].split("flags=(\n")[1].split("\n)")[0].splitlines()
    reasons = set(decisions().values())
    assert len(rows) > 15 and all(row.partition("  # ")[2] in reasons for row in rows)


def test_a_script_asks_for_what_no_plan_decides_and_starts_what_it_says(plans, tmp_path):
    (script,) = (one for one in training_files(plans["amd"], "megatron") if one.name == "train.sh")
    (tmp_path / "train.sh").write_text(script.text)
    (tmp_path / "torchrun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    user = {"TOKENIZER": "/tokenizer", "DATA": "/data", **FILLED, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    for missing in ("LR", "DATA", "TOKENIZER", "STEPS", "HEAD_ADDR", "NODE_RANK"):
        env = {name: value for name, value in user.items() if name != missing}
        done = subprocess.run(["bash", "train.sh"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode != 0 and missing in done.stderr
    done = subprocess.run(
        ["bash", "train.sh", "--seed", "1"], cwd=tmp_path, env=user, capture_output=True, text=True, check=True
    )
    words = done.stdout.splitlines()
    assert words[-2:] == ["--seed", "1"]
    after = words.index("pretrain_gpt.py")
    assert words[after + 1 : -2] == block(script.text, "flags")
    assert words[:4] == ["--nproc-per-node", "8", "--nnodes", "8"]


def test_layers_lie_in_chunks_as_megatron_counts_them():
    assert chunks(8, 4) == (2, 2, 2, 2) and chunks(61, 32) == (1, *[2] * 29, 1, 1)
    assert chunks(126, 128)[0] == chunks(126, 128)[-1] == 0 and sum(chunks(126, 128)) == 126
    assert written(8, 4, 0) == "Ett|(tt|)*2,ttL" and written(61, 32, 1) == "Et|(tt|)*29,t|tmL"
    assert written(126, 128, 0) == "E|(t|)*126,L"
    for layers in (7, 61, 80, 94):
        for count in (2, 4, 8, 16):
            assert sum(chunks(layers, count)) == layers and max(chunks(layers, count)) == -(-layers // count)


REFUSED = {
    "zero bubble": ("llama-3.1-70b --on 64xh100 --seq 8192 --global-batch 512 --layout pp4,schedule=zb", "megatron",
                    "zero-bubble"),
    "dualpipe": ("deepseek-v3 --on 2048xh800 --global-batch 15360 --precision fp8 --layout pp16,schedule=dualpipe",
                 "megatron", "DualPipe"),
    "torchtitan's sharding": ("llama-3.1-8b --on 64xh100 --framework torchtitan --layout zero1", "torchtitan", "zero1"),
    "torchtitan's models": ("qwen2.5-72b --on 64xh200 --framework torchtitan --layout zero3", "torchtitan",
                            "no configuration of Qwen2.5-72B"),
    "torchtitan's formats": ("llama-3.1-70b --on 128xh100 --precision fp8 --framework torchtitan --layout zero3",
                             "torchtitan", "in fp8"),
    "8-bit states": ("llama-3.1-70b --on 128xh100 --optimizer adamw-8bit", "megatron", "adamw-8bit"),
    "layers of several kinds": ("gpt-oss-120b --on 64xh100", "megatron", "2 kinds"),
    "adapters": ("llama-3.1-70b --on 8xh200 --global-batch 64 --task lora --lora-rank 16", "megatron", "lora"),
    "another framework": ("llama-3.1-8b --on 64xh100 --framework deepspeed", "megatron", "priced for deepspeed"),
    "no rounds": ("llama-3.1-8b --on 64xh100", "verl", "no stage of reinforcement learning"),
    "another stack": ("llama-3.1-8b --on 64xh100", "mindspeed", "h100-sxm"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_plan_decided_and_an_engine_cannot_do_is_an_error_that_says_so(case, tmp_path, capsys):
    words, engine, why = REFUSED[case]
    assert run(["train", *shlex.split(words), "-o", str(tmp_path / "plan.json"), "--quiet"]) == 0, (
        capsys.readouterr().err
    )
    capsys.readouterr()
    assert run(["export", str(tmp_path / "plan.json"), engine]) == 2
    told = capsys.readouterr().err
    assert why in told and "Traceback" not in told


def test_the_command_writes_a_folder_again_and_names_what_is_near(saved, tmp_path, capsys):
    path, folder = str(saved["dense on one server"]), str(tmp_path / "launch")
    for _ in range(2):
        assert run(["export", path, "megatron", "-o", folder, "--quiet"]) == 0
    assert sorted(one.name for one in Path(folder).iterdir()) == ["check.py", "train.sh"]
    assert (Path(folder) / "train.sh").stat().st_mode & 0o111
    capsys.readouterr()
    assert run(["export", path, "megatrn"]) == 2 and 'did you mean "megatron"' in capsys.readouterr().err
    assert run(["export", path, "vllm"]) == 2 and "answers of train" in capsys.readouterr().err
    assert run(["export", path, "torchtitan", "--engine-version", "0.1"]) == 2 and "0.3.0" in capsys.readouterr().err


def test_a_saved_plan_puts_no_command_into_a_script(answers):
    for word in ("x; rm -rf $HOME", "a/b\nrm -rf /", "$(id)", "a/`id`"):
        text = json.dumps(answers["dense on one server"]).replace('"meta-llama/Llama-3.1-8B"', json.dumps(word))
        text = text.replace('"Llama-3.1-8B"', json.dumps(f"title\n{word}"))
        for engine in ("megatron", "bridge", "run"):
            try:
                made = exported(json.loads(text), engine, CATALOG)
            except InputError:
                continue
            for one in made:
                kept = [row for row in one.text.splitlines() if not row.startswith("#")]
                assert word.splitlines()[-1] not in "\n".join(kept)


LOGS = {
    "megatron": " [2026-08-22 10:00:{0:02d}.0] iteration {0:8d}/  19074 | consumed samples: 64 | elapsed time per "
    "iteration (ms): {1:.1f} | learning rate: 1.0E-04 | global batch size: 64 | lm loss: 2.5{0:02d}E+00 | "
    "loss scale: 1.0 |",
    "torchtitan": "\x1b[31mstep: {0:2d}  \x1b[32mloss:  2.5{0:02d}  \x1b[38mgrad_norm:  1.0  memory: 60.00GiB(75.00%)  "
    "tps: {2:,}  tflops: 400.00  mfu: 40.00%",
    "verl": "step:{0} - critic/score/mean:0.5{0:02d} - perf/time_per_step:{3} - perf/throughput:100.0",
}


@pytest.mark.parametrize(
    ("engine", "name"), [("megatron", "dense on one server"), ("torchtitan", "torchtitan"), ("verl", "rounds")]
)
def test_a_log_is_held_against_the_plan(plans, answers, tmp_path, engine, name):
    (check,) = (one for one in training_files(plans[name], engine) if one.name == "check.py")
    (tmp_path / "check.py").write_text(check.text)
    answer, job = answers[name], plans[name].job
    planned = answer["rl"]["total"] if engine == "verl" else answer["step_time"]
    for factor, code in ((1.0, 0), (2.5, 1)):
        rows = []
        for step in range(1, 21):
            seconds = planned * factor * (10 if step <= 5 else 1)
            rate = round(job.seq * job.global_batch / seconds / plans[name].system.count)
            rows.append(LOGS[engine].format(step, seconds * 1e3, rate, seconds))
        (tmp_path / "log").write_text("starting\n" + "\n".join(rows) + "\nvalidate step: 20  loss: 1\n")
        done = subprocess.run(
            [sys.executable, "check.py", "log"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        row = json.loads((tmp_path / "measured.jsonl").read_text())
        assert row["step_time"] == pytest.approx(planned * factor, rel=1e-3) and row["step"] == 20
        assert row["score" if engine == "verl" else "loss"] == pytest.approx(0.52 if engine == "verl" else 2.52)
    (tmp_path / "log").write_text("nothing\n")
    done = subprocess.run(
        [sys.executable, "check.py", "log"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no steps" in done.stderr


def test_what_a_log_measures_goes_into_the_ledger(answers, tmp_path, capsys):
    ledger = str(tmp_path / "ours.sqlite")
    words = shlex.split(checks.PLANS["dense on one server"])
    assert run(["train", *words, "--ledger", ledger, "--quiet"]) == 0
    capsys.readouterr()
    (tmp_path / "measured.jsonl").write_text('{"step": 20, "step_time": 6.5, "loss": 2.1}\n')
    assert run(["ledger", "--ledger", ledger, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plans"][0]["id"]
    measured = [
        "ledger",
        "add",
        plan,
        "--measured",
        str(tmp_path / "measured.jsonl"),
        "--run",
        "a",
        "--since",
        "2026-11-01",
    ]
    assert run([*measured, "--ledger", ledger, "--quiet"]) == 0, capsys.readouterr().err


def test_the_plan_of_a_run_is_one_that_run_train_reads(answers, tmp_path):
    from tonnage.run.train.plan import read_plan

    (made,) = exported(answers["rounds"], "run", CATALOG)
    (tmp_path / "run.yaml").write_text(made.text)
    plan = read_plan(tmp_path / "run.yaml")
    assert plan.model == "Qwen/Qwen3-32B" and [stage.kind for stage in plan.stages] == ["pretrain", "grpo"]
    assert plan.planned["step_time"] == pytest.approx(answers["rounds"]["step_time"], rel=1e-5)
    assert plan.price == pytest.approx(answers["rounds"]["price"], rel=1e-4) and plan.device == "cuda"


@pytest.mark.parametrize("engine", FIRST)
def test_tables_say_of_which_release_they_are(engine):
    table = settings_of(engine)
    assert (table.version and table.released.startswith("2026")) or table.version == "0.3.1"
    assert table.source and len(table.flags) > 60


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        ("llama-3.1-70b --on 256xascend-910c --seq 8192 --global-batch 512 --framework mindspeed", "mindspeed"),
        ("qwen3-30b-a3b --on 32xh100 --global-batch 512 --framework torchtitan", "torchtitan"),
        ("llama-3.1-70b --on 128xmi300x --seq 8192 --global-batch 512 --framework torchtitan", "torchtitan"),
    ],
)
def test_what_a_search_takes_the_framework_can_shard(words: str, engine: str, tmp_path: Path) -> None:
    """MindSpeed shards the optimizer, torchtitan gradients or weights: no layout that its export refuses wins."""
    path = tmp_path / "plan.json"
    assert run(["train", *words.split(), "-o", str(path), "--quiet", "--ledger=off"]) == 0
    plan = TrainPlan.from_json(json.loads(path.read_text(encoding="utf-8")))
    assert plan.layout is not None and int(plan.layout.zero) in software().frameworks[engine].zero
    assert training_files(plan, engine)
