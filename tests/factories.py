"""Values for tests, each saying only what the test is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, PullRequest, PullState, Vet, fingerprint
from coordinator.domain.outcome import Ending, Evidence, Outcome, Work
from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.domain.worker import Beat, Running, Witness
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TOKEN = "0123456789abcdef0123456789abcdef"


def an_issue(number: int = 1, *labels: str, **changes: Any) -> Issue:
    """An open issue that carries the trigger label unless other labels are given."""
    known = frozenset(labels or ("rpi-auto",))
    plain = Issue(number, f"Title {number}", "", "open", known, "ann", f"https://github.test/issues/{number}",
                  NOW - timedelta(days=1), NOW - timedelta(hours=1))
    return replace(plain, **changes)


def a_vet(number: int = 1, **changes: Any) -> Vet:
    """Somebody with write permission set the label of `an_issue(number)`, whose words nobody changed since."""
    plain = Vet(number, NOW - timedelta(hours=1), 10, "ann", "write", (), labelled_at=NOW - timedelta(hours=1),
                sha256=fingerprint(f"Title {number}", ""))
    return replace(plain, **changes)


def a_vet_of(issue: Issue, **changes: Any) -> Vet:
    """The same of an issue as it stands."""
    words = fingerprint(issue.title, issue.body)
    return a_vet(issue.number, **{"issue_updated_at": issue.updated_at, "sha256": words, **changes})


def a_task(number: int = 1, state: TaskState = TaskState.QUEUED, **changes: Any) -> Task:
    plain = Task(
        id=f"gh-{number}", issue=number, pin=Pin(f"Title {number}", "", fingerprint(f"Title {number}", ""), 10, "ann"),
        branch=f"rpi/gh-{number}", created_at=NOW - timedelta(minutes=30) + timedelta(seconds=number),
        updated_at=NOW, state_since=NOW - timedelta(minutes=5), state=state, provider="command",
    )
    return replace(plain, **changes)


def an_attempt(number: int = 1, task: int = 1, **changes: Any) -> Attempt:
    plain = Attempt(f"gh-{task}", number, TOKEN, number, "w-012345", "command", "20260302120000",
                    NOW - timedelta(minutes=4))
    return replace(plain, **changes)


def a_running(task: int = 1, **changes: Any) -> tuple[Task, Attempt]:
    """A task in RUNNING with its attempt."""
    attempt = an_attempt(task=task, prepared_at=NOW, launched_at=NOW - timedelta(minutes=3), base_sha="b" * 40)
    return a_task(task, TaskState.RUNNING, attempts=1, worktree=f"trees/gh-{task}", **changes), attempt


def a_view(quiet: timedelta = timedelta(), *, ran: timedelta = timedelta(hours=2)) -> Running:
    """A worker that started `ran` ago and whose last sign of any kind is `quiet` old."""
    start, sign, at = (NOW - ran).timestamp(), (NOW - quiet).timestamp(), NOW.timestamp()
    witness = Witness(1.0, sign)
    return Running(100, start, Beat(at, start, Witness(5.0, sign), witness, witness, witness))


def a_pull(number: int = 7, state: PullState = PullState.OPEN, **changes: Any) -> PullRequest:
    plain = PullRequest(number, f"https://github.test/pull/{number}", state, False, "T", "bot", "rpi/gh-1", "h" * 40,
                        "acme", "main", NOW, NOW)
    return replace(plain, **changes)


def an_outcome(ending: Ending = Ending.SUCCEEDED, reason: str = "process_exit", **changes: Any) -> Outcome:
    return replace(Outcome(ending, reason), **changes)


def evidence(outcome: Outcome | None = None, *, commits: int = 1, **changes: Any) -> Evidence:
    """An attempt that ended well with one commit, unless said otherwise."""
    work = Work("b" * 40, ("h" if commits else "b") * 40, commits)
    return replace(Evidence(outcome or an_outcome(), work), **changes)


def a_request(kind: RequestKind, task: str = "gh-1", number: int = 1, **args: str) -> Request:
    return Request(number, kind, task, args, "cli", NOW)


def a_snapshot(*tasks: Task, **changes: Any) -> Snapshot:
    """These tasks, the time NOW, GitHub just polled; issues of the tasks are open, labelled and vetted."""
    issues = {task.issue: an_issue(task.issue) for task in tasks if task.issue is not None}
    plain = Snapshot(NOW, Policy(provider="command"), tasks={task.id: task for task in tasks}, issues=issues,
                     poll_due=False, listed_at=NOW, swept_at=NOW)
    made = replace(plain, **changes)
    vets = {task.issue: a_vet_of(made.issues[task.issue]) for task in tasks if task.issue in made.issues}
    return made if "vets" in changes else replace(made, vets=vets)
