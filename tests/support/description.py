"""Holds every recorded request and response of the stand-in against GitHub's own REST description.

A request that the subset does not cover, a query parameter or a body field GitHub does not know, a response
of another shape: each is a complaint. Where the description itself is wrong, a row of SLIPS says so and why.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from coordinator.rehearsal.hub import git_http
from coordinator.rehearsal.hub.wire import Exchange

SUBSET = Path(__file__).parents[1] / "openapi" / "github-subset.json.gz"
HOST = "http://stand-in.invalid"

# Schema, path of properties in it, why GitHub's true answers differ. Each named property may also be null.
SLIPS = (
    ("issue", ("state_reason",), "an open issue that was never closed has null; the list of values lacks it"),
    ("commit", ("author",), "null for one whom GitHub does not know; `nullable` beside `oneOf` is not heeded"),
    ("commit", ("committer",), "the same"),
    ("pull-request-simple", ("labels", "description"), "a label made in passing has no description: null"),
)
# Operation, another body GitHub takes, the words of the description that say so beside its own schema.
BODY_SLIPS = (
    (
        ("post", "/repos/{owner}/{repo}/issues/{issue_number}/labels"),
        {"type": "array", "items": {"type": "string"}},
        "You can also pass an `array` of labels directly",
    ),
    (
        ("put", "/repos/{owner}/{repo}/issues/{issue_number}/labels"),
        {"type": "array", "items": {"type": "string"}},
        "You can also pass an `array` of labels directly",
    ),
)
# GitHub may answer any operation with these, whether the description lists them there or not.
ANYWHERE = frozenset({301, 307, 410, 400, 401, 403, 404, 422, 429, 500, 502, 503})
ERROR_FIELDS = {"message", "documentation_url", "status", "errors", "url"}
WORD = re.compile(r"[A-Za-z_-]{1,40}")
FORMATS = (
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")),
    ("address", re.compile(r"https?://\S+")),
)


class Complaint(AssertionError):
    """What of an exchange does not agree with GitHub's description."""


@functools.cache
def description() -> dict[str, Any]:
    with gzip.open(SUBSET) as file:
        whole: dict[str, Any] = json.load(file)
    for schema, path, _reason in SLIPS:
        _allow_null(whole, whole["components"]["schemas"][schema], path)
    for (method, address), body, _their_words in BODY_SLIPS:
        content = whole["paths"][address][method]["requestBody"]["content"]["application/json"]
        content["schema"] = {"anyOf": [content["schema"], body]}
    return whole


def _allow_null(whole: dict[str, Any], node: dict[str, Any], path: tuple[str, ...]) -> None:
    for name in path:
        node = _followed(whole, node)
        node = node["items"] if node.get("type") == "array" else node
        node = _followed(whole, node)["properties"][name]
    node["nullable"] = True
    if "enum" in node and None not in node["enum"]:
        node["enum"].append(None)
    if "oneOf" in node:
        node["oneOf"].append({"type": "string", "nullable": True, "enum": [None]})


