"""Every word of Slurm's has one meaning here, shown on recorded jobs and in a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.adapters.executors.slurm import reading, states
from coordinator.adapters.executors.slurm.reading import Account, Row
from coordinator.adapters.executors.slurm.states import STATES, Kind, Standing
from coordinator.domain.reasons import REASONS

RECORDED = Path(__file__).parents[1] / "recordings" / "slurm"
ROW = Row("7", "RUNNING", "None", 0, 0, 0, "n1", 100.0, 0.0, "tok", "rpi-a")
ACCOUNT = Account("7", "FAILED", 0, 9, 100.0, 130.0, "n1", "rpi-a")


def queued(when: str) -> dict[str, Standing]:
    return {row.id: states.of_row(row) for row in reading.rows((RECORDED / f"squeue-{when}.txt").read_text())}


def booked(when: str) -> dict[str, Standing]:
    text = (RECORDED / f"sacct-{when}.txt").read_text()
    return {each.id: states.of_account(each) for each in reading.accounts(text).values()}


@pytest.mark.parametrize(("job", "kind", "reason", "code", "signal"), [
    ("38", Kind.ENDED, "", 0, None), ("39", Kind.ENDED, "", 7, None), ("40", Kind.ENDED, "", None, 9),
    ("42", Kind.ENDED, "", 127, None), ("43", Kind.ENDED, "launch_failed", None, None),
    ("44", Kind.ENDED, "slurm_cancelled", None, 15), ("45", Kind.ENDED, "slurm_cancelled", 4, None),
    ("46", Kind.WAITING, "", None, None), ("47", Kind.NEVER, "slurm_preempted", None, None),
    ("48", Kind.WAITING, "", None, None), ("49", Kind.WAITING, "", None, None),
    ("50", Kind.NEVER, "slurm_never_runs", None, None), ("51", Kind.NEVER, "slurm_never_runs", None, None),
    ("53_0", Kind.RUNNING, "", None, None), ("53_5", Kind.WAITING, "", None, None),
    ("54", Kind.WAITING, "", None, None), ("55", Kind.ENDED, "slurm_never_runs", None, None),
])
def test_a_real_queue_is_understood(job: str, kind: Kind, reason: str, code: int | None, signal: int | None) -> None:
    seen = queued("midway")[job]
    assert (seen.kind, seen.reason) == (kind, reason)
    assert (seen.code, seen.signal) == (code, signal)
    if kind in {Kind.WAITING, Kind.NEVER}:
        assert seen.words


@pytest.mark.parametrize(("job", "reason"), [
    ("67", "slurm_timeout"), ("41", "slurm_oom"), ("64", "slurm_node_fail"), ("68", "slurm_preempted"),
    ("44", "slurm_cancelled"), ("40", ""), ("43", "launch_failed"), ("38", ""), ("39", ""),
    ("55", "slurm_never_runs"),
])
def test_real_accounts_are_understood(job: str, reason: str) -> None:
    everything = {**booked("midway"), **booked("end")}
    seen = everything[job]
    assert (seen.kind, seen.reason) == (Kind.ENDED, reason)


def test_who_cancelled_is_said() -> None:
    assert booked("midway")["44"].words == "the job was cancelled by the user with the number 0"


def test_a_kill_for_memory_is_told_from_any_other_kill() -> None:
    """A poll of Slurm's kills with 9 as anybody may; the cgroup leaves 0:125, or says so of the batch step."""
    poll = replace(ACCOUNT, step_signal=9, req_mem_kb=100, max_rss_kb=180)
    assert states.of_account(poll).reason == "slurm_oom"
    assert states.of_account(replace(poll, state="CANCELLED by 0", signal=0)).reason == "slurm_oom"
    assert states.of_account(replace(poll, max_rss_kb=99)).reason == ""
    assert states.of_account(replace(poll, req_mem_kb=0)).reason == ""
    assert states.of_account(replace(ACCOUNT, out_of_memory=True)).reason == "slurm_oom"
    line = reading.FIELD.join(["7", "FAILED", "0:125", "1", "2", "", "1M", "1", "n1", "rpi-a"])
    assert states.of_account(reading.accounts(line)["7"]).reason == "slurm_oom"
    step = "\n" + reading.FIELD.join(["7.batch", "OUT_OF_MEMORY", "0:125", "1", "2", "1K", "", "1", "n1", "batch"])
    assert states.of_account(reading.accounts(line.replace("0:125", "1:0") + step)["7"]).reason == "slurm_oom"


