"""Vision towers of multimodal models: their parameters by name, so that totals are those of the whole model.

Only their weights are counted: a text request does no work in them. Shapes as in transformers 5.23.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from tonnage.errors import Problem
from tonnage.model import senses, towers
from tonnage.model.config import ConfigReader
from tonnage.model.towers import Named
from tonnage.model.towers import linear as _linear


def encoders(read: ConfigReader) -> tuple[Named, tuple[str, ...]]:
    """(parameters of the towers that a configuration describes, names of what is left out: towers not known here, or
    whose sizes the file does not say).
    """
    made: list[tuple[str, int]] = []
    out: list[str] = []
    thinker = read.section("thinker_config")
    for part in (read, thinker) if thinker is not None else (read,):
        for key, name in OTHER.items():
            if isinstance(part.config.get(key), Mapping):
                found = _tower(part, key)
                out.extend([name] if found is None else [])
                made.extend(found or ())
    return tuple(made), tuple(dict.fromkeys(out))


def _tower(read: ConfigReader, key: str) -> Named | None:
    """What a section describes; None where the tower is not known, or a size that has no default is missing."""
    kind = read.text("model_type")
    maker = (TOWERS if key == "vision_config" else HEARING).get(kind)
    given = read.config[key]
    if maker is None or not isinstance(given, Mapping):
        return None
    problems: list[Problem] = []
    section = {**USUAL.get(kind, {}), **given} if key == "vision_config" else given
    path = f"{read.path}.{key}" if read.path else key
    made = maker(
        ConfigReader(read.config, problems, read.place, read.path), ConfigReader(section, problems, read.place, path)
    )
    wrong = [problem for problem in problems if problem.message != "is missing"]
    read.problems.extend(wrong)
    return None if len(wrong) < len(problems) else made


OTHER = {
    "vision_config": "the vision tower",
    "audio_config": "the audio tower",
    "vit_config": "the vision tower",
    "sound_config": "the audio tower",
    "talker_config": "the talker",
    "token2wav_config": "the vocoder",
    "code2wav_config": "the vocoder",
    "speech_config": "the audio tower",
}
"""Sections of other parts of a multimodal release."""


def _kimi(read: ConfigReader, vision: ConfigReader) -> Named:
    """Kimi K2.5's MoonViT: biased layers with LayerNorm, a learned grid of positions, a two-layer projector.

    The makers' names of sizes, or those that transformers writes.
    """
    hidden = vision.whole("vt_hidden_size", "hidden_size")
    wide = vision.whole("vt_intermediate_size", "intermediate_size")
    grid = vision.whole("init_pos_emb_height", "pos_emb_height") * vision.whole("init_pos_emb_width", "pos_emb_width")
    merged = hidden * _area(vision, "merge_kernel_size")
    patches = _linear(3 * vision.whole("patch_size") ** 2, hidden)
    layer = 4 * _linear(hidden, hidden) + _linear(hidden, wide) + _linear(wide, hidden) + 4 * hidden
    tower = patches + grid * hidden + vision.layers("vt_num_hidden_layers", "num_hidden_layers") * layer + 2 * hidden
    between = vision.whole("mm_hidden_size", default=read.whole("projection_hidden_size", default=hidden))
    projector = 2 * between + _linear(merged, merged)
    text = towers.text_of(read).whole("hidden_size", default=7168)
    projector += _linear(merged, vision.whole("text_hidden_size", default=text))
    return (("vision_tower", tower), ("vision_projector", projector))


def _area(read: ConfigReader, key: str) -> int:
    """Product of the two sides that a key gives."""
    given = read.listing(key) or []
    sides = [side for side in given if isinstance(side, int) and 0 < side < 100]
    if len(given) != 2 or len(sides) != 2:
        read.wrong(key, "expected two small whole numbers")
        return 1
    return prod(sides)


def _minimax(read: ConfigReader, vision: ConfigReader) -> Named:
    """MiniMax-M3's tower: biased layers with LayerNorm, 3D patches without bias, a projector and a merger."""
    hidden, wide = vision.whole("hidden_size"), vision.whole("intermediate_size")
    text = read.section("text_config") or read
    out, inner = text.whole("hidden_size"), read.whole("projector_hidden_size")
    volume = vision.whole("temporal_patch_size", default=2) * vision.whole("patch_size") ** 2
    layer = 4 * _linear(hidden, hidden) + _linear(hidden, wide) + _linear(wide, hidden) + 4 * hidden
    patches = vision.whole("num_channels", default=3) * volume * hidden
    merged = out * vision.whole("spatial_merge_size", default=2) ** 2
    projector = _linear(hidden, inner) + _linear(merged, inner) + 2 * _linear(inner, out)
    return (("vision_tower", patches + vision.layers() * layer + 2 * hidden), ("vision_projector", projector))


