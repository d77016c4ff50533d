"""A whole coordinator against the stand-in over HTTP, with real git push and real processes, driven tick by tick.

Each story ends by asking that nothing was left unread, undead or unreaped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator import app
from coordinator.domain.task import Task
from coordinator.engine.daemon import EffectPool
from coordinator.engine.runner import let_go
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.wakes import Wakes
from coordinator.planning.actions import Plan
from coordinator.rehearsal.people import Person, RepositoryHandle
from coordinator.rehearsal.standin import StandIn
from coordinator.runfiles import identity
from tests.support.description import check_all
from tests.support.patience import end_of

BOT, BOT_TOKEN = "bot", "bot-token-of-the-yard"
FILES = {"README.md": "# widgets\n", "src/widget.py": "def turn() -> int:\n    return 1\n"}
CONFIG = """\
[repository]
name = "acme/widgets"
api_url = "{url}"

[poll]
interval = "1s"
jitter = "0s"
reserve = 0

[workers]
sandbox = "{sandbox}"
provider = "command"
timeout = "{timeout}"
grace = "1s"
stall = "{stall}"
stop_grace = "500ms"

[retry]
max = {retries}
backoff = "{backoff}"

[floors]
disk = "0"
inodes = 0
memory = "0"

[retention]
worktrees_after_merge = "{tidy}"

[providers.command]
argv = ["{python}", "{agent}", "{{attempt}}"]
{more}"""

AGENT = '''\
"""The yard's agent: its prompt names a script, python code that runs in the worktree with helpers at hand."""
import os, re, subprocess, sys, time, json, signal
prompt = sys.stdin.read()
attempt = int(sys.argv[1])
def git(*args): subprocess.run(["git", *args], check=True, stdout=subprocess.DEVNULL)
def write(name, text): open(name, "w").write(text)
def commit(name=os.path.basename(os.getcwd()) + ".txt", text="work\\n", message="Do the work"):
    write(name, text); git("add", "-A", "--", name); git("commit", "-q", "-m", message)
def say(text):
    said = {"content": [{"type": "text", "text": text}]}
    print(json.dumps({"type": "assistant", "message": said}), flush=True)
def result(error=False, text="All done."):
    print(json.dumps({"type": "result", "subtype": "success", "is_error": error, "result": text,
                      "usage": {"input_tokens": 100, "output_tokens": 10}, "total_cost_usd": 0.01}), flush=True)
