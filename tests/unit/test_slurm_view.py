"""Run files and Slurm together: the worker's own outcome first, then Slurm, and never an end out of mere silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.adapters.executors.slurm.states import Kind, Standing
from coordinator.adapters.executors.slurm.view import SETTLE, judged, outlives
from coordinator.domain.reasons import REASONS
from coordinator.domain.worker import Beat, Exited, Missing, Running, Unknown, Waiting, Witness, WorkerView

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
LONG_AGO, JUST = NOW - timedelta(hours=1), NOW - timedelta(seconds=1)
STILL = Witness(0, 0)
NOTHING, VANISHED = Missing(started=False), Missing(started=True)
OTHERS = [kind for kind in Kind if kind is not Kind.ENDED]


def runs(age: float = 5.0) -> Running:
    at = NOW.timestamp() - age
    return Running(77, at - 60, Beat(at, at - 60, STILL, STILL, STILL, None))


def standing(kind: Kind, since: datetime = LONG_AGO, **more: object) -> Standing:
    return Standing(kind, **{"words": "so says Slurm", "since": since, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", Kind)
def test_an_outcome_of_our_own_outranks_whatever_slurm_says(kind: Kind) -> None:
    done = Exited(0, None, "process_exit")
    assert judged(done, standing(kind, reason="slurm_cancelled"), NOW) == done


@pytest.mark.parametrize(("files", "slurm", "reason"), [
    (Exited(None, 15, "manual_stop"), "slurm_preempted", "slurm_preempted"),
    (Exited(None, 15, "slurm_timeout"), "slurm_preempted", "slurm_preempted"),
    (Exited(None, 9, "process_exit"), "slurm_oom", "slurm_oom"),
    (Exited(None, 15, "manual_stop"), "slurm_node_fail", "slurm_node_fail"),
    (Exited(None, 15, "slurm_timeout"), "slurm_timeout", "slurm_timeout"),
    (Exited(None, 15, "manual_stop"), "slurm_cancelled", "manual_stop"),
    (Exited(None, 15, "slurm_preempted"), "slurm_cancelled", "slurm_cancelled"),
    (Exited(None, 15, "slurm_preempted"), "slurm_timeout", "slurm_timeout"),
    (Exited(None, 9, "oom_killed"), "slurm_oom", "slurm_oom"),
    (Exited(143, None, "slurm_timeout"), "", "slurm_timeout"),
    (Exited(1, None, "process_exit"), "slurm_timeout", "process_exit"),
    (Exited(None, 9, "stalled"), "slurm_preempted", "stalled"),
    (Exited(None, 9, "max_runtime"), "slurm_timeout", "max_runtime"),
])
def test_of_an_end_by_a_signal_slurm_knows_the_cause(files: Exited, slurm: str, reason: str) -> None:
    found = judged(files, standing(Kind.ENDED, reason=slurm), NOW)
    assert isinstance(found, Exited)
    assert (found.reason, found.signal, found.code) == (reason, files.signal, files.code)


@pytest.mark.parametrize("kind", [Kind.RUNNING, Kind.WAITING, Kind.UNKNOWN])
@pytest.mark.parametrize("reason", ["slurm_preempted", "slurm_timeout"])
def test_slurm_is_heard_before_anything_is_made_of_its_signal(kind: Kind, reason: str) -> None:
    """A person's scancel and a preemption send the same signal, and only one of them is tried again."""
    done = Exited(None, 15, reason, ended_at=NOW.timestamp() - 5)
    waited = judged(done, standing(kind), NOW)
    assert waited == Unknown("it has ended; Slurm has not said why yet", NOW)
    assert judged(done, standing(kind), NOW + timedelta(minutes=3)) == done
    assert judged(done, standing(kind), NOW, asked="manual_stop") == done


def test_an_end_that_we_ordered_is_ours_whatever_signal_slurm_counts() -> None:
    done = Exited(None, 15, "manual_stop")
    assert judged(done, standing(Kind.ENDED, reason="slurm_timeout"), NOW, asked="manual_stop") == done
    found = judged(VANISHED, standing(Kind.ENDED, reason="slurm_cancelled"), NOW, asked="shutdown")
    assert isinstance(found, Exited)
    assert found.reason == "shutdown"


def test_a_job_in_the_queue_waits_with_its_reason() -> None:
    assert judged(NOTHING, standing(Kind.WAITING), NOW) == Waiting("so says Slurm")


def test_a_worker_that_began_since_slurm_was_asked_runs() -> None:
    assert judged(runs(), standing(Kind.WAITING), NOW) == runs()


def test_a_suspended_worker_waits_and_is_not_called_stalled() -> None:
    assert judged(runs(9000), standing(Kind.WAITING, suspended=True), NOW) == Waiting("so says Slurm")


def test_a_running_job_shows_its_heartbeat() -> None:
    assert judged(runs(), standing(Kind.RUNNING), NOW) == runs()


