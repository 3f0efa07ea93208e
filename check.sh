#!/usr/bin/env bash
# 304 requests in flight, 10 rounds of them: the load that was priced
# PLAN: id of the plan in the ledger (tonnage serve ... --ledger FILE, then tonnage ledger)
set -euo pipefail
vllm bench serve --backend openai --dataset-name random --random-input-len 1000 --random-output-len 100 --num-prompts 3040 --max-concurrency 304 --ignore-eos --base-url "${URL:-http://127.0.0.1:8000}" --save-result --result-filename measured.json --model Qwen/Qwen3-0.6B
if [ -n "${PLAN:-}" ]; then
  tonnage ledger add "$PLAN" --measured measured.json
fi
