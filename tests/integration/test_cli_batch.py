"""Batches as a person has them: real jobs of one prefix, watched, ended, cleaned up and started again; and tasks of one
label, whose coordinator is asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.adapters.store import SqlStore
from coordinator.app import batches, jobs
from coordinator.app.plans import place_of
from coordinator.domain.issue import Issue
from coordinator.domain.job import Job
from coordinator.domain.request import Event
from coordinator.domain.task import Pin, Task, TaskState
from tests.support.byhand import SLEEPER, Hand, hand
from tests.support.gitworld import commit, git, make_world
from tests.support.program import a_repository, program
from tests.support.shelf_bench import TOKEN, Bench, bench

__all__ = ["bench", "hand"]

FAILS = "import sys; print('begun', flush=True); sys.exit('ValueError: no table 17 in /data/x.db')"
MENDED = "import os, sys; print('begun', flush=True); os.path.exists('{}') or sys.exit('KeyError: no such table')"
Ran = subprocess.CompletedProcess[str]


def batch(hand: Hand, *argv: str, **more: str) -> Ran:
    """`coordinator batch ARGV` on the jobs whose id begins with bd-, in the person's home."""
    return subprocess.run(argv_of(hand, *argv), cwd=hand.root, env=hand.environ(**more), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=170, check=False)  # fmt: skip


def argv_of(hand: Hand, *argv: str) -> list[str]:
    return [sys.executable, "-m", "coordinator", "batch", *argv, "--prefix", "bd-", "--log-dir", str(hand.jobs)]


def journal(hand: Hand) -> Path:
    [found] = (hand.root / ".local" / "state" / "coordinator" / "batches").glob("prefix-bd-*.json")
    return found


def ended(bench: Bench, job: str, state: str = "success", **pairs: str) -> None:
    """A job that ran and ended, by its run files."""
    bench.ours(job, started_at="2026-03-04T13:00:00Z")
    bench.put(f"{job}.outcome", {"token": TOKEN, "state": state, "exit_code": "0" if state == "success" else "1",
                                 "reason_code": "process_exit", "completed_at": "2026-03-04T13:10:00Z",
                                 "duration_sec": "600", **pairs})
    bench.put(f"{job}.log", "working\n")


# --- looking ---------------------------------------------------------------------------------------------


@pytest.mark.req("D72", "D73")
def test_status_groups_what_failed_by_its_root_cause_and_says_what_may_mend_it(bench: Bench, tmp_path: Path) -> None:
    for number in range(3):
        ended(bench, f"bd-{number}", "failed")
        bench.put(f"bd-{number}.err", f'File "/w/{number}/a.py", line {number}\nValueError: no table {number}7\n')
    for number in range(3, 9):
        ended(bench, f"bd-{number}")
    ended(bench, "bd-9", "failed", reason_code="claude_rate_limited")
    ended(bench, "other-1", "failed")
    ran = batch(Hand(tmp_path), "status")
    assert ran.returncode == 0, ran.stderr
    why = "3 of 9 (33%) failed alike, 15% or more: process_exit: ValueError: no table 07"
    assert ran.stdout.splitlines() == [
        "batch prefix:bd-: systemic, decision: intervened",
        "  10 in all: 6 good, 3 failed, 1 ended for an outage or a limit",
        "  by state: 4 exited_err, 6 exited_ok",
        f"  failed: 33% of the 9 that ended; {why}",
        "  33% process_exit: ValueError: no table 07 (bd-0, bd-1, bd-2)",
        "      -> Read the log",
        "  over: nothing of it runs or waits",
    ]


