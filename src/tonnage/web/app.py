"""The page as an application: views, questions, downloads. See `guard` for who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tonnage.errors import InputError, Problem, TonnageError
from tonnage.web import pages, runs, verdicts
from tonnage.web.fields import VIEWS
from tonnage.web.guard import Access, Guard
from tonnage.web.keep import KEY, Kept
from tonnage.web.picked import renamed, report_of, sources_of, table_of, whole
from tonnage.web.pool import NotAnswered, Question, WorkerPool
from tonnage.web.questions import Asker, ViewAsked
from tonnage.web.static_files import static
from tonnage.web.stream import answered

STREAMS = 200
"""Questions that are listened to at once, at most."""

WARM = (("launch",), ("fit", "serve", "train", "catalogue", "simulate", "accuracy"))
"""Views whose first answer is there before anybody asks, by who answers them."""

FILES = ("json", "csv", "html")
"""As what an answer can be downloaded."""

REMEMBERED = 200
"""Questions whose answers can be downloaded: the latest."""


@dataclass(frozen=True)
class PageSettings:
    """What a page is started with. command: of a worker; work: its folder; warm: asked of the workers at the start."""

    command: tuple[str, ...]
    work: Path
    asker: Asker
    access: Access = Access()
    warm: bool = True


class Page:
    """The routes, and what they share."""

    def __init__(self, settings: PageSettings) -> None:
        self.settings = settings
        self.pool = WorkerPool(settings.command, Kept(settings.asker.folder / "answers"))
        self.asked: dict[str, tuple[str, ViewAsked]] = {}
        self.streams = 0

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", lambda _: RedirectResponse("/launch", 303)),
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            Route("/static/{name}", static),
            Route("/api/ask", self.ask, methods=["POST"]),
            Route("/api/programme/{name}", self.programme),
            Route("/api/names", self.names),
            Route("/api/runs", self.runs),
            Route("/api/runs/{name}", self.watch),
            Route("/api/verdicts", self.verdicts),
            Route("/api/verdicts/{name}", self.verdict),
            Route("/download/{key}.{ending}", self.download),
            Route("/api/sources/{key}", self.sources),
            Route("/{view}", self.view),
        ]
        guard = Middleware(Guard, access=self.settings.access)
        handlers = {500: _defect, Exception: _defect, TonnageError: _told}
        return Starlette(routes=routes, middleware=[guard], lifespan=self._life, exception_handlers=handlers)

    @contextlib.asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        await self.pool.open()
        warming = asyncio.create_task(self._warm() if self.settings.warm else asyncio.sleep(0))
        yield
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await self.pool.close()

    async def _warm(self) -> None:
        """Asks what is asked first, so that it is there: the first answer of the launch that the page opens with, while
        the browser starts and with nothing beside it; then the examples, and beside them the launch in full. Each gives
        way to what is asked by somebody.
        """
        first, *_ = self.settings.asker.asked("launch", {}).stages
        await self._kept(first)
        await asyncio.gather(*map(self._lane, WARM))

    async def _lane(self, views: Sequence[str]) -> None:
        for view in views:
            for stage in self.settings.asker.asked(view, {}).stages:
                await self._kept(stage)

    async def _kept(self, question: Question) -> None:
        with contextlib.suppress(NotAnswered):
            await self.pool.ask(question, patient=True)

    async def view(self, request: Request) -> Response:
        """One view, as HTML: its form, and where the answer goes."""
        name = request.path_params["view"]
        if name not in VIEWS:
            return pages.missing(request)
        return pages.view(request, name, self.settings)

    async def ask(self, request: Request) -> Response:
        """A question, answered line by line."""
        given = _object(await request.body())
        view = given.get("view")
        if not isinstance(view, str) or view not in VIEWS or view == "qualify":
            raise InputError(Problem("is no view that can be asked", "view"))
        fields = given.get("fields", {})
        if not isinstance(fields, dict):
            raise InputError(Problem("expected an object", "fields"))
        asked = self.settings.asker.asked(view, fields, given.get("programme"))
        if self.streams >= STREAMS:
            return JSONResponse({"kind": "refused", "why": "busy"}, 503, {"retry-after": "2"})
        self._remember(view, asked)
        return StreamingResponse(self._counted(view, asked, request), media_type="application/x-ndjson")

    async def _counted(self, view: str, asked: ViewAsked, request: Request) -> AsyncIterator[str]:
        self.streams += 1
        try:
            lines = answered(self.pool, view, asked, request.is_disconnected)
            async with contextlib.aclosing(lines):
                async for line in lines:
                    yield line
        finally:
            self.streams -= 1

    def _remember(self, view: str, asked: ViewAsked) -> None:
        key = asked.stages[-1].key
        self.asked.pop(key, None)
        self.asked[key] = (view, asked)
        while len(self.asked) > REMEMBERED:
            del self.asked[next(iter(self.asked))]

    async def programme(self, request: Request) -> Response:
        """The text of a programme to start from."""
        name, text = self.settings.asker.start(request.path_params["name"])
        return JSONResponse({"name": name, "text": text})

    async def names(self, _: Request) -> Response:
        """Names of models and chips, for who types one."""
        return JSONResponse(pages.names(), headers={"cache-control": "max-age=600"})

    async def runs(self, _: Request) -> Response:
        """Runs in the work folder."""
        return JSONResponse({"runs": await asyncio.to_thread(runs.listed, self.settings.work)})

    async def watch(self, request: Request) -> Response:
        """What happens in a run, as it happens (server-sent events)."""
        folder = runs.found(self.settings.work, request.path_params["name"])
        if folder is None:
            return PlainTextResponse("no such run", 404)
        if self.streams >= STREAMS:
            return PlainTextResponse("busy", 503)
        lines = runs.watched(folder, request.is_disconnected)
        return StreamingResponse(lines, media_type="text/event-stream")

    async def verdicts(self, _: Request) -> Response:
        """Verdicts of `tonnage qualify` in the work folder."""
        return JSONResponse({"verdicts": await asyncio.to_thread(verdicts.listed, self.settings.work)})

    async def verdict(self, request: Request) -> Response:
        """One verdict."""
        found = await asyncio.to_thread(verdicts.read, self.settings.work, request.path_params["name"])
        return PlainTextResponse("no such verdict", 404) if found is None else JSONResponse(found)

    async def sources(self, request: Request) -> Response:
        """The facts that an answer rests on, each with its source."""
        _, asked = self.asked.get(request.path_params["key"], ("", None))
        said = None if asked is None else self.pool.known(asked.stages[-1])
        if said is None:
            return PlainTextResponse("no such answer; ask again", 404)
        return JSONResponse(await asyncio.to_thread(sources_of, said))

    async def download(self, request: Request) -> Response:
        """An answer that was asked for, as a file: JSON and CSV as the command line saves them, or the report of one
        page.
        """
        key, ending = request.path_params["key"], request.path_params["ending"]
        view, asked = self.asked.get(key, ("", None))
        if not KEY.fullmatch(key) or asked is None or ending not in FILES:
            return PlainTextResponse("no such answer; ask again", 404)
        name = f"tonnage-{view}.{ending}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        try:
            said = renamed(await self.pool.ask(asked.stages[-1]), asked.names)
        except NotAnswered as refused:
            return PlainTextResponse(refused.why, 503)
        if ending == "csv":
            return Response(table_of(said), headers=headers, media_type="text/csv; charset=utf-8")
        if ending == "json":
            return Response(whole(said), headers=headers, media_type="application/json")
        text = await asyncio.to_thread(report_of, said, asked.command)
        return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def _object(body: bytes) -> Mapping[str, object]:
    """The body as a JSON object. Raises InputError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(Problem("expected a JSON object"))
    return found


async def _told(_: Request, error: Exception) -> Response:
    """What is wrong with what was asked, in the words of the command line."""
    problems = error.problems if isinstance(error, InputError) else (Problem(str(error)),)
    said = [{"place": one.where, "path": one.path, "text": one.message, "nearest": one.suggestion} for one in problems]
    return JSONResponse({"errors": said}, 422)


async def _defect(_: Request, __: Exception) -> Response:
    """Something that nobody meant: no word of where."""
    return PlainTextResponse("a defect in tonnage; the terminal of `tonnage page` says more", 500)
