"""Hostile inputs of what came later: simulations, launch files, exports, ledgers, calibrations, runs, fronts, pages."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inputs import CHIPS, PROGRAMME, Tried, atom, mutated, tweaked

from tonnage.cli import run

ENDINGS = ("json", "csv", "txt", "md", "html", "parquet", "svg", "png", "out", "exe", "", "html.html")
"""What an answer may be written as, and may not."""

EVIL = (
    "$(touch PWNED)", "`touch PWNED`", "x; touch PWNED;", "x\ntouch PWNED\n", "'; touch PWNED; '", '"; touch PWNED; "',
    "x' $(touch PWNED) '", "${IFS}$(touch${IFS}PWNED)", "a && touch PWNED", "a|touch PWNED", "\\", "-rf", "--help",
    "x #", "END\ntouch PWNED\nEND", "\"$(touch PWNED)\"", "$((`touch PWNED`))", "!touch", "~", "*", "<(touch PWNED)",
    "x\r\ntouch PWNED", "\u2028touch PWNED", "{}", "%s", "x: y", "- a", "# x", "--load-format=auto",
)  # fmt: skip
"""Names that a shell would obey."""


def text_mutated(text: str, dice: random.Random, times: int) -> str:
    """A text with lines taken away, repeated, swapped, or with something put in."""
    lines = text.split("\n")
    for _ in range(times):
        at = dice.randrange(len(lines))
        how = dice.randrange(7)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines[at] = lines[at] * dice.choice((2, 50))
        elif how == 2:
            lines.insert(at, str(atom(dice)))
        elif how == 3:
            lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
        elif how == 4:
            cut = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + str(dice.choice((atom(dice), dice.choice(EVIL)))) + lines[at][cut:]
        elif how == 5:
            words = lines[at].split(" ")
            words[dice.randrange(len(words))] = str(atom(dice))
            lines[at] = " ".join(words)
        else:
            lines[at], lines[0] = lines[0], lines[at]
        lines = lines or [""]
    return "\n".join(lines)


# ---------------------------------------------------------------- simulations

TRACES: dict[str, list[str]] = {
    "azure.csv": ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    + [f"2024-05-10 00:00:{n:02d}.5,{100 + 7 * n},{5 + n}" for n in range(30)],
    "burst.csv": ["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"]
    + [f"{n}.5,ChatGPT,{100 + n},{9 + n},0,x" for n in range(30)],
    "moon.jsonl": [
        json.dumps({"timestamp": 500 * n, "input_length": 1000 + n, "output_length": 9, "hash_ids": [0, 1, n]})
        for n in range(30)
    ],
    "log.jsonl": [json.dumps({"arrival_time": n, "input_toks": 100 + n, "output_toks": 9}) for n in range(30)],
    "bench.json": [
        json.dumps(
            {"input_lens": [100] * 30, "output_lens": [9] * 30, "start_times": list(range(30)), "request_rate": 2.0}
        )
    ],
}
TIMES = ("1e308", "-1e308", "1e300", "1e15", "-1", "nan", "inf", "", "x", "1e-320", "9" * 400, "0001-01-01 00:00:00",
         "9999-12-31 23:59:59.999", "2024-05-10T00:00:00+14:00", "1e18")  # fmt: skip

WORDS = {
    "--rate": ("2/s", "1e30/s", "1e-9/s", "-1/s", "0/s", "1/h"),
    "--requests": ("20", "1e9", "1e30", "0", "-1", "1.5", "../x.csv", "x.parquet", "nan"),
    "--slo": ("ttft p95 2s", "ttft p101 2s", "p95", "tpot p50 -1s", "e2e mean 1e300s", "x" * 5000, "ttft p95 nan"),
    "--arrivals": ("gamma", "day", "even", "closed", "at-once", "zzz"),
    "--cv": ("0", "1e30", "-1", "nan", "3"),
    "--swing": ("2", "-1", "50 %"),
    "--clients": ("3", "1e12", "0"),
    "--think": ("1s", "-1s", "1e300s", "9999 years"),
    "--isl": ("1", "1e30", "100k", "0", "-5"),
    "--osl": ("1", "1e12", "100k", "0"),
    "--isl-spread": ("uniform:0.5", "lognormal:1e9", "exponential", "zzz:1", "fixed:nan", "lognormal:"),
    "--osl-spread": ("uniform:5", "lognormal:5", "empirical"),
    "--turns": ("3", "1000", "0", "1e9"),
    "--order": ("fcfs", "priority", "shortest", "slo", "zzz"),
    "--routing": ("prefix-aware", "least-loaded", "zzz"),
    "--replicas": ("2", "auto", "0", "1e9", "100000", "-1"),
    "--running": ("1", "0", "1e12", "1.5"),
    "--chunk": ("1", "0", "1e12"),
    "--prompt-chunk": ("1", "1e12", "0"),
    "--blocks": ("1", "0", "1e18", "100"),
    "--host": ("1e300s", "-1s", "0s", "10ms"),
    "--front": ("1e300s", "0s", "5ms"),
    "--due": ("0s", "1e300s"),
    "--outage": ("0@1s-2s", "9@1s", "0@5s-1s", "0@1e300s-1e308s", "999999999999@1s", "0@-1s-2s", "@", "0@nans"),
    "--autoscale": ("target=4,loading=1s", "target=0,loading=1s", "target=1,loading=1e300s,every=0.1s", "x", "target=4",
                    "target=1e30,loading=0s,every=86400s,fewest=99", "target=4,loading=1s,fewest=1e9"),
    "--host-cache": ("1GB@1GB/s", "1e18B@1B/s", "0B@0B/s", "x@y", "1GB"),
    "--disk-cache": ("1TB@1GB/s", "1GB@1e30B/s"),
    "--switch": ("1e300s", "1s"),
    "--beside": ("p.json@1/s", "p.json@1e30/s", "@1/s", "nothing.json@1/s", "p.json"),
    "--seed": ("-1", "1e9", "99999999999999999999", "x"),
}  # fmt: skip
SERVICE: dict[str, Any] = {"model": "qwen3-0.6b", "on": "1xh20", "isl": "1k", "osl": 20, "tpot": "50ms"}


def simulation(dice: random.Random) -> Tried:
    """Traces with bad rows, workloads that nobody has, a service with mistakes."""
    files: list[tuple[str, str | bytes]] = [("p.json", json.dumps(_mild(saved_plan("serve"), dice)))]
    plan = "p.json"
    if dice.random() < 0.3:
        plan, service = "s.yaml", mutated(SERVICE, dice, dice.choice((0, 1, 1, 2)))
        files.append((plan, json.dumps(service)))
    words = ["simulate", plan]
    if dice.random() < 0.6:
        name, content = trace(dice)
        files.append((name, content))
        words += [dice.choice(("--trace", "--trace", "--fit-trace")), name]
    else:
        words += [f"--requests={dice.choice(('20', '200'))}", f"--rate={dice.choice(('1/s', '50/s'))}"]
    for flag in dice.sample(tuple(WORDS), dice.choice((0, 1, 1, 2, 3))):
        words = [word for word in words if not word.startswith(flag + "=")]
        words.append(f"{flag}={dice.choice(WORDS[flag])}")
    if dice.random() < 0.1:
        words.append("--find-rate")
    return _written("simulate", words, files, dice, 0.3, ("x.parquet",))


def trace(dice: random.Random) -> tuple[str, str | bytes]:
    """A trace with mistakes."""
    name = dice.choice(tuple(TRACES))
    lines = list(TRACES[name])
    for _ in range(dice.choice((0, 1, 1, 2, 5))):
        at = dice.randrange(len(lines))
        if name.endswith(".csv"):
            cells = lines[at].split(",")
            cells[dice.randrange(len(cells))] = dice.choice((dice.choice(TIMES), str(atom(dice)).replace("\n", " ")))
            lines[at] = ",".join(cells)
        else:
            row = mutated(json.loads(lines[at]), dice, 1)
            keys = [key for key in ("timestamp", "arrival_time") if isinstance(row, dict) and key in row]
            if keys and dice.random() < 0.5:
                row[keys[0]] = dice.choice((1e308, -1e308, 1e300, 10**400, -1, True, None, "1", 1e15))
            lines[at] = json.dumps(row)
    if dice.random() < 0.2:
        dice.shuffle(lines)
    text = dice.choice(("\n", "\n", "\r\n")).join(lines)
    if dice.random() < 0.2:
        text = text[: dice.randrange(len(text) + 1)]
    if dice.random() < 0.1:
        data = gzip.compress(text.encode("utf-8", "surrogatepass"))
        return f"{name}.gz", data[: dice.randrange(len(data) + 1)] if dice.random() < 0.5 else data
    return name, text


# ---------------------------------------------------------------- launch files

LAUNCHES: dict[str, str] = {
    "serve.sh": "#!/bin/bash\nMODEL=Qwen/Qwen3-30B-A3B\nTP=2\nARGS=(--tp $TP --mem-fraction-static 0.88)\n"
    'python3 -m sglang.launch_server --model-path "$MODEL" "${ARGS[@]}" --context-length 32768 \\\n'
    "  --max-running-requests ${MAX:-64} --chunked-prefill-size $((4 * 1024))\n",
    "docker.sh": "docker run --rm --gpus all -e HF_TOKEN=$T vllm/vllm-openai:v0.11.0 \\\n"
    "  --model Qwen/Qwen3-32B --tensor-parallel-size=4 --max-model-len 32k --max-num-seqs 256\n",
    "k8s.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: v}\nspec:\n  replicas: 2\n  template:\n"
    "    spec:\n      containers:\n        - name: e\n          image: vllm/vllm-openai:v0.11.0\n"
    "          command: [bash, -c]\n          args: ['vllm serve Qwen/Qwen3-8B --tensor-parallel-size 2']\n"
    "          resources: {limits: {nvidia.com/gpu: 2}}\n",
    "vllm.yaml": "model: openai/gpt-oss-20b\ntensor-parallel-size: 4\nmax-num-batched-tokens: 8192\n",
    "vllm.json": '{"model": "Qwen/Qwen3-8B", "tensor_parallel_size": 2, "max_model_len": 4096}',
    "ray.yaml": "applications:\n  - args:\n      llm_configs:\n        - model_loading_config: {model_id: q,"
    " model_source: Qwen/Qwen3-8B}\n          engine_kwargs: {tensor_parallel_size: 2}\n"
    "          accelerator_type: H100\n",
    "megatron.sh": "torchrun --nproc_per_node 8 --nnodes 4 pretrain_gpt.py --tensor-model-parallel-size 2 \\\n"
    "  --pipeline-model-parallel-size 2 --num-layers 32 --hidden-size 4096 \\\n"
    "  --num-attention-heads 32 --seq-length 4096 \\\n"
    "  --micro-batch-size 1 --global-batch-size 256 --bf16\n",
    "titan.toml": '[model]\nname = "llama3"\nflavor = "8B"\n[training]\nseq_len = 8192\nlocal_batch_size = 1\n'
    "[parallelism]\ntensor_parallel_degree = 4\ndata_parallel_shard_degree = -1\n",
    "deploy.py": "import modal\napp = modal.App('x')\n@app.function(gpu='H100:2')\n"
    "def serve():\n    import subprocess\n"
    "    cmd = ['vllm', 'serve', 'Qwen/Qwen3-8B', '--tensor-parallel-size', '2']\n"
    "    subprocess.Popen(' '.join(cmd))\n",
    "asked.sh": '#!/usr/bin/env bash\n# tonnage asked: {"command": "serve", "model": "qwen3-8b", "words": {"isl": "4k",'
    ' "on": "2xh100-sxm"}, "reads": {"count": "2"}, "files": ["serve.sh", "../x"]}\n'
    'vllm serve "$MODEL" --tensor-parallel-size 2\n',
}  # fmt: skip

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + name] * 9)}]\n" for name, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def launch_file(dice: random.Random) -> Tried:
    """Scripts, manifests and configurations of people, with mistakes; bombs; depth."""
    name = dice.choice(tuple(LAUNCHES))
    text = text_mutated(LAUNCHES[name], dice, dice.choice((0, 1, 1, 2, 4)))
    rare = dice.random()
    if rare < 0.02:
        name, text = "b.yaml", BOMB
    elif rare < 0.06:
        deep = dice.choice((30, 1000, 50_000))
        opening, name = dice.choice(
            (("[", "d.yaml"), ('{"a":', "d.json"), ("$(", "d.sh"), ("((", "d.py"), ("${a:-", "d.sh"))
        )
        text = f"vllm serve Qwen/Qwen3-8B {opening * deep}"
    verb = "train" if name in ("megatron.sh", "titan.toml") else dice.choice(("serve", "fit"))
    words = [verb, "--from", name]
    words += (
        [f"--on={dice.choice((dice.choice(CHIPS), dice.choice(CHIPS), atom(dice)))}"] if dice.random() < 0.7 else []
    )
    words += ["--tokens=1B"] if verb == "train" else []
    return _written("launch file", words, [(name, text)], dice, 0.1)


# ---------------------------------------------------------------- exports

_PLANS: dict[str, dict[str, Any]] = {}


def saved_plan(name: str) -> dict[str, Any]:
    """Plans as they are saved, made once."""
    asked = {
        "serve": ("serve", "qwen3-0.6b", "--on", "1xh20", "--isl=1k", "--osl=100", "--engine=vllm"),
        "pools": ("serve", "qwen3-30b-a3b", "--on", "16xh20", "--mode=disaggregated", "--engine=sglang"),
        "train": ("train", "qwen3-0.6b", "--on", "8xh20", "--tokens", "1B"),
    }[name]
    if name not in _PLANS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert run([*asked, "--json", "-q"]) == 0
        _PLANS[name] = json.loads(out.getvalue())
    return _PLANS[name]


def _mild(value: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A plan as it was saved, mostly; with a mistake now and then."""
    how = dice.random()
    made: dict[str, Any] = mutated(value, dice, 1) if how < 0.1 else value
    return tweaked(value, dice, dice.choice((1, 2, 5))) if how > 0.5 else made


