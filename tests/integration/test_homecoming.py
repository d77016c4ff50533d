"""What ended runs left on another host, on its way home. One run's way home says nothing of its host, nor of the others
that run there. Real git, real files, a shell of this machine for the host's."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from coordinator.adapters.executors.remote.link import Here
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.domain.worker import Exited, Running, Unknown, Waiting
from coordinator.ports import Away, LaunchFailed, LaunchSpec
from tests.support import far_field
from tests.support.executor_yard import Closing, Yard, beside, ended, far_yard, view
from tests.support.far_field import BRANCH, Field
from tests.support.gitworld import git, make_world
from tests.support.workers import until

field = far_field.field
COMMIT = "echo 1 > one; git add one; git commit -qm one"


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with far_yard(tmp_path) as made:
        yield made


def over_there(yard: Yard, spec: LaunchSpec) -> bool:
    """Whether it has ended on its host, whatever is known of it here."""
    return bool(list((yard.root / "far side").rglob(f"{spec.handle.job}.outcome")))


class Way:
    """From the far side home: `taken` once anything has begun to be packed, which waits until it may `go_on`."""

    def __init__(self) -> None:
        self.taken, self.go_on = threading.Event(), threading.Event()

    def pack(self) -> None:
        self.taken.set()
        self.go_on.wait(30.0)


@contextmanager
def slow_way(root: Path) -> Iterator[tuple[Yard, Closing, Way]]:
    way = Way()
    with far_yard(root, background=True) as yard:
        executor = yard.executor()
        beside(executor, "pack", before=way.pack)
        try:
            yield yard, executor, way
        finally:
            way.go_on.set()


# --- a way home that takes long, or fails ------------------------------------------------------------


@pytest.mark.req("N2")
def test_a_host_that_answers_is_not_away_while_the_work_of_one_run_is_on_its_way_home(tmp_path: Path) -> None:
    with slow_way(tmp_path) as (yard, executor, way):
        over = yard.spec("sh", "-c", f"until test -e '{tmp_path}/go'; do sleep 0.05; done", job="gh-1")
        alive = yard.spec("sleep", "60", job="gh-2")
        for spec in (over, alive):
            executor.submit(spec)
        handles = [over.handle, alive.handle]

        def all_are(kind: type) -> bool:
            return all(isinstance(one, kind) for one in executor.look(handles).values())

        until(lambda: all_are(Running), "both")
        assert yard.cable is not None
        yard.cable.cut = "before"
        until(lambda: all_are(Unknown), "the host to be away")
        (tmp_path / "go").touch()
        until(lambda: over_there(yard, over), "its end there")
        yard.cable.cut = ""
        until(way.taken.is_set, "the way home")
        until(lambda: isinstance(executor.look(handles)[alive.handle], Running), "the other to be seen", 5.0)
        assert executor.hosts()["epyc12"].away_since is None
        assert not isinstance(executor.look(handles)[over.handle], Exited)
        way.go_on.set()
        until(lambda: isinstance(executor.look(handles)[over.handle], Exited), "its coming home")


@pytest.mark.req("N2")
def test_no_lease_runs_by_a_start_in_vain_while_the_work_of_one_run_is_on_its_way_home(tmp_path: Path) -> None:
    with slow_way(tmp_path) as (yard, executor, way):
        alive, over = yard.spec("sleep", "60", job="gh-1"), yard.spec("true", job="gh-2")
        for spec in (alive, over):
            executor.submit(spec)
        handles = [over.handle, alive.handle]
        until(lambda: executor.look(handles) and way.taken.is_set(), "the way home")
        assert yard.cable is not None
        yard.cable.cut = "before"
        with pytest.raises(LaunchFailed, match="timed out"):
            executor.submit(yard.spec("true", job="gh-3"))
        yard.cable.cut = ""
        yard.clock.by = timedelta(minutes=11)
        lost = executor.look(handles)[alive.handle]
        assert isinstance(lost, Unknown)
        assert yard.clock.now() - lost.since < timedelta(minutes=1)
        way.go_on.set()
        until(lambda: isinstance(executor.look(handles)[alive.handle], Running), "its being seen again")


@pytest.mark.req("N2")
def test_a_way_home_that_fails_is_this_run_s_alone_and_its_lease_runs(yard: Yard) -> None:
    def broken() -> None:
        raise Away("epyc12: no answer within 900 s")

    executor = yard.executor()
    beside(executor, "pack", before=broken)
    over, alive = yard.spec("true", job="gh-1"), yard.spec("sleep", "60", job="gh-2")
    for spec in (over, alive):
        executor.submit(spec)
    until(lambda: over_there(yard, over), "its end there")
    lost: list[Unknown] = []
    for minutes in (0, 10, 20):
        yard.clock.by = timedelta(minutes=minutes)
        views = executor.look([over.handle, alive.handle])
        assert isinstance(views[alive.handle], Running)
        assert executor.hosts()["epyc12"].away_since is None
        found = views[over.handle]
        assert isinstance(found, Unknown)
        lost.append(found)
    assert set(lost) == {lost[0]}, "since it was first asked in vain"
    assert "no answer within 900 s" in lost[0].reason
    told = yard.pairs(over, "seen")
    assert (told["words"], float(told["since"])) == (lost[0].reason, pytest.approx(lost[0].since.timestamp(), abs=0.01))


def test_a_lease_runs_from_when_a_way_home_broke_off_and_not_from_when_it_was_begun(yard: Yard) -> None:
    def breaks_off() -> None:
        yard.clock.by += timedelta(minutes=15)
        raise Away("epyc12: no answer within 900 s")

    executor = yard.executor()
    beside(executor, "pack", before=breaks_off)
    over = yard.spec("true", job="gh-1")
    executor.submit(over)
    until(lambda: over_there(yard, over), "its end there")
    found = view(executor, over)
    assert isinstance(found, Unknown)
    assert yard.clock.now() - found.since < timedelta(minutes=1)


def test_no_lease_of_one_runs_by_how_long_another_s_way_home_takes(yard: Yard) -> None:
    asked: list[str] = []

    def pack() -> None:   # the first is refused, the next takes long
        asked.append("pack")
        if len(asked) == 1:
            raise Away("epyc12: the line broke")
        yard.clock.by += timedelta(minutes=15)

    executor = yard.executor()
    beside(executor, "pack", before=pack)
    one, other = yard.spec("true", job="gh-1"), yard.spec("true", job="gh-2")
    for spec in (one, other):
        executor.submit(spec)
        until(partial(over_there, yard, spec), "its end there")
    views = executor.look([one.handle, other.handle])
    assert isinstance(views[other.handle], Exited)
    found = views[one.handle]
    assert isinstance(found, Unknown)
    assert yard.clock.now() - found.since < timedelta(minutes=1)


def test_no_lease_runs_while_the_work_comes_home_bit_by_bit(field: Field) -> None:
    yard, pieces = field.yard, [0]

    def get() -> None:
        pieces[0] += 1
        yard.clock.by += timedelta(minutes=4)
        if pieces[0] % 2 == 0:
            raise Away("epyc12: the line broke")

    executor = yard.executor()
    spec = field.sent(executor, "head -c 9000000 /dev/urandom > one; git add one; git commit -qm one")
    until(lambda: over_there(yard, spec), "its end there")
    beside(executor, "get", before=get)
    lasted: list[timedelta] = []
    while isinstance(found := view(executor, spec), Unknown):
        lasted.append(yard.clock.now() - found.since)
    assert isinstance(found, Exited)
    assert (len(lasted), max(lasted) < timedelta(minutes=1)) == (2, True)
    assert not field.home(executor, spec).trouble


# --- work that is packed twice -----------------------------------------------------------------------

SLOW_GIT = """#!/bin/sh
case " $* " in *" bundle create "*)
    echo once >> '{0}/bundled'; i=0
    until test -e '{0}/go' || [ $i -ge 200 ]; do sleep 0.05; i=$((i + 1)); done ;;
