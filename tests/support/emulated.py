"""A second GitHub, written by others: npm's `emulate`, with hands to act in it over its own REST.

It serves the same suite as the stand-in, so that our idea of GitHub and the stand-in's cannot be wrong together.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from coordinator.adapters.github import GitHubClient
from tests.support.github_place import REPO, OurClock
from tests.support.real_parts import EMULATE, NODE
from tests.support.standin import BOT_TOKEN

ANN_TOKEN = "ann-token"
MOST_SECONDS = 5
SEED = f"""\
tokens:
  {BOT_TOKEN}: {{login: bot, scopes: [repo]}}
  {ANN_TOKEN}: {{login: ann, scopes: [repo]}}
github:
  users:
    - {{login: bot, name: Bot, email: bot@example.com}}
    - {{login: ann, name: Ann, email: ann@example.com}}
  orgs:
    - {{login: acme, name: Acme, members: [{{login: ann, role: admin}}, {{login: bot, role: admin}}]}}
  repos:
    - {{owner: acme, name: widgets, auto_init: true}}
"""


class CannotAct(Exception):
    """The place has no means for what a test wants to be done in it."""


class Hands:
    """A person acting over REST. What is asked for is returned with the number or sha that GitHub gave it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}/repos/{REPO}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"token {token}"

    def ask(self, verb: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(verb, f"{self._url}/{path}", json=body, timeout=30)
        if not answer.ok:
            raise CannotAct(f"{verb} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.json() if answer.content else None

    def open_issue(self, title: str, body: str, labels: tuple[str, ...] = ()) -> Any:
        return _numbered(self.ask("POST", "issues", {"title": title, "body": body, "labels": list(labels)}))

    def close(self, number: int) -> None:
        self.ask("PATCH", f"issues/{number}", {"state": "closed"})

    def edit_title(self, number: int, title: str) -> None:
        self.ask("PATCH", f"issues/{number}", {"title": title})

    def add_label(self, number: int, name: str) -> None:
        self.ask("POST", f"issues/{number}/labels", {"labels": [name]})

    def remove_label(self, number: int, name: str) -> None:
        self.ask("DELETE", f"issues/{number}/labels/{name}")

    def assign(self, number: int, login: str) -> None:
        self.ask("POST", f"issues/{number}/assignees", {"assignees": [login]})

    def block(self, number: int, by: int) -> None:
        self.ask("POST", f"issues/{number}/dependencies/blocked_by", {"issue_id": by})

    def comment(self, number: int, body: str) -> None:
        self.ask("POST", f"issues/{number}/comments", {"body": body})

    def commit(self, branch: str, files: Mapping[str, str], message: str) -> str:
        """The new commit's sha."""
        found = self.ask("GET", "git/matching-refs/heads/")
        refs = {ref["ref"].removeprefix("refs/heads/"): ref["object"]["sha"] for ref in found}
        parent = refs.get(branch) or refs["main"]
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        base = self.ask("GET", f"git/commits/{parent}")["tree"]["sha"]
        tree = self.ask("POST", "git/trees", {"base_tree": base, "tree": entries})["sha"]
        made = str(self.ask("POST", "git/commits", {"message": message, "tree": tree, "parents": [parent]})["sha"])
        if branch in refs:
            self.ask("PATCH", f"git/refs/heads/{branch}", {"sha": made})
        else:
            self.ask("POST", "git/refs", {"ref": f"refs/heads/{branch}", "sha": made})
        return made

    def open_pull(self, head: str, title: str) -> Any:
        return _numbered(self.ask("POST", "pulls", {"title": title, "head": head, "base": "main", "body": ""}))

    def close_pull(self, number: int) -> None:
        self.ask("PATCH", f"pulls/{number}", {"state": "closed"})

    def merge(self, number: int, method: str = "merge") -> None:
        self.ask("PUT", f"pulls/{number}/merge", {"merge_method": method})

    def delete_branch(self, branch: str) -> None:
        self.ask("DELETE", f"git/refs/heads/{branch}")


def _numbered(data: Mapping[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(number=data["number"])


class NoStandIn:
    """What only our own stand-in can be asked to do."""

    def __getattr__(self, name: str) -> Any:
        raise CannotAct(f"emulate has nothing like the stand-in's {name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise CannotAct(f"emulate has nothing like the stand-in's {name}")


@dataclass
class EmulatedPlace:
    """What the contract suite knows of a Place, on emulate. Its clock is the machine's and cannot be moved."""

    url: str
    ann: Hands
    ours: OurClock = field(default_factory=OurClock)
    stand_in: NoStandIn = field(default_factory=NoStandIn)
    made: list[GitHubClient] = field(default_factory=list)
    waited: int = 0

    def client(self, token: str = BOT_TOKEN, **options: Any) -> GitHubClient:
        options = {"reserve": 0, "api_url": self.url, "timeout": 5.0, **options}
        made = GitHubClient(REPO, token=lambda: token, clock=self.ours, **options)
        self.made.append(made)
        return made

    def later(self, seconds: float = 1) -> None:
        """Lets the next second begin; a test that wants many of them asks for more than this place can give."""
        if self.waited >= MOST_SECONDS:
            raise CannotAct("emulate's clock is the machine's: it cannot be moved on")
        self.waited += 1
        self.ours.at += timedelta(seconds=seconds)
        time.sleep(1.0 - time.time() % 1.0 if seconds else 0.0)

    def issue(self, title: str = "Mend it", *labels: str) -> int:
        return int(self.ann.open_issue(title, "Words.", labels).number)

    def pull(self, branch: str = "rpi/gh-1") -> int:
        self.ann.commit(branch, {"a.txt": branch}, "Work")
        return int(self.ann.open_pull(branch, f"Pull of {branch}").number)

    def asked(self) -> list[str]:
        raise CannotAct("emulate keeps no record of what it was asked")


@contextmanager
def emulating(folder: Path) -> Iterator[str]:
    """The address of an emulate of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    seed = folder / "seed.yaml"
    seed.write_text(SEED)
    argv = [str(NODE), str(EMULATE.resolve()), "--service", "github", "--port", str(port), "--base-url", url, "--seed",
            str(seed)]
    with (folder / "emulate.log").open("wb") as log:
        child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await(url, child, folder / "emulate.log")
        yield url
    finally:
        child.terminate()
        child.wait(10)


def _await(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while True:
        try:
            requests.get(f"{url}/rate_limit", timeout=1)
        except requests.ConnectionError:
            if child.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"emulate did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


def on_emulate(folder: Path) -> Iterator[EmulatedPlace]:
    """A place of its own; emulate is up in some 0.4 s and has no way to forget."""
    with emulating(folder) as url:
        place = EmulatedPlace(url, Hands(url, ANN_TOKEN))
        yield place
        for client in place.made:
            client.close()