def test_a_step_that_the_agent_started_by_itself_does_not_end_its_job() -> None:
    job = reading.FIELD.join(["7", "COMPLETED", "0:0", "1", "2", "", "1M", "1", "n1", "rpi-a"])
    step = reading.FIELD.join(["7.0", "OUT_OF_MEMORY", "0:125", "1", "2", "9M", "", "1", "n1", "python"])
    seen = states.of_account(reading.accounts(f"{job}\n{step}")["7"])
    assert (seen.reason, seen.code, seen.max_rss_kb) == ("", 0, 9 << 10)


@pytest.mark.parametrize("short", sorted(states._SHORT))
def test_short_and_long_names_of_a_state_mean_the_same(short: str) -> None:
    assert states.full_name(short) in STATES
    assert states.of_row(replace(ROW, state=short)) == states.of_row(replace(ROW, state=states.full_name(short)))


@pytest.mark.parametrize("text", ["CANCELLED by 1000", "CANCELLED+", "CA"])
def test_spellings_of_a_cancelled_job(text: str) -> None:
    assert states.full_name(text) == "CANCELLED"


def test_every_reason_is_on_the_closed_list() -> None:
    assert {reason for _, reason, _ in STATES.values()} - {""} <= set(REASONS)


def test_a_state_that_nobody_knows_ends_nothing() -> None:
    seen = states.of_row(replace(ROW, state="TELEPORTED"))
    assert (seen.kind, seen.words) == (Kind.UNKNOWN, "Slurm calls it TELEPORTED, which is not known here")


@pytest.mark.parametrize(("reason", "setting"), [
    ("PartitionTimeLimit", "slurm.time"), ("QOSMaxWallDurationPerJobLimit", "slurm.time"),
    ("AssocMaxWallDurationPerJobLimit", "slurm.time"), ("PartitionConfig", "slurm.cpus"),
    ("AssocMaxCpuPerJobLimit", "slurm.cpus"), ("QOSMaxMemoryPerJob", "slurm.mem"), ("MaxMemPerLimit", "slurm.mem"),
    ("QOSMaxGRESPerJob", "slurm.gres"), ("InvalidAccount", "slurm.account"), ("InvalidQOS", "slurm.qos"),
    ("QOSNotAllowed", "slurm.qos"), ("BadConstraints", "slurm.args"), ("ReservationDeleted", "slurm.args"),
    ("QOSMinGRES", "slurm.qos"), ("AssocMaxCpuMinutesPerJobLimit", "slurm.time"), ("DependencyNeverSatisfied", ""),
])
def test_what_will_never_run_is_said_with_the_setting_to_mend(reason: str, setting: str) -> None:
    seen = states.of_row(replace(ROW, state="PENDING", reason=reason))
    assert (seen.kind, seen.reason) == (Kind.NEVER, "slurm_never_runs")
    assert setting in seen.words
    assert seen.words.endswith(f"(Slurm says {reason})")


@pytest.mark.parametrize("reason", [
    "Priority", "Resources", "None", "", "Dependency", "BeginTime", "Reservation", "Licenses", "JobHeldUser",
    "JobHeldAdmin", "PartitionDown", "ReqNodeNotAvail", "ReqNodeNotAvail,_UnavailableNodes:n[1-3]",
    "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
    "QOSMaxJobsPerUserLimit", "QOSGrpCpuLimit", "AssocGrpCPUMinutesLimit", "AssocMaxJobsLimit", "QOSMaxCpuPerUserLimit",
    "MaxCpuPerAccount", "QOSMaxSubmitJobPerUserLimit", "JobArrayTaskLimit", "Prolog", "Cleaning", "SomethingNew",
])
def test_a_legitimate_wait_alarms_nobody_and_has_words(reason: str) -> None:
    seen = states.of_row(replace(ROW, state="PENDING", reason=reason))
    assert (seen.kind, seen.reason) == (Kind.WAITING, "")
    assert len(seen.words) > len(reason)


