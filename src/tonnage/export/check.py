"""A script that loads a running service as the plan says, and puts what is measured into the ledger.

`vllm bench serve` (vLLM's own load generator) speaks to any server of OpenAI's interface; `sglang.bench_serving` is
SGLang's. Both write JSON that `tonnage ledger add --measured` reads.
"""

from __future__ import annotations

from math import ceil

from tonnage.export.exported import ExportedFile
from tonnage.export.kubernetes import PORTS
from tonnage.export.scripts import HEAD
from tonnage.serve.result import ServePlan

ROUNDS = 10
"""Requests for each one in flight: what public benchmarks of services send (docs/method/serving.md, first waves)."""


def files(plan: ServePlan) -> tuple[ExportedFile, ...]:
    """The check of a plan."""
    job, one = plan.question.job, plan.instances[-1]
    flight = _in_flight(plan)
    load = f"--num-prompts {ROUNDS * flight} --max-concurrency {flight}"
    sizes = f"--random-input-len {ceil(job.isl)} --random-output-len {ceil(job.osl)}"
    alone = len(plan.instances) == 1
    url = f'"${{URL:-http://127.0.0.1:{PORTS[one.engine]}}}"' if alone else '"${URL:?address of the router}"'
    if one.engine == "sglang":
        bench = "python3 -m sglang.bench_serving --backend sglang --dataset-name random --random-range-ratio 1"
        bench += f" {sizes} {load}"
        bench += f" --base-url {url} --output-file measured.json"
    else:
        bench = f"vllm bench serve --backend openai --dataset-name random {sizes} {load} --ignore-eos"
        bench += f" --base-url {url} --save-result --result-filename measured.json"
        bench += " --model " + (one.model if one.model != "$MODEL" else '"$MODEL"')
    lines = [HEAD.rstrip(), f"# {flight} requests in flight, {ROUNDS} rounds of them: the load that was priced"]
    lines += ["# PLAN: id of the plan in the ledger (tonnage serve ... --ledger FILE, then tonnage ledger)"]
    lines += ["set -euo pipefail", bench, 'if [ -n "${PLAN:-}" ]; then']
    lines += ['  tonnage ledger add "$PLAN" --measured measured.json', "fi"]
    return (ExportedFile("check.sh", "\n".join(lines) + "\n", True),)


def _in_flight(plan: ServePlan) -> int:
    """Requests in flight over all instances that decode, at least one."""
    held = 0.0
    for one in plan.instances:
        if one.role in ("serve", "decode"):
            held += one.count * (one.running or 1.0) * int(one.layout.dp)
    return max(1, ceil(held - 1e-9))
