"""A bad release: it passes requests on to a good engine, and answers every second one with HTTP 500.

`python -m r2mini.faulty URL PORT`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


def app(url: str) -> Starlette:
    """The release, before the engine at `url`."""
    client, turn = httpx.AsyncClient(base_url=url, timeout=60), itertools.count()

    async def health(request: Request) -> Response:
        return Response()

    async def answer(request: Request) -> Response:
        if next(turn) % 2 == 0:
            return JSONResponse({"error": {"message": "This release is broken.", "code": 500}}, 500)
        ask = client.build_request("POST", request.url.path, content=await request.body(), headers=_kind(request))
        there = await client.send(ask, stream=True)

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in there.aiter_raw():
                yield piece
            await there.aclose()

        return StreamingResponse(pieces(), there.status_code, media_type=there.headers.get("content-type"))

    return Starlette(routes=[Route("/health", health), Route("/v1/chat/completions", answer, methods=["POST"])])


def _kind(request: Request) -> dict[str, str]:
    return {"content-type": request.headers.get("content-type", "application/json")}


if __name__ == "__main__":
    uvicorn.run(app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
