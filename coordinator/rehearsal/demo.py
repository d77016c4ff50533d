"""The rehearsal: the whole main job on a stand-in GitHub, six issues with a known end each.

It starts the real coordinator as a process of its own and then only does what people would do: label,
touch a STOP file, merge. What came of it is read from the stand-in and from the files, never from inside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .hub.world import Issue
from .people import RepositoryHandle
from .sample import CASES, FILES, FULL_NAME, STOP_REASON, Case
from .standin import StandIn

BOT, BOT_TOKEN = "rpi-bot", "rehearsal-bot-token"
MAINTAINER = "maintainer"
LABEL, BLOCKED = "rpi-auto", "rpi:blocked"
DEADLINE = 60.0
LOOK = 0.2
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
stall = "3s"
no_mutation = "30s"

[retry]
max = 1
backoff = "1s"
backoff_max = "2s"

[floors]
disk = "1MB"
inodes = 0
{agent}"""
AGENT = """
[providers.command]
argv = ["{{python}}", {script}, "--attempt", "{{attempt}}"]
"""


@dataclass(frozen=True)
class Seen:
    """What became of one case. `missing` lists what should be there and is not; empty is well."""

    case: Case
    seen: str
    missing: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.missing


@dataclass(frozen=True)
class Result:
    """All that the rehearsal leaves to look at."""

    seen: tuple[Seen, ...]
    issues: tuple[Issue, ...]
    pulls: tuple[Issue, ...]
    tasks_md: str
    metrics_json: str
    seconds: float
    log: str

    @property
    def well(self) -> bool:
        return all(one.well for one in self.seen)


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


Show = Callable[[dict[str, Any]], None]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@contextmanager
def staged(folder: Path, agent: str = "command") -> Iterator[Stage]:
    """A stand-in with the sample repository, its issues not yet labelled, and a clone that is configured."""
    with StandIn(folder / "github") as github:
        github.add_user(BOT, BOT_TOKEN, kind="Bot")
        github.add_user(MAINTAINER, permission="admin")
        stage = Stage(folder, github, github.add_repository(FULL_NAME, FILES))
        person = stage.repository.as_user(MAINTAINER)
        for case in CASES:
            person.open_issue(case.title, case.body)
        _clone(stage)
        (stage.clone / "coordinator.toml").write_text(_config(github.url, agent), encoding="utf-8")
        yield stage


def _clone(stage: Stage) -> None:
    """Clone with the token given for this one call; nothing of it stays in the clone."""
    basic = f"http.extraHeader=Authorization: Basic {_basic(BOT_TOKEN)}"
    command = ["git", "-c", basic, "clone", "-q", stage.repository.clone_url, str(stage.clone)]
    surroundings = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(command, env=surroundings, check=True, stdin=subprocess.DEVNULL)


def _basic(token: str) -> str:
    from base64 import b64encode

    return b64encode(f"x-access-token:{token}".encode()).decode()


def _config(url: str, agent: str) -> str:
    script = json.dumps(str(Path(__file__).with_name("agent.py")))
    given = AGENT.format(script=script) if agent == "command" else ""
    return CONFIG.format(name=FULL_NAME, url=url, provider=agent, agent=given)


@contextmanager
def coordinator(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The coordinator running in the clone, its output in the stage's log; stopped politely at the end."""
    surroundings = {**os.environ, "GITHUB_TOKEN": BOT_TOKEN, "GIT_TERMINAL_PROMPT": "0"}
    with stage.log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "coordinator", "run"],
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


def rehearse(folder: Path, show: Show, agent: str = "command", deadline: float = DEADLINE) -> Result:
    """Play the six issues to their ends and say what came of them.

    `show` is given the coordinator's board, as data, each time it was looked at. The daemon is stopped
    when all cases ended well, or when `deadline` seconds are over.
    """
    began = time.monotonic()
    with staged(folder, agent) as stage:
        label_all(stage)
        with coordinator(stage) as daemon:
            while time.monotonic() - began < deadline and daemon.poll() is None:
                play(stage)
                show(stage.board())
                if all(one.well for one in judge(stage)):
                    break
                time.sleep(LOOK)
        return _result(stage, time.monotonic() - began)


def serve(folder: Path, ready: Callable[[Stage], None], show: Show, agent: str = "command") -> None:
    """Leave everything running for people to play with; `ready` is told where things are.

    Returns when the coordinator ends; Ctrl-C ends it and raises KeyboardInterrupt.
    """
    with staged(folder, agent) as stage:
        label_all(stage)
        with coordinator(stage) as daemon:
            ready(stage)
            while daemon.poll() is None:
                show(stage.board())
                time.sleep(LOOK)


def label_all(stage: Stage) -> None:
    person = stage.repository.as_user(MAINTAINER)
    for case in CASES:
        person.add_label(case.number, LABEL)


