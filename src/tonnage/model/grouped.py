"""Quantisation sections that set formats by groups of modules: compressed-tensors, ModelOpt, Quark, torchao, Ascend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tonnage.errors import nearest
from tonnage.model import stored
from tonnage.model.config import ConfigReader
from tonnage.model.methods import ModuleRule, Scheme, figure, skipped
from tonnage.model.stored import Stored, packed

CLASSES = ("Linear", "FusedMoE", "MoEGMM", "ColumnParallelLinear", "RowParallelLinear")
"""Targets that mean every linear layer, by the class that computes them."""


def compressed_tensors(read: ConfigReader) -> Scheme:
    """compressed-tensors and the groups of others: each group has targets and the format of their weights.

    A head is a linear layer like the others: releases that leave it out list it under `ignore`.
    """
    groups = read.section("config_groups")
    form: Stored | None = None
    rules: list[ModuleRule] = []
    general = read.text("format")
    for key in groups.config if groups else ():
        assert groups is not None
        one = groups.section(key)
        if one is None:
            continue
        made = _of_group(one, one.text("format") or general)
        targets = [word for word in one.listing("targets") or ["Linear"] if isinstance(word, str)]
        if any(word in CLASSES for word in targets):
            form = form or made
        rules.extend(ModuleRule(word, made) for word in targets if word not in CLASSES)
    if form is None and not rules:
        read.wrong("config_groups", "is missing: which modules are stored how")
    return Scheme("compressed-tensors", form, (*skipped(read), *rules), head=form, cache=_cache(read))


def _cache(read: ConfigReader) -> str:
    """The format that a release states for its KV cache."""
    given = [read.config.get(key) for key in ("kv_cache_quant_algo", "kv_cache_scheme")]
    word = next((each for each in given if isinstance(each, str)), "")
    section = read.section("kv_cache_scheme") if isinstance(given[1], Mapping) else None
    if section is not None:
        word = {8: "fp8" if section.text("type", "float") == "float" else "int8"}.get(figure(section, "num_bits"), "")
    return {"FP8": "fp8", "INT8": "int8"}.get(word, word.lower() if word.lower() in ("fp8", "int8") else "")


def _of_group(group: ConfigReader, form: str) -> Stored:
    """The format of one group: weights, and what the activations are narrowed to."""
    weights = group.section("weights") or group
    inputs = group.section("input_activations") if isinstance(group.config.get("input_activations"), Mapping) else None
    bits = figure(weights, "num_bits", "bits", high=16)
    narrow = inputs is not None and figure(inputs, "num_bits", "bits", default=16, high=32) <= 8
    if weights.text("type", "int") == "float":
        return _floats(weights, bits, narrow or "input_activations" not in group.config, form)
    size = figure(weights, "group_size", default=-1, low=-1) if weights.has("group_size") else -1
    zeros = weights.has("symmetric") and not weights.flag("symmetric", True)
    if bits == 8 and narrow:
        return stored.INT8
    made = packed(bits, size, zeros=zeros, said=f"int{bits}" + (f" in groups of {size}" if size > 0 else ""))
    if narrow and bits <= 4:
        return replace(made, kind="w4a8", said=f"{made.said}, activations 8 bit")
    return made


def _floats(weights: ConfigReader, bits: int, narrow: bool, form: str) -> Stored:
    """Floats of 8 or 4 bits: scales for a tensor, a block of 128, or 16 or 32 elements."""
    size = figure(weights, "group_size", default=0, low=-1) if weights.has("group_size") else 0
    if bits == 8:
        if size == 32:
            return stored.MXFP8
        if weights.text("strategy") == "block" or weights.has("block_structure"):
            return stored.FP8_BLOCK
        return stored.FP8 if narrow else stored.FP8_WEIGHTS
    if bits == 6 and size == 32:
        return stored.MXFP6
    if bits != 4:
        weights.wrong("num_bits", f"floats of {bits} bits are not known: 4 or 8")
    if form.startswith("mxfp4") or size == 32:
        return stored.MXFP4
    return stored.NVFP4 if narrow else stored.NVFP4_WEIGHTS


ALGORITHMS: dict[str, Stored] = {
    "FP8": stored.FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": stored.FP8,
    "FP8_PB_WO": stored.FP8_BLOCK,
    "FP8_PB_REAL": stored.FP8_BLOCK,
    "FP8_BLOCK": stored.FP8_BLOCK,
    "FP8_BLOCK_SCALES": stored.FP8_BLOCK,
    "FP8_WO": stored.FP8_WEIGHTS,
    "MXFP8": stored.MXFP8,
    "NVFP4": stored.NVFP4,
    "NVFP4_AWQ": stored.NVFP4,
    "NVFP4_SVDQUANT": stored.NVFP4,
    "W4A4_NVFP4": stored.NVFP4,
    "W4A16_NVFP4": stored.NVFP4_WEIGHTS,
    "NVFP4_W4A16": stored.NVFP4_WEIGHTS,
    "W4A8_NVFP4_FP8": replace(stored.NVFP4, kind="w4a8", said="nvfp4, activations fp8"),
    "MXFP4": stored.MXFP4,
    "W4A16_MXFP4": stored.MXFP4,
    "W4A8_MXFP4_FP8": stored.MXFP4,
    "W4A8_AWQ": replace(packed(4, 128, zeros=False), kind="w4a8", said="int4 in groups of 128, activations fp8"),
    "W4A16_AWQ": packed(4, 128, zeros=False, said="int4 in groups of 128"),
    "INT4_AWQ": packed(4, 128, zeros=False, said="int4 in groups of 128"),
    "W4A16": packed(4, 128, zeros=False, said="int4 in groups of 128"),
    "W8A16": packed(8, -1, said="int8, weights only"),
    "W8A8_SQ_PER_CHANNEL": stored.INT8,
    "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN": stored.INT8,
    "INT8_SQ": stored.INT8,
    "INT8": stored.INT8,
}
"""Algorithms of NVIDIA's ModelOpt and TensorRT-LLM by the names that they write (`quant_algo`)."""


