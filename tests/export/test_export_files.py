"""Exported files: taken by engines' flag tables, clusters' own schemas and a shell; hostile plans write nothing."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tonnage.ask import serve as ask
from tonnage.ask.exported import exported
from tonnage.ask.serve import ServeWords, plan_asked
from tonnage.catalog import load
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.export import SERVING, CannotExport, serving_files
from tonnage.export.accepted import parsed, table
from tonnage.export.reasons import grouped, reasons
from tonnage.launchfile import read
from tonnage.serve import ServePlan

CATALOG = load()

SCHEMAS = json.loads((Path(__file__).parent / "data" / "crds.json").read_text(encoding="utf-8"))

PLANS = {
    "moe over servers": "deepseek-r1 --on 32xh20 --isl 4k --osl 1k --engine sglang",
    "two pools": "qwen3-32b --on 8xh100 --isl 2k --osl 500 --engine vllm",
    "dense": "llama-3.1-8b --on 1xh200 --isl 1k --osl 1k --engine vllm --tpot 20ms",
    "trtllm": "llama-3.3-70b --on 4xh100 --isl 1k --osl 1k --engine trtllm",
    "amd": "qwen3-235b-a22b --on 8xmi300x --isl 2k --osl 1k --engine sglang",
    "ascend": "qwen3-32b --on 8xascend-910b --isl 1k --osl 1k --engine vllm-ascend",
    "hybrid": "qwen3-next-80b-a3b --on 4xh100 --isl 1k --osl 1k --engine vllm",
    "mla on one server": "deepseek-v3 --on 8xh200 --isl 1k --osl 1k --engine vllm",
}

SUITS = {
    "sglang": {"sglang", "dynamo", "k8s", "skypilot"},
    "vllm": {"vllm", "dynamo", "ray", "k8s", "skypilot"},
    "trtllm": {"trtllm", "k8s", "skypilot"},
    "vllm-ascend": {"vllm-ascend", "k8s"},
}
"""What a plan for an engine can be written for."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    made = {}
    for name, words in PLANS.items():
        path = folder / f"{name.replace(' ', '-')}.json"
        assert run(["serve", *shlex.split(words), "-o", str(path), "--quiet", "--ledger=off"]) == 0, name
        made[name] = path
    return made


@pytest.fixture(scope="module")
def plans(saved):
    return {name: ServePlan.from_json(json.loads(path.read_text())) for name, path in saved.items()}


def script_flags(text):
    """The flags of a script, as the engine's parser gets them, without the addresses of a cluster."""
    block = re.search(r"flags=\(\n(.*?)\n\)", text, re.S)[1]
    words = " ".join(re.sub(r"  # .*", "", line).strip() for line in block.splitlines())
    for name, value in {"$NODE_RANK": "1", "$HEAD_ADDR": "head", "$MODEL": "model"}.items():
        words = words.replace(name, value)
    return words


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_written_for_what_suits_it_and_refused_by_the_others(plans, name):
    plan = plans[name]
    engine = plan.instances[0].engine
    chips = {one.chip for one in plan.instances}
    for target in SERVING:
        suits = target in SUITS[engine]
        if target == "skypilot" and chips & {"h20-96gb", "mi300x"}:
            suits = False
        if not suits:
            with pytest.raises(CannotExport):
                serving_files(plan, target)
            continue
        made = serving_files(plan, target)
        assert made[-1].name == "check.sh" and len({one.name for one in made}) == len(made)


@pytest.mark.parametrize("name", PLANS)
def test_scripts_are_shell_and_their_flags_are_the_engines(plans, name):
    engine = plans[name].instances[0].engine
    made = [one for one in serving_files(plans[name], engine) if one.executable]
    for one in made:
        found = subprocess.run(["bash", "-n"], input=one.text, text=True, capture_output=True, check=False)
        assert found.returncode == 0, found.stderr
    if engine == "trtllm":
        return
    for one in made:
        if one.name in ("check.sh", "router.sh"):
            continue
        flags = script_flags(one.text)
        parsed(engine, flags if engine == "sglang" else f"model {flags}")
        for planted in ("--no-such-flag 1", "--tensor-parallel-size two", "--tp-size two"):
            with pytest.raises(InputError):
                parsed(engine, f"{flags} {planted}")


