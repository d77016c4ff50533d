"""Credentials that are good for one job alone: a coordinator, whose workers run side by side, does without them; a job
by hand gets them only where no other of its provider runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.engine.effects import perform
from coordinator.engine.facts import Launched, NotStarted
from coordinator.engine.jobs import batch, starting
from coordinator.engine.jobs.desk import Refused
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.planning.actions import Launch
from coordinator.ports import Credentials, Readiness
from tests.factories import NOW, a_task, an_attempt
from tests.support.fakes import an_outside
from tests.support.job_place import Office

ALONE = Readiness(True, "codex: credentials from somebody's login", alone=True)


@pytest.mark.req("B81")
def test_a_coordinator_takes_such_a_provider_for_one_that_is_not_ready() -> None:
    outside = an_outside()
    outside.other.readiness = ALONE
    task = a_task(1, TaskState.QUEUED, provider="codex")
    outside.store.add(task, Event(task.id, NOW, "adopted"))
    gate = observe(outside.world(), Memory()).unready["codex"]
    assert gate.code == "codex_auth_missing"
    assert "workers run side by side" in gate.words


@pytest.mark.req("B81")
@pytest.mark.parametrize("alone", [True, False])
def test_no_worker_is_started_with_them_and_a_key_of_its_own_is_hidden(alone: bool) -> None:
    outside, learned = an_outside(), list[str]()
    known = Credentials("somebody's login", alone=alone, env={"KEY": "secret-key-of-codex"})
    outside.provider.credentials = lambda probe, settings: known  # type: ignore[method-assign]
    task, attempt = a_task(1, TaskState.PREPARING, branch="rpi/gh-1"), an_attempt(1, 1)
    outside.repo.ensure_worktree(task.id, task.branch, "main", fresh=True, attempt=1)
    fact = perform(Launch(task, attempt), outside.world(learn=learned.extend))
    assert isinstance(fact, NotStarted if alone else Launched), fact
    assert learned == ([] if alone else ["secret-key-of-codex"])


def an_office() -> Office:
    office = Office()
    office.agents.readiness = replace(ALONE, words="command: credentials from somebody's login")
    return office


@pytest.mark.req("B51", "B81")
def test_a_job_by_hand_has_them_only_where_no_other_of_its_provider_runs() -> None:
    office = an_office()
    office.start("bd-1")
    with pytest.raises(Refused, match="one job at a time, and bd-1 runs") as refused:
        office.start("bd-2")
    assert (refused.value.code, refused.value.reason) == (10, "command_auth_missing")
    office.place.ends("bd-1")
    office.start("bd-2")
    office.restart("bd-2")


@pytest.mark.req("B81")
def test_a_batch_never_has_them() -> None:
    office = an_office()
    order = starting.Order("bd-1", "command", "do it", "/p", Path("/"))
    [launched] = batch.start_all(office.desk, [order], timedelta())
    assert (launched.started, launched.code) == (None, 10)
    assert "a batch starts many" in launched.words
