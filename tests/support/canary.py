"""A coordinator of an ordinary user with secrets all around it, against the stand-in: what becomes of them is asked of
whoever should not know them, and of every file and comment that is left."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from coordinator.rehearsal.people import RepositoryHandle
from coordinator.rehearsal.standin import StandIn
from coordinator.runfiles import identity
from tests.support import ordinary
from tests.support.description import check_all
from tests.support.running import Running
from tests.support.yard import CONFIG, FILES, Yard, git


def secret(name: str) -> str:
    """One that tests/support/looter.py knows by its look, and none of whose makers anybody knows."""
    return f"loot.{name}.{secrets.token_hex(12)}"


@dataclass
class Field:
    """The repository, its clone and what the coordinator's environment holds. `folder` is the user's."""

    folder: Path
    github: StandIn
    repository: RepositoryHandle
    secrets: dict[str, str]
    environ: dict[str, str]
    who: dict[str, Any]
    python: str

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def token(self) -> str:
        return self.secrets["GITHUB_TOKEN"]

    def issue(self, body: str) -> int:
        return self.repository.as_user("ann").open_issue("Make it turn", body, ("rpi-auto",)).number

    def command(self, *argv: str) -> str:
        """A command that the same user types beside it. The coordinator alone was given secrets: what a person's own
        shell hands to every program is in reach of all programs of that person."""
        plain = {name: self.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR")}
        ran = subprocess.run([self.python, "-m", "coordinator", *argv], env={**plain, "PYTHONPATH": ordinary.paths()},
                             cwd=self.clone, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
                             check=False, **self.who)  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def loot(self) -> dict[str, list[str]]:
        """Where the agents found each secret, by the name of its variable."""
        names = {value: name for name, value in self.secrets.items()}
        found: dict[str, list[str]] = {}
        for path in (self.folder / "loot").glob("*.txt"):
            for line in path.read_text("utf-8").splitlines():
                value, _, place = line.partition(" in ")
                found.setdefault(names.get(value, value), []).append(place)
        return found

    def left(self) -> dict[str, bytes]:
        """Every file that the user has now, what a program wrote of the loot excepted, and all that GitHub was told."""
        held = {str(path): path.read_bytes() for path in self.folder.rglob("*")
                if path.is_file() and not path.is_symlink() and "loot" not in path.parts}
        for issue in (*self.repository.issues(), *self.repository.pulls()):
            words = "\n".join((issue.title, issue.body or "", *(one.body for one in issue.comments)))
            held[f"#{issue.number} on GitHub"] = words.encode()
        for name in self.repository.branches():
            held[f"commits of {name}"] = "\n".join(self.repository.messages(name)).encode()
        return held


def forms(value: str) -> tuple[bytes, ...]:
    """How it may stand somewhere: plain, in hex, in an address, and coded alone or as git's password, wherever that
    begins."""
    coded = [b64encode(lead + value.encode()) for lead in (b"", b"x", b"xx")]
    plain = (value.encode(), value.encode().hex().encode(), quote(value, safe="").encode())
    return (*plain, *(one[4:-4] for one in coded))


def holders(held: Mapping[str, bytes], value: str) -> list[str]:
    """The places that hold it in whatever form."""
    return [place for place, content in held.items() if any(form in content for form in forms(value))]


@contextmanager
def a_field(agent: Path, *, walled: bool = False) -> Iterator[Field]:
    """`agent` is given the folder and the attempt's number. Within walls the coordinator is whoever the test is, root
    too, and of the folder its agents see the place for their loot. The traffic is held against GitHub's description."""
    known = {name: secret(short) for name, short in (
        ("GITHUB_TOKEN", "token"), ("GH_TOKEN", "second"), ("AWS_SECRET_ACCESS_KEY", "cloud"),
        ("ANTHROPIC_API_KEY", "model"), ("OPENAI_API_KEY", "other"), ("NPM_TOKEN", "registry"),
        ("DATABASE_URL", "database"), ("OP_SERVICE_ACCOUNT_TOKEN", "wallet"),
    )}  # fmt: skip
    python = sys.executable if walled else ordinary.python()
    with ordinary.a_home() as folder, TemporaryDirectory() as hidden_from_it, StandIn(Path(hidden_from_it)) as github:
        github.add_user("bot", known["GITHUB_TOKEN"])
        github.add_user("ann", "ann-token", permission="admin")
        repository = github.add_repository("acme/widgets", FILES)
        home, inside = folder / "home", folder / "tmp"
        for made in (home, inside, folder / "loot", home / ".config"):
            made.mkdir()
        address = secret("notify")
        environ = {**known, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8",
                   "TMPDIR": str(inside), "SSH_AUTH_SOCK": f"/nowhere/{secret('agent')}", "GIT_TERMINAL_PROMPT": "0",
                   "PYTHONPATH": ordinary.paths(), "COORDINATOR_NOTIFY_URLS": f"json://127.0.0.1:9/{address}"}
        at = repository.clone_url.replace("://", "://ann:ann-token@")
        git(folder, {**environ, "PATH": os.environ["PATH"]}, "clone", "-q", at, "clone")
        clone = folder / "clone"
        git(clone, environ, "remote", "set-url", "origin", repository.clone_url)
        text = CONFIG.format(url=github.url, python=python, agent=agent, timeout="120s", stall="120s", retries="1",
                             backoff="0s", tidy="0s", more="", sandbox="bwrap" if walled else "off")
        shown = f'sandbox_read = ["{folder}/spared"]\nsandbox_write = ["{folder}/loot"]\n'
        text = text.replace("[retry]", f"{shown}[retry]")
        (clone / "coordinator.toml").write_text(text.replace('"{attempt}"', f'"{folder}", "{{attempt}}"'))
        (folder / "spared").write_text(" ".join(map(str, ancestors(os.getpid()))))
        if not walled:
            ordinary.give(folder)
        hidden = {**known, "SSH_AUTH_SOCK": environ["SSH_AUTH_SOCK"].rpartition("/")[2], "notify": address}
        try:
            yield Field(folder, github, repository, hidden, environ, {} if walled else ordinary.as_user(), python)
        finally:
            for proc in carriers(str(clone)):
                identity.send(proc.pid, proc.start, 9)
        check_all(github.requests)


def ancestors(pid: int) -> Iterator[int]:
    while (proc := identity.look(pid)) is not None:
        yield pid
        pid = proc.ppid


def carriers(clone: str) -> list[identity.Proc]:
    """Workers of this field that a failed test left."""
    found = []
    for name in filter(str.isdigit, (one.name for one in Path("/proc").iterdir())):
        try:
            of_ours = f"@{clone}/".encode() in identity.environ(int(name))
        except OSError:
            continue
        if of_ours and (proc := identity.look(int(name))) is not None:
            found.append(proc)
    return found


@contextmanager
def a_coordinator(place: Field) -> Iterator[Running]:
    """`coordinator run` of the ordinary user, with the bug of tests/support/faulty.py in it."""
    log = place.folder / "daemon.log"
    argv = [place.python, "-m", "tests.support.faulty", str(place.folder / "BUG"), "run"]
    with log.open("ab") as out:
        child = subprocess.Popen(argv, cwd=place.clone, env=place.environ, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, **place.who)  # fmt: skip
    yard = Yard(place.folder, place.github, place.repository, place.environ)
    try:
        yield Running(yard, child, log)
    finally:
        child.kill()
        child.wait()