@pytest.mark.parametrize("name", [name for name, words in PLANS.items() if "trtllm" not in words])
def test_every_flag_but_the_address_has_its_line_of_the_plan(plans, name):
    for one in serving_files(plans[name], plans[name].instances[0].engine):
        if not one.executable or one.name in ("check.sh", "router.sh"):
            continue
        block = re.search(r"flags=\(\n(.*?)\n\)", one.text, re.S)[1]
        bare = {line.split()[0] for line in block.splitlines() if "  # " not in line}
        assert bare <= {"--host", "--port"}


def test_every_flag_that_has_a_reason_is_a_flag_of_some_engine():
    known = {flag for engine in ("sglang", "vllm") for flag in table(engine).flags}
    known |= {
        other for engine in ("sglang", "vllm") for one in table(engine).flags.values() for other in one.get("names", ())
    }
    words = [flag for flag in reasons() if flag.startswith("--")]
    assert len(words) > 30 and not [flag for flag in words if flag not in known and flag != "--disaggregation-mode"]


@pytest.mark.parametrize("name", PLANS)
def test_manifests_are_taken_by_the_clusters_own_schemas(plans, name):
    plan = plans[name]
    kinds = set()
    for one in serving_files(plan, "k8s"):
        if not one.name.endswith(".yaml"):
            continue
        for document in YAML(typ="safe").load_all(one.text):
            kinds.add(document["kind"])
            held = SCHEMAS.get(f"{document['apiVersion']}/{document['kind']}")
            if held:
                jsonschema.validate(document, held["schema"])
    several = any(one.nodes > 1 for one in plan.instances)
    assert kinds >= {"LeaderWorkerSet" if several else "Deployment", "Service", "ClusterQueue", "LocalQueue"}


def test_a_schema_refuses_planted_mistakes(plans):
    text = next(one.text for one in serving_files(plans["moe over servers"], "k8s") if one.name == "serve.yaml")
    document = next(iter(YAML(typ="safe").load_all(text)))
    schema = SCHEMAS["leaderworkerset.x-k8s.io/v1/LeaderWorkerSet"]["schema"]
    jsonschema.validate(document, schema)
    for path, value in (
        (("spec", "replicas"), "one"),
        (("spec", "leaderWorkerTemplate", "size"), "two"),
        (("spec", "leaderWorkerTemplate", "workerTemplate", "spec", "containers"), {}),
        (("spec", "leaderWorkerTemplate", "workerTemplate", "spec", "containers"), [{"image": "x"}]),
        (("spec",), []),
    ):
        wrong = copy.deepcopy(document)
        at = wrong
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_quota_and_accelerators_add_up(plans):
    for name, plan in plans.items():
        documents = [
            d
            for one in serving_files(plan, "k8s")
            if one.name.endswith(".yaml")
            for d in YAML(typ="safe").load_all(one.text)
        ]
        asked = 0
        for d in documents:
            if d["kind"] in ("Deployment", "LeaderWorkerSet"):
                group = d["spec"].get("leaderWorkerTemplate")
                pod = (group["workerTemplate"] if group else d["spec"]["template"])["spec"]
                (amount,) = pod["containers"][0]["resources"]["limits"].values()
                asked += amount * d["spec"]["replicas"] * (group["size"] if group else 1)
        (queue,) = (d for d in documents if d["kind"] == "ClusterQueue")
        quota = sum(
            r["nominalQuota"] for g in queue["spec"]["resourceGroups"] for f in g["flavors"] for r in f["resources"]
        )
        assert asked == quota == plan.used, name


def test_ray_is_told_what_vllm_has_flags_for(plans):
    for name in ("two pools", "dense", "hybrid", "mla on one server"):
        text = next(one.text for one in serving_files(plans[name], "ray") if one.name == "serve.yaml")
        value = YAML(typ="safe").load(text)
        (application,) = value["applications"]
        assert set(value) == {"applications"} and set(application) == {"name", "route_prefix", "import_path", "args"}
        assert application["import_path"] in ("ray.serve.llm:build_openai_app", "ray.serve.llm:build_pd_openai_app")
        assert not [key for key in _kwargs(value) if "--" + key.replace("_", "-") not in table("vllm").flags]


def _kwargs(value):
    args = value["applications"][0]["args"]
    configs = args.get("llm_configs") or [args["prefill_config"], args["decode_config"]]
    return {key for config in configs for key in config["engine_kwargs"]}


def test_a_plan_for_one_engine_is_not_written_for_another(plans):
    with pytest.raises(CannotExport, match="priced for sglang"):
        serving_files(plans["moe over servers"], "vllm")
    with pytest.raises(CannotExport, match=r"0\.11"):
        serving_files(plans["dense"], "vllm", "0.11.0")
    with pytest.raises(InputError, match="sglang"):
        serving_files(plans["dense"], "sglnag")


