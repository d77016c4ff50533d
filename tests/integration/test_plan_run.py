"""Plan files through the program itself: real git, real processes, real signals, no GitHub."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gitworld import git
from tests.support.plan_yard import PlanYard, make_yard, task, until
from tests.support.program import tree


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[PlanYard]:
    made = make_yard(tmp_path, "shop")
    yield made
    made.end()


def told(yard: PlanYard, plan: Path) -> dict[str, str]:
    """The state of each of the plan's tasks."""
    ran = yard.run("plan", "status", str(plan), "--json")
    assert ran.returncode == 0, ran.stderr
    return {one["id"]: (one["now"] or {}).get("state", "") for one in json.loads(ran.stdout)["tasks"]}


@pytest.mark.req("B26", "B27", "A16", "A17", "C1")
def test_the_plan_of_the_guide_goes_through_two_repositories(tmp_path: Path) -> None:
    yard = make_yard(tmp_path, "backend", "frontend")
    plan = yard.plan(
        task("T1", "Schema", 'write("src/schema.py", "USERS = 1\\n")', repo="backend",
             validation="`test -f src/schema.py`"),
        task("T2", "Login", 'assert os.path.exists("src/schema.py")', 'write("src/login.py")', on="T1", repo="backend",
             validation='`python3 -c "import src.schema"`'),
        task("T3", "Form", 'write("src/form.js")', repo="frontend", beads="bd-7.1"),
        task("T4", "Page", 'assert os.path.exists("src/form.js")', 'write("src/page.js")', on="T2, T3",
             repo="frontend"),
    )
    ran = yard.run("plan", "run", str(plan))
    assert ran.returncode == 0, ran.stderr
    for repo, files in (("backend", "schema.py\nsrc/login.py"), ("frontend", "form.js\nsrc/page.js")):
        assert set(yard.branches(repo)) == {"main", "feature-auth"}
        listed = git(yard.remote(repo), "ls-tree", "-r", "--name-only", "feature-auth", "src/").splitlines()
        assert set(listed) == {f"src/{one.removeprefix('src/')}" for one in files.splitlines()}
        assert git(yard.remote(repo), "rev-list", "--merges", "--count", "feature-auth") == "2"
        assert git(yard.folder / repo, "worktree", "list").count("\n") == 0
    assert "Feature-Key: bd-7.1\nAgent: scripted" in git(yard.remote("frontend"), "log", "feature-auth", "--format=%B")
    assert "lacks" not in ran.stdout
    assert list(yard.agents.iterdir()) == []
    text = plan.read_text()
    assert text.count("- **status**: Completed") == 4
    assert "`test -f src/schema.py` passed" in text
    assert "merged" in ran.stdout
    assert "open its pull request by hand" in ran.stdout


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")'), task("T2", "two", 'write("src/b")', on="T1"))
    before = tree(yard.folder)
    ran = yard.run("plan", "run", str(plan), "--dry-run", "--wave", "1")
    assert ran.returncode == 0
    assert ran.stdout.splitlines() == [
        "plan auth: Better auth: 2 tasks in 2 waves, 3 at once, by command",
        f"  shop: {yard.home}, merged into feature-auth, one pull request at the end",
        "wave 1:", "  T1 one", "wave 2 (not in this run):", "  T2 two", "nothing was started",
    ]
    assert tree(yard.folder) == before


@pytest.mark.req("P27")
def test_killed_in_the_middle_it_goes_on_with_the_worker_that_ran_and_starts_none_twice(yard: PlanYard) -> None:
    go, starts = yard.folder / "go", yard.folder / "starts"
    plan = yard.plan(
        task("T1", "one", f'open("{starts}", "a").write("x")', f'wait("{go}")', 'write("src/a")'),
        task("T2", "two", 'write("src/b")', on="T1"),
    )
    with yard.running("plan", "run", str(plan)) as child:
        until(starts.exists)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert told(yard, plan)["T1"] in ("PREPARING", "RUNNING")   # its worker lives, whether that was noted or not
    assert "nobody works on this plan now" in yard.run("plan", "status", str(plan)).stdout
    go.touch()
    ran = yard.run("plan", "run", str(plan))
    assert ran.returncode == 0, ran.stderr
    assert starts.read_text() == "x"
    assert told(yard, plan) == {"T1": "DONE", "T2": "DONE"}


def test_a_signal_ends_it_politely_and_its_workers_go_on(yard: PlanYard) -> None:
    go = yard.folder / "go"
    plan = yard.plan(task("T1", "one", 'write("src/a")', f'wait("{go}")', 'write("src/b")'))
    with yard.running("plan", "run", str(plan)) as child:
        until(lambda: list(yard.agents.glob("*/shop/src/a")))
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in said) == (1, False)
    go.touch()
    until(lambda: list(yard.agents.glob("*/shop/src/b")))
    assert yard.run("plan", "run", str(plan)).returncode == 0