@pytest.mark.parametrize("row", [
    replace(ROW, state="PENDING", reason="BeginTime", restarts=1), replace(ROW, state="REQUEUED"),
    replace(ROW, state="REQUEUE_HOLD"), replace(ROW, state="PENDING", reason="launch_failed_requeued_held"),
    replace(ROW, state="PENDING", reason="user_env_retrieval_failed_requeued_held"),
    replace(ROW, state="PENDING", reason="JobHoldMaxRequeue"), replace(ROW, state="SPECIAL_EXIT"),
])
def test_a_job_that_was_put_back_into_the_queue_is_not_run_again(row: Row) -> None:
    assert (states.of_row(row).kind, states.of_row(row).reason) == (Kind.NEVER, "slurm_preempted")


def test_a_second_start_that_ended_before_anybody_looked_is_still_a_requeue() -> None:
    seen = states.of_row(replace(ROW, state="FAILED", exit_code=75, restarts=1))
    assert (seen.kind, seen.reason) == (Kind.ENDED, "slurm_preempted")


def test_a_suspended_job_waits_though_it_was_begun() -> None:
    assert [states.of_row(replace(ROW, state=state)).suspended for state in ("SUSPENDED", "STOPPED", "PENDING")] \
        == [True, True, False]


@pytest.mark.parametrize(("text", "setting"), [
    ("invalid partition specified: nope", "slurm.partition"),
    ("Memory specification can not be satisfied", "slurm.mem"),
    ("Invalid generic resource (gres) specification", "slurm.gres"), ("Invalid qos specification", "slurm.qos"),
    ("Invalid account or account/partition combination specified", "slurm.account or slurm.partition"),
    ("Requested time limit is invalid (missing or exceeds some limit)", "slurm.time"),
    ("Invalid --time specification", "slurm.time"), ("CPU count per node can not be satisfied", "slurm.cpus"),
    ("unrecognized option '--bogus=1'", "slurm.args"), ("Invalid feature specification", "slurm.args"),
    ("Requested node configuration is not available", "slurm.cpus, slurm.mem or slurm.gres"), ("Go away", ""),
])
def test_a_refusal_points_at_the_setting_to_mend(text: str, setting: str) -> None:
    assert states.refusal(text) == setting


@pytest.mark.parametrize("text", [
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    "Batch job submission failed: Socket timed out on send/recv operation",
    "Batch job submission failed: Zero Bytes were transmitted or received",
    "Unable to establish configuration source", "squeue: no answer within 30 s",
    "Batch job submission failed: Slurm backup controller in standby mode",
    "Sending PersistInit msg: Connection refused",
    "Batch job submission failed: Resource temporarily unavailable",
])
def test_a_controller_that_could_not_be_asked_refuses_nothing(text: str) -> None:
    assert states.is_away(text)


@pytest.mark.parametrize("text", [
    "QOSMaxSubmitJobPerUserLimit", "AssocMaxSubmitJobLimit", "AssocGrpSubmitJobsLimit", "MaxSubmitJobsPerAccount",
])
def test_a_queue_that_is_full_for_now_is_no_refusal(text: str) -> None:
    assert states.is_full(f"{text}; Batch job submission failed: Job violates accounting/QOS policy")


def test_a_broken_setting_is_no_controller_that_is_away() -> None:
    for text in ("invalid partition specified: nope", "Invalid qos specification", "Job dependency problem",
                 "Access/permission denied", "unrecognized option '--bogus=1'"):
        assert not states.is_away(text)
        assert not states.is_full(text)


def test_an_array_stands_at_what_its_least_finished_task_stands_at() -> None:
    tasks = queued("midway")
    array = [tasks[each] for each in ("53_0", "53_1", "53_5")]
    assert states.together(array).kind is Kind.RUNNING
    assert states.together(array[1:]).kind is Kind.WAITING
    good = Standing(Kind.ENDED, code=0)
    assert states.together([good, array[1]]).code == 1
    assert states.together([good, good]) == good
