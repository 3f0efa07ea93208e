"""Serving engines: the settings they come with, each from its own documentation."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.errors import InputError, Problem, nearest


@dataclass(frozen=True)
class Engine:
    """What an engine does unless told otherwise.

    memory_share: share of the accelerator's memory that it uses at most; share_of_free: whether that share applies to
    what is left after weights and buffers (TensorRT-LLM) instead of to the whole; block: tokens in a KV block;
    chunk: new tokens in one step at most; running: sequences running at once at most, per attention replica;
    mixed: whether prefill chunks ride in decode steps; reserved: share of the output for which cache is kept free from
    the start (1: a started request is never evicted); states: recurrent states kept for one running sequence of a
    hybrid model; state_share: share of the cache's memory set aside for them, None where both share one pool; source:
    where the defaults are documented.
    """

    name: str
    memory_share: float
    share_of_free: bool
    block: int
    chunk: int
    running: int
    mixed: bool
    reserved: float
    states: int
    state_share: float | None
    source: str


_VLLM = "https://docs.vllm.ai/en/stable/configuration/engine_args/"
_SGLANG = "https://docs.sglang.io/advanced_features/server_arguments.html; states: sgl-project/sglang issue 38846"
_TRTLLM = "https://nvidia.github.io/TensorRT-LLM/llm-api/reference.html"
_ASCEND = "https://docs.vllm.ai/projects/ascend/en/latest/user_guide/configuration/additional_config.html"
_CLOUDMATRIX = "Serving Large Language Models on Huawei CloudMatrix384, arXiv 2506.12708; defaults as vLLM Ascend"
_AMD = "https://github.com/ROCm/ATOM"

ENGINES = {
    engine.name: engine
    for engine in (
        Engine("vllm", 0.90, False, 16, 8192, 1024, True, 0.5, 1, None, _VLLM),
        Engine("sglang", 0.88, False, 1, 8192, 2048, False, 0.5, 5, 0.9 / 1.9, _SGLANG),
        Engine("trtllm", 0.90, True, 32, 8192, 2048, True, 1.0, 1, None, _TRTLLM),
        Engine("vllm-ascend", 0.90, False, 128, 8192, 1024, True, 0.5, 1, None, _ASCEND),
        Engine("cloudmatrix-infer", 0.90, False, 128, 8192, 1024, True, 0.5, 1, None, _CLOUDMATRIX),
        Engine("atom", 0.90, False, 16, 16384, 512, False, 0.5, 1, None, _AMD),
    )
}

_ALIASES = {
    "sglang-ascend": "sglang",
    "vllm-tpu": "vllm",
    "jetstream": "vllm",
    "mindie": "vllm-ascend",
    "deepseek": "sglang",
    "lmdeploy": "trtllm",
    "tensorrt-llm": "trtllm",
    "mango": "sglang",
    "moai": "vllm",
    "pytorch": "vllm",
}


def engine(name: str | None, vendor: str = "NVIDIA") -> Engine:
    """The engine of this name, or the usual one of a vendor's chips. Raises InputError for an unknown name."""
    if name is None:
        return ENGINES["vllm-ascend" if vendor == "Huawei" else "sglang"]
    key = _ALIASES.get(name, name)
    if key not in ENGINES:
        known = (*ENGINES, *_ALIASES)
        message = f'no engine named "{name}"; known: {", ".join(ENGINES)}'
        raise InputError(Problem(message, "--engine", "", nearest(name, known)))
    return ENGINES[key]
