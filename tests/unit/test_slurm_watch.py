"""Decisions about jobs of a cluster: what each is worth, what is read, what is remembered, what is submitted again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.adapters.executors.ssh import Unreachable
from coordinator.adapters.executors.ssh_words import cause, told
from coordinator.adapters.executors.there import look_script, quoted_pattern, read_tails
from coordinator.app.slurm_watch_asking import Blocked, Patience
from coordinator.domain.slurmjob import Cluster, Phase, SlurmJob
from coordinator.planning.batch.cadence import Mode, mode_of
from coordinator.planning.batch.cohort import BatchWord, judge
from coordinator.planning.batch.journal import Journal, sight
from coordinator.planning.batch.kept import from_data, to_data
from coordinator.planning.batch.members import Stand
from coordinator.planning.batch.scope import slurm_scope
from coordinator.planning.batch.signature import trouble
from coordinator.planning.cluster import artefacts, finding, patience, resubmission, syncing, tidying
from coordinator.planning.cluster.artefacts import There
from coordinator.planning.cluster.finding import Around, Typed, Unclear, Wrong
from coordinator.planning.cluster.members import (
    Heard,
    expanded,
    logs_wanted,
    member,
    members,
    merged,
    order,
    tally,
)

WAITS = SlurmJob("1", "sweep-1", "mara", Phase.WAITING, "PENDING", "Priority", workdir="/w")
RUNS = replace(WAITS, phase=Phase.RUNNING, state="RUNNING", pending="")
DONE = replace(RUNS, phase=Phase.OVER, state="COMPLETED")
FAILED = replace(DONE, state="FAILED", why="process_exit", code=1)


def a_job(number: int, kind: SlurmJob) -> SlurmJob:
    return replace(kind, id=str(number))


# --- states ------------------------------------------------------------------------------------------------


def test_waiting_in_a_queue_is_never_trouble_and_a_job_that_can_never_run_is() -> None:
    waits = [member(a_job(number, WAITS)) for number in range(20)]
    assert (judge(waits).word, mode_of(waits, BatchWord.HEALTHY)) == (BatchWord.HEALTHY, Mode.WAITING)
    doomed = replace(WAITS, why="slurm_never_runs", pending="QOSNotAllowed")
    never = [member(a_job(number, doomed)) for number in range(6)]
    assert judge([*never, *waits]).word is BatchWord.SYSTEMIC
    assert never[0].words == "it can never run: QOSNotAllowed"


@pytest.mark.parametrize(("job", "stand", "excluded"), [
    (DONE, Stand.GOOD, False),
    (replace(DONE, state="TIMEOUT", why="slurm_timeout"), Stand.BAD, False),
    (replace(DONE, state="OUT_OF_MEMORY", why="slurm_oom"), Stand.BAD, False),
    (replace(DONE, state="NODE_FAIL", why="slurm_node_fail"), Stand.BAD, True),
    (replace(DONE, state="CANCELLED", why="slurm_cancelled"), Stand.STOPPED, False),
])
def test_an_end_is_worth_what_its_reason_says(job: SlurmJob, stand: Stand, excluded: bool) -> None:
    found = member(job)
    assert (found.stand, found.excluded) == (stand, excluded)


def test_timeouts_are_one_cause_whatever_their_logs_say() -> None:
    late = [member(replace(a_job(number, DONE), state="TIMEOUT", why="slurm_timeout"), Heard(words=f"step {word}"))
            for number, word in enumerate(("alpha", "beta", "gamma"))]  # fmt: skip
    assert len(judge(late).causes) == 1


def test_the_counts_that_everybody_asks_for_are_there_even_with_none() -> None:
    found = tally([member(replace(DONE, state="OUT_OF_MEMORY", why="slurm_oom"))])
    assert list(found.items())[:7] == [("RUNNING", 0), ("PENDING", 0), ("COMPLETED", 0), ("FAILED", 0),
                                       ("CANCELLED", 0), ("TIMEOUT", 0), ("OOM", 1)]  # fmt: skip


def test_the_controller_knows_what_goes_on_and_the_books_how_it_ended() -> None:
    queue = [replace(RUNS, stdout="/w/o.log"), replace(a_job(2, DONE), state="CANCELLED", why="slurm_cancelled",
                                                       stdout="/w/two.log")]  # fmt: skip
    books = [replace(RUNS, state="PENDING", line="sbatch a.sh"),
             replace(a_job(2, DONE), state="OUT_OF_MEMORY", why="slurm_oom"), a_job(3, DONE), a_job(4, RUNS)]
    found = {job.id: job for job in merged(queue, books, {})}
    assert [(found[name].state, found[name].stdout) for name in ("1", "2", "3", "4")] == [
        ("RUNNING", "/w/o.log"), ("OUT_OF_MEMORY", "/w/two.log"), ("COMPLETED", ""), ("unknown", "")]  # fmt: skip
    assert found["1"].line == "sbatch a.sh"


def test_a_job_that_was_killed_is_not_over_before_the_books_say_whether_for_its_memory() -> None:
    killed = replace(FAILED, code=0, signal=9)
    half, whole = replace(killed, partial=True), replace(killed, state="OUT_OF_MEMORY", why="slurm_oom")
    states = [[job.state for job in merged([killed], books, {})] for books in ([], [half], [whole])]
    assert states == [["COMPLETING"], ["COMPLETING"], ["OUT_OF_MEMORY"]]
    assert [job.why for job in merged([killed], [], {}, booked=False)] == ["process_exit"]
    assert [job.why for job in merged([], [half], {})] == ["process_exit"]


def test_a_job_nobody_shows_any_more_is_unknown_first_and_then_forgotten_but_only_once_the_books_answered() -> None:
    seen = {"1": sight(member(RUNS)), "2": sight(member(a_job(2, FAILED), Heard("boom")))}
    for _ in range(3):
        blind = members([], seen, {}, {}, asked=False)
        assert [(one.id, one.state) for one in blind] == [("1", "unknown"), ("2", "FAILED")]
        seen = {one.id: sight(one) for one in blind}
    found = members([], seen, {}, {})
    assert [(one.id, one.state, one.stand) for one in found] == [("1", "FORGOTTEN", Stand.STOPPED),
                                                                  ("2", "FAILED", Stand.BAD)]  # fmt: skip
    assert found[1].words == "boom"
    ever = members([replace(RUNS, state="unknown")], {"1": sight(found[0])}, {}, {})
    assert [one.state for one in ever] == ["FORGOTTEN"]


def test_who_took_the_place_of_another_counts_alone_with_one_attempt_more() -> None:
    jobs = [FAILED, a_job(2, FAILED), a_job(3, DONE)]
    found = members(jobs, {}, {"1": "2", "2": "3"}, {})
    assert [(one.id, one.attempts, one.stand) for one in found] == [("3", 3, Stand.GOOD)]


def test_ids_are_sorted_as_numbers_and_tasks_of_an_array_by_their_index() -> None:
    assert sorted(["10", "9_10", "9", "9_2"], key=order) == ["9", "9_2", "9_10", "10"]


def test_a_scope_holds_by_user_and_name_or_id() -> None:
    named, by_id = Cluster("mara", prefix="sweep-"), Cluster("mara", ids=("1", "7_2"))
    assert [named.holds(job) for job in (WAITS, replace(WAITS, user="eve"), replace(WAITS, name="x-sweep-"))] == [
        True, False, False]  # fmt: skip
    ids = ["1", "1_4", "7_2", "7_3", "11"]
    assert [by_id.holds(replace(WAITS, id=one, name="any")) for one in ids] == [True, True, True, False, False]


# --- logs --------------------------------------------------------------------------------------------------


def test_logs_are_read_of_new_failures_whole_and_of_running_ones_what_is_new() -> None:
    jobs = [replace(a_job(number, kind), stdout=f"/w/{number}.log") for number, kind in
            enumerate((WAITS, RUNS, DONE, FAILED, FAILED))]  # fmt: skip
    before = {"4": sight(member(jobs[4]))}
    found = logs_wanted(jobs, before, {}, {"/w/1.log": 700, "/w/3.log": 300})
    assert [(one.job, one.path, one.start) for one in found] == [("1", "/w/1.log", 700), ("3", "/w/3.log", 0)]
    many = logs_wanted([replace(FAILED, id=str(at), stdout=f"/w/{at}") for at in range(2000)], {}, {}, {})
    assert sum(one.most for one in many) <= 4 << 20


@pytest.mark.parametrize(("path", "job", "said"), [
    ("/w/o-%x-%j.log", replace(RUNS, raw_id="9"), "/w/o-sweep-1-9.log"),
    ("a-%A_%3a.out", replace(RUNS, id="7_5", raw_id="9"), "/w/a-7_005.out"),
    ("", replace(RUNS, id="7_5"), "/w/slurm-7_5.out"),
    ("", RUNS, "/w/slurm-1.out"),
    ("100%%.log", RUNS, "/w/100%.log"),
    ("/dev/null", RUNS, ""),
    ("", replace(RUNS, workdir=""), ""),
])
def test_a_logs_name_is_filled_in_as_slurm_does_it(path: str, job: SlurmJob, said: str) -> None:
    assert expanded(path, replace(job, stdout=path)) == said


@pytest.mark.parametrize(("text", "said"), [
    ("epoch 1\nTraceback (most recent call last):\n  x\nValueError: bad shape", "ValueError: bad shape"),
    ("val_error=0.3, 0 errors, 3 failed to converge", ""),
    ("step 4 loss: nan", "step 4 loss: nan"),
    ("slurmstepd: error: Detected 1 oom-kill event(s)\nepoch 2", "slurmstepd: error: Detected 1 oom-kill event(s)"),
])
def test_only_real_trouble_of_a_running_job_is_told(text: str, said: str) -> None:
    assert trouble(text) == said


# --- which jobs are meant ----------------------------------------------------------------------------------


def test_what_cannot_be_known_is_asked_for_with_an_offer_and_never_guessed() -> None:
    around = Around("/home/mara/plain", hosts={"login1": "mara@hpc"})
    for ask, option, offer in ((lambda: finding.project_of(Typed(), around), "--project", "plain"),
                               (lambda: finding.host_of(Typed(), around), "--host", "login1"),
                               (lambda: finding.jobs_of(Typed(), "widgets"), "--prefix", "widgets-"),
                               (lambda: finding.user_of(Typed(), around, "", ""), "--user", "")):  # fmt: skip
        with pytest.raises(Unclear) as unclear:
            ask()
        assert (unclear.value.option, unclear.value.offer) == (option, offer)


@pytest.mark.req("D25", "D27")
def test_what_was_typed_goes_before_what_is_configured_and_that_before_what_is_found() -> None:
    around = Around("/r/sub", "/r", {"login1": "mara@hpc"}, login="login1", user="conf", reads=True)
    assert finding.host_of(Typed(host="here"), around).value == ""
    assert finding.host_of(Typed(), around) == finding.Fact("login1", "slurm.login")
    assert finding.host_of(Typed(), replace(around, login="")).source == "squeue is on PATH here"
    bare = replace(around, user="")
    users = [finding.user_of(typed, known, "mara@hpc", "root").value
             for typed, known in ((Typed(user="typed"), around), (Typed(), around), (Typed(), bare))]
    assert users == ["typed", "conf", "mara"]
    assert finding.user_of(Typed(), bare, "hpc", "root").value == "root"
    for wrong in ("", "1;2", "a", "--x", "1_"):
        with pytest.raises(Wrong):
            finding.ids_of(wrong)
    assert finding.ids_of("12, 13_4,12") == ("12", "13_4")


# --- again, tidying, results, bringing, patience --------------------------------------------------------------


@pytest.mark.parametrize(("line", "words"), [
    ("sbatch -J a --array=1-9%2 job.sh x", ("sbatch", "--parsable", "--array=5", "-J", "a", "job.sh", "x")),
    ("/usr/bin/sbatch -a 1-9 -W job.sh", ("sbatch", "--parsable", "--array=5", "job.sh")),
    ("sbatch -dafterok:3 --parsable j.sh", ("sbatch", "--parsable", "--array=5", "--dependency=afterok:30", "j.sh")),
    ("sbatch --dependency=any:3:4 j.sh", ("sbatch", "--parsable", "--array=5", "--dependency=any:30:4", "j.sh")),
    ("sbatch -t 5 --mem 1G j.sh -a 3 -W", ("sbatch", "--parsable", "--array=5", "-t", "5", "--mem", "1G", "j.sh", "-a",
                                           "3", "-W")),
])
def test_one_task_is_submitted_as_the_whole_was_without_what_tied_it(line: str, words: tuple[str, ...]) -> None:
    assert resubmission.again(replace(FAILED, id="7_5", line=line), {"3": "29", "29": "30"}) == words


@pytest.mark.parametrize(("job", "why"), [
    (replace(FAILED, line="sbatch -J a --wrap rm -rf x"), "quotes are lost"),
    (replace(FAILED, line="srun x"), "not known how it was submitted"),
    (replace(WAITS, why="slurm_never_runs", line="sbatch a.sh"), "cancel it first"),
])
def test_what_cannot_be_told_is_refused_and_not_guessed(job: SlurmJob, why: str) -> None:
    with pytest.raises(resubmission.CannotTell, match=why):
        resubmission.again(job, {})


def test_whatever_a_name_holds_it_stays_one_word_and_finds_nothing_but_itself() -> None:
    evil = replace(FAILED, name="a b; rm -rf *")
    assert resubmission.filled("sbatch -J {name} x.sh", evil) == ("sbatch", "-J", "a b; rm -rf *", "x.sh")
    assert artefacts.place("out/{name}/*.json", evil) == "/w/out/a b; rm -rf [*]/*.json"
    assert quoted_pattern("/w/a b; x[*]/*.json") == "'/w/a b; x'[*]/*.json"
    script = look_script([("/w/$(touch x)`y`/*", 0)])
    assert "in '/w/$(touch x)`y`/'*;" in script
    assert [tidying.place("{name}", replace(evil, name=name)) for name in ("..", "../../etc")] == ["", "/w/.._.._etc"]
    [errand] = syncing.errands([syncing.rule("out/{name}:r/{name}")], [replace(DONE, name="../x/*")], ())
    assert (errand.remote, errand.local) == ("/w/out/.._x__", "r/.._x__")


def test_what_a_job_that_did_not_fail_has_a_part_in_is_kept() -> None:
    found = {"1": ["/w/a", "/w/b/x", "/w/c"], "2": ["/w/b"], "3": ["/w/a/y"]}
    kept, words = tidying.own(found, ["1"], dict.fromkeys(found, "/w"))
    assert kept == [("1", "/w/c")]
    assert [line.split(" is kept")[0] for line in words] == ["/w/a", "/w/b/x"]


@pytest.mark.parametrize(("name", "content", "said"), [
    ("m.json", b'{"a": [1, 2.5]}', "ok"), ("m.json", b'{"a": Infinity}', "not a number (p)"),
    ("m.json", b"{", "unreadable (p)"), ("m.jsonl", b'{"a": 1}\n{"a": NaN}\n', "not a number (p)"),
    ("m.csv", b"step,loss\n1,nan\n", "not a number (p)"), ("m.csv", b"name\nnancy,info\n", "ok"),
    ("m.bin", b"\0", "ok"), ("m.json", b"", "empty (p)"),
])
def test_a_result_is_judged_by_what_its_name_says_it_holds(name: str, content: bytes, said: str) -> None:
    assert artefacts.judge("p", [There(f"/w/{name}", len(content), content)]) == said


def test_a_result_too_large_to_be_read_is_judged_by_its_size() -> None:
    assert artefacts.judge("p", [There("/w/m.json", 1 << 30, None)]) == "ok"
    assert artefacts.judge("p", []) == "missing (p)"


def test_tries_come_later_each_time_and_not_for_ever() -> None:
    found = list(patience.pauses(timedelta(minutes=15)))
    assert found[:6] == [2, 4, 8, 16, 32, 60]
    assert (sum(found), max(found)) == (900, 60)
    assert list(patience.pauses(timedelta(0))) == []


def test_what_the_shell_there_prints_is_read_with_whatever_else_it_prints_left_out() -> None:
    said = b"motd\n@ 0 5\naGVs\nbG8=\n@ x y\nrubbish\n@ 1 3\nYWI=\n"
    assert [(one.number, one.size, one.content) for one in read_tails(said)] == [(0, 5, b"hello"), (1, 3, b"ab")]


# --- what fails for a moment, what is kept ---------------------------------------------------------------------


class Tries:
    """Something that fails so often with these words; the waits that were made."""

    def __init__(self, fails: int, words: str = "it does not answer") -> None:
        self.fails, self.words, self.calls = fails, words, 0
        self.waits: list[float] = []
        self.patience = Patience(timedelta(seconds=30), lambda span: self.waits.append(span.total_seconds()), str)

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.fails:
            raise Unreachable(self.words)
        return "done"


@pytest.mark.req("D9")
def test_what_fails_for_a_moment_is_tried_again_later_each_time_and_kept_as_evidence() -> None:
    tries = Tries(3)
    assert tries.patience.over(tries) == "done"
    assert tries.waits == [2, 4, 8]
    assert tries.patience.taken() == ["could not be asked 3 times in 14 s: it does not answer"]
    assert tries.patience.taken() == []


@pytest.mark.req("D9")
def test_the_tries_are_bounded_and_what_only_a_person_can_mend_is_not_tried_again() -> None:
    tries = Tries(99)
    with pytest.raises(Blocked, match="5 times in 30 s: it does not answer"):
        tries.patience.over(tries)
    assert sum(tries.waits) == 30
    why = cause("Permission denied (publickey).", begun=False, own_end=False, timed_out=False)
    refused = Tries(99, told("hpc", why, ""))
    with pytest.raises(Blocked, match="refuses our key"):
        refused.patience.over(refused)
    assert refused.waits == []


def test_a_journal_keeps_what_was_confirmed_told_and_brought() -> None:
    blank = Journal("slurm", "mara@hpc:sweep-*", "/r", facts={"cluster_user": "mara"})
    full = replace(blank, signals={"ValueError: <n>": "1"}, synced=("1", "2_3"))
    assert from_data(json.loads(json.dumps(to_data(full))), blank) == full


def test_the_commands_that_are_shown_name_the_same_jobs_again() -> None:
    by_name = slurm_scope(Cluster("mara", "hpc", "sw eep-", root="/r"))
    assert by_name.command("status") == "coordinator batch status --slurm --prefix 'sw eep-' --user mara --host hpc"
    by_id = replace(slurm_scope(Cluster("mara", "", "", ("1", "2_3"))), more="--since 7d")
    assert by_id.command("watch") == "coordinator batch watch --slurm --jobs 1,2_3 --user mara --host here --since 7d"
    assert by_name.job_command("tail", "7") == "coordinator batch status --slurm --jobs 7 --user mara --host hpc"
    assert by_id.job_command("tail", "7").startswith("sacct -j 7 ")
    assert by_name.key != slurm_scope(Cluster("eve", "hpc", "sw eep-", root="/r")).key
