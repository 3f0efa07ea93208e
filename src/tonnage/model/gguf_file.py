"""A GGUF file's own header: sizes of the model, and the block type of every tensor. Needs the `gguf` extra."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.errors import InputError, Problem, nearest
from tonnage.model.config import LARGEST
from tonnage.model.counts import params
from tonnage.model.gguf_header import check_header
from tonnage.model.operators import Part

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

    from tonnage.model.architecture import Architecture

MAGIC = b"GGUF"

FAMILY = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen2moe": "qwen2_moe",
    "qwen3": "qwen3",
    "qwen3moe": "qwen3_moe",
    "deepseek2": "deepseek_v3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "gpt-oss": "gpt_oss",
    "phi3": "phi3",
    "granite": "granite",
    "smollm3": "smollm3",
    "seed_oss": "seed_oss",
    "glm4": "glm4",
    "glm4moe": "glm4_moe",
    "olmo2": "olmo2",
    "minimax-m2": "minimax_m2",
    "mistral3": "ministral3",
    "qwen2vl": "qwen2",
    "qwen3vl": "qwen3",
    "qwen3vlmoe": "qwen3_moe",
    "qwen3next": "qwen3_next",
    "qwen35": "qwen3_5_text",
    "qwen35moe": "qwen3_5_moe_text",
    "internlm2": "internlm2",
    "xverse": "llama",
    "orion": "llama",
    "baichuan": "baichuan",
    "minicpm": "minicpm",
    "arcee": "arcee",
    "apertus": "apertus",
    "exaone": "exaone",
    "exaone4": "exaone4",
    "nemotron": "nemotron",
    "starcoder2": "starcoder2",
    "command-r": "cohere",
    "cohere2": "cohere2",
    "olmo": "olmo",
    "olmoe": "olmoe",
    "dots1": "dots1",
    "bailingmoe": "bailing_moe",
    "bailingmoe2": "bailing_moe_v2",
    "ernie4_5": "ernie4_5",
    "ernie4_5-moe": "ernie4_5_moe",
    "hunyuan-dense": "hunyuan_v1_dense",
    "hunyuan-moe": "hunyuan_v1_moe",
    "granitemoe": "granitemoe",
    "phimoe": "phimoe",
    "stablelm": "stablelm",
    "glm-dsa": "glm_moe_dsa",
}
"""Families by `general.architecture`, as llama.cpp writes it (`gguf-py`, `constants.py`, MODEL_ARCH_NAMES)."""

NEAR = 0.02
"""How far the parameters that a header means may be from the elements of the file's tensors: biases, and vectors that
llama.cpp keeps beside (scales, rotary factors), are less."""

SIZES = {
    "block_count": ("num_hidden_layers",),
    "embedding_length": ("hidden_size",),
    "feed_forward_length": ("intermediate_size",),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
    "attention.q_lora_rank": ("q_lora_rank",),
    "attention.kv_lora_rank": ("kv_lora_rank",),
    "context_length": ("max_position_embeddings",),
    "expert_count": ("num_experts", "num_local_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_count": ("n_shared_experts",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "leading_dense_block_count": ("first_k_dense_replace",),
    "attention.indexer.head_count": ("index_n_heads",),
    "attention.indexer.key_length": ("index_head_dim",),
    "attention.indexer.top_k": ("index_topk",),
    "full_attention_interval": ("full_attention_interval",),
    "ssm.conv_kernel": ("linear_conv_kernel_dim",),
    "ssm.state_size": ("linear_key_head_dim",),
    "ssm.group_count": ("linear_num_key_heads",),
    "ssm.time_step_rank": ("linear_num_value_heads",),
    "nextn_predict_layers": ("num_nextn_predict_layers",),
    "rope.dimension_count": ("qk_rope_head_dim",),
    "vocab_size": ("vocab_size",),
}
"""Keys of a header, after the architecture's name, and the keys of a configuration that they mean."""

TENSORS: dict[str, Part] = {
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "attn_gate"), "attention"),
    **dict.fromkeys(("attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b", "attn_k_b", "attn_v_b"), "attention"),
    **dict.fromkeys(("ssm_in", "ssm_out", "ssm_x", "ssm_dt", "indexer.attn_q_b", "indexer.attn_k"), "attention"),
    **dict.fromkeys(("ssm_ba", "ssm_alpha", "ssm_beta"), "attention"),
    **dict.fromkeys(("ffn_gate", "ffn_up", "ffn_down"), "ffn"),
    **dict.fromkeys(("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps"), "experts"),
    **dict.fromkeys(("ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"), "shared_experts"),
    **dict.fromkeys(("ffn_gate_inp", "ffn_gate_inp_shexp"), "router"),
    "token_embd": "embedding",
    "output": "head",
}
"""What a tensor belongs to, by its name without its layer (`gguf-py`, `constants.py`; recalled)."""


def _keys(layers: int) -> dict[str, Part]:
    """The keys that tensors of so many layers have in a file, and what they belong to."""
    held = {f"blk.{layer}.{key}.weight": part for layer in range(layers) for key, part in TENSORS.items()}
    return {**held, **{f"{key}.weight": part for key, part in TENSORS.items()}}


