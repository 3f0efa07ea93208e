"""Launch files of every kind, read as questions; each is written as people write it, its values found by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.launchfile import Written, read
from tonnage.launchfile.asked import starts

CATALOG = catalog.load()


def asked(tmp_path: Path, name: str, text: str, *on: str, train: bool = False, model: str | None = None) -> Written:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, CATALOG, on=on, train=train, model=model)


VLLM = """#!/bin/bash
# a comment with 'a quote
TP=${TP:-4}
ARGS="--tensor-parallel-size $TP --max-model-len 16384 \\
  --gpu-memory-utilization 0.9"
EXTRA=(
  --max-num-seqs 128   # sequences
  --kv-cache-dtype fp8
)
if [ -n "$DEBUG" ]; then EXTRA+=(--enforce-eager); else EXTRA+=(--max-num-batched-tokens 8k); fi
vllm serve meta-llama/Llama-3.3-70B-Instruct $ARGS "${EXTRA[@]}" \\
  --speculative-config '{"method": "eagle3", "num_speculative_tokens": 3}' \\
  --tensor-paralel-size 8 --mm-encoder-tp-mode data --port 8000 > log.txt 2>&1 &
"""


def test_a_script_with_variables_and_arrays(tmp_path: Path) -> None:
    found = asked(tmp_path, "serve.sh", VLLM, "4xh100-sxm")
    assert found.model == "meta-llama/Llama-3.3-70B-Instruct" and found.engine == "vllm" and found.count == 4
    assert found.words == {
        "layout": "tp4,pp1,dp1", "context": "16384", "memory_share": "0.9", "running": "128", "kv": "fp8",
        "eager": True, "speculate": "3", "engine": "vllm",
    }  # fmt: skip
    assert "--tensor-paralel-size 8" in found.strange[0] and ":13" in found.strange[0]
    assert 'did you mean "tensor-parallel-size"' in found.strange[0]
    assert len(found.unpriced) == 1 and "--mm-encoder-tp-mode data" in found.unpriced[0]


LWS = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: sglang}
spec:
  replicas: 2
  leaderWorkerTemplate:
    size: 2
    leaderTemplate:
      spec:
        nodeSelector: {cloud.google.com/gke-accelerator: nvidia-h200-141gb}
        containers:
          - name: leader
            image: lmsysorg/sglang:v0.5.11
            command: [python3, -m, sglang.launch_server, --model-path, deepseek-ai/DeepSeek-R1, --tp, "16",
              --enable-dp-attention, --dp-size, "4", --ep-size, "16", --nnodes, $(LWS_GROUP_SIZE)]
            resources: {limits: {nvidia.com/gpu: "8"}}
"""

DYNAMO = """
kind: DynamoGraphDeployment
spec:
  services:
    VllmPrefillWorker:
      replicas: 2
      resources: {limits: {gpu: "4"}}
      extraPodSpec:
        mainContainer:
          command: [python3, -m, dynamo.vllm]
          args: [--model, Qwen/Qwen3-32B, --tensor-parallel-size, "4", --is-prefill-worker]
    decode:
      replicas: 1
      resources: {limits: {gpu: "8"}}
      extraPodSpec:
        mainContainer:
          command: ["/bin/sh", "-c"]
          args: ["exec python3 -m dynamo.vllm --model Qwen/Qwen3-32B --tensor-parallel-size 8"]
"""

COMPOSE = """
services:
  vllm:
    image: vllm/vllm-openai:v0.11.0
    command: --model Qwen/Qwen3-32B --tensor-parallel-size 2 --max-model-len 4096
    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}
"""

RAY = """
applications:
  - name: llm
    args:
      llm_configs:
        - model_loading_config: {model_id: q, model_source: Qwen/Qwen2.5-14B-Instruct}
          accelerator_type: L4
          engine_kwargs: {tensor_parallel_size: 4, max_model_len: 8192}
          deployment_config: {autoscaling_config: {min_replicas: 1, max_replicas: 2}}
"""

