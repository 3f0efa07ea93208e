#!/usr/bin/env bash
# tonnage asked: {"command": "serve", "model": "qwen3-0.6b", "words": {"isl": "1k", "osl": "100", "on": "1xh20", "engine": "vllm"}, "reads": {"running": "304", "chunk": "8192", "memory_share": "0.92", "context": "2048", "layout": "tp1,pp1,dp1", "engine": "vllm", "isl": "1638", "osl": "409", "count": "1"}, "files": []}
# serve: one, each 1 ranks of h20-96gb on 1 server
# for vllm 0.33.0, as priced by tonnage
# predicted: 48.92 ms a token (27.73 to 86.28)
# predicted: first token after 0.11 s (0.0478 to 0.254)
# 304 sequences in flight on each attention replica
set -euo pipefail

flags=(
  --tensor-parallel-size 1  # layout: tp: ranks that share each layer of one replica
  --max-num-batched-tokens 8192  # chunk: new tokens of one step
  --max-num-seqs 304  # batch: sequences that may run at once: as many as the limits let it and memory has room for
  --max-model-len 2048  # --isl + --osl: tokens of the longest sequence that was asked for
  --gpu-memory-utilization 0.92  # memory share: share of an accelerator's memory that the engine may take
  --host 0.0.0.0
  --port 8000
)
exec vllm serve Qwen/Qwen3-0.6B "${flags[@]}"
