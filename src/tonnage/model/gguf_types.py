"""Block types of GGUF files, and which of them the mixed types give to which tensors (llama.cpp's `quantize`)."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.errors import nearest
from tonnage.model.config import ConfigReader
from tonnage.model.methods import ModuleRule, Scheme
from tonnage.model.operators import Part
from tonnage.model.stored import PartFormat, Stored

BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
    "NVFP4": (64, 36),
    "Q1_0": (128, 18),
    "Q8_1": (32, 40),
    "Q8_K": (256, 292),
}
"""Elements and bytes of a block of each type: `ggml-common.h` of llama.cpp, structures `block_*`, as
`GGML_QUANT_SIZES` of the `gguf` package 0.19 has them."""


@dataclass(frozen=True)
class Mix:
    """Block types of a file: of most tensors, of attention's values, of down projections, of attention's output and of
    the head; early: of values and down projections in the layers that count more; those: which layers these are, the
    first so many (a share of all), or the first and last eighth and every third between (`more`).
    """

    most: str
    values: str = ""
    down: str = ""
    output: str = ""
    early: str = ""
    those: float | str = "more"
    head: str = "Q6_K"


MIXES: dict[str, Mix] = {
    "Q2_K": Mix("Q2_K", "Q4_K", "Q3_K", "Q3_K"),
    "Q3_K_S": Mix("Q3_K"),
    "Q3_K_M": Mix("Q3_K", "Q4_K", "Q4_K", "Q4_K", "Q5_K", 1 / 16),
    "Q3_K_L": Mix("Q3_K", "Q5_K", "Q5_K", "Q5_K"),
    "Q4_K_S": Mix("Q4_K", early="Q5_K", those=1 / 8),
    "Q4_K_M": Mix("Q4_K", early="Q6_K"),
    "Q5_K_S": Mix("Q5_K"),
    "Q5_K_M": Mix("Q5_K", early="Q6_K"),
    "Q6_K": Mix("Q6_K"),
    "IQ4_XS": Mix("IQ4_XS", "Q5_K", early="Q5_K", those=1 / 8),
    "IQ4_NL": Mix("IQ4_NL", "Q5_K", early="Q5_K", those=1 / 8),
    "Q4_0": Mix("Q4_0"),
    "Q4_1": Mix("Q4_1"),
    "Q5_0": Mix("Q5_0"),
    "Q5_1": Mix("Q5_1"),
    "Q8_0": Mix("Q8_0", head="Q8_0"),
    "MXFP4_MOE": Mix("Q8_0", head="Q8_0"),
    "F16": Mix("F16", head="F16"),
    "BF16": Mix("BF16", head="BF16"),
    "F32": Mix("F32", head="F32"),
}
"""Types of a file by name: `llama_tensor_get_type` in llama.cpp's `llama-quant.cpp`; recalled, and held against
published files. What it does for the sake of a few families (Falcon, Mixtral's eight experts, 70B Llamas) is left out.
"""


def block_type(name: str) -> Stored | None:
    """How a block type stores weights; None where it is not known."""
    if name not in BLOCKS:
        return None
    size, held = BLOCKS[name]
    bits = 8 * held / size
    kind = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}.get(name) or ("w4a16" if bits < 5.9 else "w8a16")
    return Stored(kind, held / size, name)


def gguf(read: ConfigReader) -> Scheme:
    """A file's type as people name it (`Q4_K_M`): the mix of block types that llama.cpp makes of it."""
    parts = read.section("parts")
    if parts is not None:
        return Scheme("gguf", parts=_of_file(parts))
    word = read.text("type", read.text("gguf_type")).upper()
    if word not in MIXES:
        read.wrong("type", f'"{word[:40]}" is no file type with one known mix', nearest(word[:40], MIXES))
        return Scheme("gguf")
    mix = MIXES[word]
    form = block_type(mix.most)
    rules = [ModuleRule("lm_head", block_type(mix.head))]
    if word == "MXFP4_MOE":
        rules.append(ModuleRule("mlp.experts", block_type("MXFP4")))
    if mix.early:
        chosen = _those(mix, read.whole("num_hidden_layers", default=0, low=0, high=10_000))
        rules += [
            ModuleRule(rf"re:.*layers\.{i}\..*{leaf}", block_type(mix.early))
            for i in chosen
            for leaf in (_VALUES, _DOWN)
        ]
    named = ((_VALUES, mix.values), (_DOWN, mix.down), (r"\.o_proj$", mix.output))
    rules += [ModuleRule(f"re:.*{leaf}", block_type(name)) for leaf, name in named if name]
    return Scheme("gguf", form, tuple(rules), tables=form)


_VALUES, _DOWN = r"\.v_proj$", r"\.down_proj$"


def _those(mix: Mix, layers: int) -> list[int]:
    """The layers whose values and down projections have more bits."""
    if isinstance(mix.those, float):
        return list(range(int(layers * mix.those)))
    return [i for i in range(layers) if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2]


def _of_file(parts: ConfigReader) -> tuple[PartFormat, ...]:
    """The formats of parts from the elements that each block type has in a file."""
    found = []
    for name in PART_NAMES:
        kinds = parts.section(name)
        ways = []
        for kind in kinds.config if kinds else ():
            form, held = block_type(kind), kinds.whole(kind, high=10**15) if kinds else 0
            if form is None and kinds is not None:
                kinds.wrong(kind, "is no block type that is known", nearest(kind[:40], BLOCKS))
            elif form is not None:
                ways.append((form, float(held)))
        whole = sum(held for _, held in ways)
        if whole:
            found.append(PartFormat(name, tuple((form, held / whole) for form, held in ways)))
    named = {each.part: each for each in found}
    if "head" not in named and "embedding" in named:  # one table for both
        found.append(PartFormat("head", named["embedding"].ways))
    return tuple(found)


PART_NAMES: tuple[Part, ...] = ("attention", "ffn", "experts", "shared_experts", "router", "embedding", "head")