def test_a_watch_tells_what_moves_until_all_is_over_and_then_what_is_new(hand: Hand) -> None:
    go = f"import os, time\nwhile not os.path.exists('{hand.root / 'go'}'): time.sleep(0.05)\n"
    hand.start(f"{go}print('hi')", job="bd-1")
    hand.start(f"{go}{FAILS}", job="bd-2")
    with subprocess.Popen(argv_of(hand, "watch", "--interval", "300ms"), cwd=hand.root, env=hand.environ(), text=True,
                          stdout=subprocess.PIPE) as watch:  # fmt: skip
        assert watch.stdout is not None
        assert watch.stdout.readline() == "batch prefix:bd-: healthy, decision: no intervention\n"
        (hand.root / "go").touch()
        told = watch.stdout.read().splitlines()
    assert watch.returncode == 3
    moved = [re.sub(r"^\S+Z |starting|healthy", "", line) for line in told if "-> exited" in line]
    assert sorted(moved) == ["bd-1  -> exited_ok",
                             "bd-2  -> exited_err (process_exit): ValueError: no table 17 in /data/x.db"]
    assert told[-1].startswith("next: coordinator batch report --prefix bd- --log-dir ")
    second = batch(hand, "watch")
    assert second.returncode == 3
    assert second.stdout.startswith("no material change since ")
    assert "bd-2" not in second.stdout


@pytest.mark.parametrize(("states", "argv", "code"), [
    ("ggr", ["--once"], 0), ("gfr", ["--once"], 0), ("fffffr", ["--once"], 3), ("gg", [], 0), ("gf", [], 3),
    ("ggr", ["--timeout", "300ms"], 1)])
def test_the_exit_code_of_a_watch(bench: Bench, tmp_path: Path, states: str, argv: list[str], code: int) -> None:
    for number, state in enumerate(states):
        if state == "r":
            bench.ours(f"bd-{number}", os.getpid())
        else:
            ended(bench, f"bd-{number}", "success" if state == "g" else "failed")
    assert batch(Hand(tmp_path), "watch", "--quiet", *argv).returncode == code


@pytest.mark.req("D49", "D55")
def test_a_log_is_read_once_of_a_job_that_failed_and_never_of_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(bench, "bd-1")
    ended(bench, "bd-2", "failed")
    bench.put("bd-2.err", "ValueError: no table\n")
    bench.ours("bd-3", os.getpid())
    read: list[str] = []
    tail = Shelf.tail

    def counted(shelf: Shelf, job: Job, limit: int) -> bytes:
        read.append(job.id)
        return tail(shelf, job, limit)

    monkeypatch.setattr(Shelf, "tail", counted)
    environ = {"HOME": str(bench.folder.parent)}
    scope = batches.job_scope("bd-", str(bench.folder), environ)
    find = batches.members_of_jobs(scope, environ, jobs.reading_settings(environ))
    for _ in range(3):   # each is a command of its own
        made = batches.batch_of(scope, find, batches.Bands(), environ)
        assert {one.id: bool(one.words) for one in made.look().members} == {"bd-1": False, "bd-2": True, "bd-3": False}
        assert made.members() == made.look().members
    assert read == ["bd-2"]


@pytest.mark.req("D57")
def test_the_journal_is_one_small_private_file_and_one_that_is_broken_is_kept_aside(
    bench: Bench, tmp_path: Path
) -> None:
    hand = Hand(tmp_path)
    ended(bench, "bd-1", "failed")
    batch(hand, "watch", "--once")
    path = journal(hand)
    kept = json.loads(path.read_text())
    assert (kept["counts"]["bad"], kept["word"], kept["decision"]) == (1, "healthy", "no intervention")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text("{ torn")
    assert "exited_err" in batch(hand, "watch", "--once").stdout
    assert path.with_name(f"{path.name}.unreadable").read_text() == "{ torn"
    assert json.loads(path.read_text())["looks"] == 1


def test_what_an_agent_printed_shows_no_secret_and_moves_no_cursor(bench: Bench, tmp_path: Path) -> None:
    ended(bench, "bd-1", "failed")
    bench.put("bd-1.err", "fatal: \x1b[2Jtoken s3cret-s3cret refused\n")
    hand = Hand(tmp_path)
    for argv in (["status"], ["watch", "--once"], ["report"], ["report", "--format", "html"], ["status", "--json"]):
        ran = batch(hand, *argv, MY_TOKEN="s3cret-s3cret")
        assert "refused" in ran.stdout, argv
        assert not {"s3cret", "\x1b"} & {word for word in ("s3cret", "\x1b") if word in ran.stdout}, argv
    assert "s3cret" not in journal(hand).read_text()


