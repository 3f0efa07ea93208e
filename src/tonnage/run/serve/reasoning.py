"""Reasoning apart from the answer, as `reasoning_content`: DeepSeek's convention, whatever the engine's is.

vLLM calls the field `reasoning` (it was `reasoning_content` before; docs.vllm.ai, "Reasoning Outputs"): both are given.
An engine that leaves it in the text is read by its tags.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

OPEN, CLOSE = "<think>", "</think>"

Plain = dict[str, object]


def dumped(body: Plain) -> bytes:
    """JSON as short as it is, in UTF-8; half of a surrogate pair, which UTF-8 does not have, stays escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def renamed(part: Plain) -> bool:
    """Give a message or delta `reasoning_content` where it has `reasoning`, and the other way; whether it had one."""
    for one, other in (("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")):
        if one in part and other not in part:
            part[other] = part[one]
            return True
    return False


@dataclass
class Splitter:
    """Splits one text, piece by piece, into what stands between the tags and the rest.

    within: whether the text begins inside; a tag that is cut by the end of a piece is held back until it is whole.
    """

    within: bool
    begun: bool = False
    ended: bool = False
    after_tag: bool = False
    held: str = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """(reasoning, answer) in this piece; line ends right after a tag belong to it."""
        text, self.held = self.held + piece, ""
        if not self.begun:
            text = self._opened(text)
        if self.after_tag:
            text = text.lstrip("\n")
            self.after_tag = not text
        if self.ended or not (self.within and self.begun):
            return "", text if self.begun else ""
        before, tag, after = text.partition(CLOSE)
        if tag:
            self.ended = True
            after = after.lstrip("\n")
            self.after_tag = not after
            return before, after
        self.held = text[len(text) - _cut(text, CLOSE) :]
        return text.removesuffix(self.held), ""

    def rest(self) -> tuple[str, str]:
        """What was held back when the text ends."""
        held, self.held = self.held, ""
        return (held, "") if self.within and not self.ended else ("", held)

    def _opened(self, text: str) -> str:
        """The text after an opening tag, if it begins with one."""
        start = text.lstrip()
        if OPEN.startswith(start):
            self.held = text
            return ""
        self.begun = True
        if start.startswith(OPEN):
            self.within = self.after_tag = True
            return start[len(OPEN) :]
        return text


def _cut(text: str, tag: str) -> int:
    """Characters at the end of a text that may be the beginning of a tag."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)


@dataclass
class Translator:
    """Reasoning apart in the choices of an answer or of its pieces; `think` as in `ServedRelease`."""

    think: str
    splitters: dict[int, Splitter] = field(default_factory=dict)

    def message(self, body: Plain) -> None:
        """A whole answer, in place."""
        for index, part in _parts(body, "message"):
            self._split(index, part, whole=True)
            renamed(part)

    def delta(self, body: Plain) -> None:
        """A piece of a stream, in place."""
        ended = {index for index, choice in _choices(body) if choice.get("finish_reason")}
        for index, part in _parts(body, "delta"):
            self._split(index, part, whole=index in ended)
            renamed(part)

    def _split(self, index: int, part: Plain, *, whole: bool) -> None:
        text = part.get("content")
        if self.think == "no" or not (isinstance(text, str) or whole):
            return
        splitter = self.splitters.setdefault(index, Splitter(self.think == "open"))
        inside, answer = splitter.feed(text) if isinstance(text, str) else ("", "")
        if whole:
            more = splitter.rest()
            inside, answer = inside + more[0], answer + more[1]
        if isinstance(text, str) or answer:
            part["content"] = answer
        if inside:
            part["reasoning_content"] = inside


def _choices(body: Plain) -> list[tuple[int, Plain]]:
    choices = body.get("choices")
    items = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return [(index if isinstance(index := item.get("index"), int) else 0, item) for item in items]


def _parts(body: Plain, key: str) -> list[tuple[int, Plain]]:
    return [(index, part) for index, choice in _choices(body) if isinstance(part := choice.get(key), dict)]
