"""Asks a host what it is like, by ssh and its Python alone: nothing of ours need lie there yet."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from coordinator.adapters.executors.ssh import Ssh
from coordinator.adapters.executors.ssh_marks import at_home, with_path
from coordinator.adapters.system.clock import SystemClock
from coordinator.domain.hostcheck import HostFacts
from coordinator.domain.room import Room

LEAST_PYTHON = (3, 9)
_VERSION = "import sys; sys.stdout.write('%d.%d.%d\\n' % sys.version_info[:3]); sys.stdout.flush()"
_SAID = 400


class NoPython(Exception):
    """The host answers, and cannot be asked more. `words` say what stands where its Python is looked for."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def ask(ssh: Ssh, workdir: str, python: str, path: Sequence[str], timeout: float) -> HostFacts:
    """Raises Unreachable, NoPython."""
    program = at_home(python)
    line = f"{program} -c {shlex.quote(_VERSION)} && exec {program} -I -S - {shlex.quote(workdir)}"
    source = files("coordinator").joinpath("far/preflight.py").read_bytes()
    clock = SystemClock()
    asked = clock.now().timestamp()
    answer = ssh.run(with_path(path, line), source, timeout)
    heard = clock.now().timestamp()
    version, _, rest = answer.out.decode("utf-8", "replace").partition("\n")
    found = _version(version)
    if found is None:
        raise NoPython(f"{python}: {_last(answer.err) or f'it ended with {answer.code}'}")
    if found < LEAST_PYTHON:
        raise NoPython(f"{python} is Python {version.strip()}, 3.9 or newer is needed")
    told = _object(rest)
    if told is None:
        raise NoPython(f"{python} did not answer as a Python does: {_last(answer.err) or rest[:_SAID]}")
    return _facts(told, ahead=float(told["now"]) - (asked + heard) / 2, within=(heard - asked) / 2)


def _facts(told: Mapping[str, Any], *, ahead: float, within: float) -> HostFacts:
    return HostFacts(
        python=str(told["python"]), git=str(told["git"]), system=str(told["system"]), uid=int(told["uid"]),
        folder=str(told["folder"]), standing=str(told["standing"]), in_way=str(told["in_way"]),
        owner=int(told["owner"]), writable=bool(told["writable"]), room=Room(**told["room"]), ahead=ahead,
        within=within,
    )  # fmt: skip


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.strip().split(".")
    return tuple(map(int, parts)) if len(parts) == 3 and all(part.isdecimal() for part in parts) else None


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_SAID] if lines else ""
