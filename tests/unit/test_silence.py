"""A GitHub that cannot be followed for long: a person hears of it once, and once that it is back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.engine.memory import Memory
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.rules.attention import SILENT
from coordinator.ports import GitHubError, Limited, Refused, TryLater
from tests.support.fakes import Outside, an_outside


def later(outside: Outside, engine: Engine, minutes: int) -> list[str]:
    """What a person is told meanwhile."""
    known = len(outside.lines)
    for _ in range(minutes):
        outside.clock.pass_by(60)
        engine.memory.poll_due = True
        engine.tick()
    return [line for line in outside.lines[known:] if "ESCALATE" in line]


def an_engine(outside: Outside) -> Engine:
    return Engine(outside.world(), AtOnce(), lambda why: None, Memory())


def answers_with(outside: Outside, error: GitHubError | None) -> None:
    def trouble(what: str) -> None:
        if error is not None:
            raise error

    outside.github.trouble = trouble


@pytest.mark.parametrize("error", [TryLater("502"), Refused("odd")])
def test_a_silence_is_told_once_and_its_end_once_also_by_another_process(error: GitHubError) -> None:
    outside = an_outside()
    engine = an_engine(outside)
    assert later(outside, engine, 1) == []
    answers_with(outside, error)
    assert later(outside, engine, SILENT // timedelta(minutes=1)) == []
    [line] = later(outside, engine, 2)
    assert "GitHub could not be followed since 2026-" in line
    assert error.words in line
    engine = an_engine(outside)
    assert later(outside, engine, 60) == []
    answers_with(outside, None)
    [line] = later(outside, engine, 5)
    assert "GitHub answers again since 2026-" in line
    assert later(outside, engine, 60) == []


def test_a_short_silence_and_a_limit_whose_end_is_known_call_nobody_for_it() -> None:
    outside = an_outside()
    engine = an_engine(outside)
    answers_with(outside, TryLater("502"))
    assert later(outside, engine, 20) == []
    answers_with(outside, None)
    assert later(outside, engine, 20) == []
    answers_with(outside, Limited("wait", outside.clock.now() + timedelta(minutes=55)))
    assert [line for line in later(outside, engine, 54) if "followed" in line] == []
