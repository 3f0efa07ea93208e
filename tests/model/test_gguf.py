"""The header of a GGUF file: sizes, and the block type of every tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from tonnage.errors import InputError
from tonnage.model import load, params

HIDDEN, WIDE, DEPTH, VOCAB = 256, 512, 2, 96


def written(path: Path, architecture: str = "llama", *, tables: bool = True, layers: bool = True) -> Path:
    """A small file, or a shard of it: F16 tables, Q8_0 attention, Q4_0 in the FFN."""
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(DEPTH)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(4096)
    writer.add_vocab_size(VOCAB)
    plain = np.zeros((VOCAB, HIDDEN), np.float16)
    for name in ("token_embd", "output") if tables else ():
        writer.add_tensor(f"{name}.weight", plain)
    for layer in range(DEPTH if layers else 0):
        for name, rows in (("attn_q", HIDDEN), ("attn_k", 128), ("attn_v", 128), ("attn_output", HIDDEN)):
            held = np.zeros((rows, HIDDEN // 32 * 34), np.uint8)
            writer.add_tensor(f"blk.{layer}.{name}.weight", held, raw_dtype=GGMLQuantizationType.Q8_0)
        for name, rows, width in (("ffn_gate", WIDE, HIDDEN), ("ffn_up", WIDE, HIDDEN), ("ffn_down", HIDDEN, WIDE)):
            held = np.zeros((rows, width // 32 * 18), np.uint8)
            writer.add_tensor(f"blk.{layer}.{name}.weight", held, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_header_gives_sizes_and_formats(tmp_path: Path) -> None:
    arch = load(written(tmp_path / "small.gguf"))
    attention = HIDDEN * (2 * HIDDEN + 2 * 128)
    assert params(arch).total == 2 * VOCAB * HIDDEN + DEPTH * (attention + 3 * HIDDEN * WIDE + 2 * HIDDEN) + HIDDEN
    assert (arch.context, arch.tied, arch.model_type) == (4096, False, "llama")
    elements = {part: arch.release.element(part) for part in ("attention", "ffn", "embedding", "head")}
    assert elements == {"attention": 34 / 32, "ffn": 18 / 32, "embedding": 2.0, "head": 2.0}


def test_a_split_file_is_read_whole(tmp_path: Path) -> None:
    first = written(tmp_path / "m-00001-of-00002.gguf", layers=False)
    with pytest.raises(InputError, match="shard"):
        load(first)
    written(tmp_path / "m-00002-of-00002.gguf", tables=False)
    assert load(first).release.element("ffn") == 18 / 32


def test_unknown_architectures_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not read from GGUF"):
        load(written(tmp_path / "other.gguf", "clip"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(range(64)))
    with pytest.raises(InputError, match="GGUF"):
        load(broken)
