"""What AIConfigurator 0.12 predicts for a sample of the silicon cases, kept in benchmarks/aiconfigurator.csv.

    python benchmarks/aiconfigurator_silicon.py PYTHON [--cases 160]

PYTHON: of a venv in which `pip install aiconfigurator==0.12.0` was run. The sample takes every aggregated, scored case
in turn from each (model, chip, engine, weights). `make accuracy` sets both predictions beside each other on the cases
that AIConfigurator answers. Settings as its own documentation asks: the batch per attention rank, the layout, number
formats of the release (where it has no table for those, the checkpoint's own); everything else at its defaults. What
is in the file already is not asked again.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tonnage.truth.cases import load_cases
from tonnage.truth.scored import why_not_serving

OUT = Path(__file__).parent / "aiconfigurator.csv"
SYSTEMS = {name: name.replace("-", "_") for name in ("h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200", "gb300")}
MODELS = {
    "meta-llama/Llama-3.3-70B-Instruct": "meta-llama/Meta-Llama-3.1-70B",
    "meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B",
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Meta-Llama-3.1-8B",
    "deepseek-ai/DeepSeek-R1-0528": "deepseek-ai/DeepSeek-R1",
}
"""Names under which AIConfigurator keeps the same architecture."""

ASK = """
import json, logging, sys
logging.disable(logging.CRITICAL)
from aiconfigurator.cli.api import cli_estimate
for line in open(sys.argv[1]):
    row, answer = json.loads(line), None
    native = {name: value for name, value in row["ask"].items() if "quant" not in name}
    for ask in (row["ask"], native):
        try:
            found = cli_estimate(**ask)
            answer = [row["id"], float(found.tpot) / 1e3, float(found.ttft) / 1e3]
            break
        except Exception as error:
            answer = [row["id"], None, repr(error)[:120]]
    print("ANSWER " + json.dumps(answer), flush=True)
"""


def question(case: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `cli_estimate` for a case."""
    layout, load, weights = case["layout"], case["workload"], case["weights"]
    dp = layout.get("dp", 1)
    ask: dict[str, Any] = {
        "model_path": MODELS.get(case["model"], case["model"]),
        "system_name": SYSTEMS[case["chip"]],
        "backend_name": case["engine"],
        "isl": round(load["input_len"]),
        "osl": round(load["output_len"]),
        "batch_size": max(1, round(load["concurrency"] / dp)),
        "tp_size": layout["tp"],
        "attention_dp_size": dp,
    }
    if "ep" in layout:
        ask |= {"moe_ep_size": layout["ep"], "moe_tp_size": layout.get("moe_tp", 1)}
    if weights == "fp4":
        ask |= {"gemm_quant_mode": "nvfp4", "moe_quant_mode": "nvfp4", "kvcache_quant_mode": "fp8"}
        if "DeepSeek" in case["model"]:
            ask = {k: v for k, v in ask.items() if "quant" not in k} | {"model_path": "nvidia/DeepSeek-V3.1-NVFP4"}
    if weights == "fp8" and "DeepSeek" not in case["model"]:
        ask |= {"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8", "kvcache_quant_mode": "fp8"}
    return ask


def sample(count: int) -> list[dict[str, Any]]:
    """Cases taken in turn from every (model, chip, engine, weights)."""
    parts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for case in load_cases("silicon"):
        if why_not_serving(case) is None and case["mode"] == "aggregated" and case["chip"] in SYSTEMS:
            parts.setdefault(tuple(case[key] for key in ("model", "chip", "engine", "weights")), []).append(case)
    spread = [part[:: max(1, len(part) * len(parts) // count)] for part in parts.values()]
    return [case for turn in itertools.zip_longest(*spread) for case in turn if case is not None][:count]


def main() -> None:
    """Ask for every case of the sample; write what is answered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path)
    parser.add_argument("--cases", type=int, default=160)
    options = parser.parse_args()
    kept = list(csv.reader(OUT.open(encoding="utf-8")))[1:] if OUT.exists() else []
    chosen = [case for case in sample(options.cases) if case["id"] not in {row[0] for row in kept}]
    with tempfile.TemporaryDirectory() as folder:
        script, rows = Path(folder) / "ask.py", Path(folder) / "rows.jsonl"
        script.write_text(ASK, encoding="utf-8")
        rows.write_text("\n".join(json.dumps({"id": c["id"], "ask": question(c)}) for c in chosen), encoding="utf-8")
        command = [str(options.python), str(script), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tpot", "ttft"))
        writer.writerows(kept)
        writer.writerows((name, f"{tpot:.6g}", f"{ttft:.6g}") for name, tpot, ttft in answers if tpot is not None)
    refused = [(name, why) for name, tpot, why in answers if tpot is None]
    print(f"asked {len(chosen)}, answered {len(answers) - len(refused)}", file=sys.stderr)
    for name, why in refused:
        print(f"  {name}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
