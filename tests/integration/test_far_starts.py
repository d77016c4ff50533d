"""Starts on a host whose line breaks in the middle, whose hooks take long, whose queue is not ours: made once, never
from halves. Real git, real files, a shell of this machine for the host's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.remote.link import Here, Link
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.ssh import Answer, Unreachable
from coordinator.domain.worker import Exited, Missing, Running, Waiting, WorkerView
from coordinator.far import wire
from coordinator.ports import Away, GitError, Handle, LaunchFailed, LaunchSpec, StopOrder
from coordinator.runfiles.lock import Busy
from tests.support import far_field
from tests.support.executor_yard import beside, ended, seen, view
from tests.support.far_field import BRANCH, Field
from tests.support.gitworld import git
from tests.support.workers import until

field = far_field.field


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


def test_an_answer_that_is_older_than_a_start_does_not_say_that_it_never_was(field: Field) -> None:
    executor = field.yard.executor()
    first = field.sent(executor, "true")
    ended(executor, first)
    spec = replace(first, handle=replace(first.handle, token="again-" + field.yard.mark), fence=5,
                   argv=("sh", "-c", "sleep 60"))
    field.yard.specs.append(spec)
    starts: list[int] = []

    def breaks() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise Away("epyc12: the connection broke")

    def once() -> None:
        if len(starts) == 1:
            executor.submit(spec)

    beside(executor, "start", before=breaks)
    with pytest.raises(Away):
        executor.submit(spec)
    beside(executor, "look", after=once)
    assert not isinstance(view(executor, spec), Missing)
    assert len(starts) == 2
    seen(executor, spec, Running)


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


def test_work_that_a_full_disk_there_keeps_from_being_packed_is_waited_for(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo 1 > one; git add one; git commit -qm one")
    tries: list[int] = []

    def crowded() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise LaunchFailed("disk_full", "epyc12: No space left on device")

    beside(executor, "pack", before=crowded)
    until(lambda: isinstance(now := view(executor, spec), Waiting) and "cannot be packed" in now.reason, "the words")
    assert ended(executor, spec).code == 0
    field.home(executor, spec)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"


class Queued:
    """Who starts wrappers in place of the host, and lets them wait."""

    def __init__(self) -> None:
        self.started: list[Handle] = []

    def start(self, mirror: Mirror, spec: LaunchSpec, folder: Path, wrapper: Sequence[str]) -> None:
        self.started.append(spec.handle)

    def ask(self, mirrors: Sequence[Mirror]) -> None: ...

    def judged(self, mirror: Mirror, view: WorkerView, now: datetime) -> WorkerView:
        return Waiting("Priority")

    def order(self, mirror: Mirror) -> StopOrder | None:
        return None

    def stop(self, mirror: Mirror, order: StopOrder) -> None: ...

    def live(self, known: Sequence[Handle]) -> tuple[Handle, ...]:
        return tuple(handle for handle in known if handle in self.started)


def test_a_worker_that_waits_in_a_queue_keeps_its_worktree_when_its_start_is_asked_for_again(field: Field) -> None:
    field.yard.starter = queue = Queued()
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    [tree] = (field.yard.root / "far side/trees").glob("*/gh-1")
    (tree / "begun").touch()
    assert executor.submit(spec) == 0
    assert (tree / "begun").exists()
    assert len(queue.started) == 1


def test_a_submission_that_could_not_be_noted_here_may_have_been_heard(field: Field) -> None:
    queue = Queued()

    def heard(*given: object) -> None:
        Queued.start(queue, *given)  # type: ignore[arg-type]
        raise Busy("gh-1.lock is held by another process")

    queue.start = heard  # type: ignore[method-assign]
    field.yard.starter = queue
    executor = field.yard.executor()
    with pytest.raises(Away):
        field.sent(executor, "true")


@pytest.mark.parametrize("path", [".git/hooks/post-checkout", "../../outside", "a/../../b"])
def test_a_tree_that_would_write_where_it_must_not_is_refused_and_moves_nothing(field: Field, path: str) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, f"""
        blob=$(echo evil | git hash-object -w --stdin)
        python3 - "$blob" <<'END'
import subprocess, sys
blob, name = sys.argv[1], "{path}"
mode = "100755"
for part in reversed(name.split("/")):
    raw = mode.encode() + b" " + part.encode() + bytes([0]) + bytes.fromhex(blob)
    ran = subprocess.run(["git", "hash-object", "--literally", "-t", "tree", "-w", "--stdin"], input=raw,
                         capture_output=True, check=True)
    blob, mode = ran.stdout.decode().strip(), "40000"
made = subprocess.run(["git", "commit-tree", "-p", "HEAD", "-m", "evil", blob], capture_output=True, check=True)
subprocess.run(["git", "update-ref", "{f'refs/heads/{BRANCH}'}", made.stdout.decode().strip()], check=True)
END
    """)
    assert ended(executor, spec).code == 0, field.yard.file(spec, "err").read_text()
    before, branch = git(field.world.checkout, "for-each-ref"), git(field.tree, "rev-parse", "HEAD")
    inbound = executor.fetch(spec.handle)
    assert inbound is not None
    with pytest.raises(GitError):
        field.repo.unpack("gh-1", BRANCH, inbound, 1)
    assert git(field.world.checkout, "for-each-ref") == before
    assert git(field.tree, "rev-parse", "HEAD") == branch
    assert not [*field.world.checkout.parent.rglob("post-checkout"), *field.world.checkout.parent.rglob("outside")]


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
    link.send(new, "x" * 64 + ".in")
    for wrong in ("../x.in", "x", "x.zip", ".in", "y" * 65 + ".in"):
        with pytest.raises(LaunchFailed, match="cannot do that"):
            link.send(new, wrong)


def test_a_worker_there_has_the_umask_of_its_host_and_nobody_else_can_enter(field: Field) -> None:
    executor = field.yard.executor()
    before = os.umask(0o022)
    try:
        spec = field.sent(executor, "umask; stat -c %a file.txt")
    finally:
        os.umask(before)
    assert ended(executor, spec).code == 0
    assert field.yard.out(spec).split() == ["0022", "644"]
    far = field.yard.root / "far side"
    assert {oct(folder.stat().st_mode & 0o077) for folder in (far, *(far / ".coordinator").glob("*/"))} == {"0o0"}
