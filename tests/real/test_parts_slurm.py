"""What is relied on of Slurm and of our cluster for tests, each held by the real thing."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd
from tests.support.workers import until

WAITS = "echo on; sleep 600 & wait"
FULL = "--cpus-per-task=32"


def running(slurm: Cluster, script: str, *options: str) -> str:
    """A job that has said its first word."""
    job = slurm.submit(script, *options)
    until(lambda: slurm.said(job), "the first word of a job")
    return job


def state(slurm: Cluster, job: str, wanted: str) -> dict[str, str]:
    """What is shown of a job as soon as it is as `wanted`."""
    until(lambda: slurm.shown(job).get("JobState") == wanted, f"{wanted} of job {job}")
    return slurm.shown(job)


def hears(slurm: Cluster, job: str) -> bool:
    """Whether signals reach the job's script. What Slurm is asked to send in the first moments of a script is lost."""
    slurm.run("scancel", "--batch", "--signal=USR2", job)
    return "hears\n" in slurm.said(job)


def reason(slurm: Cluster, job: str) -> str:
    return slurm.run("squeue", "-h", "-j", job, "-t", "PENDING", "-o", "%r").stdout.strip()


@pytest.mark.timeout(240)
def test_a_job_is_warned_before_its_time_is_over_and_ends_by_timeout_after_it(slurm: Cluster) -> None:
    warned = running(slurm, f"trap 'echo warned; exit 3' USR1; {WAITS}", "--time=1", "--signal=B:USR1@60")
    late = running(slurm, WAITS)
    slurm.expire(late)
    assert state(slurm, warned, "FAILED")["ExitCode"] == "3:0"
    assert slurm.said(warned).startswith("on\nwarned\n")
    assert state(slurm, late, "TIMEOUT")["Reason"] == "TimeLimit"
    assert "DUE TO TIME LIMIT" in slurm.said(late)
    until(lambda: slurm.accounted(late, "State") == ["TIMEOUT"], "its end in sacct")


def test_the_end_of_a_job_is_told_by_state_and_exit_code(slurm: Cluster) -> None:
    failed, well = slurm.submit("echo no; exit 7"), slurm.submit("echo yes")
    until(lambda: slurm.accounted(failed, "State", "ExitCode") == ["FAILED", "7:0"], "its end in sacct")
    until(lambda: slurm.accounted(well, "State", "ExitCode") == ["COMPLETED", "0:0"], "its end in sacct")
    assert (slurm.said(failed), slurm.said(well)) == ("no\n", "yes\n")


def test_a_cancelled_job_runs_its_trap_and_says_who_cancelled_it(slurm: Cluster) -> None:
    job = slurm.submit("trap 'echo hears' USR2; trap 'echo asked; exit 0' TERM; sleep 600 & until wait; do :; done")
    until(lambda: hears(slurm, job), "its answer to a signal: before, none is passed on to it")
    slurm.run("scancel", job)
    state(slurm, job, "CANCELLED")
    until(lambda: "asked\n" in slurm.said(job), "what its trap says")
    until(lambda: slurm.accounted(job, "State") == [f"CANCELLED by {os.getuid()}"], "its end in sacct")


def test_a_job_deaf_to_the_first_signal_is_killed_after_killwait(slurm: Cluster) -> None:
    job = running(slurm, "trap '' TERM; echo on; sleep 600")
    slurm.run("scancel", job)
    state(slurm, job, "CANCELLED")
    until(lambda: not slurm.run("squeue", "-h").stdout, "the end of COMPLETING")


def test_name_and_comment_of_a_job_are_in_the_queue_and_in_accounting(slurm: Cluster) -> None:
    job = running(slurm, WAITS, "--job-name=rpi-gh-7", "--comment=token 1")
    assert slurm.run("squeue", "-h", "-o", "%A|%j|%k|%T").stdout == f"{job}|rpi-gh-7|token 1|RUNNING\n"
    slurm.run("scancel", job)
    until(lambda: slurm.accounted(job, "JobName", "Comment") == ["rpi-gh-7", "token 1"], "its row in sacct")


