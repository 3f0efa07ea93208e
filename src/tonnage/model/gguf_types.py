"""Block types of GGUF files, and which of them the mixed types give to which tensors (llama.cpp's `quantize`)."""

from __future__ import annotations

from tonnage.errors import nearest
from tonnage.model.config import ConfigReader
from tonnage.model.methods import ModuleRule, Scheme
from tonnage.model.stored import Stored

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
}
"""Elements and bytes of a block of each type: `ggml-common.h` of llama.cpp, structures `block_*`."""

MIXES: dict[str, tuple[str, str, str, str]] = {
    "Q2_K": ("Q2_K", "Q3_K", "Q3_K", "Q6_K"),
    "Q3_K_S": ("Q3_K", "Q3_K", "Q3_K", "Q6_K"),
    "Q3_K_M": ("Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    "Q3_K_L": ("Q3_K", "Q5_K", "Q5_K", "Q6_K"),
    "Q4_K_S": ("Q4_K", "Q4_K", "Q5_K", "Q6_K"),
    "Q4_K_M": ("Q4_K", "Q4_K", "Q6_K", "Q6_K"),
    "Q5_K_S": ("Q5_K", "Q5_K", "Q5_K", "Q6_K"),
    "Q5_K_M": ("Q5_K", "Q5_K", "Q6_K", "Q6_K"),
    "Q6_K": ("Q6_K", "Q6_K", "Q6_K", "Q6_K"),
    "IQ4_XS": ("IQ4_XS", "IQ4_XS", "Q5_K", "Q6_K"),
    "IQ4_NL": ("IQ4_NL", "IQ4_NL", "Q5_K", "Q6_K"),
    "Q4_0": ("Q4_0", "Q4_0", "Q4_0", "Q6_K"),
    "Q4_1": ("Q4_1", "Q4_1", "Q4_1", "Q6_K"),
    "Q5_0": ("Q5_0", "Q5_0", "Q5_0", "Q6_K"),
    "Q5_1": ("Q5_1", "Q5_1", "Q5_1", "Q6_K"),
    "Q8_0": ("Q8_0", "Q8_0", "Q8_0", "Q8_0"),
    "MXFP4_MOE": ("Q8_0", "Q8_0", "Q8_0", "Q8_0"),
    "F16": ("F16", "F16", "F16", "F16"),
    "BF16": ("BF16", "BF16", "BF16", "BF16"),
    "F32": ("F32", "F32", "F32", "F32"),
}
"""Types of a file: most tensors, values and down projections of the other layers, those of the layers that count more,
the head. `llama-quant.cpp` of llama.cpp, `llama_tensor_get_type`; read 2026-11."""


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
    word = read.text("type", read.text("gguf_type")).upper()
    if word not in MIXES:
        read.wrong("type", f'"{word[:40]}" is no file type with one known mix', nearest(word[:40], MIXES))
        return Scheme("gguf")
    most, other, more, head = (block_type(name) for name in MIXES[word])
    rules = [ModuleRule("lm_head", head)]
    if word == "MXFP4_MOE":
        rules.append(ModuleRule("mlp.experts", block_type("MXFP4")))
    if other != most or more != most:
        rules += [*_more(read, more), *(ModuleRule(f"re:.*{leaf}", other) for leaf in LEAVES)]
    return Scheme("gguf", most, tuple(rules), tables=most)


LEAVES = (r"v_proj$", r"down_proj$")
"""The tensors that mixed types store in more bits."""


def _more(read: ConfigReader, form: Stored | None) -> list[ModuleRule]:
    """Values and down projections of the first and last eighth of the layers, and of every third between."""
    inner = read.whole("num_hidden_layers", default=0, low=0, high=10_000)
    chosen = [i for i in range(inner) if i < inner // 8 or i >= 7 * inner // 8 or (i - inner // 8) % 3 == 2]
    return [ModuleRule(rf"re:.*layers\.{i}\..*{leaf}", form) for i in chosen for leaf in LEAVES]