@pytest.mark.parametrize(("states", "code", "said"), [
    ("gf", 0, "prefix:bd- is over: 1 good, 1 failed of 2"), ("gr", 1, "1 of 2 of prefix:bd- run or wait")])
def test_a_batch_is_waited_for_until_nothing_of_it_goes_on(
    bench: Bench, tmp_path: Path, states: str, code: int, said: str
) -> None:
    for number, state in enumerate(states):
        if state == "r":
            bench.ours(f"bd-{number}", os.getpid())
        else:
            ended(bench, f"bd-{number}", "success" if state == "g" else "failed")
    ran = program(tmp_path, "wait", "--batch", "prefix:bd-", "--log-dir", "jobs", "--timeout", "300ms", "--quiet")
    assert (ran.returncode, ran.stderr) == (code, "")
    assert ran.stdout.endswith(f": {said}\n")


# --- acting ----------------------------------------------------------------------------------------------


@pytest.mark.req("D22", "D74", "D75", "D78", "D79")
def test_a_batch_is_ended_once_the_fix_is_said_and_started_again_one_first(hand: Hand) -> None:
    code = MENDED.format(hand.root / "table")
    for number in (1, 2, 3):
        hand.start(code, job=f"bd-{number}")
    hand.start(SLEEPER, job="bd-4")
    hand.start(SLEEPER, job="zz-1")
    for number in (1, 2, 3):
        hand.outcome(f"bd-{number}")
    runs = {number: hand.pairs("meta", f"bd-{number}")["run_id"] for number in (1, 2, 3)}

    listed, unsaid = batch(hand, "cancel"), batch(hand, "cancel", "--yes")
    assert (listed.returncode, unsaid.returncode) == (0, 64)
    assert listed.stdout.startswith("would end: bd-4 (")
    assert "--fix TEXT" in unsaid.stderr
    assert hand.pids("bd-4")

    done = batch(hand, "cancel", "--yes", "--fix", "make the table")
    assert (done.returncode, done.stdout) == (0, "bd-4: stopped\n")
    assert not hand.pids("bd-4")
    assert hand.pids("zz-1"), "a job outside the batch was ended"

    failed = batch(hand, "resubmit", "--only-failed", "--yes")
    assert failed.returncode == 3
    assert "bd-1 was tried first and did not end well" in failed.stderr
    assert "the other 2 were not started" in failed.stderr
    assert {hand.pairs("meta", f"bd-{number}")["run_id"] for number in (2, 3)} == {runs[2], runs[3]}

    (hand.root / "table").touch()
    again = batch(hand, "resubmit", "--only-failed", "--yes", "--stagger", "1ms", "--fix", "the table is made")
    assert again.returncode == 0, again.stderr
    new = [line.split(": ")[0] for line in again.stdout.splitlines()]
    assert [line.split(" -> ")[0] for line in new] == ["bd-1", "bd-2", "bd-3"]
    assert batch(hand, "watch", "--interval", "300ms", "--until", "done", "--quiet").returncode == 0
    told = json.loads(batch(hand, "report", "--format", "json").stdout)
    assert told["intervention"]["fixes"] == ["make the table", "the table is made"]
    assert set(told["intervention"]["resubmitted"].values()) >= {line.split(" -> ")[1] for line in new}
    assert (told["decision"]["decision"], told["completion"]["good"]) == ("intervened", 3)


