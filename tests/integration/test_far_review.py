"""What goes wrong on hosts in ways that nobody meant: lines that break in the middle of a file, work of which a part
cannot be packed, disks that are full here, hosts that left the configuration. Real git, real files, a shell of this
machine for the host's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.remote.link import Here, Link
from coordinator.adapters.executors.ssh import Answer, Unreachable
from coordinator.domain.worker import Exited, Missing, Waiting
from coordinator.far import wire
from coordinator.ports import Away
from tests.support.executor_yard import ended, far_yard, seen, view
from tests.support.far_field import BRANCH, EXTRA, Field
from tests.support.gitworld import commit, git, make_world
from tests.support.workers import until


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    world = make_world(tmp_path)
    with far_yard(tmp_path / "yard", shared=False) as yard:
        yield Field(world, yard, world.repository())


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
    executor._manner = replace(executor._manner, limit=1000)  # type: ignore[attr-defined]
    first = field.sent(executor, "head -c 9000 /dev/urandom > big; git add big; git commit -qm big; git rev-parse HEAD")
    assert ended(executor, first).code == 0
    inbound = executor.fetch(first.handle)
    assert inbound is not None
    assert inbound.trouble
    second = field.sent(executor, "git for-each-ref --format='%(objectname)' refs/coordinator/left", attempt=2)
    lost = field.yard.file(first, "log.1").read_text()
    assert ended(executor, second).code == 0
    assert field.yard.out(second) == lost


# --- starts ----------------------------------------------------------------------------------------


def test_a_start_that_is_still_under_way_there_is_waited_for_and_never_made_twice(field: Field) -> None:
    executor = field.yard.executor()
    first = field.sent(executor, "true")
    ended(executor, first)
    spec = replace(first, handle=replace(first.handle, token="slow-" + field.yard.mark), fence=5,
                   argv=("sh", "-c", "cat ran; echo started >> ../../count"),
                   hooks=(("after_create", "echo once >> ran; echo once >> ../../hooked; sleep 2", 30.0),))
    field.yard.specs.append(spec)
    other = field.yard.executor()
    beside = threading.Thread(target=lambda: executor.submit(spec))
    beside.start()
    until(lambda: list((field.yard.root / "far side").rglob("hooked")), "the hook")
    assert isinstance(view(other, spec), Waiting), "it is not missing: it is being started"
    other.submit(spec)
    beside.join()
    assert ended(other, spec).code == 0
    assert field.yard.out(spec) == "once\n"
    [count] = (field.yard.root / "far side").rglob("count")
    [hooked] = (field.yard.root / "far side").rglob("hooked")
    assert (count.read_text(), hooked.read_text()) == ("started\n", "once\n")


def test_a_start_is_given_the_time_that_its_hooks_may_take(field: Field) -> None:
    executor = field.yard.executor()
    first = field.sent(executor, "true")
    ended(executor, first)
    spec = replace(first, handle=replace(first.handle, token="long-" + field.yard.mark), fence=5,
                   hooks=(("after_create", "true", 900.0), ("before_run", "true", 900.0)))
    field.yard.specs.append(spec)
    cable = field.yard.cable
    assert cable is not None
    real, patience = cable.run, dict[str, float]()

    def timed(remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        patience[wire.unpack(stdin)[0]["do"]] = timeout
        return real(remote, stdin, timeout)

    cable.run = timed  # type: ignore[method-assign]
    executor.submit(spec)
    assert patience["start"] > 1800
    assert ended(executor, spec).code == 0


def test_papers_that_no_wrapper_claims_are_not_waited_for_for_ever(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    ended(executor, spec)
    late = replace(spec, handle=replace(spec.handle, token="never-" + field.yard.mark), fence=5)
    field.yard.specs.append(late)
    executor.submit(late)
    seen(executor, late, Exited)
    jobs = field.yard.root / "far side/.coordinator/jobs/claude"
    for kind in ("heartbeat", "outcome"):
        (jobs / f"gh-1.{kind}").unlink()
        field.yard.file(late, kind).unlink()
    other = field.yard.executor()
    assert isinstance(view(other, late), Waiting)
    for minutes in (0.4, 0.8, 1.2):
        field.yard.clock.by = timedelta(minutes=minutes)
        found = view(other, late)
    assert found == Missing(started=False)


# --- lines that break in the middle of a file ------------------------------------------------------


class Broken:
    """A line that lets only so many bytes through once, then breaks: what was begun there ends as its input does."""

    def __init__(self, inner: Here, most: int) -> None:
        self._inner, self.most = inner, most

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        if len(stdin) > self.most > 0:
            cut, self.most = stdin[:self.most], 0
            self._inner.run(remote, cut, timeout)
            raise Unreachable("epyc12: the connection broke", begun=True)
        return self._inner.run(remote, stdin, timeout)


def test_what_travels_is_never_half_in_place(tmp_path: Path) -> None:
    shell = Broken(Here({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}), 40_000)
    link = Link("epyc12", shell, str(tmp_path / "far side"), sys.executable)
    with pytest.raises(Away):
        link.facts()
    assert not list((tmp_path / "far side/.coordinator").glob("*.pyz"))
    assert link.facts().folder == tmp_path / "far side"


def test_a_file_is_never_joined_to_the_half_of_another_one(tmp_path: Path) -> None:
    link = Link("epyc12", Here({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}), str(tmp_path / "far side"),
                sys.executable)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old" * 1000)
    new.write_bytes(b"new" * 2000)
    link.send(old, "gh-1.in")
    link.send(new, "gh-1.in")
    assert (tmp_path / "far side/.coordinator/parcels/gh-1.in").read_bytes() == new.read_bytes()
    asked = []
    real = link.ask

    def counted(do: str, *args: object, **more: object) -> object:
        asked.append(do)
        return real(do, *args, **more)  # type: ignore[arg-type]

    link.ask = counted  # type: ignore[method-assign,assignment]
    link.send(new, "gh-1.in")
    assert asked == ["weigh"], "what is there already is not sent again"
