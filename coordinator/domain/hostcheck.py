"""A machine that workers may run on, as it was asked: facts, and the lines that judge them."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.domain.room import Room


@dataclass(frozen=True)
class HostFacts:
    """`git` is "" where there is none. `folder` is our folder there, `standing` the nearest one above it that is there,
    `in_way` what stands in its place and is no folder; `owner` -1 while it is not there. `ahead`: seconds by which its
    clock is before ours, known to `within` seconds."""

    python: str
    git: str
    system: str
    uid: int
    folder: str
    standing: str
    in_way: str
    owner: int
    writable: bool
    room: Room
    ahead: float
    within: float


@dataclass(frozen=True)
class HostLine:
    """`about` is one word for what was looked at; `level` is ok, warn or fail; `cure` is "" when all is well."""

    about: str
    level: str
    words: str
    cure: str = ""


@dataclass(frozen=True)
class HostReport:
    """All lines of one host. `reachable` False = nothing could be asked there; `closed` = why it takes no work until a
    gate was passed, "" when it is open."""

    name: str
    lines: tuple[HostLine, ...]
    reachable: bool
    closed: str = ""

    @property
    def missing(self) -> tuple[HostLine, ...]:
        """What must be mended before it takes work."""
        return tuple(line for line in self.lines if line.level == "fail")
