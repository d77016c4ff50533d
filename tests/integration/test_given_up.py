"""A run on another host that was given up: since when it was asked for in vain, who tells it, until when it counts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.system.clock import SystemClock
from coordinator.domain.worker import HostState, Running, Unknown
from coordinator.far import running
from coordinator.far.home import Home
from coordinator.ports import LaunchFailed, LaunchSpec
from coordinator.runfiles import atomic, codec, identity, names, orders
from tests.support import far_field
from tests.support.executor_yard import Closing, Yard, beside, ended, far_yard, seen, view
from tests.support.far_field import Field
from tests.support.workers import until

field = far_field.field
DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"


class Ahead(SystemClock):
    ahead = timedelta()

    def now(self) -> Any:
        return super().now() + self.ahead


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with far_yard(tmp_path) as made:
        made.clock = Ahead()
        yield made


def cut(yard: Yard, how: str) -> None:
    assert yard.cable is not None
    yard.cable.cut = how


def lost(yard: Yard, executor: Closing) -> LaunchSpec:
    """A worker whose host is out of reach and that was given up."""
    spec = yard.spec("sh", "-c", DEAF)
    executor.submit(spec)
    until(lambda: view(executor, spec) and yard.out(spec) == "up\n", "the worker")
    cut(yard, "middle")
    seen(executor, spec, Unknown)
    executor.give_up(spec.handle)
    return spec


def met(executor: Closing) -> HostState:
    executor.look([])
    return executor.hosts()["epyc12"]


@pytest.mark.req("N2")
@pytest.mark.parametrize("restarted", [False, True])
def test_a_run_is_unknown_since_it_was_asked_in_vain_and_not_since_it_was_last_heard_of(
    yard: Yard, restarted: bool
) -> None:
    executor = yard.executor()
    spec = yard.spec("sh", "-c", DEAF)
    executor.submit(spec)
    seen(executor, spec, Running)
    assert isinstance(yard.clock, Ahead)
    yard.clock.ahead = timedelta(hours=9)   # nobody looked for so long
    asked_at = yard.clock.now()
    cut(yard, "before")
    away = seen(yard.executor() if restarted else executor, spec, Unknown)
    assert away.since >= asked_at


@pytest.mark.req("N2")
def test_one_that_was_given_up_is_named_until_it_has_ended_there(yard: Yard) -> None:
    executor = yard.executor()
    spec = lost(yard, executor)
    assert not met(executor).met
    cut(yard, "")
    until(lambda: met(executor).ending == {"gh-450"}, "the order to end")
    until(lambda: met(executor) == HostState(met=True), "its end", 30.0)
    until(lambda: not identity.with_token(spec.handle.token), "the end of its wrapper, which tells of it first")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_host_that_takes_no_work_any_more_is_asked_until_what_was_given_up_there_has_ended(
    yard: Yard, restarted: bool
) -> None:
    executor = yard.executor()
    spec = lost(yard, executor)
    executor = yard.executor() if restarted else executor
    executor._shut = lambda: True  # type: ignore[attr-defined]
    cut(yard, "")
    until(lambda: met(executor) == HostState(met=True) and not identity.with_token(spec.handle.token), "its end", 30.0)
    assert yard.cable is not None
    before = len(yard.cable.asked)
    executor._looked_at = None  # type: ignore[attr-defined]
    executor.look([])
    assert len(yard.cable.asked) == before, "it is left in peace"


@pytest.mark.req("N2")
def test_one_that_is_given_up_while_its_host_answers_counts_until_it_was_asked_for(yard: Yard) -> None:
    executor = yard.executor()
    spec = yard.spec("sh", "-c", DEAF)
    executor.submit(spec)
    until(lambda: view(executor, spec) and yard.out(spec) == "up\n", "the worker")
    gone: list[None] = []

    def once() -> None:
        if not gone:
            gone.append(executor.give_up(spec.handle))

    beside(executor, "look", after=once)
    view(executor, spec)
    executor._shut = lambda: True  # type: ignore[attr-defined]
    found = executor.hosts()["epyc12"]
    assert (found.met, found.ending) == (True, {"gh-450"}), "nobody may take its place yet"
    until(lambda: met(executor) == HostState(met=True) and not identity.with_token(spec.handle.token), "its end", 30.0)


def test_one_that_lives_on_is_told_once_a_minute(yard: Yard) -> None:
    executor = yard.executor()
    lost(yard, executor)
    cut(yard, "")
    link, told = executor._link, list[str]()  # type: ignore[attr-defined]
    real = link.ask

    def unheard(do: str, *args: Any, **more: Any) -> Any:
        if do != "stop":
            return real(do, *args, **more)
        told.append(do)
        return {}, []

    link.ask = unheard
    assert isinstance(yard.clock, Ahead)
    for seconds, times in ((0, 1), (30, 1), (65, 2), (95, 2), (130, 3)):
        yard.clock.ahead = timedelta(seconds=seconds)
        executor._looked_at = None  # type: ignore[attr-defined]
        assert met(executor).ending == {"gh-450"}
        assert len(told) == times


def test_a_host_that_answers_and_has_no_room_for_the_order_is_not_away_and_is_told_later(yard: Yard) -> None:
    executor = yard.executor()
    spec, other = lost(yard, executor), yard.spec("sleep", "60", job="gh-451")
    refusals: list[int] = []

    def full() -> None:
        refusals.append(1)
        if len(refusals) < 4:
            raise LaunchFailed("disk_full", "epyc12: No space left on device")

    beside(executor, "stop", before=full)
    cut(yard, "")
    executor.submit(other)
    for _ in range(3):
        executor._looked_at = None  # type: ignore[attr-defined]
        assert not isinstance(view(executor, other), Unknown)
        assert executor.hosts()["epyc12"].away_since is None
    assert len(refusals) == 3
    until(lambda: view(executor, other) and not identity.with_token(spec.handle.token), "its end", 30.0)


def test_a_stop_in_the_worktree_here_that_its_host_has_no_room_for_is_told_later(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    refusals: list[int] = []

    def full() -> None:
        refusals.append(1)
        if len(refusals) < 3:
            raise LaunchFailed("disk_full", "epyc12: No space left on device")

    beside(executor, "stop", before=full)
    Mirror(field.yard.jobs, spec.handle).mark({"worktree": str(field.tree)})   # as the engine names it
    (field.tree / "STOP").touch()
    for _ in range(3):
        executor._looked_at = None  # type: ignore[attr-defined]
        assert not isinstance(view(executor, spec), Unknown)
    assert len(refusals) == 3
    assert ended(executor, spec).reason == "manual_stop"


def test_a_wrapper_there_that_hears_no_order_is_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(str(tmp_path))
    home.make()
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])
    try:
        proc = identity.look(child.pid)
        assert proc is not None
        beat = {"token": "t1", "wrapper_pid": str(proc.pid), "wrapper_start": str(proc.start),
                "boot_id": identity.boot_id(), "at": "1790000000.000"}
        atomic.write(names.path(home.of("claude"), "gh-1", "heartbeat"), codec.encode(beat))
        monkeypatch.setattr(orders, "UNHEARD", 0.3)
        running.stop(home, "claude", "gh-1", "t1", {"reason": "lost"}, 2)
        assert child.poll() is None

        def ended_there() -> bool:
            running.stop(home, "claude", "gh-1", "t1", {"reason": "lost"}, 2)
            return child.poll() is not None

        until(ended_there, "its end")
        assert child.returncode == -9
    finally:
        child.kill()
        child.wait()
