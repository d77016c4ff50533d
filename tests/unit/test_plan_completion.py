"""What an ended attempt means for its task: the rows of docs/completion.md, one case each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import PullRequest, PullState
from coordinator.domain.outcome import Ending, Evidence, Outcome, Work
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import MOVES, Task, TaskState
from coordinator.planning.actions import Publish, Push
from coordinator.planning.completion import Course, choose_pull, failure, settle
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from tests.factories import NOW, a_pull, a_running, a_snapshot, an_outcome, evidence

DOC = Path(__file__).resolve().parents[2] / "docs" / "completion.md"
HEAD, BASE, OLDER = "h" * 40, "b" * 40, "o" * 40
BEFORE, DURING = NOW - timedelta(hours=2), NOW - timedelta(minutes=1)
OPEN, MERGED, CLOSED = PullState.OPEN, PullState.MERGED, PullState.CLOSED

GOOD = an_outcome()
BAD = an_outcome(Ending.FAILED, detail="exit 1")
SILENT = an_outcome(Ending.FAILED, "command_protocol_error")
LOST = an_outcome(Ending.LOST, "lost")
LATE = an_outcome(Ending.TIMED_OUT, "max_runtime")
STOPPED = an_outcome(Ending.CANCELLED, "manual_stop")
LIMITED = an_outcome(Ending.FAILED, "command_usage_limited")

NONE = Work(BASE, BASE, 0)
NEW = Work(BASE, HEAD, 1)
PUSHED = Work(BASE, HEAD, 1, pushed=True)


@dataclass(frozen=True)
class Case:
    """`of_branch` and `elsewhere` are GitHub's two answers; `task` and `attempt` what differs from a first run."""

    row: str
    name: str
    outcome: Outcome
    work: Work
    then: str
    of_branch: tuple[PullRequest, ...] = ()
    elsewhere: tuple[PullRequest, ...] = ()
    more: dict[str, Any] | None = None
    task: dict[str, Any] | None = None
    attempt: dict[str, Any] | None = None


def mine(state: PullState = OPEN, number: int = 7, **changes: Any) -> PullRequest:
    return a_pull(number, state, **{"created_at": DURING, "head_sha": HEAD, **changes})


def other(state: PullState) -> PullRequest:
    return mine(state, 8, head_ref="fix-the-thing")


SPENT = {"retries_used": 1}
OLD = {"created_at": BEFORE, "head_sha": OLDER}
CASES = (
    Case("R1", "new-work", GOOD, NEW, "push, open → IN_REVIEW"),
    Case("R2", "pushed-already", GOOD, PUSHED, "open → IN_REVIEW"),
    Case("R3", "agent-opened-it", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(),)),
    Case("R4", "agent-opened-a-draft", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(draft=True),)),
    Case("R5", "rework-of-an-open-one", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(**OLD),)),
    Case("R6", "opened-by-a-person", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(author="ann"),)),
    Case("R7", "two-open", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(number=9), mine())),
    Case("R8", "on-another-branch", GOOD, PUSHED, "adopt #8 → IN_REVIEW", (), (other(OPEN),)),
    Case("R9", "merged-on-another-branch", GOOD, PUSHED, "merged #8 → DONE", (), (other(MERGED),)),
    Case("R10", "squash-merged-branch-deleted", GOOD, PUSHED, "merged #7 → DONE", (mine(MERGED, head_owner=""),)),
    Case("R11", "new-work-after-a-merge", GOOD, NEW, "push, open → IN_REVIEW", (mine(MERGED, **OLD),)),
    Case("R12", "closed-at-this-commit", GOOD, PUSHED, "closed #7 → BLOCKED", (mine(CLOSED),)),
    Case("R13", "new-work-after-a-close", GOOD, NEW, "push, open → IN_REVIEW", (mine(CLOSED, **OLD),)),
    Case("R14", "open-beats-closed", GOOD, NEW, "push, adopt #7 → IN_REVIEW", (mine(CLOSED, 6), mine())),
    Case("R15", "nothing-done", GOOD, NONE, "FAILED no_change"),
    Case("R16", "nothing-to-add", GOOD, PUSHED, "adopt #7 → IN_REVIEW", (mine(created_at=BEFORE),)),
    Case("R17", "nothing-done-after-a-close", GOOD, NONE, "FAILED no_change", (mine(CLOSED, head_sha=BASE),)),
    Case("R18", "forgot-to-commit", GOOD, NEW, "push, open draft → IN_REVIEW", more={"swept_up": True}),
    Case("R19", "asked-a-person", GOOD, NEW, "BLOCKED needs_human, keep", more={"blocked_note": "Which one?"}),
    Case("R20", "bad-end", BAD, NEW, "BACKOFF process_exit"),
    Case("R21", "bad-end-again", BAD, NEW, "BLOCKED max_retries, keep", task=SPENT),
    Case("R22", "bad-end-but-opened-it", BAD, PUSHED, "adopt #7 → IN_REVIEW", (mine(),)),
    Case("R23", "bad-end-on-an-old-one", BAD, NEW, "BACKOFF process_exit", (mine(**OLD),)),
    Case("R24", "no-result", SILENT, NONE, "BACKOFF command_protocol_error"),
    Case("R25", "no-result-but-opened-it", SILENT, PUSHED, "adopt #7 → IN_REVIEW", (mine(),)),
    Case("R26", "no-result-but-merged", SILENT, PUSHED, "merged #7 → DONE", (mine(MERGED),)),
    Case("R27", "vanished", LOST, NEW, "BACKOFF lost"),
    Case("R28", "time-limit", LATE, NEW, "BLOCKED max_retries, keep", task=SPENT),
    Case("R29", "stopped-by-a-person", STOPPED, NEW, "CANCELLED manual_stop, keep"),
    Case("R30", "stopped-with-one-open", STOPPED, NEW, "CANCELLED manual_stop, keep", (mine(),)),
    Case("R31", "paused", STOPPED, NEW, "QUEUED paused", attempt={"stop_by": "pause", "stop_reason": "paused"}),
    Case("R32", "limit-of-the-provider", LIMITED, NONE, "QUEUED command_usage_limited"),
)