def test_a_job_that_was_begun_and_has_no_heartbeat_yet_is_waited_for() -> None:
    assert judged(NOTHING, standing(Kind.RUNNING, node="n7"), NOW) == Waiting(
        "Slurm has started the job on n7; its worker has not reported yet")


def test_a_worker_that_vanished_while_slurm_runs_its_job_is_not_over() -> None:
    assert judged(VANISHED, standing(Kind.RUNNING), NOW) == Unknown(
        "Slurm runs the job, and its worker is not seen", NOW)   # asked just now: no lease runs


@pytest.mark.parametrize("kind", [Kind.ENDED, Kind.GONE])
@pytest.mark.parametrize(("files", "view"), [(NOTHING, Unknown), (VANISHED, Unknown), (runs(60), Running)])
def test_an_outcome_may_be_on_its_way_for_some_seconds(kind: Kind, files: WorkerView, view: type) -> None:
    assert isinstance(judged(files, standing(kind, JUST), NOW), view)
    assert isinstance(judged(files, standing(kind, NOW - 2 * SETTLE), NOW), Exited)


@pytest.mark.parametrize("kind", [Kind.ENDED, Kind.GONE])
def test_a_worker_that_still_beats_is_not_over_though_slurm_holds_its_job_for_ended(kind: Kind) -> None:
    """Its node is cut off. Once it has fallen silent the end is what Slurm says."""
    node_failed = standing(kind, NOW - timedelta(minutes=5), reason="slurm_node_fail")
    assert outlives(runs(), node_failed, NOW)
    assert judged(runs(), node_failed, NOW) == runs()
    for silent in (runs(299), runs(100), VANISHED):
        assert not outlives(silent, node_failed, NOW)
        assert isinstance(judged(silent, node_failed, NOW), Exited)
    assert not outlives(runs(), standing(Kind.RUNNING, NOW - timedelta(minutes=5)), NOW)


@pytest.mark.parametrize(("files", "found", "reason"), [
    (VANISHED, dict(reason="slurm_node_fail"), "slurm_node_fail"), (VANISHED, dict(signal=9), "killed"),
    (VANISHED, dict(code=0), "lost"), (VANISHED, dict(code=1), "lost"), (NOTHING, dict(code=127), "launch_failed"),
    (NOTHING, dict(code=0), "launch_failed"), (runs(3599), dict(reason="slurm_oom", signal=9), "slurm_oom"),
    (NOTHING, dict(reason="slurm_cancelled"), "slurm_cancelled"),
])
def test_a_job_without_an_outcome_ends_as_slurm_tells_it_and_never_well(
    files: WorkerView, found: dict[str, object], reason: str
) -> None:
    view = judged(files, standing(Kind.ENDED, started_at=100.0, ended_at=130.0, max_rss_kb=9, **found), NOW)
    assert isinstance(view, Exited)
    assert view.reason == reason
    assert view.reason in REASONS
    assert view.code != 0
    assert (view.ended_at, view.duration_sec, view.max_rss_kb) == (130.0, 30.0, 9)
    assert "left no outcome" in view.words


def test_how_it_ended_is_said() -> None:
    view = judged(NOTHING, standing(Kind.ENDED, code=127), NOW)
    assert isinstance(view, Exited)
    assert view.words == "so says Slurm with exit code 127; it left no outcome"


def test_what_will_never_run_is_given_up_when_it_stays_so() -> None:
    assert judged(NOTHING, standing(Kind.NEVER, JUST, reason="slurm_never_runs"), NOW) == Waiting("so says Slurm")
    view = judged(NOTHING, standing(Kind.NEVER, reason="slurm_never_runs"), NOW)
    assert view == Exited(None, None, "slurm_never_runs", "so says Slurm")


def test_a_forgotten_job_without_an_outcome_is_lost() -> None:
    view = judged(VANISHED, standing(Kind.GONE, reason="lost"), NOW)
    assert isinstance(view, Exited)
    assert view.reason == "lost"


@pytest.mark.parametrize("files", [NOTHING, VANISHED, runs(3600), Unknown("far away", JUST)])
def test_a_controller_that_is_away_ends_nothing(files: WorkerView) -> None:
    assert judged(files, standing(Kind.UNKNOWN), NOW) == Unknown("so says Slurm", LONG_AGO)


def test_a_fresh_heartbeat_needs_no_controller() -> None:
    assert judged(runs(), standing(Kind.UNKNOWN), NOW) == runs()


@pytest.mark.parametrize("kind", OTHERS)
def test_only_an_end_ends(kind: Kind) -> None:
    if kind not in {Kind.NEVER, Kind.GONE}:
        for files in (NOTHING, VANISHED, runs(), runs(3600)):
            assert not isinstance(judged(files, standing(kind), NOW), Exited)
