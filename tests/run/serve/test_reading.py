"""The front's file: what is read, and every problem at its place."""

import json

import pytest

from tonnage.errors import InputError
from tonnage.run.serve.config import ReplicaSource
from tonnage.run.serve.reading import read_front
from tonnage.run.serve.starts import FALLBACK, spoken, start_of
from tonnage.run.serve.told import told

KEY = "a-key-of-twenty-chars"
ONE = "models:\n  m:\n    releases:\n      r1: {replicas: [{url: http://127.0.0.1:9000/v1}]}\n"
TWO = ONE + "      r2: {weight: 0, replicas: [{url: http://127.0.0.1:9001}]}\n"


def read(tmp_path, text, **environment):
    path = tmp_path / "front.yaml"
    path.write_text(text, encoding="utf-8")
    return read_front(path, environment)


def test_a_short_file_is_enough(tmp_path):
    front = read(tmp_path, ONE)
    assert (front.host, front.port, front.tenants, front.admin) == ("127.0.0.1", 8080, (), ())
    release = front.models[0].releases[0]
    assert (release.name, release.model, release.weight, release.think) == ("r1", "r1", 100.0, "no")
    assert release.replicas[0].target == "http://127.0.0.1:9000", "with or without /v1"


def test_everything_is_read(tmp_path):
    (tmp_path / "keys").write_text(f"# two keys\n{KEY}-1\n{KEY}-2\n", encoding="utf-8")
    text = (
        "listen: '[::1]:0'\n"
        + TWO
        + """    slo: {errors: 2 %, late: 10 %, ttft: 2s, tpot: 50ms, latency: 1min}
    canary: {to: r2, steps: [1 %, 0.5, 100 %], hold: 10min, answers: 7, start: at once}
    at_once: 5
    queue: 6
    wait: 7s
    retries: 1
    patience: {first: 1s, between: 2s, whole: 3s, drain: 4s}
    watch: {every: 500ms, within: 1s, failures: 2}
tenants:
  a: {key_file: keys, models: [m], requests_per_minute: 60, tokens_per_minute: 100k, tokens_per_day: 1M}
admin: {key_env: ADMIN}
bounds: {body: 1MB, send: 5s, connections: 10}
logs: logs
state: use.json
"""
    )
    front = read(tmp_path, text, ADMIN=KEY)
    one = front.models[0]
    assert (front.host, front.port) == ("::1", 0)
    assert one.slo.errors == 0.02 and one.slo.late == 0.1 and one.slo.tpot == 0.05
    assert one.canary.steps == (0.01, 0.5, 1.0) and one.canary.hold == 600 and one.canary.at_once
    assert (one.at_once, one.queue, one.wait, one.retries) == (5, 6, 7, 1)
    assert vars(one.patience) == {"first": 1, "between": 2, "whole": 3, "drain": 4}
    assert vars(one.watch) == {"every": 0.5, "within": 1, "failures": 2}
    tenant = front.tenants[0]
    assert len(tenant.keys) == 2 and (tenant.tokens_per_minute, tenant.tokens_per_day) == (100_000, 1_000_000)
    assert (front.bounds.body, front.bounds.send, front.bounds.connections) == (1_000_000, 5, 10)
    assert front.logs == tmp_path / "logs" and front.secrets == {"ADMIN"}
    assert KEY not in repr(front), "keys are not kept"


