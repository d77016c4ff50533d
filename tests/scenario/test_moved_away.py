"""What people do to the repository, the label, an issue or our branch behind the coordinator's back: what it says, what
it leaves alone, and how it goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from coordinator.adapters.github import GitHubClient
from coordinator.adapters.system.doctor import github_ready
from coordinator.ports import GitHub
from tests.support.stories import Later, completions, go, waiting
from tests.support.yard import BOT_TOKEN, Yard


def at_work(yard: Yard) -> int:
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING" and len(yard.comments(number)) == 1)
    return number


def said(yard: Yard, words: str) -> bool:
    return any(re.search(words, line) for line in yard.lines)


def set_name(yard: Yard, before: str, after: str) -> None:
    settings = yard.clone / "coordinator.toml"
    settings.write_text(settings.read_text().replace(before, after))


def client(yard: Yard, name: str) -> GitHub:
    return GitHubClient(name, token=lambda: BOT_TOKEN, api_url=yard.github.url, clock=yard.engine.world.clock)


# --- the repository -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["acme/gadgets", "megacorp/widgets"])
def test_a_renamed_or_transferred_repository_is_said_loses_nothing_and_goes_on_by_its_new_name(
    yard: Yard, later: Later, to: str
):
    number = at_work(yard)
    handle = yard.github.move_repository("acme/widgets", to)
    go(yard)
    yard.until(lambda: yard.state(number) == "PUBLISHING")
    yard.tick()

    words = r"it has moved \(HTTP 301\). The repository was renamed or transferred: set repository.name in coordinator"
    assert said(yard, words)
    assert re.search(words, json.loads(yard.read(".coordinator/board.json"))["github"]["words"])
    assert re.search(words, yard.plan.waits[f"gh-{number}"].words)
    asked = client(yard, "acme/widgets")
    [line] = list(github_ready(asked, asked.lacking, "acme/widgets", "rpi-auto", "GITHUB_TOKEN",
                               yard.engine.world.clock.now()))  # fmt: skip
    assert (line.level, bool(re.search("renamed or transferred", line.words))) == ("fail", True)
    assert handle.pulls() == []

    yard.close()
    set_name(yard, "acme/widgets", to)
    yard.repository = handle
    yard.start()
    task = yard.until_state(number, "IN_REVIEW")

    assert (task.attempts, len(handle.pulls()), completions(yard, number)) == (1, 1, 1)
    assert len([body for body in yard.comments(number) if ":status" in body]) == 1
    follower = yard.issue()
    yard.until_state(follower, "IN_REVIEW")


# --- the label ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [lambda ann: ann.rename_label("rpi-auto", "bot"),
                                 lambda ann: ann.delete_label("rpi-auto")], ids=["renamed", "deleted"])
def test_a_renamed_or_deleted_label_stops_nobody_and_is_said_until_it_is_named_anew(yard: Yard, act):
    (yard.clone / "STOP").touch()
    queued = yard.issue()
    yard.until(lambda: yard.state(queued) == "QUEUED")
    (yard.clone / "STOP").unlink()
    yard.ann.add_label(queued, "rpi-pause")
    number = at_work(yard)
    act(yard.ann)
    for one in (number, queued):
        yard.ann.comment(one, "any change at all")
    yard.ann.remove_label(queued, "rpi-pause")
    for _ in range(3):
        yard.tick()

    assert (yard.state(number), yard.state(queued)) == ("RUNNING", "QUEUED")
    assert said(yard, "the label rpi-auto is not in the repository any more")
    [gate] = json.loads(yard.read(".coordinator/board.json"))["gates"]
    assert (gate["code"], "labels.auto" in gate["cure"]) == ("label_gone", True)
    assert "was renamed or deleted" in yard.plan.waits[f"gh-{queued}"].words
    go(yard)
    yard.until_state(number, "IN_REVIEW")

    settings = yard.clone / "coordinator.toml"
    settings.write_text(settings.read_text() + '[labels]\nauto = "bot"\n')
    for one in (number, queued):   # a label that was renamed has no line in the history that names who set it
        if "bot" in yard.repository.issue(one).labels:
            yard.ann.remove_label(one, "bot")
        yard.ann.add_label(one, "bot")
    yard.close()
    yard.start()
    yard.until_state(queued, "IN_REVIEW")
    assert json.loads(yard.read(".coordinator/board.json"))["gates"] == []
    assert yard.task(number).attempts == 1


def test_a_label_that_one_person_takes_off_one_issue_stops_it_as_ever(yard: Yard):
    number = at_work(yard)
    yard.ann.remove_label(number, "rpi-auto")
    assert yard.until_state(number, "CANCELLED").reason == "label_removed"


# --- an issue -----------------------------------------------------------------------------------------


def transferred(yard: Yard, number: int) -> None:
    other = yard.github.add_repository("acme/elsewhere", {"README.md": "# elsewhere\n"})
    yard.ann.transfer(number, other)


def deleted(yard: Yard, number: int) -> None:
    yard.ann.delete_issue(number)


WAYS = (transferred, deleted)
Way = Callable[[Yard, int], None]


@pytest.mark.parametrize("away", WAYS)
def test_work_on_an_issue_that_went_away_meanwhile_is_still_published_once_and_the_silence_said(yard: Yard, away: Way):
    number = at_work(yard)
    away(yard, number)
    go(yard)

    task = yard.until_state(number, "IN_REVIEW")

    assert len(yard.repository.pulls()) == 1
    assert said(yard, f"gh-{number}: its issue is gone .*HTTP (301|307|404|410).*nothing more is said there")
    yard.github.forget_requests()
    for _ in range(3):
        yard.tick()
    assert not [one for one in yard.github.requests if f"/issues/{number}" in one.path], "it is not asked for ever"
    yard.ann.merge(task.pr_number or 0)
    yard.until_state(number, "DONE")


@pytest.mark.parametrize("away", WAYS)
def test_a_task_whose_issue_went_away_before_it_started_is_cancelled_with_words(yard: Yard, away: Way):
    (yard.clone / "STOP").touch()
    number = yard.issue()
    yard.until(lambda: yard.state(number) == "QUEUED")
    away(yard, number)
    yard.engine.memory.listed_at = None   # the daily look at everything
    yard.tick()
    (yard.clone / "STOP").unlink()

    task = yard.until_state(number, "CANCELLED")

    assert (task.reason, task.attempts) == ("issue_closed", 0)


@pytest.mark.parametrize("away", WAYS)
def test_a_worker_that_fails_on_an_issue_that_went_away_is_not_tried_again_for_nobody(yard: Yard, away: Way):
    number = yard.issue(script=f"while not os.path.exists({str(yard.folder / 'go')!r}): time.sleep(0.05)\nsys.exit(3)")
    yard.until(lambda: yard.state(number) == "RUNNING" and len(yard.comments(number)) == 1)
    away(yard, number)
    go(yard)

    task = yard.until_state(number, "CANCELLED", "BLOCKED")

    assert (task.attempts, task.state, task.detail) == (1, "CANCELLED", "the issue was moved away or deleted")


@pytest.mark.parametrize("away", WAYS)
def test_a_blocked_task_whose_issue_went_away_rests(yard: Yard, away: Way):
    number = yard.issue(script="result()")
    yard.until_state(number, "FAILED")
    away(yard, number)
    yard.engine.memory.listed_at = None
    for _ in range(3):
        yard.tick()
    assert (yard.state(number), yard.task(number).attempts) == ("FAILED", 1)


def test_a_repository_that_is_not_visible_for_a_while_loses_no_issue(yard: Yard, later: Later):
    """404 on everything: what an issue's own address says counts only where the repository itself answers."""
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING")
    yard.github.intercept = lambda _method, path: (404, {}, {"message": "Not Found"}) if "/repos/" in path else None
    for _ in range(3):
        yard.tick(poll=False)
    yard.github.intercept = None
    later(40)
    go(yard)

    yard.until_state(number, "IN_REVIEW")

    assert not said(yard, "its issue is gone")
    assert completions(yard, number) == 1


