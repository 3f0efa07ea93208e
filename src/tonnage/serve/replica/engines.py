"""Serving engines: the settings they come with, each from its own documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tonnage.errors import InputError, Problem, nearest

Room = Literal["profiled", "reserved", "free"]
"""How an engine finds the room that it leaves for the cache."""

SORTED = 38.4
"""Bytes for each sequence and vocabulary entry of vLLM's sampler where it sorts: until 0.15, and on chips without
Triton. Profiles of three vocabularies in vLLM 0.7 to 0.11 give 38.4 to 39.6 (4.76 GiB at 1,024 sequences of 128,256
entries, 7.38 GiB at 201,088: llm-d-benchmark `config_explorer/empirical-vllm-memory-results.md`): logits in 16 and 32
bits, sorted values and their 64-bit places with room to sort them, probabilities, masks and noise."""

UNSORTED = 22.0
"""The same where top-k and top-p are one kernel (vLLM 0.16 and later, `v1/sample/ops/topk_topp_sampler.py`): logits in
16 and 32 bits, scaled logits, probabilities, noise and their quotient, 2 + 5 x 4 bytes."""

LOGITS = 4.0
"""The same in TensorRT-LLM's trial: logits in 32 bits."""


@dataclass(frozen=True)
class Engine:
    """What an engine does unless told otherwise.

    memory_share: share of the accelerator's memory that it uses at most, None where it follows from the chip and the
    step (SGLang); room: what it leaves for the cache: `profiled`, that share less weights and the peak of a trial step
    (vLLM), `reserved`, that share less weights, the trial step being part of the rest (SGLang), `free`, a share of what
    a trial step leaves free (TensorRT-LLM); sampled: bytes for each sequence and vocabulary entry that sampling takes
    in that trial; few: sequences that it samples there on chips of less than 70 GiB and the A100, where nothing else is
    asked for (vLLM; None: as many as may run); block: tokens in a KV block; chunk: new tokens in one step at most;
    running: sequences running at once at most, per attention replica; mixed: whether prefill chunks ride in decode
    steps; reserved: share of the output for which cache is kept free from the start (1: a started request is never
    evicted); states: recurrent states kept for one running sequence of a hybrid model; state_share: share of the
    cache's memory set aside for them, None where both share one pool; source: where the defaults are documented.
    """

    name: str
    memory_share: float | None
    room: Room
    sampled: float
    few: int | None
    block: int
    chunk: int
    running: int
    mixed: bool
    reserved: float
    states: int
    state_share: float | None
    source: str

    @property
    def share_of_free(self) -> bool:
        """Whether the share applies to what is left after weights and buffers instead of to the whole."""
        return self.room == "free"


_VLLM = "https://docs.vllm.ai/en/stable/configuration/engine_args/"
_SGLANG = "https://docs.sglang.io/advanced_features/server_arguments.html; states: sgl-project/sglang issue 38846"
_TRTLLM = "https://nvidia.github.io/TensorRT-LLM/llm-api/reference.html"
_ASCEND = "https://docs.vllm.ai/projects/ascend/en/latest/user_guide/configuration/additional_config.html"
_CLOUDMATRIX = "Serving Large Language Models on Huawei CloudMatrix384, arXiv 2506.12708; defaults as vLLM Ascend"
_AMD = "https://github.com/ROCm/ATOM"

ENGINES = {
    engine.name: engine
    for engine in (
        Engine("vllm", 0.90, "profiled", UNSORTED, 256, 16, 8192, 1024, True, 0.5, 1, None, _VLLM),
        Engine("sglang", None, "reserved", 0.0, None, 1, 8192, 2048, False, 0.5, 5, 0.9 / 1.9, _SGLANG),
        Engine("trtllm", 0.90, "free", LOGITS, None, 32, 8192, 2048, True, 1.0, 1, None, _TRTLLM),
        Engine("vllm-ascend", 0.90, "profiled", SORTED, 256, 128, 8192, 1024, True, 0.5, 1, None, _ASCEND),
        Engine("cloudmatrix-infer", 0.90, "profiled", 0.0, None, 128, 8192, 1024, True, 0.5, 1, None, _CLOUDMATRIX),
        Engine("atom", 0.90, "profiled", UNSORTED, None, 16, 16384, 512, False, 0.5, 1, None, _AMD),
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
        return ENGINES[{"Huawei": "vllm-ascend", "Google": "vllm"}.get(vendor, "sglang")]
    key = _ALIASES.get(name, name)
    if key not in ENGINES:
        known = (*ENGINES, *_ALIASES)
        message = f'no engine named "{name}"; known: {", ".join(ENGINES)}'
        raise InputError(Problem(message, "", "engine", nearest(name, known)))
    return ENGINES[key]
