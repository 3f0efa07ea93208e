"""What a quantisation section means: each method that engines load, as the format of layers and the exceptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tonnage.errors import nearest
from tonnage.model import stored
from tonnage.model.config import ConfigReader
from tonnage.model.operators import Part
from tonnage.model.stored import PartFormat, Stored, packed


@dataclass(frozen=True)
class ModuleRule:
    """Modules by a pattern (a name, a part of one, `*`, or `re:`) and their format; None: not quantised."""

    pattern: str
    stored: Stored | None = None


@dataclass(frozen=True)
class Scheme:
    """What a section says. stored: of linear layers that no rule names (None: plain); only: the parts that it holds
    for, all where None; tables: embedding and head, where they are quantised too; head: a head of its own, where it is
    a linear layer like the others; rules: the first that matches wins.
    """

    method: str
    stored: Stored | None = None
    rules: tuple[ModuleRule, ...] = ()
    only: tuple[Part, ...] | None = None
    tables: Stored | None = None
    head: Stored | None = None
    cache: str = ""
    parts: tuple[PartFormat, ...] = ()
    """Formats by part, where a file gives them so."""


Method = Callable[[ConfigReader], Scheme]

SKIPS = (
    "ignore",
    "ignored_layers",
    "modules_to_not_convert",
    "exclude_modules",
    "exclude",
    "llm_int8_skip_modules",
    "skip_modules",
    "linear_weights_not_to_quantize",
)
"""Keys under which methods list modules that they leave as they are."""


def skipped(read: ConfigReader) -> tuple[ModuleRule, ...]:
    """The modules that a section leaves as they are."""
    return tuple(ModuleRule(word) for key in SKIPS for word in _words(read, key))


def _words(read: ConfigReader, key: str) -> list[str]:
    """A list of words, or one word."""
    value = read.config.get(key)
    if isinstance(value, str):
        return [value]
    found = read.listing(key) or []
    words = [word for word in found if isinstance(word, str)]
    if len(words) != len(found):
        read.wrong(key, "expected a list of module names")
    return words


def figure(read: ConfigReader, *keys: str, default: int | None = None, low: int = 1, high: int = 65536) -> int:
    """A whole number, which some releases write as text."""
    for key in keys:
        value = read.config.get(key)
        if isinstance(value, str) and value.strip().lstrip("-").isdigit() and len(value) < 9:
            reader = ConfigReader({key: int(value)}, read.problems, read.place, read.path)
            return reader.whole(key, low=low, high=high)
    return read.whole(*keys, default=default, low=low, high=high)


def _group(read: ConfigReader, *keys: str, default: int = 128) -> int:
    """Elements that share a scale; -1 and null: a whole row."""
    given = [key for key in keys if key in read.config]
    if given and read.config[given[0]] is None:
        return -1
    size = figure(read, *keys, default=default, low=-1)
    if not size:
        read.wrong(given[0], "expected elements that share a scale, or -1 for a whole row, got 0")
    return size or default


def _bits(read: ConfigReader, *keys: str, most: int = 8) -> int:
    return figure(read, *(keys or ("bits",)), low=1, high=most)


def mxfp4(read: ConfigReader) -> Scheme:
    """MXFP4 as gpt-oss has it: routed experts alone."""
    return Scheme("mxfp4", stored.MXFP4, skipped(read), only=("experts",))


def gptq(read: ConfigReader) -> Scheme:
    """GPTQ (arXiv 2210.17323) and what is stored like it: 2 to 8 bits, FP16 scales and packed zeros a group."""
    bits, group = _bits(read, "bits", "wbits", "w_bit"), _group(read, "group_size", "q_group_size")
    form = packed(bits, group, said=f"gptq {bits} bit" + (f" in groups of {group}" if group > 0 else ""))
    head = (ModuleRule("lm_head", form),) if read.flag("lm_head") else ()
    rules = (*_dynamic(read, bits, group), *skipped(read), *head)
    inside = _inside(read)
    if inside is None:
        return Scheme("gptq", form, rules)
    return Scheme("gptq", None, (*rules, *(ModuleRule(name, form) for name in inside)))


def _inside(read: ConfigReader) -> list[str] | None:
    """The modules of a layer that are quantised and no others (`modules_in_block_to_quantize`); None: all are."""
    found = read.listing("modules_in_block_to_quantize")
    if not found:
        return None
    flat = [name for each in found for name in (each if isinstance(each, (list, tuple)) else [each])]
    if not all(isinstance(name, str) for name in flat):
        read.wrong("modules_in_block_to_quantize", "expected lists of module names")
    return [name for name in flat if isinstance(name, str)]


def _dynamic(read: ConfigReader, bits: int, group: int) -> tuple[ModuleRule, ...]:
    """GPTQModel's exceptions: `-:pattern` is left as it is, another has bits or groups of its own."""
    found = read.section("dynamic")
    rules = []
    for key in found.config if found else ():
        assert found is not None
        own = found.section(key) or ConfigReader({}, read.problems, read.place)
        form = packed(figure(own, "bits", default=bits, high=16), _group(own, "group_size", default=group))
        rules.append(ModuleRule("re:" + key.removeprefix("-:").removeprefix("+:"), None if key[:2] == "-:" else form))
    return tuple(rules)


