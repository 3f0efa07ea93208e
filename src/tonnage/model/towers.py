"""Further towers of multimodal releases: their parameters by name, with the defaults of transformers 5.23."""

from __future__ import annotations

from tonnage.model.config import LARGEST, ConfigReader

Named = tuple[tuple[str, int], ...]


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a linear layer with biases."""
    return (inputs + 1) * outputs


def text_of(read: ConfigReader) -> ConfigReader:
    """The language part of a release."""
    return read.section("text_config") or read.section("llm_config") or read


def side_of(vision: ConfigReader, key: str, default: int) -> int:
    """A side [pixel], of a number or of a list of two alike."""
    value = vision.config.get(key)
    if isinstance(value, (list, tuple)):
        given = ConfigReader({key: value[0] if value else None}, vision.problems, vision.place, vision.path)
        return given.whole(key, default=default)
    return vision.whole(key, default=default)


def encoder(hidden: int, wide: int) -> int:
    """Parameters of a layer with biases everywhere and two LayerNorms (ViT, CLIP, SigLIP)."""
    return 4 * linear(hidden, hidden) + linear(hidden, wide) + linear(wide, hidden) + 4 * hidden


def pixtral(read: ConfigReader, vision: ConfigReader) -> Named:
    """Mistral 3's Pixtral: gated layers with RMS norms and no biases, a merger of patches, a two-layer projector."""
    hidden, wide = vision.whole("hidden_size", default=1024), vision.whole("intermediate_size", default=4096)
    patch, merged = vision.whole("patch_size", default=14), read.whole("spatial_merge_size", default=2) ** 2
    text = text_of(read).whole("hidden_size", default=4096)
    layer = 4 * hidden * hidden + 3 * hidden * wide + 2 * hidden
    depth = vision.whole("num_hidden_layers", default=24, high=LARGEST["layers"])
    tower = 3 * patch**2 * hidden + hidden + depth * layer
    held = 2 * text if read.flag("multimodal_projector_bias") else 0
    projector = hidden + merged * hidden * hidden + hidden * text + text * text + held
    return (("vision_tower", tower), ("vision_projector", projector))