print(json.dumps({"type": "system", "subtype": "init", "model": "yard"}), flush=True)
found = re.search(r"```script\\n(.*?)```", prompt, re.S)
exec(found[1] if found else "commit(); result()")
'''


@dataclass
class Yard:
    """One repository on a stand-in, its clone, and a coordinator on it."""

    folder: Path
    github: StandIn
    repository: RepositoryHandle
    environ: dict[str, str]
    threads: bool = False
    lines: list[str] = field(default_factory=list)
    engine: Engine = field(init=False)
    wakes: Wakes = field(init=False)
    pool: EffectPool | None = None
    others: frozenset[int] = field(default_factory=lambda: frozenset(identity.children(os.getpid())))
    plan: Plan = field(init=False)

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def ann(self) -> Person:
        """The maintainer."""
        return self.repository.as_user("ann")

    def start(self) -> None:
        """A coordinator of a new process's mind: nothing remembered but what is on disk."""
        where = app.Place(self.clone)
        config = app.configuration(where, self.environ)
        self.wakes = Wakes()
        world = app.coordinator_world(where, config, self.environ, self.wakes, {}, self.lines.append, looks="due")
        self.pool = EffectPool() if self.threads else None
        self.engine = Engine(world, self.pool or AtOnce(), self.wakes.put)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
        let_go(self.engine.world)
        self.engine.world.store.close()

    def issue(self, title: str = "Make it turn", script: str = "", body: str = "",
              labels: tuple[str, ...] = ("rpi-auto",), by: str = "ann") -> int:
        """A labelled issue whose agent runs `script`."""
        text = body + (f"\n```script\n{script}\n```" if script else "")
        return self.repository.as_user(by).open_issue(title, text, labels).number

    def tick(self, *, poll: bool = True) -> Plan:
        self.engine.memory.poll_due = poll
        self.plan = self.engine.tick()
        return self.plan

    def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Ticks until `done`; fails with the log when it takes much longer than `seconds`."""
        end = end_of(time.monotonic(), seconds)
        while True:
            self.tick()
            if done():
                return
            if time.monotonic() > end:
                raise AssertionError("not reached:\n" + "\n".join(self.lines[-40:]) + f"\n{self.states()}")
            self.wakes.wait(0.1)

    def until_state(self, number: int, *states: str, seconds: float = 20.0) -> Task:
        """Ticks until issue `number`'s task is in one of these states and nothing is under way."""
        self.until(lambda: self.state(number) in states and not self.engine.busy, seconds)
        self.tick()
        return self.task(number)

    def task(self, number: int) -> Task:
        task = self.engine.world.store.task(f"gh-{number}")
        assert task is not None, f"gh-{number} is no task: {self.lines}"
        return task

    def state(self, number: int) -> str:
        task = self.engine.world.store.task(f"gh-{number}")
        return str(task.state) if task is not None else ""

    def states(self) -> dict[str, str]:
        return {task.id: f"{task.state} {task.reason} {task.detail}" for task in self.engine.world.store.tasks()}

    def comments(self, number: int) -> list[str]:
        return [comment.body for comment in self.repository.issue(number).comments]

    def worktree(self, number: int) -> Path:
        return self.clone / "trees" / f"gh-{number}"

    def read(self, name: str) -> str:
        return (self.clone / name).read_text("utf-8")

    def git(self, *args: str, cwd: Path | None = None) -> str:
        return git(cwd or self.clone, self.environ, *args)

    def quiet(self) -> None:
        """Nothing left undead or unreaped: no process carries a token, no child waits to be reaped."""
        self.engine.world.executor.reap()
        mine = set()
        for history in self.engine.world.store.attempts().values():
            for attempt in history:
                mine |= {proc.pid for proc in identity.with_token(attempt.token)}
        assert mine == set(), f"left running: {mine}"
        children = set(identity.children(os.getpid())) - self.others
        dead = [pid for pid in children if (proc := identity.look(pid)) is not None and proc.state == "Z"]
        assert dead == [], f"left unreaped: {dead}"


def git(cwd: Path, environ: dict[str, str], *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def a_yard(folder: Path, *, threads: bool = False, more: str = "",
           settings: dict[str, str] | None = None) -> Iterator[Yard]:
    """A yard whose traffic is held against GitHub's description at the end. `more` is added to coordinator.toml."""
    home = folder / "home"
    home.mkdir(parents=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "GITHUB_TOKEN": BOT_TOKEN,
               "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"), "GIT_TERMINAL_PROMPT": "0"}
    with StandIn(folder / "github") as github:
        github.add_user(BOT, BOT_TOKEN)
        github.add_user("ann", "ann-token", permission="admin")
        github.add_user("stranger", "stranger-token", permission="read")
        repository = github.add_repository("acme/widgets", FILES)
        yard = Yard(folder, github, repository, environ, threads)
        with _coordinated(yard, more, settings or {}):
            yield yard
        check_all(github.requests)


@contextmanager
def another(yard: Yard, *, token: str = BOT_TOKEN, more: str = "", **environ: str) -> Iterator[Yard]:
    """A second machine's clone of the same repository, with a memory and a coordinator of its own."""
    folder = yard.folder / "another"
    home = folder / "home"
    home.mkdir(parents=True)
    known = {**yard.environ, "HOME": str(home), "GITHUB_TOKEN": token, "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    other = Yard(folder, yard.github, yard.repository, {**known, **environ})
    with _coordinated(other, more, {}):
        yield other
        yard.engine.world.executor.reap()   # its own dead are not the other's


@contextmanager
def _coordinated(yard: Yard, more: str, settings: dict[str, str]) -> Iterator[None]:
    """The clone and the coordinator on it."""
    token = yard.environ["GITHUB_TOKEN"]
    git(yard.folder, yard.environ, "clone", "-q", yard.repository.clone_url.replace("://", f"://x:{token}@"), "clone")
    yard.git("remote", "set-url", "origin", yard.repository.clone_url)
    agent = yard.folder / "agent.py"
    agent.write_text(AGENT)
    values = {"timeout": "60s", "stall": "60s", "retries": "1", "backoff": "0s", "tidy": "0s", "sandbox": "off",
              **settings}
    text = CONFIG.format(url=yard.github.url, python=sys.executable, agent=agent, more=more, **values)
    (yard.clone / "coordinator.toml").write_text(text)
    yard.start()
    try:
        yield
        yard.quiet()
    finally:
        _end_workers(yard)
        yard.close()


def _end_workers(yard: Yard) -> None:
    """A failed test must not leave its workers behind."""
    for history in yard.engine.world.store.attempts().values():
        for attempt in history:
            for proc in identity.with_token(attempt.token):
                identity.send(proc.pid, proc.start, 9)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with a_yard(tmp_path) as made:
        yield made


