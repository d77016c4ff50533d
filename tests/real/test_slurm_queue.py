"""The queue against a real Slurm: what it submits, what it says of every end, and what it does not say when nobody
could be asked."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.script import Order, Wishes
from coordinator.adapters.executors.slurm.states import Kind, Standing
from coordinator.adapters.system.run import Ran, run
from coordinator.ports import Away, LaunchFailed
from tests.support.slurmd import Cluster
from tests.support.workers import until

NODE_FULL = 32


class Asked:
    """A queue of this cluster; `secrets` stand in the environment that submits."""

    def __init__(self, slurm: Cluster, poll: float = 0.2, **secrets: str) -> None:
        self.slurm = slurm
        self._env = {**os.environ, **slurm.env, **secrets}
        self.moved = timedelta()
        self.queue = Queue(self._run, self._now, timedelta(seconds=poll))
        self._outputs: dict[str, Path] = {}

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def _run(self, argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        return run(argv, env=self._env, stdin=stdin, timeout=timeout)

    def order(self, shell: str, **more: object) -> Order:
        """`more` are fields of the order or of its wishes, by their names."""
        token = uuid.uuid4().hex
        folder = self.slurm.folder
        wishes = {"mem": "50", **{name: more.pop(name) for name in list(more) if name in Wishes.__dataclass_fields__}}
        plain = Order(f"rpi-{token[:6]}", token, str(folder), str(folder / f"{token}.slurm"), ("sh", "-c", shell),
                      Wishes(**wishes))   # type: ignore[arg-type]
        return replace(plain, **more)   # type: ignore[arg-type]

    def submit(self, shell: str, **more: object) -> str:
        order = self.order(shell, **more)
        job = self.queue.submit(order)
        self._outputs[job] = Path(order.output)
        return job

    def see(self, job: str) -> Standing:
        return self.queue.look([job])[job]

    def wait(self, job: str, kind: Kind, enough: Callable[[Standing], bool] = lambda seen: True) -> Standing:
        until(lambda: self.see(job).kind is kind and enough(self.see(job)), f"job {job} to be {kind}")
        return self.see(job)

    def said(self, job: str) -> str:
        return self._outputs[job].read_text() if self._outputs[job].exists() else ""


@pytest.fixture
def asked(slurm: Cluster) -> Asked:
    return Asked(slurm)


def test_every_end_is_told_as_it_was(asked: Asked) -> None:
    well, seven = asked.submit("exit 0"), asked.submit("exit 7")
    killed, nowhere = asked.submit("kill -9 $$"), asked.submit("", wrapper=("/nowhere/python3", "w.pyz"))
    unopened = asked.submit("exit 0", output="/nowhere/gh.slurm")
    ends = {job: asked.wait(job, Kind.ENDED) for job in (well, seven, killed, nowhere, unopened)}
    assert [(ends[job].code, ends[job].signal) for job in (well, seven, killed, nowhere)] == [
        (0, None), (7, None), (None, 9), (127, None)]
    assert [ends[job].reason for job in ends] == ["", "", "", "", "launch_failed"]
    assert ends[seven].node == asked.slurm.node
    assert abs(ends[seven].ended_at - datetime.now(UTC).timestamp()) < 300


def test_the_script_is_the_wrapper_itself_and_nothing_of_the_submitter_is_in_it(slurm: Cluster) -> None:
    asked = Asked(slurm, GITHUB_TOKEN="ghp_secret", SBATCH_WAIT="1")
    tools = slurm.folder / "my 'tools'"
    tools.mkdir(exist_ok=True)
    (tools / "show").write_text("#!/bin/sh\necho found it\n")
    (tools / "show").chmod(0o755)
    job = asked.submit("show; env; echo pid $$ of $SLURM_TASK_PID; pwd; exit 5", path=(str(tools),))
    assert asked.wait(job, Kind.ENDED).code == 5
    said = asked.said(job).split("\n")
    assert said[0] == "found it"
    assert f"SLURM_JOB_ID={job}" in said
    assert not any("ghp_secret" in line or line.startswith(("SBATCH_WAIT", "SLURM_GET_USER_ENV")) for line in said)
    (pids,) = (line.split() for line in said if line.startswith("pid "))
    assert pids[1] == pids[3]
    assert str(slurm.folder) in said


HOSTILE = "a'b\"c $(touch PWNED) `id` ;\\ %j\n#SBATCH --job-name=evil\n--hold"


def test_hostile_values_stay_words(asked: Asked) -> None:
    shows = ("python3", "-c", "import sys; print(sys.argv[1:])", HOSTILE)
    order = asked.order("", name=f"rpi-{HOSTILE}", wrapper=shows,
                        output=str(asked.slurm.folder / "100%j" / "o'ut.slurm"))
    Path(order.output).parent.mkdir()
    job = asked.queue.submit(order)
    assert asked.wait(job, Kind.ENDED).code == 0
    assert Path(order.output).read_text() == f"{[HOSTILE]}\n"
    assert asked.slurm.shown(job)["JobName"] == "rpi-a'b\"c"   # as far as a word of it goes
    assert not list(asked.slurm.folder.glob("**/PWNED"))
    assert asked.queue.find(order.token) == job
    assert asked.see(job).name == order.name


def test_politeness_reaches_the_wrapper_alone_and_force_reaches_all(asked: Asked) -> None:
    deaf = "trap 'echo child heard' TERM; sleep 600 & wait"
    polite = asked.submit(f"trap 'echo wrapper heard; exit 4' TERM; sh -c \"{deaf}\" & wait")
    stubborn = asked.submit("trap '' TERM; echo on; sleep 600")
    until(lambda: "on" in asked.said(stubborn), "both to run")
    asked.wait(polite, Kind.RUNNING)
    asked.queue.cancel([polite, stubborn], hard=False)
    assert asked.wait(polite, Kind.ENDED).code == 4
    assert "wrapper heard" in asked.said(polite)
    assert "child heard" not in asked.said(polite)
    asked.wait(stubborn, Kind.RUNNING)
    asked.queue.cancel([polite, stubborn], hard=True)
    assert asked.wait(stubborn, Kind.ENDED).reason == "slurm_cancelled"


def test_what_waits_leaves_the_queue_when_cancelled_politely(asked: Asked) -> None:
    job = asked.submit("exit 0", args=("--hold",))
    assert "Slurm says JobHeldUser" in asked.wait(job, Kind.WAITING, lambda seen: "JobHeldUser" in seen.words).words
    asked.queue.cancel([job], hard=False)
    assert asked.wait(job, Kind.ENDED).reason == "slurm_cancelled"


def test_who_cancelled_it_is_told(asked: Asked) -> None:
    job = asked.submit("sleep 600")
    asked.wait(job, Kind.RUNNING)
    asked.slurm.run("scancel", job)
    assert f"by the user with the number {os.getuid()}" in asked.wait(
        job, Kind.ENDED, lambda seen: "by the user" in seen.words).words


def test_a_job_that_is_killed_for_its_memory_is_told_from_one_that_is_killed(asked: Asked) -> None:
    greedy = "import time; x = bytearray(400 << 20); time.sleep(60)"
    job = asked.submit("", wrapper=("python3", "-c", greedy), mem="100")
    seen = asked.wait(job, Kind.ENDED, lambda seen: seen.reason != "")
    assert (seen.reason, seen.signal) == ("slurm_oom", 9)
    assert seen.max_rss_kb >= 100 << 10


@pytest.mark.timeout(400)
def test_a_job_is_warned_before_its_limit_and_one_that_reaches_it_has_timed_out(asked: Asked) -> None:
    warned = asked.submit("trap 'echo warned; exit 3' USR1; echo on; sleep 600 & wait", time="1", warning=60)
    late = asked.submit("sleep 600", time="1")
    asked.wait(late, Kind.RUNNING)
    asked.slurm.expire(late)
    assert asked.wait(warned, Kind.ENDED).code == 3
    assert "warned" in asked.said(warned)
    assert asked.wait(late, Kind.ENDED).reason == "slurm_timeout"


@pytest.mark.parametrize(("more", "words"), [
    (dict(partition="short", time="10"), "lower slurm.time (Slurm says PartitionTimeLimit)"),
    (dict(args=("--nodes=2", "--ntasks=2")), "mend slurm.args (Slurm says PartitionNodeLimit)"),
    (dict(cpus=40, args=("--nodes=1-1",)), "its partition cannot hold it"),
])
def test_what_can_never_run_is_told_with_what_to_mend(asked: Asked, more: Mapping[str, object], words: str) -> None:
    job = asked.submit("exit 0", **more)
    assert asked.wait(job, Kind.NEVER, lambda seen: words in seen.words).reason == "slurm_never_runs"
    asked.queue.cancel([job], hard=False)
    assert asked.wait(job, Kind.ENDED).reason == "slurm_cancelled"


def test_a_plan_in_slurms_own_hands_runs_in_its_order_and_what_cannot_be_met_says_so(asked: Asked) -> None:
    first = asked.submit("sleep 1; exit 0")
    second = asked.submit("exit 0", depends=(first,))
    fails = asked.submit("sleep 1; exit 1")
    never = asked.submit("exit 0", depends=(second, fails))
    assert "Slurm says Dependency" in asked.wait(second, Kind.WAITING, lambda seen: "Dependency" in seen.words).words
    assert asked.wait(second, Kind.ENDED).started_at >= asked.wait(first, Kind.ENDED).ended_at
    seen = asked.wait(never, Kind.NEVER)
    assert (seen.reason, "did not end well" in seen.words) == ("slurm_never_runs", True)


@pytest.mark.parametrize(("more", "words"), [
    (dict(partition="nope"), "Mend slurm.partition"), (dict(mem="999G"), "Mend slurm.mem"),
    (dict(gres="gpu:4"), "Mend slurm.gres"), (dict(args=("--constraint=nope",)), "Mend slurm.args"),
    (dict(args=("--bogus=1",)), "unrecognized option"), (dict(time="soon"), "Mend slurm.time"),
    (dict(args=("--licenses=nope:1",)), "Mend slurm.args"),
])
def test_a_refusal_names_the_setting_to_mend(asked: Asked, more: Mapping[str, object], words: str) -> None:
    with pytest.raises(LaunchFailed, match=words) as refused:
        asked.submit("exit 0", **more)
    assert refused.value.reason == "slurm_submit_refused"


def test_a_suspended_job_waits_and_goes_on(asked: Asked) -> None:
    job = asked.submit("sleep 600")
    asked.wait(job, Kind.RUNNING)
    asked.slurm.run("scontrol", "suspend", job)
    assert asked.wait(job, Kind.WAITING).suspended
    asked.slurm.run("scontrol", "resume", job)
    asked.wait(job, Kind.RUNNING)


def test_a_job_that_gives_way_to_another_was_preempted_and_is_not_begun_again(asked: Asked) -> None:
    job = asked.submit("sleep 600", partition="low", cpus=NODE_FULL)
    asked.wait(job, Kind.RUNNING)
    asked.submit("sleep 2", cpus=NODE_FULL)
    assert asked.wait(job, Kind.ENDED).reason == "slurm_preempted"
    assert asked.slurm.run("scontrol", "requeue", job).returncode != 0


def test_a_node_that_fails_is_told(asked: Asked) -> None:
    job = asked.submit("sleep 600")
    asked.wait(job, Kind.RUNNING)
    asked.slurm.kill_node()
    assert asked.wait(job, Kind.ENDED).reason == "slurm_node_fail"


def test_a_drained_node_is_a_wait_with_its_reason_and_no_alarm(asked: Asked) -> None:
    asked.slurm.drain()
    job = asked.submit("exit 0")
    seen = asked.wait(job, Kind.WAITING, lambda seen: "down, drained or reserved" in seen.words)
    assert seen.reason == ""
    asked.slurm.resume()
    assert asked.wait(job, Kind.ENDED).code == 0


def test_an_array_is_one_job_and_each_of_its_tasks(asked: Asked) -> None:
    order = asked.order("exit $SLURM_ARRAY_TASK_ID", array="0-3%2")
    job = asked.queue.submit(order)
    assert asked.wait(job, Kind.ENDED).code in {1, 2, 3}
    found = asked.queue.look([f"{job}_{number}" for number in range(4)])
    until(lambda: all(asked.see(each).kind is Kind.ENDED for each in found), "all tasks")
    assert [asked.see(each).code for each in found] == [0, 1, 2, 3]
    assert asked.queue.find(order.token) == job


@pytest.mark.timeout(400)
def test_a_controller_that_is_away_ends_nothing_and_takes_no_job_twice(asked: Asked) -> None:
    job = asked.submit("sleep 600")
    asked.wait(job, Kind.RUNNING)
    heard = datetime.now(UTC)
    asked.slurm.stop_controller()
    seen = asked.wait(job, Kind.UNKNOWN)
    assert "nable to contact slurm controller" in seen.words
    assert seen.since <= datetime.now(UTC)
    assert (heard - seen.since) < timedelta(seconds=30)
    order = asked.order("sleep 600")
    with pytest.raises(Away, match="nable to contact slurm controller"):
        asked.queue.submit(order)
    for ask in (asked.queue.ours, lambda: asked.queue.cancel([job], hard=True)):
        with pytest.raises(Away):
            ask()
    assert asked.see(job).kind is Kind.UNKNOWN
    asked.slurm.start_controller()
    asked.wait(job, Kind.RUNNING)
    second = asked.queue.submit(order)
    assert asked.queue.submit(order) == second
    assert set(asked.queue.ours().values()) == {job, second}


def test_jobs_are_found_again_by_their_tokens_and_none_is_submitted_twice(asked: Asked) -> None:
    orders = [asked.order("sleep 600") for _ in range(8)]
    ids = [asked.queue.submit(order) for order in orders]
    again = Asked(asked.slurm)
    assert [again.queue.submit(order) for order in orders] == ids
    assert again.queue.ours() == {(order.name, order.token): job for order, job in zip(orders, ids, strict=True)}
    assert len(asked.slurm.run("squeue", "-h").stdout.splitlines()) == 8


def test_without_accounting_ends_are_told_by_the_queue(slurm_without_accounting: Cluster) -> None:
    asked = Asked(slurm_without_accounting)
    seven, killed = asked.submit("exit 7"), asked.submit("kill -9 $$")
    cancelled = asked.submit("sleep 600")
    asked.wait(cancelled, Kind.RUNNING)
    asked.queue.cancel([cancelled], hard=True)
    assert asked.wait(seven, Kind.ENDED).code == 7
    assert asked.wait(killed, Kind.ENDED).signal == 9
    assert asked.wait(cancelled, Kind.ENDED).reason == "slurm_cancelled"
    assert asked.wait("999", Kind.GONE).words == "Slurm has forgotten the job"
    assert sum(line.startswith("sacct") for line in asked.slurm.commands()) == 1


def test_without_its_database_ends_are_told_by_the_queue_and_the_forgotten_stay_unknown(asked: Asked) -> None:
    asked.slurm.stop_accounting()
    seven = asked.submit("exit 7")
    assert asked.wait(seven, Kind.ENDED).code == 7
    assert "Connection refused" in asked.wait("9999", Kind.UNKNOWN, lambda seen: "refused" in seen.words).words


@pytest.mark.timeout(600)
def test_five_hundred_jobs_cost_no_more_commands_a_poll_than_one(slurm: Cluster) -> None:
    """Held and short ones, looked at by several callers. Time is moved by hand: a poll each fifteen seconds."""
    asked = Asked(slurm, poll=15)
    order = asked.order("exit 0")
    jobs = [asked.queue.submit(replace(order, token=f"t{number}",
                                       wishes=replace(order.wishes, args=("--hold",) if number % 10 else ())))
            for number in range(500)]
    polls = 12
    for _ in range(polls):
        asked.moved += timedelta(seconds=15)
        for start in range(0, 500, 50):
            assert len(asked.queue.look(jobs[start:start + 50])) == 50
        assert len(asked.queue.look(jobs)) == 500
    made = Counter(line.split(" ", 1)[0] for line in slurm.commands())
    assert made["sbatch"] == 500
    assert made["squeue"] == 1 + polls
    assert made["sacct"] <= polls
    until(lambda: not slurm.run("squeue", "-h", "-t", "RUNNING,COMPLETING").stdout, "the end of the short ones")
    asked.moved += timedelta(seconds=15)
    kinds = [seen.kind for seen in asked.queue.look(jobs).values()]
    assert (kinds.count(Kind.WAITING), kinds.count(Kind.ENDED)) == (450, 50)
    asked.queue.cancel(jobs, hard=False)
    assert sum(line.startswith("scancel ") for line in slurm.commands()) == 2
    assert not slurm.run("squeue", "-h").stdout
