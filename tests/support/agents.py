"""The real agent CLIs on a scripted model: one stand for each says where its binary lies and how a home without
anything in it leads it to the server. The command, the environment and the judgement are the provider's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from coordinator.adapters.providers import provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.outcome import Work
from coordinator.ports import Finished, RunSpec, Settings
from tests.support.conformance import Row
from tests.support.model_server import ModelServer
from tests.support.real_parts import CLAUDE, CODEX, GEMINI, OPENCODE

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost"}  # fmt: skip
DEAD = "http://127.0.0.1:9/refused"
CANARY = "ghp_must_never_arrive_000000000000000000"


NO_GIT = {"bash": {"*": "allow", "git *": "deny"}}


@dataclass(frozen=True)
class Stand:
    """`environ` and `files` are made from the home and the scenario's address; a file's name is relative to the home.
    `works` is what its stream holds once a tool runs; `barred`: how it is started without a shell."""

    binary: Path
    environ: Callable[[str], Mapping[str, str]]
    works: bytes
    files: Callable[[str], Mapping[str, str]] = lambda _: {}
    model: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    barred: Mapping[str, Any] = field(default_factory=dict)


def _codex(url: str) -> dict[str, str]:
    return {".codex/config.toml": f"""\
model = "scripted"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 1
stream_max_retries = 1
"""}


def _gemini(_: str) -> dict[str, str]:
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "general": {"maxAttempts": 2}}
    return {".gemini/settings.json": json.dumps(chosen)}


def _opencode(url: str) -> dict[str, str]:
    own = {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": f"{url}/v1"}, "models": {"glm-5": {}}}
    return {
        ".config/opencode/opencode.json": json.dumps({"provider": {"zhipuai-coding-plan": own}}),
        ".npmrc": "registry=http://127.0.0.1:9/\nfetch-retries=0\n",   # whence it fetches a library at a first start
    }


STANDS: dict[str, Stand] = {
    "claude": Stand(
        CLAUDE,
        lambda url: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "dummy", "CLAUDE_CODE_MAX_RETRIES": "1",
                     "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        b'"task_started"', settings={"tools": ("Bash",)}, barred={"tools": ("Read",)},
    ),
    "codex": Stand(CODEX, lambda _: {"OPENAI_API_KEY": "dummy"}, b'"command_execution"', _codex),
    "gemini": Stand(
        GEMINI, lambda url: {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "dummy"}, b'"tool_use"', _gemini,
        model="gemini-2.5-flash",   # of the models of generation 3 it asks ten times whatever its settings say
        barred={"environ": {"GEMINI_NO_YOLO": "true"}},
    ),
    "opencode": Stand(
        OPENCODE, lambda _: {"ZHIPU_API_KEY": "dummy", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        b'"step_start"', _opencode,
        barred={"environ": {"OPENCODE_CONFIG_CONTENT": json.dumps({"permission": NO_GIT})}},
    ),
}  # fmt: skip


@dataclass
class Bench:
    """A repository, an empty home, one agent and a model."""

    name: str
    root: Path
    server: ModelServer
    base: str = ""

    @property
    def stand(self) -> Stand:
        return STANDS[self.name]

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def out(self) -> bytes:
        return (self.root / "out").read_bytes()

    def lay_out(self) -> None:
        (self.root / "home").mkdir()
        self.tree.mkdir()
        self.git("init", "-q")
        self.git("commit", "-q", "--allow-empty", "-m", "base")
        self.base = self.git("rev-parse", "HEAD")

    def environ(self, scenario: str) -> dict[str, str]:
        home, url = self.root / "home", DEAD if scenario == "refused" else self.server.url(scenario)
        for name, text in self.stand.files(url).items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        return {"PATH": os.environ["PATH"], "HOME": str(home), "GITHUB_TOKEN": CANARY, **self.stand.environ(url)}

    def settings(self, **more: object) -> Settings:
        return Settings(**{"binary": str(self.stand.binary), "model": self.stand.model, **self.stand.settings,
                           **more})  # type: ignore[arg-type]  # fmt: skip

    def start(self, scenario: str, environ: Mapping[str, str] | None = None, **more: object) -> subprocess.Popen[bytes]:
        """The agent, begun; `environ` is what the coordinator's own environment holds besides."""
        agent, environ = provider(self.name), {**(environ or {}), **self.environ(scenario)}
        prompt = self.root / "prompt"
        prompt.write_text("do it")
        command = agent.command(
            RunSpec(
                task_id="gh-1", attempt=1, prompt="do it", prompt_file=prompt, worktree=self.tree,
                session_id=str(uuid.uuid4()), settings=self.settings(**more), environ=environ,
                as_root=os.geteuid() == 0, credentials=agent.credentials(SystemProbe(environ), Settings()), stream=True,
            )
        )  # fmt: skip
        with prompt.open("rb") as stdin, (self.root / "out").open("wb") as out, (self.root / "err").open("wb") as err:
            return subprocess.Popen(command.argv, env=dict(command.env), cwd=self.tree, stdin=stdin, stdout=out,
                                    stderr=err, start_new_session=True)  # fmt: skip

    def finished(self, child: subprocess.Popen[bytes], wrapper_reason: str = "process_exit") -> Finished:
        code = child.wait(timeout=100)
        commits = int(self.git("rev-list", "--count", f"{self.base}..HEAD"))
        work = Work(self.base, self.git("rev-parse", "HEAD"), commits)
        exited, ended_by = (code, None) if code >= 0 else (None, -code)
        stderr = (self.root / "err").read_text("utf-8", "replace")
        return Finished(exited, ended_by, wrapper_reason, self.out.splitlines(keepends=True), stderr[-16_000:], work,
                        ended_at=time.time())  # fmt: skip

    def play(self, row: Row) -> Finished:
        """One row of the table of ends, to its end."""
        barred = self.stand.barred if row.barred else {}
        child, lasts = self.start(row.asked(self.name), **barred), row.lasts(self.name)
        if row.send is not None:
            self.wait_for(self.stand.works)
            child.send_signal(row.send)
        elif lasts is not None:
            self._await(child, lasts)
            os.killpg(child.pid, signal.SIGKILL)
            return self.finished(child, "max_runtime")
        return self.finished(child)

    def _await(self, child: subprocess.Popen[bytes], lasts: bytes | float) -> None:
        if isinstance(lasts, bytes):
            self.wait_for(lasts)
        else:
            with suppress(subprocess.TimeoutExpired):
                child.wait(lasts)
                raise AssertionError(f"it ended by itself: {self.out[-2000:]!r}")

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 100
        while text not in self.out and text not in (self.root / "err").read_bytes():
            assert time.monotonic() < deadline, f"{text!r} was never printed; {self.out[-2000:]!r}"
            time.sleep(0.05)

    def git(self, *args: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root / "home"), **IDENTITY}
        return subprocess.run(["git", *args], cwd=self.tree, env=env, check=True, capture_output=True,
                              text=True).stdout.strip()  # fmt: skip

    def bury(self) -> list[int]:
        """Kills what still lives in the worktree: a tool whose agent was killed lives on in a session of its own."""
        left = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(self.tree)]
        for process in left:
            process.kill()
        return [process.pid for process in left]
