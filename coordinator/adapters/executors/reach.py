"""Where a cluster's commands are run and its files read: on this machine, on a login host by ssh, and Slurm's own
commands by a project's wrapper where it has one. It decides nothing, and changes nothing by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.adapters.executors.ssh import Ssh, Unreachable
from coordinator.adapters.system.run import NOT_FOUND, TIMED_OUT, run_bytes

NO_PROGRAM = (NOT_FOUND, 126)
TIMEOUT = 60.0
"""Seconds for one command: Slurm's own give up on a silent controller long before."""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Reach:
    """`ssh` None = this machine; `via` are the words of a wrapper, put before each of Slurm's commands."""

    env: Mapping[str, str]
    ssh: Ssh | None = None
    via: tuple[str, ...] = ()

    def slurm(self, argv: Sequence[str], timeout: float = TIMEOUT) -> Said:
        """One of Slurm's commands: by the wrapper, and without it where that cannot be run. Raises Unreachable."""
        if self.via:
            said = self._here([*self.via, *argv], b"", timeout)
            if said.code not in NO_PROGRAM:
                return said
        return self.run(argv, timeout=timeout)

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = TIMEOUT) -> Said:
        """A command there. Raises Unreachable."""
        if self.ssh is None:
            return self._here(argv, stdin, timeout)
        answer = self.ssh.run(shlex.join(argv), stdin, timeout)
        return Said(answer.code, answer.out, answer.err)

    def inside(self, folder: str, argv: Sequence[str], timeout: float = TIMEOUT) -> Said:
        """A command run in a folder there, by the wrapper where there is one: that is told the folder, as sbatch takes
        it. Raises Unreachable."""
        if self.via and argv[0] == "sbatch":
            return self.slurm([argv[0], f"--chdir={folder}", *argv[1:]], timeout)
        return self.run(("sh", "-c", 'cd "$1" || exit 1; shift; exec "$@"', "sh", folder, *argv), timeout=timeout)

    def script(self, text: str, timeout: float = TIMEOUT) -> Said:
        """Lines for a plain shell there, given on its stdin: they may be longer than an argument. Raises
        Unreachable."""
        return self.run(("sh", "-s"), text.encode("utf-8", "surrogateescape"), timeout)

    def _here(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Said:
        ran = run_bytes(argv, env=self.env, stdin=stdin, timeout=timeout)
        if ran.code == TIMED_OUT:
            raise Unreachable(f"{argv[0]} gave no answer within {timeout:g} s", begun=True)
        return Said(ran.code, ran.out, ran.err)