def poisoned(value: Any, dice: random.Random, share: float) -> Any:
    """A nested value with some texts, and some keys, replaced by what a shell would obey."""
    if isinstance(value, dict):
        return {
            (dice.choice(EVIL) if dice.random() < share / 20 else key): poisoned(item, dice, share)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [poisoned(item, dice, share) for item in value]
    if isinstance(value, str) and dice.random() < share:
        return dice.choice((dice.choice(EVIL), value + dice.choice(EVIL), dice.choice(EVIL) + value))
    return value


ENGINES = {
    "serve": ("vllm", "ray", "k8s", "skypilot"),
    "pools": ("sglang", "dynamo", "k8s", "skypilot"),
    "train": ("megatron", "bridge", "torchtitan", "mindspeed", "verl", "run"),
}


def export(dice: random.Random) -> Tried:
    """Plans of somebody else, whose words become scripts."""
    name = dice.choice(tuple(ENGINES))
    plan = saved_plan(name)
    how = dice.random()
    if how < 0.3:
        plan = tweaked(plan, dice, dice.choice((1, 2, 5, 20)))
    elif how < 0.8:
        plan = poisoned(plan, dice, dice.choice((0.01, 0.03, 0.3)))
        plan |= {key: saved_plan(name)[key] for key in ("schema", "command") if dice.random() < 0.95}
    else:
        plan = mutated(plan, dice, dice.choice((1, 1, 2)))
    engine = dice.choice(ENGINES[name]) if dice.random() < 0.95 else str(atom(dice))
    words = ["export", "p.json", engine, "-o", "out"]
    return Tried("export", tuple(words), (("p.json", json.dumps(plan)),), ("out",), obeyed)


def obeyed(folder: Path) -> str | None:
    """Whether something of a plan runs when the exported scripts do, with programs that do nothing."""
    from scripts_run import run_scripts

    return run_scripts(folder / "out") if (folder / "out").is_dir() else None


# ---------------------------------------------------------------- ledgers, calibrations, verdicts

_BOOK: list[bytes] = []


def _book() -> bytes:
    """A ledger with a plan and rows, made once."""
    if not _BOOK:
        from tonnage import ledger

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "l.sqlite"
            with ledger.open(path) as book:
                for name in ("serve", "train"):
                    key = book.record(saved_plan(name))
                    book.measured(key, [ledger.MeasuredRow({"step_time": 3.0, "tpot": 0.03}, {"a": 1})])
            _BOOK.append(path.read_bytes())
    return _BOOK[0]


SQL = (
    "UPDATE plan SET answer = ?", "UPDATE plan SET id = ?", "UPDATE plan SET made = ?", "UPDATE plan SET model = ?",
    "UPDATE plan SET command = ?", "UPDATE plan SET chip = ?", "UPDATE measured SET row = ?",
    "UPDATE measured SET at = ?",
    "UPDATE predicted SET value = ?", "UPDATE reading SET value = ?", "UPDATE reading SET quantity = ?",
    "UPDATE predicted SET quantity = ?", "UPDATE measured SET source = ?", "UPDATE plan SET count = ?",
    "INSERT INTO run (id, plan, started) SELECT ?, id, '2025-01-01' FROM plan LIMIT 1",
    "INSERT INTO run (id, plan, started) SELECT 'x', id, ? FROM plan LIMIT 1",
    "PRAGMA user_version = 99", "PRAGMA user_version = 0", "PRAGMA application_id = 1", "DROP TABLE reading",
    "CREATE TABLE x (y)", "CREATE VIEW v AS SELECT 1", "DELETE FROM predicted", "DROP TABLE run",
    "CREATE TRIGGER t AFTER INSERT ON plan BEGIN DELETE FROM plan; END",
)  # fmt: skip


def book(dice: random.Random) -> Tried:
    """A file that is no ledger, a damaged one, one of another form, one with other values."""
    how = dice.randrange(4)
    data = bytearray(_book())
    if how == 0:
        data = bytearray(
            dice.choice(
                (b"", b"x", b"SQLite format 3\0", b"\0" * 5000, b"{}", str(atom(dice)).encode("utf-8", "replace"))
            )
        )
    elif how == 1:
        for _ in range(dice.choice((1, 5, 100))):
            data[dice.randrange(dice.choice((100, 4096, len(data))))] = dice.randrange(256)
    elif how == 2:
        del data[dice.randrange(len(data)) :]
    else:
        data = bytearray(_changed(bytes(data), dice))
    words = dice.choice(
        (
            ["ledger", "list"], ["ledger", "show", dice.choice(("0000", "x", str(atom(dice))))], ["ledger", "errors"],
            ["ledger", "errors", "--by=chip"], ["ledger", "list", "--last=1"],
            ["ledger", "add", "0000", "--set", f"step_time={atom(dice)}"],
        )
    )  # fmt: skip
    words = [word.replace("\0", "?") for word in words]
    extra = ("l.sqlite-wal", "l.sqlite-shm", "l.sqlite-journal", "l.sqlite.v1.bak")
    if dice.random() < 0.2:
        verb = dice.choice((["train", "qwen3-0.6b", "--on", "8xh20"], ["serve", "qwen3-0.6b", "--on", "1xh20"]))
        return Tried(
            "ledger", (*verb, "--anchor", "ledger", "--ledger", "l.sqlite"), (("l.sqlite", bytes(data)),), extra
        )
    tried = _written("ledger", [*words, "--ledger", "l.sqlite"], [("l.sqlite", bytes(data))], dice, 0.2)
    return Tried(tried.kind, tried.words, tried.files, (*tried.outputs, *extra))


def _changed(data: bytes, dice: random.Random) -> bytes:
    """A ledger in which somebody wrote."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.sqlite"
        path.write_bytes(data)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA foreign_keys = OFF")
        for _ in range(dice.choice((1, 1, 2))):
            statement = dice.choice(SQL)
            value = dice.choice((atom(dice), 1e308, -1.0, float("inf"), "\x1b[31m", "{}", '{"a": NaN}', "[" * 2000))
            value = (
                str(value)
                if isinstance(value, (dict, list)) or abs(value if isinstance(value, int) else 0) > 2**62
                else value
            )
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                connection.execute(statement, (value,) if "?" in statement else ())
        connection.close()
        return path.read_bytes()


HEAD: dict[str, Any] = {
    "tonnage": "calibration", "version": 1, "chip": "my-card", "device": "cuda", "title": "My Card",
    "driver": "CUDA 13", "software": "torch 2.13", "date": "2026-11-30", "memory": 64e9,
    "rates": {"bf16": 4e14, "fp32": 4e13}, "bandwidth": 2e12, "processes": 1, "link": None, "noisy": False,
}  # fmt: skip


def _calibration_rows() -> list[dict[str, Any]]:
    rows = []
    for m in (256, 4096):
        for n, k in ((1024, 1024), (4096, 1024), (1024, 4096), (4096, 4096)):
            shape = {"m": m, "n": n, "k": k}
            rows.append({"operator": "gemm", "shape": shape, "layout": "NT", "seconds": 2e-6 + 6 * m * n * k / 4e14})
    return [row | {"chip": "my-card", "software": "torch 2.13"} for row in rows]


def calibration(dice: random.Random) -> Tried:
    """Files of measured operators with mistakes."""
    from tonnage.system.calibrated import VERSION

    rows = [HEAD | {"version": VERSION}, *_calibration_rows()]
    for _ in range(dice.choice((0, 1, 1, 2))):
        at = dice.choice((0, 0, dice.randrange(len(rows))))
        rows[at] = (mutated if dice.random() < 0.5 else tweaked)(rows[at], dice, dice.choice((1, 1, 2)))
    text = "\n".join(json.dumps(row) for row in rows)
    verb = dice.choice((["fit", "qwen3-0.6b"], ["serve", "qwen3-0.6b"], ["train", "qwen3-0.6b"]))
    words = [*verb, "--on", dice.choice(("1xmy-card", "8xmy-card", "1xh20")), "--calibration", "c.jsonl"]
    return _written("calibration", words, [("c.jsonl", text)], dice, 0.1)


GATE: dict[str, Any] = {
    "name": "g", "part": "numerics", "needed": "inference", "state": "pass", "measured": 3.0, "limit": 1.0,
    "unit": "units", "subject": "operators", "decides": True, "why": "",
}  # fmt: skip


def _verdict(dice: random.Random) -> Any:
    """A verdict file with mistakes."""
    from tonnage.qualify.gate import Verified
    from tonnage.qualify.verdict import SERVING, TRAINING, verdict

    gates = [Verified("speed", "speed", "inference", "pass")]
    gates += [
        Verified(
            name, "numerics", "inference" if name in SERVING else "training", "pass", 3.0, 1.0, "units", subject=name
        )
        for name in dict.fromkeys(TRAINING)
    ]
    found = verdict(gates, "H100", "qwen3-8b", 64, 30.0, software="s", date="2025-01-01").to_json()
    body: Any = (
        found if dice.random() < 0.5 else {"command": "qualify", "verdict": found, "device": {"chip": "h100-sxm"}}
    )
    return mutated(body, dice, dice.choice((0, 1, 1, 2)))


def verdict_file(dice: random.Random) -> Tried:
    """Verdicts beside a programme, and in the page's folder."""
    if dice.random() < 0.85:
        body = _verdict(dice) if dice.random() < 0.5 else _shown_verdict(dice)
        return Tried(
            "verdict",
            ("page",),
            (("work/v.json", json.dumps(body)),),
            instead=lambda folder: _verdict_seen(folder / "work"),
        )
    held = json.loads(json.dumps(PROGRAMME))
    name = "v.json" if dice.random() < 0.9 else str(atom(dice))
    held["assumptions"]["verdicts"] = {"own": {"file": name}}
    return Tried(
        "verdict", ("launch", "p.yaml", "--draws", "20"),
        (("p.yaml", json.dumps(held)), ("v.json", json.dumps(_verdict(dice)))),
    )  # fmt: skip


def _shown_verdict(dice: random.Random) -> Any:
    body = {
        "schema": "tonnage/1",
        "command": "qualify",
        "verdict": {"device": "d", "verdict": "unfit", "gates": [GATE]},
    }
    text = json.dumps(mutated(body, dice, dice.choice((1, 2))))
    return json.loads(text.replace("3.0", dice.choice(("3.0", "1e999", "-1e999", "NaN", "9" * 400))))


def _verdict_seen(work: Path) -> str | None:
    from tonnage.web import verdicts

    for one in verdicts.listed(work):
        json.dumps(one, allow_nan=False).encode()
        found = verdicts.read(work, str(one["name"]))
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    return None


# ---------------------------------------------------------------- what they share


def _written(
    kind: str, words: Sequence[str], files: Sequence[tuple[str, str | bytes]], dice: random.Random, share: float,
    outputs: Sequence[str] = (),
) -> Tried:  # fmt: skip
    """The same, sometimes as JSON, as CSV, or written to a file of some ending."""
    words, outputs = [*words], [*outputs]
    if dice.random() < share:
        ending = dice.choice(ENDINGS)
        name = f"answer.{ending}" if ending else "answer"
        words += ["-o", name]
        outputs.append(name)
        words += [f"--chart={dice.choice((atom(dice), 'memory', 'step'))}"] if dice.random() < 0.1 else []
    words += dice.choice(([], [], ["--json"], ["--csv"], ["--bars"]))
    return Tried(kind, tuple(words), tuple(files), tuple(outputs))