esac
exec '{1}' "$@"
"""


def test_work_that_is_still_being_packed_for_a_look_that_gave_up_is_not_packed_beside_it(tmp_path: Path) -> None:
    slow, world = tmp_path / "bin/git", make_world(tmp_path)
    slow.parent.mkdir()
    slow.write_text(SLOW_GIT.format(tmp_path, shutil.which("git")))
    slow.chmod(0o755)
    shell = Here({"PATH": f"{slow.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    with far_yard(tmp_path / "yard", shell, shared=False) as yard:
        field = Field(world, yard, world.repository())
        executor = yard.executor()
        spec = field.sent(executor, COMMIT)
        until(lambda: over_there(yard, spec), "its end there")
        assert spec.outbound is not None
        asked = {"provider": "claude", "job": "gh-1", "token": spec.handle.token, "repo": "widgets", "branch": BRANCH,
                 "head": spec.outbound.head, "limit": 1 << 30, "extra": []}
        given_up = threading.Thread(
            target=executor._link.ask, args=["pack"], kwargs=asked)  # type: ignore[attr-defined]
        given_up.start()
        until((tmp_path / "bundled").exists, "the packing")
        found = view(executor, spec)
        (tmp_path / "go").touch()
        given_up.join()
        assert isinstance(found, Waiting)
        assert "still being packed there" in found.reason
        assert (tmp_path / "bundled").read_text() == "once\n"
        assert ended(executor, spec).code == 0
        assert not field.home(executor, spec).trouble
        assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"


def test_what_a_packing_that_was_killed_left_half_done_is_in_nobody_s_way(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, COMMIT)
    parcels = field.yard.root / "far side/.coordinator/parcels"
    for name in ("gh-1.out", "gh-1.out.lock"):   # as git names what it has not finished
        (parcels / name).write_bytes(b"# v2 git bundle\n")
    assert ended(executor, spec).code == 0
    assert not field.home(executor, spec).trouble
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"


# --- and who finds the host away meanwhile -----------------------------------------------------------


def in_between(yard: Yard, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """The host can be reached again, and this happens, while somebody who did not reach it says so of its runs, one by
    one."""
    real = Mirror.heard_at

    def meanwhile(mirror: Mirror) -> datetime | None:
        assert yard.cable is not None
        if yard.cable.cut:
            yard.cable.cut = ""
            happens()
        return real(mirror)

    monkeypatch.setattr(Mirror, "heard_at", meanwhile)


def test_a_run_that_has_come_home_is_not_unknown_again_for_a_start_that_found_its_host_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_way(tmp_path) as (yard, executor, way):
        alive, over = yard.spec("sleep", "60", job="gh-1"), yard.spec("true", job="gh-2")
        for spec in (alive, over):
            executor.submit(spec)
        handles = [alive.handle, over.handle]
        views = executor._views  # type: ignore[attr-defined]

        def comes_home() -> None:
            way.go_on.set()
            until(lambda: isinstance(views[over.handle], Exited), "its coming home")

        until(lambda: executor.look(handles) and way.taken.is_set(), "the way home")
        assert yard.cable is not None
        in_between(yard, monkeypatch, comes_home)
        yard.cable.cut = "before"
        with pytest.raises(LaunchFailed, match="timed out"):
            executor.submit(yard.spec("true", job="gh-3"))
        assert isinstance(views[over.handle], Exited)
        assert yard.pairs(over, "seen")["since"] == ""


def test_whoever_finds_its_host_away_does_not_undo_what_a_look_has_heard_since(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = yard.executor()
    specs = [yard.spec("sleep", "60", job=job) for job in ("gh-1", "gh-2")]
    handles = [spec.handle for spec in specs]
    for spec in specs:
        executor.submit(spec)
    until(lambda: all(isinstance(one, Running) for one in executor.look(handles).values()), "both")
    assert yard.cable is not None
    yard.cable.cut = "before"
    until(lambda: all(isinstance(one, Unknown) for one in executor.look(handles).values()), "the host to be away")
    yard.clock.by = timedelta(minutes=11)
    in_between(yard, monkeypatch, executor.refresh)  # type: ignore[attr-defined]
    with pytest.raises(LaunchFailed, match="timed out"):
        executor.submit(yard.spec("true", job="gh-3"))
    assert isinstance(executor._views[handles[1]], Running), "its lease is not over"  # type: ignore[attr-defined]
