"""Checkouts are met as they are: each serves, or the task is blocked with words that say what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coordinator.adapters.github.addresses import clone_url
from coordinator.domain.request import RequestKind
from tests.support.stories import go, waiting
from tests.support.yard import BOT, BOT_TOKEN, Yard, a_yard, git


def dirty(yard: Yard) -> None:
    (yard.clone / "README.md").write_text("half a thought\n")
    (yard.clone / "staged.txt").write_text("staged\n")
    yard.git("add", "staged.txt")
    (yard.clone / "src" / "untracked.py").write_text("x = 1\n")


def detached_behind(yard: Yard) -> None:
    yard.git("checkout", "-q", "--detach")
    yard.ann.commit("main", {"newer.txt": "newer"}, "A newer commit that only the remote has")


def local_work(yard: Yard) -> None:
    """The base is the remote's, never what a person has not pushed."""
    (yard.clone / "private.txt").write_text("mine")
    yard.git("add", "private.txt")
    yard.git("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid", "commit", "-qm", "Not pushed")


def upstream(yard: Yard) -> None:
    yard.git("remote", "rename", "origin", "upstream")


def other_branch(yard: Yard) -> None:
    yard.git("checkout", "-q", "-b", "persons-own")


def ssh(yard: Yard) -> None:
    yard.git("remote", "set-url", "origin", "git@127.0.0.1:acme/widgets.git")


def ssh_long(yard: Yard) -> None:
    yard.git("remote", "set-url", "origin", "ssh://git@127.0.0.1:9/acme/widgets.git")


def shallow(yard: Yard) -> None:
    for n in range(3):
        yard.ann.commit("main", {f"{n}.txt": "x"}, f"Commit {n}")
    settings = (yard.clone / "coordinator.toml").read_text()
    shutil.rmtree(yard.clone)
    address = yard.repository.clone_url.replace("://", f"://x:{BOT_TOKEN}@")
    git(yard.folder, yard.environ, "clone", "-q", "--depth", "1", address, "clone")
    yard.git("remote", "set-url", "origin", yard.repository.clone_url)
    (yard.clone / "coordinator.toml").write_text(settings)


WAYS = (dirty, detached_behind, local_work, upstream, other_branch, ssh, ssh_long, shallow)


@pytest.mark.req("X3", "P66")
@pytest.mark.parametrize("make", WAYS, ids=lambda way: way.__name__)
def test_the_main_job_runs_from_the_remotes_base_and_leaves_the_persons_checkout_alone(yard: Yard, make):
    yard.close()
    make(yard)
    before = yard.git("status", "--porcelain", "--branch", "--untracked-files=no"), yard.git("rev-parse", "HEAD")
    yard.start()
    number = yard.issue()

    task = yard.until_state(number, "IN_REVIEW")

    assert yard.repository.messages(task.branch) == ["Do the work"]
    assert task.base_sha == yard.repository.branch("main")
    assert "private.txt" not in yard.repository.files(task.branch)
    after = yard.git("status", "--porcelain", "--branch", "--untracked-files=no"), yard.git("rev-parse", "HEAD")
    assert after == before
    yard.ann.merge(yard.repository.pulls()[0].number)
    yard.until(lambda: yard.state(number) == "DONE" and not yard.worktree(number).exists())


@pytest.mark.req("X3")
def test_our_branch_checked_out_by_a_person_is_left_to_them_with_words(tmp_path: Path):
    with a_yard(tmp_path, settings={"retries": "0"}) as yard:
        yard.git("checkout", "-q", "-b", "rpi/gh-1")
        (yard.clone / "README.md").write_text("a person's work\n")
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED")

        said = f"{task.reason} {task.detail}"
        assert "rpi/gh-1" in said
        assert str(yard.clone) in said
        assert "checkout" in said or "switch" in said
        yard.until(lambda: any("is checked out in" in body and "⏰ Blocked" in body for body in yard.comments(number)))
        assert (yard.clone / "README.md").read_text() == "a person's work\n"

        yard.git("checkout", "-q", "main")
        yard.ann.remove_label(number, "rpi-auto")
        yard.ann.add_label(number, "rpi-auto")
        yard.until_state(number, "IN_REVIEW")


def test_in_a_checkout_without_a_remote_nothing_starts_and_the_command_that_mends_it_is_said(tmp_path: Path):
    with a_yard(tmp_path, settings={"retries": "0"}) as yard:
        yard.close()
        yard.git("remote", "remove", "origin")
        yard.start()
        yard.issue()

        yard.until(lambda: "git remote add origin" in yard.read(".coordinator/board.json"))

        assert yard.engine.world.store.attempts() == {}
        assert any("git remote add origin ADDRESS" in line for line in yard.lines)


@pytest.mark.req("X8")
def test_without_push_right_the_branch_goes_to_the_fork_and_the_pull_request_comes_from_there(tmp_path: Path):
    more = '[trust]\nusers = ["ann"]\n'
    with a_yard(tmp_path, more=more) as yard:
        yard.github.add_user(BOT, BOT_TOKEN, permission="read")
        fork = yard.github.add_fork(BOT, "acme/widgets")
        settings = yard.clone / "coordinator.toml"
        settings.write_text(settings.read_text().replace("[repository]\n", '[repository]\nfork = "bot/widgets"\n'))
        yard.close()
        yard.start()
        number = yard.issue(script=waiting(yard))
        yard.until(lambda: yard.state(number) == "RUNNING")
        go(yard)

        task = yard.until_state(number, "IN_REVIEW")

        assert yard.repository.branch(task.branch) is None
        assert fork.branch(task.branch) == task.pushed_sha
        [pull] = yard.repository.pulls()
        assert (pull.pull.head_ref, pull.author) == (task.branch, BOT)
        assert len([body for body in yard.comments(number) if "✅ Completed!" in body]) == 2
        yard.ann.merge(pull.number)
        yard.until_state(number, "DONE")


@pytest.mark.parametrize(("api", "address"), [
    ("https://api.github.com", "https://github.com/acme/widgets.git"),
    ("https://api.octo.ghe.com", "https://octo.ghe.com/acme/widgets.git"),
    ("https://git.example.invalid:8443/api/v3", "https://git.example.invalid:8443/acme/widgets.git"),
])
def test_the_https_address_instead_of_ssh_follows_from_that_of_the_api(api: str, address: str):
    assert clone_url(api, "acme/widgets") == address


def test_a_queued_task_whose_provider_nobody_knows_goes_on_with_another(yard: Yard):
    number = yard.issue(labels=("rpi-auto", "provider:nobody"))
    yard.until(lambda: number in {task.issue for task in yard.engine.world.store.tasks()})
    yard.tick()
    wait = yard.plan.waits[f"gh-{number}"]
    assert (wait.code, wait.moves) == ("provider_unknown", f"coordinator retry gh-{number} --provider command")
    store, now = yard.engine.world.store, yard.engine.world.clock.now()
    store.ask(RequestKind.RETRY, f"gh-{number}", {"provider": "command"}, "cli", now)
    yard.until_state(number, "IN_REVIEW")
