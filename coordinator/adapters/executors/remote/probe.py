"""What a provider's preflight may ask of another host, by way of its far end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coordinator.adapters.executors.remote.link import Link, born_into


class FarProbe:
    """Probe of the host behind a link; `ours` is this process's environment. Every question may raise Away."""

    def __init__(self, link: Link, ours: Mapping[str, str], say: Callable[[str], None] = lambda _: None) -> None:
        self._link, self._ours, self._say = link, ours, say
        self._said: set[str] = set()

    def run(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None,
            cwd: Path | None = None, stdin: str = "", keep: float = 0.0) -> tuple[int, str, str]:
        del keep   # each answer is the host's own
        given = self.environ() if env is None else env
        said, (out, err) = self._link.ask(
            "run", [stdin.encode("utf-8", "surrogateescape")], timeout=timeout + 30.0, argv=list(argv),
            env=dict(given), cwd=str(cwd or ""), patience=timeout)
        return int(said["code"]), out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def which(self, name: str) -> str | None:
        return str(self._found("which", name)) or None

    def stands(self, path: Path) -> str:
        return str(self._found("stands", str(path)))

    def read(self, path: Path) -> str | None:
        said, blobs = self._link.ask("find", kind="read", what=str(path))
        return blobs[0].decode("utf-8", "replace") if said["found"] else None

    def environ(self) -> Mapping[str, str]:
        return born_into(self._link, self._ours)

    def scratch(self) -> Path:
        """A fresh folder of the host."""
        code, out, err = self.run(["mktemp", "-d"], timeout=30.0)
        if code:
            raise OSError(f"{self._link.name}: no scratch folder: {err.strip()}")
        return Path(out.strip())

    def recent(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> str | None:
        """Asked anew each time."""
        code, out, _ = self.run(argv, timeout=timeout, env=env)
        return out if code == 0 else None

    def say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._say(words)

    def _found(self, kind: str, what: str) -> str:
        return str(self._link.ask("find", kind=kind, what=what, path=self._link.path)[0]["found"])
