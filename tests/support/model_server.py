"""A scripted model: answers as the APIs of the agents' makers do, by server-sent events. It thinks nothing.

The scenario is the first segment of the path (`ANTHROPIC_BASE_URL=http://127.0.0.1:PORT/commit`), so one server
serves any number of sessions at once. A request that no scenario knows is refused and remembered in `strays`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.model_dialects import DIALECTS, Dialect, Refusal, Turn

__all__ = ["COMMIT", "Answer", "ModelServer", "Refusal", "Turn", "Wait", "serving"]

COMMIT = "echo hello > greeting.txt && git add greeting.txt && git commit -q -m 'Add a greeting'"


@dataclass(frozen=True)
class Raw:
    """A broken event stream: these bytes, then the connection is closed."""

    data: bytes


class Wait:
    """No answer at all until the server is closed."""


class Cut:
    """A stream that ends in the middle of an event, in whatever dialect was spoken."""


Answer = Refusal | Raw | Wait | Cut | Turn
Scenario = Callable[[int, int], Answer]
"""From the number of tool results in the conversation and of requests to the scenario so far to the answer."""


def _then_done(first: Turn) -> Scenario:
    return lambda results, _: first if results == 0 else Turn("All done.")


def _always(answer: Answer) -> Scenario:
    return lambda *_: answer


SOON = {"retry-after-ms": "200"}
"""opencode would wait over a minute in all, the others know their own limits."""

SCENARIOS: dict[str, Scenario] = {
    "text": _always(Turn("ok")),
    "commit": _then_done(Turn("I will add a greeting.", COMMIT)),
    "loop": lambda results, _: Turn(bash=f"echo turn {results + 1}"),
    "slow-tool": _then_done(Turn(bash="sleep 300")),
    "tool-kills-itself": _then_done(Turn(bash="kill -9 $$")),
    "401": _always(Refusal(401, "authentication_error", "invalid x-api-key")),
    "403": _always(Refusal(403, "permission_error", "no")),
    "credit": _always(Refusal(400, "invalid_request_error", "Your credit balance is too low")),
    "404": _always(Refusal(404, "not_found_error", "model: none")),
    "429": _always(Refusal(429, "rate_limit_error", "slow down", {"retry-after": "1"})),
    "429-once": lambda _, asked: (
        Refusal(429, "rate_limit_error", "slow down", {"retry-after": "1"}) if asked == 1 else Turn("after the wait")
    ),
    "429-long": _always(Refusal(429, "rate_limit_error", "come back later", {"retry-after": "3600"})),
    "500": _always(Refusal(500, "api_error", "Internal server error", SOON)),
    "529": _always(Refusal(529, "overloaded_error", "Overloaded", SOON)),
    "cut": _always(Cut()),
    "hang": _always(Wait()),
}


class ModelServer(ThreadingHTTPServer):
    """Listens on a free port of the loopback from construction on; `with serving()` runs it. A test adds scenarios of
    its own to `scenarios`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scenarios: dict[str, Scenario] = dict(SCENARIOS)
        self.ids = itertools.count(1)
        self.asked: dict[str, int] = {}
        self.strays: list[str] = []
        self.seen: list[Mapping[str, Any]] = []
        self.closing = threading.Event()
        self.lock = threading.Lock()

    def url(self, scenario: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{scenario}"


@contextmanager
def serving() -> Iterator[ModelServer]:
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def log_message(self, *_: object) -> None:
        """Silence: what was asked is in `seen`."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Lists of models, which some agents ask for before they begin."""
        self._send(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []}, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        scenario, _, rest = self.path.split("?")[0].strip("/").partition("/")
        dialect = next((one for one in DIALECTS if one.speaks(rest)), None)
        if scenario not in self.server.scenarios or dialect is None:
            self.server.strays.append(self.path)
            self._send(404, {"error": {"message": self.path}}, {})
            return
        with self.server.lock:
            self.server.seen.append(body)
            asked = self.server.asked[scenario] = self.server.asked.get(scenario, 0) + 1
        self._answer(self.server.scenarios[scenario](dialect.results(body), asked), dialect, body)

    def _answer(self, answer: Answer, dialect: Dialect, body: Mapping[str, Any]) -> None:
        if isinstance(answer, Refusal):
            self._send(answer.status, dialect.refusal(answer), answer.headers)
        elif isinstance(answer, Wait):
            self.server.closing.wait()
            self.close_connection = True
        elif isinstance(answer, Raw | Cut):
            self._begin_stream()
            self.wfile.write(answer.data if isinstance(answer, Raw) else dialect.torn)
        else:
            self._begin_stream()
            for frame in dialect.frames(answer, body, self.server.ids):
                self.wfile.write(frame)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
