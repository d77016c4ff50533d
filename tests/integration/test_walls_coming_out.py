"""Real bubblewrap: the way of a worker's commits out of its walls takes long, or is overtaken."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.git import cells
from coordinator.domain.parcel import Inbound
from coordinator.ports import GitBusy, GitError
from tests.support.gitworld import git
from tests.support.walled import BRANCH, OTHER, TASK, Field, make_field, needs_walls
from tests.support.workers import until


@pytest.fixture(scope="module", autouse=True)
def walls() -> None:
    needs_walls()


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return make_field(tmp_path)


PIPES = ("HEAD", "packed-refs", "config", f"refs/heads/{BRANCH}")


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_where_git_reads_is_waited_for_a_few_times_and_the_work_stands_aside(
    name: str, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = field.tip()
    monkeypatch.setattr(cells, "PATIENCE", 0.1)
    piped(field, name)
    for seconds in (0.1, 0.2, 0.4):
        with pytest.raises(GitBusy, match=rf"no answer within {seconds} s.* asked again"):
            field.let_out()
    with pytest.raises(GitError, match=r"no answer within 0\.8 s") as refused:
        field.let_out()
    assert not isinstance(refused.value, GitBusy)
    field.world.repository().remove_worktree(TASK)
    [left] = (field.world.checkout / ".git" / "coordinator-walls").iterdir()
    assert (left.name, field.tip()) == (f"{TASK}.left-t", base)


@pytest.mark.parametrize("by", ["take-in", "removal"])
def test_what_came_late_for_a_slow_host_is_taken_in(by: str, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe stands for a disk that answers after a while."""
    pipe, repo = piped(field, "config"), field.world.repository()
    with monkeypatch.context() as hurried:
        hurried.setattr(cells, "PATIENCE", 0.1)
        with pytest.raises(GitBusy):
            field.let_out() if by == "take-in" else repo.remove_worktree(TASK)
    assert (field.tree / ".git").exists()
    pipe.unlink()
    field.let_out() if by == "take-in" else repo.remove_worktree(TASK)
    assert git(field.world.checkout, "log", "-1", "--format=%s", BRANCH) == "x"


def test_while_a_worker_s_git_is_waited_for_nobody_else_is_kept_waiting(field: Field) -> None:
    pipe = piped(field, "config")
    other = field.world.repository()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(field.let_out)
        [end] = until(lambda: reader(pipe), "git, behind the walls")
        assert {one.task_id for one in other.worktrees()} == {TASK, OTHER}
        assert not waiting.done()
        pipe.unlink()   # who reads it next finds none
        os.close(end)
        waiting.result()
    assert git(field.tree, "log", "-1", "--format=%s") == "x"


def piped(field: Field, name: str) -> Path:
    """A named pipe in a cell, made by its worker after a commit."""
    field.inside(f"""git commit -q --allow-empty -m x; case {name} in HEAD) which=dir;; *) which=common-dir;; esac
        pipe=$(git rev-parse --path-format=absolute --git-$which)/{name}; rm -f $pipe; mkfifo $pipe""")
    home = field.world.checkout / ".git" / "coordinator-walls" / TASK
    pipe = home / ("admin" if name == "HEAD" else "git") / name
    assert pipe.is_fifo()
    return pipe


def reader(pipe: Path) -> list[int]:
    """The pipe, opened to be written to, when somebody waits for that."""
    try:
        return [os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)]
    except OSError:
        return []


@pytest.mark.parametrize(("by", "moment"), [("take-in", "after"), ("removal", "before"), ("removal", "after"),
                                            ("removal", "in vain")])
def test_an_attempt_that_begins_while_the_last_one_s_work_comes_out_keeps_its_cell_and_worktree(
    by: str, moment: str, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has a refused task begun again while its worktree is cleaned up."""
    field.inside("echo x > x; git add x; git commit -qm x")
    repo, base, told = field.world.repository(), field.tip(), cells.told

    def overtaken(*args: Any) -> Inbound | None:
        inbound = told(*args) if moment == "after" else None
        field.world.repository().wall_in(TASK, "next")
        if moment == "in vain":
            raise GitError("no answer")
        return inbound or told(*args)

    monkeypatch.setattr(cells, "told", overtaken)
    with pytest.raises(GitBusy, match="another attempt"):
        field.let_out() if by == "take-in" else repo.remove_worktree(TASK)
    walls = field.world.checkout / ".git" / "coordinator-walls"
    assert (walls / TASK / "ready").read_text().split() == ["next", base]
    assert (field.tip(), (field.tree / "x").exists(), (walls / f"{TASK}.left-t").is_dir()) == (base, True, True)


def test_a_worktree_that_is_wanted_again_stays(field: Field) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    with pytest.raises(GitBusy, match="set going meanwhile"):
        field.world.repository().remove_worktree(TASK, unless=lambda: True)
    assert (field.tree / "x").exists()