def modelopt(read: ConfigReader) -> Scheme:
    """NVIDIA ModelOpt: one algorithm, or one for each layer; what it leaves out by pattern."""
    read = read.section("quantization") or read
    algorithm = read.text("quant_algo").upper()
    listed = read.section("quantized_layers")
    rules = [*skipped(read), *_listed(read)]
    if algorithm == "MIXED_PRECISION" or (listed is not None and not algorithm):
        if listed is None and read.has("config_groups"):
            return replace(compressed_tensors(read), method="modelopt")
        if listed is None:
            read.wrong("quantized_layers", "is missing: which layers have which algorithm")
        return Scheme("modelopt", None, tuple(rules), cache=_cache(read))
    if not algorithm and read.has("config_groups"):
        return replace(compressed_tensors(read), method="modelopt")
    return Scheme("modelopt", _algorithm(read, algorithm), tuple(rules), cache=_cache(read))


def _listed(read: ConfigReader) -> list[ModuleRule]:
    """The layers that a section lists with an algorithm each."""
    listed, rules = read.section("quantized_layers"), []
    for name in listed.config if listed else ():
        own = listed.section(name) if listed else None
        if own is not None:
            rules.append(ModuleRule(name, _algorithm(own, own.text("quant_algo").upper())))
    return rules


def fp8(read: ConfigReader) -> Scheme:
    """FP8 of DeepSeek and of vLLM: a scale for a block, or for a tensor or channel.

    Where layers are listed with an algorithm, an FP8 release was quantised further: what ModelOpt then left as it was
    stays in FP8.
    """
    block = read.has("weight_block_size")
    scaled = stored.FP8_BLOCK if block else stored.FP8
    sides = read.listing("weight_block_size") if block else None
    if sides == [1, 32]:
        scaled = stored.MXFP8
    elif sides not in (None, [128, 128]):
        scaled = _block(read, sides)
    rules = _listed(read)
    return Scheme("fp8", scaled, tuple(rules) or skipped(read))