def awq(read: ConfigReader) -> Scheme:
    """AWQ (arXiv 2306.00978): FP16 scales and packed zeros a group."""
    bits, group = _bits(read, "bits", "w_bit"), _group(read, "group_size", "q_group_size")
    zeros = read.flag("zero_point", True)
    form = packed(bits, group, zeros=zeros, said=f"awq {bits} bit in groups of {group}")
    return Scheme("awq", form, skipped(read))


def auto_round(read: ConfigReader) -> Scheme:
    """Intel AutoRound: as GPTQ, or MXFP4 and NVFP4 by `data_type`; `extra_config` holds exceptions."""
    kind = read.text("data_type", "int")
    blocks = isinstance(read.config.get("group_size"), (list, tuple))
    bits, group = _bits(read), 128 if blocks else _group(read, "group_size")
    form = _auto_round(kind, bits, group, sym=read.flag("sym", True))
    section, rules = read.section("extra_config"), []
    for key in section.config if section else ():
        assert section is not None
        own = section.section(key) or ConfigReader({}, read.problems, read.place)
        width, size = figure(own, "bits", default=bits, high=32), _group(own, "group_size", default=group)
        sym = own.flag("sym", read.flag("sym", True))
        each = _auto_round(own.text("data_type", kind), width, size, sym=sym)
        rules.append(ModuleRule(_pattern(key), None if width > 8 else each))
    return Scheme("auto-round", form, (*rules, *skipped(read)))


def _auto_round(kind: str, bits: int, group: int, *, sym: bool) -> Stored:
    """The format of a `data_type` and its bits: whole numbers, floats in groups (MX, NV) or floats of 8 bits."""
    grouped = {"mx_fp": {4: stored.MXFP4, 6: stored.MXFP6, 8: stored.MXFP8}, "nv_fp": {4: stored.NVFP4}}
    found = grouped.get(kind[:5], {}).get(bits)
    if found is None and kind.startswith("fp") and bits == 8:
        found = stored.FP8_BLOCK if group > 0 else stored.FP8
    return found or packed(bits, group, zeros=not sym, said=f"{bits} bit in groups of {group}")


def _pattern(key: str) -> str:
    """A key of a module, or a pattern if it holds what names do not."""
    return "re:" + key if any(c in key for c in "\\|()[]^$") or ".*" in key else key


def bitsandbytes(read: ConfigReader) -> Scheme:
    """bitsandbytes: LLM.int8 (arXiv 2208.07339), or four bits in blocks of 64."""
    if read.flag("load_in_8bit") or read.flag("_load_in_8bit"):
        return Scheme("bitsandbytes", replace(stored.INT8, kind="w8a16", said="LLM.int8"), skipped(read))
    if not (read.flag("load_in_4bit") or read.flag("_load_in_4bit")):
        read.wrong("load_in_4bit", "expected load_in_4bit or load_in_8bit")
    kind = read.text("bnb_4bit_quant_type", "fp4")
    form = stored.NF4_DOUBLE if read.flag("bnb_4bit_use_double_quant") else stored.NF4
    return Scheme("bitsandbytes", replace(form, said=f"bitsandbytes {kind}"[:40]), skipped(read))


