"""The quantisation of a release: which section says it, by what method, and what that makes of every part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tonnage.errors import InputError, Problem, nearest
from tonnage.model import stored
from tonnage.model.architecture import Architecture, unit_operators
from tonnage.model.config import ConfigReader
from tonnage.model.gguf_types import gguf
from tonnage.model.grouped import ascend, compressed_tensors, fp8, humming, modelopt, quark, torchao
from tonnage.model.methods import (
    Method,
    ModuleRule,
    Scheme,
    aqlm,
    auto_round,
    awq,
    bitnet,
    bitsandbytes,
    by_bits,
    fp_quant,
    gemma,
    gptq,
    higgs,
    hqq,
    metal,
    mlx,
    mxfp4,
    quanto,
    simple,
    sinq,
    spqr,
    vptq,
)
from tonnage.model.modules import HEAD_NAMES, TABLE_NAMES, Finder, further_tables, modules_of
from tonnage.model.operators import EMBEDDING, HEAD, MTP, Operator, Part
from tonnage.model.stored import PLAIN, PartFormat, Release, Stored

_FP8_CHANNEL = simple("fp8", stored.FP8)

METHODS: dict[str, Method] = {
    "fp8": fp8,
    "finegrained_fp8": fp8,
    "deepseek_v4_fp8": fp8,
    "mxfp8": simple("mxfp8", stored.MXFP8),
    "fbgemm_fp8": simple("fbgemm_fp8", stored.FP8),
    "ptpc_fp8": _FP8_CHANNEL,
    "w8a8_fp8": _FP8_CHANNEL,
    "tpu_fp8": _FP8_CHANNEL,
    "w8a8_int8": simple("w8a8_int8", stored.INT8),
    "blockwise_int8": simple("blockwise_int8", replace(stored.INT8, element=1.0 + 4 / 128**2)),
    "tpu_int8": simple("tpu_int8", replace(stored.INT8, kind="w8a16")),
    "experts_int8": simple("experts_int8", replace(stored.INT8, kind="w8a16"), ("experts",)),
    "eetq": simple("eetq", replace(stored.INT8, kind="w8a16")),
    "mxfp4": mxfp4,
    "gpt_oss_mxfp4": mxfp4,
    "fp8_per_tensor": _FP8_CHANNEL,
    "fp8_per_channel": _FP8_CHANNEL,
    "fp8_per_block": simple("fp8_per_block", stored.FP8_BLOCK),
    "int8_per_channel_weight_only": simple("int8_per_channel_weight_only", replace(stored.INT8, kind="w8a16")),
    "nvfp4_per_token": simple("nvfp4_per_token", stored.NVFP4),
    "humming": humming,
    "quark_mxfp4": quark,
    "petit_nvfp4": modelopt,
    "modelopt": modelopt,
    "modelopt_fp4": modelopt,
    "modelopt_fp8": modelopt,
    "modelopt_mxfp8": modelopt,
    "modelopt_mixed": modelopt,
    "nvfp4": simple("nvfp4", stored.NVFP4),
    "compressed-tensors": compressed_tensors,
    "compressed_tensors": compressed_tensors,
    "slimquant_marlin": compressed_tensors,
    "gptq": gptq,
    "gptq_marlin": gptq,
    "gptq_marlin_24": gptq,
    "gptq_bitblas": gptq,
    "auto_gptq": gptq,
    "auto-gptq": gptq,
    "marlin": gptq,
    "moe_wna16": gptq,
    "cpu_gptq": gptq,
    "bitblas": by_bits("bitblas"),
    "rtn": by_bits("rtn"),
    "qqq": simple("qqq", replace(stored.packed(4, 128, zeros=False), kind="w4a8")),
    "qoq": simple("qoq", replace(stored.packed(4, 128), kind="w4a8")),
    "w4afp8": simple("w4afp8", replace(stored.packed(4, 128, zeros=False), kind="w4a8"), ("experts",)),
    "awq": awq,
    "awq_marlin": awq,
    "auto_awq": awq,
    "cpu_awq": awq,
    "auto-round": auto_round,
    "auto_round": auto_round,
    "intel/auto-round": auto_round,
    "inc": auto_round,
    "bitsandbytes": bitsandbytes,
    "hqq": hqq,
    "aqlm": aqlm,
    "bitnet": bitnet,
    "gemma": gemma,
    "higgs": higgs,
    "sinq": sinq,
    "metal": metal,
    "vptq": vptq,
    "spqr": spqr,
    "fouroversix": simple("fouroversix", stored.NVFP4),
    "torchao": torchao,
    "quark": quark,
    "quanto": quanto,
    "fp_quant": fp_quant,
    "squeezellm": by_bits("squeezellm"),
    "deepspeedfp": by_bits("deepspeedfp", 512),
    "ascend": ascend,
    "modelslim": ascend,
    "gguf": gguf,
    "mlx": mlx,
}
"""What reads the section of each method: those that vLLM, SGLang, vLLM-Ascend, llama.cpp, MLX and transformers load."""

ELSEWHERE = {"exl2": "ExLlamaV2", "exl3": "ExLlamaV3"}
"""Methods of engines that are not asked about here, and what loads them."""

DTYPES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "bf16": "bf16",
    "fp16": "fp16",
    "fp32": "fp32",
    "auto": "bf16",
}
"""Plain formats by the names that configurations give them."""

LINEAR: tuple[Part, ...] = ("attention", "ffn", "experts", "shared_experts")
"""Parts whose layers are quantised unless a section says otherwise; routers and tables only where it says so."""


def plain_of(outer: ConfigReader, inner: ConfigReader) -> Stored:
    """The format of what is not quantised, by `dtype`; BF16 where nothing says it."""
    for read in (inner, outer):
        for key in ("dtype", "torch_dtype"):
            word = read.text(key).removeprefix("torch.")
            if not word:
                continue
            if word in DTYPES:
                return PLAIN[DTYPES[word]]
            if word.startswith(("float8", "fp8")):
                read.wrong(key, f'"{word[:30]}" without a quantization_config: how are its weights scaled?')
            else:
                read.wrong(key, f'"{word[:30]}" is no format of weights', nearest(word[:30], DTYPES))
    return PLAIN["bf16"]


def scheme_of(outer: ConfigReader, inner: ConfigReader, depth: int) -> Scheme | None:
    """What the quantisation section says, None where there is none; an unknown method is a problem that says so."""
    section, method = _section(outer, inner)
    if section is None:
        return None
    if method in METHODS:
        made = METHODS[method](_with_depth(section, depth))
        made = _plain_latents(inner, made)
        made = _ngram_tables(inner, made)
        return _fp4_experts(inner, outer, made) if made.method == "fp8" else made
    key = "quant_method"
    if method in ELSEWHERE:
        section.wrong(key, f'"{method}" is loaded by {ELSEWHERE[method]} alone, which is not one of the engines here')
        return None
    if not method:
        section.wrong(key, "is missing: what quantised the weights, or how many bits they have", None)
    else:
        message = f'"{method[:40]}" is not known; needed: bits of an element, and how many share a scale'
        section.wrong(key, message, nearest(method[:60], METHODS))
    return None


def _with_depth(section: ConfigReader, depth: int) -> ConfigReader:
    """The section with the number of layers, which the mixed types of GGUF files follow."""
    if not section.has("type"):
        return section
    return ConfigReader({**section.config, "num_hidden_layers": depth}, section.problems, section.place, section.path)


def _section(outer: ConfigReader, inner: ConfigReader) -> tuple[ConfigReader | None, str]:
    """The section and the name of its method."""
    for read in (outer, inner):
        for key in ("quantization_config", "compression_config", "quantization", "quant_config"):
            found = read.section(key)
            if found is None:
                continue
            method = found.text("quant_method").lower() or _told(found, key)
            return found, method
        if read.has("quantize"):
            word = read.text("quantize")
            return ConfigReader({"quantize": word}, read.problems, read.place, read.path), "ascend"
    return None, ""


def _told(section: ConfigReader, key: str) -> str:
    """The method of a section that does not name it, by the keys that only it has."""
    if section.has("quantization") or section.has("quant_algo"):
        return "modelopt"
    if section.has("config_groups"):
        return "compressed-tensors"
    if section.has("quant_type"):
        return "torchao"
    if section.has("load_in_4bit") or section.has("load_in_8bit"):
        return "bitsandbytes"
    if section.has("global_quant_config"):
        return "quark"
    if section.has("zero_point") or section.text("version").lower() in ("gemm", "gemv"):
        return "awq"
    if section.has("desc_act") or section.has("sym"):
        return "gptq"
    return "mlx" if section.has("bits") and section.has("group_size") else ""


def _fp4_experts(inner: ConfigReader, outer: ConfigReader, made: Scheme) -> Scheme:
    """FP8 releases whose routed experts are stored in four bits: `expert_dtype` (DeepSeek-V4), `store_dtype`."""
    section = outer.section("quantization_config") or inner.section("quantization_config")
    words = {inner.text("expert_dtype")}
    words |= {section.text("store_dtype"), section.text("expert_dtype")} if section else set()
    if not words & {"fp4", "mxfp4"}:
        return made
    return replace(
        made, rules=(*made.rules, ModuleRule("mlp.experts", stored.MXFP4), ModuleRule("ffn.experts", stored.MXFP4))
    )


NGRAM_TABLES: dict[str, Stored] = {
    "fp8": replace(stored.FP8, said="fp8, a scale a table"),
    "float8_e4m3fn": replace(stored.FP8, said="fp8, a scale a table"),
    "mxfp8": stored.MXFP8,
    "nvfp4": stored.NVFP4,
    "mxfp4": stored.MXFP4,
}
"""Formats of tables looked up by n-grams, as configurations name them (`ple_embedding_dtype`)."""


def _ngram_tables(inner: ConfigReader, made: Scheme) -> Scheme:
    """Tables looked up by n-grams in a format of their own: as a key says, or DeepSeek-V4.1's in FP8 with a scale for
    each 32 (F8_E4M3 [384006168, 256] beside F8_E8M0 [384006168, 8]:
    github.com/lvyufeng/PocketLLM docs/models/deepseek-v4.1-flash.md).
    """
    word = inner.text("ple_embedding_dtype").lower()
    if word in NGRAM_TABLES:
        return replace(made, rules=(*made.rules, ModuleRule("ple.ple_embedding", NGRAM_TABLES[word])))
    if inner.has("engram_layer_ids") and made.method == "fp8":
        return replace(made, rules=(*made.rules, ModuleRule("engram.embed", stored.MXFP8)))
    return made


def _plain_latents(inner: ConfigReader, made: Scheme) -> Scheme:
    """Kimi K3's projections to and from the latent of its experts stay in 16 bits, though no list says so: the release
    is 1.56 TB, and its routed experts alone are in MXFP4 (github.com/JustVugg/colibri pull request 676).
    """
    if not inner.has("routed_expert_hidden_size"):
        return made
    names = ("routed_expert_down_proj", "routed_expert_up_proj")
    return replace(made, rules=(*made.rules, *(ModuleRule(name) for name in names)))


def release_of(arch: Architecture, scheme: Scheme | None, plain: Stored, source: str = "") -> Release:
    """Every part of a model in the format that a scheme gives it. Raises `InputError` where a list means nothing."""
    if scheme is None:
        return Release(plain=plain) if plain.kind == "bf16" else Release("", plain, source=source)
    if scheme.parts:
        return Release(scheme.method, plain, scheme.parts, scheme.parts, scheme.cache, source)
    finder = Finder(scheme.rules)
    made = unit_operators(arch, mtp=True)
    parts: dict[tuple[Part, bool], dict[Stored, float]] = {}
    used: set[int] = set()
    for operator in made:
        weight = float(operator.weight) * operator.count
        if not weight or (operator.part in LINEAR and operator.kind == "pointwise"):
            continue
        ways = parts.setdefault((operator.part, operator.block == MTP), {})
        for form, share in _ways(arch, operator, scheme, finder, used):
            ways[form or plain] = ways.get(form or plain, 0.0) + weight * share
    chosen = [rule for rule in scheme.rules if rule.stored is not None]
    if scheme.stored is None and chosen and not any(scheme.rules[number].stored for number in used):
        message = f"none of the {len(chosen)} names of layers is one of this model's, such as {chosen[0].pattern[:60]}"
        raise InputError(Problem(message, path="quantization_config"))
    shares = {key: _shares(ways) for key, ways in parts.items()}
    main = tuple(PartFormat(part, ways) for (part, draft), ways in shares.items() if not draft)
    drafts = tuple(PartFormat(part, ways) for (part, draft), ways in shares.items() if draft)
    return Release(scheme.method, plain, main, drafts, scheme.cache, source)


def _shares(ways: Mapping[Stored, float]) -> tuple[tuple[Stored, float], ...]:
    total = sum(ways.values())
    return tuple((form, weight / total) for form, weight in ways.items())


def _ways(
    arch: Architecture, operator: Operator, scheme: Scheme, finder: Finder, used: set[int]
) -> Iterator[tuple[Stored | None, float]]:
    """The formats of an operator's weights over its layers and modules, and the share of each."""
    if operator.block in (EMBEDDING, HEAD):
        yield _table(operator, scheme, finder, used, arch.tied), 1.0
        return
    block = arch.mtp if operator.block == MTP else arch.blocks[operator.block]
    modules = modules_of(operator.name, block)
    default = scheme.stored if _reached(operator, scheme) else None
    if not modules:
        yield None, 1.0
        return
    groups = _layers(arch, operator.block, finder)
    each = 1.0 / (len(modules) * sum(count for _, count in groups))
    for befores, count in groups:
        for names in modules:
            number = finder.find([before + name for before in befores for name in names])
            if number is None:
                yield default, each * count
                continue
            used.add(number)
            yield scheme.rules[number].stored, each * count


