"""The job runner as a person uses it: the real program under each of its names, real workers, a scratch folder."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.runfiles import atomic, identity
from tests.support.program import CHECKOUT, environ
from tests.support.workers import alive, until

COORDINATOR, CC_GLM_JOB, DX_RUNNER = "coordinator job", "cc-glm-job", "dx-runner"
SLEEPER = "import time; print('hello', flush=True); time.sleep(60)"
Ran = subprocess.CompletedProcess[str]

# Two languages at once: the checkout's folder may hold blanks, and a first line cannot quote them.
CLAUDE = f"""\
#!/bin/sh
''':'
exec '{sys.executable}' "$0" "$@"
'''
import json, os, sys, time
prompt = sys.stdin.read()
print(json.dumps({{"type": "system", "subtype": "init", "model": "fake"}}), flush=True)
with open("seen.json", "w") as file:
    json.dump({{"argv": sys.argv, "bytes": len(prompt.encode()), "start": prompt[:40],
               "url": os.environ.get("ANTHROPIC_BASE_URL", "")}}, file)
if "sleep" in prompt: time.sleep(60)
print(json.dumps({{"type": "result", "subtype": "success", "is_error": False, "result": "done"}}), flush=True)
"""


def entry(name: str) -> list[str]:
    """The argv with which this name starts, whether or not it is installed."""
    if name == COORDINATOR:
        return [sys.executable, "-m", "coordinator", "job"]
    function = name.replace("-", "_")
    code = f"import sys; from coordinator.cli.jobs.faces import {function}; sys.exit({function}())"
    return [sys.executable, "-c", code]


@dataclass
class Hand:
    """`root` is the person's home and working folder, `jobs` what --log-dir names."""

    root: Path

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    def environ(self, **more: str) -> dict[str, str]:
        return environ(self.root, **more)

    def run(self, *argv: str, name: str = COORDINATOR, cwd: Path | None = None, log_dir: bool = True,
            **more: str) -> Ran:
        """One command; --log-dir is added unless `log_dir` is False, `more` goes into its environment."""
        return subprocess.run([*entry(name), *self.line(argv, log_dir=log_dir)], cwd=cwd or self.root,
                              env=self.environ(**more), text=True, errors="replace", stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=150, check=False)  # fmt: skip

    def line(self, argv: tuple[str, ...], *, log_dir: bool = True) -> list[str]:
        return [argv[0], *(["--log-dir", str(self.jobs)] if log_dir else []), *argv[1:]]

    def start(self, code: str = SLEEPER, *options: str, job: str = "bd-1", name: str = COORDINATOR,
              cwd: Path | None = None, **more: str) -> Ran:
        """`start` of a python worker by the provider `command`; fails unless it started."""
        ran = self.run("start", "--beads", job, "--provider", "command", "--prompt-file", str(self.prompt()), *options,
                       "--", sys.executable, "-c", code, name=name, cwd=cwd, **more)  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran

    def prompt(self, text: str = "do it\n", name: str = "task.prompt") -> Path:
        path = self.root / name
        path.write_text(text)
        return path

    def folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def claude(self) -> dict[str, str]:
        """An agent of that name, and what the environment needs for it to be found."""
        path = self.folder("bin") / "claude"
        path.write_text(CLAUDE)
        path.chmod(0o755)
        return {"PATH": f"{path.parent}:{os.environ['PATH']}", "ANTHROPIC_API_KEY": "dummy-key-of-the-tests"}

    # --- what lies there --------------------------------------------------------------------------

    def file(self, kind: str, job: str = "bd-1") -> Path:
        return self.jobs / f"{job}.{kind}"

    def pairs(self, kind: str, job: str = "bd-1") -> Mapping[str, str]:
        return atomic.read_pairs(str(self.file(kind, job))) or {}

    def outcome(self, job: str = "bd-1") -> Mapping[str, str]:
        """Waits for the end of the present run."""
        until(lambda: self.pairs("outcome", job), f"the outcome of {job}")
        return self.pairs("outcome", job)

    def said(self, job: str = "bd-1") -> str:
        """The worker's own output, once there is some."""
        return until(lambda: self.file("log", job).exists() and self.file("log", job).read_text(), f"words of {job}")

    def pids(self, job: str = "bd-1") -> list[int]:
        """Everything alive of the present run, its wrapper included."""
        token = self.pairs("meta", job).get("token", "")
        return [proc.pid for proc in identity.with_token(token)] if token else []

    def edit(self, job: str = "bd-1", **pairs: str) -> None:
        """By hand, as with sed: every line of these keys is replaced."""
        path = self.file("meta", job)
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in pairs]
        path.write_text("\n".join([*lines, *(f"{key}={value}" for key, value in pairs.items())]) + "\n")

    def tidy(self) -> None:
        """Ends whatever a test left running: by the tokens in its run files and nothing else."""
        tokens = {(atomic.read_pairs(str(path)) or {}).get("token", "") for path in self.root.rglob("*.heartbeat")}
        tokens |= {(atomic.read_pairs(str(path)) or {}).get("token", "") for path in self.root.rglob("*.meta")}
        for token in tokens - {""}:
            for proc in identity.with_token(token):
                identity.send(proc.pid, proc.start, 9)


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path)
    try:
        yield made
    finally:
        made.tidy()


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process that has nothing to do with any job; it must be alive at the end of the test."""
    child = subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"]}, start_new_session=True)
    try:
        yield child.pid
        assert child.poll() is None, "the bystander was ended"
        assert alive(child.pid)
    finally:
        child.kill()
        child.wait()


def in_a_terminal(argv: list[str], env: Mapping[str, str], cwd: Path) -> str:
    """Runs argv as the leader of a terminal of its own, then closes the terminal; what it printed there."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, dict(env))
        finally:
            os._exit(127)
    said = b""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            chunk = os.read(master, 4096)
        except OSError:   # the last writer let go of it
            break
        if not chunk:
            break
        said += chunk
    os.close(master)
    os.waitpid(pid, 0)
    return said.decode("utf-8", "replace")


__all__ = ["CC_GLM_JOB", "CHECKOUT", "COORDINATOR", "DX_RUNNER", "SLEEPER", "Hand", "Ran", "bystander", "entry", "hand",
           "in_a_terminal"]  # fmt: skip
