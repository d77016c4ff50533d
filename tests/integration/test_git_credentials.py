"""What others of the same user can see of git while it runs for us: no agent's key, and no login but for a moment."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from coordinator.ports import GitError, GitUnreachable
from coordinator.runfiles import identity
from tests.integration.test_github_reach import an_authority
from tests.support.gitworld import make_world
from tests.support.serving import serving

TOKEN = "canary-of-git-0123456789"
KEYS = {"ANTHROPIC_API_KEY": "canary-of-a-model", "GITHUB_TOKEN": TOKEN, "DATABASE_URL": "canary-of-a-base",
        "COORDINATOR_NOTIFY_URLS": "canary-of-an-address"}


_NOTHING = b"001e# service=git-upload-pack\n00000000"
"""What a repository without a ref says of itself."""


class Asked(BaseHTTPRequestHandler):
    """Asks who is there; once it was told, it looks for what is left behind the descriptor that git inherited. A public
    one does not ask, as GitHub where a public repository is read."""

    public = False

    def do_GET(self) -> None:
        told = self.headers.get("Authorization", "")
        self.server.told.append(bool(told))  # type: ignore[attr-defined]
        if told or self.public:
            self.server.left += list(_behind_descriptors())  # type: ignore[attr-defined]
        self.send_response(200 if self.public else 404 if told else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.send_header("Content-Length", str(len(_NOTHING) if self.public else 0))
        self.end_headers()
        self.wfile.write(_NOTHING if self.public else b"")

    def log_message(self, *_: object) -> None:
        """Silent."""


def _behind_descriptors() -> Iterator[bytes]:
    for proc in identity.tree(os.getpid()):
        argv = Path(f"/proc/{proc.pid}/cmdline").read_bytes()
        for number in re.findall(rb"/proc/self/fd/(\d+)", argv):
            fd = os.open(f"/proc/{proc.pid}/fd/{int(number)}", os.O_RDONLY | os.O_NONBLOCK)
            yield os.read(fd, 4096)
            os.close(fd)


class Public(Asked):
    public = True


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    with serving(getattr(request, "param", Asked)) as server:
        server.left, server.told = [], []  # type: ignore[attr-defined]
        yield server


@pytest.mark.req("W19")
def test_the_login_can_be_read_once_and_git_has_no_key_of_an_agent(
    tmp_path: Path, host: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim, seen = tmp_path / "bin" / "git", tmp_path / "seen"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nenv >> {seen}\necho "ran: $*" >> {seen}\nexec {shutil.which("git")} "$@"\n')
    shim.chmod(0o755)
    world = make_world(tmp_path)
    for name, value in {**KEYS, "PATH": f"{shim.parent}:{os.environ['PATH']}", "LC_TIME": "C"}.items():
        monkeypatch.setenv(name, value)
    address = f"http://127.0.0.1:{host.server_port}/acme/widgets.git"
    repo = world.repository(url=address, token=lambda: TOKEN)
    with pytest.raises(GitError, match="not found"):
        repo.fetch()
    assert repo.log("refs/heads/main~1", "refs/heads/main") is not None   # by GitPython, which starts git its own way
    assert host.left  # type: ignore[attr-defined]
    assert set(host.left) == {b""}  # type: ignore[attr-defined]
    text = seen.read_text()
    assert "LC_TIME=C" in text
    assert {word for word in ("fetch", "rev-list", "config") if f" {word} " in text} == {"fetch", "rev-list", "config"}
    assert "canary-of" not in text
    host.told.clear()  # type: ignore[attr-defined]
    with pytest.raises(GitError, match="not found"):
        repo.fetch()
    assert host.told == [False, True]   # that it asks is known by now  # type: ignore[attr-defined]


@pytest.mark.req("W19")
@pytest.mark.parametrize("host", [Public], indirect=True)
def test_where_nobody_asks_for_the_login_no_git_has_it(tmp_path: Path, host: HTTPServer) -> None:
    address = f"http://127.0.0.1:{host.server_port}/acme/widgets.git"
    repo = make_world(tmp_path).repository(url=address, token=lambda: TOKEN)
    repo.fetch()
    repo.fetch()
    assert host.told == [False, False]  # type: ignore[attr-defined]
    assert set(host.left) <= {b""}  # type: ignore[attr-defined]


@pytest.mark.req("X8")
@pytest.mark.parametrize("host", [Public], indirect=True)
def test_git_goes_by_the_proxy_that_is_set_and_by_no_other(
    tmp_path: Path, host: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "operator").write_text("[http]\n\tproxy = http://127.0.0.1:9\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "operator"))
    monkeypatch.setenv("no_proxy", "github.example.invalid")
    address, proxy = "http://github.example.invalid/acme/widgets.git", f"http://u:secret@127.0.0.1:{host.server_port}"
    make_world(tmp_path).repository(url=address, proxy=proxy).fetch()
    assert host.told == [False]  # type: ignore[attr-defined]


@pytest.mark.req("X8")
@pytest.mark.parametrize("host", [Public], indirect=True)
def test_git_trusts_the_authority_that_is_set(tmp_path: Path, host: HTTPServer) -> None:
    authority, context = an_authority(tmp_path)
    host.socket = context.wrap_socket(host.socket, server_side=True)
    address = f"https://localhost:{host.server_port}/acme/widgets.git"
    world = make_world(tmp_path)
    with pytest.raises(GitUnreachable, match="certificate"):
        world.repository(url=address).fetch()
    world.repository(url=address, ca_bundle=os.path.relpath(authority)).fetch()
    assert host.told == [False]  # type: ignore[attr-defined]
