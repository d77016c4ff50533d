"""Reaching GitHub at all: own authorities, proxies, dead and slow hosts, and a token that stands nowhere."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coordinator.adapters.github import GitHubClient
from coordinator.adapters.system.clock import SystemClock
from coordinator.ports import BadCredentials, TryLater

TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
ISSUE = {"number": 1, "title": "One", "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z"}


class Server:
    """A host that answers each request with one issue, over TLS when asked to."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.seen: list[str] = []
        self.tokens: list[str] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = _one_issue
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append(self.path)
                outer.tokens.append(self.headers.get("Authorization", ""))
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name for it
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _one_issue(handler: BaseHTTPRequestHandler, body: bytes = json.dumps(ISSUE).encode(), more: int = 0) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) + more))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def reach() -> Iterator[Callable[..., GitHubClient]]:
    made: list[GitHubClient] = []

    def client(api_url: str, token: Callable[[], str] = lambda: TOKEN, **options: object) -> GitHubClient:
        options = {"timeout": 5.0, **options}
        made.append(GitHubClient("acme/widgets", token=token, clock=SystemClock(), api_url=api_url, **options))
        return made[-1]

    yield client
    for each in made:
        each.close()


def an_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that only its own file vouches for, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.mark.req("X8")
def test_an_enterprise_host_is_reached_below_its_path_with_its_ownan_authority(
    tmp_path: Path, reach: Callable[..., GitHubClient]
) -> None:
    authority, context = an_authority(tmp_path)
    server = Server(context)
    try:
        url = f"https://localhost:{server.port}/api/v3/"
        with pytest.raises(TryLater, match=r"certificate could not be verified \(repository\.ca_bundle"):
            reach(url).issue(1)
        assert reach(url, ca_bundle=str(authority)).issue(1).title == "One"
        assert server.seen == ["/api/v3/repos/acme/widgets/issues/1"]
    finally:
        server.close()


@pytest.mark.req("X8")
def test_a_proxy_is_used_when_one_is_named(server: Server, reach: Callable[..., GitHubClient]) -> None:
    client = reach("http://github.example.invalid", proxy=f"http://127.0.0.1:{server.port}")
    assert client.issue(1).title == "One"
    assert server.seen == ["http://github.example.invalid/repos/acme/widgets/issues/1"]


def test_a_dead_proxy_is_named_without_its_password(reach: Callable[..., GitHubClient]) -> None:
    client = reach("http://github.example.invalid", proxy=f"http://me:s3cretword@127.0.0.1:{_dead_port()}")
    with pytest.raises(TryLater, match="the proxy could not be reached") as told:
        client.issue(1)
    assert "s3cretword" not in repr(told.value) + repr(told.value.__cause__) + repr(client)


def _dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_host_that_is_not_there_means_later(reach: Callable[..., GitHubClient]) -> None:
    with pytest.raises(TryLater, match="the connection was refused"):
        reach(f"http://127.0.0.1:{_dead_port()}").issue(1)


def test_a_name_that_is_not_known_means_later(reach: Callable[..., GitHubClient]) -> None:
    with pytest.raises(TryLater, match="name could not be resolved"):
        reach("http://github.invalid").issue(1)


def test_a_host_that_does_not_answer_means_later(server: Server, reach: Callable[..., GitHubClient]) -> None:
    held = threading.Event()
    server.answer = lambda _handler: held.wait(10)
    with pytest.raises(TryLater, match="no answer in time"):
        reach(f"http://127.0.0.1:{server.port}", timeout=0.2).issue(1)
    held.set()


def test_an_answer_that_is_cut_off_means_later(server: Server, reach: Callable[..., GitHubClient]) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        _one_issue(handler, b'{"number": 1', more=500)
        handler.close_connection = True

    server.answer = cut
    with pytest.raises(TryLater, match="cut"):
        reach(f"http://127.0.0.1:{server.port}").issue(1)


def test_a_renewed_token_is_used_at_once(server: Server, reach: Callable[..., GitHubClient]) -> None:
    tokens = iter(["first", "second\n"])
    client = reach(f"http://127.0.0.1:{server.port}", lambda: next(tokens))
    client.issue(1)
    client.issue(1)
    assert server.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("token", ["", "  \n", "two words", f"{TOKEN}\r\nX-Evil: 1", "tökén"])
def test_what_cannot_be_a_token_is_told_without_sending_or_showing_it(
    server: Server, reach: Callable[..., GitHubClient], token: str
) -> None:
    with pytest.raises(BadCredentials, match="gh auth login") as told:
        reach(f"http://127.0.0.1:{server.port}", lambda: token).issue(1)
    assert server.seen == []
    assert not token.strip() or token.strip() not in str(told.value)


def test_the_token_stands_in_no_log_line_even_at_debug(
    server: Server, reach: Callable[..., GitHubClient], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        reach(f"http://127.0.0.1:{server.port}").issue(1)
    assert caplog.records
    assert TOKEN not in caplog.text


def test_loading_the_adapter_loads_neither_pygithub_nor_requests() -> None:
    code = (
        "import sys; from coordinator.adapters.github import GitHubClient; "
        "from coordinator.adapters.system.clock import SystemClock; "
        "GitHubClient('a/b', token=str, clock=SystemClock()).budget(); "
        "print('github' in sys.modules, 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
