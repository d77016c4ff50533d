"""A scripted model: answers as the Messages API does, by server-sent events. It thinks nothing.

The scenario is the first segment of the path (`ANTHROPIC_BASE_URL=http://127.0.0.1:PORT/commit`), so one server
serves any number of sessions at once. A request that no scenario knows is refused and remembered in `strays`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "echo hello > greeting.txt && git add greeting.txt && git commit -q -m 'Add a greeting'"


@dataclass(frozen=True)
class Refusal:
    """An HTTP error in the API's own shape."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """A broken event stream: these bytes, then the connection is closed."""

    data: bytes


class Wait:
    """No answer at all until the server is closed."""


@dataclass(frozen=True)
class Turn:
    """One answer of the model: text, then perhaps one call of a tool: a command for Bash, an address for WebFetch."""

    text: str = ""
    bash: str = ""
    fetch: str = ""

    def blocks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [{"type": "text", "text": self.text}] if self.text else []
        if self.bash:
            call = {"command": self.bash, "description": "scripted"}
            found.append({"type": "tool_use", "name": "Bash", "input": call})
        if self.fetch:
            wish = {"url": self.fetch, "prompt": "scripted"}
            found.append({"type": "tool_use", "name": "WebFetch", "input": wish})
        return found


Answer = Refusal | Raw | Wait | Turn
Scenario = Callable[[int, int], Answer]
"""From the number of tool results in the conversation and of requests to the scenario so far to the answer."""


def _then_done(first: Turn) -> Scenario:
    return lambda results, _: first if results == 0 else Turn("All done.")


def _always(answer: Answer) -> Scenario:
    return lambda *_: answer


_TORN = (
    b"event: message_start\n"
    b'data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",'
    b'"content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_st'
)

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
    "500": _always(Refusal(500, "api_error", "Internal server error")),
    "529": _always(Refusal(529, "overloaded_error", "Overloaded")),
    "cut": _always(Raw(_TORN)),
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
        self._refuse(Refusal(404, "not_found_error", self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        scenario, _, rest = self.path.split("?")[0].strip("/").partition("/")
        if scenario not in self.server.scenarios or rest != "v1/messages":
            self.server.strays.append(self.path)
            self._refuse(Refusal(404, "not_found_error", self.path))
            return
        with self.server.lock:
            self.server.seen.append(body)
            asked = self.server.asked[scenario] = self.server.asked.get(scenario, 0) + 1
        self._answer(self.server.scenarios[scenario](_tool_results(body), asked), str(body.get("model")))

    def _answer(self, answer: Answer, model: str) -> None:
        if isinstance(answer, Refusal):
            self._refuse(answer)
        elif isinstance(answer, Wait):
            self.server.closing.wait()
            self.close_connection = True
        elif isinstance(answer, Raw):
            self._begin_stream()
            self.wfile.write(answer.data)
        else:
            self._begin_stream()
            for event in _events(answer.blocks(), model, self.server.ids):
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _refuse(self, refusal: Refusal) -> None:
        data = json.dumps({"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}).encode()
        self.send_response(refusal.status)
        for name, value in {"content-type": "application/json", **refusal.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _tool_results(body: Mapping[str, Any]) -> int:
    contents = [message.get("content") for message in body.get("messages", [])]
    return sum(
        block.get("type") == "tool_result" for content in contents if isinstance(content, list) for block in content
    )


def _events(blocks: Sequence[Mapping[str, Any]], model: str, ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    usage = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
    }
    message = {"id": f"msg_{next(ids):06d}", "type": "message", "role": "assistant", "model": model, "content": []}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}
    for index, block in enumerate(blocks):
        yield from _block_events(index, block, ids)
    stop = "tool_use" if blocks and blocks[-1]["type"] == "tool_use" else "end_turn"
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": 10},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: Mapping[str, Any], ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        start: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    else:
        start = {"type": "tool_use", "id": f"toolu_{next(ids):06d}", "name": block["name"], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}
