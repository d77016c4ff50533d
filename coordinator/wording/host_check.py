"""What facts of a host mean for work there: one line a question, each fault with its cure. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from coordinator.domain.hostcheck import HostFacts, HostLine
from coordinator.domain.room import DISK, INODES, LOAD, MEMORY, OF_A_FOLDER, Floors, levels

LEAST_GIT = (2, 31)
"""The walls that keep a worker from pushing are told to git by GIT_CONFIG_COUNT, which came with it."""
SKEW = 60.0
"""Seconds between two clocks from which times of run files mislead."""


def reached(address: str) -> HostLine:
    return HostLine("ssh", "ok", f"{address} answers")


def unreachable(words: str, cure: str) -> HostLine:
    return HostLine("ssh", "fail", words, cure)


def no_python(name: str, words: str) -> HostLine:
    return HostLine("python", "fail", words, f"install Python 3.9 or newer there, or set hosts.{name}.python")


def judge(name: str, facts: HostFacts, floors: Floors, cli: str) -> Iterator[HostLine]:
    """`cli` are the words by which a person runs something on the host."""
    yield HostLine("python", "ok", f"Python {facts.python} on {facts.system}")
    yield _git(name, facts.git)
    yield _folder(name, facts, cli)
    yield from _room(facts, floors, cli)
    yield _clock(facts, cli)


def _git(name: str, version: str) -> HostLine:
    if not version:
        return HostLine("git", "fail", "git is not installed there, or not on its PATH",
                        f"install git there, or name its folder in hosts.{name}.path")
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if found < LEAST_GIT:
        least = ".".join(map(str, LEAST_GIT))
        return HostLine("git", "fail", f"git {version} is too old, {least} is needed", "install a newer git there")
    return HostLine("git", "ok", f"git {version}")


def _folder(name: str, facts: HostFacts, cli: str) -> HostLine:
    place = shlex.quote(facts.folder)
    if facts.in_way:
        return HostLine("workdir", "fail", f"{facts.folder} cannot be made: {facts.in_way} is no folder",
                        f"{cli} ls -ld {shlex.quote(facts.in_way)}; or set hosts.{name}.workdir")
    if facts.owner not in (-1, facts.uid):
        return HostLine("workdir", "fail", f"{facts.folder} belongs to user id {facts.owner}, not to {facts.uid}",
                        f"give it back there (chown), or set hosts.{name}.workdir")
    if not facts.writable:
        what = f"{facts.folder} cannot be written" if facts.owner >= 0 else \
            f"{facts.folder} cannot be made: {facts.standing} cannot be written"
        return HostLine("workdir", "fail", what,
                        f"{cli} ls -ld {shlex.quote(facts.standing)}; or set hosts.{name}.workdir")
    if facts.owner < 0:
        return HostLine("workdir", "ok", f"{place} is made with the first worker")
    return HostLine("workdir", "ok", f"{place} is ours and can be written")


def _room(facts: HostFacts, floors: Floors, cli: str) -> Iterator[HostLine]:
    """A file system that is full stays so; memory and load may be others' in the next minute."""
    place = shlex.quote(facts.standing)
    cures = {DISK: f"make room there: {cli} df -h {place}", INODES: f"make room there: {cli} df -i {place}",
             MEMORY: f"{cli} free -h", LOAD: f"{cli} uptime"}
    for one in levels(facts.room, floors):
        if one.short:
            yield HostLine(one.code, "fail" if one.code in OF_A_FOLDER else "warn", one.words, cures[one.code])
        else:
            yield HostLine(one.code, "ok", one.words)


def _clock(facts: HostFacts, cli: str) -> HostLine:
    off = abs(facts.ahead)
    if off - facts.within <= SKEW:
        return HostLine("clock", "ok", f"the clocks differ by {off:.0f} s")
    way = "ahead of" if facts.ahead > 0 else "behind"
    return HostLine("clock", "warn", f"its clock is {off:.0f} s {way} ours", f"{cli} timedatectl set-ntp true")
