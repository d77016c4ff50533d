"""The line to one far end: a question, an answer, by whatever runs a command line there. What travels is put there
once, by the hash of its content.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from coordinator.adapters.executors import bundle
from coordinator.adapters.executors.ssh import Answer, Unreachable
from coordinator.adapters.system.run import TIMED_OUT, run_bytes
from coordinator.adapters.system.seam import crossing
from coordinator.far import wire
from coordinator.ports import Away, LaunchFailed

Head = Mapping[str, Any]
_MISSING = 97
"""What the command line says when the file that travels is not there yet."""
_PIECE = 4 << 20
_PATIENCE = 120.0
READING = frozenset({"hello", "may", "look", "had", "weigh", "get", "find"})
"""Questions that change nothing on the host; all else that a far end is asked is an external write."""


class Shell(Protocol):
    """Runs one command line in a shell of the host."""

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer: ...


class Here:
    """The shell of this machine: for a Slurm that is reached from here."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        ran = run_bytes(["/bin/sh", "-c", remote], env=self._env, stdin=stdin, timeout=timeout)
        if ran.code == TIMED_OUT:
            raise Unreachable(f"this machine: no answer within {timeout:g} s", begun=True)
        return Answer(ran.code, ran.out, ran.err)


class Nowhere:
    """The shell of a host that there is no way to."""

    def __init__(self, words: str) -> None:
        self._words = words

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        del remote, stdin, timeout   # whatever it is
        raise Unreachable(self._words)


class NotAsked(Away):
    """The host could not be reached at all: what was asked never began there."""


@dataclass(frozen=True)
class Facts:
    """What a far end says of its host. Times in Unix seconds of its own clock."""

    folder: Path
    jobs: Path
    trees: Path
    host: str
    system: str
    uid: int
    boot: str
    now: float
    python: str
    environ: Mapping[str, str]


class Link:
    """`folder` is ours on the host, "~/" for its user's own; `python` runs what travels; `path` are folders put before
    PATH. May be used by several threads."""

    def __init__(self, name: str, shell: Shell, folder: str, python: str, path: Sequence[str] = ()) -> None:
        self.name = name
        self.path = list(path)
        self._shell, self._folder, self._python = shell, folder, python
        self._data = b""
        self._building = threading.Lock()
        self._facts: Facts | None = None

    def facts(self) -> Facts:
        """Asked once. Raises Away, LaunchFailed."""
        if self._facts is None:
            self._facts = self.hello()
        return self._facts

    def hello(self) -> Facts:
        """Asked anew. Raises Away, LaunchFailed."""
        said, _ = self.ask("hello", timeout=30.0)
        return Facts(
            Path(said["folder"]), Path(said["jobs"]), Path(said["trees"]), said["host"], said["system"],
            int(said["uid"]), said["boot"], float(said["now"]), said["python"],
            dict(said["environ"]),
        )

    def ask(self, do: str, blobs: Sequence[bytes] = (), *, timeout: float = _PATIENCE,
            **asked: Any) -> tuple[dict[str, Any], list[bytes]]:
        """The far end's answer. Raises NotAsked when the question surely never reached it, Away when nobody knows, and
        LaunchFailed with a reason code for what it refused."""
        about = " ".join(filter(None, (do, asked.get("job") or asked.get("file"))))
        try:
            with nullcontext() if do in READING else crossing("process", f"{about} on {self.name}"):
                answer = self._answer(wire.pack({"do": do, **asked}, blobs), timeout)
        except Unreachable as error:
            raise (Away if error.begun else NotAsked)(error.words) from error
        except OSError as error:
            raise NotAsked(f"{self.name}: {error.strerror}") from error
        try:
            said, pieces = wire.unpack(answer.out)
        except wire.Torn as torn:
            words = answer.err.strip()[-600:] or torn.words
            raise Away(f"{self.name}: its far end gave no answer (exit {answer.code}): {words}") from None
        if "refused" in said:
            raise LaunchFailed(said["refused"], f"{self.name}: {said['words']}")
        return said, pieces

    def _answer(self, message: bytes, timeout: float) -> Answer:
        """Raises Unreachable, OSError, LaunchFailed."""
        answer = self._shell.run(self._line(), message, timeout)
        if answer.code == _MISSING and wire.MARK not in answer.out:
            self._install()
            answer = self._shell.run(self._line(), message, timeout)
        return answer

    def send(self, path: Path, name: str) -> None:
        """Brings a file there, in pieces; what is there already is not sent again. Raises as `ask`."""
        size = path.stat().st_size
        there, _ = self.ask("weigh", file=name)
        with path.open("rb") as stream:
            at = int(there["size"]) if _begins(stream, int(there["size"]), there["sha256"]) else 0
            while at < size:
                stream.seek(at)
                at = int(self.ask("put", [stream.read(_PIECE)], file=name, offset=at)[0]["size"])

    def _line(self) -> str:
        """The command line that answers one message."""
        return (f"test -f {self._zipped()} || exit {_MISSING}; "
                f"exec {quoted(self._python)} -I -S {self._zipped()} --far {quoted(self._folder)}")

    def _zipped(self) -> str:
        return quoted(f"{self._folder}/.coordinator/{bundle.name_of(self._travels())}")

    def _travels(self) -> bytes:
        with self._building:
            self._data = self._data or bundle.build()
            return self._data

    def _install(self) -> None:
        """Puts what travels in place, whole or not at all. Raises Unreachable, LaunchFailed."""
        target, folder = self._zipped(), quoted(f"{self._folder}/.coordinator")
        data = self._travels()   # a line that breaks ends what `cat` reads, as the file's own end does
        line = (f"umask 077 && mkdir -p {folder} && cat > {target}.$$ && test $(wc -c < {target}.$$) -eq {len(data)} "
                f"&& mv {target}.$$ {target} || {{ rm -f {target}.$$; exit 1; }}")
        with crossing("process", f"install on {self.name}"):
            answer = self._shell.run(line, data, _PATIENCE)
        if answer.code != 0:
            words = answer.err.strip()[-300:] or f"exit {answer.code}"
            raise LaunchFailed("launch_failed", f"{self.name}: {self._folder} cannot be written: {words}")


def _begins(stream: BinaryIO, size: int, sha256: str) -> bool:
    """Whether the file begins with these bytes: others may lie there, of a file that came before it."""
    seen = hashlib.sha256()
    while size > 0 and (piece := stream.read(min(size, _PIECE))):
        seen.update(piece)
        size -= len(piece)
    return size == 0 and seen.hexdigest() == sha256


def quoted(path: str) -> str:
    """A path for the host's shell: safe, and with ~/ for its user's own folder."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


def born_into(link: Link, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment that a worker there may inherit from: the host's own, with our variables that say nothing of a
    machine. Raises as Link.ask."""
    facts = link.facts()
    kept = {key: value for key, value in ours.items() if key not in _MACHINE and not key.startswith(_MACHINES)}
    own = {**kept, **facts.environ}
    own["PATH"] = os.pathsep.join([*(_expanded(one, own) for one in link.path), own.get("PATH") or os.defpath])
    return own


def _expanded(path: str, env: Mapping[str, str]) -> str:
    return f"{env.get('HOME', '')}/{path[2:]}" if path.startswith("~/") else path


_MACHINE = frozenset(("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "PWD", "OLDPWD", "HOSTNAME",
                      "MAIL", "TERM", "DISPLAY", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH"))
_MACHINES = ("XDG_", "SSH_", "DBUS_", "SLURM_", "LC_", "GIT_")
