"""One server for all tests, spoken to as an agent speaks to it: the official client over standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from asking import ROOT, SMALL, Agent
from mcp import Client, StdioServerParameters, stdio_client


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    start = tmp_path_factory.mktemp("agent")
    (start / "small.yaml").write_text(SMALL, encoding="utf-8")
    (start / ".secret.yaml").write_text("key: hidden-value\n", encoding="utf-8")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "far.yaml").write_text("key: far-value\n", encoding="utf-8")
    (start / "link.yaml").symlink_to(outside / "far.yaml")
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tonnage", "mcp", "--in", str(start)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "TONNAGE_CACHE": str(outside / "cache"), "TONNAGE_LEDGER": ""},
        cwd=ROOT,
    )
    with start_blocking_portal() as portal:
        client = Client(stdio_client(server), read_timeout_seconds=120)
        with portal.wrap_async_context_manager(client) as connected:
            yield Agent(portal, connected, start)