def ended(case: Case) -> tuple[Task, Attempt, Evidence]:
    task, attempt = a_running(**(case.task or {}))
    task = replace(task, pushed_sha=HEAD if case.work.pushed else "")
    attempt = replace(attempt, **{"head_sha": case.work.head_sha, "commits": case.work.commits,
                                  **(case.attempt or {})})
    seen = Evidence(case.outcome, case.work, case.of_branch, case.elsewhere, **(case.more or {}))
    return task, attempt, seen


def what_happens(case: Case) -> str:
    """Settles, then follows the plan to the pull request, in the words of the document."""
    task, attempt, seen = ended(case)
    settlement = settle(task, attempt, seen, Policy(provider="command"), NOW)
    task = replace(task.move(settlement.to, NOW, reason=settlement.reason), pr_draft=settlement.draft)
    steps = []
    [*pushes] = pushed(task, attempt)
    if settlement.to is not TaskState.PUBLISHING:
        return f"{task.state} {task.reason}" + (", keep" if pushes else "")
    if pushes:
        assert not pushes[0].wip
        steps.append("push")
        task = replace(task, pushed_sha=attempt.head_sha)
    assert [type(one) for one in plan(a_snapshot(task, attempts={task.id: (attempt,)})).actions] == [Publish]
    choice = choose_pull(task.branch, attempt.head_sha, case.of_branch, case.elsewhere)
    if choice.pull is None:
        steps.append("open draft" if task.pr_draft else "open")
    else:
        steps.append(f"{choice.course} #{choice.pull.number}")
    to = {Course.OPEN: "IN_REVIEW", Course.ADOPT: "IN_REVIEW", Course.MERGED: "DONE", Course.CLOSED: "BLOCKED"}
    return f"{', '.join(steps)} → {to[choice.course]}"


def pushed(task: Task, attempt: Attempt) -> list[Push]:
    made = plan(a_snapshot(task, attempts={task.id: (attempt,)}))
    return [action for action in made.actions if isinstance(action, Push)]


@pytest.mark.req("N10", "E29", "F9", "P56", "X2", "X9", "W11")
@pytest.mark.parametrize("case", CASES, ids=[f"{case.row}-{case.name}" for case in CASES])
def test_each_way_an_attempt_can_end_has_its_row(case):
    assert what_happens(case) == case.then


@pytest.mark.req("N10")
def test_the_document_has_exactly_these_rows():
    row = re.compile(r"\| (R\d+) \| ([\w-]+) \|.*\| ([^|]+) \|$", re.MULTILINE)
    assert row.findall(DOC.read_text("utf-8")) == [(case.row, case.name, case.then) for case in CASES]


