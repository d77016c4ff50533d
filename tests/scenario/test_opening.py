"""A pull request that GitHub would not open: what passes is waited for, what lasts is told."""

from __future__ import annotations

from typing import Any

from coordinator.engine.effects.publishing import SETTLES
from tests.scenario.test_held_back import WORKFLOW, allow, only_pull
from tests.scenario.test_plans import a_plan, a_task
from tests.support.running import command
from tests.support.stories import Later
from tests.support.yard import Yard

LAGS = {"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest/pulls/pulls",
        "errors": [{"resource": "PullRequest", "field": "head", "code": "invalid"}]}


def opening(yard: Yard, answer: tuple[int, dict[str, str], Any]) -> None:
    """GitHub answers so whenever a pull request is to be opened."""
    yard.github.intercept = lambda method, path: answer if (method, path[-6:]) == ("POST", "/pulls") else None


def test_a_push_that_not_all_servers_know_yet_is_waited_for(yard: Yard) -> None:
    opening(yard, (422, {}, LAGS))
    number = yard.issue()
    yard.until(lambda: any("PullRequest head invalid" in line for line in yard.lines))
    assert yard.state(number) == "PUBLISHING"
    yard.github.intercept = None
    task = yard.until_state(number, "IN_REVIEW")
    assert (task.attempts, len(yard.repository.pulls())) == (1, 1)


def test_a_refusal_that_stays_long_after_the_push_is_a_person_s_affair(yard: Yard, later: Later) -> None:
    opening(yard, (422, {}, LAGS))
    number = yard.issue()
    yard.until(lambda: any("PullRequest head invalid" in line for line in yard.lines))
    later(SETTLES.total_seconds())
    assert yard.until_state(number, "BLOCKED").reason == "pr_refused"


def test_where_there_are_no_drafts_unfinished_work_is_proposed_with_words_in_their_place(yard: Yard) -> None:
    yard.repository.state.drafts = False
    number = yard.issue(script="write('left.txt', 'x'); result()")   # uncommitted: a draft
    task = yard.until_state(number, "IN_REVIEW")
    pull = only_pull(yard)
    assert (pull.the_pull().draft, task.pr_draft) == (False, False)
    assert "**Would be a draft**" in (pull.body or "")
    assert "**Draft**" not in (pull.body or "")


def test_where_there_are_no_drafts_protected_files_wait_for_a_person(yard: Yard) -> None:
    yard.repository.state.drafts = False
    number = yard.issue(script=WORKFLOW + "result()")
    task = yard.until_state(number, "BLOCKED")
    assert (task.reason, yard.repository.pulls()) == ("protected_path", [])
    assert "Draft pull requests are not supported" in task.detail

    allow(yard, number)

    yard.until_state(number, "IN_REVIEW")
    pull = only_pull(yard)
    assert (pull.the_pull().draft, "rpi:protected" in pull.labels) == (False, True)
    assert "it changes protected files: `.github/workflows/ci.yml`" in (pull.body or "")
    assert not any("could not be flagged" in line for line in yard.lines)


def test_a_plan_is_delivered_though_its_push_is_not_known_everywhere_at_once(yard: Yard) -> None:
    plan = a_plan(yard, a_task("T1"))
    yard.close()
    late = iter([(422, {}, LAGS)])
    yard.github.intercept = lambda method, path: next(late, None) if (method, path[-6:]) == ("POST", "/pulls") else None
    done = command(yard, "plan", "run", plan)
    yard.start()
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("PullRequest head invalid" in done.stdout + done.stderr, len(yard.repository.pulls())) == (True, 1)