def _gemma(read: ConfigReader, vision: ConfigReader) -> Named:
    """Gemma 4's tower: gated layers with four norms and normalised queries and keys, no biases."""
    hidden, wide = vision.whole("hidden_size"), vision.whole("intermediate_size")
    dim, count = vision.whole("head_dim"), vision.whole("num_attention_heads")
    kv_heads = vision.whole("num_key_value_heads", default=count)
    text = read.section("text_config") or read
    layer = 2 * hidden * dim * (count + kv_heads) + 3 * hidden * wide + 4 * hidden + 2 * dim
    patches = 3 * vision.whole("patch_size") ** 2 * hidden + 2 * vision.whole("position_embedding_size") * hidden
    return (
        ("vision_tower", patches + vision.layers() * layer),
        ("vision_projector", hidden * text.whole("hidden_size")),
    )


def _qwen(_: ConfigReader, vision: ConfigReader) -> Named:
    """Qwen3's tower: biased layers with LayerNorm, 3D patches, learned positions, a merger.

    Qwen3-VL has a further merger for each deep layer that it feeds into the text model.
    """
    hidden, wide = vision.whole("hidden_size"), vision.whole("intermediate_size")
    volume = vision.whole("in_channels") * vision.whole("temporal_patch_size") * vision.whole("patch_size") ** 2
    merged = hidden * vision.whole("spatial_merge_size") ** 2
    layer = 4 * _linear(hidden, hidden) + _linear(hidden, wide) + _linear(wide, hidden) + 4 * hidden
    tower = _linear(volume, hidden) + vision.whole("num_position_embeddings") * hidden + vision.layers("depth") * layer
    projector = _linear(merged, merged) + _linear(merged, vision.whole("out_hidden_size"))
    deep = len(vision.listing("deepstack_visual_indexes") or [])
    projector = (1 + deep) * projector + 2 * hidden + deep * 2 * merged
    return (("vision_tower", tower), ("vision_projector", projector))


def _qwen2_5(_: ConfigReader, vision: ConfigReader) -> Named:
    """Qwen2.5-VL's tower: biased gated layers with RMS norms, 3D patches without bias, a merger."""
    hidden, wide = vision.whole("hidden_size", default=3584), vision.whole("intermediate_size", default=3420)
    channels = vision.whole("in_channels", "in_chans", default=3)
    volume = channels * vision.whole("temporal_patch_size", default=2) * vision.whole("patch_size", default=14) ** 2
    merged = hidden * vision.whole("spatial_merge_size", default=2) ** 2
    layer = 4 * _linear(hidden, hidden) + 2 * _linear(hidden, wide) + _linear(wide, hidden) + 2 * hidden
    projector = hidden + _linear(merged, merged) + _linear(merged, vision.whole("out_hidden_size", default=3584))
    tower = volume * hidden + vision.layers("depth") * layer
    return (("vision_tower", tower), ("vision_projector", projector))


def _qwen2(_: ConfigReader, vision: ConfigReader) -> Named:
    """Qwen2-VL's tower: biased layers with LayerNorm, 3D patches without bias, a merger."""
    hidden = vision.whole("embed_dim", default=1280)
    wide = hidden * vision.whole("mlp_ratio", default=4)
    channels = vision.whole("in_channels", "in_chans", default=3)
    volume = channels * vision.whole("temporal_patch_size", default=2) * vision.whole("patch_size", default=14) ** 2
    merged = hidden * vision.whole("spatial_merge_size", default=2) ** 2
    layer = 4 * _linear(hidden, hidden) + _linear(hidden, wide) + _linear(wide, hidden) + 4 * hidden
    projector = 2 * hidden + _linear(merged, merged) + _linear(merged, vision.whole("hidden_size", default=3584))
    return (("vision_tower", volume * hidden + vision.layers("depth") * layer), ("vision_projector", projector))