SKY = """
resources: {accelerators: "H100:8"}
num_nodes: 1
envs: {MODEL: deepseek-ai/DeepSeek-V3}
run: |
  vllm serve $MODEL --tensor-parallel-size 8 \\
    --enable-expert-parallel
"""

PYTHON = """
from vllm import LLM
NAME = "Qwen/Qwen3-32B"
llm = LLM(model=NAME, tensor_parallel_size=2, quantization="fp8", max_num_seqs=64, enforce_eager=True)
raise SystemExit("never run")
"""

TRT = """
cat > /tmp/extra.yml <<EOF
enable_attention_dp: true
kv_cache_config:
  dtype: fp8
  free_gpu_memory_fraction: 0.8
cuda_graph_config: null
EOF
trtllm-serve nvidia/DeepSeek-R1-FP4 --tp_size 8 --ep_size 8 --max_batch_size 256 --max_num_tokens 8192 \\
  --extra_llm_api_options /tmp/extra.yml
"""

HELM = """
servingEngineSpec:
  modelSpec:
    - name: q
      modelURL: Qwen/Qwen2.5-14B-Instruct
      requestGPU: 4
      replicaCount: 1
      vllmConfig: {tensorParallelSize: 4, maxModelLen: 8192, extraArgs: ["--enforce-eager"]}
"""

