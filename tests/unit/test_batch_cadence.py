"""How often a batch is looked at: by what it does, and slower while nothing is new."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.planning.batch.cadence import Mode, pace
from coordinator.planning.batch.cohort import BatchWord
from coordinator.planning.batch.members import Member
from tests.support.batches import RUNNING, WAITING, a_member, members

HEALTHY, DEGRADED, SYSTEMIC = BatchWord.HEALTHY, BatchWord.DEGRADED, BatchWord.SYSTEMIC


def seconds(of: list[Member], word: BatchWord = HEALTHY, quiet: int = 0) -> float:
    return pace(of, word, quiet).pause.total_seconds()


@pytest.mark.req("D18", "D19", "D51")
def test_a_batch_that_only_waits_is_left_alone_for_ten_to_fifteen_minutes() -> None:
    queue = [*members(good=2, waiting=5), a_member("bd-9", WAITING, state="BACKOFF")]
    assert seconds(queue) == 600
    assert [seconds(queue, quiet=number) for number in (3, 50)] == [900, 900]


@pytest.mark.req("D52")
def test_a_batch_that_runs_is_looked_at_every_three_to_five_minutes() -> None:
    assert seconds(members(running=1, waiting=5)) == 180
    assert seconds(members(running=1, waiting=5), quiet=9) == 300


@pytest.mark.req("D53")
@pytest.mark.parametrize(("of", "word"), [
    (members(running=3), DEGRADED),
    (members(waiting=3, bad=3), SYSTEMIC),
    *(([*members(running=3), a_member("bd-9", RUNNING, state=state)], HEALTHY)
      for state in ("stalled", "no_op", "unknown", "leaked")),
])  # fmt: skip
def test_a_degraded_or_suspect_batch_is_looked_at_every_one_to_two_minutes(of: list[Member], word: BatchWord) -> None:
    assert (seconds(of, word), seconds(of, word, quiet=9)) == (60, 120)


@pytest.mark.req("D103")
@pytest.mark.parametrize("of", [members(waiting=2), members(running=2)])
def test_a_look_without_news_never_makes_the_next_one_come_sooner(of: list[Member]) -> None:
    found = [seconds(of, quiet=number) for number in range(6)]
    assert found == sorted(found)
    assert found[0] < found[1]


@pytest.mark.parametrize("kinds", [{"good": 2}, {"bad": 2, "stopped": 1}, {}])
def test_a_batch_that_is_over_is_not_looked_at_again(kinds: dict[str, Any]) -> None:
    assert pace(members(**kinds), SYSTEMIC, 0).mode is Mode.OVER