def test_a_task_can_be_stopped_asked_about_and_tried_again_like_any_other(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'os.path.exists("src/a") or (write("src/a"), time.sleep(60))', 'write("src/b")'))
    with yard.running("plan", "run", str(plan)) as child:
        until(lambda: list(yard.agents.glob("*/shop/src/a")))
        (yard.agents / "plan-auth-t1" / "shop" / "STOP").write_text("not now\n")
        said, _ = child.communicate(timeout=40)
    assert child.returncode == 1, said
    why = yard.run("why", "plan-auth-t1")
    assert "CANCELLED" in why.stdout
    assert "not now" in why.stdout
    retry = yard.run("retry", "plan-auth-t1")
    assert (retry.returncode, "plan-auth-t1 is queued again" in retry.stdout) == (0, True), retry.stderr
    assert yard.run("plan", "run", str(plan)).returncode == 0
    assert "- **status**: Completed" in plan.read_text()


def test_a_validation_sees_no_secret_and_its_words_reach_the_plan_file(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")', validation="`env | sort; exit 3`"))
    ran = yard.run("plan", "run", str(plan), GH_TOKEN="ghp_" + "a" * 36, ANTHROPIC_API_KEY="sk-ant-" + "b" * 40)
    assert ran.returncode == 1
    text = plan.read_text()
    assert "- **status**: Blocked" in text
    assert "failed after 0 s" in text
    assert "PATH=" in text
    assert "TOKEN" not in text
    assert "sk-ant" not in text + ran.stdout + ran.stderr


def test_the_waves_that_were_asked_for_end_well_and_nothing_goes_out_before_the_last(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")'), task("T2", "two", 'write("src/b")', on="T1"))
    first = yard.run("plan", "run", str(plan), "--wave", "1")
    assert (first.returncode, yard.branches("shop")) == (0, ["main"]), first.stderr
    git(yard.home, "branch", "-f", "feature-auth", git(yard.home, "commit-tree", "-m", "x", "HEAD^{tree}"))
    moved = yard.run("plan", "run", str(plan))
    assert (moved.returncode, "feature-auth was moved" in moved.stdout) == (1, True), moved.stdout
    assert yard.branches("shop") == ["main"]


def test_two_runs_of_one_plan_are_refused(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", f'wait("{yard.folder / "go"}")', 'write("src/a")'))
    with yard.running("plan", "run", str(plan)) as child:
        until(lambda: list(yard.agents.glob("*/shop")))
        second = yard.run("plan", "run", str(plan))
        assert (second.returncode, f"(pid {child.pid})" in second.stderr) == (1, True)
        (yard.folder / "go").touch()
        assert child.wait(40) == 0


@pytest.mark.parametrize(("tasks", "code", "words"), [
    ((task("T1", "one", on="T2"), task("T2", "two", on="T1")), 27, "T1 waits for T2 waits for T1"),
    ((task("T1", "one", repo="elsewhere"),), 27, "elsewhere"),
    ((task("T1", "one", location="../x"),), 27, "../x"),
    ((), 27, "no task"),
])
def test_a_plan_with_errors_starts_nothing(yard: PlanYard, tasks: tuple[str, ...], code: int, words: str) -> None:
    ran = yard.run("plan", "run", str(yard.plan(*tasks)))
    assert (ran.returncode, words in ran.stderr, "Nothing was started." in ran.stderr) == (code, True, True), ran.stderr
    assert not yard.agents.exists()


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: None, "there is no plan file"),
    (lambda path: path.mkdir(), "is a folder, not a plan file"),
    (lambda path: path.write_bytes(b"# Plan: x\0"), "is no text"),
    (os.mkfifo, "is no file"),
])
def test_what_is_no_plan_file_is_said(yard: PlanYard, make, words: str) -> None:
    path = yard.home / "auth-plan.md"
    make(path)
    ran = yard.run("plan", "run", str(path))
    assert (ran.returncode, words in ran.stderr, "Traceback" in ran.stderr) == (1, True, False), ran.stderr


def test_a_branch_of_the_plan_that_a_person_has_checked_out_is_left_alone(yard: PlanYard) -> None:
    git(yard.home, "checkout", "-q", "-b", "feature-auth")
    ran = yard.run("plan", "run", str(yard.plan(task("T1", "one", 'write("src/a")'))))
    assert ran.returncode == 1
    assert "feature-auth is checked out in" in ran.stdout + ran.stderr
    assert git(yard.home, "log", "--oneline").count("\n") == 0
