"""Brings a folder of the cluster here: by rsync where both sides have it, else file by file through the shell there.

Only what is new or changed travels. Large files come in pieces, and what was half-brought is taken up again. Nothing is
ever removed here, and no name from there leads out of the folder.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coordinator.adapters.executors.reach import Reach, Said
from coordinator.adapters.executors.ssh import Unreachable
from coordinator.adapters.system.run import run

PIECE = 16 << 20
"""Bytes that travel at once: a connection that is lost costs no more."""
MOST = 200
"""Files in one tar: their names are arguments."""
TIMEOUT = 600.0
_HALF = ".coordinator-part"
_NO_FOLDER = 3


class NotBrought(Exception):
    """The words say what kept it."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True)
class Brought:
    """How many files came, and how many bytes they have."""

    files: int
    size: int


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    changed: int


@dataclass(frozen=True)
class Bringing:
    """`rsync` says whether it may be used; `ssh` are the words before the host in `address`, "" = this machine."""

    reach: Reach
    env: Mapping[str, str]
    rsync: bool = True
    address: str = ""
    ssh: Sequence[str] = ("ssh",)

    def bring(self, remote: str, local: Path) -> Brought:
        """What is new in `remote` (an absolute folder) into `local`. Raises NotBrought and Unreachable."""
        before = {one.name: one for one in _listed(self._list(remote))}
        missing = [one for one in before.values() if not _same(local, one)]
        if missing:
            local.mkdir(parents=True, exist_ok=True)
            if not (self.rsync and self._by_rsync(remote, local)):
                self._by_shell(remote, local, missing)
        return Brought(len(missing), sum(one.size for one in missing))

    def _list(self, remote: str) -> Said:
        script = f"cd -- {shlex.quote(remote)} || exit {_NO_FOLDER}\nfind . -type f -printf '%s %T@ %P\\0'\n"
        said = self.reach.script(script, TIMEOUT)
        if said.code:
            raise NotBrought(f"{remote} cannot be listed: {_last(said.err)}")
        return said

    def _by_rsync(self, remote: str, local: Path) -> bool:
        """False where it is missing on one side, or too old for what is asked of it."""
        far = f"{self.address}:{remote}/" if self.address else f"{remote}/"
        quietly = ("-o", "BatchMode=yes") if Path(self.ssh[0]).name == "ssh" else ()
        shell = ["-e", shlex.join([*self.ssh, *quietly])] if self.address else []
        argv = ["rsync", "-rt", "-s", "--partial-dir=.rsync-partial", "--timeout=60", *shell, "--", far, f"{local}/"]
        ran = run(argv, env=self.env, timeout=TIMEOUT, last=65_536)
        if ran.code in (126, 127) or "rsync: not found" in ran.err or "command not found" in ran.err:
            return False
        if ran.code == 255 or ran.code in (10, 12, 30, 35):   # the connection, not the files
            raise Unreachable(f"rsync: {_last(ran.err)}", begun=True)
        if ran.code not in (0, 24):   # 24: files that were there when it began are gone
            raise NotBrought(f"rsync: {_last(ran.err)}")
        return True

    def _by_shell(self, remote: str, local: Path, files: Iterable[_File]) -> None:
        small: list[_File] = []
        for one in files:
            if one.size > PIECE:
                self._in_pieces(remote, local, one)
                continue
            if len(small) == MOST or sum(other.size for other in small) + one.size > PIECE:
                self._at_once(remote, local, small)
                small = []
            small.append(one)
        if small:
            self._at_once(remote, local, small)

    def _at_once(self, remote: str, local: Path, files: Sequence[_File]) -> None:
        """As one tar, of which nothing is taken but the files that were asked for."""
        names = " ".join(shlex.quote(f"./{one.name}") for one in files)
        said = self.reach.script(f"cd -- {shlex.quote(remote)} || exit {_NO_FOLDER}\n"
                                 f"tar -cf - --ignore-failed-read -- {names}\n", TIMEOUT)  # fmt: skip
        wanted = {one.name: one for one in files}
        try:
            with tarfile.open(fileobj=io.BytesIO(said.raw), mode="r:") as tar:
                for member in tar:
                    one = wanted.get(member.name.removeprefix("./"))
                    content = tar.extractfile(member) if one is not None and member.isfile() else None
                    if one is not None and content is not None:
                        _write(local, one, content.read())
        except (tarfile.TarError, OSError) as error:
            raise NotBrought(f"what came from {remote} cannot be read: {error}; {_last(said.err)}") from error
        if said.code and not any(_same(local, one) for one in files):
            raise NotBrought(f"{remote} cannot be read: {_last(said.err)}")

    def _in_pieces(self, remote: str, local: Path, one: _File) -> None:
        """Goes on where an earlier try ended, if the file is still the same."""
        half = _place(local, f"{one.name}.{one.size}-{one.changed}{_HALF}")
        half.parent.mkdir(parents=True, exist_ok=True)
        at = half.stat().st_size if half.exists() else 0
        while at < one.size:
            path, most = shlex.quote(f"{remote}/{one.name}"), min(PIECE, one.size - at)
            said = self.reach.script(f"tail -c +{at + 1} -- {path} | head -c {most}\n", TIMEOUT)
            if said.code or not said.raw:
                raise NotBrought(f"{one.name} cannot be read further than {at} of {one.size} bytes: {_last(said.err)}")
            with half.open("ab") as file:
                file.write(said.raw)
            at += len(said.raw)
        os.utime(half, (one.changed, one.changed))
        half.replace(_place(local, one.name))


def _listed(said: Said) -> Iterator[_File]:
    for entry in said.out.split("\0"):
        found = re.fullmatch(r"(\d+) (\d+)(?:\.\d+)? (.+)", entry, re.DOTALL)
        if found and _inside(found[3]):
            yield _File(found[3], int(found[1]), int(found[2]))


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and not name.endswith(_HALF)


def _same(local: Path, one: _File) -> bool:
    try:
        facts = _place(local, one.name).stat()
    except OSError:
        return False
    return (facts.st_size, int(facts.st_mtime)) == (one.size, one.changed)


def _place(local: Path, name: str) -> Path:
    """Raises NotBrought where a link that stands here would lead elsewhere."""
    place = local / name
    if not place.parent.resolve().is_relative_to(local.resolve()):
        raise NotBrought(f"{place.parent} leads out of {local}")
    return place


def _write(local: Path, one: _File, content: bytes) -> None:
    place = _place(local, one.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    half = place.with_name(f"{place.name}{_HALF}")
    half.write_bytes(content)
    os.utime(half, (one.changed, one.changed))
    half.replace(place)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