@pytest.mark.req("D76", "D77")
def test_clean_takes_away_what_holds_nothing_of_its_own_and_keeps_everything_else(hand: Hand) -> None:
    world = make_world(hand.root)
    trees = {name: hand.root / "agents" / name / "widgets" for name in ("bd-1", "bd-2", "bd-3", "bd-4", "zz-1")}
    for name, tree in trees.items():
        code = "print('fine')" if name == "bd-4" else FAILS
        hand.start(code, "--repo", str(world.checkout), "--worktree", str(tree), job=name)
        hand.outcome(name)
    commit(trees["bd-2"], "work.txt", "done\n")
    (trees["bd-3"] / "draft.txt").write_text("x\n")
    assert "would be cleaned up: bd-1 (exited_err, process_exit)" in batch(hand, "clean").stdout
    ran = batch(hand, "clean", "--yes")
    assert ran.returncode == 0, ran.stderr
    told = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    assert told["bd-1"] == f"removed {trees['bd-1']}"
    assert told["bd-2"].endswith("1 commits that are pushed nowhere")
    assert told["bd-3"].endswith("1 changed or untracked files, draft.txt for one")
    assert [name for name, tree in trees.items() if tree.is_dir()] == ["bd-2", "bd-3", "bd-4", "zz-1"]
    assert git(world.checkout, "rev-parse", "--verify", "rpi/bd-1")
    assert {hand.file(kind, "bd-1").exists() for kind in ("log", "outcome", "meta")} == {True}
    commit(trees["bd-4"], "work.txt", "done, too\n")   # alike and in the same second it would be bd-2's very commit
    told = json.loads(batch(hand, "report", "--format", "json").stdout)
    assert told["completion"]["out_of_step"] == {"bd-4": "1 commits that are pushed nowhere"}
    assert told["evidence"]["logs"]["bd-4"] == str(hand.file("log", "bd-4"))
    git(world.checkout, "push", "-q", "origin", "rpi/bd-2")
    assert f"bd-2: removed {trees['bd-2']}" in batch(hand, "clean", "--yes").stdout


def test_a_worktree_in_which_another_job_runs_is_kept(hand: Hand) -> None:
    world, tree = make_world(hand.root), hand.root / "agents" / "bd-1" / "widgets"
    hand.start(FAILS, "--repo", str(world.checkout), "--worktree", str(tree), job="bd-1")
    hand.outcome("bd-1")
    hand.start(SLEEPER, "--worktree", str(tree), job="zz-1")
    assert f"bd-1: kept {tree}: zz-1 runs there" in batch(hand, "clean", "--yes").stdout
    assert tree.is_dir()


