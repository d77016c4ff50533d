"""What facts of a host mean for work there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.domain.hostcheck import HostFacts, HostLine
from coordinator.domain.room import Floor, Floors, Room
from coordinator.wording import hosts as wording
from coordinator.wording.host_check import judge

ROOM = Room(disk=10**10, inodes=10**6, memory=2 * 10**9, load=0.5)
FLOORS = Floors(Floor(5 * 10**9), Floor(50_000), memory=10**9, load=4)
GOOD = HostFacts(python="3.9.2", git="2.31.0", system="Darwin", uid=501, folder="/u/c", standing="/u/c", in_way="",
                 owner=501, writable=True, room=ROOM, ahead=0.2, within=0.1)  # fmt: skip


def lines(facts: HostFacts) -> dict[str, HostLine]:
    return {one.about: one for one in judge("mini", facts, FLOORS, "coordinator dispatch mini --")}


def test_a_good_host_has_a_good_line_for_each_question() -> None:
    found = lines(GOOD)
    assert list(found) == ["python", "git", "workdir", "disk", "inodes", "memory", "load", "clock"]
    assert {one.level for one in found.values()} == {"ok"}
    assert all(one.cure == "" for one in found.values())


@pytest.mark.parametrize(("facts", "about", "level", "words", "cure"), [
    (replace(GOOD, git="2.30.2"), "git", "fail", "git 2.30.2 is too old, 2.31 is needed", "install a newer git there"),
    (replace(GOOD, git=""), "git", "fail", "git is not installed there", "hosts.mini.path"),
    (replace(GOOD, owner=0), "workdir", "fail", "/u/c belongs to user id 0, not to 501", "hosts.mini.workdir"),
    (replace(GOOD, writable=False), "workdir", "fail", "/u/c cannot be written", "-- ls -ld /u/c"),
    (replace(GOOD, standing="/u", owner=-1, writable=False), "workdir", "fail",
     "/u/c cannot be made: /u cannot be written", "-- ls -ld /u;"),
    (replace(GOOD, standing="/u", owner=-1, in_way="/u/c"), "workdir", "fail", "/u/c is no folder", "-- ls -ld /u/c"),
    (replace(GOOD, standing="/u", owner=-1), "workdir", "ok", "is made with the first worker", ""),
    (replace(GOOD, room=replace(ROOM, disk=10**9)), "disk", "fail", "1.0 GB free, the floor is 5.0 GB",
     "-- df -h /u/c"),
    (replace(GOOD, room=replace(ROOM, inodes=7)), "inodes", "fail", "7 free, the floor is 50,000",
     "-- df -i /u/c"),
    (replace(GOOD, room=replace(ROOM, memory=1)), "memory", "warn", "0.0 GB free, the floor is 1.0 GB",
     "-- free -h"),
    (replace(GOOD, room=replace(ROOM, load=4.5)), "load", "warn", "4.5 a core, the limit is 4", "-- uptime"),
    (replace(GOOD, room=Room()), "memory", "ok", "memory: cannot be measured, and holds nothing", ""),
    (replace(GOOD, ahead=90.0), "clock", "warn", "its clock is 90 s ahead of ours", "timedatectl"),
    (replace(GOOD, ahead=-90.0), "clock", "warn", "its clock is 90 s behind ours", "timedatectl"),
    (replace(GOOD, ahead=90.0, within=40.0), "clock", "ok", "differ by 90 s", ""),
])  # fmt: skip
def test_each_fault_is_named_with_its_cure(facts: HostFacts, about: str, level: str, words: str, cure: str) -> None:
    found = lines(facts)
    assert found[about].level == level
    assert words in found[about].words
    assert cure in found[about].cure
    assert bool(cure) == bool(found[about].cure)
    assert {name for name, one in found.items() if one.level != "ok"} <= {about}


def test_a_refusal_names_the_document_and_the_default_host_only_where_there_is_one() -> None:
    assert wording.closed("gpu1", "its gate was never passed", "docs/gpu.md", "epyc12") == (
        "gpu1 is disabled and its gate was never passed; read docs/gpu.md, then: coordinator hosts gate gpu1;"
        " the default host is epyc12")
    assert wording.closed("gpu1", "its gate was never passed", "", "gpu1") == (
        "gpu1 is disabled and its gate was never passed; coordinator hosts gate gpu1")
    assert wording.changed(["its address", "the gate's command"]) == (
        "its gate was passed before its address and the gate's command have changed")