WRONG = {
    "empty mapping": ("{}", "1:1  models: expected at least one model"),
    "a list": ("[]", "1:1 expected a mapping"),
    "unknown key": (ONE + "listn: x:1\n", '5:1  listn: unknown key   did you mean "listen"?'),
    "unknown key below": (ONE + "    sloo: {}\n", '5:5  models.m.sloo: unknown key   did you mean "slo"?'),
    "no release": ("models: {m: {}}", "models.m.releases: expected at least one release"),
    "no replica": ("models: {m: {releases: {r: {}}}}", "models.m.releases.r.replicas: expected at least one replica"),
    "no weight": (ONE.replace("replicas", "weight: 0, replicas"), "no release has a weight above 0"),
    "weight of text": (ONE.replace("replicas", "weight: much, replicas"), "releases.r1.weight: expected"),
    "negative weight": (ONE.replace("replicas", "weight: -1, replicas"), '"-1" is not between 0 and'),
    "no address": (ONE.replace("http://127.0.0.1:9000/v1", "ftp://x"), "replicas[0].url: expected an address such as"),
    "a port too far": (ONE.replace("9000", "99999"), "expected an address such as"),
    "two kinds": (ONE.replace("{url", "{vllm: x, url"), "a replica has one of"),
    "no kind": (ONE.replace("url: http://127.0.0.1:9000/v1", "args: [x]"), "a replica has one of"),
    "own flag": (
        ONE.replace("url: http://127.0.0.1:9000/v1", "vllm: x, args: [--port=1]"),
        "--port=1 is given by the front",
    ),
    "listen without port": (
        "listen: localhost\n" + ONE,
        '1:9  listen: expected HOST:PORT such as 127.0.0.1:8080, got "localhost"',
    ),
    "open without keys": ("listen: 0.0.0.0:80\n" + ONE, "tenants with keys are needed"),
    "canary to nobody": (TWO + "    canary: {to: r3}\n", '"r3" is no release of this model   did you mean'),
    "canary without slo": (TWO + "    canary: {to: r2}\n", "a canary needs ttft and latency in slo"),
    "nothing to return to": (
        TWO + "    canary: {to: r1}\n    slo: {ttft: 1s, latency: 9s}\n",
        "no other release with a weight above 0",
    ),
    "falling steps": (
        TWO + "    canary: {to: r2, steps: [50 %, 5 %]}\n    slo: {ttft: 1s, latency: 9s}\n",
        "expected growing shares",
    ),
    "no time": (ONE + "    wait: 5\n", '"5" needs its unit'),
    "a time too long": (ONE + "    wait: 2h\n", "is not between"),
    "no whole number": (ONE + "    queue: 1.5\n", "expected a whole number"),
    "true": (ONE + "    queue: true\n", "expected a whole number"),
    "think": (ONE.replace("replicas", "think: tag, replicas"), 'none of no, tags, open   did you mean "tags"?'),
    "key in the file": (ONE + "tenants: {a: {key: secret}}\n", "a key does not stand in this file"),
    "variable not set": (ONE + "tenants: {a: {key_env: NOPE}}\n", 'the variable "NOPE" is not set'),
    "no key file": (ONE + "tenants: {a: {key_file: nope}}\n", "no such file"),
    "no key": (ONE + "tenants: {a: {}}\n", "expected key_env"),
    "both": (ONE + "tenants: {a: {key_env: K, key_file: x}}\n", "expected key_env"),
    "short key": (ONE + "tenants: {a: {key_env: SHORT}}\n", "a key has 16 to 512"),
    "same key": (ONE + "tenants: {a: {key_env: K}, b: {key_env: K}}\n", "a and b have the same key"),
    "admin's key": (
        ONE + "tenants: {a: {key_env: K}}\nadmin: {key_env: K}\n",
        "the key of the administrator is a tenant's",
    ),
    "tenant's model": (ONE + "tenants: {a: {key_env: K, models: [n]}}\n", '"n" is no model of this file'),
    "no plan": (ONE.replace("url: http://127.0.0.1:9000/v1", "vllm: x, plan: nope.json"), "no such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_at_its_place(tmp_path, case):
    text, said = WRONG[case]
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, K=KEY, SHORT="short")
    assert said in str(caught.value), str(caught.value)
    assert "front.yaml" in str(caught.value) and KEY not in str(caught.value)


def test_all_problems_are_said_together_in_the_order_of_the_file(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "listen: x\n" + ONE + "    wait: 5\nnope: 1\n")
    assert [str(one).partition("yaml:")[2].split(":")[0] for one in caught.value.problems] == ["1", "6", "7"]


def test_flags_of_a_saved_plan_come_before_those_of_the_file(tmp_path):
    row = {
        "role": "both",
        "engine": "vllm",
        "nodes": 1,
        "flags": "--tensor-parallel-size 8 --max-num-seqs 64",
        "commands": [],
    }
    (tmp_path / "plan.json").write_text(json.dumps({"launch": [row]}), encoding="utf-8")
    text = ONE.replace("url: http://127.0.0.1:9000/v1", "vllm: x, plan: plan.json, args: [--seed, 1]")
    source = read(tmp_path, text).models[0].releases[0].replicas[0]
    assert source.args == ("--tensor-parallel-size", "8", "--max-num-seqs", "64", "--seed", "1")
    for rows in ([], [row, row], [row | {"nodes": 2}], [row | {"engine": "sglang"}], [row | {"flags": None}]):
        (tmp_path / "plan.json").write_text(json.dumps({"launch": rows}), encoding="utf-8")
        with pytest.raises(InputError, match="holds no launch line of vLLM"):
            read(tmp_path, text)


# ---------------------------------------------------------------- how engines are started


def release_of(tmp_path, replica, more=""):
    return (
        read(tmp_path, ONE.replace("url: http://127.0.0.1:9000/v1", replica).replace("replicas", f"{more}replicas"))
        .models[0]
        .releases[0]
    )


def command_file(tmp_path, name):
    path = tmp_path / name
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_vllm_is_started_as_it_is_told(tmp_path):
    vllm = command_file(tmp_path, "vllm")
    release = release_of(tmp_path, "vllm: ckpt, args: [--enforce-eager]", "model: mini, ")
    start = start_of(release, release.replicas[0], 9, {"TONNAGE_VLLM": vllm})
    assert start.engine == "vllm"
    words = f"{vllm} serve ckpt --served-model-name mini --host 127.0.0.1 --port 9 --enforce-eager"
    assert " ".join(start.words) == words
    assert spoken(release, release.replicas[0], "vllm") == "mini"


def test_without_vllm_there_is_no_engine_unless_a_stand_in_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    transformers = command_file(tmp_path, "transformers")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    release = release_of(tmp_path, "vllm: ckpt, args: [--enforce-eager]")
    assert start_of(release, release.replicas[0], 9, {}) is None
    release = release_of(tmp_path, "vllm: ckpt, fallback: transformers, args: [--enforce-eager]")
    start = start_of(release, release.replicas[0], 9, {})
    assert start.engine == FALLBACK == "transformers (fallback)"
    assert " ".join(start.words) == f"{transformers} serve ckpt --host 127.0.0.1 --port 9", (
        "vLLM's flags are not its own"
    )
    assert spoken(release, release.replicas[0], FALLBACK) == "ckpt", "it knows a model by its checkpoint"


def test_a_command_gets_its_port(tmp_path):
    release = release_of(tmp_path, "command: 'serve-it --on {port}'")
    assert start_of(release, release.replicas[0], 9, {}).words == ("serve-it", "--on", "9")


def test_what_would_be_started_is_said_without_keys(tmp_path):
    text = TWO + "    slo: {ttft: 1s, latency: 9s}\n    canary: {to: r2}\ntenants: {a: {key_env: K}}\n"
    lines = told(read(tmp_path, text, K=KEY), {})
    assert lines[0] == "listens on 127.0.0.1:8080, with keys of 1 tenants"
    assert lines[1:3] == ["m: r1 100 %: http://127.0.0.1:9000", "m: r2 0 %: http://127.0.0.1:9001"]
    assert lines[3] == "m: canary to r2 by 5 %, 25 %, 50 %, 100 %, when asked"


def test_a_source_says_what_it_is():
    assert ReplicaSource("address", "http://x").kind == "address"
