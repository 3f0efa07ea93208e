"""Files packed, encoded or counted in ways that nobody means: bombs, other encodings, headers with absurd counts."""

from __future__ import annotations

import functools
import gzip
import json
import random
import struct

from inputs import PROGRAMME, RUN, Tried
from newer import HEAD as CALIBRATION
from newer import SERVICE, TRACES, _calibration_rows, saved_plan

from tonnage.catalog.models import find


@functools.cache
def _plan() -> str:
    return json.dumps(saved_plan("serve"))


@functools.cache
def _config() -> str:
    from tonnage import catalog

    return json.dumps(dict(find("qwen3-0.6b", catalog.load().model_lines)[1]))


# ---------------------------------------------------------------- packed traces

FIRST = b"TIMESTAMP,ContextTokens,GeneratedTokens\n"


@functools.cache
def _bomb(piece: bytes, times: int, first: bytes = FIRST) -> bytes:
    return gzip.compress(first + piece * times, 1)


def packed_trace(dice: random.Random) -> Tried:
    """A packed trace that is cut off, damaged, packed twice, none at all, or a bomb."""
    rows = "\n".join(TRACES["azure.csv"] * dice.choice((1, 40))).encode()
    data = bytearray(gzip.compress(rows))
    how = dice.randrange(8)
    if how == 0:
        data = data[: dice.randrange(len(data))]
    elif how == 1:
        for _ in range(dice.choice((1, 5))):
            data[dice.randrange(len(data))] = dice.randrange(256)
    elif how == 2:
        data = bytearray(gzip.compress(bytes(data)))
    elif how == 3:
        data = bytearray(dice.choice((b"", b"\x1f\x8b", b"x" * 100, b"\x1f\x8b\x08\x00" + b"\xff" * 50, rows)))
    elif how == 4:
        data += dice.choice((b"x" * 50, bytes(data), b"\0" * 5000))
    elif how == 5:
        data = bytearray(_bomb(b"\n", 60_000_000))
    elif how == 6:
        data = bytearray(_bomb(b"\0", 60_000_000))
    else:
        data = bytearray(_bomb(b'{"timestamp": 1, "input_length": 5, "output_length": 5}\n', 600_000, b""))
    name = dice.choice(("t.csv.gz", "t.jsonl.gz"))
    flag = dice.choice(("--trace", "--fit-trace"))
    return Tried("packed", ("simulate", "p.json", flag, name), (("p.json", _plan()), (name, bytes(data))))


# ---------------------------------------------------------------- GGUF headers


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf(dice: random.Random) -> Tried:
    """A GGUF header whose counts, lengths, types and depths are what nothing can have."""
    many = dice.choice((0, 1, 2**16, 2**31, 2**60, 2**64 - 1))
    length = dice.choice((0, 5, 2**20, 2**62, 2**64 - 1))
    pairs = [_text(b"general.architecture") + struct.pack("<I", 8) + _text(dice.choice((b"llama", b"\xff\xfe", b"")))]
    for key in ("block_count", "embedding_length", "attention.head_count", "feed_forward_length", "vocab_size"):
        kind, form = dice.choice(((4, "<I"), (10, "<Q"), (5, "<i"), (6, "<f"), (12, "<d"), (7, "<?"), (11, "<q")))
        value = dice.choice((1, 2, 32, 4096))
        if kind in (10, 11) and dice.random() < 0.3:
            value = 2**62
        number = struct.pack(form, value if kind != 7 else bool(value))
        pairs.append(_text(f"llama.{key}".encode()) + struct.pack("<I", kind) + number)
    how = dice.randrange(6)
    if how == 0:
        pairs.append(_text(b"x") + struct.pack("<IIQ", 9, dice.choice((0, 4, 8, 9, 12, 99)), many))
    elif how == 1:
        pairs.append(_text(b"x") + struct.pack("<I", 8) + struct.pack("<Q", length))
    elif how == 2:
        pairs.append(_text(b"x") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * dice.choice((3, 5000)))
    elif how == 3:
        pairs.append(_text(b"x") + struct.pack("<I", dice.choice((13, 99, 2**32 - 1))))
    elif how == 4:
        pairs.append(struct.pack("<Q", length) + b"x")
    keys = len(pairs) if dice.random() < 0.7 else many
    tensors, info = 0, b""
    if dice.random() < 0.5:
        tensors = dice.choice((1, 1, many))
        dims = dice.choice((1, 2, 4, 2**32 - 1))
        info = _text(b"token_embd.weight") + struct.pack("<I", dims)
        info += struct.pack("<Q", dice.choice((1, 4096, 2**62))) * min(dims, 4)
        info += struct.pack("<IQ", dice.choice((0, 1, 8, 39, 9999)), dice.choice((0, 32, 2**62)))
    version = dice.choice((3, 3, 3, 2, 1, 0, 4, 2**24 * 3, 2**32 - 1))
    data = (
        b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(pairs) + info + b"\0" * dice.choice((0, 4096))
    )
    if dice.random() < 0.2:
        data = data[: dice.randrange(4, len(data))]
    name = dice.choice(("m.gguf", "m.gguf", "m-00001-of-00001.gguf", "m-00001-of-99999.gguf", "m-00000-of-00000.gguf"))
    return Tried("gguf", (dice.choice(("fit", "serve", "train")), name, "--on", "1xh20"), ((name, data),))