def humming(read: ConfigReader) -> Scheme:
    """Humming, kernels of vLLM: whole numbers or floats of some bits in groups, by the keys that it writes."""
    for key in ("config_groups", "quant_algo"):
        if read.has(key):
            return replace((compressed_tensors if key == "config_groups" else modelopt)(read), method="humming")
    bits = figure(read, "bits", "weight_bits", "num_bits", high=8)
    size = figure(read, "group_size", "weight_scale_group_size", default=128, low=-1) or -1
    return Scheme("humming", packed(bits, size, zeros=False, said=f"humming {bits} bit"), skipped(read))


def _block(read: ConfigReader, sides: list[object] | None) -> Stored:
    """FP8 in blocks of other sides than 128: a scale of one byte where it is a power of two, of four elsewhere."""
    given = [side for side in sides or [] if isinstance(side, int) and not isinstance(side, bool) and 0 < side <= 65536]
    if len(given) != 2 or len(sides or []) != 2:
        read.wrong("weight_block_size", "expected two whole numbers: rows and columns that share a scale")
        return stored.FP8_BLOCK
    scale = 1.0 if read.text("scale_fmt") == "ue8m0" else 4.0
    return replace(stored.FP8_BLOCK, element=1.0 + scale / (given[0] * given[1]))


def _algorithm(read: ConfigReader, name: str) -> Stored | None:
    """The format of an algorithm, None for a module that is left as it is."""
    if name in ("", "NONE") and read.path.count("quantized_layers"):
        return None
    if name not in ALGORITHMS:
        close = nearest(name[:60], ALGORITHMS)
        read.wrong("quant_algo", f'"{name[:40]}" is not known: how many bits, and how many share a scale?', close)
        return None
    form = ALGORITHMS[name]
    size = figure(read, "group_size", default=0, low=-1) if read.has("group_size") else 0
    if form.kind in ("w4a16", "w4a8") and size > 0 and size not in (16, 128):
        return replace(form, element=0.5 + 2 / size, said=form.said.replace("128", str(size)))
    return form


QUARK: dict[str, Stored] = {
    "fp8_e4m3": stored.FP8,
    "fp8_e5m2": stored.FP8,
    "int8": stored.INT8,
    "uint8": stored.INT8,
    "fp4": stored.MXFP4,
    "mxfp4": stored.MXFP4,
    "mx": stored.MXFP4,
    "fp6_e2m3": stored.MXFP6,
    "fp6_e3m2": stored.MXFP6,
    "mxfp6": stored.MXFP6,
    "mxfp6_e2m3": stored.MXFP6,
    "mxfp6_e3m2": stored.MXFP6,
    "mxfp8": stored.MXFP8,
}
"""Weight formats of AMD's Quark that have one layout; FP4 is in groups of 32 with E8M0 scales."""


def quark(read: ConfigReader) -> Scheme:
    """AMD Quark: one setting for all, by kind of layer or by layer."""
    form = _quark(read.section("global_quant_config"))
    rules = [*skipped(read), *((ModuleRule(name, made)) for name, made in _quark_each(read, "layer_quant_config"))]
    for name, made in _quark_each(read, "layer_type_quant_config"):
        if name.rpartition(".")[2] in CLASSES:
            form = made
        else:
            rules.append(ModuleRule(name, made))
    return Scheme("quark", form, tuple(rules), head=form)


def _quark_each(read: ConfigReader, key: str) -> list[tuple[str, Stored | None]]:
    """The settings that a section gives by name."""
    section = read.section(key)
    return [] if section is None else [(name, _quark(section.section(name))) for name in section.config]