def _followed(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        _, _, kind, name = node["$ref"].split("/", 3)
        node = whole["components"][kind][name]
    return node


@functools.cache
def _api() -> OpenAPI:
    return OpenAPI.from_dict(description())  # type: ignore[arg-type]


@functools.cache
def _addresses() -> list[tuple[re.Pattern[str], dict[str, Any], str]]:
    """Patterns of all paths, those with fewer names first, as OpenAPI prefers them."""
    found = []
    for path, operations in description()["paths"].items():
        last = r"/(?P<tail>.+)$" if path.endswith(("{ref}", "{branch}")) else None
        text = re.sub(r"/\{(?:ref|branch)\}$", last, path) if last else path
        found.append((re.compile(re.sub(r"\{\w+\}", "[^/]+", text)), operations, path))
    return sorted(found, key=lambda entry: entry[2].count("{"))


def operation(method: str, path: str) -> tuple[dict[str, Any], str]:
    """The operation of a call and its path template. Raises Complaint where the subset has none."""
    for pattern, operations, template in _addresses():
        if pattern.fullmatch(path) and method.lower() in operations:
            return operations[method.lower()], template
    raise Complaint(f"{method} {path} is not covered by {SUBSET.name}: see tests/openapi/cut.py")


def is_rest(exchange: Exchange) -> bool:
    return git_http.parts(exchange.path) is None and not exchange.path.endswith("/graphql")


def plain_path(path: str) -> str:
    """The address as the description writes it: no Enterprise prefix, repositories by name."""
    path = path.removeprefix("/api/v3")
    return re.sub(r"^/repositories/\d+", "/repos/by-id/by-id", path)


def check_all(exchanges: Iterable[Exchange]) -> None:
    """Raise Complaint with all that is wrong, one line each."""
    wrong = []
    for exchange in filter(is_rest, exchanges):
        try:
            check(exchange)
        except Complaint as complaint:
            line = f"{exchange.method} {exchange.path} -> {exchange.status}: {complaint}"
            wrong.append(line)
    if wrong:
        raise Complaint("\n".join(dict.fromkeys(wrong)))


_seen: set[Any] = set()


def check(exchange: Exchange) -> None:
    path = plain_path(exchange.path)
    described, template = operation(exchange.method, path)
    key = (
        exchange.method,
        template,
        tuple(sorted(exchange.query.items())),
        exchange.status,
        exchange.canned,
        shape(exchange.request_body),
        shape(exchange.response_body),
    )
    if key in _seen:
        return
    check_request(exchange, path, described)
    if exchange.status and not exchange.canned:
        check_response(exchange, path, described)
    _seen.add(key)


def shape(value: Any) -> Any:
    """All of a body that a schema can tell apart: names, types, formats, words that may be listed values."""
    if isinstance(value, dict):
        return tuple((name, shape(inner)) for name, inner in sorted(value.items()))
    if isinstance(value, list):
        return ("list", *sorted({repr(shape(inner)) for inner in value}))
    if isinstance(value, str):
        named = (name for name, pattern in FORMATS if pattern.fullmatch(value))
        return value if WORD.fullmatch(value) else next(named, "text" if value else "empty")
    return type(value).__name__


def check_request(exchange: Exchange, path: str, described: dict[str, Any]) -> None:
    known = {_followed(description(), one)["name"] for one in described.get("parameters", [])}
    if strange := exchange.query.keys() - known:
        raise Complaint(f"GitHub knows no query parameter {', '.join(sorted(strange))}")
    fields = _body_fields(described)
    body = exchange.request_body
    if fields and isinstance(body, dict) and (strange := body.keys() - fields):
        raise Complaint(f"GitHub knows no field {', '.join(sorted(strange))}")
    if body == {} and exchange.status in {403, 404, 422}:
        return   # a dry call: it asks who may, and lacks what it must, so that nothing is made
    try:
        _api().validate_request(_request(exchange, path))
    except OpenAPIError as error:
        raise Complaint(f"request: {_words(error)}") from error


def _body_fields(described: dict[str, Any]) -> set[str]:
    content = _followed(description(), described.get("requestBody", {})).get("content", {})
    schema = _followed(description(), content.get("application/json", {}).get("schema", {}))
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        one = _followed(description(), waiting.pop())
        found |= one.get("properties", {}).keys()
        waiting += [*one.get("oneOf", ()), *one.get("anyOf", ())]
    return found


def check_response(exchange: Exchange, path: str, described: dict[str, Any]) -> None:
    if exchange.status == 304 and exchange.method == "GET":
        if exchange.response_body is not None:
            raise Complaint("a 304 carries no body")
        return
    if str(exchange.status) not in described["responses"] and exchange.status in ANYWHERE:
        if not _is_error(exchange.response_body):
            raise Complaint(f"an error without GitHub's error body: {exchange.response_body!r}")
        return
    body = b"" if exchange.response_body is None else json.dumps(exchange.response_body).encode()
    kind = exchange.response_headers.get("content-type", "application/json")
    response = MockResponse(body, exchange.status, exchange.response_headers, kind)
    try:
        _api().validate_response(_request(exchange, path), response)
    except OpenAPIError as error:
        raise Complaint(f"response: {_words(error)}") from error


def _is_error(body: Any) -> bool:
    return isinstance(body, dict) and "message" in body and body.keys() <= ERROR_FIELDS


def _request(exchange: Exchange, path: str) -> MockRequest:
    body = exchange.request_body
    slashes = re.sub(r"/(branches|git/ref|git/refs|git/matching-refs)/(.+)$", _one_piece, path)
    return MockRequest(
        HOST,
        exchange.method.lower(),
        slashes,
        args=dict(exchange.query),
        headers=exchange.request_headers,
        data=None if body is None else json.dumps(body).encode(),
        content_type="application/json",
    )


def _one_piece(found: re.Match[str]) -> str:
    """A ref keeps its slashes on GitHub; the description's paths cannot say so."""
    return f"/{found[1]}/{found[2].replace('/', '-')}"


def _words(error: BaseException) -> str:
    """The deepest cause, with the places in the body that are wrong."""
    cause: BaseException | None = error
    while cause is not None:
        if schema_errors := getattr(cause, "schema_errors", None):
            places = ["/".join(map(str, one.absolute_path)) + ": " + one.message[:160] for one in schema_errors]
            return "; ".join(places[:5])
        error, cause = cause, cause.__cause__
    return f"{type(error).__name__}: {error}"
