"""A double of an engine, as a process: answers over HTTP as vLLM does, and fails, slows down or hangs as it is told.

`python double.py PORT [NAME]`. POST /control sets `mode` (ok, 500, slow, hang, cut, error, junk, 422, busy), `share` of
the requests that it befalls, `delay` of slow ones, `first`, `between` and `pieces` of the usual ones. GET /seen counts.
Only the standard library: what is measured is the front.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

SET = {"mode": "ok", "share": 1.0, "delay": 3.0, "first": 0.0, "between": 0.0, "pieces": 8, "usage": True, "done": True}
SET["close"] = False  # whether a connection is closed, unannounced, when its next request comes
SEEN = {"requests": 0, "bad": 0, "ended": 0, "left": 0, "running": 0}
LAST: dict[str, object] = {}
NAME = sys.argv[2] if len(sys.argv) > 2 else "double"
DUE = [0.0]
USED: set[asyncio.StreamWriter] = set()


async def main(port: int) -> None:
    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=1000)
    async with server:
        await server.serve_forever()


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while await one(reader, writer):
            pass
    writer.close()


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    if path == "/health":
        return await whole(writer, 200, {})
    if path == "/v1/models":
        return await whole(writer, 200, {"object": "list", "data": [{"id": NAME}]})
    if path == "/control":
        SET.update(json.loads(content))
        return await whole(writer, 200, SET)
    if path == "/seen":
        return await whole(writer, 200, SEEN | {"last": LAST, "pid": 0})
    if method != "POST":
        return await whole(writer, 404, {"detail": "Not Found"})
    work = asyncio.create_task(answered(writer, path, json.loads(content), headers))
    gone = asyncio.create_task(reader.read(1))
    await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, gone):
        if not task.done():
            task.cancel()
    await asyncio.gather(work, gone, return_exceptions=True)
    return not work.cancelled() and work.exception() is None and work.result()


async def answered(writer: asyncio.StreamWriter, path: str, body: dict, headers: dict) -> bool:
    if SET["close"] and writer in USED:
        return False
    USED.add(writer)
    SEEN["requests"] += 1
    LAST.clear()
    LAST.update(body=body, authorization=headers.get("authorization"))
    DUE[0] += SET["share"]
    bad = DUE[0] >= 1 and SET["mode"] != "ok"
    DUE[0] -= DUE[0] >= 1
    SEEN["bad"] += bad
    SEEN["running"] += 1
    try:
        return await told(writer, path, body, SET["mode"] if bad else "ok")
    except (ConnectionError, asyncio.CancelledError):
        SEEN["left"] += 1
        raise
    finally:
        SEEN["running"] -= 1


async def told(writer: asyncio.StreamWriter, path: str, body: dict, mode: str) -> bool:
    if mode == "500":
        return await whole(
            writer, 500, {"error": {"message": "Traceback (most recent call last): /secret", "code": 500}}
        )
    if mode == "busy":
        return await whole(writer, 429, {"error": {"message": "busy"}})
    if mode == "422":
        return await whole(writer, 422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]})
    if mode == "hang":
        await asyncio.sleep(3600)
    await asyncio.sleep(SET["delay"] if mode == "slow" else SET["first"])
    if mode == "junk":
        return await whole(writer, 200, ["no answer"])
    chat = "chat" in path
    return await (streamed(writer, body, chat, mode) if body.get("stream") else plain(writer, body, chat, mode))


def usage(body: dict) -> dict:
    return {"prompt_tokens": 7, "completion_tokens": SET["pieces"], "total_tokens": 7 + SET["pieces"]}


async def plain(writer: asyncio.StreamWriter, body: dict, chat: bool, mode: str) -> bool:
    await asyncio.sleep(SET["between"] * SET["pieces"])
    text = f"answer of {NAME}"
    message = {"role": "assistant", "content": text, "reasoning": "because"}
    part = {"message": message} if chat else {"text": text}
    choice = {"index": 0, "finish_reason": "stop", **part}
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    if mode == "error":
        answer = {"error": {"message": "Traceback", "code": 500}}
    return await whole(writer, 200, answer | ({"usage": usage(body)} if SET["usage"] else {}), cut=mode == "cut")


async def streamed(writer: asyncio.StreamWriter, body: dict, chat: bool, mode: str) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    pieces = SET["pieces"]
    for number in range(pieces):
        if number and SET["between"]:
            await asyncio.sleep(SET["between"])
        if mode == "cut" and number == pieces // 2:
            writer.transport.abort()
            return False
        if mode == "stall" and number == pieces // 2:
            await asyncio.sleep(3600)
        if mode == "error" and number == SET.get("error_at", pieces // 2):
            await event(writer, {"error": {"message": "Traceback (most recent call last)", "code": 500}})
            break
        key = "reasoning" if number < pieces // 4 else "content"
        part = {"delta": {key: f"w{number} "}} if chat else {"text": f"w{number} "}
        await event(writer, base | {"choices": [{"index": 0, "finish_reason": None, **part}]})
    else:
        part = {"delta": {}} if chat else {"text": ""}
        await event(writer, base | {"choices": [{"index": 0, "finish_reason": "stop", **part}]})
        if (body.get("stream_options") or {}).get("include_usage") and SET["usage"]:
            await event(writer, base | {"choices": [], "usage": usage(body)})
    if SET["done"]:
        await chunk(writer, b"data: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    SEEN["ended"] += 1
    return True


async def event(writer: asyncio.StreamWriter, body: dict) -> None:
    await chunk(writer, b"data: " + json.dumps(body).encode() + b"\n\n")


async def chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))
    await writer.drain()
    if writer.transport.is_closing():
        raise ConnectionResetError


async def whole(writer: asyncio.StreamWriter, status: int, body: object, cut: bool = False) -> bool:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + (content[: len(content) // 2] if cut else content))
    if cut:
        await writer.drain()
        writer.transport.abort()
        return False
    await writer.drain()
    return True


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1])))
