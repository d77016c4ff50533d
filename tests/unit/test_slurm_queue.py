"""The queue as its callers share it, against a small Slurm that answers, refuses, forgets and goes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.reading import FIELD, RECORD
from coordinator.adapters.executors.slurm.script import Order, Wishes
from coordinator.adapters.executors.slurm.states import Kind
from coordinator.adapters.system.run import Ran
from coordinator.ports import Away, LaunchFailed

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
POLL = timedelta(seconds=15)
ORDER = Order("rpi-gh-1", "tok-1", "/w", "/w/gh-1.slurm", ("python3", "w.pyz"))
DOWN = Ran(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")


@dataclass
class Job:
    id: str
    name: str
    token: str
    state: str = "PENDING"
    reason: str = "Priority"
    status: str = "0"
    exit: str = "0:0"
    queued: bool = True
    booked: bool = True
    stepped: bool = True
    killed: str = ""


@dataclass
class Slurm:
    """Every command is counted; what the test says is what it answers."""

    now: datetime = NOW
    jobs: dict[str, Job] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    down: Ran | None = None
    sacct: Ran | None = None
    sbatch: Ran | None = None
    lost_reply: bool = False
    words: list[list[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        if list(argv) == ["env", "-0"]:
            return Ran(0, "Welcome to the cluster\n\nHOME=/home/u\0PATH=/bin\0GITHUB_TOKEN=ghp_1\0SBATCH_WAIT=1\0", "")
        program = next(word for word in argv if word in {"squeue", "sacct", "sbatch", "scancel"})
        self.asked[program] += 1
        self.words.append(list(argv))
        if self.down is not None and program != "sacct":
            return self.down
        answers = {"squeue": self._squeue, "sacct": self._sacct, "sbatch": self._sbatch, "scancel": self._scancel}
        return answers[program](list(argv))

    def add(self, job_id: str, **kept: str) -> Job:
        return self.jobs.setdefault(job_id, Job(job_id, **{"name": "rpi-x", "token": f"tok-{job_id}", **kept}))

    def end(self, job_id: str, state: str, status: str, exit_code: str) -> None:
        job = self.jobs[job_id]
        job.state, job.status, job.exit, job.reason = state, status, exit_code, "None"

    def _squeue(self, argv: list[str]) -> Ran:
        shown = [(job.id, job.id, job.state, job.reason, job.status, "0", "n1", "100", "200", job.token, job.name)
                 for job in self.jobs.values() if job.queued]
        return Ran(0, "".join(FIELD.join(each) + RECORD + "\n" for each in shown), "")

    def _sacct(self, argv: list[str]) -> Ran:
        if self.sacct is not None:
            return self.sacct
        wanted = next(word for word in argv if word.startswith("--jobs=")).removeprefix("--jobs=").split(",")
        shown = [(job.id, job.state, job.exit, "100", "200", "", "1M", "1", "n1", job.name)
                 for job in self.jobs.values() if job.booked and {job.id.split("_")[0], job.id} & set(wanted)]
        steps = [(f"{job.id}.batch", job.state, job.exit, "100", "200", job.killed, "", "1", "n1", "batch")
                 for job in self.jobs.values() if job.stepped]
        return Ran(0, "".join(FIELD.join(each) + "\n" for each in (*shown, *steps)), "")

    def _sbatch(self, argv: list[str]) -> Ran:
        if self.sbatch is not None:
            return self.sbatch
        given = dict(word.removeprefix("--").split("=", 1) for word in argv if "=" in word)
        job = self.add(str(len(self.jobs) + 1), name=given["job-name"], token=given["comment"])
        return Ran(124, "", "sbatch: no answer within 90 s") if self.lost_reply else Ran(0, f"{job.id};c1\n", "")

    def _scancel(self, argv: list[str]) -> Ran:
        gone = [f"scancel: error: Kill job error on job id {each}: Invalid job id specified"
                for each in argv[argv.index("--me") + 1:] if not each.startswith("--") and each not in self.jobs]
        return Ran(1 if gone else 0, "", "\n".join(gone))


@pytest.fixture
def slurm() -> Slurm:
    return Slurm()


@pytest.fixture
def queue(slurm: Slurm) -> Queue:
    return Queue(slurm.run, lambda: slurm.now, POLL)


def later(slurm: Slurm, by: timedelta = POLL) -> None:
    slurm.now += by


def test_a_job_is_submitted_once_however_often_it_is_ordered(slurm: Slurm, queue: Queue) -> None:
    assert [queue.submit(ORDER) for _ in range(3)] == ["1", "1", "1"]
    assert slurm.asked == {"squeue": 1, "sbatch": 1}


def test_a_restarted_coordinator_finds_its_jobs_by_their_tokens_and_submits_none_anew(slurm: Slurm) -> None:
    orders = [replace(ORDER, token=f"t{number}") for number in range(8)]
    before = Queue(slurm.run, lambda: slurm.now, POLL)
    ids = [before.submit(order) for order in orders]
    after = Queue(slurm.run, lambda: slurm.now, POLL)
    assert [after.submit(order) for order in orders] == ids
    assert slurm.asked == {"squeue": 2, "sbatch": 8}


def test_an_answer_of_sbatch_that_was_lost_is_looked_for_before_the_next_try(slurm: Slurm, queue: Queue) -> None:
    slurm.lost_reply = True
    with pytest.raises(Away, match="no answer within"):
        queue.submit(ORDER)
    slurm.lost_reply = False
    assert queue.submit(ORDER) == "1"
    assert slurm.asked["sbatch"] == 1


def test_a_controller_that_is_down_takes_no_job_and_refuses_none(slurm: Slurm, queue: Queue) -> None:
    slurm.down = DOWN
    with pytest.raises(Away, match="Unable to contact slurm controller"):
        queue.submit(ORDER)
    slurm.down = None
    assert queue.submit(ORDER) == "1"


@pytest.mark.parametrize(("changed", "said", "cure"), [
    ({"depends": ("7",)}, "Batch job submission failed: Job dependency problem",
     "Mend --after: Slurm must still know each of those jobs."),
    ({"array": "0-9"}, "Batch job submission failed: Invalid job array specification",
     "Mend --array: the cluster limits how high its numbers may be."),
    ({}, "Batch job submission failed: Job dependency problem", "Mend slurm.args in coordinator.toml."),
    ({"depends": ("7",), "array": "0-9"}, "invalid qos", "Mend slurm.qos in coordinator.toml."),
])
def test_what_a_person_asked_for_is_mended_where_it_was_asked_for(
        slurm: Slurm, queue: Queue, changed: dict[str, object], said: str, cure: str) -> None:
    slurm.sbatch = Ran(1, "", f"sbatch: error: {said}")
    with pytest.raises(LaunchFailed) as failed:
        queue.submit(replace(ORDER, **changed))
    assert failed.value.words == f"Slurm refused the job: {said}. {cure}"


def test_where_there_is_no_squeue_the_setting_that_helps_is_named(slurm: Slurm, queue: Queue) -> None:
    slurm.down = Ran(127, "", "env: 'squeue': No such file or directory")
    with pytest.raises(Away) as away:
        queue.find("tok-1")
    assert away.value.words == ("env: 'squeue': No such file or directory. Set slurm.login to a host that has Slurm's "
                                "commands, or install them here.")


def test_a_refusal_carries_slurms_words_and_the_setting(slurm: Slurm, queue: Queue) -> None:
    slurm.sbatch = Ran(1, "", "sbatch: error: invalid partition specified: x\nsbatch: error: Job submission failed")
    with pytest.raises(LaunchFailed) as failed:
        queue.submit(ORDER)
    assert failed.value.reason == "slurm_submit_refused"
    assert failed.value.words == ("Slurm refused the job: invalid partition specified: x; Job submission failed. "
                                  "Mend slurm.partition in coordinator.toml.")


@pytest.mark.parametrize(("answer", "error", "words"), [
    (Ran(127, "", "env: 'sbatch': No such file or directory"), LaunchFailed, "Set slurm.login to a host that"),
    (Ran(1, "", "sbatch: error: QOSMaxSubmitJobPerUserLimit"), Away, "QOSMaxSubmitJobPerUserLimit"),
    (Ran(0, "", "sbatch: warning: odd"), Away, "sbatch named no job: warning: odd"),
    (Ran(1, "", ""), LaunchFailed, "it ended with 1 and said nothing. Mend \\[slurm\\]"),
])
def test_what_sbatch_may_answer(
    slurm: Slurm, queue: Queue, answer: Ran, error: type[Exception], words: str
) -> None:
    slurm.sbatch = answer
    with pytest.raises(error, match=words):
        queue.submit(ORDER)


def test_keys_of_the_place_where_a_job_is_submitted_do_not_go_along(slurm: Slurm, queue: Queue) -> None:
    queue.submit(ORDER)
    assert slurm.words[-1][:5] == ["env", "-i", "HOME=/home/u", "PATH=/bin", "sbatch"]


def test_arguments_that_would_lose_the_job_are_refused_before_slurm_is_asked(slurm: Slurm, queue: Queue) -> None:
    with pytest.raises(LaunchFailed, match=r"slurm\.args: --wait: sbatch would not return"):
        queue.submit(replace(ORDER, wishes=Wishes(args=("--wait",))))
    assert not slurm.asked


def test_hundreds_of_jobs_cost_one_question_a_poll_whoever_looks_and_however_often(slurm: Slurm, queue: Queue) -> None:
    ids = [queue.submit(replace(ORDER, token=f"t{number}")) for number in range(500)]
    for _ in range(20):
        for start in range(0, 500, 100):
            assert len(queue.look(ids[start:start + 100])) == 100
    assert slurm.asked["squeue"] == 1   # the one before the first submission
    for _ in range(10):
        later(slurm)
        slurm.end(ids.pop(), "FAILED", "1792", "7:0")
        for start in range(0, 500, 100):
            queue.look(ids[start:start + 100])
    assert slurm.asked["squeue"] == 11
    assert slurm.asked["sacct"] <= 10


def test_a_clock_that_is_set_back_delays_no_question(slurm: Slurm, queue: Queue) -> None:
    job = queue.submit(ORDER)
    queue.look([job])
    slurm.end(job, "FAILED", "1792", "7:0")
    later(slurm, timedelta(hours=-5))
    assert queue.look([job])[job].kind is Kind.ENDED


def test_an_end_is_told_once_and_asked_about_never_again(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1")
    slurm.end("1", "TIMEOUT", "15", "0:15")
    first = queue.look(["1"])["1"]
    slurm.down = DOWN
    later(slurm, timedelta(hours=23))
    assert queue.look(["1"])["1"] == first
    assert (first.kind, first.reason, first.since) == (Kind.ENDED, "slurm_timeout", NOW)
    assert slurm.asked == {"squeue": 1, "sacct": 1}


def test_what_one_caller_learns_the_others_know(slurm: Slurm, queue: Queue) -> None:
    first, second = queue.submit(ORDER), queue.submit(replace(ORDER, token="tok-2"))
    slurm.jobs[first].state = slurm.jobs[second].state = "RUNNING"
    later(slurm)
    queue.look([first])
    assert queue.look([second])[second].kind is Kind.RUNNING
    assert slurm.asked["squeue"] == 2


def test_since_when_it_stands_so_does_not_move(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1")
    queue.look(["1"])
    later(slurm)
    assert queue.look(["1"])["1"].since == NOW
    slurm.jobs["1"].state = "RUNNING"
    later(slurm)
    assert queue.look(["1"])["1"].since == NOW + 2 * POLL


def test_while_the_controller_is_away_nothing_is_known_since_it_was_found_away(slurm: Slurm, queue: Queue) -> None:
    """Not since it was last heard: nobody may have asked for hours."""
    slurm.add("1", state="RUNNING")
    queue.look(["1"])
    slurm.down = DOWN
    for _ in range(3):
        later(slurm)
        seen = queue.look(["1"])["1"]
        assert (seen.kind, seen.since) == (Kind.UNKNOWN, NOW + POLL)
        assert "Unable to contact slurm controller" in seen.words
    slurm.down = None
    later(slurm)
    assert queue.look(["1"])["1"].kind is Kind.RUNNING


def test_a_failing_question_is_not_asked_more_often_than_any_other(slurm: Slurm, queue: Queue) -> None:
    slurm.down = DOWN
    for _ in range(50):
        queue.look(["1"])
    assert slurm.asked["squeue"] == 1


def test_without_accounting_the_queue_itself_tells_the_end_and_then_it_is_forgotten(slurm: Slurm, queue: Queue) -> None:
    slurm.sacct = Ran(1, "", "Slurm accounting storage is disabled\n")
    slurm.add("1")
    slurm.add("2")
    slurm.end("1", "FAILED", "1792", "")
    assert (queue.look(["1", "2"])["1"].code, queue.look(["2"])["2"].kind) == (7, Kind.WAITING)
    slurm.jobs["1"].queued = slurm.jobs["2"].queued = False
    later(slurm)
    seen = queue.look(["1", "2"])
    assert (seen["1"].code, seen["2"].kind) == (7, Kind.GONE)
    assert slurm.asked["sacct"] == 1   # once off, it is not asked again


def test_accounting_that_is_late_makes_a_job_unknown_before_it_is_gone(slurm: Slurm, queue: Queue) -> None:
    job = slurm.add("1", state="RUNNING")
    queue.look(["1"])
    job.queued = job.booked = False
    later(slurm)
    assert queue.look(["1"])["1"].kind is Kind.UNKNOWN
    job.booked, job.state = True, "COMPLETED"
    later(slurm)
    assert (queue.look(["1"])["1"].kind, queue.look(["1"])["1"].code) == (Kind.ENDED, 0)


def test_a_job_that_neither_queue_nor_accounting_knows_is_gone_after_some_minutes(slurm: Slurm, queue: Queue) -> None:
    queue.look(["9"])
    kinds = []
    for _ in range(12):
        later(slurm)
        kinds.append(queue.look(["9"])["9"].kind)
    assert kinds[0] is Kind.UNKNOWN
    assert kinds[-1] is Kind.GONE
    assert kinds == sorted(kinds, key=(Kind.UNKNOWN, Kind.GONE).index)


def test_a_database_that_is_down_leaves_a_job_that_left_the_queue_unknown(slurm: Slurm, queue: Queue) -> None:
    slurm.sacct = Ran(1, "", "sacct: error: Problem talking to the database: Connection refused")
    seen = queue.look(["9"])["9"]
    for _ in range(20):
        later(slurm)
        seen = queue.look(["9"])["9"]
    assert seen.kind is Kind.UNKNOWN
    assert "Problem talking to the database" in seen.words


def test_accounting_that_still_says_running_does_not_bring_a_job_back(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1", state="RUNNING").queued = False
    for _ in range(12):
        queue.look(["1"])
        later(slurm)
    assert queue.look(["1"])["1"].kind is Kind.GONE


def test_the_words_of_accounting_outrank_those_of_the_queue(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1")
    slurm.end("1", "CANCELLED by 1000", "15", "0:15")
    assert queue.look(["1"])["1"].words == "the job was cancelled by the user with the number 1000"


def test_a_kill_for_memory_is_known_when_the_step_is_written_down(slurm: Slurm, queue: Queue) -> None:
    job = slurm.add("1")
    slurm.end("1", "FAILED", "9", "0:9")
    job.stepped = False
    assert (queue.look(["1"])["1"].signal, queue.look(["1"])["1"].reason) == (9, "")
    job.stepped, job.killed = True, "2M"
    later(slurm)
    assert queue.look(["1"])["1"].reason == "slurm_oom"
    later(slurm)
    queue.look(["1"])
    assert slurm.asked["sacct"] == 2


def test_an_array_is_one_job_and_many(slurm: Slurm, queue: Queue) -> None:
    for number, state in enumerate(("COMPLETED", "RUNNING", "PENDING")):
        slurm.add(f"4_{number}", state=state, token="t")
    seen = queue.look(["4", "4_0", "4_2"])
    assert [seen[each].kind for each in ("4", "4_0", "4_2")] == [Kind.RUNNING, Kind.ENDED, Kind.WAITING]
    assert queue.find("t") == "4"


def test_ours_are_found_again_by_name_and_token_and_no_others(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1", name="rpi-gh-1", token="a", state="RUNNING")
    slurm.add("2", name="rpi-gh-2", token="b", state="COMPLETED")
    slurm.add("3", name="simulation", token="c")
    slurm.add("4", name="rpi-gh-4", token="(null)")
    assert queue.ours() == {("rpi-gh-1", "a"): "1"}
    assert (queue.find("b"), queue.find("nobody")) == ("2", None)


def test_finding_our_own_again_and_again_costs_no_more_than_looking(slurm: Slurm, queue: Queue) -> None:
    job = queue.submit(ORDER)
    for _ in range(20):
        assert queue.ours() == {(ORDER.name, ORDER.token): job}
        assert queue.find(ORDER.token) == job
        assert queue.find("nobody") is None
        queue.look([job])
    assert slurm.asked["squeue"] == 1
    later(slurm)
    assert queue.ours() == {(ORDER.name, ORDER.token): job}
    assert slurm.asked["squeue"] == 2


def test_a_job_whose_submission_nobody_knows_of_is_asked_for_at_once(slurm: Slurm, queue: Queue) -> None:
    queue.ours()
    slurm.lost_reply = True
    with pytest.raises(Away):
        queue.submit(ORDER)
    assert queue.find(ORDER.token) == "1"
    assert slurm.asked["squeue"] == 2


def test_a_controller_that_is_away_is_not_asked_more_often_for_being_looked_for(slurm: Slurm, queue: Queue) -> None:
    slurm.down = DOWN
    for _ in range(5):
        for ask in (queue.ours, lambda: queue.find("t")):
            with pytest.raises(Away, match="Unable to contact"):
                ask()
    assert slurm.asked["squeue"] == 1


def test_of_two_jobs_with_a_token_the_one_that_lives_is_meant(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1", token="t", state="FAILED")
    slurm.add("2", token="t", state="RUNNING")
    assert queue.find("t") == "2"


def test_asking_by_hand_says_that_nobody_answered(slurm: Slurm, queue: Queue) -> None:
    slurm.down = Ran(255, "", "ssh: connect to host login port 22: Connection timed out")
    for ask in (queue.ours, lambda: queue.find("t"), lambda: queue.cancel(["1"], hard=True)):
        with pytest.raises(Away, match="Connection timed out"):
            ask()


def test_what_ends_in_the_moment_it_is_cancelled_is_no_error_and_other_silence_is(slurm: Slurm, queue: Queue) -> None:
    slurm.down = Ran(229, "", "")
    queue.cancel(["1"], hard=False)
    for code in (1, 255):
        slurm.down = Ran(code, "", "")
        with pytest.raises(Away, match=f"ended with {code}"):
            queue.cancel(["1"], hard=False)


def test_cancelling_what_ended_is_no_error_and_politeness_reaches_the_wrapper_alone(slurm: Slurm, queue: Queue) -> None:
    slurm.add("1", state="RUNNING")
    queue.cancel(["1", "7"], hard=False)
    waiting, running = slurm.words
    assert waiting[-3:] == ["--state=PENDING", "1", "7"]
    assert running[-5:] == ["--state=RUNNING", "--batch", "--signal=TERM", "1", "7"]
    queue.cancel(["1", "7"], hard=True)
    assert slurm.words[-1][-3:] == ["--me", "1", "7"]
    slurm.asked.clear()
    queue.cancel([], hard=True)
    assert not slurm.asked


@given(st.lists(st.sampled_from(["look", "down", "up", "dbdown", "dbup", "run", "end", "purge", "tick"]), max_size=40))
def test_nothing_ends_that_slurm_did_not_end(steps: list[str]) -> None:
    """Whatever comes in between, a job is said to have ended only after it did, and to be gone only when Slurm lacks
    it; once it is said it stays so."""
    slurm = Slurm()
    queue = Queue(slurm.run, lambda: slurm.now, POLL)
    job = slurm.add("1")
    ended = purged = over = False
    for step in steps:
        match step:
            case "down" | "up":
                slurm.down = DOWN if step == "down" else None
            case "dbdown" | "dbup":
                slurm.sacct = Ran(1, "", "Connection refused") if step == "dbdown" else None
            case "run" if not ended:
                job.state = "RUNNING"
            case "end" if not ended:
                ended = True
                slurm.end("1", "PREEMPTED", "15", "0:15")
            case "purge" if ended:
                purged = True
                job.queued = False
            case _:
                later(slurm)
        seen = queue.look(["1"])["1"]
        assert seen.kind is not Kind.ENDED or (ended and seen.reason == "slurm_preempted")
        assert seen.kind is not Kind.GONE or purged
        assert seen.kind is Kind.ENDED or not over or seen.kind is Kind.UNKNOWN
        over = over or seen.kind is Kind.ENDED
    assert slurm.asked["squeue"] <= len(steps) + 1
