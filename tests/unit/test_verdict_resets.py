"""When a limit ends, out of the words of the agents."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.runfiles.verdict.resets import in_words

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(("words", "hours"), [
    ("Claude AI usage limit reached|1772380800", 4),
    ("Claude AI usage limit reached|1772380800000", 4),
    ("You’ve hit your usage limit. Upgrade to Pro or try again at 7:13 PM.", 7 + 13 / 60),
    ("You've hit your usage limit. Try again in 2 days 3 hours 30 minutes.", 51.5),
    ("Your quota will reset after 19h59m11s.", 19 + 59 / 60 + 11 / 3600),
    ("Please retry in 41.5s.", 41.5 / 3600),
    ("5-hour limit reached ∙ resets 3pm", 3),
    ("You've hit your limit · resets 11am (UTC)", 23),
    ("limit reached, resets 8pm (Europe/Berlin)", 7),
    ("try again at Mar 2nd, 2026 9:00 AM.", 21),
    ("try again at Mar 2nd 9:00 AM.", 21),
])  # fmt: skip
def test_the_moment_is_read_however_it_is_said(words: str, hours: float) -> None:
    moment = in_words(words, NOW)
    assert moment is not None
    assert (moment - NOW) / HOUR == pytest.approx(hours, abs=1e-4)


@pytest.mark.parametrize("words", [
    "", "Try again later.", "look at 3 files", "exit code 1 in 4 places", "try again at 99:99", "resets 25:00",
    "try again at Feb 31st, 2026 9:00 AM", "try again in 400 days", "retry after 0s", "1429 != 1430",
])  # fmt: skip
def test_words_without_a_moment_give_none(words: str) -> None:
    assert in_words(words, NOW) is None


def test_a_time_of_day_says_nothing_to_whoever_does_not_know_the_day() -> None:
    assert in_words("try again at 7:13 PM", None) is None


@given(
    st.text(max_size=80),
    st.sampled_from(["at ", "resets ", "in ", "after ", "|"]),
    st.text("0123456789: apmsh", max_size=20),
)
def test_no_words_whatever_raise_or_name_a_moment_in_the_past(before: str, lead: str, after: str) -> None:
    moment = in_words(f"{before} {lead}{after}", NOW)
    assert moment is None or lead == "|" or "|" in before or moment > NOW
