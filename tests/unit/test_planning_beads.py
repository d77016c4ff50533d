"""The beads gate as a pure answer: which question comes next, what the answers mean, what belongs to which field."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.planning.beads import REASONS, Answer, Ask, Gate, Wanted, next_step, repo_id

WANTED = Wanted(Path("/repo"), Path("/home/w/bd"), "stars-end/bd", probe_id="bd-1", write=True, flush=True)
GOOD = {
    "bd": Answer(0, "/bin/bd"),
    "external": Answer(0, ".git\n"),
    "origin": Answer(0, "git@github.com:stars-end/bd.git\n"),
    "status": Answer(0, "Open: 3\n"),
    "probe": Answer(0, "bd-1: mend\nopen\n"),
    "local": Answer(0, "repo_id: abc\n"),
    "database": Answer(0, '{"repo_id": "abc"}'),
    "write": Answer(0),
    "flush": Answer(0),
}


def judged(wanted: Wanted = WANTED, **answers: Answer) -> Gate:
    step = next_step(wanted, {**GOOD, **answers})
    assert isinstance(step, Gate)
    return step


def order(wanted: Wanted) -> list[str]:
    asked: list[str] = []
    while isinstance(step := next_step(wanted, {name: GOOD[name] for name in asked}), Ask):
        asked.append(step.name)
    return asked


def test_questions_are_asked_one_after_the_other_in_the_promised_order() -> None:
    assert order(WANTED) == list(GOOD)
    plain = replace(WANTED, probe_id="", write=False, flush=False)
    assert order(plain) == ["bd", "external", "origin", "status", "local", "database"]


@pytest.mark.parametrize("bad", [name for name in GOOD if name not in ("local", "database", "flush", "origin")])
def test_nothing_is_asked_after_the_first_bad_answer(bad: str) -> None:
    before = {name: GOOD[name] for name in list(GOOD)[: list(GOOD).index(bad)]}
    step = next_step(WANTED, {**before, bad: Answer(1, "", "no")})
    assert isinstance(step, Gate)
    assert not step.passed
    assert step.cure


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("bd", Answer(1), "beads_unavailable"),
        ("external", Answer(128, "", "fatal: not a git repository"), "beads_external_repo_missing"),
        ("origin", Answer(0, "git@github.com:other/bd.git\n"), "beads_external_remote_mismatch"),
        ("origin", Answer(2, "", "error: No such remote 'origin'"), "beads_external_remote_mismatch"),
        ("status", Answer(1, "", "dial tcp: connection refused"), "beads_db_error"),
        ("status", Answer(124, "", "bd: no answer within 30 s"), "beads_db_error"),
        ("status", Answer(1, "", "DATABASE MISMATCH DETECTED!"), "beads_repo_mismatch"),
        ("probe", Answer(1, "", "no issue found matching bd-1"), "beads_probe_not_found"),
        ("probe", Answer(0, "Issue bd-1 not found\n"), "beads_probe_not_found"),
        ("probe", Answer(0, "", "Issue bd-1 not found"), "beads_probe_not_found"),
        ("probe", Answer(1, "", "connection refused"), "beads_db_error"),
        ("probe", Answer(124, "", "no answer"), "beads_db_error"),
        ("database", Answer(0, '{"config": [{"repo-id": "other"}]}'), "beads_repo_mismatch"),
        ("write", Answer(1, "", "attempt to write a readonly database"), "beads_write_blocked"),
    ],
)
def test_each_bad_answer_has_its_reason_and_a_cure(name: str, answer: Answer, reason: str) -> None:
    gate = judged(**{name: answer})
    assert (gate.passed, gate.reason) == (False, reason)
    assert gate.reason in REASONS
    assert gate.cure


def test_each_reason_stands_in_the_page_of_the_gates() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gates.md").read_text("utf-8")
    assert tuple(re.findall(r"^\| `(beads_\w+)` \|", page, re.MULTILINE)) == REASONS


def test_an_issue_whose_own_words_say_not_found_is_there() -> None:
    assert judged(probe=Answer(0, "bd-1: 404 page not found\nStatus: open\n")).passed


def test_a_database_that_names_no_id_is_not_compared_and_that_is_said() -> None:
    for answers in ({"database": Answer(1, "", "unknown command info")}, {"local": Answer(1)}):
        gate = judged(**answers)
        assert gate.passed
        assert "not compared" in gate.details


@pytest.mark.req("P42")
def test_bars_and_newlines_in_an_answer_stay_in_their_own_field() -> None:
    refused = Answer(1, "open | 3\n", "dial tcp 10.0.0.1:3306 | connection\n refused|x")
    gate = judged(status=refused)
    assert (gate.reason, gate.db_status) == ("beads_db_error", "error")
    assert gate.external_repo == "/home/w/bd"
    assert gate.external_remote == "git@github.com:stars-end/bd.git"
    assert (gate.repo_id_local, gate.repo_id_db) == ("abc", "abc")
    assert "dial tcp 10.0.0.1:3306 | connection\n refused|x" in gate.details


def test_both_ids_are_taken_from_bds_own_words_on_a_mismatch() -> None:
    words = "DATABASE MISMATCH DETECTED!\n  Database repo ID: e3b0c442\n  Current repo ID: 98fc1c14\n"
    before = {name: GOOD[name] for name in ("bd", "external", "origin")}
    step = next_step(WANTED, {**before, "status": Answer(1, "", words)})
    assert isinstance(step, Gate)
    assert (step.repo_id_local, step.repo_id_db) == ("98fc1c14", "e3b0c442")


@pytest.mark.req("C93")
def test_a_flush_that_fails_warns_and_closes_the_gate_only_when_it_must_work() -> None:
    failed = Answer(1, "", "disk full")
    gate = judged(flush=failed)
    assert gate.passed
    assert gate.warnings == ("the flush failed: disk full",)
    strict = judged(replace(WANTED, strict=True), flush=failed)
    assert (strict.reason, strict.warnings) == ("beads_write_blocked", ())
    assert "flush" in strict.details


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("repo_id = abc\n", "abc"),
        ('  Repo ID: "e3-b0"\n', "e3-b0"),
        ("# repo-id: no\nrepo-id: yes\n", "yes"),
        ('{"a": [{"x": 1}, {"repoId": "deep"}]}', "deep"),
        ('{"repo_id": 7}', ""),
        ("repo_id:\n", ""),
        ("my repo_id: spaces in it\n", ""),
        ("[" * 100_000, ""),
        ("a" + " " * 100_000, ""),
    ],
)
def test_an_id_is_found_in_json_and_on_a_line_of_its_own(text: str, found: str) -> None:
    assert repo_id(text) == found
