"""The tokens of small runs: one for each character, and those around the reasoning, which are ordinary tokens.

`</think>` is no special token: engines that split reasoning from answers look for its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

PAD, BOS, EOS, THINK, ANSWER = range(5)
MARKS = ("<pad>", "<bos>", "<eos>", "<think>", "</think>")
CHARACTERS = "0123456789+-*/=;:,.()<>?! abcdefghijklmnopqrstuvwxyz"
TOKENS = (*MARKS, *CHARACTERS)
VOCABULARY = 64
"""Rows of the embedding: the tokens, brought onto a multiple that devices like."""

_IDS = {token: number for number, token in enumerate(TOKENS)}


def encode(text: str) -> list[int]:
    """Tokens of a text; marks are read whole. Raises KeyError for a character that no token stands for."""
    ids: list[int] = []
    at = 0
    while at < len(text):
        mark = next((mark for mark in MARKS if text.startswith(mark, at)), text[at])
        ids.append(_IDS[mark])
        at += len(mark)
    return ids


def decode(ids: Iterable[int]) -> str:
    """Text of tokens, up to the end of the sequence."""
    text: list[str] = []
    for number in ids:
        if number == EOS:
            break
        text.append(TOKENS[number] if number < len(TOKENS) else "?")
    return "".join(text)


TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '=' }}{% endif %}"
)
"""A conversation as the model was trained: the question, then an equals sign."""


def write_tokenizer(folder: Path) -> None:
    """The tokenizer as transformers and engines read it."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(WordLevel(dict(_IDS), unk_token="?"))
    plain.pre_tokenizer = Split(Regex("</think>|<[a-z]+>|."), behavior="isolated")
    plain.decoder = Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token=MARKS[BOS], eos_token=MARKS[EOS], pad_token=MARKS[PAD]
    )
    made.chat_template = TEMPLATE
    made.save_pretrained(str(folder))


def padded(rows: Sequence[Sequence[int]], fill: int, *, left: bool = False) -> list[list[int]]:
    """Rows of one length."""
    longest = max(len(row) for row in rows)
    blank = [[fill] * (longest - len(row)) for row in rows]
    return [[*space, *row] if left else [*row, *space] for row, space in zip(rows, blank, strict=True)]