SERVED = {
    "lws.yaml": (
        LWS, "deepseek-ai/DeepSeek-R1", "32xh200-sxm", {"layout": "tp4,pp1,dp8,ep16", "engine": "sglang@0.5.11"},
    ),
    "dynamo.yaml": (
        DYNAMO, "Qwen/Qwen3-32B", None,
        {"layout": "tp8,pp1,dp1", "prefill_layout": "tp4,pp1,dp1", "mode": "disaggregated", "engine": "vllm"},
    ),
    "compose.yaml": (
        COMPOSE, "Qwen/Qwen3-32B", None,
        {"layout": "tp2,pp1,dp1", "engine": "vllm@0.11.0", "context": "4096", "isl": "3276", "osl": "819"},
    ),
    "ray.yaml": (
        RAY, "Qwen/Qwen2.5-14B-Instruct", "8xl4", {"layout": "tp4,pp1,dp2", "context": "8192", "engine": "vllm"},
    ),
    "sky.yaml": (SKY, "deepseek-ai/DeepSeek-V3", "8xh100-sxm", {"layout": "tp8,pp1,dp1,ep8", "engine": "vllm"}),
    "offline.py": (
        PYTHON, "Qwen/Qwen3-32B", None,
        {"layout": "tp2,pp1,dp1", "weights": "fp8", "running": "64", "eager": True, "engine": "vllm"},
    ),
    "trt.sh": (
        TRT, "DeepSeek-R1", None,
        {"layout": "tp1,pp1,dp8,ep8", "weights": "nvfp4", "kv": "fp8", "running": "256", "chunk": "8192",
         "memory_share": "0.8", "eager": True, "engine": "trtllm"},
    ),
    "values.yaml": (
        HELM, "Qwen/Qwen2.5-14B-Instruct", None,
        {"layout": "tp4,pp1,dp1", "context": "8192", "eager": True, "engine": "vllm"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_files_of_serving(name: str, tmp_path: Path) -> None:
    text, model, on, words = SERVED[name]
    chips = {"dynamo.yaml": "16xh200-sxm", "trt.sh": "8xh200-sxm", "values.yaml": "4xh200-sxm"}
    given = () if on else (chips.get(name, "2xh200-sxm"),)
    found = asked(tmp_path, name, text, *given)
    assert (found.model, found.on) == (model, on)
    assert dict(found.words) == words
    assert not found.strange


MEGATRON = """
GPUS_PER_NODE=8
NNODES=${SLURM_NNODES:-"4"}
MODEL_ARGS=( --num-layers 32 --hidden-size 4096 --num-attention-heads 32 --num-query-groups 8 --ffn-hidden-size 14336
  --num-experts 8 )
GPT_ARGS="
    --tensor-model-parallel-size 1 --pipeline-model-parallel-size 4 --expert-model-parallel-size 8
    --use-distributed-optimizer --sequence-parallel --micro-batch-size 1 --global-batch-size $((64 * 4))
    --seq-length 4096 --bf16 --recompute-granularity full
"
torchrun --nproc_per_node $GPUS_PER_NODE --nnodes $NNODES pretrain_gpt.py ${MODEL_ARGS[@]} $GPT_ARGS --no-such-flag 3
"""

BRIDGE = """
model:
  tensor_model_parallel_size: 2
  pipeline_model_parallel_size: 4
  virtual_pipeline_model_parallel_size: 5
  seq_length: 8192
train: {global_batch_size: 512, micro_batch_size: 1}
mixed_precision: bf16_with_fp8_current_scaling_mixed
"""

TITAN = """
[model]
name = "llama3"
[training]
local_batch_size = 2
seq_len = 8192
[parallelism]
data_parallel_shard_degree = -1
tensor_parallel_degree = 4
[activation_checkpoint]
mode = "selective"
"""

VERL = """
python3 -m verl.trainer.main_ppo actor_rollout_ref.model.path=Qwen/Qwen3-32B \\
  actor_rollout_ref.actor.megatron.tensor_model_parallel_size=4 \\
  actor_rollout_ref.actor.ppo_mini_batch_size=64 actor_rollout_ref.rollout.n=4 \\
  data.max_prompt_length=2048 data.max_response_length=6144 \\
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1 trainer.nnodes=2 trainer.n_gpus_per_node=8
"""

DEEPSPEED = json.dumps({
    "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4, "bf16": {"enabled": True},
    "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}})  # fmt: skip

TRAINED = {
    "megatron.sh": (
        MEGATRON, None, "32xh100-sxm",
        {"layout": "tp1,pp4,ep8,mbs1,cp1,vpp1,schedule=1f1b,zero1,recompute=full,dp8", "seq": "4096",
         "global_batch": "256", "precision": "bf16"},
    ),
    "bridge.yaml": (
        BRIDGE, "llama-3.1-405b", "64xb200-sxm",
        {"layout": "tp2,pp4,mbs1,cp1,vpp5,zero1,dp8", "seq": "8192", "global_batch": "512", "precision": "fp8"},
    ),
    "titan.toml": (
        TITAN, "llama-3.1-8b", "16xh100-sxm",
        {"layout": "tp4,mbs2,pp1,cp1,zero3,recompute=selective,dp4", "seq": "8192", "global_batch": "8"},
    ),
    "verl.sh": (
        VERL, None, "16xh100-sxm",
        {"layout": "tp4,mbs1,pp1,cp1,zero1,dp4", "seq": "8192", "global_batch": "256"},
    ),
    "ds.json": (
        DEEPSPEED, "llama-3.1-8b", "8xh100-sxm",
        {"layout": "mbs2,tp1,pp1,cp1,zero3,dp8", "global_batch": "64", "precision": "bf16", "offload": "optimizer"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAINED)
def test_files_of_training(name: str, tmp_path: Path) -> None:
    text, model, on, words = TRAINED[name]
    found = asked(tmp_path, name, text, on, train=True, model=model)
    assert {key: found.words[key] for key in words} == words
    if name == "megatron.sh":
        assert found.model == "mistralai/Mixtral-8x7B-v0.1" and found.count == 32
        assert len(found.strange) == 1 and "--no-such-flag 3" in found.strange[0]
    if name == "verl.sh":
        assert found.model == "Qwen/Qwen3-32B" and found.count == 16


def test_every_problem_is_told_with_its_line(tmp_path: Path) -> None:
    text = "vllm serve no/Such-Model-9000 \\\n  --tensor-parallel-size eight \\\n  --max-num-seqs many\n"
    with pytest.raises(InputError) as error:
        asked(tmp_path, "bad.sh", text)
    told = str(error.value)
    for part in (":2  --tensor-parallel-size", ":3  --max-num-seqs", "no model named", "which accelerators"):
        assert part in told


def test_what_is_set_outside_is_not_said(tmp_path: Path) -> None:
    found = asked(tmp_path, "s.sh", "vllm serve qwen3-32b -tp 2 --max-num-seqs $SEQS --nnodes ${N}\n", "2xh200-sxm")
    assert found.words["layout"] == "tp2,pp1,dp1" and "running" not in found.words


@pytest.mark.parametrize(
    "text", ["", "echo hello\n", "$(" * 5000, "'" * 999, '"${A:-' * 4000, "if " * 9999 + "((" * 99]
)
def test_what_starts_nothing_is_said_and_never_fails(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="starts none of"):
        asked(tmp_path, "x.sh", text)


def test_a_script_that_doubles_itself_stays_small(tmp_path: Path) -> None:
    doubling = "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 60 + "vllm serve qwen3-32b -tp 2 --seed $A\n"
    assert asked(tmp_path, "bomb.sh", doubling, "2xh200-sxm").count == 2


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    asked(
        tmp_path,
        "s.sh",
        f"touch {mark}; X=$(touch {mark}); vllm serve qwen3-32b -tp 2 --seed $(touch {mark})\n",
        "2xh200",
    )
    (tmp_path / "p.py").write_text(f"open({str(mark)!r}, 'w')\nLLM(model='qwen3-32b')\n", encoding="utf-8")
    assert len(starts(str(tmp_path / "p.py"))) == 1 and not mark.exists()


def test_records_of_launches_are_read(tmp_path: Path) -> None:
    record = {"engine": "sglang", "model": "deepseek-ai/DeepSeek-V3", "chip": "h200-sxm", "count": 8,
              "flags": {"tp": 8, "dp": 8, "ep": 8, "speculative-num-steps": 3}}  # fmt: skip
    found = asked(tmp_path, "record.json", json.dumps(record))
    assert found.on == "8xh200-sxm" and found.words["layout"] == "tp1,pp1,dp8,ep8" and found.words["speculate"] == "3"


def test_the_answer_says_what_was_read_and_what_it_would_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "serve.sh"
    path.write_text("vllm serve llama-3.1-8b -tp 8 --max-num-seqs 8 --block-sizes 7\n", encoding="utf-8")
    assert run(["serve", "--from", str(path), "--on", "8xh100-sxm", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["inputs"]["layout"] == "tp8,pp1,dp1" and body["inputs"]["from"] == str(path)
    assert body["written"]["not_known"][0].startswith("--block-sizes 7")
    assert "instead of" in body["written"]["change"]
    assert run(["fit", "--from", str(path), "--on", "8xh100-sxm", "--layout", "tp4", "-q"]) == 0
    told = capsys.readouterr().out
    assert "tp4,dp1" in told and "not known" in told and "change" in told
    assert run(["fit", "--from", str(path)]) == 2
    assert "add --on, such as 8xh100-sxm" in capsys.readouterr().err


def test_training_of_a_file_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.sh"
    path.write_text(MEGATRON, encoding="utf-8")
    assert run(["train", "--from", str(path), "--on", "32xh100-sxm", "--json"]) in (0, 1)
    body = json.loads(capsys.readouterr().out)
    assert body["inputs"]["global_batch"] == "256" and body["written"]["engine"] == "megatron-lm"
    assert run(["serve", "--from", str(path), "--on", "32xh100-sxm"]) == 2
    assert "ask `tonnage train`" in capsys.readouterr().err