@pytest.mark.parametrize("word", ["x; rm -rf $HOME", "x\nrm -rf /", "$(id)", "-x", "`id`", "a'b", "x && y"])
def test_a_saved_plan_puts_no_command_into_a_script(saved, word):
    value = json.loads(saved["dense"].read_text())
    text = json.dumps(value).replace(json.dumps("meta-llama/Llama-3.1-8B"), json.dumps(word))
    plan = ServePlan.from_json(json.loads(text))
    hostile = [one for one in plan.instances if word in (one.model, one.chip)]
    if not hostile:
        from dataclasses import replace

        plan = replace(plan, instances=tuple(replace(one, model=word) for one in plan.instances))
    with pytest.raises(CannotExport, match="no plain word"):
        serving_files(plan, "vllm")


def test_the_command_writes_all_files_or_shows_them(saved, tmp_path, capsys):
    where = tmp_path / "launch"
    assert run(["export", str(saved["two pools"]), "vllm", "-o", str(where)]) == 0
    assert sorted(p.name for p in where.iterdir()) == ["check.sh", "decode.sh", "prefill.sh", "router.sh"]
    assert (where / "decode.sh").stat().st_mode & 0o111
    capsys.readouterr()
    assert run(["export", str(saved["two pools"]), "vllm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["text"] for one in told["files"]} == {p.name: p.read_text() for p in where.iterdir()}
    assert run(["export", str(saved["two pools"]), "sglang"]) == 2
    assert "priced for vllm" in capsys.readouterr().err


def test_two_pools_are_checked_through_their_router(plans):
    told = {name: serving_files(plan, plan.instances[0].engine)[-1].text for name, plan in plans.items()}
    assert "${URL:?address of the router}" in told["two pools"] and "127.0.0.1" not in told["two pools"]
    assert "${URL:-http://127.0.0.1:8000}" in told["dense"]


ASKED = {}
"""Plans by their question, which the files of several engines share."""


def planned_again(path):
    """What a file asks, planned, and what was read of it."""
    found = read(path, CATALOG)
    words = ServeWords(**{**found.words, "on": tuple(found.on.split(" + "))})
    key = repr((found.model, words))
    if key not in ASKED:
        ASKED[key] = plan_asked(found.model, ask.read(words), CATALOG, None, 0).plan
    return ASKED[key], found


@pytest.mark.parametrize("name", PLANS)
def test_files_are_read_back_to_the_same_point(saved, plans, tmp_path, name):
    """Every file that a plan is written to asks the same question, and its answer is the plan's point."""
    answer, plan = json.loads(saved[name].read_text()), plans[name]
    for target in SERVING:
        try:
            made = exported(answer, target, CATALOG)
        except CannotExport:
            continue
        (tmp_path / target).mkdir()
        for one in made:
            (tmp_path / target / one.name).write_text(one.text)
        told = [one.name for one in made if "# tonnage asked: " in one.text]
        assert told
        for file in told:
            again, found = planned_again(tmp_path / target / file)
            assert not found.strange, (target, file)
            assert again.tpot == plan.tpot and again.ttft == plan.ttft and again.instances == plan.instances, (
                target,
                file,
            )
            assert again.requests_per_second == plan.requests_per_second and again.used == plan.used, (target, file)


def test_flags_of_a_service_are_right_where_they_contradict_the_comment(saved, tmp_path, capsys):
    made = {one.name: one.text for one in exported(json.loads(saved["dense"].read_text()), "vllm", CATALOG)}
    path = tmp_path / "serve.sh"
    path.write_text(re.sub(r"--max-num-seqs \d+", "--max-num-seqs 7", made["serve.sh"]))
    assert run(["serve", "--from", str(path), "--json", "--quiet"]) in (0, 1)
    inputs = json.loads(capsys.readouterr().out)["inputs"]
    assert inputs["running"] == "7" and inputs["tpot"] == "20ms" and inputs["isl"] == "1k" and inputs["osl"] == "1k"
    assert run(["fit", "--from", str(path), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"]["on"] == "1xh200"


def test_arithmetic_of_a_shell_stays_one_word():
    words = "--headless --data-parallel-start-rank $((NODE_RANK * 2)) --eplb-config '{\"a\": 1}'"
    assert [text for text, _ in grouped(words)] == [
        "--headless",
        "--data-parallel-start-rank $((NODE_RANK * 2))",
        "--eplb-config '{\"a\": 1}'",
    ]
