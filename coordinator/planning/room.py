"""Admission by room: which floors of a machine hold new work now. Pure; what was held before is an input."""

from __future__ import annotations

from collections.abc import Collection

from coordinator.domain.room import OF_A_FOLDER, Floors, Level, Room, levels
from coordinator.domain.worker import SLURM
from coordinator.planning.snapshot import Gate


def short(room: Room, floors: Floors, before: Collection[str]) -> tuple[Level, ...]:
    """What holds work: below its floor, or it was (`before`, codes) and has not come up far enough above it since."""
    return tuple(one for one in levels(room, floors) if one.short or (one.code in before and not one.again))


def gate(host: str, level: Level, folder: str = "") -> Gate:
    """The level as what holds work on a host, "" for this machine; `folder` is where plans have their worktrees."""
    if folder:
        cure = "make room there, or name another folder in plans.worktrees"
        return Gate(level.code, f"{folder}: {level.words}", cure, folder)
    if not host:
        cure = "coordinator clean --dry-run" if level.code in OF_A_FOLDER else \
            f"a worker ends, or floors.{level.code} is changed"
        return Gate(level.code, level.words, cure)
    cure = f"make room where slurm.workdir lies, or lower floors.{level.code}" if host == SLURM else \
        f"coordinator hosts check {host}"
    return Gate(level.code, f"{host}: {level.words}", cure)
