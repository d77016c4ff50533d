"""What ended runs left on another host, on its way home. One run's way home says nothing of its host, nor of the others
that run there. Real git, real files, a shell of this machine for the host's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.worker import Exited, Running, Unknown
from coordinator.ports import Away, LaunchSpec
from tests.support.executor_yard import Closing, Yard, far_yard
from tests.support.workers import until


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with far_yard(tmp_path) as made:
        yield made


def beside(executor: Closing, what: str, first: Callable[[], None]) -> None:
    """Whenever the far end is to be asked `what`, this comes first."""
    link = executor._link  # type: ignore[attr-defined]
    real = link.ask

    def ask(do: str, *args: Any, **more: Any) -> Any:
        if do == what:
            first()
        return real(do, *args, **more)

    link.ask = ask


def over_there(yard: Yard, spec: LaunchSpec) -> bool:
    """Whether it has ended on its host, whatever is known of it here."""
    return bool(list((yard.root / "far side").rglob(f"{spec.handle.job}.outcome")))


# --- a way home that takes long, or fails ------------------------------------------------------------


@pytest.mark.req("N2")
def test_a_host_that_answers_is_not_away_while_the_work_of_one_run_is_on_its_way_home(tmp_path: Path) -> None:
    packing, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        packing.set()
        go_on.wait(30.0)

    with far_yard(tmp_path, background=True) as yard:
        executor = yard.executor()
        beside(executor, "pack", slow)
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
        try:
            until(packing.is_set, "the way home")
            until(lambda: isinstance(executor.look(handles)[alive.handle], Running), "the other to be seen", 5.0)
            assert executor.hosts()["epyc12"].away_since is None
            assert not isinstance(executor.look(handles)[over.handle], Exited)
        finally:
            go_on.set()
        until(lambda: isinstance(executor.look(handles)[over.handle], Exited), "its coming home")


@pytest.mark.req("N2")
def test_a_way_home_that_fails_is_this_run_s_alone_and_its_lease_runs(yard: Yard) -> None:
    def broken() -> None:
        raise Away("epyc12: no answer within 900 s")

    executor = yard.executor()
    beside(executor, "pack", broken)
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
