"""A wrapper as a scheduler starts one: by its own command line on a node, with nobody but its files beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.adapters.executors import bundle
from coordinator.runfiles import atomic, codec, identity
from tests.support.workers import until

JOB = "gh-1"


@dataclass
class Node:
    """`root` holds the job folder; `cwd` is where the agent works. One run at a time."""

    root: Path
    cwd: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    argv: tuple[str, ...] = ()
    """What stands before the wrapper's own words; the bundle by default."""

    @property
    def folder(self) -> Path:
        return self.root / "jobs" / "claude"

    @property
    def token(self) -> str:
        return f"token-of-{self.root.name}-{os.getpid()}"

    def file(self, kind: str) -> Path:
        return self.folder / f"{JOB}.{kind}"

    def pairs(self, kind: str) -> Mapping[str, str]:
        return atomic.read_pairs(str(self.file(kind))) or {}

    def out(self) -> str:
        return self.file("log").read_text("utf-8") if self.file("log").exists() else ""

    def put(self, kind: str, pairs: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic.write(str(self.file(kind)), codec.encode(pairs))

    def order(self, reason: str, **more: str) -> None:
        self.put("stop", {"token": self.token, "reason": reason, "words": "", **more})

    def start(self, *argv: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None,
              **spec: str) -> subprocess.Popen[bytes]:
        """In a session of its own, as slurmstepd does. `spec` are keys of the wrapper's orders."""
        words = {f"argv.{at}": word for at, word in enumerate(argv)}
        self.put("spec", {"token": self.token, "fence": "1", "run_id": "1", "cwd": str(self.cwd), "beat_sec": "0.2",
                          "grace_sec": "1", "soft_sec": "0", "cgroup": "0", **words, **spec})
        line = self.argv or (sys.executable, "-I", "-S", str(bundle.place(self.root / "jobs")))
        given = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_GLOBAL": os.devnull}
        with self.file("err").open("ab") as err:
            child = subprocess.Popen(
                [*line, "claude", JOB, "--dir", str(self.folder), "--token", self.token, *options],
                env={**given, "COORDINATOR_TOKEN": self.token, **(env or {})}, stdout=err, stderr=err,
                start_new_session=True)
        self.started.append(child)
        return child

    def ready(self, word: str = "ready") -> None:
        until(lambda: word in self.out() or self.pairs("outcome"), "the agent")
        assert word in self.out(), dict(self.pairs("outcome"))

    def agent(self) -> int:
        return int(until(lambda: self.pairs("heartbeat").get("agent_pid"), "the agent's pid") or 0)

    def outcome(self, seconds: float = 20) -> Mapping[str, str]:
        until(lambda: self.pairs("outcome"), "an outcome", seconds)
        assert self.started[-1].wait(10) == 0
        return self.pairs("outcome")


@contextmanager
def node(root: Path, cwd: Path) -> Iterator[Node]:
    """Ends whatever a test left running, found by its token and by nothing else."""
    made = Node(root, cwd)
    try:
        yield made
    finally:
        for proc in identity.with_token(made.token):
            identity.send(proc.pid, proc.start, signal.SIGKILL)
        for child in made.started:
            child.wait(10)
