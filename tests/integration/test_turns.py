"""A test that is judged by a clock runs beside no other: what keeps the processes of a test run apart."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from tests.support.turns import turn
from tests.support.workers import until


def begun(work: Callable[[], None]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def shut(gate: Path) -> bool:
    with gate.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_several_are_inside_at_once(tmp_path: Path) -> None:
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        assert not shut(tmp_path / "gate")


def test_who_wants_to_be_alone_waits_for_those_inside_and_comes_before_those_that_come_later(tmp_path: Path) -> None:
    seen: list[str] = []
    inside, leave = Event(), Event()

    def first() -> None:
        with turn(tmp_path, alone=False):
            inside.set()
            assert leave.wait(60)
            seen.append("the first")

    def take(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            seen.append(name)

    threads = [begun(first)]
    assert inside.wait(60)
    threads.append(begun(lambda: take("alone", alone=True)))
    until(lambda: shut(tmp_path / "gate"), "the gate, shut by who wants to be alone")
    threads += [begun(lambda: take("later", alone=False)) for _ in range(3)]
    leave.set()
    for thread in threads:
        thread.join(60)

    assert seen == ["the first", "alone", "later", "later", "later"]