def hqq(read: ConfigReader) -> Scheme:
    """HQQ: FP16 scale and zero a group; one setting for all layers, or one for each kind of layer."""
    whole = read.section("quant_config") or read
    one = whole.section("weight_quant_params")
    if one is not None:
        return Scheme("hqq", _hqq(one), skipped(read))
    rules = []
    for key in whole.config:
        tag = whole.section(key) if isinstance(whole.config[key], Mapping) else None
        own = (tag.section("weight_quant_params") or tag) if tag else None
        if own is not None and own.has("nbits"):
            rules.append(ModuleRule(key, _hqq(own)))
    if not rules:
        return Scheme("hqq", _hqq(read), skipped(read))
    return Scheme("hqq", None, (*skipped(read), *rules))


def _hqq(read: ConfigReader) -> Stored:
    bits, group = _bits(read, "nbits", "bits"), _group(read, "group_size", default=64)
    form = packed(bits, group, zeros=False, scale=4.0)
    return replace(form, said=f"hqq {bits} bit in groups of {group}")


def aqlm(read: ConfigReader) -> Scheme:
    """AQLM (arXiv 2401.06118): codes of codebooks for vectors of weights."""
    size = figure(read, "in_group_size", default=8) * figure(read, "out_group_size", default=1)
    books = figure(read, "num_codebooks", default=1, high=64)
    bits = books * figure(read, "nbits_per_codebook", default=16, high=32) / size
    return Scheme("aqlm", Stored("w4a16", bits / 8, f"aqlm {bits:g} bit"), skipped(read))


def bitnet(read: ConfigReader) -> Scheme:
    """BitNet (arXiv 2402.17764): three values, four of which are packed into a byte, and a scale a matrix."""
    return Scheme("bitnet", Stored("w8a16", 0.25, "bitnet 1.58 bit"), skipped(read))


def gemma(read: ConfigReader) -> Scheme:
    """Google's Gemma checkpoints: whole numbers of 2, 4 or 8 bits with a scale a row, by patterns of modules."""
    form = packed(figure(read, "num_bits", default=4, high=8), -1, zeros=False)
    listed, rules = read.section("module_quant_configs"), []
    for key in listed.config if listed else ():
        own = listed.section(key) if listed else None
        if own is not None:
            bits = figure(own, "num_bits", default=figure(read, "num_bits", default=4, high=8), high=8)
            rules.append(ModuleRule("re:.*" + key, packed(bits, -1, zeros=False)))
    tables = form if read.flag("quantize_embeddings") else None
    return Scheme("gemma", form, (*skipped(read), *rules), tables=tables)


def higgs(read: ConfigReader) -> Scheme:
    """HIGGS (arXiv 2411.17525): codes of a grid for vectors, a 16-bit scale a group."""
    bits, group = figure(read, "bits", default=4, high=8), _group(read, "group_size", default=256)
    return Scheme("higgs", packed(bits, group, zeros=False, said=f"higgs {bits} bit"), skipped(read))


def sinq(read: ConfigReader) -> Scheme:
    """SINQ (arXiv 2509.22944): scale and zero of 16 bits a group, a second scale a column, which takes no room."""
    bits, group = figure(read, "nbits", "bits", default=4, high=8), _group(read, "group_size", default=64)
    return Scheme("sinq", packed(bits, group, zeros=False, scale=4.0, said=f"sinq {bits} bit"), skipped(read))


def metal(read: ConfigReader) -> Scheme:
    """Kernels of transformers for Apple chips: as MLX's, scale and bias of 16 bits a group."""
    bits, group = figure(read, "bits", default=4, high=8), _group(read, "group_size", default=64)
    return Scheme("metal", packed(bits, group, zeros=False, scale=4.0, said=f"metal {bits} bit"), skipped(read))


def vptq(read: ConfigReader) -> Scheme:
    """VPTQ (arXiv 2409.17066): indices of centroids for vectors, for each layer or for all of one name."""
    rules = []
    for key, prefix in (("config_for_layers", ""), ("shared_layer_config", "")):
        section = read.section(key)
        for name in section.config if section else ():
            own = section.section(name) if section else None
            if own is not None:
                rules.append(ModuleRule(prefix + name, _vptq(own)))
    if not rules:
        read.wrong("config_for_layers", "is missing: vectors and centroids of each layer")
    return Scheme("vptq", None, (*skipped(read), *rules))


