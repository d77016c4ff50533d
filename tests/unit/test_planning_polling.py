"""What one look at a command's output means: a count of zero is no failure, and no answer ends nothing."""

from __future__ import annotations

import re

import pytest

from coordinator.planning.polling import End, Look, Rules, check_limit, judge


def rules(success: str = "", *failures: str, retry: bool = False, attempts: int = 0, timeout: float = 600) -> Rules:
    return Rules(re.compile(success, re.MULTILINE) if success else None,
                 tuple(re.compile(one, re.MULTILINE) for one in failures), retry, 120, timeout, attempts)  # fmt: skip


def end(given: Rules, text: str, code: int = 0, *, attempt: int = 1, elapsed: float = 1) -> End | None:
    return judge(given, Look(attempt, elapsed, code, text)).end


BROAD = rules("", r"(?i)fail|error|exception")


@pytest.mark.parametrize(
    "text",
    [
        "0 failed", "0 errors", "failures: 0", "31 passed, 0 failed", "Tests failed: 0", "errors=0 warnings=3",
        '{"passed": 31, "failed": 0}', "0 of 31 tests failed", "# pass 31\n# fail 0", "no errors", "ERROR: 0",
        "unreachable=0 failed=0", "task_failures: 0", "error: 0 errors", "zero failures", "00 failed",
    ],
)  # fmt: skip
def test_a_count_of_zero_is_no_failure(text: str) -> None:
    assert end(BROAD, text) is End.DONE


@pytest.mark.parametrize(
    "text",
    [
        "1 failed", "10 failed", "failures: 10", "failed: 05", "error 0x80070057", "31 passed, 0 failed, 2 errors",
        "step 0 failed", "exit 0 build failed", "12:00:00 failed to start", "skipped: 0 failed: 3", "worker #0 failed",
        "1.0 failed", "error rate: failed: 0.5", "failed: 0 errors: 3", "FAILED", "0 failed\nfailed", "10,000 failed",
    ],
)  # fmt: skip
def test_anything_but_a_count_of_zero_is_one(text: str) -> None:
    assert end(BROAD, text) is End.FAILED


def test_a_zero_that_is_no_count_of_failures_stays_visible_to_a_pattern() -> None:
    assert end(rules("", "replicas: 0"), "replicas: 0") is End.FAILED


@pytest.mark.parametrize("words", ["failed ", "0 ", "0", " ", "failed:", "no of 1 "])
def test_no_text_makes_the_search_endless(words: str) -> None:
    text = "failed: " + words * 200_000 + "x"   # a search that grows with the square takes minutes
    assert end(rules("never", "also never"), text) is None


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("state: running", 0, None),
        ("state: done", 0, End.DONE),
        ("state: done\nlost", 0, End.FAILED),
        ("state: done", 3, End.FAILED),
        ("state: lost", 3, End.FAILED),
        ("", 124, None),
        ("state: lost", 124, End.FAILED),
    ],
)
def test_failure_is_seen_before_success_and_success_only_of_a_check_that_ended_well(
    text: str, code: int, found: End | None
) -> None:
    assert end(rules("done$", "lost$"), text, code) is found


def test_a_check_that_ends_badly_is_asked_again_only_where_that_is_wanted() -> None:
    assert end(rules("done", retry=True), "done", 3) is None
    verdict = judge(rules("done"), Look(1, 0, 127, "sh: 1: sacct: not found\n"))
    assert (verdict.end, verdict.words) == (End.FAILED, "the check ended with 127: sh: 1: sacct: not found")


def test_the_time_and_the_number_of_checks_are_limits() -> None:
    assert end(rules("done", attempts=3), "no", attempt=3) is End.USED_UP
    assert end(rules("done", attempts=3), "no", attempt=2) is None
    assert end(rules("done"), "no", elapsed=600) is End.USED_UP
    assert end(rules("done"), "done", elapsed=601) is End.DONE


def test_the_pause_ends_with_the_time_so_that_the_last_look_is_taken_then() -> None:
    assert judge(rules("done"), Look(1, 10, 0, "no")).pause == 120
    assert judge(rules("done"), Look(5, 550, 0, "no")).pause == 50


def test_each_check_has_a_limit_that_goes_little_beyond_the_end() -> None:
    assert check_limit(rules(), 0) == 120
    assert check_limit(rules(), 530) == 70
    assert check_limit(rules(), 600) == 10


def test_the_verdict_quotes_the_line_that_decided() -> None:
    words = judge(rules("", "lost"), Look(1, 0, 0, "all quiet\n  worker 7 lost at 12:01\nmore")).words
    assert words == "failure pattern: worker 7 lost at 12:01"
