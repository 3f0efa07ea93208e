"""Which family a configuration is of: by its `model_type`, or by the class that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tonnage.errors import Problem, UnsupportedModel, nearest
from tonnage.model.config import ConfigReader
from tonnage.model.encoded import ENCODED
from tonnage.model.families import FAMILIES as PLAIN
from tonnage.model.families import Family
from tonnage.model.hybrids import HYBRIDS
from tonnage.model.latest import LATEST
from tonnage.model.mixtures import MIXTURES
from tonnage.model.newest import NEWEST
from tonnage.model.older import OLDER
from tonnage.model.others import OTHERS
from tonnage.model.smaller import SMALLER

FAMILIES: dict[str, Family] = {
    **PLAIN,
    **HYBRIDS,
    **OTHERS,
    **MIXTURES,
    **SMALLER,
    **LATEST,
    **NEWEST,
    **OLDER,
    **ENCODED,
}
"""What reads each `model_type`."""

LANGUAGE = ("text_config", "llm_config", "language_config", "text_model_config", "transformer_layer_config")
"""Sections that hold the language part of a multimodal release."""

WHOLE = {
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "llama4": "llama4_text",
    "mistral3": "mistral",
    "step3p7": "step3p5",
    "minimax_m3": "minimax_m3_vl",
    "mimo_v2_5": "mimo_v2",
    "qwen3_omni_moe_text": "qwen3_vl_moe_text",
    "qwen2_5_omni_text": "qwen2",
    "qwen2_5_omni_thinker": "qwen2",
    "glm4v_text": "glm4",
    "glm4v_moe_text": "glm4_moe",
    "internvl_chat": "qwen3",
    "phi4mm": "phi3",
    "phi4_multimodal": "phi3",
    "ernie4_5_moe_vl": "ernie4_5_vl_moe_text",
    "ernie4_5_vl_moe": "ernie4_5_vl_moe_text",
    "muse_glimmer": "muse_glimmer_text",
    "mistral_large4": "mistral_large4_text",
    "gemma4_unified": "gemma4_unified_text",
    "hunyuan_vl_text": "hunyuan_v1_dense",
    "paddleocr_vl_text": "ernie4_5",
    "glm5_next": "glm5_next_text",
    "qwen4_exp": "qwen4_exp_text",
    "qwen3_8_flash_next": "qwen4_exp_text",
    "gemma3n": "gemma3n_text",
    "dots3_note": "dots3_note_text",
    "inkling2": "inkling2_text",
    "muse_spark": "muse_spark_text",
    "step3_vl": "step3_text",
    "step3": "step3_text",
    "kimi_vl": "deepseek_v3",
    "rnj1": "gemma3_text",
    "param2moe": "bailing_moe",
    "sarvam_moe": "bailing_moe",
    "sarvam": "bailing_moe",
    "telechat3": "llama",
    "step1": "llama",
    "keye": "qwen3",
    "dots_ocr": "qwen2",
    "isaac": "qwen3",
    "keye_vl1_5": "qwen3",
    "KeyeVL1_5": "qwen3",
    "phi3_v": "phi3",
}
"""Other names of a family: of a whole release for its text part, or of a text part without a reader of its own."""

CLASSES: dict[str, str] = {
    "LlamaForCausalLM": "llama",
    "YiForCausalLM": "llama",
    "LLaMAForCausalLM": "llama",
    "AquilaForCausalLM": "llama",
    "AquilaModel": "llama",
    "CwmForCausalLM": "llama",
    "InternLMForCausalLM": "internlm",
    "BaichuanForCausalLM": "llama",
    "BaiChuanForCausalLM": "llama",
    "TeleFLMForCausalLM": "llama",
    "XverseForCausalLM": "llama",
    "SolarForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen2MoeForCausalLM": "qwen2_moe",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "Qwen3NextForCausalLM": "qwen3_next",
    "Qwen3_5ForCausalLM": "qwen3_5_text",
    "Qwen3_5ForConditionalGeneration": "qwen3_5_text",
    "Qwen3_5MoeForCausalLM": "qwen3_5_moe_text",
    "Qwen3_5MoeForConditionalGeneration": "qwen3_5_moe_text",
    "Qwen2VLForConditionalGeneration": "qwen2_vl",
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "DeepseekForCausalLM": "deepseek",
    "DeepseekV2ForCausalLM": "deepseek_v2",
    "DeepseekV3ForCausalLM": "deepseek_v3",
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "DeepseekV4ForCausalLM": "deepseek_v4",
    "MistralLarge3ForCausalLM": "deepseek_v3",
    "DotsVLMForCausalLM": "deepseek_v3",
    "KimiLinearForCausalLM": "kimi_linear",
    "Glm4ForCausalLM": "glm4",
    "GlmForCausalLM": "glm",
    "Glm4MoeForCausalLM": "glm4_moe",
    "Glm4MoeLiteForCausalLM": "glm4_moe_lite",
    "GlmMoeDsaForCausalLM": "glm_moe_dsa",
    "GptOssForCausalLM": "gpt_oss",
    "MiniMaxM2ForCausalLM": "minimax_m2",
    "MiniMaxM3ForCausalLM": "minimax_m3_vl",
    "MiniMaxText01ForCausalLM": "minimax",
    "MiniMaxM1ForCausalLM": "minimax",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text",
    "Phi3ForCausalLM": "phi3",
    "PhiMoEForCausalLM": "phimoe",
    "NemotronForCausalLM": "nemotron",
    "NemotronHForCausalLM": "nemotron_h",
    "DeciLMForCausalLM": "nemotron-nas",
    "MiMoForCausalLM": "mimo",
    "MiMoV2FlashForCausalLM": "mimo_v2_flash",
    "MiMoV2ForCausalLM": "mimo_v2",
    "Step3p5ForCausalLM": "step3p5",
    "Step3p7FlashForCausalLM": "step3p7",
    "ExaoneForCausalLM": "exaone",
    "Exaone4ForCausalLM": "exaone4",
    "ExaoneMoEForCausalLM": "exaone_moe",
    "ExaoneMoeForCausalLM": "exaone_moe",
    "HunYuanDenseV1ForCausalLM": "hunyuan_v1_dense",
    "HunYuanMoEV1ForCausalLM": "hunyuan_v1_moe",
    "HYV3ForCausalLM": "hy_v3",
    "BailingMoeForCausalLM": "bailing_moe",
    "BailingMoeV2ForCausalLM": "bailing_moe_v2",
    "BailingMoeLinearV2ForCausalLM": "bailing_moe_linear",
    "BailingMoeV2_5ForCausalLM": "bailing_moe_v2_5",
    "BailingMoeV3ForCausalLM": "bailing_hybrid",
    "Ernie4_5ForCausalLM": "ernie4_5",
    "Ernie4_5_ForCausalLM": "ernie4_5",
    "Ernie4_5_MoeForCausalLM": "ernie4_5_moe",
    "SeedOssForCausalLM": "seed_oss",
    "Dots1ForCausalLM": "dots1",
    "InternLM2ForCausalLM": "internlm2",
    "InternLM3ForCausalLM": "internlm3",
    "LongcatFlashForCausalLM": "longcat_flash",
    "GraniteForCausalLM": "granite",
    "GraniteMoeHybridForCausalLM": "granitemoehybrid",
    "FalconH1ForCausalLM": "falcon_h1",
    "Olmo2ForCausalLM": "olmo2",
    "Olmo3ForCausalLM": "olmo3",
    "OlmoeForCausalLM": "olmoe",
    "Lfm2ForCausalLM": "lfm2",
    "Lfm2MoeForCausalLM": "lfm2_moe",
    "SmolLM3ForCausalLM": "smollm3",
    "ApertusForCausalLM": "apertus",
    "ArceeForCausalLM": "arcee",
    "AfmoeForCausalLM": "afmoe",
    "MuseGlimmerForConditionalGeneration": "muse_glimmer_text",
    "MellumForCausalLM": "mellum",
    "Kolibri1ForCausalLM": "kolibri1",
    "FlintForCausalLM": "flint",
    "GraniteSWAForCausalLM": "granite_swa",
    "HyperCLOVAXForCausalLM": "hyperclovax",
    "Cohere2MoeForCausalLM": "cohere2_moe",
    "Lfm3ForCausalLM": "lfm3",
    "Ernie4_5_VLMoeForConditionalGeneration": "ernie4_5_vl_moe_text",
    "AXK1ForCausalLM": "axk1",
    "HYV4ForCausalLM": "hy_v4",
    "IQuestCoderForCausalLM": "iquestcoder",
    "CohereForCausalLM": "cohere",
    "Cohere2ForCausalLM": "cohere2",
    "GPT2LMHeadModel": "gpt2",
    "GPTNeoXForCausalLM": "gpt_neox",
    "Glm5NextForConditionalGeneration": "glm5_next_text",
    "Glm5NextForCausalLM": "glm5_next_text",
    "Qwen4ExpForConditionalGeneration": "qwen4_exp_text",
    "Qwen4ExpForCausalLM": "qwen4_exp_text",
    "DeepseekV41ForCausalLM": "deepseek_v41",
    "Gemma3nForConditionalGeneration": "gemma3n_text",
    "Gemma3nForCausalLM": "gemma3n_text",
    "Inkling2ForConditionalGeneration": "inkling2_text",
    "MuseSparkForConditionalGeneration": "muse_spark_text",
    "Dots3NoteForConditionalGeneration": "dots3_note_text",
    "Dots3NoteForCausalLM": "dots3_note_text",
    "AXK2ForCausalLM": "axk2",
    "BeamForCausalLM": "beam",
    "ZayaForCausalLM": "zaya",
    "OlmoHybridForCausalLM": "olmo_hybrid",
    "FlexOlmoForCausalLM": "flex_olmo",
    "GraniteMoeSWAForCausalLM": "granitemoe_swa",
    "GraniteMoeForCausalLM": "granitemoe",
    "GraniteMoeSharedForCausalLM": "granitemoeshared",
    "Step3TextForCausalLM": "step3_text",
    "Step3VLForConditionalGeneration": "step3_text",
    "FalconForCausalLM": "falcon",
    "RWForCausalLM": "falcon",
    "MambaForCausalLM": "mamba",
    "FalconMambaForCausalLM": "falcon_mamba",
    "Mamba2ForCausalLM": "mamba2",
    "JambaForCausalLM": "jamba",
    "BambaForCausalLM": "bamba",
    "BloomForCausalLM": "bloom",
    "OPTForCausalLM": "opt",
    "MptForCausalLM": "mpt",
    "MPTForCausalLM": "mpt",
    "GPTJForCausalLM": "gptj",
    "GPTBigCodeForCausalLM": "gpt_bigcode",
    "PersimmonForCausalLM": "persimmon",
    "Jais2ForCausalLM": "jais2",
    "OrionForCausalLM": "orion",
    "DbrxForCausalLM": "dbrx",
    "ChatGLMModel": "chatglm",
    "ChatGLMForConditionalGeneration": "chatglm",
    "QWenLMHeadModel": "qwen",
    "Grok1ModelForCausalLM": "grok-1",
    "PanguUltraMoEForCausalLM": "pangu_ultra_moe",
    "PanguEmbeddedForCausalLM": "PanguEmbedded",
    "SarvamMLAForCausalLM": "sarvam_mla",
    "SarvamMoEForCausalLM": "bailing_moe",
    "Rnj1ForCausalLM": "gemma3_text",
    "KimiVLForConditionalGeneration": "deepseek_v3",
    "StableLmForCausalLM": "stablelm",
    "StableLMEpochForCausalLM": "stablelm",
    "OlmoForCausalLM": "olmo",
    "PhiForCausalLM": "phi",
    "Starcoder2ForCausalLM": "starcoder2",
    "GemmaForCausalLM": "gemma",
    "MiniCPMForCausalLM": "minicpm",
    "MiniCPM3ForCausalLM": "minicpm3",
    "Llama4ForCausalLM": "llama4_text",
    "Gemma4ForCausalLM": "gemma4_text",
    "Ministral3ForCausalLM": "ministral3",
    "MistralLarge4ForCausalLM": "mistral_large4_text",
    "Param2MoEForCausalLM": "bailing_moe",
    "TeleChat3ForCausalLM": "llama",
    "Step1ForCausalLM": "llama",
    "BitNetForCausalLM": "bitnet",
}
"""Families by the class of the model (`architectures`), as engines register them."""


SEVERAL = ("hunyuan",)
"""Types that dense models and mixtures share: there the class decides."""


def language(outer: ConfigReader) -> tuple[ConfigReader, str]:
    """(the language part of a configuration, its family). Raises `UnsupportedModel` that says what is missing.

    A family is known by `model_type`; where that is new, by the class in `architectures`.
    """
    inner = _inner(outer)
    asked = [reader.text("model_type") for reader in (inner, outer)]
    classes = [
        name for reader in (inner, outer) for name in reader.listing("architectures") or () if isinstance(name, str)
    ]
    if any(kind in SEVERAL for kind in asked):
        asked = [*(CLASSES[name] for name in classes if name in CLASSES), *asked]
    for kind in asked:
        if kind in VERSIONS:
            return inner, _of_version(outer, kind)
        found = kind if kind in FAMILIES else WHOLE.get(kind, "")
        if found in FAMILIES:
            return _filled(inner, outer, found), found
    for name in classes:
        if name in CLASSES:
            return _filled(inner, outer, CLASSES[name]), CLASSES[name]
    raise _unknown(next(filter(None, asked), ""), classes, inner)


VERSIONS: dict[str, dict[float, str]] = {
    "minicpmv": {2.0: "minicpm", 2.5: "llama", 2.6: "qwen2", 4.0: "llama", 4.5: "qwen3"},
    "minicpmo": {2.6: "qwen2", 4.5: "qwen3"},
}
"""Families of the language part by the version that a file states, where releases of one type have different ones
(vLLM's `models/minicpmv.py` and `minicpmo.py`).
"""


def _of_version(outer: ConfigReader, kind: str) -> str:
    """The family that a version has; raises `UnsupportedModel` with those that are known."""
    given = outer.config.get("version", max(VERSIONS[kind]))
    try:
        family = VERSIONS[kind].get(float(given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        family = None
    if family is None:
        known = ", ".join(f"{version:g}" for version in VERSIONS[kind])
        message = f'version "{str(given)[:20]}" of {kind} is not known; known are {known}'
        raise UnsupportedModel(Problem(message, outer.place("version"), "version"))
    return family


def _inner(outer: ConfigReader) -> ConfigReader:
    """The section of the language part; the whole where it has none."""
    thinker = outer.section("thinker_config")
    start = thinker if thinker is not None else outer
    for key in LANGUAGE:
        found = start.section(key)
        if found is not None:
            return found
    return start


def _unknown(kind: str, classes: list[str], inner: ConfigReader) -> UnsupportedModel:
    """The error for a model of no known family."""
    where = inner.place("model_type")
    if not kind:
        known = "known model types: " + ", ".join(sorted(FAMILIES))
        return UnsupportedModel(Problem("is missing", where, "model_type"), hint=known)
    shown = "".join(c if c.isprintable() else "?" for c in kind[:80])
    also = "".join(c if c.isprintable() else "?" for c in classes[0][:60]) if classes else ""
    message = f'model_type "{shown}" is not known' + (f", nor is {also}" if also else "")
    return UnsupportedModel(
        Problem(message, where, "model_type", nearest(kind, FAMILIES)),
        hint="needed: how its layers mix tokens and which FFN they have, as a function in tonnage/model/families.py; if"
        " the layers are those of a known family, say so with `like: NAME` and the sizes that differ",
    )


def _filled(inner: ConfigReader, outer: ConfigReader, kind: str) -> ConfigReader:
    """The language part with what its library fills in where the file leaves it out.

    transformers writes no key that equals its class's default: a section of a larger file, or a file that it wrote
    (`transformers_version`), means the default where a key is missing.
    """
    given = defaults().get(kind)
    if given is None or (inner is outer and not outer.has("transformers_version")) or not given.keys() & inner.config:
        return inner
    # whether the embedding is the head's is said by the whole release, where its language part leaves it out
    said = {"tie_word_embeddings"} if outer.has("tie_word_embeddings") else set()
    missing = {key: value for key, value in given.items() if key not in inner.config and key not in said}
    return ConfigReader({**missing, **inner.config}, inner.problems, inner.place, inner.path)


@cache
def defaults() -> Mapping[str, Mapping[str, object]]:
    """Defaults of the configuration classes of transformers 5.23, by `model_type`: the keys that are read here."""
    found: Mapping[str, Mapping[str, object]] = json.loads(
        (Path(__file__).parent / "data" / "defaults.json").read_text("utf-8")
    )
    return found
