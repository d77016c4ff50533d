"""What a machine has left, and the floors below which nothing new is started on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DISK, INODES, MEMORY, LOAD = "disk", "inodes", "memory", "load"
FLOORS = (DISK, INODES, MEMORY, LOAD)
OF_A_FOLDER = frozenset({DISK, INODES})
"""What removing files gives back; the others only the end of a worker does."""
SLACK = 0.1
"""Work that was held goes on a tenth above the floor, so that it does not stop and go with every file."""


@dataclass(frozen=True)
class Room:
    """Free and in all: bytes and inodes of a folder's file system; bytes of memory that could be had; the load of one
    minute for each core. None = it cannot be measured there."""

    disk: int | None = None
    disk_all: int | None = None
    inodes: int | None = None
    inodes_all: int | None = None
    memory: int | None = None
    load: float | None = None


@dataclass(frozen=True)
class Floor:
    """So much, or so many percent of all there is. 0 = off."""

    least: int = 0
    percent: float = 0.0

    def of(self, whole: int | None) -> float:
        return self.least or (whole or 0) * self.percent / 100


@dataclass(frozen=True)
class Floors:
    """`load` is a ceiling, for each core."""

    disk: Floor = Floor()
    inodes: Floor = Floor()
    memory: int = 0
    load: float = 0.0


@dataclass(frozen=True)
class Level:
    """One figure against its floor, `short` when it lies below, `again` when work that was held for it may go on. A
    figure that is not `known` holds nothing."""

    code: str
    words: str
    known: bool = True
    short: bool = False
    again: bool = True


def levels(room: Room, floors: Floors) -> Iterator[Level]:
    """All four, in the order in which they are told."""
    yield _level(DISK, room.disk, floors.disk.of(room.disk_all), room.disk_all, floors.disk.percent)
    yield _level(INODES, room.inodes, floors.inodes.of(room.inodes_all), room.inodes_all, floors.inodes.percent)
    yield _level(MEMORY, room.memory, floors.memory)
    yield _ceiling(room.load, floors.load)


def _level(code: str, have: int | None, floor: float, whole: int | None = None, percent: float = 0.0) -> Level:
    if have is None:
        return Level(code, f"{code}: cannot be measured, and holds nothing", known=False)
    if not floor:
        return Level(code, f"{code}: {_amount(code, have)} free, no floor is set")
    again = floor * (1 + SLACK) if whole is None else min(floor * (1 + SLACK), (floor + whole) / 2)
    share = f" ({percent:g} %)" if percent else ""
    words = f"{code}: {_amount(code, have)} free, the floor is {_amount(code, floor)}{share}"
    if have < again:
        words += f", work goes on from {_amount(code, again)}"
    return Level(code, words, short=have < floor, again=have >= again)


def _ceiling(have: float | None, most: float) -> Level:
    if have is None:
        return Level(LOAD, "load: cannot be measured, and holds nothing", known=False)
    if not most:
        return Level(LOAD, f"load: {have:.1f} a core, no limit is set")
    again = most * (1 - SLACK)
    words = f"load: {have:.1f} a core, the limit is {most:g}"
    if have > again:
        words += f", work goes on from {again:g}"
    return Level(LOAD, words, short=have > most, again=have <= again)


def _amount(code: str, value: float) -> str:
    return f"{value:,.0f}" if code == INODES else f"{value / 1e9:.1f} GB"
