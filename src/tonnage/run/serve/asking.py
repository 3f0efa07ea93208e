"""A request's body -> what is asked, or a refusal. What the front does not need to know is left to the engine."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from tonnage.run.serve import refusals
from tonnage.run.serve.reasoning import dumped

PATHS = {"/v1/chat/completions": "messages", "/v1/completions": "prompt"}
"""What is answered, and what each needs."""

BYTES_A_TOKEN = 4
"""Bytes of a request for each token promised for its prompt, until the engine has counted: OpenAI's rule of thumb
for English (help.openai.com, "What are tokens and how to count them?")."""
USUAL_COMPLETION = 1024
"""Tokens that are promised where a request sets no bound of its own."""
MOST_TOKENS, MOST_CHOICES = 10_000_000, 128


@dataclass(frozen=True)
class ChatRequest:
    """One request: where, what, whether as a stream; its tenant is charged `promised` tokens until it is counted."""

    path: str
    model: str
    body: dict[str, object]
    stream: bool
    wants_usage: bool
    prompt: int
    completion: int

    @property
    def promised(self) -> int:
        """Tokens at most, as far as it can be said before."""
        return self.prompt + self.completion

    def content(self, model: str) -> bytes:
        """The body that an engine is sent: under its own name of the model, and asked to count the tokens."""
        body = {**self.body, "model": model}
        if self.stream:
            options = self.body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return dumped(body)


def asked(path: str, content: bytes) -> ChatRequest:
    """Read a body. Raises ApiError (400)."""
    try:
        body = json.loads(content, parse_constant=_no_constant, parse_float=_finite)
        content.decode("utf-8")
    except (ValueError, RecursionError):
        raise refusals.not_json() from None
    if not isinstance(body, dict):
        raise refusals.not_json()
    model = body.get("model")
    if model is None:
        raise refusals.missing("model")
    if not isinstance(model, str):
        raise refusals.invalid("model", "a string")
    _check_subject(body, PATHS[path])
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise refusals.invalid("stream_options", "an object")
    if options is not None and not stream:
        raise refusals.invalid("stream_options", "no such object unless 'stream' is true")
    return ChatRequest(
        path,
        model,
        body,
        stream,
        bool(options and options.get("include_usage")),
        max(1, len(content) // BYTES_A_TOKEN),
        _completion(body),
    )


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _finite(word: str) -> float:
    """A number that an engine can be sent again: 1e999 is read as infinity, which JSON has not."""
    found = float(word)
    if not math.isfinite(found):
        raise ValueError(word)
    return found


def _check_subject(body: dict[str, object], key: str) -> None:
    found = body.get(key)
    if found is None:
        raise refusals.missing(key)
    if key == "messages":
        if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
            raise refusals.invalid(key, "a non-empty array of messages")
    elif not isinstance(found, (str, list)):
        raise refusals.invalid(key, "a string or an array")


def _flag(body: dict[str, object], key: str) -> bool:
    found = body.get(key)
    if found is not None and not isinstance(found, bool):
        raise refusals.invalid(key, "a boolean")
    return bool(found)


def _whole(body: dict[str, object], key: str, most: int) -> int | None:
    found = body.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= most:
        raise refusals.invalid(key, f"an integer from 1 to {most}")
    return found


def _completion(body: dict[str, object]) -> int:
    bounds = [_whole(body, key, MOST_TOKENS) for key in ("max_completion_tokens", "max_tokens")]
    bound = next((n for n in bounds if n is not None), USUAL_COMPLETION)
    return bound * (_whole(body, "n", MOST_CHOICES) or 1)
