"""The stage of the rehearsal: stand-in GitHub, clone of the sample repository, coordinator as a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .hub.world import Issue
from .people import RepositoryHandle
from .sample import CASES, FILES, FULL_NAME
from .standin import StandIn

BOT, BOT_TOKEN = "rpi-bot", "rehearsal-bot-token"
MAINTAINER = "maintainer"
CONFIG = """\
# Written by the rehearsal: everything is short, so that the whole story fits into a minute.
[repository]
name = "{name}"
api_url = "{url}"

[poll]
interval = "1s"
jitter = "0s"
reserve = 0

[workers]
max = 3
provider = "{provider}"
timeout = "40s"
grace = "2s"
stall = "{stall}"
no_mutation = "30s"
executor = "{executor}"

[worktree]
copy = ["{script}"]

[retry]
max = 1
backoff = "1s"
backoff_max = "2s"

[floors]
disk = "1MB"
inodes = 0
memory = "0"
{agent}"""
AGENT = """
[providers.command]
argv = ["{python}", "{{worktree}}/{script}", "--attempt", "{{attempt}}"]
"""
SCRIPT = ".rehearsal-agent.py"
"""The scripted agent in every worktree: it goes along to other hosts."""
PLACES = {
    "local": "",
    "ssh": """
[hosts.rehearsal]
address = {address}
slots = 3
workdir = "~/coordinator-rehearsal"
default = true
""",
    "slurm": """
[slurm]
poll = "1s"
""",
}


@dataclass(frozen=True)
class Play:
    """With which agent the rehearsal plays, and where its workers run; `address` is the host's for ssh."""

    agent: str = "command"
    executor: str = "local"
    address: str = "localhost"


HERE = Play()


@dataclass
class Stage:
    """Where the rehearsal plays: folder, stand-in, repository, clone, the coordinator's log."""

    folder: Path
    github: StandIn
    repository: RepositoryHandle
    history: list[str] = field(default_factory=list)

    @property
    def clone(self) -> Path:
        return self.folder / "widgets"

    @property
    def log(self) -> Path:
        return self.folder / "coordinator.log"

    def board(self) -> dict[str, Any]:
        """The board the coordinator wrote last; empty before the first."""
        text = read(self.clone / ".coordinator" / "board.json")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@contextmanager
def staged(folder: Path, how: Play = HERE) -> Iterator[Stage]:
    """A stand-in with the sample repository, its issues not yet labelled, and a clone that is configured."""
    with StandIn(folder / "github") as github:
        github.add_user(BOT, BOT_TOKEN, kind="Bot")
        github.add_user(MAINTAINER, permission="admin")
        stage = Stage(folder, github, github.add_repository(FULL_NAME, FILES))
        person = stage.repository.as_user(MAINTAINER)
        for case in CASES:
            person.open_issue(case.title, case.body)
        _clone(stage)
        (stage.clone / "coordinator.toml").write_text(_config(github.url, how), encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("agent.py"), stage.clone / SCRIPT)
        yield stage


def _clone(stage: Stage) -> None:
    """Clone with the token given for this one call; nothing of it stays in the clone."""
    basic = f"http.extraHeader=Authorization: Basic {_basic(BOT_TOKEN)}"
    command = ["git", "-c", basic, "clone", "-q", stage.repository.clone_url, str(stage.clone)]
    surroundings = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(command, env=surroundings, check=True, stdin=subprocess.DEVNULL)


def _basic(token: str) -> str:
    return b64encode(f"x-access-token:{token}".encode()).decode()


def _config(url: str, how: Play) -> str:
    """Elsewhere the interpreter is the host's own, and a look takes longer than a heartbeat here."""
    here = how.executor == "local"
    given = AGENT.format(script=SCRIPT, python="{python}" if here else "python3") if how.agent == "command" else ""
    place = PLACES[how.executor].format(address=json.dumps(how.address))
    return CONFIG.format(name=FULL_NAME, url=url, provider=how.agent, executor=how.executor, script=SCRIPT,
                         stall="3s" if here else "8s", agent=given + place)


@contextmanager
def coordinator(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The coordinator running in the clone, its output in the stage's log; stopped politely at the end, its workers
    with it. Were this process killed, the same would come to pass."""
    surroundings = {**os.environ, "GITHUB_TOKEN": BOT_TOKEN, "GIT_TERMINAL_PROMPT": "0",
                    "COORDINATOR_GITHUB_TOKEN_FD": ""}   # a person's own token would go before it
    with stage.log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.bound", str(os.getpid()), "run", "--stop-workers"],
            cwd=stage.clone,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield daemon
        finally:
            _stop(daemon)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def pull_of(stage: Stage, number: int) -> Issue | None:
    found = stage.repository.pulls(head=branch_of(number))
    return found[-1] if found else None


def branch_of(number: int) -> str:
    return f"rpi/gh-{number}"
