"""Hostile inputs of what is carried out and of who asks: runs and their checkpoints, fronts, pages, agents."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from inputs import CHIPS, PROGRAMME, SOUND, Tried, atom, mutated, tweaked
from newer import BOMB, EVIL, poisoned, saved_plan

# ---------------------------------------------------------------- runs

RUN_PLAN: dict[str, Any] = {
    "name": "r", "model": "deepseek-r1", "scale": 56, "sizes": {"kv_lora_rank": 512}, "seed": 0, "device": "npu",
    "nproc": 1, "precision": "fp32", "threads": 1, "price": "$2/h", "task": {"name": "chain_sum", "terms": "3 to 5"},
    "stages": [
        {
            "pretrain": "20 steps", "rate": 0.003,
            "curriculum": [{"until": "80 %", "careful": 1}, {"until": 1, "careful": 0.3}],
        },
        {"grpo": "5 steps", "prompts": 4},
    ],
    "checkpoint": {"every": 5, "keep": 2}, "replay": 0, "hang": "60s", "evaluate": 10, "planned": {"step_time": "3s"},
}  # fmt: skip


def run_plan(dice: random.Random) -> Tried:
    """Plans of runs with mistakes, saved answers of train in their place, and folders of runs that were changed."""
    if dice.random() < 0.2:
        saved = mutated(saved_plan("train"), dice, dice.choice((1, 2, 5)))
        return Tried(
            "run plan",
            ("run", "train", "p.json", "--into", "into", "--device=npu"),
            (("p.json", json.dumps(saved)),),
            ("into",),
        )
    plan = (mutated if dice.random() < 0.5 else tweaked)(RUN_PLAN, dice, dice.choice((1, 1, 2)))
    if isinstance(plan, dict) and dice.random() < 0.5:
        plan["stages"] = dice.choice(
            ([], None, [{"pretrain": "² steps"}], [{"pretrain": "9" * 5000}], [{"pretrain": "1e3 steps"}], [[]], {},
             [{"grpo": "1 step", "batch": -1}], [{"pretrain": "10 steps", "curriculum": [{}]}])
        )  # fmt: skip
    if dice.random() < 0.3:
        from tonnage.run.train.plan import RunPlan

        kept = mutated(RunPlan(device="npu").to_json(), dice, dice.choice((1, 1, 2)))
        words = ("run", "train", "--resume", "--into", "into", "--device=npu")
        text = json.dumps(kept) if dice.random() < 0.9 else str(atom(dice))
        return Tried("run plan", words, (("into/plan.json", text),), ("into",))
    words = ("run", "train", "p.yaml", "--into", "into", "--device=npu")
    return Tried("run plan", words, (("p.yaml", json.dumps(plan)),), ("into",))


def checkpoint(dice: random.Random) -> Tried:
    """Folders of checkpoints whose manifest names what it must not, or that hold what is no file."""
    seed = dice.random()
    return Tried(
        "checkpoint", ("run",), (), ("into", "secret"), instead=lambda folder: _checkpoint(folder, random.Random(seed))
    )


def _checkpoint(folder: Path, dice: random.Random) -> str | None:
    import hashlib
    import os

    from tonnage.device.checkpoint import Store

    root = folder / "into" / "checkpoints"
    path = root / "step-00000010"
    path.mkdir(parents=True)
    (path / "a.pt").write_bytes(b"x" * 100)
    (folder / "secret").write_text("s")
    sums: Any = {"a.pt": hashlib.sha256(b"x" * 100).hexdigest()}
    how = dice.randrange(8)
    if how == 0:
        sums = mutated(sums, dice, 1)
    elif how == 1:
        sums |= {
            dice.choice(("../../../secret", str(folder / "secret"), "/dev/zero", "", ".", "b/../a.pt")): hashlib.sha256(
                b"s"
            ).hexdigest()
        }
    elif how == 2:
        os.mkfifo(path / "f")
        sums |= {"f": "0"}
    elif how == 3:
        (path / "l").symlink_to(dice.choice(("/dev/zero", "../../../secret", "l", "nothing")))
        sums |= {"l": hashlib.sha256(b"s").hexdigest()}
    elif how == 4:
        (root / "step-00000011").symlink_to(path)
    inner: Any = {"files": sums, "meta": {"identity": "x"}}
    inner = mutated(inner, dice, 1) if how == 5 else inner
    text = json.dumps(inner)
    outer: Any = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
    outer = mutated(outer, dice, 1) if how == 6 else outer
    (path / "manifest.json").write_text(json.dumps(outer) if how != 7 else str(atom(dice)), errors="replace")
    saved, _ = Store(root, 3).newest()
    if saved is not None and (not isinstance(saved.meta, dict) or how in (1, 2, 3)):
        return f"a checkpoint that is none was taken: {sums}, {saved.meta}"
    return None


FRONT: dict[str, Any] = {
    "listen": "127.0.0.1:8080",
    "models": {
        "reasoner": {
            "releases": {
                "r1": {
                    "weight": 100,
                    "replicas": [
                        {"vllm": "checkpoints/r1", "args": ["--reasoning-parser", "r1"], "fallback": "transformers"},
                        {"url": "http://10.0.0.7:8000"},
                        {"command": "engine --port {port}"},
                    ],
                },
                "r2": {"weight": 0, "replicas": [{"vllm": "checkpoints/r2", "plan": "plan.json"}]},
            },
            "slo": {"errors": "1 %", "late": "5 %", "ttft": "2s", "tpot": "50ms", "latency": "60s"},
            "canary": {"to": "r2", "steps": ["1 %", "100 %"], "hold": "10min", "answers": 50, "start": "asked"},
            "at_once": 64, "queue": 100, "wait": "30s", "retries": 2,
        }
    },
    "tenants": {"lab": {"key_file": "lab.keys", "models": ["reasoner"], "tokens_per_day": "1M"}},
    "state": "use.json", "logs": "logs",
}  # fmt: skip


def front(dice: random.Random) -> Tried:
    """Fronts with mistakes: read, nothing started."""
    made = (mutated if dice.random() < 0.5 else tweaked)(FRONT, dice, dice.choice((1, 1, 2, 4)))
    plan = poisoned(saved_plan("serve"), dice, 0.02) if dice.random() < 0.5 else mutated(saved_plan("serve"), dice, 2)
    files = (
        ("f.yaml", json.dumps(made)), ("plan.json", json.dumps(plan)),
        ("lab.keys", "k" * 20 if dice.random() < 0.8 else str(atom(dice))),
    )  # fmt: skip
    return Tried("front", ("run", "serve", "f.yaml", "--check"), files)


# ---------------------------------------------------------------- pages and agents


def page(dice: random.Random) -> Tried:
    """Questions of the page: fields of odd kinds and values, programmes of anybody, addresses."""
    seed = dice.random()
    return Tried("page", ("page",), (), ("scratch",), instead=lambda folder: _page(folder, random.Random(seed)))


def _field(dice: random.Random) -> Any:
    return dice.choice(
        (atom(dice), dice.choice(SOUND), dice.choice(EVIL), dice.choice(CHIPS), "qwen3-0.6b", "\ud800", "5", "1e9")
    )


def _page(folder: Path, dice: random.Random) -> str | None:
    from web_asked import asked_of_page

    from tonnage.web.fields import VIEWS

    view = dice.choice(("fit", "train", "serve", "simulate", "catalogue", "runs", "fit", "serve"))
    view = "launch" if dice.random() < 0.05 else view
    own = {"fit": {"model": "qwen3-0.6b", "on": "1xh20"}, "serve": {"model": "qwen3-0.6b", "on": "1xh20"},
           "train": {"model": "qwen3-0.6b", "on": "8xh20", "tokens": "1B"}, "launch": {"draws": "20"},
           "simulate": {"model": "qwen3-0.6b", "on": "1xh20", "requests": "20", "rate": "2/s"}}  # fmt: skip
    fields: dict[str, Any] = dict(own.get(view, {}))
    names = [field.name for field in VIEWS[view]]
    for name in dice.sample(names, min(len(names), dice.choice((0, 1, 1, 2)))):
        fields[name] = _field(dice)
    if dice.random() < 0.05:
        fields[str(atom(dice))] = "x"
    given: Any = fields if dice.random() < 0.95 else atom(dice)
    programme: Any = None
    if view == "launch":
        programme = json.dumps(mutated(PROGRAMME, dice, dice.choice((1, 1, 2))), ensure_ascii=dice.random() < 0.5)
        programme = dice.choice((programme, programme, programme, atom(dice), BOMB, "a" * 1_000_001))
    return asked_of_page(folder / "scratch", view, given, programme)


def agent(dice: random.Random) -> Tried:
    """Calls of tools with inputs of odd kinds."""
    seed = dice.random()
    return Tried("agent", ("mcp",), (), ("start",), instead=lambda folder: _agent(folder, random.Random(seed)))


def _agent(folder: Path, dice: random.Random) -> str | None:
    from web_asked import asked_by_agent

    from tonnage.cli.tools import tools

    seldom = ("launch", "rerun", "serve") if dice.random() < 0.9 else ()  # they take the longest
    tool = dice.choice([tool for tool in tools() if tool.name not in ("accuracy", *seldom)])
    own: dict[str, dict[str, Any]] = {
        "fit": {"model": "qwen3-0.6b", "on": "1xh20"}, "serve": {"model": "qwen3-0.6b", "on": "1xh20"},
        "train": {"model": "qwen3-0.6b", "on": "8xh20"},
        "launch": {"programme": {"text": json.dumps(PROGRAMME)}, "draws": 20},
        "simulate": {"plan": saved_plan("serve"), "rate": "2/s", "requests": 20},
        "compare": {"first": saved_plan("serve"), "second": saved_plan("train")},
        "sources": {"result": saved_plan("serve")},
        "rerun": {"result": saved_plan("serve")}, "export": {"result": saved_plan("serve"), "engine": "vllm"},
        "show": {"what": "h20"}, "lawful": {"model": "qwen3-0.6b", "in": "CN"},
    }  # fmt: skip
    given: dict[str, Any] = dict(own.get(tool.name, {}))
    for one in dice.sample(tool.properties, min(len(tool.properties), dice.choice((0, 1, 1, 2)))):
        value = _field(dice)
        if one.files and dice.random() < 0.5:
            value = dice.choice(({"text": str(value)}, {"text": value}, {"text": "x", "name": value}, value))
        given[one.name] = value if dice.random() < 0.9 else [value, value]
    for name, value in list(given.items()):
        if isinstance(value, dict) and dice.random() < 0.3:
            given[name] = mutated(value, dice, dice.choice((1, 2)))
    if dice.random() < 0.05:
        given[str(atom(dice))] = atom(dice)
    return asked_by_agent(folder / "start", tool, given)