def _table(operator: Operator, scheme: Scheme, finder: Finder, used: set[int], tied: bool) -> Stored | None:
    """The format of an embedding or a head."""
    if operator.role not in ("embedding", "head"):
        number = finder.find(further_tables(operator.name))
        if number is not None:
            used.add(number)
        return None if number is None else scheme.rules[number].stored
    names = (*HEAD_NAMES, *TABLE_NAMES) if tied else HEAD_NAMES if operator.role == "head" else TABLE_NAMES
    number = finder.find(names)
    if number is None:
        return scheme.tables or (scheme.head if operator.role == "head" and not tied else None)
    used.add(number)
    return scheme.rules[number].stored


def _reached(operator: Operator, scheme: Scheme) -> bool:
    """Whether the format of linear layers holds for an operator that no rule names."""
    if operator.kind not in ("gemm", "grouped_gemm"):
        return False
    if scheme.only is not None:
        return operator.part in scheme.only
    return operator.part in LINEAR or (operator.part == "router" and operator.role != "router")


def _layers(arch: Architecture, block: int, finder: Finder) -> list[tuple[tuple[str, ...], int]]:
    """The layers of a block in groups that no rule tells apart: what stands before their modules, and how many."""
    if block == MTP:
        depth = arch.depth
        return [(("mtp.layers.0.", f"layers.{depth}.", f"layers.{depth}.mtp_block.", "mtp."), 1)]
    own = [number for number, kind in enumerate(arch.layers) if kind == block]
    apart = [number for number in own if finder.every or number in finder.layers]
    rest = len(own) - len(apart)
    like = next((number for number in own if number not in finder.layers), None)
    groups: list[tuple[tuple[str, ...], int]] = [((f"layers.{number}.",), 1) for number in apart]
    return [*groups, ((f"layers.{like}.",), rest)] if rest else groups


