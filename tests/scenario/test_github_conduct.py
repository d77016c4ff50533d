"""How we behave towards GitHub: few questions, none missed, patience when it refuses, and no work lost by it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from coordinator.engine.daemon import Daemon
from tests.support.description import check_all
from tests.support.stories import Later, completions, go, waiting
from tests.support.yard import BOT, BOT_TOKEN, Yard, a_yard

IDLE = "304 GET /issues"


def asked(yard: Yard) -> list[str]:
    """What was asked since the last time, held against the description first."""
    exchanges = yard.github.requests
    check_all(exchanges)
    yard.github.forget_requests()
    return [f"{one.status} {one.method} {one.path.removeprefix('/repos/acme/widgets')}" for one in exchanges]


def used(yard: Yard) -> int:
    return yard.github.limits.window(BOT, time.time()).used


def settled(yard: Yard) -> None:
    """Until a tick brings no news."""
    yard.until(lambda: asked(yard)[-1:] in ([IDLE], ["304 GET /pulls"]) and not yard.engine.busy)


def at_work(yard: Yard) -> int:
    """An issue whose worker has committed and waits for `go`."""
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: (yard.worktree(number) / f"gh-{number}.txt").exists() and yard.state(number) == "RUNNING")
    yard.until(lambda: bool(yard.comments(number)))
    return number


def board(yard: Yard) -> dict:
    return json.loads(yard.read(".coordinator/board.json"))


# --- few questions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [1, 12])
def test_an_idle_tick_is_one_304_that_costs_nothing_however_many_tasks_there_are(yard: Yard, tasks: int):
    (yard.clone / "STOP").touch()
    yard.engine.memory.confirmed = True
    numbers = [yard.issue() for _ in range(tasks)]
    yard.until(lambda: all(yard.state(number) == "QUEUED" for number in numbers))
    settled(yard)
    before = used(yard)

    for _ in range(3):
        yard.tick()
        assert asked(yard) == [IDLE]

    assert used(yard) == before


def test_awaited_pull_requests_add_one_304_for_all_of_them(yard: Yard):
    first, second = yard.issue(), yard.issue()
    yard.until_state(first, "IN_REVIEW")
    yard.until_state(second, "IN_REVIEW")
    settled(yard)
    before = used(yard)

    for _ in range(2):
        yard.tick()
        assert asked(yard) == [IDLE, "304 GET /pulls"]

    assert used(yard) == before


def test_a_tick_without_a_poll_asks_nothing(yard: Yard):
    yard.tick()
    asked(yard)
    for _ in range(3):
        yard.tick(poll=False)
    assert asked(yard) == []


@pytest.mark.req("E37")
def test_the_daemon_polls_no_oftener_than_its_interval_and_a_workers_end_wakes_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
):
    number = yard.issue()
    polls: list[float] = []
    client = yard.engine.world.github
    listing = client.changed_issues

    def listed(cursor: Any) -> Any:
        polls.append(time.monotonic())
        if len(polls) >= 4 and yard.state(number) == "IN_REVIEW":
            os.kill(os.getpid(), signal.SIGTERM)
        return listing(cursor)

    woken: set[str] = set()
    wait = yard.wakes.wait

    def waited(seconds: float) -> set[str]:
        words = wait(seconds)
        woken.update(words)
        return words

    monkeypatch.setattr(client, "changed_issues", listed)
    monkeypatch.setattr(yard.wakes, "wait", waited)
    began = time.monotonic()

    Daemon(yard.engine, yard.wakes, reload=lambda: None, stop_workers=False).run(yard.engine.world.clock, jitter=0)

    assert yard.state(number) == "IN_REVIEW"
    assert all(at - began > 0.9 * nth for nth, at in enumerate(polls)), "one that is late does not excuse others"
    assert "exit" in woken, "how soon that is: test_daemon, where no poll comes for minutes"


# --- nothing missed ---------------------------------------------------------------------------------


@pytest.mark.req("P66")
def test_two_hundred_and_fifty_issues_are_all_taken_up(yard: Yard):
    (yard.clone / "STOP").touch()
    yard.engine.memory.confirmed = True
    numbers = [yard.issue(f"Number {n}") for n in range(250)]

    yard.tick()

    assert [number for number in numbers if yard.state(number) != "QUEUED"] == []


def test_pull_requests_with_the_label_are_no_tasks(yard: Yard):
    yard.ann.commit("feature", {"a.txt": "a"}, "Work of a person")
    pull = yard.ann.open_pull("feature", "A person's own").number
    yard.ann.add_label(pull, "rpi-auto")
    for _ in range(2):
        yard.tick()
    assert yard.states() == {}


def test_changes_within_one_second_and_between_two_ticks_are_seen(yard: Yard):
    (yard.clone / "STOP").touch()
    number = yard.issue(labels=())
    yard.tick()
    assert yard.state(number) == ""

    yard.ann.add_label(number, "rpi-auto")
    yard.ann.close(number)
    yard.tick()
    assert yard.state(number) == ""

    yard.ann.remove_label(number, "rpi-auto")
    yard.ann.reopen(number)
    yard.ann.add_label(number, "rpi-auto")
    yard.until(lambda: yard.state(number) == "QUEUED", seconds=8)

    yard.ann.remove_label(number, "rpi-auto")
    yard.until(lambda: yard.state(number) == "CANCELLED", seconds=8)
    yard.ann.add_label(number, "rpi-auto")
    yard.until(lambda: yard.state(number) == "QUEUED", seconds=8)


# --- patience ---------------------------------------------------------------------------------------


def test_below_the_reserve_nothing_new_is_begun_and_running_work_is_finished(tmp_path, later: Later):
    with a_yard(tmp_path) as yard:
        text = yard.read("coordinator.toml").replace("reserve = 0", "reserve = 500")
        (yard.clone / "coordinator.toml").write_text(text)
        yard.close()
        yard.start()
        number = at_work(yard)
        (yard.clone / "STOP").touch()
        queued = yard.issue("Known already")
        yard.until(lambda: yard.state(queued) == "QUEUED")
        yard.github.spend(BOT, leave=450)
        yard.tick()
        unknown = yard.issue("Not known yet")
        (yard.clone / "STOP").unlink()
        for _ in range(2):
            yard.tick()

        assert yard.plan.waits[f"gh-{queued}"].code == "reserve"
        assert [(held.number, held.code) for held in yard.plan.held] == [(unknown, "reserve")]
        assert "kept for people" in board(yard)["gates"][0]["words"]
        go(yard)
        yard.until_state(number, "IN_REVIEW")
        assert completions(yard, number) == 1
        assert (yard.state(queued), yard.state(unknown)) == ("QUEUED", "")

        yard.github.limits.window(BOT, time.time()).used = 0
        (yard.clone / "STOP").touch()
        later(3700)
        yard.tick()
        later(-3700)
        (yard.clone / "STOP").unlink()
        yard.until_state(queued, "IN_REVIEW")
        yard.until_state(unknown, "IN_REVIEW")


def answers(*answer: object) -> Callable[[Yard], None]:
    def begin(yard: Yard) -> None:
        yard.github.intercept = lambda _method, _path: answer[0] if len(answer) == 1 else answer
    return begin


def everything_is_well(yard: Yard) -> None:
    yard.github.intercept = None
    yard.github.limits.throttled_until = 0.0
    yard.github.limits.window(BOT, time.time()).used = 0
    yard.github.add_user(BOT, BOT_TOKEN)


TROUBLES = {
    "500": (answers(500, {}, {"message": "Server Error"}), r"cannot answer just now \(HTTP 500\)"),
    "502": (answers(502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"), r"\(HTTP 502\)"),
    "403": (answers(403, {}, {"message": "Resource not accessible"}), r"not allowed \(HTTP 403: Resource not acc"),
    "404": (answers(404, {}, {"message": "Not Found"}), r"not there, or not visible to this token"),
    "moved": (answers(301, {"Location": "https://other.invalid/"}, {"message": "Moved Permanently"}),
              r"renamed or transferred: set repository\.name in coordinator\.toml"),
    "cut": (answers("drop"), "the connection was cut"),
    "cut afterwards": (answers("drop-after"), "the connection was cut"),
    "token revoked": (lambda yard: yard.github.revoke(BOT_TOKEN), r"does not accept the token \(HTTP 401"),
    "primary limit": (lambda yard: yard.github.spend(BOT, leave=0), r"asks us to wait .*rate limit exceeded"),
    "secondary limit": (lambda yard: yard.github.throttle(1800), r"asks us to wait .*secondary rate limit"),
}


@pytest.mark.parametrize("trouble", list(TROUBLES))
def test_trouble_is_said_in_its_own_words_and_the_work_is_published_once_when_it_is_over(
    yard: Yard, later: Later, trouble: str
):
    begin, words = TROUBLES[trouble]
    number = at_work(yard)
    begin(yard)
    yard.ann.comment(number, "Something new, so that a poll is no 304")
    yard.tick()
    go(yard)
    yard.until(lambda: yard.state(number) == "PUBLISHING")
    yard.tick()

    assert re.search(words, board(yard)["github"]["words"])
    assert re.search(words, yard.plan.waits[f"gh-{number}"].words)
    assert any(re.search(words, line) for line in yard.lines)
    assert yard.repository.pulls() == []

    everything_is_well(yard)
    later(3700)
    task = yard.until_state(number, "IN_REVIEW")
    assert (task.attempts, len(yard.repository.pulls()), completions(yard, number)) == (1, 1, 1)
    assert board(yard)["github"]["words"] == ""


@pytest.mark.parametrize("trouble", ["primary limit", "secondary limit"])
def test_while_github_asks_us_to_wait_nothing_at_all_is_asked(yard: Yard, later: Later, trouble: str):
    yard.tick()
    TROUBLES[trouble][0](yard)
    number = yard.issue()
    yard.tick()
    assert "403 GET /issues" in asked(yard)

    later(1500)
    for _ in range(3):
        yard.tick()

    assert asked(yard) == []
    everything_is_well(yard)
    later(2200)
    yard.until_state(number, "IN_REVIEW")


@pytest.mark.parametrize("path", ["/pulls", "/comments", "git-receive-pack"])
@pytest.mark.req("W11")
def test_what_was_done_although_the_answer_was_lost_is_not_done_again(yard: Yard, later: Later, path: str):
    cut: list[str] = []

    def intercept(method: str, asked_path: str) -> str | None:
        if method == "POST" and asked_path.endswith(path) and not cut:
            cut.append(asked_path)
            return "drop-after"
        return None

    yard.github.intercept = intercept
    number = yard.issue()
    yard.until(lambda: bool(cut))
    later(40)

    task = yard.until_state(number, "IN_REVIEW")

    yard.until(lambda: completions(yard, number) == 1)
    assert (task.attempts, len(yard.repository.pulls()), len(yard.comments(number))) == (1, 1, 2)


def test_a_token_revoked_between_the_last_poll_and_the_push_ends_nothing(yard: Yard, later: Later):
    number = at_work(yard)
    yard.github.revoke(BOT_TOKEN)
    go(yard)
    end = time.monotonic() + 40
    while yard.state(number) == "RUNNING" and time.monotonic() < end:
        yard.tick(poll=False)
        yard.wakes.wait(0.1)
    yard.tick(poll=False)

    assert yard.state(number) == "PUBLISHING"
    assert any("token is not accepted" in line for line in yard.lines)
    yard.github.add_user(BOT, BOT_TOKEN)
    later(40)
    yard.until_state(number, "IN_REVIEW")


# --- whose pull request -----------------------------------------------------------------------------


@pytest.mark.req("E28", "P56")
@pytest.mark.parametrize(("act", "state", "reason"), [
    (lambda _ann, _pull: None, "IN_REVIEW", "pr_open"),
    (lambda ann, pull: ann.merge(pull), "DONE", "merged"),
    (lambda ann, pull: ann.close_pull(pull), "BLOCKED", "pr_closed"),
])
def test_a_pull_request_of_our_branch_is_found_by_its_head_and_does_not_end_a_living_worker(
    yard: Yard, act, state: str, reason: str
):
    address = yard.repository.clone_url.replace("://", "://x:ann-token@")
    own = "os.environ.pop('GIT_CONFIG_COUNT')   # an agent that found credentials of its own\n"
    push = f"commit()\n{own}git('push', '-q', {address!r}, 'HEAD:refs/heads/' + 'rpi/gh-1')\n"
    number = yard.issue(script=push + waiting(yard).partition("\n")[2])
    yard.until(lambda: yard.repository.branch("rpi/gh-1") is not None)
    pull = yard.ann.open_pull("rpi/gh-1", "Opened by a person", f"For #{number}").number
    act(yard.ann, pull)
    for _ in range(2):
        yard.tick()
    assert yard.state(number) == "RUNNING"
    go(yard)

    task = yard.until_state(number, state)

    assert (task.reason, task.pr_number) == (reason, pull)
    assert len(yard.repository.pulls()) == 1