def test_every_combination_is_settled_by_a_legal_move():
    reasons = ("process_exit", "no_credit", "command_usage_limited", "host_reboot", "merge_conflict")
    works = (None, NONE, NEW, PUSHED)
    pulls = ((), (mine(),), (mine(MERGED),), (mine(CLOSED),), (mine(CLOSED, **OLD), mine()))
    for ending, reason, work, of_branch, used in product(Ending, reasons, works, pulls, (0, 1)):
        task, attempt = a_running(retries_used=used)
        seen = Evidence(Outcome(ending, reason), work, of_branch)
        settlement = settle(task, attempt, seen, Policy(), NOW)
        assert settlement.to in MOVES[TaskState.RUNNING]
        assert settlement.reason in REASONS


@pytest.mark.req("E28")
def test_the_pull_request_is_looked_up_by_head_branch_in_every_state():
    strange = mine(head_ref="another", number=3)
    assert choose_pull("rpi/gh-1", HEAD, (strange,), ()).course is Course.OPEN
    for state, course in ((OPEN, Course.ADOPT), (MERGED, Course.MERGED), (CLOSED, Course.CLOSED)):
        choice = choose_pull("rpi/gh-1", HEAD, (strange, mine(state)), ())
        assert (choice.course, choice.pull and choice.pull.url) == (course, mine().url)


def test_of_two_open_ones_the_other_is_named():
    assert choose_pull("rpi/gh-1", HEAD, (mine(number=9), mine()), ()).words == (
        "#7 stands on the branch; #9 is open for it too")


# --- after a failure --------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "used", "to", "charged"), [
    ("process_exit", 0, "BACKOFF", True),
    ("process_exit", 1, "BLOCKED", False),
    ("host_reboot", 9, "BACKOFF", False),
    ("merge_conflict", 0, "BLOCKED", False),
    ("claude_auth_missing", 0, "BLOCKED", False),
    ("claude_rate_limited", 9, "QUEUED", False),
])
def test_a_failure_is_tried_again_charged_or_given_to_a_person(reason, used, to, charged):
    task, attempt = a_running(retries_used=used)
    settlement = failure(task, attempt, reason, "words", Policy(), NOW)
    assert (str(settlement.to), settlement.charged) == (to, charged)
    assert (settlement.retry_at is not None) == (to == "BACKOFF")


def test_without_retries_the_reason_says_that_they_are_switched_off():
    task, attempt = a_running()
    settlement = failure(task, attempt, "stalled", "quiet for 20m", Policy(retry_max=0), NOW)
    assert (settlement.reason, settlement.detail) == ("no_auto_restart", "stalled: quiet for 20m")


def test_the_pauses_grow_are_capped_and_are_spread_by_the_token():
    policy = Policy(backoff=timedelta(seconds=60), backoff_max=timedelta(minutes=30))
    for tries, middle in ((0, 60), (1, 120), (4, 960), (5, 1800), (40, 1800)):
        spread = {policy.retry_at(NOW, tries, seed) - NOW for seed in ("00000000", "7fffffff", "ffffffff")}
        assert min(spread) == timedelta(seconds=middle * 0.8)
        assert max(spread) == timedelta(seconds=middle * 1.2)
        assert len(spread) == 3


@pytest.mark.parametrize(("reset_at", "until"), [
    (None, NOW + timedelta(minutes=5)),
    ((NOW + timedelta(hours=3)).timestamp(), NOW + timedelta(hours=3)),
    ((NOW - timedelta(hours=3)).timestamp(), NOW + timedelta(minutes=5)),
])
def test_a_provider_is_parked_until_its_limit_ends_and_no_retry_is_used(reset_at, until):
    task, attempt = a_running(retries_used=1)
    limited = an_outcome(Ending.FAILED, "claude_usage_limited", reset_at=reset_at)
    settlement = settle(task, attempt, evidence(limited), Policy(), NOW)
    assert (settlement.to, settlement.park_until, settlement.charged) == (TaskState.QUEUED, until, False)


@pytest.mark.parametrize(("note", "words", "detail"), [
    ("Wrong branch.\n", "stopped", "Wrong branch."),
    ("", "stopped from the phone", "stopped from the phone"),
])
def test_the_stop_file_says_why_before_the_order_does(note, words, detail):
    task, attempt = a_running()
    attempt = replace(attempt, stop_by="request", stop_reason="manual_stop", stop_words=words)
    seen = evidence(STOPPED, stop_note=note)
    assert settle(task, attempt, seen, Policy(), NOW).detail == detail
