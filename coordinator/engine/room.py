"""Room, measured here each turn and told by hosts with each look; said once when it runs short or is back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


def admitted(world: World, memory: Memory, hosts: Mapping[str, HostState]) -> Admission:
    """Measured now, with what was held before in memory."""
    rooms = {LOCAL: _here(world), **{name: state.room for name, state in hosts.items() if state.room is not None}}
    gates = {name: _gates(world, memory, name, room) for name, room in rooms.items()}
    here = gates.pop(LOCAL)
    alone = tuple(one for one in here if one.code not in OF_A_FOLDER)
    return Admission(tuple(one for one in here if one.code in OF_A_FOLDER),
                     {name: held for name, held in {LOCAL: alone, **gates}.items() if held})


def _here(world: World) -> Room:
    try:
        return world.files.room(world.root)
    except OSError:   # whatever is wrong with the root is said by what must write there
        return Room()


def _gates(world: World, memory: Memory, host: str, room: Room) -> tuple[Gate, ...]:
    before = memory.short.get(host, frozenset())
    found = tuple(gate(host, level) for level in short(room, world.policy.floors, before))
    now = memory.short[host] = frozenset(one.code for one in found)
    for one in found:
        if one.code not in before:
            world.say(f"new work is held: {one.words}")
    for code in sorted(before - now):
        where = f" on {host}" if host else ""
        world.say(f"there is room again{where}: {code}")
    return found
