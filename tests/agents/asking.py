"""An agent: the official client, and what a test asks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.from_thread import BlockingPortal
from mcp import Client
from mcp_types import CallToolResult, ListToolsResult

ROOT = Path(__file__).parents[2]
SMALL = (ROOT / "tests/report/small.yaml").read_text(encoding="utf-8")
MINI = (ROOT / "src/tonnage/fleet/data/programme.yaml").read_text(encoding="utf-8")


@dataclass
class Agent:
    """A client that is connected. start: the folder that the server was started in."""

    portal: BlockingPortal
    client: Client
    start: Path

    def call(self, tool: str, **given: object) -> CallToolResult:
        found = self.portal.call(self.client.call_tool, tool, given)
        assert isinstance(found, CallToolResult)
        return found

    def heard(self, tool: str, told: Callable[..., object], **given: object) -> CallToolResult:
        """The same, told how far it is."""

        async def progress(done: float, of: float | None, what: str | None) -> None:
            told(done, of, what)

        found = self.portal.call(partial(self.client.call_tool, tool, given, progress_callback=progress))
        assert isinstance(found, CallToolResult)
        return found

    def given_up(self, seconds: float, tool: str, **given: object) -> bool:
        """Whether a call was given up after so long."""

        async def call() -> bool:
            with anyio.move_on_after(seconds) as scope:
                await self.client.call_tool(tool, given)
            return scope.cancelled_caught

        return self.portal.call(call)

    def tools(self) -> ListToolsResult:
        return self.portal.call(self.client.list_tools)

    def read(self, uri: str) -> str:
        """The text of a resource."""
        found = self.portal.call(self.client.read_resource, uri)
        (one,) = found.contents
        return str(one.text)


def words(found: CallToolResult) -> str:
    """What the agent reads."""
    (one,) = found.content
    return str(one.text)