def _quark(read: ConfigReader | None) -> Stored | None:
    """The format of one setting: None where weights stay as they are."""
    if read is None:
        return None
    weight = read.config.get("weight")
    if isinstance(weight, list):  # first stage of two: 4 bits of 8 (INT4-FP8)
        weight = weight[-1] if weight else None
    if not isinstance(weight, Mapping):
        return None
    section = ConfigReader(weight, read.problems, read.place, f"{read.path}.weight")
    kind = section.text("dtype")
    size = figure(section, "group_size", default=-1, low=-1) if section.has("group_size") else -1
    narrow = read.config.get("input_tensors") is not None
    if kind in ("int4", "uint4"):
        form = packed(4, size, zeros=kind == "uint4", said=f"{kind} in groups of {size}")
        return replace(form, kind="w4a8") if narrow else form
    if kind not in QUARK:
        section.wrong("dtype", f'"{kind[:40]}" is not known', nearest(kind[:40], (*QUARK, "int4")))
        return None
    form = QUARK[kind]
    if kind in ("fp4", "fp8_e4m3") and size == 16:
        return stored.NVFP4 if kind == "fp4" else form
    if kind == "fp8_e4m3" and section.text("qscheme") == "per_block":
        return stored.FP8_BLOCK
    if form.kind in ("int8", "fp8") and not narrow:
        return replace(form, kind="w8a16", said=f"{form.said}, weights only")
    return form


_WEIGHT_ONLY, _DYNAMIC = "weightonly", "dynamicactivation"


def torchao(read: ConfigReader) -> Scheme:
    """torchao: the kind of quantisation by name, or as a class with its settings."""
    kind = read.config.get("quant_type")
    tables = None
    if isinstance(kind, Mapping):
        section = read.section("quant_type") or read
        inner = section.section("default") or section
        name, own = inner.text("_type"), inner.section("_data") or inner
        listed = own.section("module_fqn_to_config") or own.section("fqn_to_config")
        if listed is not None:
            return _torchao_listed(read, listed)
    else:
        name, own = read.text("quant_type"), read.section("quant_type_kwargs") or read
    form = _torchao(read, name, own)
    if form is not None and (read.flag("include_input_output_embeddings") or read.flag("include_embedding")):
        tables = form
    return Scheme("torchao", form, skipped(read), tables=tables)


def _torchao_listed(read: ConfigReader, listed: ConfigReader) -> Scheme:
    """One setting for each module, `_default` for the others."""
    default, rules = None, []
    for key in listed.config:
        one = listed.section(key)
        form = _torchao(read, one.text("_type"), one.section("_data") or one) if one else None
        if key == "_default":
            default = form
        else:
            rules.append(ModuleRule(key, form))
    return Scheme("torchao", default, (*skipped(read), *rules))


def _torchao(read: ConfigReader, name: str, own: ConfigReader) -> Stored | None:
    """The format of a setting by its name: `int4_weight_only` or `Int4WeightOnlyConfig`."""
    word = name.lower().replace("_", "").removesuffix("config")
    found = re.match(r"(int|float|uint|intx|mxfp|nvfp|mx|nv)(\d*)", word)
    known = found is not None and (_WEIGHT_ONLY in word or _DYNAMIC in word or word in ("nvfp4", "mxfp4", "mxfp8"))
    if not known or found is None:
        words = ("int4_weight_only", "int8_weight_only", "float8_dynamic_activation_float8_weight")
        message = f'"{name[:40]}" is not known: how many bits, in what groups?'
        read.wrong("quant_type", message, nearest(name[:60], words))
        return None
    if word.startswith("nv"):
        return stored.NVFP4 if _DYNAMIC in word else stored.NVFP4_WEIGHTS
    if word.startswith("mx"):
        return stored.MXFP8 if "8" in word else stored.MXFP4
    weights = word.partition("activation")[2] if _DYNAMIC in word else word
    bits = _torchao_bits(weights, own)
    if word.startswith("float8"):
        form = stored.FP8 if bits == 8 else packed(4, 128, zeros=False)
        return replace(form, kind=("fp8" if bits == 8 else "w4a8") if _DYNAMIC in word else "w8a16")
    if bits == 8 and _DYNAMIC in word:
        return stored.INT8
    size = _torchao_group(own) or (128 if bits < 8 else -1)
    form = packed(bits, size, said=f"torchao int{bits}" + (f" in groups of {size}" if size > 0 else ""))
    return replace(form, kind="w4a8") if _DYNAMIC in word and bits <= 4 else form


def _torchao_word(own: ConfigReader, key: str) -> str:
    """A word, plain or as torchao writes a type of torch: `{"_type": "torch.dtype", "_data": "int4"}`."""
    if isinstance(own.config.get(key), Mapping):
        section = own.section(key)
        return section.text("_data") if section else ""
    return own.text(key)


