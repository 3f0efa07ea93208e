"""Engines that the front starts: kept running, without its keys, ended with it; a stand-in that says it is one."""

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from house import ADMIN, HERE, FrontProcess, model, until

DOUBLE = json.dumps([sys.executable, str(HERE / "double.py"), "{port}", "started"])


def processes(front):
    """Engines that a front has started, by what runs now."""
    children = Path(f"/proc/{front.process.pid}/task/{front.process.pid}/children").read_text(encoding="utf-8")
    return [int(number) for number in children.split()]


def test_an_engine_is_started_again_when_it_dies_and_ended_with_the_front(house):
    front = house.front(model(f"r1: {{replicas: [{{command: {DOUBLE}}}]}}", more="    watch: {every: 100ms}\n"))
    response = front.chat()
    assert response.json()["choices"][0]["message"]["content"] == "answer of started"
    assert response.headers["x-tonnage-engine"] == "command"
    (first,) = processes(front)
    os.kill(first, signal.SIGKILL)
    until(lambda: front.get("/ready").status_code == 503)
    until(lambda: front.chat().status_code == 200)
    (second,) = processes(front)
    assert second != first
    environment = Path(f"/proc/{second}/environ").read_bytes()
    assert b"FRONT_ADMIN" not in environment and ADMIN.encode() not in environment
    front.end()
    assert not Path(f"/proc/{second}").exists()
    assert f"r1-0: ended with -{signal.SIGKILL.value}" in front.log.read_text(encoding="utf-8")


def test_vllm_is_started_by_its_command_and_a_stand_in_says_that_it_is_one(house, tmp_path):
    """`vllm` and `transformers` here are files that start the double with the port that they are given."""
    script = f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
open({str(tmp_path)!r} + "/" + os.path.basename(sys.argv[0]) + ".words", "w").write(" ".join(words))
port = words[words.index("--port") + 1]
os.execv({sys.executable!r}, [{sys.executable!r}, {str(HERE / "double.py")!r}, port, os.path.basename(sys.argv[0])])
"""
    for name in ("vllm", "transformers"):
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    vllm = f"{{vllm: ckpt, command: {tmp_path}/vllm, args: [--enforce-eager]}}"
    instead = f"{{vllm: ckpt, command: {tmp_path}/none, fallback: transformers}}"
    own = f"{{transformers: ckpt, command: {tmp_path}/transformers, args: [--device, cpu]}}"
    releases = [f"{name}: {{replicas: [{one}], think: tags}}" for name, one in (("r1", vllm), ("r2", own))]
    front = house.front(model(*releases))
    engines = {front.chat().headers["x-tonnage-engine"] for _ in range(4)}
    assert engines == {"vllm", "transformers"}
    words = (tmp_path / "vllm.words").read_text(encoding="utf-8")
    assert words.startswith("serve ckpt --served-model-name r1 --host 127.0.0.1 --port ")
    assert words.endswith(" --enforce-eager")
    assert (tmp_path / "transformers.words").read_text(encoding="utf-8").endswith(" --device cpu")
    path = f"{tmp_path}:{os.environ['PATH']}"
    front = FrontProcess(tmp_path, model(f"r1: {{replicas: [{instead}]}}"), {"PATH": path, "PYTHONEXECUTABLE": ""})
    house.ends.append(front.end)
    until(lambda: "transformers serve stands in: one request at a time" in front.log.read_text(encoding="utf-8"))


def test_an_engine_that_is_not_there_is_said(house):
    front = house.front(model("r1: {replicas: [{vllm: ckpt, command: /no/vllm}]}"), ready=False)
    until(lambda: "r1-0: vllm is not found on this machine" in front.log.read_text(encoding="utf-8"))
    response = front.chat()
    assert response.status_code == 503
    assert front.get("/ready").status_code == 503


def test_what_tenants_used_is_kept_over_a_restart(house, tmp_path):
    engine = house.double("r1")
    keys = {"KEY": "a-key-of-twenty-chars"}
    text = model(f"r1: {{replicas: [{{url: '{engine.url}'}}]}}")
    text += "tenants: {a: {key_env: KEY, tokens_per_day: 1M}}\nstate: use.json\n"
    front = house.front(text, keys)
    assert front.chat(keys["KEY"]).status_code == 200
    front.end()
    front = house.front(text, keys)
    assert front.status()["tenants"]["a"]["used_today"] == 15
    (tmp_path / "use.json").write_text("[]", encoding="utf-8")
    wrong = FrontProcess(tmp_path, text, keys)
    assert wrong.process.wait(20) == 2
    assert "is no record of what tenants used" in wrong.log.read_text(encoding="utf-8")


def test_an_address_that_is_taken_is_an_input_error(house, tmp_path):
    engine = house.double("r1")
    front = FrontProcess(tmp_path, model(f"r1: {{replicas: [{{url: '{engine.url}'}}]}}"), {})
    house.ends.append(front.end)
    until(lambda: front.get("/health").status_code == 200)
    path = next(tmp_path.glob("front-*.yaml"))
    other = FrontProcess(tmp_path, "", {})
    other.end()
    from tonnage.cli import run

    os.environ["FRONT_ADMIN"] = ADMIN
    try:
        assert run(["run", "serve", str(path)]) == 2
    finally:
        del os.environ["FRONT_ADMIN"]


def test_a_file_is_checked_without_starting_anything(tmp_path, capsys):
    from tonnage.cli import run

    path = tmp_path / "front.yaml"
    path.write_text(model("r1: {replicas: [{url: http://127.0.0.1:1}]}"), encoding="utf-8")
    assert run(["run", "serve", str(path), "--check"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "m: r1 100 %: http://127.0.0.1:1"
    path.write_text("models: {}\n", encoding="utf-8")
    assert run(["run", "serve", str(path), "--check"]) == 2
    assert "expected at least one model" in capsys.readouterr().err
    assert run(["run", "serve", str(path), "--csv"]) == 2


def test_events_are_lines_of_json(house, tmp_path):
    engine = house.double("r1")
    front = house.front(model(f"r1: {{replicas: [{{url: '{engine.url}'}}]}}"))
    assert front.log.read_text(encoding="utf-8").startswith("listens on 127.0.0.1:")
    from tonnage.run.serve.told import Teller

    said = []
    Teller(said.append, as_json=True)("ready")
    assert json.loads(said[0])["event"] == "ready"


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
def test_an_engine_is_looked_at_where_it_answers(house, path):
    """An address without /health, as api.example.com/v1, is looked at by its models."""
    engine = house.double("r1")
    front = house.front(model(f"r1: {{replicas: [{{url: '{engine.url}', health: '{path}'}}]}}"))
    assert httpx.get(f"{front.url}/ready").json() == {"ready": True}