@pytest.mark.parametrize(("option", "words"), [
    ("--partition=nope", "Invalid partition name specified"),
    ("--mem=99999999", "Requested node configuration is not available"),
    ("--dependency=nope:1", "Job dependency problem"),
])  # fmt: skip
def test_what_can_never_be_is_refused_at_submission(slurm: Cluster, option: str, words: str) -> None:
    refused = slurm.run("sbatch", option, "--wrap=true")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert words in refused.stderr


def test_what_is_over_a_limit_or_waits_for_a_failure_pends_for_ever(slurm: Cluster) -> None:
    failed = slurm.submit("exit 1")
    state(slurm, failed, "FAILED")
    long = slurm.submit("true", "--partition=short", "--time=10")
    after = slurm.submit("true", f"--dependency=afterok:{failed}")
    until(lambda: reason(slurm, long) == "PartitionTimeLimit", "why it does not run")
    until(lambda: reason(slurm, after) == "DependencyNeverSatisfied", "why it does not run")


def test_a_job_runs_after_those_it_depends_on(slurm: Cluster) -> None:
    note = slurm.folder / "first-may-end"
    first = running(slurm, f"echo on; until [ -e {note} ]; do sleep 0.1; done; rm {note}")
    second = slurm.submit("true", f"--dependency=afterok:{first}")
    until(lambda: reason(slurm, second) == "Dependency", "why it does not run")
    note.touch()
    state(slurm, second, "COMPLETED")


def test_each_task_of_an_array_has_a_number_and_an_end_of_its_own(slurm: Cluster) -> None:
    job = slurm.submit("exit $SLURM_ARRAY_TASK_ID", "--array=0-2")

    def ends() -> list[str]:
        return sorted(slurm.run("sacct", "-n", "-X", "-P", "-j", job, "-o", "JobID,State,ExitCode").stdout.split())

    until(lambda: ends() == [f"{job}_0|COMPLETED|0:0", f"{job}_1|FAILED|1:0", f"{job}_2|FAILED|2:0"], "their ends")


def test_without_its_controller_clients_fail_with_words_and_jobs_run_on(slurm: Cluster) -> None:
    note = slurm.folder / "may-end"
    job = running(slurm, f"echo on; until [ -e {note} ]; do sleep 0.1; done; rm {note}; echo done")
    slurm.stop_controller()
    for client, code in (["squeue"], 1), (["sbatch", "--wrap=true"], 1), (["scancel", job], 8):
        answer = slurm.run(*client)
        assert (answer.returncode, answer.stdout) == (code, "")
        assert "Unable to contact slurm controller" in answer.stderr
    assert slurm.accounted(job, "State")[0] in ("PENDING", "RUNNING"), "sacct answers with what it heard last"
    slurm.start_controller()
    assert slurm.shown(job)["JobState"] == "RUNNING"
    note.touch()
    state(slurm, job, "COMPLETED")
    assert slurm.said(job) == "on\ndone\n"


def test_without_its_accountant_sacct_fails_and_hears_of_an_end_later(slurm: Cluster) -> None:
    slurm.stop_accounting()
    answer = slurm.run("sacct")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "Problem talking to the database" in answer.stderr
    job = slurm.submit("exit 4")
    state(slurm, job, "FAILED")
    slurm.start_accounting()
    until(lambda: slurm.accounted(job, "State") == ["FAILED"], "its end in sacct", seconds=30)


def test_a_cluster_without_accounting_says_so_and_the_controller_knows_ends(slurm_without_accounting: Cluster) -> None:
    slurm = slurm_without_accounting
    job = slurm.submit("exit 5")
    assert state(slurm, job, "FAILED")["ExitCode"] == "5:0"
    answer = slurm.run("sacct")
    assert answer.returncode == 1
    assert "Slurm accounting storage is disabled" in answer.stderr


