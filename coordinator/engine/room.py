"""Room, measured here each turn and told by hosts with each look; said once when it runs short or is back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.domain.room import OF_A_FOLDER, Room
from coordinator.domain.worker import HostState
from coordinator.engine.memory import Memory
from coordinator.engine.world import World
from coordinator.planning.berths import LOCAL
from coordinator.planning.room import gate, short
from coordinator.planning.snapshot import Gate


@dataclass(frozen=True)
class Admission:
    """What holds all new work, for run files, transcripts and what comes home from hosts lie here; and what holds that
    of one host, "" for this machine."""

    of_all: tuple[Gate, ...]
    of_hosts: Mapping[str, tuple[Gate, ...]]


def admitted(world: World, memory: Memory, hosts: Mapping[str, HostState], *, plans: bool) -> Admission:
    """Measured now, with what was held before in memory. `plans`: tasks of plans are at work or wait for it; their
    worktrees stand in a folder of their own, often on another file system."""
    here = _gates(world, memory, LOCAL, _room(world, world.root))
    files = {one.code: one for one in here if one.code in OF_A_FOLDER}
    if plans and world.options.agents is not None:
        apart = replace(_room(world, world.options.agents), memory=None, load=None)
        files = {one.code: one for one in _gates(world, memory, LOCAL, apart, str(world.options.agents))} | files
    alone = tuple(one for one in here if one.code not in OF_A_FOLDER)
    gates = {name: _gates(world, memory, name, state.room) for name, state in hosts.items() if state.room is not None}
    return Admission(tuple(files.values()), {name: held for name, held in {LOCAL: alone, **gates}.items() if held})


def _room(world: World, folder: Path) -> Room:
    """Of a folder that is not there yet, that where it will be made."""
    for each in (folder, *folder.parents):
        try:
            return world.files.room(each)
        except FileNotFoundError:
            continue
        except OSError:   # whatever is wrong with it is said by what must write there
            break
    return Room()


def _gates(world: World, memory: Memory, host: str, room: Room, folder: str = "") -> tuple[Gate, ...]:
    place = host or folder
    before = memory.short.get(place, frozenset())
    found = tuple(gate(host, level, folder) for level in short(room, world.policy.floors, before))
    now = memory.short[place] = frozenset(one.code for one in found)
    for one in found:
        if one.code not in before:
            world.say(f"new work is held: {one.words}")
    for code in sorted(before - now):
        where = f" on {host}" if host else f" in {folder}" if folder else ""
        world.say(f"there is room again{where}: {code}")
    return found
