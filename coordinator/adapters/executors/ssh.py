"""One command line on another machine, by the user's own ssh: his configuration, keys, agent and known hosts.

What ssh says is told from what the command says by marks that the far shell prints before and after it, never by exit
code 255 alone. It must never loosen how hosts are known, nor let a token or a key into ssh's environment: others can
read it for as long as a shared connection stays, and `SendEnv` hands it on.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from coordinator.adapters.executors.ssh_marks import Heard, Marks
from coordinator.adapters.executors.ssh_words import cause, told
from coordinator.adapters.system.run import NOT_FOUND, TIMED_OUT, run, run_bytes
from coordinator.adapters.system.surroundings import SSH, needed
from coordinator.runfiles.masking import Masker, secrets_in
from coordinator.runfiles.names import ForeignFolder, make_folder

NEVER_SENT = ("GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""`sbatch` would hand them on."""
CONNECT, ALIVE, ALIVE_MOST = 10, 5, 3
"""Seconds for a connection, between two signs of life, and how many may stay out; only where the user set none."""
KEPT = 120
"""Seconds for which a connection that nobody uses stays open for the next command."""
_SSH_FAILED = 255
_SOCKET = 104 - 1 - 17
"""Bytes of a path: a socket's name may be 104 long on BSD, and ssh first makes it with 17 more."""
_OURS = ("BatchMode=yes", "RequestTTY=no", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes",
         "RemoteCommand=none", "PermitLocalCommand=no")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the command itself ended with and printed; 255 here is its own."""

    code: int
    out: bytes
    err: str


class Unreachable(Exception):
    """The command was not carried out to its end, as far as is known. `words` is one line without secrets: host, what
    ssh said, and the likely cure, which stands in `what` and `cure` apart. Not `begun`: it surely never began there;
    else it did, or nobody knows."""

    def __init__(self, what: str, cure: str = "", *, begun: bool = False) -> None:
        self.words = f"{what}; {cure}" if cure else what
        super().__init__(self.words)
        self.what, self.cure, self.begun = what, cure, begun


class Ssh:
    """Commands on the host `address`; `words` come before it (`ssh`, `tailscale ssh`). With a folder `control`, one
    connection is shared by all commands, unless the user's own configuration shares it already."""

    def __init__(self, address: str, words: Sequence[str], control: Path | None, env: Mapping[str, str]) -> None:
        self.address = address
        self._words = tuple(words) or ("ssh",)
        self._control = control
        self._env = needed(env, SSH)
        self._mask = Masker(secrets_in(env)).text
        self._options: tuple[str, ...] | None = None
        self._socket: Path | None = None

    def argv(self, remote: str) -> list[str]:
        """What runs this line in the far user's shell. Options stand behind the address: OpenSSH takes them there too,
        and `tailscale ssh` nowhere else."""
        return [*self._words, self.address, *self._given(), "--", remote]

    def env(self) -> dict[str, str]:
        """The environment for ssh itself."""
        return dict(self._env)

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        """Runs the line to its end, at most `timeout` seconds. Raises Unreachable."""
        marks = Marks(secrets.token_hex(8))
        ran = run_bytes(self.argv(marks.around(remote)), env=self._env, stdin=stdin, timeout=timeout)
        heard = marks.read(ran.err)
        if heard.code is None:
            raise self.unreachable(ran.code, heard, timeout)
        _, _, out = ran.out.partition(marks.begin.encode())   # before it: whatever the far profile printed
        return Answer(heard.code, out, heard.err)

    def unreachable(self, code: int, heard: Heard, timeout: float = 0.0) -> Unreachable:
        """The error for an ssh that ended with `code` and no word of the command's end."""
        said = self._mask(heard.err).strip()
        if code == TIMED_OUT:
            said = f"no answer within {timeout:g} s"
        if code == NOT_FOUND and shutil.which(self._words[0], path=self._env.get("PATH")) is None:
            said = f"{self._words[0]} is not installed here, or not on PATH"
        own_end = code not in (TIMED_OUT, _SSH_FAILED)   # it came over a good connection, and no mark before it
        why = cause(said, begun=heard.begun, own_end=own_end, timed_out=code == TIMED_OUT)
        shown = " ".join([*map(shlex.quote, self._words), self.address])
        cure = why.cure.format(ssh=shown, host=_bare(self.address))
        return Unreachable(told(self.address, why, said), cure, begun=why.begun)

    def close(self) -> None:
        """Ends the shared connection; the next command opens another. What runs over it is cut off."""
        if self._socket is not None and self._socket.exists():
            argv = [*self._words, self.address, "-o", f"ControlPath={self._socket}", "-O", "exit"]
            run(argv, env=self._env, timeout=CONNECT)

    def _given(self) -> tuple[str, ...]:
        if self._options is None:
            settled = self._settled()
            options = [*_OURS, *_where_unset(settled), *self._shared(settled)]
            self._options = tuple(word for one in options for word in ("-o", one))
        return self._options

    def _settled(self) -> Mapping[str, str]:
        """The user's configuration for this address as ssh reads it; empty where the program is not OpenSSH's own."""
        if Path(self._words[0]).name != "ssh":
            return {}
        ran = run([*self._words, self.address, "-G"], env=self._env, timeout=CONNECT)
        pairs = (line.partition(" ") for line in ran.out.splitlines() if ran.ok)
        return {key: value for key, _, value in pairs}

    def _shared(self, settled: Mapping[str, str]) -> Sequence[str]:
        """Nothing where the user shares connections himself; another socket for each thing that could be meant."""
        if self._control is None or not settled or settled.get("controlpath", "none") != "none":
            return ()
        meant = sha256(repr((self._words, sorted(settled.items()))).encode()).hexdigest()[:16]
        self._socket = self._control / meant
        return ("ControlMaster=auto", f"ControlPath={self._socket}", f"ControlPersist={KEPT}")


def _where_unset(settled: Mapping[str, str]) -> Sequence[str]:
    wanted = (("connecttimeout", "none", f"ConnectTimeout={CONNECT}"),
              ("serveraliveinterval", "0", f"ServerAliveInterval={ALIVE}"),
              ("serveraliveinterval", "0", f"ServerAliveCountMax={ALIVE_MOST}"))  # fmt: skip
    return [option for key, unset, option in wanted if settled.get(key, unset) == unset]


def _bare(address: str) -> str:
    return address.rpartition("@")[2]


def control_folder(env: Mapping[str, str]) -> Path | None:
    """A folder of this user alone for the sockets of shared connections, made where it is missing; None where there
    is none short enough that is surely his."""
    runtime = env.get("XDG_RUNTIME_DIR", "")
    places = [Path(runtime) / "coordinator-ssh"] if runtime.startswith("/") and Path(runtime).is_dir() else []
    for place in (*places, Path(f"/tmp/coordinator-ssh-{os.geteuid()}")):  # noqa: S108 - refused unless it is ours
        if len(os.fsencode(place)) + 1 + 16 <= _SOCKET and _ours(place):
            return place
    return None


def _ours(place: Path) -> bool:
    try:
        make_folder(str(place))
    except (OSError, ForeignFolder):
        return False
    return not place.is_symlink()
