"""A small `bd` on a PATH of its own, scripted by the files beside it, and the repositories the beads gate looks at."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Each subcommand prints what its file holds and ends with the code its first line names; calls are written down.
_BD = """#!/bin/sh
here=${0%/*}
echo "$PWD: $*" >> "$here/asked"
answer="$here/answer-$1"
[ -e "$answer" ] || exit 0
[ "$(head -n 1 "$answer")" = sleep ] && exec sleep 60
tail -n +3 "$answer"
sed -n 2p "$answer" >&2
exit "$(head -n 1 "$answer")"
"""


@dataclass
class Beads:
    """A checkout, a `bd`, and the repository of all beads under a home of their own."""

    root: Path

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.home)}

    def answers(self, command: str, out: str, *, code: int | str = 0, err: str = "") -> None:
        """What `bd COMMAND` prints and ends with; code "sleep" = it never answers. `err` is one line."""
        (self.bin / f"answer-{command}").write_text(f"{code}\n{err}\n{out}")

    def local_id(self, text: str, name: str = "config") -> None:
        folder = self.repo / ".beads"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def origin(self, url: str) -> None:
        subprocess.run(["git", "-C", str(self.home / "bd"), "remote", "set-url", "origin", url], check=True)

    @property
    def asked(self) -> list[str]:
        """The calls of bd, oldest first, each with the folder it was made in."""
        path = self.bin / "asked"
        return path.read_text().splitlines() if path.exists() else []


def some_beads(root: Path) -> Beads:
    """Everything in order: an id that is the same here and there, one issue bd-1."""
    made = Beads(root)
    made.repo.mkdir()
    made.bin.mkdir()
    bd = made.bin / "bd"
    bd.write_text(_BD)
    bd.chmod(0o755)
    external = made.home / "bd"
    subprocess.run(["git", "init", "-q", str(external)], check=True)
    url = "git@github.com:stars-end/bd.git"
    subprocess.run(["git", "-C", str(external), "remote", "add", "origin", url], check=True)
    made.answers("status", "Issue Database Status\nOpen: 3\n")
    made.answers("show", "bd-1: mend the parser\nStatus: open\n")
    made.answers("info", '{"issue_count": 3, "config": {"repo_id": "abc123"}}\n')
    made.local_id("# repo_id: none\nrepo_id=abc123\n")
    return made