def _siglip(read: ConfigReader, vision: ConfigReader) -> Named:
    """Gemma 3's SigLIP: biased layers with LayerNorm, patches and positions, one matrix into the text model."""
    hidden, wide = vision.whole("hidden_size", default=1152), vision.whole("intermediate_size", default=4304)
    patch, side = vision.whole("patch_size", default=14), vision.whole("image_size", default=896)
    layer = 4 * _linear(hidden, hidden) + _linear(hidden, wide) + _linear(wide, hidden) + 4 * hidden
    tower = _linear(3 * patch**2, hidden) + (side // patch) ** 2 * hidden + vision.layers() * layer + 2 * hidden
    text = read.section("text_config") or read
    return (("vision_tower", tower), ("vision_projector", hidden * text.whole("hidden_size") + hidden))


_QWEN = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "in_channels": 3,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "out_hidden_size": 3584,
    "num_position_embeddings": 2304,
}
_DEEP = {**_QWEN, "deepstack_visual_indexes": [8, 16, 24]}
USUAL: Mapping[str, Mapping[str, object]] = {
    "qwen3_5": _QWEN,
    "qwen3_5_moe": _QWEN,
    "qwen3_vl": _DEEP,
    "qwen3_vl_moe": _DEEP,
    "qwen4_exp": _QWEN,
    "qwen3_omni_moe_thinker": _DEEP,
    "gemma4": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 16,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "head_dim": 64,
        "patch_size": 16,
        "position_embedding_size": 10240,
    },
    "minimax_m3_vl": {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14},
}
"""What the classes of transformers 5.23 fill in where a section leaves a size of its tower out."""

Tower = Callable[[ConfigReader, ConfigReader], Named]

TOWERS: dict[str, Tower] = {
    "kimi_k25": _kimi,
    "kimi_k3": _kimi,
    "minimax_m3_vl": _minimax,
    "gemma4": _gemma,
    "gemma3": _siglip,
    "qwen3_5": _qwen,
    "qwen3_5_moe": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_vl_moe": _qwen,
    "qwen2_5_vl": _qwen2_5,
    "qwen2_vl": _qwen2,
    "mistral3": towers.pixtral,
    "mistral_large4": towers.pixtral,
    "llama4": towers.llama4,
    "internvl": towers.internvl,
    "internvl_chat": towers.internvl,
    "glm4v": towers.glm4v,
    "glm4v_moe": towers.glm4v,
    "glm46v": towers.glm4v,
    "paligemma": towers.paligemma,
    "llava": towers.llava,
    "muse_glimmer": towers.muse,
    "ernie4_5_vl_moe": towers.ernie,
    "ernie4_5_moe_vl": towers.ernie,
    "glm_ocr": senses.glm_next,
    "glm5_next": senses.glm_next,
    "muse_spark": senses.muse_spark,
    "deepseek_v41": senses.deepseek_v41,
    "qwen4_exp": _qwen,
    "qwen3_omni_moe_thinker": _qwen,
    "qwen2_5_omni_thinker": _qwen2_5,
    "glmga": towers.glm4v,
    "cohere2_vision": senses.cohere,
    "lfm2_vl": senses.lfm,
    "lfm3_vl": senses.lfm,
    "smolvlm": senses.smol,
    "idefics3": senses.smol,
    "llava_next": towers.llava,
    "minicpmv": senses.minicpm_v,
    "minicpmo": senses.minicpm_v,
}
"""What counts the vision tower of each `model_type` of a whole release."""

HEARING: dict[str, Tower] = {
    "gemma4": towers.gemma4_audio,
    "muse_spark": senses.muse_audio,
    "voxtral": senses.voxtral,
    "qwen2_audio": senses.qwen_audio,
    "qwen2_5_omni_thinker": senses.omni_audio,
    "qwen3_omni_moe_thinker": senses.omni3_audio,
    "qwen3_asr": senses.omni3_audio,
}
"""What counts the audio tower."""