# ---------------------------------------------------------------- encodings


def encoded(dice: random.Random) -> Tried:
    """A file that is sound but for how its characters are written."""
    line = "\n".join(json.dumps(RUN) for _ in range(3))
    rows = "\n".join(json.dumps(row) for row in ({**CALIBRATION}, *_calibration_rows()))
    kinds: list[tuple[tuple[str, ...], str, str]] = [
        (("launch", "f.yaml", "--draws", "20"), "f.yaml", json.dumps(PROGRAMME)),
        (("fit", "f.json", "--on", "1xh20"), "f.json", _config()),
        (("train", "qwen3-0.6b", "--on", "8xh20", "--anchor", "f.jsonl"), "f.jsonl", line),
        (("accuracy", "serve", "--cases", "f.jsonl"), "f.jsonl", line),
        (("sources", "f.json"), "f.json", _plan()),
        (("rerun", "f.json"), "f.json", _plan()),
        (("export", "f.json", "vllm"), "f.json", _plan()),
        (("compare", "f.json", "f.json"), "f.json", _plan()),
        (("simulate", "f.yaml", "--requests=20", "--rate=1/s"), "f.yaml", json.dumps(SERVICE)),
        (("simulate", "p.json", "--trace", "f.csv"), "f.csv", "\n".join(TRACES["azure.csv"])),
        (("simulate", "p.json", "--trace", "f.jsonl"), "f.jsonl", "\n".join(TRACES["moon.jsonl"])),
        (("fit", "qwen3-0.6b", "--on", "1xmy-card", "--calibration", "f.jsonl"), "f.jsonl", rows),
        (("serve", "--from", "f.sh"), "f.sh", "vllm serve Qwen/Qwen3-8B --tensor-parallel-size 2  # für H100\n"),
        (
            ("run", "serve", "f.yaml", "--check"),
            "f.yaml",
            "models: {m: {releases: {r: {replicas: [{url: 'http://h:1'}]}}}}",
        ),
        (("run", "train", "f.yaml", "--into", "into", "--device=npu"), "f.yaml", "name: é\nmodel: deepseek-r1\n"),
        (("show", "h20", "--catalog", "own"), "own/f.csv", "entity,attribute,value\nh20-96gb,memory,1\n"),
    ]
    words, name, text = dice.choice(kinds)
    files: tuple[tuple[str, str | bytes], ...] = ((name, _written_oddly(text, dice)), ("p.json", _plan()))
    return Tried("encoded", words, files, ("into",))


def _written_oddly(text: str, dice: random.Random) -> bytes:
    how = dice.randrange(11)
    if how <= 3:
        return text.encode(("utf-16", "utf-32", "utf-16-be", "utf-8-sig")[how])
    if how == 4:
        return text.replace("\n", "\r\n").replace(", ", ",\r\n").encode()
    if how == 5:
        return text.replace("\n", "\r").encode()
    data = bytearray(text.encode())
    if how == 6:
        at = dice.randrange(len(data) + 1)
        data[at:at] = dice.choice((b"\0", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x1a", b"\x85"))
    elif how == 7:
        at = dice.randrange(len(data) + 1)
        data[at:at] = dice.choice(("\u2028", "\ufeff", "\u202e", "\u0085", "\x0b", "\x0c", "\u00a0", "\u3000")).encode()
    elif how == 8:
        data += dice.choice((b"\xe2\x82", b"\0" * 100, b"\x1a", b"\n\n\n", b"\xef\xbb\xbf"))
    elif how == 9:
        return text.replace('"', "\u201c").encode() if dice.random() < 0.5 else text.encode("cp037")
    else:
        return text.replace("e", dice.choice(("\\ud800", "\\u0000", "é", "\u0435", "\U0001f600"))).encode()
    return bytes(data)