def uniform(linear: str, experts: str, plain: Stored) -> Release:
    """A release in the formats that somebody names for linear layers and for routed experts."""
    parts: tuple[Part, ...] = LINEAR
    named = [(part, experts if part == "experts" else linear) for part in parts]
    forms = {one.kind: one for one in (*PLAIN.values(), *NAMED)}
    for _, word in named:
        if word not in forms:
            raise InputError(Problem(f'no number format named "{word[:40]}"', suggestion=nearest(word[:40], forms)))
    return Release("", plain, tuple(PartFormat(part, ((forms[word], 1.0),)) for part, word in named))


NAMED = (
    stored.FP8,
    stored.FP8_BLOCK,
    stored.MXFP8,
    stored.INT8,
    stored.NVFP4,
    stored.MXFP4,
    Stored("w8a16", 1.0, "w8a16"),
    Stored("w4a16", 0.5 + 2.5 / 128, "w4a16"),
    Stored("w4a8", 0.5 + 2.5 / 128, "w4a8"),
)
"""The formats that people name, in their usual layout."""


def names_of(release: Release) -> tuple[str, str]:
    """Formats that name a release: of most of its linear layers, and of its routed experts."""
    dense = [each for each in release.parts if each.part in ("ffn", "attention", "shared_experts")]
    experts = release.of("experts")
    linear = max(dense, key=_narrow, default=None)
    first = release.plain.kind if linear is None else linear.main.kind
    return first, first if experts is None else experts.main.kind


def _narrow(each: PartFormat) -> float:
    """Dense layers that are narrower name the release."""
    return -each.main.element