def _vptq(read: ConfigReader) -> Stored:
    """log2 of the centroids, and of the residual's, over the length of a vector [bit an element]."""
    bits = 0.0
    lengths = _last(read, "vector_lens", 8)
    for key in ("num_centroids", "num_res_centroids"):
        count = _last(read, key, 0)
        bits += math.log2(count) / max(lengths, 1) if count > 1 else 0.0
    return Stored("w4a16", (bits or 4.0) / 8, f"vptq {bits:g} bit")


def _last(read: ConfigReader, key: str, default: int) -> int:
    """The last of a pair (of outliers, of the others), or a number."""
    value = read.config.get(key)
    last = value[-1] if isinstance(value, (list, tuple)) and value else value
    return last if isinstance(last, int) and not isinstance(last, bool) and 0 <= last <= 2**32 else default


def spqr(read: ConfigReader) -> Scheme:
    """SpQR (arXiv 2306.03078): 3 bits in tiles of 16 by 16, scales and zeros of 3 bits too, their own scales and zeros
    of 16 bits, and outliers of which each file has as many as it has: `shapes` tells them.
    """
    bits = figure(read, "bits", default=3, high=8)
    tile = figure(read, "beta1", default=16) * figure(read, "beta2", default=16)
    whole = 8 * 2 / figure(read, "beta1", default=16)  # a 3-bit scale and zero a 16 elements, held in a byte each
    element = bits / 8 + whole / 8 / 2 + 4 * 2 / tile
    return Scheme("spqr", Stored("w4a16", element, f"spqr {bits} bit, outliers left out"), skipped(read))


def simple(name: str, form: Stored, only: tuple[Part, ...] | None = None) -> Method:
    """A method that has one format."""
    return lambda read: Scheme(name, form, skipped(read), only)


def quanto(read: ConfigReader) -> Scheme:
    """optimum-quanto: the format is named by `weights`."""
    word = read.text("weights")
    known = {"float8": stored.FP8_WEIGHTS, "int8": packed(8, -1), "int4": packed(4, 128), "int2": packed(2, 128)}
    if word not in known:
        read.wrong("weights", f"expected one of {', '.join(known)}", nearest(word[:40], known))
    return Scheme("quanto", known.get(word, stored.FP8_WEIGHTS), skipped(read))


def fp_quant(read: ConfigReader) -> Scheme:
    """FP-Quant: MXFP4 or NVFP4 by `forward_dtype`."""
    forms = {"mxfp4": stored.MXFP4, "nvfp4": stored.NVFP4, "mxfp8": stored.MXFP8}
    word = read.text("forward_dtype", "nvfp4")
    if word not in forms:
        read.wrong("forward_dtype", f"expected one of {', '.join(forms)}", nearest(word[:40], forms))
    return Scheme("fp_quant", forms.get(word, stored.NVFP4), skipped(read))


def by_bits(name: str, group: int = -1) -> Method:
    """A method that says its bits, and perhaps its group."""

    def method(read: ConfigReader) -> Scheme:
        bits = _bits(read, "bits", "w_bit", "wbits", most=16)
        size = _group(read, "group_size", default=group)
        return Scheme(name, packed(bits, size, said=f"{name} {bits} bit"), skipped(read))

    return method


def mlx(read: ConfigReader) -> Scheme:
    """MLX: scale and bias of 16 bits a group, embedding and head too; modules with settings of their own by name."""
    form = _mlx(read, "affine", 64, 4)
    rules = []
    for key, value in read.config.items():
        if value is False:
            rules.append(ModuleRule(key))
        elif isinstance(value, Mapping) and (own := read.section(key)) is not None and own.has("bits"):
            rules.append(ModuleRule(key, _mlx(own, "affine", 64, 4)))
    return Scheme("mlx", form, (*rules, *skipped(read)), tables=form)


def _mlx(read: ConfigReader, mode: str, group: int, bits: int) -> Stored:
    mode = read.text("mode", mode)
    forms = {"mxfp4": stored.MXFP4, "mxfp8": stored.MXFP8, "nvfp4": stored.NVFP4}
    if mode in forms:
        return replace(forms[mode], kind="w8a16" if mode == "mxfp8" else "w4a16", said=f"mlx {mode}")
    if mode != "affine":
        read.wrong("mode", "expected affine, mxfp4, mxfp8 or nvfp4", nearest(mode[:40], ("affine", *forms)))
    width, size = figure(read, "bits", default=bits, high=8), _group(read, "group_size", default=group)
    return packed(width, size, zeros=False, scale=4.0, said=f"mlx {width} bit in groups of {size}")
