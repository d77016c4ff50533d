"""A server of our own that addresses of `[notify]` lead to, and what was sent there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Inbox:
    """Takes messages at any path; below /no it refuses with 401, below /never it does not answer."""

    port: int = 0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def at(self, path: str) -> str:
        return f"json://127.0.0.1:{self.port}/{path}"


@contextmanager
def an_inbox() -> Iterator[Inbox]:
    made = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.got.append((self.path, body))
            if self.path.startswith("/never"):
                made.over.wait(30)
            self.send_response(401 if self.path.startswith("/no") else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()
