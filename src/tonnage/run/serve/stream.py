"""Server-sent events of an engine, passed on as they come: whole events, with reasoning apart and the tokens counted.

Most events pass as they are. Only those that hold something to change are read as JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tonnage.run.serve.reasoning import Plain, Translator, dumped

LONGEST = 4_000_000
"""Bytes of one event."""

_LOOK = re.compile(rb'"reasoning|"usage":\s*\{|\[DONE\]|"error":\s*[{"]|^event:\s*error', re.M)
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_FINISH = re.compile(rb'"finish_reason":\s*"')
_PIECE = re.compile(rb'"(?:delta|text)":')
_REASONING = re.compile(
    rb'"delta":\s*\{(?:"role":\s*"\w+",\s*)?(?:"content":\s*(?:""|null),\s*)?"reasoning":\s*("(?:[^"\\]|\\.)*")'
)
"""A piece of reasoning as vLLM says it, up to its text. A quote within a text is escaped, so that a key is no text."""
DONE = b"data: [DONE]\n\n"


class StreamError(Exception):
    """An engine's stream that says an error, or is none."""


@dataclass
class Events:
    """One stream. done, finished: whether its end came; pieces: events with text; usage: (prompt, completion); wrong:
    an error that came together with what was passed on before it.
    """

    translator: Translator
    wants_usage: bool
    rest: bytes = b""
    done: bool = False
    finished: bool = False
    pieces: int = 0
    usage: tuple[int, int] | None = None
    wrong: StreamError | None = None

    def check(self) -> None:
        """Raises StreamError where one came right after what was passed on last."""
        if self.wrong:
            raise self.wrong

    def feed(self, raw: bytes) -> bytes:
        """What can be passed on after these bytes. Raises StreamError."""
        data = self.rest + raw if self.rest else raw
        end = max((data.rfind(mark) + len(mark) if mark in data else 0) for mark in (b"\n\n", b"\r\n\r\n"))
        block, self.rest = data[:end], data[end:]
        if len(self.rest) > LONGEST:
            raise StreamError("an event without end")
        return self._passed(block) if block else b""

    def end(self) -> bytes:
        """What is still to be passed on when the engine has closed the stream in order. Raises StreamError."""
        last = self._passed(self.rest + b"\n\n") if self.rest.strip() else b""
        self.rest = b""
        if self.done:
            return last
        if not self.finished:
            raise StreamError("the engine closed it")
        self.done = True
        return last + DONE

    def _passed(self, block: bytes) -> bytes:
        self.pieces += len(_PIECE.findall(block))
        self.finished = self.finished or _FINISH.search(block) is not None
        plain = self.translator.think == "no"
        if plain and not _LOOK.search(block):
            return block
        parts = []
        for event in filter(None, _END.split(block)):
            try:
                parts.append((_named(event) if plain else None) or self._event(event))
            except StreamError as error:
                if not any(parts):
                    raise
                self.wrong = error  # after what came before it, as if it had come alone
                break
        return b"".join(parts)

    def _event(self, event: bytes) -> bytes:
        if self.translator.think == "no" and not _LOOK.search(event):
            return event + b"\n\n"
        lines = event.splitlines()
        data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if not data:
            return event + b"\n\n"
        if data.strip() == b"[DONE]":
            self.done = True
            return DONE
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise StreamError("an event that is not JSON") from None
        if not isinstance(body, dict) or body.get("error"):
            raise StreamError("the engine said an error")
        return self._changed(body)

    def _changed(self, body: Plain) -> bytes:
        self.usage = counted(body) or self.usage
        if body.get("choices") == [] and body.get("usage") and not self.wants_usage:
            return b""
        self.translator.delta(body)
        return b"data: " + dumped(body) + b"\n\n"


def _named(event: bytes) -> bytes | None:
    """A piece of reasoning under both its names, without reading it as JSON; None where there is more to it."""
    found = _REASONING.search(event)
    if found is None or len(_LOOK.findall(event)) != 1 or not event.startswith(b"data: {") or b"\n" in event:
        return None
    end = found.end()
    return b"".join((event[:end], b',"reasoning_content":', found[1], event[end:], b"\n\n"))


def counted(body: Plain) -> tuple[int, int] | None:
    """(prompt, completion) tokens that an answer says."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    found = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    numbers = [n for n in found if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
