"""GitHub at its worst: limits and errors without end, a token that is revoked and renewed, ten thousand issues at once.
What is asked stays bounded, what is said is true, and the work is published once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.stories import Later, completions, go, waiting
from tests.support.yard import BOT, BOT_TOKEN, Yard, a_yard

PAGE = b"<html><head><title>Rate limit</title></head><body><p>Whoa there!</p></body></html>"
HTML = {"Content-Type": "text/html"}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
STORMS: dict[str, tuple[int, Mapping[str, str], object, str]] = {
    "429 as a page": (429, HTML, PAGE, r"asks us to wait \(HTTP 429: no words\), until"),
    "429 soon again": (429, {"Retry-After": "5"}, {"message": "slow down"}, r"asks us to wait \(HTTP 429: slow down\)"),
    "secondary without a time": (403, {}, SECONDARY, r"asks us to wait \(HTTP 403: You have exceeded a secondary"),
    "403 as a page": (403, HTML, PAGE, r"not allowed \(HTTP 403: no words\)"),
    "503 with a time": (503, {"Retry-After": "1"}, b"", r"GitHub cannot answer just now \(HTTP 503\)"),
    "502 as a page": (502, HTML, PAGE, r"GitHub cannot answer just now \(HTTP 502\)"),
}
MINUTES = 10


def at_work(yard: Yard) -> int:
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING" and len(yard.comments(number)) == 1)
    return number


def board(yard: Yard) -> dict:
    return json.loads(yard.read(".coordinator/board.json"))


@pytest.mark.parametrize("storm", list(STORMS))
def test_in_a_storm_of_refusals_few_questions_are_asked_and_the_work_goes_out_once_when_it_is_over(
    yard: Yard, later: Later, storm: str
):
    number = at_work(yard)
    status, headers, body, words = STORMS[storm]
    yard.github.forget_requests()
    yard.github.intercept = lambda _method, path: (status, headers, body) if "/repos/" in path else None
    go(yard)
    yard.until(lambda: yard.state(number) == "PUBLISHING")
    for _ in range(6 * MINUTES):
        later(10)
        yard.tick()

    refused = [one for one in yard.github.requests if one.status == status]
    assert 0 < len(refused) <= 12 * MINUTES, "at most one question for each 5 s, whatever GitHub says"
    assert re.search(words, board(yard)["github"]["words"])
    assert any(re.search(words, line) for line in yard.lines)
    assert (yard.state(number), yard.repository.pulls()) == ("PUBLISHING", [])

    yard.github.intercept = None
    later(310)   # the longest rest of what failed again and again
    task = yard.until_state(number, "IN_REVIEW")
    assert (task.attempts, len(yard.repository.pulls()), completions(yard, number)) == (1, 1, 1)
    assert board(yard)["github"]["words"] == ""


def test_a_token_that_was_revoked_and_renewed_is_taken_up_without_a_restart(yard: Yard, later: Later):
    """`gh auth token` gives it: its answer is asked for again when GitHub refuses the old one, and only then."""
    folder, store = yard.folder / "bin", yard.folder / "token"
    folder.mkdir()
    asked = yard.folder / "asked"
    (folder / "gh").write_text(f"#!/bin/sh\necho >> {asked}\ncat {store}\n")
    (folder / "gh").chmod(0o755)
    store.write_text(BOT_TOKEN + "\n")
    yard.close()
    del yard.environ["GITHUB_TOKEN"]
    yard.environ["PATH"] = f"{folder}:{yard.environ['PATH']}"
    yard.start()
    number = at_work(yard)
    assert len(asked.read_text()) == 1
    yard.github.revoke(BOT_TOKEN)
    yard.tick()
    assert re.search(r"does not accept the token \(HTTP 401", board(yard)["github"]["words"])
    assert len(asked.read_text()) == 2

    renewed = "renewed-token-of-the-yard"
    yard.github.add_user(BOT, renewed)
    store.write_text(renewed + "\n")
    later(40)
    yard.tick()
    later(10)
    yard.tick()
    assert any("Its source gives another one by now: that is used" in line for line in yard.lines)
    go(yard)

    task = yard.until_state(number, "IN_REVIEW")

    assert (task.attempts, completions(yard, number)) == (1, 1)
    assert board(yard)["github"]["words"] == ""
    assert not [line for line in yard.lines if renewed in line or BOT_TOKEN in line]
    assert yard.engine.world.mask(f"a log with {renewed} in it") == "a log with *** in it"


def test_ten_thousand_issues_labelled_at_once_are_held_then_taken_up_as_far_as_the_requests_go(tmp_path: Path):
    """The first run here lists them and wants a yes; with it, no more is asked than is not kept for people."""
    many = 10_000
    with a_yard(tmp_path) as yard:
        yard.close()
        settings = yard.clone / "coordinator.toml"
        settings.write_text(settings.read_text().replace("reserve = 0", "reserve = 500"))
        yard.start()
        (yard.clone / "STOP").touch()
        began, world = int(time.time()) - 2 * many, yard.github.world
        for at in range(many):
            world.clock = lambda at=at: began + at
            yard.issue(f"Number {at}")
        world.clock = time.time
        yard.tick()

        assert len([one for one in yard.github.requests if one.path.startswith("/repos/")]) <= many / 100 + 6
        assert len(yard.plan.held) == many
        assert {held.code for held in yard.plan.held} == {"unconfirmed"}
        assert "10000 issues carry the label" in yard.plan.held[0].words
        yard.tick()
        assert (yard.github.requests[-1].status, yard.states()) == (304, {})

        yard.engine.memory.confirmed = True
        yard.github.spend(BOT, leave=540)
        yard.github.forget_requests()
        yard.tick()
        taken = len(yard.states())
        assert 10 <= taken <= 40
        assert len(yard.github.requests) <= 60
        assert {held.code for held in yard.plan.held} == {"reserve"}
        assert len(yard.plan.held) == many - taken
        listed = re.findall(r"^\[[^\]]*\] (gh-\d+): ", yard.read("tasks.md"), re.MULTILINE)
        assert sorted(listed) == sorted(yard.states())
        assert len(board(yard)["held"]) == many - taken
        yard.github.forget_requests()
