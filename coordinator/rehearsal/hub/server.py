"""The HTTP side: read a request, ask the right room for an answer, add GitHub's headers, keep the record."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import uuid
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from . import git_http, graphql, routes
from .access import Limits, check, rest_token
from .git_payloads import GitPayloads
from .wire import Call, Exchange, Incoming, Intercept, Reply
from .world import Refused, Repository, Token, World, gone_on

DROP_BEFORE = "drop"
DROP_AFTER = "drop-after"
FREE_OF_LIMITS = ("/rate_limit",)
ENTERPRISE_PREFIXES = {"/api/v3": "", "/api/graphql": "/graphql"}
NO_USER_AGENT = b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
DOCUMENTATION = "https://docs.github.com/rest"


class Hub(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; one daemon thread a connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, world: World, limits: Limits) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.world = world
        self.limits = limits
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.payloads = GitPayloads(world, self.url)
        self.exchanges: list[Exchange] = []
        self.intercept: Intercept | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is the client's affair."""

    def answer(self, call: Call, authorization: str, etag: str) -> Reply:
        """The whole life of one REST call, under the lock."""
        with self.world.lock:
            now = self.world.clock()
            spent = False
            try:
                call.token = rest_token(self.world, authorization)
                call.login = call.token.login if call.token else None
                if call.path not in FREE_OF_LIMITS:
                    self.limits.spend(call.login, now)
                    spent = True
                reply = self._dispatch(call, now)
            except Refused as refused:
                reply = _refusal(refused)
            reply = _with_etag(call.method, reply)
            if etag and reply.status == 200 and etag == reply.headers.get("ETag"):
                reply = Reply(304, None, reply.headers)
                if spent:
                    self.limits.refund(call.login, now)
            return replace(reply, headers={**self._general(call.login, call.token, now), **reply.headers})

    def _dispatch(self, call: Call, now: float) -> Reply:
        if call.path == "/rate_limit":
            core = self.limits.numbers(call.login, now)
            return Reply(200, {"resources": {"core": core, "search": {**core, "limit": 30}}, "rate": core})
        if call.path == "/graphql" and call.method == "POST":
            return graphql.answer(call)
        found = routes.find(call.method, call.path)
        if found is None:
            raise Refused(404, "Not Found")
        route, call.arguments = found
        if "repo" in call.arguments:
            full_name = f"{call.arguments['owner']}/{call.arguments['repo']}"
            call.found = self._repository(call, full_name)
            check(self.world, call.found, call.token, route.level, route.grant)
            self._follow_issue(call)
        if call.method != "GET" and call.token is None:
            raise Refused(401, "Requires authentication")
        self.limits.check_secondary(route.creates, now)
        return route.answer(call)

    def _repository(self, call: Call, full_name: str) -> Repository:
        """Raises Refused: by a name it had before, with its address since, which names it by its id."""
        moved = self.world.former.get(full_name.lower())
        if moved is None or full_name.lower() in self.world.repositories:
            return self.world.repository(full_name)
        check(self.world, moved, call.token, "read", ("metadata", "read"))
        rest = call.path.split("/", 4)[4:]
        raise gone_on(call.method, "/".join([f"{self.url}/repositories/{moved.id}", *rest]))

    def _follow_issue(self, call: Call) -> None:
        """Raises Refused for an issue that was transferred; what lies below it went along."""
        departed = call.repository.departed.get(int(call.arguments.get("number", 0)))
        if departed is not None:
            repository, number = departed
            below = call.path.split("/", 6)[6:]
            raise gone_on(call.method, "/".join([f"{self.url}/repositories/{repository.id}/issues/{number}", *below]))

    def _general(self, login: str | None, token: Token | None, now: float) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Cache-Control": "private, max-age=60, s-maxage=60",
            "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": "2022-11-28",
            **self.limits.headers(login, now),
        }
        if token is not None and token.scopes is not None:
            headers |= {"X-OAuth-Scopes": ", ".join(token.scopes), "X-Accepted-OAuth-Scopes": "repo"}
        return headers

    def by_name(self, path: str) -> str:
        """The path with Enterprise prefixes taken off and `/repositories/ID` turned into its name."""
        for prefix, instead in ENTERPRISE_PREFIXES.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                path = instead + path.removeprefix(prefix)
        pieces = path.split("/")
        if len(pieces) > 2 and pieces[1] == "repositories":
            with self.world.lock:
                for repository in self.world.repositories.values():
                    if str(repository.id) == pieces[2]:
                        return "/".join(["", "repos", repository.full_name, *pieces[3:]])
        return path

    def keep(self, asked: Incoming, login: str | None, reply: Reply, told: Mapping[str, str], *, canned: bool) -> None:
        """Put one answered (or cut) request into the record."""
        done = Exchange(
            asked.method,
            asked.path,
            asked.parameters(),
            asked.headers,
            _parsed(asked.content, asked.headers),
            login,
            reply.status,
            {name.lower(): value for name, value in told.items()},
            _parsed(reply.encoded(), {"content-type": told.get("Content-Type", "")}),
            canned,
        )
        with self.world.lock:
            self.exchanges.append(done)


