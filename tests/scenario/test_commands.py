"""What people type, against a whole coordinator's world: clean, stop without a daemon, dry runs, one single run."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from coordinator.adapters.store import SqlStore
from coordinator.domain.task import TaskState
from coordinator.runfiles import identity
from tests.support.program import tree
from tests.support.running import command
from tests.support.stories import bury, restart, waiting
from tests.support.yard import Yard, git

OLD = 90 * 86400


def grace(yard: Yard, text: str) -> None:
    """How long worktrees stay after a merge, from now on."""
    config = yard.clone / "coordinator.toml"
    config.write_text(re.sub(r'worktrees_after_merge = "\w+"', f'worktrees_after_merge = "{text}"', config.read_text()))


def listed(said: str) -> set[str]:
    """The names in a dry run's list: the third column."""
    return {re.split(r"\s{2,}", line)[2] for line in said.splitlines() if line.startswith("would remove")}


def grow_old(yard: Yard) -> None:
    """All transcripts and run files of gh-1, and a rescue ref each for it and the failed gh-2."""
    then = time.time() - OLD
    for path in (*(yard.clone / "logs").iterdir(), *(yard.clone / ".coordinator" / "jobs").rglob("gh-1.*")):
        os.utime(path, (then, then))
    dated = {**yard.environ, "GIT_COMMITTER_DATE": f"{int(then)} +0000", "GIT_AUTHOR_DATE": f"{int(then)} +0000",
             "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    for number in (1, 2):
        sha = git(yard.clone, dated, "commit-tree", "HEAD^{tree}", "-m", "kept")
        git(yard.clone, yard.environ, "update-ref", f"refs/coordinator/rescue/gh-{number}/1", sha)


@pytest.mark.req("X6")
def test_clean_removes_exactly_what_its_dry_run_named_and_nothing_that_is_needed(yard: Yard):
    """gh-1 merged, gh-2 failed: of the failure all is kept, and a worktree's grace time holds for clean too."""
    grace(yard, "1h")
    restart(yard)
    first, second = yard.issue(), yard.issue(script="result(error=True, text='no')")
    yard.until_state(first, "IN_REVIEW")
    yard.until_state(second, "BLOCKED")
    yard.ann.merge(yard.task(first).pr_number or 0)
    yard.until_state(first, "DONE")
    yard.close()
    grow_old(yard)
    assert "trees" not in command(yard, "clean", "--dry-run").stdout
    assert yard.worktree(first).exists()
    grace(yard, "0s")
    before = tree(yard.clone)
    named = command(yard, "clean", "--dry-run")
    assert tree(yard.clone) == before
    cleaned = command(yard, "clean")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    files = (yard.clone / name for name, held in before.items() if held != "folder")
    gone = {str(path) for path in files if not path.exists()}
    ours = {name for name in gone if "/.git/" not in name and "/trees/" not in name}
    refs = set(git(yard.clone, yard.environ, "for-each-ref", "--format=%(refname)", "refs/coordinator/").split())
    assert listed(named.stdout) == ours | {str(yard.worktree(first)), "refs/coordinator/rescue/gh-1/1"}
    assert refs == {"refs/coordinator/rescue/gh-2/1"}
    assert str(yard.clone / "logs" / "gh-1.jsonl") in ours
    assert {Path(name).name for name in ours if "gh-2" in name} == {"gh-2.1.jsonl"}   # not its newest failure's
    assert yard.worktree(second).exists()
    assert command(yard, "clean", "--dry-run").stdout == "nothing to remove\n"
    yard.start()


@pytest.mark.req("X6", "W15")
def test_clean_never_loses_work_that_is_on_no_remote(yard: Yard):
    """A merged task's tree in which somebody went on: both the commit and the draft get a ref before it goes."""
    grace(yard, "1h")
    restart(yard)
    number = yard.issue()
    yard.until_state(number, "IN_REVIEW")
    yard.ann.merge(yard.task(number).pr_number or 0)
    yard.until_state(number, "DONE")
    yard.close()
    work = yard.worktree(number)
    (work / "more.txt").write_text("more\n")
    identified = {**yard.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
                  "GIT_COMMITTER_EMAIL": "a@b"}
    git(work, identified, "add", "more.txt")
    git(work, identified, "commit", "-qm", "after the merge")
    tip = git(work, yard.environ, "rev-parse", "HEAD")
    (work / "draft.txt").write_text("draft\n")
    grace(yard, "0s")
    assert command(yard, "clean").returncode == 0
    assert not work.exists()
    held = git(yard.clone, yard.environ, "for-each-ref", f"--contains={tip}", "--format=%(refname)")
    assert "refs/coordinator/rescue/gh-1/" in held
    files = [git(yard.clone, yard.environ, "ls-tree", "--name-only", ref) for ref in held.split() if "rescue" in ref]
    assert any("draft.txt" in names for names in files)
    yard.start()


@pytest.mark.req("X6")
def test_clean_dry_run_makes_no_store(yard: Yard):
    yard.close()
    for path in (yard.clone / ".coordinator").iterdir():
        path.unlink()
    before = tree(yard.clone)
    assert command(yard, "clean", "--dry-run").returncode == 0
    assert tree(yard.clone) == before
    yard.start()


def test_stop_without_a_coordinator_ends_the_worker_and_keeps_its_work(yard: Yard):
    """Another task's worker runs on untouched, and nothing new is started."""
    number, other = yard.issue(script=waiting(yard)), yard.issue(script=waiting(yard))
    yard.until(lambda: {yard.state(number), yard.state(other)} == {"RUNNING"})
    yard.until((yard.worktree(number) / f"gh-{number}.txt").exists)
    third = yard.issue()
    token, other_token = (yard.engine.world.store.attempts()[f"gh-{one}"][-1].token for one in (number, other))
    yard.close()
    stopped = command(yard, "stop", str(number), "--reason", "not needed")
    assert stopped.returncode == 0, stopped.stderr
    assert "no coordinator runs here" in stopped.stdout
    store = SqlStore(yard.clone / ".coordinator" / "state.db")
    tasks = {task.id: task for task in store.tasks()}
    store.close()
    assert tasks[f"gh-{number}"].state is TaskState.CANCELLED
    assert tasks[f"gh-{number}"].reason == "manual_stop"
    assert tasks[f"gh-{other}"].state is TaskState.RUNNING
    assert f"gh-{third}" not in tasks
    assert identity.with_token(token) == []
    assert identity.with_token(other_token)
    assert (yard.worktree(number) / f"gh-{number}.txt").exists()
    yard.start()
    (yard.folder / "go").touch()
    yard.until_state(other, "IN_REVIEW")
    bury(yard)


def test_run_dry_run_names_what_would_happen_and_writes_nothing_here_or_there(yard: Yard):
    """With a task running, a labelled issue new and one held: the tree is the same, GitHub was only asked."""
    running, done = yard.issue(script=waiting(yard)), yard.issue()
    yard.until(lambda: yard.state(running) == "RUNNING" and yard.state(done) == "IN_REVIEW")
    yard.until((yard.worktree(running) / f"gh-{running}.txt").exists)
    yard.close()
    fresh, held = yard.issue(title="A new one"), yard.issue(title="From a stranger", by="stranger", labels=())
    yard.repository.as_user("ann").add_label(held, "rpi-pause")
    before, asked = _still(yard), len(yard.github.requests)
    ran = command(yard, "run", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    assert _still(yard) == before
    assert {one.method for one in yard.github.requests[asked:]} <= {"GET", "POST"}
    assert all(one.path.endswith("/graphql") for one in yard.github.requests[asked:] if one.method == "POST")
    assert f"gh-{fresh} A new one" in ran.stdout
    assert ran.stdout.endswith("Nothing was changed.\n")
    yard.start()
    (yard.folder / "go").touch()
    yard.until_state(running, "IN_REVIEW")
    bury(yard)


def _still(yard: Yard) -> dict[str, str]:
    """The clone without what a living worker writes itself."""
    return {name: held for name, held in tree(yard.clone).items() if not name.endswith((".heartbeat", ".log", ".err"))}


def test_run_once_ends_when_nothing_moves_any_more(yard: Yard):
    number = yard.issue()
    yard.close()
    ran = command(yard, "run", "--once")
    assert ran.returncode == 0, ran.stderr
    assert "ended; workers that still run are found again" in ran.stderr
    assert len(yard.repository.pulls()) == 1
    assert not (yard.clone / ".coordinator" / "lock").exists() or command(yard, "run", "--once").returncode == 0
    yard.start()
    assert yard.state(number) == "IN_REVIEW"
