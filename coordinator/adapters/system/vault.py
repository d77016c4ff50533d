"""What this process knows stays in it: no other process of its user may look into it, and the token it was started
with stands in no list of processes. As root nothing hides from root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from coordinator.runfiles import handed
from coordinator.runfiles.masking import names_secret

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
ENTERPRISE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""In the order in which `gh help environment` has them."""
_DUMPABLE = 4   # PR_SET_DUMPABLE of linux/prctl.h
_BEYOND_STANDARD = 3


class NotHanded(Exception):
    """The descriptor that should hold a token cannot be read; words for people."""


def variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What may hold the GitHub token, the nearest first: as for `gh`, those of an Enterprise server only where GH_HOST
    names one, which no host of github.com or ghe.com is."""
    host = "." + environ.get("GH_HOST", "").strip().lower()
    return TOKENS if host == "." or host.endswith((".github.com", ".ghe.com")) else (*TOKENS, *ENTERPRISE)


def shut() -> None:
    """Memory, descriptors, environment and folders of this process belong to root from now on (proc(5), "dumpable"), no
    core of it is written, nobody may trace it. A program that we start is open again, so none is given a secret. Raises
    OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_DUMPABLE, *[ctypes.c_ulong(0)] * 4) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not let this process be shut (prctl PR_SET_DUMPABLE)")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def hide() -> None:
    """The process is shut, and what /proc/PID/environ shows of it holds no secret any more; `os.environ` is as it was.
    Raises OSError."""
    shut()
    _blot()


def take_in() -> None:
    """Hides, and puts the GitHub token out of the environment, or out of an inherited descriptor, behind a descriptor
    that nobody inherits; the environment names its number alone. Raises NotHanded, OSError."""
    hide()
    given = os.environ.get(handed.VARIABLE, "")
    if given and not handed.read(os.environ)[0]:
        _keep(_drained(given), f"descriptor {given}")
    for name in variables(os.environ):
        value = os.environ.pop(name, "").strip()
        if value and not handed.read(os.environ)[0]:
            _keep(value, name)


def _drained(given: str) -> str:
    """What an inherited descriptor holds up to the first line's end; it is closed. Raises NotHanded."""
    held = b""
    try:
        fd = int(given)
        if fd < _BEYOND_STANDARD:
            raise ValueError(given)
        try:
            while b"\n" not in held and len(held) < handed.LONGEST and (more := os.read(fd, handed.LONGEST)):
                held += more
        finally:
            os.close(fd)
    except (ValueError, OverflowError, OSError) as error:
        words = f"{handed.VARIABLE}={given}: no descriptor that was handed to this process, or none that can be read"
        raise NotHanded(words) from error
    token = held.partition(b"\n")[0].decode("utf-8", "replace").strip()
    if not token:
        raise NotHanded(f"{handed.VARIABLE}={given}: nothing is in it")
    return token


def _keep(token: str, source: str) -> None:
    fd = os.memfd_create(handed.NAME, os.MFD_CLOEXEC)
    kept = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _BEYOND_STANDARD)   # a daemon may be started without 0, 1 and 2
    os.close(fd)
    os.write(kept, f"{token}\n{source}".encode())
    os.environ[handed.VARIABLE] = str(kept)


def _blot() -> None:
    """Overwrites what is named like a secret where the kernel put it at our start. `os.environ` has a copy of its own,
    and the programs that we start are given theirs from it."""
    for address, text in _block():
        name, _, value = text.partition(b"=")
        if names_secret(name.decode("utf-8", "replace")):
            ctypes.memset(address + len(name) + 1, ord("*"), len(value))


def _block() -> Iterator[tuple[int, bytes]]:
    """(address, text) of each entry of the block between env_start and env_end of /proc/self/stat (fields 50, 51)."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    if not start < end:
        return
    block, at = ctypes.string_at(start, end - start), start
    for text in block.split(b"\0"):
        yield at, text
        at += len(text) + 1