def _refusal(refused: Refused) -> Reply:
    body: dict[str, Any] = {"message": refused.message, "documentation_url": DOCUMENTATION}
    if "Location" in refused.headers:
        body["url"] = refused.headers["Location"]
    if refused.errors:
        body["errors"] = refused.errors
    return Reply(refused.status, {**body, "status": str(refused.status)}, refused.headers)


def _with_etag(method: str, reply: Reply) -> Reply:
    if method != "GET" or reply.status != 200:
        return reply
    mark = hashlib.sha256(reply.encoded() + reply.headers.get("Link", "").encode()).hexdigest()
    return replace(reply, headers={**reply.headers, "ETag": f'W/"{mark}"'})


class Handler(BaseHTTPRequestHandler):
    """One connection. HTTP/1.1 with keep-alive, chunked and compressed bodies."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name for it
        """The record of exchanges takes the place of lines on stderr."""

    def handle_one_call(self) -> None:
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Incoming(self.command, split.path, split.query, headers, self._content())
        intercept = self.server.intercept
        verdict = intercept(asked.method, asked.path) if intercept else None
        if isinstance(verdict, tuple):
            status, extra, body = verdict
            self._finish(asked, None, Reply(status, body, dict(extra)), canned=True)
        elif verdict == DROP_BEFORE:
            self._cut(asked, None)
        else:
            login, reply = self._answer(asked)
            if verdict == DROP_AFTER:
                self._cut(asked, login)
            else:
                self._finish(asked, login, reply)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = handle_one_call  # noqa: N815  the library's

    def _answer(self, asked: Incoming) -> tuple[str | None, Reply]:
        hub = self.server
        if git_http.parts(asked.path):
            return git_http.answer(hub.world, asked)
        if not asked.header("user-agent"):
            return None, Reply(403, NO_USER_AGENT, {"Content-Type": "text/html"})
        content = gzip.decompress(asked.content) if asked.header("content-encoding") == "gzip" else asked.content
        method = "GET" if asked.method == "HEAD" else asked.method
        call = Call(hub.world, hub.payloads, method, hub.by_name(asked.path), asked.parameters(), content)
        reply = hub.answer(call, asked.header("authorization"), asked.header("if-none-match"))
        return call.login, reply

    def _content(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _finish(self, asked: Incoming, login: str | None, reply: Reply, *, canned: bool = False) -> None:
        body = reply.encoded()
        told = {
            "Server": "github.com",
            "Date": formatdate(self.server.world.clock(), usegmt=True),
            "X-GitHub-Request-Id": uuid.uuid4().hex[:24].upper(),
            **reply.headers,
        }
        if reply.status not in (204, 304):
            told["Content-Length"] = str(len(body))
        self.server.keep(asked, login, reply, told, canned=canned)
        self.send_response_only(reply.status, responses.get(reply.status, ""))
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if asked.method != "HEAD":
            self.wfile.write(body)

    def _cut(self, asked: Incoming, login: str | None) -> None:
        self.server.keep(asked, login, Reply(0), {}, canned=False)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _parsed(content: bytes, headers: Mapping[str, str]) -> Any:
    """A JSON body, parsed; None for an empty one and for anything that is no JSON."""
    if not content or "x-git" in headers.get("content-type", ""):
        return None
    try:
        plain = gzip.decompress(content) if headers.get("content-encoding") == "gzip" else content
        return json.loads(plain)
    except (ValueError, OSError):
        return None
