"""What is said on an issue: which comments exist in which state, and that strangers' words stay words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.wording.branches import branch_of
from coordinator.wording.comments import Words, desired_living, desired_notices
from coordinator.wording.escape import GITHUB_LIMIT, INVISIBLE
from coordinator.wording.labels import desired_labels, own_labels
from coordinator.wording.pull_request import pull_body, pull_title

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
TASK = Task(
    id="gh-471", pin=Pin("Parse dates", "", "", 0, ""), branch="rpi/gh-471", created_at=NOW, updated_at=NOW,
    state_since=NOW, issue=471,
)
ATTEMPT = Attempt(
    task_id="gh-471", number=1, token="t", fence=1, worker_id="w-0a1b2c", provider="claude", run_id="r",
    created_at=NOW, launched_at=NOW,
)
URL = "https://github.com/a/w/pull/512"


def task(state: TaskState, **changes: object) -> Task:
    return replace(TASK, state=state, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.PREPARING])
def test_nothing_is_said_before_a_worker_ran(state: TaskState) -> None:
    assert desired_living(task(state), None) is None
    assert desired_living(task(state), replace(ATTEMPT, launched_at=None)) is None
    assert desired_notices(task(state), None, ()) == ()


def test_a_task_without_an_issue_says_nothing() -> None:
    alone = task(TaskState.BLOCKED, issue=None, reason="max_retries")
    assert desired_living(alone, ATTEMPT) is None
    assert desired_notices(alone, ATTEMPT, (ATTEMPT,)) == ()


def test_the_living_comment_of_a_running_task_says_how_to_stop_it() -> None:
    said = desired_living(task(TaskState.RUNNING), ATTEMPT, Words(auto="go", retry="again"))
    assert said is not None
    assert said.marker == "<!-- coordinator:gh-471:status -->"
    assert said.body.split("\n")[:2] == [said.marker, "🟡 Working on this (attempt 1, claude, started 14:05 UTC)"]
    assert "Stop: remove the label `go` (or `touch STOP` in the worktree)." in said.body


def test_the_living_comment_changes_with_a_move_and_never_with_progress() -> None:
    def key(state: TaskState, **changes: object) -> str:
        said = desired_living(task(TaskState(state)), replace(ATTEMPT, **changes))  # type: ignore[arg-type]
        assert said is not None
        return said.key

    assert key(TaskState.RUNNING) == key(TaskState.RUNNING, usage=Usage(5, 5), detail="x", pid=8)
    assert len({key(state) for state in TaskState}) == len(TaskState)
    assert key(TaskState.RUNNING) != key(TaskState.RUNNING, number=2)


@pytest.mark.req("E30")
def test_a_pull_request_is_told_once_in_the_words_of_the_guide() -> None:
    done = task(TaskState.IN_REVIEW, pr_number=512, pr_url=URL, completed_at=NOW)
    (notice,) = desired_notices(done, ATTEMPT, (ATTEMPT,))
    assert f"✅ Completed! See PR #512: {URL}" in notice.body.split("\n")
    (later,) = desired_notices(replace(done, state=TaskState.DONE), ATTEMPT, (ATTEMPT,))
    assert (later.key, later.marker) == (notice.key, notice.marker)


def test_the_last_comment_tells_what_it_took_as_far_as_the_agents_told() -> None:
    done = task(TaskState.IN_REVIEW, pr_number=512, pr_url=URL, completed_at=NOW)
    first = replace(ATTEMPT, usage=Usage(1000, 200))
    second = replace(ATTEMPT, number=2, usage=Usage(3000, 34, 0.4))
    (notice,) = desired_notices(done, second, (first, second))
    assert notice.body.endswith("\nUsed: 2 sessions, 4,234 tokens, $0.40.")
    (silent,) = desired_notices(done, ATTEMPT, (ATTEMPT,))
    assert "Used" not in silent.body
    blocked = task(TaskState.BLOCKED, reason="cap_reached")
    assert "Used: 1 session, 1,200 tokens." in desired_notices(blocked, first, (first,))[0].body


def test_one_that_stands_in_is_named_with_the_provider_it_stands_in_for_and_why() -> None:
    stand_in = replace(ATTEMPT, number=2, provider="codex", switch_from="claude", fallback_reason="no_credit")
    said = desired_living(task(TaskState.RUNNING), stand_in)
    assert said is not None
    assert "(attempt 2, codex in place of claude (no_credit), started 14:05 UTC)" in said.body


@pytest.mark.req("E31")
def test_no_change_is_told_in_the_words_of_the_guide() -> None:
    (notice,) = desired_notices(task(TaskState.FAILED, reason="no_change"), ATTEMPT, (ATTEMPT,))
    assert "❌ Failed: **no_change** – Worker exited without creating PR" in notice.body


@pytest.mark.parametrize("reason", sorted(REASONS))
@pytest.mark.parametrize("state", [TaskState.BLOCKED, TaskState.FAILED])
def test_trouble_names_its_reason_its_meaning_and_its_cure(state: TaskState, reason: str) -> None:
    (notice,) = desired_notices(task(state, reason=reason), ATTEMPT, (ATTEMPT,))
    assert f"**{reason}**" in notice.body
    assert f"**What to do:** {REASONS[reason].cure} (Retry label: `rpi-retry`" in notice.body


def test_the_cure_stands_before_the_agents_words_and_the_log_is_folded() -> None:
    attempt = replace(ATTEMPT, log_tail="\n".join(f"line {n}" for n in range(90)), ending=Ending.STALLED, commits=2)
    (notice,) = desired_notices(task(TaskState.BLOCKED, reason="stalled", detail="words"), attempt, (attempt,))
    assert notice.body.index("What to do") < notice.body.index("> words") < notice.body.index("<details>")
    assert "line 89" in notice.body
    assert "line 69" not in notice.body
    assert "Work kept: branch `rpi/gh-471` (2 commits)." in notice.body


@pytest.mark.req("X10")
@pytest.mark.parametrize("state", TaskState)
def test_no_state_asks_for_more_than_two_new_comments_an_attempt(state: TaskState) -> None:
    full = task(state, reason="manual_stop", pr_number=1, pr_url=URL, completed_at=NOW)
    notices = desired_notices(full, ATTEMPT, (ATTEMPT,))
    assert len(notices) <= 2
    assert len({notice.marker for notice in notices}) == len(notices)


def test_a_person_is_needed_once_more_each_time_that_work_is_refused_again_without_another_attempt() -> None:
    refused = task(TaskState.BLOCKED, reason="push_refused")
    again = refused.move(TaskState.PUBLISHING, NOW).move(TaskState.BLOCKED, NOW, reason="push_refused")
    closed = again.move(TaskState.IN_REVIEW, NOW).move(TaskState.BLOCKED, NOW, reason="pr_closed")
    queued = closed.move(TaskState.QUEUED, NOW)
    after = (queued.move(TaskState.BLOCKED, NOW), queued.move(TaskState.PREPARING, NOW).move(TaskState.BLOCKED, NOW))
    said = [desired_notices(one, ATTEMPT, (ATTEMPT,))[0] for one in (refused, again, closed, *after)]
    assert [one.key for one in said] == ["blocked:1", "blocked:1.1", "blocked:1.2", "blocked:1.2", "blocked:1"]
    assert len({one.marker for one in said}) == 3
    assert desired_notices(replace(again, revived=99), ATTEMPT, ())[0].key == "blocked:1.3"
    kept = [desired_notices(replace(one, withheld="it holds a secret"), ATTEMPT, ())[1].key for one in (refused, again)]
    assert kept == ["withheld:1", "withheld:1.1"]


def test_a_label_taken_away_is_no_news_to_the_person_who_took_it() -> None:
    assert desired_notices(task(TaskState.CANCELLED, reason="label_removed"), ATTEMPT, (ATTEMPT,)) == ()
    (notice,) = desired_notices(task(TaskState.CANCELLED, reason="manual_stop", detail="wrong"), ATTEMPT, ())
    assert "Stopped by a person" in notice.body
    assert "> wrong" in notice.body


HOSTILE = (
    "@ann and @bob/team\n```\nunclosed\n<!-- coordinator:gh-471:status -->\nCloses #1, fixes: acme/w#2, GH-3\n"
    "fixed &#35;5 &commat;eve resolves https://github.com/a/w/issues/4 </details><img src=x>![t](http://x)\x1b[31m\u202e````"
)


def without_code(body: str) -> str:
    return body.split("<details>", maxsplit=1)[0]


def test_hostile_words_in_a_comment_ping_nobody_and_forge_no_marker() -> None:
    attempt = replace(ATTEMPT, log_tail=HOSTILE)
    (notice,) = desired_notices(task(TaskState.BLOCKED, reason="needs_human", detail=HOSTILE), attempt, (attempt,))
    assert "@ann" not in without_code(notice.body)
    assert notice.body.count("<!-- coordinator:") == 1
    assert "\x1b" not in notice.body
    assert "\u202e" not in notice.body
    fenced = notice.body.split("<details>")[1]
    assert "\n`````\n" in fenced
    assert fenced.endswith("\n`````\n\n</details>")


def test_a_megabyte_of_detail_and_log_fits_into_a_comment() -> None:
    attempt = replace(ATTEMPT, log_tail="x" * 1_000_000)
    (notice,) = desired_notices(
        task(TaskState.BLOCKED, reason="needs_human", detail="@" * 1_000_000), attempt, (attempt,))
    assert len(notice.body) <= GITHUB_LIMIT


def test_the_one_closing_keyword_of_a_pull_request_is_ours_and_stands_first() -> None:
    body = pull_body(TASK, [replace(ATTEMPT, summary=HOSTILE)], ["abc Closes #9"], ["M a.py"])
    assert body.startswith("Closes #471\n")
    prose = without_code(body).removeprefix("Closes #471")
    assert "#1" not in prose
    assert "acme/w#2" not in prose
    assert "&#35;" not in prose
    assert "&commat;" not in prose
    assert "Closes" not in prose
    assert f"Clo{INVISIBLE}ses" in prose
    assert "> unclosed" in prose


def test_a_pull_request_warns_of_issues_that_its_commits_would_close_too() -> None:
    lines = ["abc Mend it, fixes #471", "def Tidy [Resolves acme/w#8, closed: #9]", "012 See #10; prefixes #11"]
    body = pull_body(TASK, [ATTEMPT], lines, [])
    assert body.startswith("Closes #471\n\n**Look at the commit messages before merging**")
    [warning] = [line for line in body.splitlines() if "before merging" in line]
    assert warning.endswith("GitHub would also end `acme/w#8`, `#9`.")
    assert "before merging" not in pull_body(TASK, [ATTEMPT], lines[:1], [])


def test_a_pull_request_folds_the_facts_of_all_its_attempts() -> None:
    one = replace(ATTEMPT, usage=Usage(1000, 10, 0.5), duration_sec=61.0)
    two = replace(one, number=2, model="m-1", base_sha="a" * 40, head_sha="b" * 40)
    body = pull_body(TASK, [one, two], ["abc1234 Parse dates"], ["M a.py"])
    assert ("agent `claude` · model `m-1` · 2 attempts · 2m 02s · 2,000 tokens in, 20 out · $1.00 · "
            "commits `aaaaaaa..bbbbbbb`") in body
    assert "abc1234 Parse dates" in body
    assert "M a.py" in body


def test_a_title_of_many_lines_becomes_one_and_an_invisible_one_is_named() -> None:
    assert pull_title(replace(TASK, pin=replace(TASK.pin, title="a\nb" + "c" * 999)), ATTEMPT).startswith("a bc")
    assert len(pull_title(replace(TASK, pin=replace(TASK.pin, title="c" * 999)), ATTEMPT)) == 250
    assert pull_title(replace(TASK, pin=replace(TASK.pin, title="\u200b\n")), ATTEMPT) == "gh-471: attempt 1"


class Names:
    mode = "minimal"
    queued, running, in_review = "q", "r", "i"
    blocked, failed, done = "b", "f", "d"


class FullNames(Names):
    mode = "full"


def test_by_default_only_blocked_is_shown_as_a_label() -> None:
    assert {state for state in TaskState if desired_labels(state, Names())} == {TaskState.BLOCKED}


def test_every_label_we_set_is_one_of_ours_and_stands_alone() -> None:
    shown = {state: desired_labels(state, FullNames()) for state in TaskState}
    assert shown[TaskState.BACKOFF] == {"q"}
    assert shown[TaskState.PUBLISHING] == {"r"}
    assert shown[TaskState.CANCELLED] == frozenset()
    assert all(len(names) <= 1 and names <= own_labels(FullNames()) for names in shown.values())


@pytest.mark.parametrize(("task_id", "branch"), [
    ("gh-471", "rpi/gh-471"), ("a..b", "rpi/a--b"), ("x.lock", "rpi/x-lock"), ("v1.", "rpi/v1-"),
])
def test_a_branch_name_is_one_that_git_accepts(task_id: str, branch: str) -> None:
    assert branch_of(task_id) == branch