def is_gguf(path: Path) -> bool:
    """Whether a file says that it is GGUF."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def configuration(path: Path) -> dict[str, object]:
    """The configuration that a header means, with its quantisation. Raises `InputError`."""
    try:
        from gguf import GGUFReader
    except ImportError:
        hint = "pip install 'tonnage[gguf]'; or name the folder of the model's config.json"
        raise InputError(Problem("a GGUF file needs the `gguf` package", str(path)), hint=hint) from None
    try:
        shards = _shards(path)
        for each in shards:
            check_header(each)
        readers = [GGUFReader(each) for each in shards]
        tensors = [tensor for reader in readers for tensor in reader.tensors]
        parts = _parts(tensors)
        held = {"quant_method": "gguf", "parts": parts, "elements": sum(int(each.n_elements) for each in tensors)}
        return {**_sizes(readers[0], parts), "quantization_config": held}
    except InputError:
        raise
    except Exception as error:  # the reader raises whatever a broken header makes of it
        raise InputError(Problem(f"is no whole GGUF file: {str(error)[:80]}", str(path))) from None


def held_to_tensors(arch: Architecture, path: Path) -> Architecture:
    """The architecture, if it has as many parameters as the file's tensors. Raises `InputError` where it has not: the
    family then has layers that the header does not tell of.
    """
    section = arch.config.get("quantization_config")
    elements = section.get("elements") if isinstance(section, Mapping) else None
    made = params(arch)
    if isinstance(elements, int) and not _near(elements, (made.total, made.total + made.mtp)):
        text = f"read as {arch.model_type} it has {made.total:,} parameters, its tensors have {elements:,}"
        raise InputError(Problem(f"{text}: name the config.json of the model", str(path)))
    return arch


def _near(elements: int, meant: tuple[int, int]) -> bool:
    """Whether a file has the tensors of a model, with its drafting layers or without."""
    return any(abs(elements / one - 1.0) <= NEAR for one in meant if one)


def _shards(path: Path) -> list[Path]:
    """The files of a model that is split (`NAME-00001-of-00003.gguf`); the first holds the sizes."""
    found = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})", path.stem)
    if found is None:
        return [path]
    every = [path.with_name(f"{found[1]}-{n:05d}-of-{found[3]}.gguf") for n in range(1, int(found[3]) + 1)]
    missing = next((each for each in every if not each.is_file()), None)
    if missing is not None:
        raise InputError(Problem("a shard of the model is missing", str(missing)))
    return every


def _value(reader: GGUFReader, key: str) -> object:
    """A value of the header; the length of a list (of tokens, or of one figure a layer)."""
    field = reader.get_field(key)
    if field is None:
        return None
    if len(field.data) != 1:
        values = {int(field.parts[index][0]) for index in field.data[:10_000]} if "head_count" in key else set()
        return max(values, default=None) if values else len(field.data)
    contents = field.contents()
    return contents.item() if hasattr(contents, "item") else contents


def _sizes(reader: GGUFReader, parts: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    name = str(_value(reader, "general.architecture") or "")
    family = FAMILY.get(name)
    if family is None:
        message = f'architecture "{name[:40]}" is not read from GGUF: name the config.json of the model'
        raise InputError(Problem(message, "", "general.architecture", nearest(name[:40], FAMILY)))
    found: dict[str, object] = {"model_type": family}
    for key, names in SIZES.items():
        value = _value(reader, f"{name}.{key}")
        if value is not None:
            found.update(dict.fromkeys(names, value))
    found.setdefault("vocab_size", _value(reader, "tokenizer.ggml.tokens"))
    found["tie_word_embeddings"] = "head" not in parts
    if family == "llama" and found.get("num_local_experts"):
        found["model_type"] = "mixtral"
        found["intermediate_size"] = found.get("moe_intermediate_size", found.get("intermediate_size"))
    return {**found, **_of_family(reader, name, found), **_rope(reader, name)}


def _of_family(reader: GGUFReader, name: str, found: Mapping[str, object]) -> dict[str, object]:
    """What some families say in other words: latent attention's head sizes, expert widths, layers of drafts."""
    more: dict[str, object] = {}
    if "kv_lora_rank" in found:
        rope = found.get("qk_rope_head_dim")
        whole = _value(reader, f"{name}.attention.key_length_mla") or found.get("head_dim")
        if isinstance(whole, int) and isinstance(rope, int):
            more["qk_nope_head_dim"] = whole - rope
        value = _value(reader, f"{name}.attention.value_length_mla") or _value(reader, f"{name}.attention.value_length")
        more["v_head_dim"] = value
    inner, values = _value(reader, f"{name}.ssm.inner_size"), found.get("linear_num_value_heads")
    if isinstance(inner, int) and isinstance(values, int) and values:
        more["linear_value_head_dim"] = inner // values
    drafts, depth = found.get("num_nextn_predict_layers"), found.get("num_hidden_layers")
    if isinstance(drafts, int) and isinstance(depth, int):
        more["num_hidden_layers"] = depth - drafts
    if found["model_type"] == "gpt_oss":
        more["intermediate_size"] = found.get("moe_intermediate_size", found.get("intermediate_size"))
    return more


def _rope(reader: GGUFReader, name: str) -> dict[str, object]:
    kind, factor = _value(reader, f"{name}.rope.scaling.type"), _value(reader, f"{name}.rope.scaling.factor")
    native = _value(reader, f"{name}.rope.scaling.original_context_length")
    if kind != "yarn" or not factor or not native:
        return {}
    return {"rope_scaling": {"rope_type": kind, "factor": factor, "original_max_position_embeddings": native}}


def _parts(tensors: Sequence[ReaderTensor]) -> dict[str, dict[str, int]]:
    """Elements of every part by block type; no head where it is the embedding."""
    found: dict[str, dict[str, int]] = {}
    keys = _keys(min(len(tensors), LARGEST["layers"]))
    for tensor in tensors:
        part = keys.get(tensor.name)
        if part is None:
            continue
        kinds = found.setdefault(part, {})
        kind = tensor.tensor_type.name
        kinds[kind] = kinds.get(kind, 0) + int(tensor.n_elements)
    return found
