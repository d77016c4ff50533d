"""What people ask of a whole batch, and who is told of a hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Answer, Move, StopWorker, TellBatch
from coordinator.planning.batch import gate
from coordinator.planning.batch.cohort import Bands
from coordinator.planning.batch.standing import GatePhase
from coordinator.planning.plan import plan
from tests.factories import NOW, a_running, a_task, an_issue
from tests.support.gated import (
    KEY,
    LABEL,
    WIDE,
    applied,
    asks,
    backing_off,
    begun,
    done,
    held,
    said,
    storm,
    turn,
    wave,
    with_task,
    world,
)

_S = TaskState
_K = RequestKind


# --- a person's other words ---


def test_a_person_holds_a_batch_and_lets_it_go_on():
    calm = world(a_task(1), a_task(2))
    s = asks(calm, _K.HOLD_BATCH, reason="the API changes tonight")
    assert begun(s) == []
    kept = applied(s)
    assert (kept.batches[KEY].by, begun(kept)) == ("the API changes tonight", [])
    assert "the API changes tonight" in plan(kept).waits["gh-1"].words
    assert begun(applied(asks(kept, _K.RESUME_BATCH, number=2))) == ["gh-1", "gh-2"]


def test_a_hold_with_cancel_stops_what_runs_of_this_batch_alone():
    mine, other = a_running(1), a_running(2)
    s = asks(world(mine, other, a_task(3)), _K.HOLD_BATCH, cancel="1")
    s = replace(s, issues={**s.issues, 2: an_issue(2)})
    made = plan(s).actions
    assert [one.task.id for one in made if isinstance(one, StopWorker)] == ["gh-1"]
    assert turn(s).after.phase is GatePhase.HELD
    assert not [one for one in made if isinstance(one, Move)]


def test_a_batch_is_cancelled_whole_and_nothing_beside_it():
    running, waiting, pausing, other = a_running(1), a_task(2), backing_off(3), a_task(4)
    s = world(running, waiting, pausing, done(5), other)
    s = replace(s, issues={**s.issues, 4: an_issue(4)})
    s = asks(s, _K.CANCEL_BATCH, reason="wrong model")
    made = plan(s).actions
    assert [(one.task.id, one.reason) for one in made if isinstance(one, StopWorker)] == [("gh-1", "manual_stop")]
    assert [(one.task.id, one.to, one.detail) for one in made if isinstance(one, Move)] == [
        ("gh-2", _S.CANCELLED, "wrong model"), ("gh-3", _S.CANCELLED, "wrong model")]
    assert begun(s) == ["gh-4"]
    assert not [one for one in made if isinstance(one, Answer)]
    stopped = replace(running[1], stop_asked_at=NOW)
    after = with_task(with_task(with_task(s, running[0], stopped), replace(waiting, state=_S.CANCELLED)),
                      replace(pausing[0], state=_S.CANCELLED))
    assert said(after) == "batch batch:spring: 2 cancelled, 1 being stopped, 1 published or in review"


@pytest.mark.parametrize(("kind", "s", "words"), [
    (_K.RESUME_BATCH, storm(), "batch batch:spring is not held: its tasks start as they come"),
    (_K.HOLD_BATCH, held(), "batch batch:spring is held already: 3 of 5 (60%) failed alike"),
    (_K.RESUME_BATCH, applied(asks(held(), _K.RESUME_BATCH, canary="1")), "gh-6 is being tried already"),
    (_K.RESUME_BATCH, wave(True, going=2), "its canary succeeded, wave 1 is being tried"),
])
def test_a_word_that_changes_nothing_is_answered(kind, s, words):
    calm = replace(s, policy=replace(s.policy, bands=Bands(min_ended=99))) if kind is _K.RESUME_BATCH else s
    args = {"canary": "1"} if KEY in s.batches else {}
    assert words in said(asks(calm, kind, number=2, **args))


@pytest.mark.parametrize("kind", sorted(gate.REQUESTS))
def test_a_batch_that_is_not_there_is_named(kind):
    assert said(asks(storm(policy=replace(WIDE, bands=Bands(min_ended=99))), kind, "summer")) == (
        "there is no batch 'summer' here (known: batch:spring)")


# --- who is told ---


@pytest.mark.req("N5")
def test_the_umbrella_issue_is_told_once_a_hold():
    s = held()
    assert not [one for one in plan(s).actions if isinstance(one, TellBatch)]
    umbrella = {40: an_issue(40, LABEL), 41: an_issue(41, LABEL), 42: an_issue(42, LABEL, is_pull=True),
                39: an_issue(39, LABEL, state="closed")}
    was_work = next(iter(s.issues.values()))
    unlabelled = {was_work.number: replace(was_work, labels=frozenset({LABEL}))}
    s = replace(s, issues={**s.issues, **unlabelled, **umbrella})
    [told] = [one for one in plan(s).actions if isinstance(one, TellBatch)]
    assert (told.issue, told.key, told.held.number) == (40, KEY, 1)
    assert not [one for one in plan(replace(s, github_until=s.now + timedelta(hours=1))).actions
                if isinstance(one, TellBatch)]
    known = replace(s, batches={KEY: replace(s.batches[KEY], told=1)})
    assert not [one for one in plan(known).actions if isinstance(one, TellBatch)]


def test_a_persons_own_hold_is_no_news_to_the_umbrella_issue():
    s = applied(asks(world(a_task(1)), _K.HOLD_BATCH))
    s = replace(s, issues={**s.issues, 40: an_issue(40, LABEL)})
    assert not [one for one in plan(s).actions if isinstance(one, TellBatch)]