def play(stage: Stage) -> None:
    """What people do in this story: stop the endless one, merge the first pull request."""
    tree = stage.clone / "trees" / "gh-5"
    begun = (tree / "notes" / "issue-5-2.md").exists()
    if begun and "stopped 5" not in stage.history:
        (tree / "STOP").write_text(STOP_REASON, encoding="utf-8")
        stage.history.append("stopped 5")
    first = pull_of(stage, 1)
    if first is not None and first.state == "open" and _worked_on(stage, 6) is False:
        stage.repository.as_user(MAINTAINER).merge(first.number)
        stage.history.append("merged 1")


def _worked_on(stage: Stage, number: int) -> bool:
    return (stage.clone / "trees" / f"gh-{number}").exists()


def pull_of(stage: Stage, number: int) -> Issue | None:
    found = stage.repository.pulls(head=branch_of(number))
    return found[-1] if found else None


def branch_of(number: int) -> str:
    return f"rpi/gh-{number}"


def judge(stage: Stage) -> tuple[Seen, ...]:
    """Each case against what the stand-in and the files hold now."""
    return tuple(_seen(stage, case) for case in CASES)


def _seen(stage: Stage, case: Case) -> Seen:
    wanted = CHECKS[case.number](stage)
    missing = tuple(words for words, there in wanted.items() if not there)
    return Seen(case, case.expected if not missing else "not: " + "; ".join(missing), missing)


def _words(stage: Stage, number: int) -> str:
    return "\n".join(comment.body for comment in stage.repository.issue(number).comments)


def _attempts(stage: Stage, number: int) -> int:
    """How many times a worker was started for an issue, by the board."""
    rows = stage.board().get("tasks", [])
    return next((len(row["attempts"]) for row in rows if row.get("id") == f"gh-{number}"), 0)


def _section(stage: Stage, name: str) -> str:
    """The part of tasks.md under the heading that begins with `name`."""
    parts = read(stage.clone / "tasks.md").split("\n## ")
    return next((part for part in parts if part.startswith(name)), "")


def _delivered(stage: Stage, number: int) -> dict[str, bool]:
    pull = pull_of(stage, number)
    said = f"✅ Completed! See PR #{pull.number}" if pull else "✅ Completed!"
    return {"a pull request": pull is not None, f'the comment "{said}"': said in _words(stage, number)}


def _first(stage: Stage) -> dict[str, bool]:
    pull = pull_of(stage, 1)
    merged = pull is not None and pull.the_pull().merged_at is not None
    closed = stage.repository.issue(1).state == "closed"
    return {**_delivered(stage, 1), "the merge": merged, "the issue closed by it": closed}


def _second(stage: Stage) -> dict[str, bool]:
    return {**_delivered(stage, 2), "two attempts": _attempts(stage, 2) == 2}


def _third(stage: Stage) -> dict[str, bool]:
    return {
        'the comment "Worker exited without creating PR"': "Worker exited without creating PR" in _words(stage, 3),
        "a line under Failed": "gh-3:" in _section(stage, "Failed"),
        "no pull request": pull_of(stage, 3) is None,
    }


def _fourth(stage: Stage) -> dict[str, bool]:
    labels = stage.repository.issue(4).labels
    return {f"the label {BLOCKED}": BLOCKED in labels, "two attempts": _attempts(stage, 4) == 2}


def _fifth(stage: Stage) -> dict[str, bool]:
    branch = branch_of(5)
    pushed = stage.repository.branch(branch) is not None
    messages = stage.repository.messages(branch) if pushed else []
    kept = any(text.startswith("WIP: Stopped by user") for text in messages)
    return {
        "the branch pushed": pushed,
        'a commit "WIP: Stopped by user"': kept,
        "no STOP in it": pushed and "STOP" not in stage.repository.files(branch),
        "the reason in a comment": STOP_REASON in _words(stage, 5),
        "a line under Failed": "gh-5:" in _section(stage, "Failed"),
        "no pull request": pull_of(stage, 5) is None,
    }


def _sixth(stage: Stage) -> dict[str, bool]:
    waited = "merged 1" in stage.history
    return {**_delivered(stage, 6), "a start only after the first was merged": waited}


CHECKS: dict[int, Callable[[Stage], dict[str, bool]]] = {
    1: _first, 2: _second, 3: _third, 4: _fourth, 5: _fifth, 6: _sixth,
}  # fmt: skip


def _result(stage: Stage, seconds: float) -> Result:
    return Result(
        seen=judge(stage),
        issues=tuple(stage.repository.issues()),
        pulls=tuple(stage.repository.pulls()),
        tasks_md=read(stage.clone / "tasks.md"),
        metrics_json=read(stage.clone / "adws" / "metrics.json"),
        seconds=seconds,
        log=read(stage.log),
    )