@pytest.mark.parametrize(("argv", "code", "said"), [
    (["status"], 1, "no job in"),
    (["status", "--label", "x"], 64, "name one batch"),
    (["watch", "--until", "never"], 64, "Give done or attention"),
    (["watch", "--timeout", "9h"], 64, "One cycle is 8h at most"),
    (["watch", "--timeout", "0s"], 64, "Give more than 0"),
    (["report", "--format", "pdf"], 64, "Give markdown, json, html"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_a_cure(hand: Hand, argv: list[str], code: int, said: str) -> None:
    ran = batch(hand, *argv)
    assert (ran.returncode, ran.stdout, "Traceback" in ran.stderr) == (code, "", False)
    assert said in ran.stderr


@pytest.mark.parametrize("word", ["hold", "resume"])
def test_jobs_by_hand_are_not_held(bench: Bench, tmp_path: Path, word: str) -> None:
    ended(bench, "bd-1", "failed")
    (tmp_path / "home").mkdir()
    bench.folder.rename(tmp_path / "home" / "command")
    ran = program(tmp_path, "batch", word, "prefix:bd-", COORDINATOR_JOBS_DIR=str(tmp_path / "home"))
    assert (ran.returncode, ran.stdout) == (64, "")
    assert "jobs started by hand are not held" in ran.stderr


# --- tasks of a label ------------------------------------------------------------------------------------

NOW = datetime.now(UTC)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Four tasks of the label batch:spring: two failed, one done, one queued; and one of no batch that failed."""
    root = a_repository(tmp_path / "widgets")
    commit(root, "file.txt", "x\n")
    (root / ".coordinator").mkdir()
    store = SqlStore(root / ".coordinator" / "state.db")
    spring, auto = "batch:spring", "rpi-auto"
    failed, issues = TaskState.FAILED, []
    for number, state in enumerate((failed, failed, TaskState.IN_REVIEW, TaskState.QUEUED, failed), 1):
        labels = frozenset({auto}) if number == 5 else frozenset({auto, spring})
        issues.append(Issue(number, f"Title {number}", "", "open", labels, "ann", "", NOW, NOW))
        pin = Pin(f"Title {number}", "", "", 1, "ann")
        task = Task(f"gh-{number}", pin, f"rpi/gh-{number}", NOW, NOW, NOW, issue=number, provider="claude",
                    state=state, reason="no_change" if state is TaskState.FAILED else "",
                    pr_number=7 if state is TaskState.IN_REVIEW else None)  # fmt: skip
        store.add(task, Event(task.id, NOW, "adopted"))
    store.keep_issues(issues, NOW.isoformat(), full=True)
    store.close()
    assert program(root, "rebuild").returncode == 0
    return root


def states(root: Path) -> dict[str, str]:
    store = SqlStore(root / ".coordinator" / "state.db")
    try:
        return {task.id: str(task.state) for task in store.tasks()}
    finally:
        store.close()


@pytest.mark.parametrize("named", [["--label", "batch:spring"], ["--label", "spring"], ["label:spring"],
                                   ["batch:spring"]])
def test_a_label_names_its_tasks_in_any_spelling(repository: Path, named: list[str]) -> None:
    found = json.loads(program(repository, "batch", "status", *named, "--json").stdout)
    assert (found["scope"], found["states"]) == ("label:batch:spring", {"FAILED": 2, "IN_REVIEW": 1, "QUEUED": 1})
    assert [one["id"] for one in found["members"]] == ["gh-1", "gh-2", "gh-3", "gh-4"]


def test_a_held_batch_is_let_go_on_by_its_coordinator(repository: Path) -> None:
    held = program(repository, "batch", "hold", "spring", "--reason", "wrong path")
    assert (held.returncode, held.stdout) == (0, "batch batch:spring is held: wrong path\n")
    assert "  gate: held: wrong path" in program(repository, "batch", "status", "spring").stdout.splitlines()
    again = program(repository, "batch", "resume", "spring", "--canary")
    assert "gh-4 is tried alone" in again.stdout, again.stderr
    assert "  gate: gh-4 is tried alone" in program(repository, "batch", "status", "spring").stdout.splitlines()


@pytest.mark.req("D75")
def test_cancelling_a_label_cancels_its_tasks_and_no_other(repository: Path) -> None:
    ran = program(repository, "batch", "cancel", "spring", "--yes", "--fix", "another path")
    assert ran.returncode == 0, ran.stderr
    assert states(repository) == {"gh-1": "FAILED", "gh-2": "FAILED", "gh-3": "IN_REVIEW", "gh-4": "CANCELLED",
                                  "gh-5": "FAILED"}  # fmt: skip


@pytest.mark.req("D78")
def test_resubmitting_a_label_queues_what_failed_behind_a_gate_that_lets_one_through(repository: Path) -> None:
    ran = program(repository, "batch", "resubmit", "spring", "--only-failed", "--yes", "--fix", "another path")
    assert ran.returncode == 0, ran.stderr
    assert states(repository) == {"gh-1": "QUEUED", "gh-2": "QUEUED", "gh-3": "IN_REVIEW", "gh-4": "QUEUED",
                                  "gh-5": "FAILED"}  # fmt: skip
    assert "is tried alone" in program(repository, "batch", "status", "spring").stdout
    told = json.loads(program(repository, "batch", "report", "spring", "--format", "json").stdout)
    assert told["intervention"]["resubmitted"] == {f"gh-{number} attempt 0": f"gh-{number} attempt 1"
                                                   for number in (1, 2)}


def test_a_label_without_a_gate_is_ended_and_queued_again_task_by_task(repository: Path) -> None:
    held = program(repository, "batch", "hold", "rpi-auto")
    assert (held.returncode, "label:rpi-auto has no gate" in held.stderr) == (1, True)
    assert program(repository, "batch", "cancel", "rpi-auto", "--yes", "--fix", "x").returncode == 0
    assert states(repository)["gh-4"] == "CANCELLED"
    first = program(repository, "batch", "resubmit", "rpi-auto", "--only-failed", "--yes")
    assert (first.returncode, "no coordinator runs here" in first.stderr) == (1, True)
    assert states(repository)["gh-1"] == "FAILED"
    every = program(repository, "batch", "resubmit", "rpi-auto", "--only-failed", "--yes", "--no-smoke")
    assert every.returncode == 0, every.stderr
    assert states(repository) == {"gh-1": "QUEUED", "gh-2": "QUEUED", "gh-3": "IN_REVIEW", "gh-4": "CANCELLED",
                                  "gh-5": "QUEUED"}  # fmt: skip


def test_cleaning_a_label_is_asked_of_its_coordinator(repository: Path) -> None:
    ran = program(repository, "batch", "clean", "spring", "--yes")
    assert (ran.returncode, ran.stdout) == (0, "no worktree of 2 ended tasks is left\n")


@pytest.mark.parametrize("named", [["--label", "autumn"], ["--plan", "auth"], ["--plan", "auth-plan.md"]])
def test_a_batch_that_nobody_knows_is_said_in_words(repository: Path, named: list[str]) -> None:
    ran = program(repository, "batch", "status", *named)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "error: no " in ran.stderr


# --- tasks of a plan -------------------------------------------------------------------------------------


def begun_plan(place: Path, path: Path) -> None:
    """A plan that a coordinator of its own has begun, by the board that it wrote."""
    rows = [{"id": f"plan-auth-t{number}", "state": state, "plan": "auth", "reason": reason, "detail": detail}
            for number, state, reason, detail in (
                (1, "DONE", "", ""), (2, "FAILED", "validation_failed", "2 tests failed"), (3, "QUEUED", "", ""))]
    rows.append({"id": "plan-other-t1", "state": "FAILED", "plan": "other"})
    gate = {"key": "plan:auth", "phase": "held", "held_for": "all failed alike"}
    (place / ".coordinator").mkdir(parents=True)
    (place / ".coordinator" / "board.json").write_text(json.dumps({
        "schema": 1, "tasks": rows, "plans": [{"id": "auth", "path": str(path)}], "batches": [gate]}))


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan file beside a repository, begun by a coordinator of its own."""
    root = a_repository(tmp_path / "widgets")
    assert program(root, "plan", "new", "auth").returncode == 0
    path = next(root.glob("*auth*-plan.md"))
    begun_plan(place_of("auth", path, {"HOME": str(tmp_path)}).root, path)
    return path


@pytest.mark.parametrize("named", [["--plan", "auth"], ["--plan", "auth-plan.md"], ["plan:auth"]])
def test_a_plan_names_its_tasks_by_its_file_or_its_id(plan: Path, named: list[str]) -> None:
    found = json.loads(program(plan.parent, "batch", "status", *named, "--json").stdout)
    assert (found["scope"], found["states"]) == ("plan:auth", {"DONE": 1, "FAILED": 1, "QUEUED": 1})
    assert found["gate"] == "held: all failed alike"
    assert [one["code"] for one in found["causes"]] == ["validation_failed"]


def test_a_plan_without_a_memory_cannot_be_asked(plan: Path) -> None:
    ran = program(plan.parent, "batch", "resume", "plan:auth", "--canary")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "nobody runs the plan auth, and its memory is gone" in ran.stderr
    assert "coordinator plan run PLAN" in ran.stderr


def test_two_plans_of_one_id_are_told_apart_by_their_file(plan: Path, tmp_path: Path) -> None:
    begun_plan(place_of("auth", tmp_path / "auth-plan.md", {"HOME": str(tmp_path)}).root, tmp_path / "auth-plan.md")
    ran = program(plan.parent, "batch", "status", "plan:auth")
    assert (ran.returncode, "2 plans have the id 'auth'" in ran.stderr) == (1, True)
    assert program(plan.parent, "batch", "status", "--plan", "auth-plan.md").returncode == 0
