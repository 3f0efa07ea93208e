"""The front before `transformers serve` with a tiny random model of DeepSeek-V3's architecture; or before vLLM.

`python tests/run/serve/real_engine.py` (`make serve-engine`; needs torch and transformers[serving]); with the word
`vllm` and TONNAGE_VLLM before vLLM, whose MLA wants DeepSeek's own latent of 512 + 64. The weights are random, so that
the words mean nothing; what is shown is the way there and back, streamed and not, under another name.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import openai

sys.path.insert(0, str(Path(__file__).parent))

from house import House, model

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789+-=;.? "
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}?"


def checkpoint(folder: Path) -> None:
    """A model of 0.2 M parameters with a tokenizer of characters."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<unk>", "<think>", "</think>", *CHARACTERS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("<think>|</think>|."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, moe_intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
        topk_group=1,
        n_shared_experts=1, first_k_dense_replace=1, kv_lora_rank=512, q_lora_rank=None, qk_rope_head_dim=64,
        qk_nope_head_dim=32, v_head_dim=32, max_position_embeddings=512, pad_token_id=0,
        eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    DeepseekV3ForCausalLM(config).save_pretrained(folder)
    path = folder / "config.json"
    more = {"topk_method": "noaux_tc", "scoring_func": "sigmoid"}  # which vLLM reads and transformers 5 does not write
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


def replica(folder: Path, engine: str) -> str:
    """The replica of a front's file: the stand-in for a vLLM that is not there, or vLLM itself."""
    if engine == "vllm":
        args = ["--reasoning-parser", "deepseek_r1", "--enforce-eager", "--max-model-len", "256"]
        return json.dumps({"vllm": f"{folder}/mini", "args": args, "start_within": "20min"})
    return json.dumps({"vllm": f"{folder}/mini", "command": "/no/vllm", "fallback": "transformers"})


def main() -> None:
    """Ask it, streamed and not, and say what came."""
    engine = sys.argv[1] if len(sys.argv) > 1 else "transformers"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint(folder / "mini")
        house = House(folder)
        try:
            begun = time.monotonic()
            text = model(f"r1: {{replicas: [{replica(folder, engine)}]}}") + f"logs: {folder}/logs\n"
            front = house.front(text, {"HF_HUB_OFFLINE": "1"}, within=900)
            print(f"ready after {time.monotonic() - begun:.0f} s")
            ask_all(front.url, {"vllm": "vllm"}.get(engine, "transformers (fallback)"))
        finally:
            house.end()
            for log in (*folder.glob("front-*.log"), *folder.glob("logs/*.log")):
                print(log.read_text(encoding="utf-8")[-3000:])


def ask_all(url: str, engine: str) -> None:
    """A whole answer, a stream and a completion; raises where one is not as it has to be."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    ask = {"model": "m", "messages": [{"role": "user", "content": "1+2"}], "max_tokens": 8}
    whole = client.chat.completions.with_raw_response.create(**ask)
    assert whole.headers["x-tonnage-engine"] == engine, whole.headers
    answer = whole.parse()
    print("whole:", answer.choices[0].message, answer.usage)
    pieces = list(client.chat.completions.create(**ask, stream=True))
    print("stream:", [piece.choices[0].delta.model_dump(exclude_none=True) for piece in pieces if piece.choices])
    message = answer.choices[0].message
    assert message.content or message.reasoning_content
    assert answer.usage and answer.usage.completion_tokens == 8 and len(pieces) > 2
    print("completion:", client.completions.create(model="m", prompt="1+2", max_tokens=4).choices[0].text)


if __name__ == "__main__":
    main()