# --- our branch ---------------------------------------------------------------------------------------


def test_a_branch_that_a_person_rewrote_is_never_overwritten_and_the_work_waits_with_words(yard: Yard):
    number = yard.issue(script="commit(text=str(attempt)); result()")
    task = yard.until_state(number, "IN_REVIEW")
    theirs = yard.ann.force(task.branch, {"theirs.txt": "a person's own\n"}, "Rewritten by hand")
    yard.ann.close_pull(task.pr_number or 0)
    yard.until_state(number, "BLOCKED")
    yard.ann.remove_label(number, "rpi-auto")
    yard.ann.add_label(number, "rpi-auto")
    yard.until(lambda: yard.task(number).attempts == 2)

    task = yard.until_state(number, "BLOCKED")

    assert yard.repository.branch(task.branch) == theirs
    assert task.reason == "foreign_worktree"
    assert re.search(f"branch {task.branch} on the remote is at {theirs[:8]}, which does not contain", task.detail)
    yard.until(lambda: any("does not contain" in body for body in yard.comments(number)))


def test_a_branch_that_a_person_rewrote_while_the_worker_ran_is_never_overwritten(yard: Yard):
    number = at_work(yard)
    branch = yard.task(number).branch
    theirs = yard.ann.force(branch, {"theirs.txt": "a person's own\n"}, "Mine first")
    go(yard)

    task = yard.until_state(number, "BLOCKED")

    assert yard.repository.branch(branch) == theirs
    assert (task.reason, yard.repository.pulls()) == ("push_refused", [])
    assert yard.git("rev-parse", branch) != theirs
    yard.until(lambda: any("⏰ Blocked" in body for body in yard.comments(number)))


def test_a_branch_that_a_person_deleted_while_the_worker_ran_is_pushed_with_all_its_work(yard: Yard):
    number = yard.issue(script=f"commit(text=str(attempt))\nif attempt == 1: sys.exit(3)\n{waiting(yard)[9:]}")
    yard.until(lambda: yard.task(number).attempts == 2 and yard.state(number) == "RUNNING")
    branch = yard.task(number).branch
    if yard.repository.branch(branch) is not None:
        yard.ann.delete_branch(branch)
    go(yard)

    task = yard.until_state(number, "IN_REVIEW")

    assert yard.repository.branch(branch) == task.pushed_sha
    assert len(yard.repository.messages(branch)) == 2
