"""Families that engines register and that were refused before, against the classes of transformers on the meta device:
parameters exactly; those that it does not build, against what their makers and readers of their files published.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tonnage.errors import UnsupportedModel
from tonnage.model import build, cache_bytes, checkpoint_bytes, params

LANGUAGE = (
    "axk2",
    "beam",
    "zaya",
    "olmo_hybrid",
    "flex_olmo",
    "granitemoe_swa",
    "gemma3n_text",
    "inkling2_text",
    "dots3_note_text",
    "jamba",
    "bamba",
    "mamba",
    "mamba2",
    "falcon_mamba",
    "falcon",
    "opt",
    "bloom",
    "mpt",
    "gptj",
    "gpt_neo",
    "gpt_bigcode",
    "persimmon",
    "jais2",
    "helium",
    "nanochat",
    "bitnet",
    "vaultgemma",
    "qwen3_moe",
    "aria_text",
)
WHOLE = ("glm5_next", "muse_spark", "glm_ocr", "cohere2_vision", "lfm2_vl", "smolvlm", "idefics3", "mllama")
HEARD = ("voxtral", "qwen2_audio", "qwen3_asr")


def counted(kind: str, cls: str) -> tuple[dict[str, Any], int]:
    """(a configuration as the library writes it, parameters of its model)."""
    import torch
    import transformers

    settings = transformers.AutoConfig.for_model(kind)
    with torch.device("meta"):
        model = getattr(transformers, cls).from_config(settings)
    config = json.loads(json.dumps(settings.to_dict(), default=str))
    kept = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    return kept, sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", LANGUAGE)
def test_language_models(kind: str) -> None:
    config, total = counted(kind, "AutoModelForCausalLM")
    assert params(build(config, name=kind)).total == total


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WHOLE)
def test_releases_with_their_towers(kind: str) -> None:
    cls = "AutoModelForCausalLM" if kind == "mllama" else "AutoModelForImageTextToText"
    config, total = counted(kind, cls)
    if kind == "mllama":  # the class of its language part alone
        config.pop("vision_config")
    found = build(config, name=kind)
    assert params(found).total == total
    assert not found.left_out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", HEARD)
def test_releases_that_hear(kind: str) -> None:
    config, total = counted(kind, "AutoModelForMultimodalLM")
    assert params(build(config, name=kind)).total == total


FLASH_NEXT: dict[str, Any] = {
    "architectures": ["Qwen4ExpForConditionalGeneration"],
    "model_type": "qwen4_exp",
    "text_config": {
        "model_type": "qwen3_8_flash_next_text",
        "vocab_size": 248320,
        "hidden_size": 2560,
        "num_hidden_layers": 48,
        "num_attention_heads": 24,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "max_position_embeddings": 262144,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 48,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 12,
        "moe_intermediate_size": 640,
        "shared_expert_intermediate_size": 640,
        "num_experts_per_tok": 10,
        "num_experts": 512,
        "hc_count": 4,
        "hc_lowrank": 320,
        "ple_layer_ids": [2],
        "ple_embed_dim": 2560,
        "ngram_size": 3,
        "heads_per_ngram": 8,
        "ngram_vocab_size_base": 20000000,
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 128,
        "indexer_budget": 2048,
        "indexer_compress_ratio": 4,
        "tie_word_embeddings": False,
        "mtp_num_hidden_layers": 1,
    },
}


def test_qwen_flash_next_has_its_table_of_ngrams() -> None:
    """A table of 320,001,536 rows of 160 (github.com/Tanguille/cluster pull request 4764: 176.9B in all, 51.2B of them
    in the table, 6B active).
    """
    found = build(FLASH_NEXT, name="flash-next")
    made = params(found)
    assert made.by_name["ngram_table_0"] == 320_001_536 * 160
    assert made.total == 176_943_899_520
    assert made.active == pytest.approx(6e9, rel=0.15)


def test_index_keys_that_blocks_share_take_their_share_of_the_cache() -> None:
    """Of 12 layers, 2 heads of key and value of 256 a token, and an index key of 128 for four tokens."""
    found = build(FLASH_NEXT, name="flash-next")
    token = cache_bytes(found, 4096.0, 2.0) - cache_bytes(found, 0.0, 2.0)
    assert float(token) == pytest.approx(4096 * 12 * 2 * (2 * 2 * 256 + 128 / 4))


DEEPSEEK: dict[str, Any] = {
    "architectures": ["DeepseekV41ForCausalLM"],
    "model_type": "deepseek_v41",
    "dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": [32, 32],
        "scale_fmt": "ue8m0",
        "expert_dtype": "fp4",
    },
    "text_config": {
        "model_type": "deepseek_v41_text",
        "vocab_size": 129280,
        "hidden_size": 5120,
        "moe_intermediate_size": 2304,
        "num_hidden_layers": 40,
        "num_attention_heads": 64,
        "num_key_value_heads": 1,
        "head_dim": 512,
        "qk_rope_head_dim": 64,
        "q_lora_rank": 1280,
        "o_lora_rank": 1024,
        "o_groups": 8,
        "max_position_embeddings": 1048576,
        "n_routed_experts": 384,
        "n_shared_experts": 1,
        "num_experts_per_tok": 6,
        "sliding_window": 128,
        "compress_ratios": [0, 0] + [2] * 18 + [1] * 20 + [0] * 3,
        "kv_source_layer_ids": [2, 8, 14, 20],
        "index_source_layer_ids": [2, 8, 14, 20, 24, 28, 32, 36],
        "index_n_heads": 32,
        "index_head_dim": 128,
        "index_topk": 512,
        "hc_mult": 4,
        "engram_layer_ids": [1, 14],
        "engram_num_embeddings": [384006168, 384016682],
        "engram_max_ngram_size": 4,
        "engram_n_heads": 8,
        "engram_head_dim": 256,
        "num_nextn_predict_layers": 3,
        "dspark_target_layer_ids": [37, 38, 39],
        "dspark_markov_rank": 256,
        "dspark_n_routed_experts": 128,
        "dspark_num_experts_per_tok": 3,
    },
    "vision_config": {
        "model_type": "deepseek_v41_vision",
        "num_hidden_layers": 32,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 2816,
        "patch_size": 14,
        "downsample_ratio": 3,
    },
}


def test_deepseek_v41_is_its_published_sizes() -> None:
    """552B, 197B, 14B and 485M (github.com/huggingface/huggingface.js pull request 2469); 16B active (its card);
    510,286,023,000 bytes of tensors (github.com/lvyufeng/PocketLLM docs/models/deepseek-v4.1-flash.md).
    """
    found = build(DEEPSEEK, name="v41")
    made = params(found)
    tables = sum(size for name, size in made.by_name.items() if name.startswith("engram_table"))
    assert made.total - tables - made.encoders == pytest.approx(552e9, rel=1e-3)
    assert tables == 196_613_849_600
    assert made.mtp == pytest.approx(14e9, rel=0.02)
    assert made.encoders == pytest.approx(485e6, rel=0.01)
    assert made.active == pytest.approx(16e9, rel=0.02)
    assert float(checkpoint_bytes(found)) == pytest.approx(510_286_023_000, rel=2e-3)


def test_deepseek_v41_keeps_its_long_range_in_four_layers() -> None:
    """1,650 bytes a token in 8 bits (github.com/ztxz16/fastllm docs/deepseek_v41.md)."""
    found = build(DEEPSEEK, name="v41")
    assert float(cache_bytes(found, 65536.0, 1.0)) == pytest.approx(65536 * 1650)


GLM: dict[str, Any] = {
    "architectures": ["Glm5NextForConditionalGeneration"],
    "model_type": "glm5_next",
    "text_config": {
        "model_type": "glm5_next_text",
        "hidden_size": 4096,
        "num_hidden_layers": 45,
        "num_nextn_predict_layers": 1,
        "intermediate_size": 12288,
        "vocab_size": 154880,
        "max_position_embeddings": 1048576,
        "num_attention_heads": 64,
        "num_key_value_heads": 64,
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_nope_head_dim": 256,
        "qk_rope_head_dim": 0,
        "v_head_dim": 256,
        "linear_attn_config": {"num_heads": 64, "head_dim": 128, "short_conv_kernel_size": 4},
        "n_routed_experts": 288,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "n_shared_experts": 1,
        "first_k_dense_replace": 3,
        "layer_types": [
            "deepseek_sparse_attention" if (layer + 1) % 4 == 0 else "linear_attention" for layer in range(45)
        ],
        "hc_mult": 4,
        "index_n_heads": 32,
        "index_head_dim": 128,
        "index_topk": 2048,
        "index_kpool": 4,
        "indexer_types": ["full"] * 45,
    },
}


def test_glm_5_3_flash_as_its_release_names_things() -> None:
    """320B and 18B active (github.com/huggingface/transformers pull request 48342), with the layer that drafts 321B."""
    made = params(build(GLM, name="glm-5.3-flash"))
    assert made.total + made.mtp == pytest.approx(321e9, rel=0.005)
    assert made.active + GLM["text_config"]["vocab_size"] * 4096 == pytest.approx(18e9, rel=0.05)  # with the table


def step3(**more: Any) -> dict[str, Any]:
    return {
        "architectures": ["Step3VLForConditionalGeneration"],
        "model_type": "step3_vl",
        "text_config": {
            "model_type": "step3_text",
            "hidden_size": 7168,
            "intermediate_size": 18432,
            "num_attention_heads": 64,
            "num_attention_groups": 1,
            "num_hidden_layers": 61,
            "max_seq_len": 65536,
            "vocab_size": 128815,
            "moe_intermediate_size": 5120,
            "moe_num_experts": 48,
            "moe_top_k": 3,
            "share_expert_dim": 5120,
            "share_q_dim": 2048,
            "head_dim": 256,
            "moe_layers_enum": ",".join(str(layer) for layer in range(4, 60)),
            **more,
        },
    }


def test_step3_is_316b_with_38b_active() -> None:
    """arXiv 2507.19427, table 1: 316B in the language part, 38B active."""
    made = params(build(step3(), name="step3"))
    assert made.total == pytest.approx(316e9, rel=0.005)
    assert made.active == pytest.approx(38e9, rel=0.02)


def test_step3_keeps_one_key_and_one_value_a_token() -> None:
    found = build(step3(), name="step3")
    assert float(cache_bytes(found, 1000.0, 2.0)) == 1000 * 61 * 2 * 256 * 2


@pytest.mark.parametrize(
    ("config", "total"),
    [
        (
            {
                "model_type": "chatglm",
                "hidden_size": 4096,
                "ffn_hidden_size": 13696,
                "num_layers": 40,
                "num_attention_heads": 32,
                "kv_channels": 128,
                "multi_query_attention": True,
                "multi_query_group_num": 2,
                "add_qkv_bias": True,
                "padded_vocab_size": 151552,
                "seq_length": 131072,
            },
            9_399_951_360,
        ),
        (
            {
                "model_type": "qwen",
                "hidden_size": 4096,
                "intermediate_size": 22016,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "kv_channels": 128,
                "vocab_size": 151936,
                "seq_length": 8192,
            },
            7_721_324_544,
        ),
        (
            {
                "model_type": "dbrx",
                "d_model": 6144,
                "n_heads": 48,
                "n_layers": 40,
                "max_seq_len": 32768,
                "vocab_size": 100352,
                "attn_config": {"kv_n_heads": 8},
                "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
            },
            131_596_523_520,
        ),
    ],
    ids=["glm-4-9b-chat", "qwen-7b", "dbrx"],
)
def test_makers_own_names_of_sizes(config: dict[str, Any], total: int) -> None:
    """Totals that their pages on Hugging Face show."""
    assert params(build(config, name="model")).total == total


@pytest.mark.parametrize(
    ("version", "family"), [(2.5, "llama"), (2.6, "qwen2"), (4.0, "llama"), (4.5, "qwen3"), ("2.6", "qwen2")]
)
def test_minicpm_v_is_of_the_family_that_its_version_has(version: object, family: str) -> None:
    config = {
        "model_type": "minicpmv",
        "version": version,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 151666,
        "query_num": 64,
        "vision_config": {"model_type": "siglip", "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 14},
    }
    found = build(config, name="minicpm-v")
    assert found.model_type == family
    assert not found.left_out


def test_minicpm_v_2_6_is_8_1b() -> None:
    """8.10B parameters: its page on Hugging Face."""
    config = {
        "model_type": "minicpmv",
        "version": 2.6,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 151666,
        "query_num": 64,
        "drop_vision_last_layer": False,
        "vision_config": {
            "model_type": "siglip",
            "hidden_size": 1152,
            "image_size": 980,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "patch_size": 14,
        },
    }
    assert params(build(config, name="minicpm-v")).total == pytest.approx(8.10e9, rel=2e-3)


def test_a_version_of_minicpm_v_that_is_new_is_refused_with_those_that_are_known() -> None:
    config = {"model_type": "minicpmv", "version": 9.9, "hidden_size": 64}
    with pytest.raises(UnsupportedModel, match=r"version.*2\.6"):
        build(config, name="minicpm-v")
