"""Architectures that llama.cpp writes: header and tensors of one say the same, or the file is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from gguf import MODEL_ARCH_NAMES, GGUFWriter

from tonnage.errors import InputError
from tonnage.model import load
from tonnage.model.gguf_file import FAMILY
from tonnage.model.known import FAMILIES

HIDDEN, WIDE, DEPTH, VOCAB, EXPERTS, NARROW = 128, 256, 4, 512, 8, 64


@dataclass(frozen=True)
class Spec:
    """Of a small file. gate: the FFN is gated; experts: layers have them, shared: beside one of this width; tied."""

    gate: bool = True
    experts: bool = False
    shared: int = 0
    tied: bool = False
    linear: bool = False
    wide: bool = False


PLAIN, UNGATED, TIED = Spec(), Spec(gate=False), Spec(tied=True)
MIXED, SHARED = Spec(experts=True), Spec(experts=True, shared=NARROW)

SPECS = {
    **dict.fromkeys(
        ("llama", "qwen2", "qwen2vl", "qwen3", "qwen3vl", "internlm2", "xverse", "orion", "baichuan", "exaone",
         "exaone4", "olmo", "olmo2", "ernie4_5", "hunyuan-dense", "stablelm", "seed_oss", "mistral3", "minicpm"),
        PLAIN,
    ),
    **dict.fromkeys(("arcee", "apertus", "nemotron", "starcoder2"), UNGATED),
    **dict.fromkeys(("command-r", "cohere2"), TIED),
    **dict.fromkeys(("qwen3moe", "qwen3vlmoe"), MIXED),
    **dict.fromkeys(("olmoe", "granitemoe", "phimoe", "minimax-m2"), Spec(experts=True, wide=True)),
    **dict.fromkeys(("qwen2moe", "dots1", "bailingmoe", "bailingmoe2", "ernie4_5-moe"), SHARED),
    "hunyuan-moe": Spec(experts=True, shared=NARROW),
    "qwen3next": Spec(experts=True, shared=NARROW, linear=True),
    "qwen35": Spec(linear=True),
    "qwen35moe": Spec(experts=True, shared=NARROW, linear=True),
}  # fmt: skip


def written(path: Path, architecture: str, spec: Spec, *, extra: int = 0) -> Path:
    """A small file of an architecture, in F16; extra: elements of a tensor that nothing in the header tells of."""
    file = GGUFWriter(path, architecture)
    file.add_block_count(DEPTH)
    file.add_embedding_length(HIDDEN)
    file.add_head_count(4)
    file.add_head_count_kv(2)
    file.add_key_length(32)
    file.add_value_length(32)
    file.add_context_length(4096)
    file.add_vocab_size(VOCAB)
    file.add_feed_forward_length(NARROW if spec.wide else WIDE)
    if spec.experts:
        file.add_expert_count(EXPERTS)
        file.add_expert_used_count(2)
        file.add_expert_feed_forward_length(NARROW)
    if spec.shared:
        file.add_expert_shared_count(1)
        file.add_expert_shared_feed_forward_length(spec.shared)
    if spec.linear:
        file.add_ssm_conv_kernel(4)
        file.add_ssm_state_size(16)
        file.add_ssm_group_count(4)
        file.add_ssm_time_step_rank(8)
        file.add_ssm_inner_size(8 * 16)
        file.add_uint32(f"{architecture}.full_attention_interval", 4)
    for name, size in _tensors(spec).items():
        file.add_tensor(f"{name}.weight", np.zeros(size, np.float16))
    if extra:
        file.add_tensor("blk.0.new_thing.weight", np.zeros((extra, 1), np.float16))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def _tensors(spec: Spec) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"token_embd": (VOCAB, HIDDEN)}
    if not spec.tied:
        found["output"] = (VOCAB, HIDDEN)
    for layer in range(DEPTH):
        full = not spec.linear or layer % 4 == 3
        own = _attention(spec) if full else _linear()
        found |= {f"blk.{layer}.{name}": size for name, size in (own | _ffn(spec)).items()}
    return found


def _attention(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Qwen3-Next and 3.5 have a gate as wide as the queries."""
    query = 256 if spec.linear else 128
    return {"attn_q": (query, HIDDEN), "attn_k": (64, HIDDEN), "attn_v": (64, HIDDEN), "attn_output": (HIDDEN, 128)}


def _linear() -> dict[str, tuple[int, ...]]:
    """Four key heads and eight value heads of 16."""
    return {"attn_qkv": (256, HIDDEN), "attn_gate": (128, HIDDEN), "ssm_ba": (16, HIDDEN), "ssm_conv1d": (256, 4),
            "ssm_out": (HIDDEN, 128)}  # fmt: skip


def _ffn(spec: Spec) -> dict[str, tuple[int, ...]]:
    if not spec.experts:
        names = ("ffn_gate", "ffn_up", "ffn_down") if spec.gate else ("ffn_up", "ffn_down")
        return dict.fromkeys(names, (WIDE, HIDDEN))
    found: dict[str, tuple[int, ...]] = {"ffn_gate_inp": (EXPERTS, HIDDEN)}
    found |= {f"ffn_{name}_exps": (EXPERTS, NARROW, HIDDEN) for name in ("gate", "up", "down")}
    if spec.shared:
        found |= {f"ffn_{name}_shexp": (spec.shared, HIDDEN) for name in ("gate", "up", "down")}
    return found


@pytest.mark.parametrize("architecture", sorted(SPECS))
def test_the_header_means_what_the_tensors_have(tmp_path: Path, architecture: str) -> None:
    arch = load(written(tmp_path / "small.gguf", architecture, SPECS[architecture]))
    assert (arch.hidden, arch.vocab, sum(block.count for block in arch.blocks)) == (HIDDEN, VOCAB, DEPTH)
    assert arch.release.element("attention") == 2.0
    assert arch.tied is SPECS[architecture].tied


@pytest.mark.parametrize("architecture", ["llama", "qwen35", "qwen3moe"])
def test_a_header_that_does_not_tell_of_all_tensors_is_refused(tmp_path: Path, architecture: str) -> None:
    path = written(tmp_path / "small.gguf", architecture, SPECS[architecture], extra=100_000)
    with pytest.raises(InputError, match="its tensors have") as caught:
        load(path)
    assert "name the config.json" in str(caught.value)


def test_a_gguf_name_is_one_of_llama_cpp_and_its_family_is_read() -> None:
    assert not FAMILY.keys() - set(MODEL_ARCH_NAMES.values())
    assert not set(FAMILY.values()) - FAMILIES.keys()
