"""1Password for tests: a host in memory that answers for `op`, and a small `op` on a PATH of its own, scripted by the
files beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEY = "0a1b2c3d.secret-of-glm"
ACCOUNT = "ops_eyJ-account-of-a-service"
HOST = "box-1"

Answer = tuple[int, str, str]


class Host:
    """`ports.Probe` in memory: what is set, which files lie where (None = cannot be read) and what `op` answers to its
    words. `asked` holds each run of it with what was given to it."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        files: Mapping[str, str | None] | None = None,
        op: Mapping[str, Answer] | None = None,
    ) -> None:
        self._environ = {"PATH": "/bin", "HOME": "/home/w", **(environ or {})}
        self.files = {"/proc/sys/kernel/hostname": f"{HOST}\n", **(files or {})}
        self.op = op
        self.asked: list[tuple[tuple[str, ...], Mapping[str, str], float]] = []
        self.said: list[str] = []

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def which(self, name: str) -> str | None:
        return None if name == "op" and self.op is None else f"/bin/{name}"

    def stands(self, path: Path) -> str:
        return {"/folder": "folder", "/dev/zero": "other"}.get(str(path), "file" if str(path) in self.files else "")

    def read(self, path: Path) -> str | None:
        return self.files.get(str(path))

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
        del cwd, stdin
        assert argv[0] == "/bin/op"
        assert keep > 0, "each question to op counts against a limit of the account"
        self.asked.append((tuple(argv[1:]), env or {}, timeout))
        return (self.op or {}).get(" ".join(argv[1:]), (1, "", "[ERROR] it knows nothing of this\n"))

    def scratch(self) -> Path:
        raise AssertionError("no folder is needed for a key")

    def say(self, words: str) -> None:
        self.said.append(words)


# Each call prints what its file holds and ends with the code its first line names; calls are written down, and what
# the caller let it know.
_OP = """#!/bin/sh
here=${0%/*}
echo "$*" >> "$here/asked"
env | sort > "$here/env"
answer="$here/answer-$1"
[ -e "$answer" ] || { echo '[ERROR] No accounts configured for use with 1Password CLI.' >&2; exit 1; }
[ "$(head -n 1 "$answer")" = sleep ] && exec sleep 60
tail -n +3 "$answer"
sed -n 2p "$answer" >&2
exit "$(head -n 1 "$answer")"
"""


@dataclass(frozen=True)
class Op:
    """A program `op` in the folder `bin`."""

    bin: Path

    def answers(self, command: str, out: str, *, code: int | str = 0, err: str = "") -> None:
        """What `op COMMAND ...` prints and ends with; code "sleep" = it never answers. `err` is one line."""
        (self.bin / f"answer-{command}").write_text(f"{code}\n{err}\n{out}")

    @property
    def asked(self) -> list[str]:
        """Its calls, oldest first."""
        path = self.bin / "asked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def env(self) -> dict[str, str]:
        """The environment of its last call."""
        return dict(line.split("=", 1) for line in (self.bin / "env").read_text().splitlines() if "=" in line)

    @property
    def path(self) -> str:
        return f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin"


def some_op(folder: Path, key: str = KEY) -> Op:
    """An `op` that is signed in and opens every address with this key."""
    folder.mkdir(exist_ok=True)
    program = folder / "op"
    program.write_text(_OP)
    program.chmod(0o755)
    made = Op(folder)
    made.answers("read", f"{key}\n")
    made.answers("user", "ID: 1\nState: ACTIVE\n")
    return made
