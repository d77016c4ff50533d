"""What goes wrong on hosts in ways that nobody meant: lines that break in the middle of a file, work of which a part
cannot be packed, disks that are full here, hosts that left the configuration. Real git, real files, a shell of this
machine for the host's."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.app import Place
from coordinator.app.executors import executor as build
from coordinator.app.executors import home_of
from coordinator.config import Config
from coordinator.config.sections import Host
from coordinator.domain.worker import Exited, Running, Unknown, Waiting, WorkerView
from coordinator.ports import Away, Handle, StopOrder
from tests.support import far_field
from tests.support.executor_yard import beside, ended, far_yard, seen, view
from tests.support.far_field import BRANCH, EXTRA, Field
from tests.support.gitworld import commit, git
from tests.support.workers import until

field = far_field.field


# --- work that is odd ------------------------------------------------------------------------------


def test_commits_come_home_though_a_repository_of_its_own_without_a_commit_lies_among_the_files(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, """
        echo 1 > one; git add one; git commit -qm one; echo loose > loose.txt; git init -q nested; echo x > nested/x
    """)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    inbound = field.home(executor, spec)
    assert not inbound.trouble
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"
    assert (field.tree / "loose.txt").read_text() == "loose\n"


def test_a_head_that_a_later_commit_on_the_host_contains_is_not_packed_again(field: Field) -> None:
    field.repo.fetch()
    field.repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    later = commit(field.world.person, "later", "later")
    git(field.world.person, "push", "-q", "origin", "HEAD:main")
    field.repo.fetch()
    packed = field.repo.pack("gh-1", BRANCH, had=(later,), extra=EXTRA, repository="widgets")
    assert (packed.bundle, packed.files) == (None, "")
    (field.tree / "file.txt").write_text("edited\n")
    packed = field.repo.pack("gh-1", BRANCH, had=(later,), extra=EXTRA, repository="widgets")
    assert packed.bundle is not None


def test_a_read_only_folder_that_a_worker_left_keeps_no_later_worker_away(field: Field) -> None:
    executor = field.yard.executor()
    first = field.sent(executor, "mkdir -p c/mod; echo x > c/mod/x; echo /c > .gitignore; chmod -R a-w c")
    assert ended(executor, first).code == 0
    field.home(executor, first)
    second = field.sent(executor, "test ! -e c/mod/x", attempt=2)
    assert ended(executor, second).code == 0


def test_a_worker_of_a_shallow_clone_has_its_history_and_brings_its_commits_home(field: Field) -> None:
    git(field.world.checkout, "fetch", "-q", "--depth=1", "origin", "main")
    assert (field.world.checkout / ".git/shallow").exists()
    executor = field.yard.executor()
    spec = field.sent(executor, """
        git log --format=%s; echo 1 > one; git add one; git commit -qm one; git fsck --connectivity-only
    """)
    end = ended(executor, spec)
    assert isinstance(end, Exited)
    assert end.code == 0, field.yard.out(spec) + field.yard.file(spec, "err").read_text()
    field.home(executor, spec)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"


def test_commits_that_could_not_be_brought_home_stay_on_the_host_when_the_next_worker_begins(field: Field) -> None:
    executor = field.yard.executor()
    executor._homecoming.limit = 1000  # type: ignore[attr-defined]
    first = field.sent(executor, "head -c 9000 /dev/urandom > big; git add big; git commit -qm big; git rev-parse HEAD")
    assert ended(executor, first).code == 0
    inbound = executor.fetch(first.handle)
    assert inbound is not None
    assert inbound.trouble
    second = field.sent(executor, "git for-each-ref --format='%(objectname)' refs/coordinator/left", attempt=2)
    lost = field.yard.file(first, "log.1").read_text()
    assert ended(executor, second).code == 0
    assert field.yard.out(second) == lost


def test_a_branch_that_another_worker_looked_at_in_its_own_worktree_is_still_this_task_s(field: Field) -> None:
    executor = field.yard.executor()
    first = field.sent(executor, "true")
    assert ended(executor, first).code == 0
    [bare] = (field.yard.root / "far side/.coordinator/repos").glob("*.git")
    [tree] = (field.yard.root / "far side/trees").glob("*/gh-1")
    git(tree, "checkout", "-q", "--detach")
    git(bare, "worktree", "add", "-q", str(tree.with_name("gh-2")), BRANCH)
    second = field.sent(executor, "git symbolic-ref HEAD", attempt=2)
    assert ended(executor, second).code == 0
    assert field.yard.out(second) == f"refs/heads/{BRANCH}\n"


def test_what_is_copied_along_is_for_nobody_else_to_read_on_its_way(field: Field) -> None:
    before = os.umask(0o022)
    try:
        field.repo.fetch()
        field.repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
        field.repo.exclude(["/.env"])
        (field.tree / ".env").write_text("KEY=secret\n")
        packed = field.repo.pack("gh-1", BRANCH, had=(), extra=EXTRA, repository="widgets")
    finally:
        os.umask(before)
    assert packed.bundle is not None
    assert packed.bundle.parent.stat().st_mode & 0o077 == 0
    blob = git(field.tree, "rev-parse", f"{packed.files}:.env")
    assert (field.world.checkout / ".git/objects" / blob[:2] / blob[2:]).stat().st_mode & 0o077 == 0


# --- what is wrong here, and not there -------------------------------------------------------------


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["append", "note"])
def test_a_disk_that_is_full_here_parts_nobody_from_a_worker_and_ends_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with far_yard(tmp_path, background=True) as yard:
        executor = yard.executor()
        spec = yard.spec("sh", "-c", f"until test -e '{tmp_path}/go'; do echo x; sleep 0.1; done")
        executor.submit(spec)
        seen(executor, spec, Running)
        with monkeypatch.context() as patched:
            patched.setattr(f"coordinator.adapters.executors.remote.mirror.Mirror.{what}", full)
            first = seen(executor, spec, Unknown)
            assert "No space left on device" in first.reason
            until(lambda: isinstance(now := view(executor, spec), Unknown) and now.since > first.since, "no lease runs")
            assert executor.hosts()["epyc12"].away_since is None
        seen(executor, spec, Running)
        (tmp_path / "go").touch()
        assert ended(executor, spec).code == 0


def test_whoever_has_ended_and_is_still_on_its_way_home_is_no_silent_worker(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "head -c 7000000 /dev/urandom | base64; echo 1 > one; git add one; git commit -qm one")
    found: list[WorkerView] = []
    settle = executor._settle  # type: ignore[attr-defined]

    def noted(handle: Handle, now: WorkerView) -> None:
        found.append(now)
        settle(handle, now)

    executor._settle = noted  # type: ignore[attr-defined]
    assert ended(executor, spec).code == 0
    assert Waiting("it has ended; what it left is on its way home") in found
    assert all(one.beat is not None for one in found if isinstance(one, Running))


def test_a_look_ends_though_more_is_printed_than_it_fetches(field: Field) -> None:
    executor = field.yard.executor()
    rounds: list[int] = []

    def more(_: object) -> bool:
        rounds.append(1)
        return len(rounds) < 1000

    executor._look_once = more  # type: ignore[attr-defined]
    executor.refresh()  # type: ignore[attr-defined]
    assert len(rounds) < 100


def test_nobody_is_judged_by_a_heartbeat_that_was_fetched_long_ago(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    executor._refresh_if_due = lambda: None  # type: ignore[attr-defined]   # as while another's work is fetched
    field.yard.clock.by = timedelta(minutes=30)
    found = view(executor, spec)
    assert isinstance(found, Unknown)
    assert field.yard.clock.now() - found.since < timedelta(seconds=5)


def test_whoever_is_given_up_while_its_host_answers_stays_given_up(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    until(lambda: list((field.yard.root / "far side").rglob("gh-1.outcome")), "its end there")
    beside(executor, "look", after=lambda: executor.give_up(spec.handle))
    view(executor, spec)
    assert field.yard.pairs(spec, "seen")["state"] == "given_up"
    assert not field.yard.pairs(spec, "outcome")
    assert executor.fetch(spec.handle) is None


def test_output_that_another_process_has_fetched_meanwhile_is_not_fetched_twice(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo once")
    until(lambda: list((field.yard.root / "far side").rglob("gh-1.outcome")), "its end there")
    beside(executor, "look", after=lambda: field.yard.file(spec, "log").write_text("once\n"))
    ended(executor, spec)
    assert field.yard.out(spec) == "once\n"


def test_one_meta_that_a_person_has_cut_short_hides_no_worker(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    meta = field.yard.file(spec, "meta")
    meta.write_text("".join(line for line in meta.read_text().splitlines(True) if not line.startswith("worktree=")))
    seen(executor, spec, Running)
    until(lambda: executor.hosts()["epyc12"].met, "the host")
    assert isinstance(view(executor, spec), Running)


def test_the_environment_of_a_run_that_never_began_does_not_stay_on_its_host(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    ended(executor, spec)
    jobs = field.yard.root / "far side/.coordinator/jobs/claude"
    old, wanted, fresh = (jobs / f"gh-{number}.env" for number in (7, 8, 9))
    for each in (old, wanted, fresh):
        each.write_text("ANTHROPIC_API_KEY=k\n")
    for each in (old, wanted):
        os.utime(each, (1, 1))
    executor._link.ask("tidy", keep=86400, wanted=["gh-8"])  # type: ignore[attr-defined]
    assert [each.exists() for each in (old, wanted, fresh)] == [False, True, True]


# --- what the configuration says no more -----------------------------------------------------------


@pytest.mark.parametrize("others", [False, True])
def test_a_worker_on_a_host_that_left_the_configuration_is_no_worker_of_this_machine_and_can_be_given_up(
    field: Field, others: bool
) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    home = field.yard.root
    (home / ".coordinator").mkdir()
    field.yard.jobs.rename(home / ".coordinator/jobs")
    hosts = {"mac": Host(address="mac")} if others else {}
    fleet = build(Place(home), Config(hosts=hosts), {"PATH": os.environ["PATH"]}, lambda _: None, looks="due")
    found = fleet.look([spec.handle])[spec.handle]
    assert isinstance(found, Unknown)
    assert "no host 'epyc12' in the configuration any more" in found.reason
    assert fleet.look([spec.handle])[spec.handle].since == found.since, "its lease runs"  # type: ignore[union-attr]
    with pytest.raises(Away, match="configuration"):
        fleet.stop(spec.handle, StopOrder("manual_stop", "enough"))
    assert fleet.sweep(spec.handle) == ()
    fleet.give_up(spec.handle)
    assert "given_up" in (home / ".coordinator/jobs/claude/gh-1.seen").read_text()
    assert fleet.fetch(spec.handle) is None
    fleet.close()


def test_a_host_that_knows_nothing_of_a_worker_it_had_has_not_ended_it(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    field.yard.workdir = str(field.yard.root / "elsewhere")
    executor = field.yard.executor()
    until(lambda: "knows nothing of it any more" in getattr(view(executor, spec), "reason", ""), "the words")
    found = seen(executor, spec, Unknown)
    field.yard.clock.by = timedelta(minutes=1)
    assert view(executor, spec) == found, "its lease runs"


def test_the_folder_on_hosts_stays_whatever_this_machine_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".coordinator").mkdir()
    config = Config(hosts={"mac": Host(address="mac")})
    for looks in ("never", "thread"):
        before = home_of(Place(tmp_path))
        assert not list((tmp_path / ".coordinator").iterdir()), "who only looks writes nothing"
        build(Place(tmp_path), config, {"PATH": os.environ["PATH"]}, lambda _: None, looks=looks).close()
    monkeypatch.setattr("socket.gethostname", lambda: "another.name")
    assert home_of(Place(tmp_path)) == before
    assert home_of(Place(tmp_path / "else")) != before


@pytest.mark.parametrize("at", ["1e300", "nan", "-1", "yesterday", ""])
def test_whatever_seen_says_a_host_that_is_away_is_away(field: Field, at: str) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    target = field.yard.file(spec, "seen")
    target.write_text("".join(f"at={at}\n" if line.startswith("at=") else line
                              for line in target.read_text().splitlines(True)))
    assert field.yard.cable is not None
    field.yard.cable.cut = "before"
    found = seen(executor, spec, Unknown)
    assert "timed out" in found.reason
    assert executor.hosts()["epyc12"].away_since == found.since
