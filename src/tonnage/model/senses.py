"""Towers of releases of 2026 for images and sound: their parameters by name, with the defaults of transformers 5.23."""

from __future__ import annotations

from collections.abc import Sequence

from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.towers import Named, encoder, linear, text_of


def glm_next(_: ConfigReader, vision: ConfigReader) -> Named:
    """GLM-OCR and GLM-5.3-Flash: gated layers with biases, normalised queries and keys, a convolution down, a gated
    merger.
    """
    hidden, wide = vision.whole("hidden_size", default=1024), vision.whole("intermediate_size", default=4096)
    out, count = vision.whole("out_hidden_size", default=1536), vision.whole("num_heads", default=16)
    channels, patch = vision.whole("in_channels", default=3), vision.whole("patch_size", default=14)
    volume = channels * vision.whole("temporal_patch_size", default=2) * patch**2
    inner = vision.whole("projection_intermediate_size", default=channels * out)
    merge = vision.whole("spatial_merge_size", default=2) ** 2
    layer = 4 * linear(hidden, hidden) + 2 * linear(hidden, wide) + linear(wide, hidden) + 2 * hidden
    layer += 2 * (hidden // count)
    depth = vision.whole("depth", default=24, high=LARGEST["layers"])
    tower = linear(volume, hidden) + depth * layer + hidden
    merger = linear(merge * hidden, out) + out * out + 2 * out + 3 * out * inner
    return (("vision_tower", tower), ("vision_projector", merger))


def muse_spark(read: ConfigReader, vision: ConfigReader) -> Named:
    """Muse Spark's ViT: as Muse Glimmer's, one matrix more into the text model."""
    hidden, wide = vision.whole("hidden_size", default=1536), vision.whole("intermediate_size", default=8960)
    patch, frames = vision.whole("patch_size", default=14), vision.whole("patch_temporal", default=2)
    places = vision.whole("pos_emb_height", default=32) * vision.whole("pos_emb_width", default=32)
    depth = vision.whole("num_hidden_layers", default=50, high=LARGEST["layers"])
    tower = 3 * frames * patch**2 * hidden + places * hidden + 4 * hidden + depth * encoder(hidden, wide)
    merged, inner = (
        hidden * vision.whole("merge_size", default=2) ** 2,
        read.whole("projector_hidden_size", default=4096),
    )
    text = text_of(read).whole("hidden_size", default=8192)
    return (("vision_tower", tower), ("vision_projector", merged * inner + inner * inner + inner * text))


def muse_audio(_: ConfigReader, audio: ConfigReader) -> Named:
    """Muse Spark's audio tower: stages of convolutions a channel and FFNs, each behind a patch of the one before."""
    widths, depths = _sizes(audio, "hidden_sizes", [256, 512, 1024, 2048]), _sizes(audio, "depths", [2, 2, 2, 2])
    patches, kernel = _sizes(audio, "patch_sizes", [16, 6, 5, 4]), audio.whole("conv_kernel_size", default=7)
    tower, before = 0, 1
    for width, depth, patch in zip(widths, depths, patches, strict=False):
        block = width * (kernel + 1) + width + linear(width, 4 * width) + linear(4 * width, width)
        tower += linear(patch * before, width) + width + depth * block
        before = width
    out = audio.whole("out_hidden_size", default=8192)
    return (("audio_tower", tower + before), ("audio_projector", linear(before, out) + out))


def _sizes(read: ConfigReader, key: str, usual: list[int]) -> Sequence[int]:
    """A list of sizes; those that are none are left out."""
    given = read.listing(key)
    found = [each for each in given or usual if isinstance(each, int) and 0 < each <= LARGEST["width"]]
    if given is not None and len(found) != len(given):
        read.wrong(key, "expected a list of whole numbers")
    return found


def deepseek_v41(read: ConfigReader, vision: ConfigReader) -> Named:
    """DeepSeek-V4.1's ViT: gated layers without biases, nine patches joined, two matrices into the text model.

    485M, as huggingface.js pull request 2469 counts.
    """
    hidden, wide = vision.whole("hidden_size", default=1024), vision.whole("intermediate_size", default=2816)
    depth = vision.whole("num_hidden_layers", default=32, high=LARGEST["layers"])
    layer = 4 * hidden * hidden + 3 * hidden * wide + 2 * hidden
    tower = 3 * vision.whole("patch_size", default=14) ** 2 * hidden + depth * layer + hidden
    merged, text = hidden * vision.whole("downsample_ratio", default=3) ** 2, text_of(read).whole("hidden_size")
    return (("vision_tower", tower), ("vision_projector", linear(merged, text) + linear(text, text)))


def siglip(vision: ConfigReader, *, places: int, head: bool) -> int:
    """Parameters of a SigLIP tower: positions learned, a LayerNorm at the end, perhaps a head that pools."""
    hidden, wide = vision.whole("hidden_size", default=768), vision.whole("intermediate_size", default=3072)
    depth = vision.whole("num_hidden_layers", default=12, high=LARGEST["layers"])
    patch = linear(3 * vision.whole("patch_size", default=16) ** 2, hidden)
    pooled = hidden + linear(hidden, wide) + linear(wide, hidden) + 4 * linear(hidden, hidden) + 2 * hidden
    return patch + places * hidden + depth * encoder(hidden, wide) + 2 * hidden + (pooled if head else 0)


def _grid(vision: ConfigReader, side: int, patch: int) -> int:
    """Places of a square image."""
    return int((vision.whole("image_size", default=side) // vision.whole("patch_size", default=patch)) ** 2)


def cohere(read: ConfigReader, vision: ConfigReader) -> Named:
    """Command A Vision's SigLIP 2, pixels joined, a gated projector."""
    tower = siglip(vision, places=_grid(vision, 224, 16), head=vision.flag("vision_use_head", True))
    merged = vision.whole("hidden_size", default=768) * read.whole("downsample_factor", default=2) ** 2
    wide, text = read.whole("alignment_intermediate_size", default=36864), text_of(read).whole("hidden_size")
    return (("vision_tower", tower), ("vision_projector", linear(merged, wide) + linear(wide // 2, text)))


def lfm(read: ConfigReader, vision: ConfigReader) -> Named:
    """LFM2-VL's SigLIP 2 in native resolution, pixels joined, a two-layer projector."""
    places = vision.whole("num_patches", default=256)
    tower = siglip(vision, places=places, head=vision.flag("vision_use_head", True))
    merged = vision.whole("hidden_size", default=768) * read.whole("downsample_factor", default=2) ** 2
    wide, text = read.whole("projector_hidden_size", default=2560), text_of(read).whole("hidden_size", default=2560)
    norm = 2 * merged if read.flag("projector_use_layernorm", True) else 0
    return (("vision_tower", tower), ("vision_projector", norm + linear(merged, wide) + linear(wide, text)))


def smol(read: ConfigReader, vision: ConfigReader) -> Named:
    """SmolVLM's and Idefics 3's SigLIP, pixels joined, one matrix into the text model."""
    tower = siglip(vision, places=_grid(vision, 224, 32), head=False)
    merged = vision.whole("hidden_size", default=1152) * read.whole("scale_factor", default=2) ** 2
    return (("vision_tower", tower), ("vision_projector", merged * text_of(read).whole("hidden_size")))


def minicpm_v(read: ConfigReader, vision: ConfigReader) -> Named:
    """MiniCPM-V 2 to 4.5's SigLIP, the last layer left out where it says so, and a resampler of learned queries."""
    hidden = vision.whole("hidden_size", default=1152)
    places, text = _grid(vision, 980, 14), read.whole("hidden_size")
    cut = 1 if read.flag("drop_vision_last_layer") else 0
    depth = max(vision.whole("num_hidden_layers", default=27, high=LARGEST["layers"]) - cut, 1)
    own = ConfigReader({**vision.config, "num_hidden_layers": depth}, vision.problems, vision.place, vision.path)
    queries = read.whole("query_num", default=64, high=LARGEST["width"])
    sampler = queries * text + hidden * text + 4 * linear(text, text) + 6 * text + text * text
    return (("vision_tower", siglip(own, places=places, head=False)), ("vision_projector", sampler))


def whisper(audio: ConfigReader) -> int:
    """Parameters of Whisper's encoder: two convolutions, learned positions, layers without a bias on keys."""
    hidden = audio.whole("d_model", "hidden_size", default=1280)
    wide = audio.whole("encoder_ffn_dim", "intermediate_size", default=5120)
    depth = audio.whole("encoder_layers", "num_hidden_layers", default=32, high=LARGEST["layers"])
    mels, places = audio.whole("num_mel_bins", default=128), audio.whole("max_source_positions", default=1500)
    layer = encoder(hidden, wide) - hidden
    return linear(3 * mels, hidden) + linear(3 * hidden, hidden) + places * hidden + depth * layer + 2 * hidden


def voxtral(read: ConfigReader, audio: ConfigReader) -> Named:
    """Voxtral's Whisper, four frames joined, a two-layer projector without biases."""
    text, wide = text_of(read).whole("hidden_size", default=3072), audio.whole("intermediate_size", default=5120)
    return (("audio_tower", whisper(audio)), ("audio_projector", wide * text + text * text))


def qwen_audio(read: ConfigReader, audio: ConfigReader) -> Named:
    """Qwen2-Audio's Whisper, one matrix with biases into the text model."""
    hidden = audio.whole("d_model", default=1280)
    return (
        ("audio_tower", whisper(audio)),
        ("audio_projector", linear(hidden, text_of(read).whole("hidden_size", default=4096))),
    )


def omni_audio(read: ConfigReader, audio: ConfigReader) -> Named:
    """Qwen2.5-Omni's audio tower: Whisper without learned positions, one matrix with biases into the text model."""
    hidden, out = audio.whole("d_model", default=1280), audio.whole("output_dim", default=3584)
    places = audio.whole("max_source_positions", default=1500) * hidden
    marks = 2 * out  # begin and end of audio
    return (("audio_tower", whisper(audio) - places + marks), ("audio_projector", linear(hidden, out)))


def omni3_audio(read: ConfigReader, audio: ConfigReader) -> Named:
    """Qwen3-Omni's and Qwen3-ASR's audio tower: three convolutions, layers with biases, a two-layer projector."""
    hidden, wide = audio.whole("d_model", default=1280), audio.whole("encoder_ffn_dim", default=5120)
    depth = audio.whole("encoder_layers", default=32, high=LARGEST["layers"])
    small, mels = audio.whole("downsample_hidden_size", default=480), audio.whole("num_mel_bins", default=128)
    down = linear(9, small) + 2 * linear(9 * small, small)
    rows = ((((mels + 1) // 2) + 1) // 2 + 1) // 2
    tower = down + rows * small * hidden + depth * encoder(hidden, wide) + 2 * hidden
    out = audio.whole("output_dim", default=3584)
    return (("audio_tower", tower), ("audio_projector", linear(hidden, hidden) + linear(hidden, out)))
