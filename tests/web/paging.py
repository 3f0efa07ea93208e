"""A page in a process of its own, with workers of the tests or real ones, and a client of bare sockets."""

import json
import os
import socket
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

RUN = """
import sys
from pathlib import Path
from tonnage.cli.page import access_of, settings_of
from tonnage.web.app import PageSettings
from tonnage.web.server import Listening, run_page
from dataclasses import replace
work, programme, ledger, *command = [None if word == "-" else word for word in sys.argv[1:]]
opened, kept = programme and Path(programme), ledger and Path(ledger)
held = settings_of(opened, Path(work), kept, access_of("127.0.0.1", None), warm=False)
if command:
    held = replace(held, command=tuple(command))
run_page(held, Listening("127.0.0.1", 0, False), lambda text: print(text, flush=True))
"""


class Paged(AbstractContextManager):
    """A page. heavy: how long the workers of the tests take over a launch [s]; None: real workers."""

    def __init__(self, work, programme=None, ledger=None, heavy=None):
        fake = [] if heavy is None else [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
        words = [sys.executable, "-c", RUN, str(work), str(programme or "-"), str(ledger or "-"), *fake]
        env = {**os.environ, "ASKED": str(Path(work) / "asked"), "HEAVY": heavy or "0"}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
        first = self.process.stdout.readline()
        self.url = first.split()[-1].rstrip("/")
        self.port = int(self.url.rpartition(":")[2])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def connect(self, view, fields=None):
        """A question that is under way: the socket, nothing read yet."""
        body = json.dumps({"view": view, "fields": fields or {}}).encode()
        sent = socket.create_connection(("127.0.0.1", self.port), 30)
        head = f"POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nOrigin: {self.url}\r\nConnection: close\r\n"
        sent.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return sent

    def ask(self, view, fields=None):
        """All that is answered to a question."""
        with self.connect(view, fields) as sent:
            return _all(sent)

    def get(self, path):
        """(status, body) of a path."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as sent:
            sent.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = _all(sent).partition(b"\r\n\r\n")
            return int(head.split()[1]), body


def _all(sent):
    parts = []
    while part := sent.recv(65_536):
        parts.append(part)
    return b"".join(parts)
