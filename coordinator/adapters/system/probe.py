"""What a provider's preflight may ask of this host: run, find, read. It changes nothing but its own scratch
folder and its notes of what was asked lately."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coordinator.adapters.system.recent import recent
from coordinator.adapters.system.run import run
from coordinator.adapters.system.seam import crossing

BAD_KEEPS = 120.0
"""Seconds for which an answer is kept at most that was a failure: a person may mend its cause at once."""

Answer = tuple[int, str, str]


class SystemProbe:
    """Probe of the host we run on; `environ` None = this process's environment. `say` is given lines for people."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._say, self._now = say, now
        self._said: set[str] = set()
        self._kept: dict[object, tuple[float, Answer]] = {}
        self._asking = threading.Lock()

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        keep: float = 0.0,
    ) -> Answer:
        given = self._environ if env is None else env
        if not keep:
            return _run(argv, given, cwd, stdin, timeout)
        question = (tuple(argv), tuple(sorted(given.items())), cwd, stdin)
        with self._asking:   # whoever asks the same meanwhile waits for this answer
            until, answer = self._kept.get(question, (0.0, (0, "", "")))
            if self._now() >= until:
                answer = _run(argv, given, cwd, stdin, timeout)
                self._kept[question] = (self._now() + (min(keep, BAD_KEEPS) if answer[0] else keep), answer)
        return answer

    def which(self, name: str) -> str | None:
        return shutil.which(name, path=self._environ.get("PATH", os.defpath))

    def stands(self, path: Path) -> str:
        try:
            return "file" if path.is_file() else "folder" if path.is_dir() else "other" if path.exists() else ""
        except (OSError, ValueError):
            return "other"

    def read(self, path: Path) -> str | None:
        try:
            return path.read_text("utf-8", "replace")
        except OSError:
            return None

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def scratch(self) -> Path:
        """Removed with this probe, at the latest when the process ends."""
        with crossing("file", "scratch folder"):
            path = tempfile.mkdtemp(prefix="coordinator-probe-")
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return Path(path)

    def recent(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> str | None:
        """The notes lie in the state home (XDG)."""
        base = self._environ.get("XDG_STATE_HOME", "")
        home = Path(base) if base.startswith("/") else Path(self._environ.get("HOME") or "/") / ".local" / "state"
        return recent(self.run, argv, timeout=timeout, env=env, notes=home / "coordinator" / "recent")

    def say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._say(words)


def _run(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, stdin: str, timeout: float) -> Answer:
    with crossing("process", " ".join(argv[:2])):   # a person's command or a question: we cannot see what it does
        ran = run(argv, env=env, cwd=cwd, stdin=stdin, timeout=timeout)
    return ran.code, ran.out, ran.err