def llama4(read: ConfigReader, vision: ConfigReader) -> Named:
    """Llama 4's tower: layers with biases, positions learned, an adapter that shuffles pixels, one matrix to text."""
    hidden, wide = vision.whole("hidden_size", default=768), vision.whole("intermediate_size", default=5632)
    patch, side = vision.whole("patch_size", default=14), vision.whole("image_size", default=448)
    depth = vision.whole("num_hidden_layers", default=34, high=LARGEST["layers"])
    places = (side // patch) ** 2 + 1
    tower = 3 * patch**2 * hidden + hidden + places * hidden + 4 * hidden + depth * encoder(hidden, wide)
    into, out = (vision.whole(f"projector_{way}_dim", default=4096) for way in ("input", "output"))
    adapter = wide * into + out * out
    text = text_of(read).whole("hidden_size", default=5120)
    return (("vision_tower", tower + adapter), ("vision_projector", vision.whole("vision_output_dim") * text))


def internvl(read: ConfigReader, vision: ConfigReader) -> Named:
    """InternVL's InternViT: a class token, learned positions, layers with scales, pixels shuffled by two."""
    hidden, wide = vision.whole("hidden_size", default=1024), vision.whole("intermediate_size", default=4096)
    patch, side = side_of(vision, "patch_size", 14), side_of(vision, "image_size", 448)
    bias = vision.flag("qkv_bias") or vision.flag("attention_bias")
    normed = vision.flag("qk_normalization") or vision.flag("use_qk_norm")
    vectors = 1 if vision.text("norm_type") == "rms_norm" else 2
    layer = 3 * hidden * hidden + (3 * hidden if bias else 0) + linear(hidden, hidden)
    layer += linear(hidden, wide) + linear(wide, hidden) + 2 * vectors * hidden + 2 * hidden
    layer += 2 * hidden if normed else 0
    depth = vision.whole("num_hidden_layers", default=24, high=LARGEST["layers"])
    places = (side // patch) ** 2 + 1
    tower = hidden + linear(3 * patch**2, hidden) + places * hidden + depth * layer
    text = text_of(read).whole("hidden_size", default=4096)
    projector = 8 * hidden + linear(4 * hidden, text) + linear(text, text)
    return (("vision_tower", tower), ("vision_projector", projector))


def glm4v(_: ConfigReader, vision: ConfigReader) -> Named:
    """GLM-4.1V to 4.6V: gated layers, RMS norms, 3D patches, learned positions, a convolution down, a gated merger."""
    hidden, out = vision.whole("hidden_size", default=1536), vision.whole("out_hidden_size", default=4096)
    patch, side = vision.whole("patch_size", default=14), vision.whole("image_size", default=336)
    volume = vision.whole("in_channels", default=3) * vision.whole("temporal_patch_size", default=2) * patch**2
    merge = vision.whole("spatial_merge_size", default=2) ** 2
    wide = vision.whole("intermediate_size", default=13696)
    layer = 4 * hidden * hidden + 3 * hidden * out + 2 * hidden
    layer += 4 * hidden if vision.flag("attention_bias") else 0
    tower = linear(volume, hidden) + (side // patch) ** 2 * hidden + 2 * hidden
    tower += vision.whole("depth", default=24, high=LARGEST["layers"]) * layer
    merger = linear(merge * hidden, out) + out * out + 2 * out + 3 * out * wide
    return (("vision_tower", tower), ("vision_projector", merger))


def paligemma(read: ConfigReader, vision: ConfigReader) -> Named:
    """PaliGemma's SigLIP, one matrix with biases into the text model."""
    hidden, wide = vision.whole("hidden_size", default=768), vision.whole("intermediate_size", default=3072)
    patch, side = vision.whole("patch_size", default=16), vision.whole("image_size", default=224)
    depth = vision.whole("num_hidden_layers", default=12, high=LARGEST["layers"])
    tower = linear(3 * patch**2, hidden) + (side // patch) ** 2 * hidden + depth * encoder(hidden, wide) + 2 * hidden
    return (("vision_tower", tower), ("vision_projector", linear(hidden, text_of(read).whole("hidden_size"))))


def llava(read: ConfigReader, vision: ConfigReader) -> Named:
    """LLaVA's CLIP: a class token, learned positions, two LayerNorms around the layers, a two-layer projector."""
    hidden, wide = vision.whole("hidden_size", default=1024), vision.whole("intermediate_size", default=4096)
    patch, side = vision.whole("patch_size", default=14), vision.whole("image_size", default=336)
    depth = vision.whole("num_hidden_layers", default=24, high=LARGEST["layers"])
    text = text_of(read).whole("hidden_size", default=4096)
    places = (side // patch) ** 2 + 1
    tower = hidden + 3 * patch**2 * hidden + places * hidden + 4 * hidden + depth * encoder(hidden, wide)
    return (("vision_tower", tower), ("vision_projector", linear(hidden, text) + linear(text, text)))


def muse(read: ConfigReader, vision: ConfigReader) -> Named:
    """Muse Glimmer's ViT: patches over time, learned positions, layers with biases, an adapter without."""
    hidden, wide = vision.whole("hidden_size", default=1536), vision.whole("intermediate_size", default=8960)
    patch, frames = vision.whole("patch_size", default=14), vision.whole("patch_temporal", default=2)
    places = vision.whole("pos_emb_height", default=32) * vision.whole("pos_emb_width", default=32)
    depth = vision.whole("num_hidden_layers", default=50, high=LARGEST["layers"])
    tower = 3 * frames * patch**2 * hidden + places * hidden + 4 * hidden + depth * encoder(hidden, wide)
    out, inner = read.whole("out_hidden_size", default=6144), read.whole("projector_hidden_size", default=4096)
    text = text_of(read).whole("hidden_size", default=6656)
    return (("vision_tower", tower), ("vision_projector", out * inner + inner * inner + inner * text))


def ernie(read: ConfigReader, vision: ConfigReader) -> Named:
    """ERNIE 4.5 VL: a ViT, a resampler over space and time, and in each layer experts that images alone visit."""
    text = text_of(read)
    hidden, width = vision.whole("hidden_size", default=1280), text.whole("hidden_size", default=2560)
    wide = vision.whole("intermediate_size", default=4 * hidden)
    depth = vision.whole("depth", default=32, high=LARGEST["layers"])
    patches = vision.whole("in_channels", default=3) * vision.whole("patch_size", default=14) ** 2 * hidden
    tower = patches + depth * encoder(hidden, wide) + 2 * hidden
    merged = hidden * vision.whole("spatial_merge_size", default=2) ** 2
    over_time = merged * vision.whole("temporal_merge_size", default=2)
    sampler = 3 * linear(merged, merged) + linear(over_time, merged) + 4 * merged + linear(merged, width) + width
    return (("vision_tower", tower), ("vision_projector", sampler), ("vision_experts", _ernie_experts(text, width)))


def _ernie_experts(text: ConfigReader, width: int) -> int:
    """Parameters of the experts for images, the second of the two sizes, with their router."""
    sizes, counts = (text.config.get(key) for key in ("moe_intermediate_size", "moe_num_experts"))
    size = sizes[1] if isinstance(sizes, (list, tuple)) and len(sizes) > 1 else 512
    count = counts[-1] if isinstance(counts, (list, tuple)) and counts else counts
    own = ConfigReader({"size": size, "count": count}, text.problems, text.place, text.path)
    experts = own.whole("count", default=64, high=LARGEST["experts"])
    depth = text.whole("num_hidden_layers", default=28, high=LARGEST["layers"])
    kinds = text.kinds("mlp_layer_types", depth)
    layers = sum(kind == "sparse" for kind in kinds) if kinds else depth - 1
    return layers * (experts * (3 * width * own.whole("size") + width + 1))


def gemma4_audio(read: ConfigReader, audio: ConfigReader) -> Named:
    """Gemma 4's audio tower: convolutions down, layers of two FFNs around attention with relative positions and a
    convolution, no biases; one matrix into the text model.
    """
    hidden, out = audio.whole("hidden_size", default=1024), audio.whole("output_proj_dims", default=1536)
    given = audio.listing("subsampling_conv_channels") or [128, 32]
    channels = [each for each in given if isinstance(each, int) and 0 < each <= LARGEST["width"]]
    first, second = (*channels, 1, 1)[:2]
    depth = audio.whole("num_hidden_layers", default=12, high=LARGEST["layers"])
    heads = audio.whole("num_attention_heads", default=8, high=LARGEST["heads"])
    kernel = audio.whole("conv_kernel_size", default=5)
    layer = 16 * hidden * hidden + 4 * hidden  # two FFNs, four times as wide
    layer += 5 * hidden * hidden + hidden // heads + 3 * hidden  # attention
    layer += 3 * hidden * hidden + kernel * hidden + 2 * hidden  # convolution
    down = 9 * first + first + 9 * first * second + second + hidden * hidden
    into = text_of(read).whole("hidden_size") * out
    return (("audio_tower", down + depth * layer + linear(hidden, out)), ("audio_projector", into))