def _torchao_group(own: ConfigReader) -> int:
    """Elements that share a scale: told, or inside a granularity of groups; 0 where nothing says it."""
    if own.has("group_size"):
        return figure(own, "group_size", low=-1)
    for key in ("weight_granularity", "granularity"):
        section = own.section(key) if isinstance(own.config.get(key), Mapping) else None
        inner = section.section("_data") if section else None
        if inner is not None and inner.has("group_size"):
            return figure(inner, "group_size", low=-1)
        if section is not None and section.text("_type") in ("PerAxis", "PerRow", "PerTensor"):
            return -1
    return 0


def _torchao_bits(weights: str, own: ConfigReader) -> int:
    """Bits of the weights: in the name, or in the type of `weight_dtype`."""
    found = re.search(r"(?:int|float)(\d+)", weights) or re.search(r"int(\d+)", _torchao_word(own, "weight_dtype"))
    return min(int(found.group(1)[:2]), 16) if found else 4


ASCEND: dict[str, Stored | None] = {
    "FLOAT": None,
    "W8A8": stored.INT8,
    "W8A8_DYNAMIC": stored.INT8,
    "W8A8_MIX": stored.INT8,
    "W8A8S": stored.INT8,
    "W8A8_PDMIX": stored.INT8,
    "W8A8_MXFP8": stored.MXFP8,
    "W8A8_FP8_DYNAMIC": stored.FP8,
    "W8A16": packed(8, -1, said="int8, weights only"),
    "W4A16": packed(4, 128, zeros=False, said="int4 in groups of 128"),
    "W4A8": replace(packed(4, 256, zeros=False), kind="w4a8", said="int4, activations int8"),
    "W4A8_DYNAMIC": replace(packed(4, 256, zeros=False), kind="w4a8", said="int4, activations int8"),
    "W4A8_MXFP": replace(stored.MXFP4, said="mxfp4, activations 8 bit"),
    "W4A4_DYNAMIC": replace(packed(4, 256, zeros=False), kind="w4a8", said="int4, activations int4"),
    "W4A4_MXFP4": stored.MXFP4,
    "W4A4_FLATQUANT_DYNAMIC": replace(packed(4, 256, zeros=False), kind="w4a8", said="int4, activations int4"),
}
"""Formats of Ascend's ModelSlim by the word that its description gives each tensor."""


LEFT_FLOAT = (
    "self_attn.kv_b_proj",
    "indexer.wk",
    "indexer.weights_proj",
    "linear_attn.out_proj",
    "linear_attn.in_proj_a",
    "linear_attn.in_proj_b",
)
"""What ModelSlim leaves as it is where no description says it: the practices that it publishes
(github.com/Ascend/msmodelslim lab_practice/glm_5/glm_5_w8a8.yaml, qwen3_5_moe/qwen3_6_27B_w8a8.yaml)."""


def ascend(read: ConfigReader) -> Scheme:
    """Ascend ModelSlim: `quant_model_description.json` gives each tensor a word; else one word is for all."""
    section = read.section("description")
    word = read.text("quantize") or read.text("model_quant_type")
    if section is None:
        if not word:
            read.wrong("quant_method", "says ascend; its quant_model_description.json must lie beside config.json")
        left = tuple(ModuleRule(name) for name in LEFT_FLOAT)
        return Scheme("ascend", _ascend(read, word) if word else None, (*skipped(read), *left))
    rules = []
    for name, value in section.config.items():
        if not isinstance(value, str) or not name.endswith(".weight"):
            continue
        rules.append(ModuleRule(name.removesuffix(".weight"), _ascend(section, value)))
    if not rules:
        section.wrong("model_quant_type", "gives no tensor's format")
    return Scheme("ascend", None, tuple(rules))


def _ascend(read: ConfigReader, word: str) -> Stored | None:
    plain = word.upper().replace("-", "_").replace(" ", "_")
    if plain not in ASCEND:
        read.wrong("quantize", f'"{word[:40]}" is not known: how many bits, in what groups?', nearest(plain, ASCEND))
    return ASCEND.get(plain)
