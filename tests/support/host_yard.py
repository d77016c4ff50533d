"""A person's configuration with hosts, and our program as they call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.fake_ssh import FakeSsh
from tests.support.program import environ

Ran = subprocess.CompletedProcess[str]
SCRIPTS = Path(sys.executable).parent
AGENT = """
[workers]
sandbox = "off"
provider = "command"
[providers.command]
argv = ["sh", "-c", "true"]
[floors]
disk = "1MB"
inodes = 1
memory = "0"
"""


class Yard:
    """`ssh` are the hosts behind it; `tell` writes the user's configuration; `ask` runs our program to its end."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder, self.home = folder, folder / "me"
        self.ssh = FakeSsh(folder / "net", *names)
        self.home.mkdir()
        self.state = self.home / ".local/state/coordinator"

    def tell(self, text: str) -> None:
        file = self.home / ".config/coordinator/config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(AGENT + text, "utf-8")

    def env(self, **more: str) -> dict[str, str]:
        return {**environ(self.home), "PATH": self.ssh.path(), "COLUMNS": "160", **more}

    def ask(self, *argv: str, stdin: str = "", name: str = "coordinator", **more: str) -> Ran:
        return subprocess.run([str(SCRIPTS / name), *argv], cwd=self.home, env=self.env(**more), input=stdin, text=True,
                              capture_output=True, timeout=150, check=False)  # fmt: skip

    def started(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen([str(SCRIPTS / "coordinator"), *argv], cwd=self.home, env=self.env(), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def runs(pid: int) -> bool:
    """Whether a process lives, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
