"""The HTTP side: reads a request, asks the right room for an answer, adds GitHub's headers, keeps the record."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from . import git_http, graphql, routes
from .access import Limits, check, rest_token
from .git_payloads import GitPayloads
from .wire import Call, Exchange, Intercept, Interception, Reply
from .world import Refused, Token, World

DROP_BEFORE = "drop"
DROP_AFTER = "drop-after"
FREE_OF_LIMITS = ("/rate_limit",)
ENTERPRISE_PREFIXES = {"/api/v3": "", "/api/graphql": "/graphql"}
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

    def answer(self, call: Call, authorization: str | None, etag: str | None) -> Reply:
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
            if etag is not None and reply.status == 200 and etag == reply.headers.get("ETag"):
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
            call.found = self.world.repository(full_name)
            check(self.world, call.found, call.token, route.level, route.grant)
        if call.method != "GET" and call.token is None:
            raise Refused(401, "Requires authentication")
        self.limits.check_secondary(route.creates, now)
        return route.answer(call)

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


def _refusal(refused: Refused) -> Reply:
    body: dict[str, Any] = {"message": refused.message, "documentation_url": DOCUMENTATION}
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

    def log_message(self, format: str, *args: Any) -> None:
        """The record of exchanges takes the place of lines on stderr."""

    def handle_one_call(self) -> None:
        split = urlsplit(self.path)
        content = self._content()
        headers = {name.lower(): value for name, value in self.headers.items()}
        intercept = self.server.intercept
        verdict = intercept(self.command, split.path) if intercept else None
        if isinstance(verdict, tuple):
            status, extra, body = verdict
            self._finish(split.path, split.query, headers, content, None, Reply(status, body, dict(extra)))
        elif verdict == DROP_BEFORE:
            self._cut(split.path, split.query, headers, content, None)
        else:
            login, reply = self._answer(split.path, split.query, headers, content)
            if verdict == DROP_AFTER:
                self._cut(split.path, split.query, headers, content, login)
            else:
                self._finish(split.path, split.query, headers, content, login, reply)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = handle_one_call

    def _answer(
        self, path: str, query: str, headers: dict[str, str], content: bytes
    ) -> tuple[str | None, Reply]:
        if git_http.parts(path):
            asked = git_http.GitRequest(self.command, unquote(path), query, headers, content)
            return git_http.answer(self.server.world, asked)
        if "user-agent" not in headers:
            words = b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
            return None, Reply(403, words, {"Content-Type": "text/html"})
        if headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        method = "GET" if self.command == "HEAD" else self.command
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        name = self.server.by_name(path)
        call = Call(self.server.world, self.server.payloads, method, name, parameters, content, None, None)
        reply = self.server.answer(call, headers.get("authorization"), headers.get("if-none-match"))
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

    def _finish(
        self, path: str, query: str, headers: dict[str, str], content: bytes, login: str | None, reply: Reply
    ) -> None:
        body = reply.encoded()
        clock = self.server.world.clock()
        told = {
            "Server": "github.com",
            "Date": formatdate(clock, usegmt=True),
            "X-GitHub-Request-Id": uuid.uuid4().hex[:24].upper(),
            **reply.headers,
        }
        if reply.status not in (204, 304):
            told["Content-Length"] = str(len(body))
        self._keep(path, query, headers, content, login, reply.status, told, body)
        try:
            reason = HTTPStatus(reply.status).phrase
        except ValueError:
            reason = ""
        self.send_response_only(reply.status, reason)
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self, path: str, query: str, headers: dict[str, str], content: bytes, login: str | None) -> None:
        self._keep(path, query, headers, content, login, 0, {}, b"")
        self.close_connection = True
        self.connection.close()

    def _keep(
        self,
        path: str,
        query: str,
        headers: dict[str, str],
        content: bytes,
        login: str | None,
        status: int,
        told: Mapping[str, str],
        body: bytes,
    ) -> None:
        done = Exchange(
            self.command,
            path,
            dict(parse_qsl(query, keep_blank_values=True)),
            headers,
            _parsed(content, headers),
            login,
            status,
            {name.lower(): value for name, value in told.items()},
            _parsed(body, {"content-type": told.get("Content-Type", "")}),
        )
        with self.server.world.lock:
            self.server.exchanges.append(done)


def _parsed(content: bytes, headers: Mapping[str, str]) -> Any:
    """A JSON body, parsed; None for an empty one and for anything that is no JSON."""
    if not content or "x-git" in headers.get("content-type", ""):
        return None
    try:
        plain = gzip.decompress(content) if headers.get("content-encoding") == "gzip" else content
        return json.loads(plain)
    except (ValueError, OSError):
        return None


__all__ = ["DROP_AFTER", "DROP_BEFORE", "Handler", "Hub", "Interception"]
