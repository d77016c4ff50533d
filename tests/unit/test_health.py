"""The health of a worker, row by row: what was seen, and the one word operators read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.worker import (
    Beat,
    Exited,
    Health,
    Missing,
    Running,
    Unknown,
    Waiting,
    Witness,
    WorkerView,
)
from coordinator.planning.health import Settings, judge_health

NOW = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
S = Settings()


def ago(minutes: float) -> float:
    return (NOW - timedelta(minutes=minutes)).timestamp()


def running(started: float, *, since: float | None = None, share: float = 0.0, frozen: float | None = None,
            **moved: float) -> Running:
    """A worker started and watched for so many minutes; each witness named moved so many minutes ago."""
    window = started if since is None else since

    def witness(name: str) -> Witness:
        return Witness(1.0, ago(moved.get(name, window)))

    beat = Beat(at=ago(0), since=ago(window), cpu=witness("cpu"), log=witness("log"), event=witness("event"),
                tree=witness("tree"), cpu_share=share, stopped_since=None if frozen is None else ago(frozen))
    return Running(7, ago(started), beat)


@pytest.mark.parametrize(("view", "health"), [
    (Waiting("slot"), Health.WAITING),
    (Unknown("host unreachable", NOW), Health.UNKNOWN),
    (Missing(started=True), Health.MISSING),
    (Missing(started=False), Health.MISSING),
    (Exited(0, None, "process_exit"), Health.EXITED_OK),
    (Exited(1, None, "process_exit"), Health.EXITED_ERR),
    (Exited(None, 9, "killed"), Health.EXITED_ERR),
    (Exited(0, None, "max_runtime"), Health.EXITED_ERR),
    (Exited(None, 15, "manual_stop"), Health.STOPPED),
    (Exited(None, 15, "no_mutation"), Health.NO_OP),
    (Exited(None, 9, "manual_stop", survivors=(5,)), Health.LEAKED),
    (Running(7, ago(1)), Health.STARTING),
    (Running(7, ago(6)), Health.HEALTHY),
    (Running(7, ago(21)), Health.STALLED),
    (running(4.9), Health.STARTING),
    (running(5.1), Health.HEALTHY),
    (running(1, log=0.5), Health.HEALTHY),
    (running(19.9), Health.HEALTHY),
    (running(20.1), Health.STALLED),
    (running(60, log=19), Health.HEALTHY),
    (running(60, event=19), Health.HEALTHY),
    (running(60, tree=19), Health.HEALTHY),
    (running(60, cpu=19, tree=59), Health.HEALTHY),
    (running(60, log=21, event=21, tree=21, cpu=21), Health.STALLED),
    (running(60, log=21, share=0.5), Health.HEALTHY),
    (running(60, log=21, share=0.019), Health.STALLED),
    (running(31, share=0.5), Health.NO_OP),
    (running(29, share=0.5), Health.HEALTHY),
    (running(60, log=40, share=0.5), Health.HEALTHY),
    (running(10, log=0, frozen=0.9), Health.HEALTHY),
    (running(10, log=0, frozen=1.1), Health.STALLED),
    (running(300, since=2), Health.STARTING),
    (running(300, since=10), Health.HEALTHY),
    (running(300, since=21), Health.STALLED),
])
def test_what_was_seen_gives_one_word(view: WorkerView, health: Health) -> None:
    assert judge_health(view, NOW, S).health is health


def test_a_gap_in_the_clock_restarts_the_window_and_ends_nothing() -> None:
    slept = running(600, since=0.5, log=590, event=590, tree=590, cpu=590)
    assert judge_health(slept, NOW, S).health is Health.STARTING


def test_the_words_name_the_last_sign_and_its_age() -> None:
    word = judge_health(running(60, log=25, cpu=40, event=30), NOW, S)
    assert word.words == "no sign of progress for 25m; the last: output"
    assert word.since == NOW - timedelta(minutes=25)


@pytest.mark.parametrize(("view", "health"), [
    (running(-240, since=2), Health.STARTING),
    (running(-240, since=21), Health.STALLED),
    (running(-240, since=40, cpu=1), Health.NO_OP),
    (running(-240, since=40, cpu=1, log=35), Health.HEALTHY),
])
def test_a_worker_whose_start_lies_ahead_since_the_clock_was_set_back_is_judged_by_its_window(view, health):
    assert judge_health(view, NOW, S).health is health


def test_a_wrapper_that_fell_silent_is_named_and_not_its_agent() -> None:
    seen = running(60)
    assert seen.beat is not None
    word = judge_health(replace(seen, beat=replace(seen.beat, at=ago(25), cpu_share=0.9)), NOW, S)
    assert (word.health, word.words) == (Health.STALLED, "no heartbeat of its wrapper for 25m")


def test_a_clock_that_runs_ahead_on_the_host_is_no_fault_of_the_worker() -> None:
    assert judge_health(running(-5, log=-5), NOW, S).health in {Health.STARTING, Health.HEALTHY}


minutes = st.floats(-10, 1000)


@given(minutes, minutes, minutes, minutes, minutes, st.floats(0, 4), st.none() | minutes)
def test_one_fresh_sign_is_never_called_a_stall(
    started: float, log: float, event: float, tree: float, cpu: float, share: float, frozen: float | None
) -> None:
    view = running(started, log=log, event=event, tree=tree, cpu=cpu, share=share, frozen=frozen)
    word = judge_health(view, NOW, S)
    quiet = min(log, event, tree, cpu, started, 0 if share >= S.idle_cpu else 1000)
    still = frozen is not None and frozen >= 1
    if quiet < 19.9 and not still:
        assert word.health is not Health.STALLED
    if still or quiet > 20.1:
        assert word.health is Health.STALLED or started < 5


@given(minutes, minutes, st.floats(0, 600))
def test_silence_never_makes_a_stalled_worker_well_again(started: float, log: float, later: float) -> None:
    view = replace(running(started, log=log))
    if judge_health(view, NOW, S).health is Health.STALLED:
        assert judge_health(view, NOW + timedelta(minutes=later), S).health is Health.STALLED
