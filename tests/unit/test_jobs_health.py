"""The health of a job, row by row: what its run files tell, and the one word, reason and exit code that follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.domain.job import Job, latest
from coordinator.domain.reasons import REASONS
from coordinator.domain.worker import Beat, Exited, Health, Missing, Running, Unknown, Waiting, Witness, WorkerView
from coordinator.planning.health import Settings
from coordinator.planning.health.jobs import (
    BY_PEOPLE,
    CHECK_EXIT,
    OTHER_SPELLINGS,
    SPELT,
    dx_state,
    judge_job,
    old_state,
    over,
    reason_of,
    spelt,
)
from coordinator.worker import ending

NOW = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
S = Settings()
META = {"beads": "bd-1", "provider": "claude", "token": "t1", "run_id": "20260304130000"}
H = Health


def ago(minutes: float) -> float:
    return (NOW - timedelta(minutes=minutes)).timestamp()


def runs(started: float, *, window: float | None = None, share: float = 0.0, frozen: float | None = None,
         tree: bool = True, event_value: float = 1.0, **moved: float) -> Running:
    """A worker started so many minutes ago; each witness named moved so many minutes ago, the others never."""
    since = started if window is None else window

    def witness(name: str, value: float = 1.0) -> Witness:
        return Witness(value, ago(moved.get(name, since)))

    beat = Beat(at=ago(0), since=ago(since), cpu=witness("cpu"), log=witness("log"),
                event=witness("event", event_value), tree=witness("tree") if tree else None, cpu_share=share,
                stopped_since=None if frozen is None else ago(frozen))  # fmt: skip
    return Running(7, ago(started), beat)


def with_tree(view: Running, minutes: float) -> Running:
    """The same, its worktree changed so many minutes ago."""
    assert view.beat is not None
    return replace(view, beat=replace(view.beat, tree=Witness(2.0, ago(minutes))))


def job(view: WorkerView, *, outcome: dict[str, str] | None = None, log: int = 100,
        foreign: bool = False, log_at: float | None = None, **meta: str) -> Job:
    kept = {**META, **meta}
    return Job("bd-1", "claude", "/jobs/claude", view, {key: value for key, value in kept.items() if value},
               outcome or {}, log, log_at, foreign)


def health_of(one: Job | None, now: datetime = NOW) -> Health:
    return judge_job(one, now, S).health


def over_with(state: str, reason: str, **pairs: str) -> Job:
    return job(Exited(1, None, reason), outcome={"state": state, "reason_code": reason, "exit_code": "1", **pairs})


# --- twelve behaviours --------------------------------------------------------------------------------

BEHAVIOURS: dict[str, tuple[WorkerView, Health]] = {
    "a silent 30-minute test run that uses CPU and has printed before": (runs(60, log=31, share=0.9), H.HEALTHY),
    "a busy loop that never printed nor changed anything": (runs(40, share=1.0), H.NO_OP),
    "blocked on stdin, everything flat": (runs(60, log=21, cpu=21, event=21, tree=21), H.STALLED),
    "a network wait inside the limit": (runs(60, log=15, cpu=16, event=15, tree=50), H.HEALTHY),
    "stopped by SIGSTOP": (runs(60, log=0.5, frozen=1.5), H.STALLED),
    "a zombie: the reader saw no living process": (Missing(started=True), H.EXITED_ERR),
    "chatty, and idle": (runs(60, log=0.1, cpu=40, tree=59), H.HEALTHY),
    "the clock jumped: the window began anew": (runs(600, window=1, log=1, cpu=1), H.STARTING),
    "a laptop that slept for hours": (runs(600, window=0.5, log=590, cpu=590, event=590, tree=590), H.STARTING),
    "a dead ssh link": (Unknown("host b does not answer", NOW - timedelta(hours=3)), H.UNKNOWN),
    "pending in a queue": (Waiting("Resources"), H.WAITING),
    "ended, and its pipe still open": (Exited(0, None, "process_exit"), H.EXITED_OK),
}


@pytest.mark.req("N14", "A134", "A136", "C44", "C45", "B83", "B84")
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_each_of_twelve_behaviours_has_its_word(name: str) -> None:
    view, word = BEHAVIOURS[name]
    assert health_of(job(view)) is word


@pytest.mark.req("N14", "W7")
@pytest.mark.parametrize("name", ["a silent 30-minute test run that uses CPU and has printed before",
                                  "a network wait inside the limit", "chatty, and idle", "a dead ssh link",
                                  "a laptop that slept for hours", "pending in a queue"])
def test_none_that_works_or_cannot_be_asked_is_ever_a_stall_however_near_the_limit(name: str) -> None:
    view = BEHAVIOURS[name][0]
    for minutes in range(5):
        assert health_of(job(view), NOW + timedelta(minutes=minutes)) is not H.STALLED


@pytest.mark.req("W7", "N14")
@pytest.mark.parametrize(("frozen", "bound"), [(0.0, 1), (None, 20)], ids=["SIGSTOP", "blocked on stdin"])
def test_a_true_stall_is_found_at_its_bound_and_not_before(frozen: float | None, bound: int) -> None:
    """The bound in minutes from the last sign on."""
    began = job(runs(60, log=0, cpu=0, event=0, tree=0, frozen=frozen))
    stalled = [minute for minute in range(bound + 2) if health_of(began, NOW + minute * MINUTE) is H.STALLED]
    assert stalled == [bound, bound + 1]


@pytest.mark.req("B82", "B83", "P8")
def test_the_tree_s_cpu_time_alone_keeps_a_job_healthy_for_hours() -> None:
    busy = runs(300, log=290, event=290, tree=290, cpu=0.5)
    word = judge_job(job(busy), NOW, S)
    assert (word.health, word.reason) == (H.HEALTHY, "cpu_progress")


@pytest.mark.req("A135", "B85", "C43", "P33")
def test_a_start_is_silent_for_its_grace_and_not_a_second_longer() -> None:
    assert health_of(job(runs(4.9), log=0)) is H.STARTING
    assert judge_job(job(runs(4.9), log=0), NOW, S).reason == "no_output_within_grace"
    assert health_of(job(runs(5.1), log=0)) is H.HEALTHY
    assert dx_state(judge_job(job(runs(4.9)), NOW, S), ended=False) == "launching"


@pytest.mark.req("C46", "P33", "P34")
def test_no_op_counts_what_was_printed_or_changed_since_the_launch_and_nothing_else() -> None:
    assert health_of(job(runs(31, share=0.5), log=4000)) is H.NO_OP   # bytes of before the launch are no sign
    assert health_of(job(runs(29, share=0.5))) is H.HEALTHY
    assert health_of(job(runs(31, share=0.5, event=30.5))) is H.HEALTHY
    assert health_of(job(with_tree(runs(31, share=0.5), 30.5))) is H.HEALTHY   # a commit, in a clean tree
    assert health_of(job(runs(600, window=600, share=0.5, tree=False))) is H.HEALTHY   # no worktree to look at


@pytest.mark.parametrize(("signs", "reason"), [
    ({"log": 1.0}, "recent_log_activity"),
    ({"event": 1.0}, "recent_log_activity"),
    ({"share": 0.5}, "cpu_progress"),
])
def test_a_healthy_job_names_its_newest_sign(signs: dict[str, Any], reason: str) -> None:
    view = runs(60, **{"log": 9.0, "event": 9.0, "cpu": 9.0, **signs})
    assert judge_job(job(view, log=0), NOW, S).reason == reason


def test_a_change_in_the_worktree_says_whether_anything_was_printed() -> None:
    view = with_tree(runs(60, log=9, event=9, cpu=9), 1)
    assert judge_job(job(view, log=0), NOW, S).reason == "worktree_changed_no_output"
    assert judge_job(job(view, log=1), NOW, S).reason == "recent_log_activity"


# --- ends -----------------------------------------------------------------------------------------------


@pytest.mark.req("A137", "A138", "C47", "C48", "P2", "P3")
@pytest.mark.parametrize(("one", "word"), [
    (over_with("success", "process_exit", exit_code="0"), H.EXITED_OK),
    (over_with("failed", "process_exit"), H.EXITED_ERR),
    (over_with("failed", "claude_auth_blocked"), H.EXITED_ERR),
    (over_with("failed", "max_runtime", exit_code="124"), H.EXITED_ERR),
    (over_with("failed", "lost", exit_code="-"), H.EXITED_ERR),
    (over_with("killed", "killed", exit_code="137"), H.EXITED_ERR),
    (over_with("killed", "manual_stop"), H.STOPPED),
    (over_with("killed", "manual_stop", survivors="12,13"), H.LEAKED),
    (over_with("killed", "no_mutation_timeout"), H.NO_OP),
    (over_with("", "process_exit", exit_code="0"), H.EXITED_ERR),   # never the exit code alone
])
def test_an_end_is_what_the_outcome_says(one: Job, word: Health) -> None:
    assert health_of(one) is word


@pytest.mark.req("P1", "C75")
def test_a_run_that_vanished_is_an_error_with_a_reason_and_never_healthy() -> None:
    word = judge_job(job(Missing(started=True), log_at=ago(7)), NOW, S)
    assert (word.health, word.reason, word.since) == (H.EXITED_ERR, "lost", datetime.fromtimestamp(ago(7), UTC))
    rebooted = judge_job(job(Exited(None, None, "host_reboot", "the host was restarted")), NOW, S)
    assert (rebooted.health, rebooted.reason) == (H.EXITED_ERR, "host_reboot")
    unclaimed = judge_job(job(Missing(started=False)), NOW, S)
    assert (unclaimed.health, unclaimed.words) == (H.EXITED_ERR, "no wrapper ever took it up")


@pytest.mark.req("A139", "A82", "A83", "C49")
@pytest.mark.parametrize(("view", "outcome", "reason"), [
    (runs(10, log=0), {}, "max_retries"),
    (Exited(1, None, "stalled"), {"state": "killed", "reason_code": "stalled"}, "no_auto_restart"),
    (Missing(started=True), {}, ""),
])
def test_a_block_stands_whatever_became_of_the_run(view: WorkerView, outcome: dict[str, str], reason: str) -> None:
    word = judge_job(job(view, outcome=outcome, blocked="true", blocked_reason=reason), NOW, S)
    assert (word.health, word.reason) == (H.BLOCKED, reason or "blocked_flag_set")


@pytest.mark.req("P41")
@pytest.mark.parametrize("mark", ["false", "", "no", "TRUE?"])
def test_only_the_word_true_blocks(mark: str) -> None:
    assert health_of(job(runs(10, log=0), blocked=mark, blocked_reason="max_retries")) is H.HEALTHY


@pytest.mark.req("A140")
def test_what_has_no_record_is_missing() -> None:
    ghost = Job("bd-1", "claude", "/jobs", Missing(started=False), {}, {}, 0, None, foreign=True)
    assert [judge_job(one, NOW, S).reason for one in (None, ghost)] == ["no_meta", "no_meta"]
    assert health_of(None) is H.MISSING


# --- what older tools say -------------------------------------------------------------------------------


@pytest.mark.req("A22")
def test_the_four_old_words_are_a_projection_of_health() -> None:
    assert {str(one): old_state(one) for one in Health} == {
        "waiting": "running", "starting": "running", "healthy": "running", "no_op": "running", "unknown": "running",
        "leaked": "running", "stalled": "stalled", "exited_ok": "exited", "exited_err": "exited", "blocked": "exited",
        "stopped": "exited", "missing": "missing",
    }  # fmt: skip


@pytest.mark.req("C33", "C48")
@pytest.mark.parametrize("one", [
    over_with("success", "process_exit"), over_with("failed", "process_exit"), over_with("killed", "manual_stop"),
    over_with("killed", "manual_stop", survivors="9"), over_with("killed", "no_mutation"), job(Missing(started=True)),
    job(Exited(None, None, "host_reboot")), over_with("failed", "a_code_nobody_knows"),
])
def test_under_dx_runner_every_ended_job_reads_exited_ok_or_exited_err(one: Job) -> None:
    assert dx_state(judge_job(one, NOW, S), ended=over(one)) in {"exited_ok", "exited_err"}


@pytest.mark.req("C47")
def test_spellings_of_older_tools_are_read_and_written_and_mean_a_known_reason() -> None:
    assert set(OTHER_SPELLINGS.values()) <= set(REASONS)
    assert set(REASONS) >= BY_PEOPLE
    assert SPELT == ending._SPELLINGS   # what the wrapper writes is what we read
    for spelling, table in SPELT.items():
        for ours, theirs in table.items():
            assert reason_of({"reason_code": spelt(ours, spelling)}) == ours
            assert spelt(ours, "") == ours != theirs


@pytest.mark.req("A29", "A30", "A31", "C94", "C96", "C97", "C101")
def test_check_s_exit_codes_are_the_documented_ones() -> None:
    told = {code: {str(one) for one in Health if CHECK_EXIT[one] == code} for code in set(CHECK_EXIT.values())}
    assert told == {
        0: {"waiting", "starting", "healthy", "exited_ok", "stopped"}, 1: {"missing"}, 2: {"stalled"},
        3: {"exited_err", "blocked", "leaked"}, 23: {"no_op"}, 26: {"unknown"},
    }  # fmt: skip


# --- other hands' jobs ----------------------------------------------------------------------------------


@pytest.mark.req("X12")
@pytest.mark.parametrize(("view", "log", "word"), [
    (runs(60, event=5.1), 0, H.NO_OP),
    (runs(60, event=4.9), 0, H.HEALTHY),
    (runs(60, event=5.1, log=1), 10, H.HEALTHY),
    (runs(60, event=5.1, tree=False), 0, H.NO_OP),
    (runs(10, event_value=0.0), 0, H.HEALTHY),   # it never had a heartbeat
    (runs(25, event_value=0.0), 0, H.STALLED),
])
def test_a_foreign_heartbeat_that_stopped_beside_an_empty_log_is_a_no_op(
    view: Running, log: int, word: Health
) -> None:
    assert health_of(job(view, log=log, foreign=True, token="")) is word


@pytest.mark.req("X12")
def test_a_foreign_worktree_that_changed_since_the_launch_is_a_sign_of_work() -> None:
    assert health_of(job(with_tree(runs(60, event=6), 2), log=0, foreign=True, token="")) is H.HEALTHY


def test_a_foreign_job_without_a_pid_says_so() -> None:
    assert judge_job(job(Missing(started=False), foreign=True, token=""), NOW, S).reason == "pid_file_missing"


@pytest.mark.req("P40")
def test_the_latest_instance_is_the_one_whose_run_was_recorded_last_not_the_file_written_last() -> None:
    older = Job("bd-1", "claude", "/a", runs(60), {**META, "run_id": "20260304130000"}, {}, 1, ago(0))
    newer = Job("bd-1", "gemini", "/b", runs(60), {**META, "run_id": "20260304130001"}, {}, 1, ago(50))
    assert latest([newer, older]) is newer
    assert latest([older, newer]) is newer
