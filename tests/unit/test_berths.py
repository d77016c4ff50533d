"""On which host a task runs: where its labels say, where tasks run at all, where there is room; never silently here."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.outcome import Ending
from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import SLURM, HostState
from coordinator.planning.actions import Begin, Wait
from coordinator.planning.berths import Berths, occupied
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.planning.snapshot import Snapshot
from tests.factories import NOW, a_running, a_snapshot, a_task, an_attempt, an_issue

AWAY = HostState(NOW - timedelta(minutes=3), "no answer")
HOSTS = {"a": HostRules(slots=1), "b": HostRules(slots=2), "gpu": HostRules(slots=1, labels=frozenset({"gpu"})),
         SLURM: HostRules(slots=3, labels=frozenset({"big"}))}


def world(*running: str, executor: str = "ssh", labels: tuple[str, ...] = (), hosts: dict[str, HostRules] | None = None,
          **more: Any) -> tuple[Snapshot, Task]:
    """A queued task with these labels; `running` are the hosts of workers."""
    busy = [a_running(number) for number in range(50, 50 + len(running))]
    task = a_task(1)
    attempts = {one.id: (replace(attempt, host=host),) for (one, attempt), host in zip(busy, running, strict=True)}
    policy = Policy(provider="command", max_workers=99, executor=executor, hosts=HOSTS if hosts is None else hosts)
    issues = {task.issue: an_issue(1, "rpi-auto", *labels), **{one.issue: an_issue(one.issue or 0) for one, _ in busy}}
    return a_snapshot(task, *[one for one, _ in busy], attempts=attempts, policy=policy, issues=issues, **more), task


def chosen(s: Snapshot, task: Task) -> str:
    """The host, or the code of the wait."""
    found = Berths(s).choose(task)
    return found.code if isinstance(found, Wait) else found


@pytest.mark.parametrize(("executor", "labels", "host"), [
    ("local", (), ""), ("ssh", (), "b"), ("slurm", (), SLURM),
    ("local", ("gpu",), "gpu"), ("ssh", ("gpu",), "gpu"), ("slurm", ("gpu",), "gpu"),
    ("local", ("big",), SLURM), ("ssh", ("big",), SLURM), ("local", ("other",), ""), ("ssh", ("big", "gpu"), SLURM),
])
def test_labels_go_before_where_tasks_run_at_all(executor: str, labels: tuple[str, ...], host: str) -> None:
    assert chosen(*world(executor=executor, labels=labels)) == host


def test_the_default_host_goes_before_one_with_more_room() -> None:
    hosts = {**HOSTS, "a": HostRules(slots=1, default=True)}
    assert chosen(*world(hosts=hosts)) == "a"
    assert chosen(*world("a", hosts=hosts)) == "b"


@pytest.mark.parametrize(("running", "host"), [
    ((), "b"), (("b",), "a"), (("a",), "b"), (("a", "b"), "b"), (("a", "b", "b", "gpu"), "host_full"),
    (("", "", "", ""), "b"), (("gpu",), "b"),
])
def test_the_host_with_most_room_is_taken_and_a_full_fleet_is_waited_for(running: tuple[str, ...], host: str) -> None:
    hosts = {name: one for name, one in HOSTS.items() if name != "gpu"}
    assert chosen(*world(*running, hosts={**hosts, "gpu": HostRules(slots=1)} if "gpu" in running else hosts)) == host


@pytest.mark.parametrize(("running", "away", "shut", "code"), [
    ((), ("a", "b"), (), "host_away"), (("a",), ("b",), (), "host_full"), (("b", "b"), ("a",), (), "host_full"),
    ((), ("a",), ("b",), "host_away"), ((), (), ("a", "b"), "host_gate"), (("a", "b", "b"), (), (), "host_full"),
    (("a",), (), ("b",), "host_full"), (("a",), ("a",), ("b",), "host_away"), ((), ("a",), (), "b"),
])
def test_a_wait_has_the_reason_that_ends_first_and_names_every_host(
    running: tuple[str, ...], away: tuple[str, ...], shut: tuple[str, ...], code: str
) -> None:
    hosts = {name: HOSTS[name] for name in ("a", "b")}
    s, task = world(*running, hosts=hosts)
    s = replace(s, hosts=dict.fromkeys(away, AWAY), shut_hosts=dict.fromkeys(shut, "its gate was not passed"))
    found = Berths(s).choose(task)
    assert (found.code if isinstance(found, Wait) else found) == code
    if isinstance(found, Wait):
        assert all(f"{name} " in found.words for name in hosts)
        assert found.moves


def test_who_asks_for_hosts_without_one_is_told_what_is_missing() -> None:
    for executor in ("ssh", SLURM):
        found = Berths(world(executor=executor, hosts={})[0]).choose(a_task(1))
        assert isinstance(found, Wait)
        assert (found.code, executor in found.words, bool(found.moves)) == ("host_none", True, True)


def test_a_worker_whose_end_is_not_certain_keeps_its_slot() -> None:
    s, task = world("a", hosts={"a": HostRules(slots=1)})
    ended = replace(s.tasks["gh-50"], state=TaskState.BACKOFF)
    free = replace(s, tasks={**s.tasks, "gh-50": ended})
    assert chosen(free, task) == "a"
    assert chosen(replace(free, survivors={"gh-50": (7,)}), task) == "host_full"


def test_what_is_begun_in_one_plan_fills_the_hosts_in_it() -> None:
    policy = Policy(provider="command", max_workers=99, executor="ssh",
                    hosts={"a": HostRules(slots=2), "b": HostRules(slots=1)})
    made = plan(a_snapshot(*[a_task(number) for number in range(1, 6)], policy=policy))
    assert sorted(one.host for one in made.actions if isinstance(one, Begin)) == ["a", "a", "b"]
    assert [wait.code for wait in made.waits.values()].count("host_full") == 2


def test_workers_are_counted_by_host() -> None:
    assert occupied(world("a", "b", "b", "", executor="local")[0]) == {"a": 1, "b": 2, "": 1}


NAMES = ("a", "b", "c", SLURM)
FLEETS = st.dictionaries(st.sampled_from(NAMES), st.builds(
    HostRules, slots=st.integers(0, 2), default=st.booleans(),
    labels=st.sampled_from([frozenset[str](), frozenset({"gpu"}), frozenset({"big"})])), max_size=4)
SOME = st.sets(st.sampled_from(NAMES))


@given(FLEETS, st.sampled_from(("local", "ssh", SLURM)), st.sets(st.sampled_from(("gpu", "big"))),
       st.lists(st.sampled_from(("", *NAMES)), max_size=5), SOME, SOME)
def test_no_host_takes_what_it_must_not(hosts: dict[str, HostRules], executor: str, labels: set[str],
                                        running: list[str], away: set[str], shut: set[str]) -> None:
    s, task = world(*running, executor=executor, labels=tuple(labels), hosts=hosts)
    s = replace(s, hosts=dict.fromkeys(away, AWAY), shut_hosts=dict.fromkeys(shut, "shut"))
    found = Berths(s).choose(task)
    meant = {name for name, host in hosts.items() if host.labels & labels}
    if isinstance(found, Wait):
        assert meant or executor != "local"
        assert found.code in {"host_full", "host_away", "host_gate", "host_none"}
        assert found.words
    elif found == "":
        assert executor == "local"
        assert not meant
    else:
        assert found not in away | shut
        assert running.count(found) < hosts[found].slots
        assert found in (meant or ({SLURM} if executor == SLURM else set(hosts) - {SLURM}))


# --- a worker that was given up ------------------------------------------------------------------------------


MET, STAYS, ENDING = HostState(met=True), HostState(NOW, "no answer"), HostState(met=True, ending=frozenset({"gh-1"}))


@pytest.mark.req("N2")
@pytest.mark.parametrize(("shared", "state", "launched", "answer"), [
    (False, None, True, "a"), (False, STAYS, True, "b"), (False, ENDING, True, "b"), (False, MET, True, "a"),
    (True, None, True, "host_away"), (True, STAYS, True, "host_away"), (True, ENDING, True, "host_ending"),
    (True, MET, True, "a"), (True, STAYS, False, "b"),
])
def test_who_was_given_up_where_our_files_are_seen_is_ended_before_another_begins_anywhere(
    shared: bool, state: HostState | None, launched: bool, answer: str
) -> None:
    s, task = world(hosts={"a": HostRules(1, default=True, shared=shared), "b": HostRules(1)})
    lost = an_attempt(host="a", reason="host_lost", ending=Ending.LOST, launched_at=NOW if launched else None)
    s = replace(s, attempts={"gh-1": (lost,)}, hosts={} if state is None else {"a": state})
    assert chosen(s, task) == answer


@pytest.mark.req("N2")
def test_where_a_worker_is_being_ended_its_task_does_not_begin_again_and_others_do() -> None:
    s, task = world(hosts={"a": HostRules(9)})
    s = replace(s, hosts={"a": ENDING})
    assert chosen(s, task) == "host_ending"
    assert chosen(s, a_task(2)) == "a"


def test_a_host_that_is_configured_no_more_is_waited_for_no_more() -> None:
    s, task = world(hosts={"b": HostRules(1)})
    lost = an_attempt(host="a", reason="host_lost", ending=Ending.LOST, launched_at=NOW)
    assert chosen(replace(s, attempts={"gh-1": (lost,)}), task) == "b"