def test_jobs_of_a_node_that_is_gone_fail_or_are_queued_again_while_their_processes_live(slurm: Cluster) -> None:
    lost = running(slurm, f"echo $$; {WAITS}", "--no-requeue")
    again = running(slurm, WAITS, "--requeue")
    pid = int(slurm.said(lost).split()[0])
    slurm.kill_node()
    assert state(slurm, lost, "NODE_FAIL")["Reason"] == "NodeDown"
    assert state(slurm, again, "PENDING")["Restarts"] == "1"
    until(lambda: slurm.accounted(lost, "State") == ["NODE_FAIL"], "its end in sacct")
    assert psutil.pid_exists(pid), "nobody told it"
    slurm.start_node()
    until(lambda: not psutil.pid_exists(pid), "its end, when the node hears of it")
    assert slurm.shown(lost)["JobState"] == "NODE_FAIL"


@pytest.mark.parametrize(("option", "end"), [("--no-requeue", "PREEMPTED"), ("--requeue", "PENDING")])
def test_a_job_gives_way_to_a_higher_partition_with_a_signal_first(slurm: Cluster, option: str, end: str) -> None:
    job = running(slurm, f"trap 'echo asked; exit 0' TERM; {WAITS}", "--partition=low", FULL, option)
    over = slurm.submit("echo on", FULL)
    assert state(slurm, job, end)["Restarts"] == ("1" if end == "PENDING" else "0")
    until(lambda: "asked\n" in slurm.said(job), "what its trap says", 60.0)
    assert "DUE TO PREEMPTION" in slurm.said(job)
    state(slurm, over, "COMPLETED")


def test_a_job_that_takes_too_much_memory_is_killed_and_its_output_says_so(slurm: Cluster) -> None:
    job = slurm.submit("exec python3 -c 'import time; much = b\"x\" * 300_000_000; time.sleep(600)'", "--mem=50")
    assert state(slurm, job, "FAILED")["ExitCode"] == "0:9"
    assert "Exceeded job memory limit" in slurm.said(job)
    rows = ("sacct", "-n", "-P", "-j", job, "-o", "JobID,State")
    until(lambda: f"{job}.batch|CANCELLED by 0\n" in slurm.run(*rows).stdout, "its step in sacct")


def test_a_drained_node_takes_no_job_until_it_is_resumed(slurm: Cluster) -> None:
    on = running(slurm, WAITS)
    slurm.drain()
    job = slurm.submit("true")
    until(lambda: "DRAINED" in reason(slurm, job), "why it does not run")
    assert slurm.shown(on)["JobState"] == "RUNNING"
    slurm.resume()
    state(slurm, job, "COMPLETED")


def test_twenty_jobs_run_at_once_on_any_machine(slurm: Cluster) -> None:
    for _ in range(20):
        slurm.submit("sleep 600")
    until(lambda: slurm.run("squeue", "-h", "-t", "RUNNING").stdout.count("\n") == 20, "all twenty")


def test_calls_of_clients_are_counted_also_through_ssh(slurm: Cluster, tmp_path: Path) -> None:
    with Sshd(tmp_path / "login", "login", environ=slurm.env) as login:
        asked = login.run("sbatch --parsable --wrap='exit 6' && squeue -h -o %T")
    assert asked.returncode == 0, asked.stderr
    state(slurm, asked.stdout.split()[0], "FAILED")
    assert slurm.commands() == ["sbatch --parsable --wrap=exit 6", "squeue -h -o %T"]


def test_nothing_is_left_of_a_cluster_that_was_stopped_in_the_middle(slurm_without_accounting: Cluster) -> None:
    slurm = slurm_without_accounting
    job = running(slurm, "env -i sh -c 'trap \"\" TERM; echo $$; sleep 600'")
    pid = int(slurm.said(job))
    carried = {process.name() for process in slurm.living()}
    assert {"slurmctld", "slurmd", "munged", "slurmstepd", "sleep"} <= carried
    slurm.stop()
    assert list(slurm.living()) == []
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its end")


def test_what_a_job_leaves_to_nobody_does_not_outlive_its_test(slurm: Cluster) -> None:
    """Here Slurm knows a job's processes by their parents alone."""
    job = slurm.submit("setsid sh -c 'sleep 600 & echo $!'")
    pid = int(until(lambda: slurm.said(job).strip(), "the pid of what it leaves"))
    until(lambda: slurm.shown(job).get("JobState") == "COMPLETED", "its end")
    assert psutil.pid_exists(pid)
    slurm.tidy()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
