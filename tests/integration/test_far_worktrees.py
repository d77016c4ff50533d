"""Work on a host that does not see our files: a worktree goes there as a bundle and comes home as one. Real git on both
sides, a shell of this machine for the host's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.adapters.system import seam
from coordinator.domain.worker import Exited, Missing, Running, Unknown
from coordinator.ports import Away, GitError, LaunchFailed, StopOrder
from tests.support import far_field
from tests.support.executor_yard import Closing, ended, seen, view
from tests.support.far_field import BRANCH, Field
from tests.support.gitworld import NO_CHECKOUT, commit, git
from tests.support.workers import until

field = far_field.field


def test_commits_and_whatever_else_lies_there_come_home_as_they_were(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, """
        cat .env; git log --oneline | wc -l; echo done > done.txt; git add done.txt; git commit -qm 'did it'
        echo more >> file.txt; echo new > 'ein neuer.txt'; rm -f gone; touch BLOCKED.md; echo why > BLOCKED.md
        mkdir -p .coordinator/handoff; echo plan > .coordinator/handoff/plan.md; echo secret > .env
    """)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    assert field.yard.out(spec).split() == ["KEY=1", "3"]
    field.home(executor, spec)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "did it"
    work = field.repo.work("gh-1", BRANCH, git(field.world.checkout, "rev-parse", "origin/main"))
    assert work is not None
    assert (work.commits, set(work.dirty), work.branch_ok) == (1, {"file.txt", "ein neuer.txt"}, True)
    assert field.repo.note("gh-1", "BLOCKED.md") == "why\n"
    assert (field.tree / ".coordinator/handoff/plan.md").read_text() == "plan\n"
    assert (field.tree / ".env").read_text() == "KEY=1\n", "what git ignores stays each side's own"
    assert executor.fetch(spec.handle) is None
    assert git(field.world.checkout, "for-each-ref", "refs/coordinator") == ""


def test_a_second_attempt_sends_and_brings_only_what_is_new(field: Field) -> None:
    executor = field.yard.executor()
    blob = "head -c 3000000 /dev/urandom > big; git add big; git commit -qm big"
    first = field.sent(executor, blob)
    assert ended(executor, first).code == 0
    field.home(executor, first)
    second = field.sent(executor, "echo 2 > two; git add two; git commit -qm two", attempt=2)
    assert second.outbound is not None
    assert ended(executor, second).code == 0, field.yard.out(second)
    inbound = executor.fetch(second.handle)
    assert inbound is not None
    assert inbound.bundle is not None
    assert inbound.bundle.stat().st_size < 100_000
    field.home(executor, second)
    assert git(field.tree, "log", "--format=%s", "-2", BRANCH).split() == ["two", "big"]


def test_an_agent_that_made_a_branch_of_its_own_or_detached_is_seen_as_it_is(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "git checkout -qb mine; echo 1 > one; git add one; git commit -qm one")
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    inbound = field.home(executor, spec)
    base = git(field.world.checkout, "rev-parse", "origin/main")
    work = field.repo.work("gh-1", BRANCH, base)
    assert work is not None
    assert (work.commits, work.branch_ok, inbound.on) == (1, False, "refs/heads/mine")
    assert field.repo.take_home("gh-1", BRANCH)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"
    assert git(field.world.checkout, "branch", "--list", "mine") == ""


def test_a_run_that_changed_nothing_brings_nothing(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    assert ended(executor, spec).code == 0
    inbound = field.home(executor, spec)
    assert (inbound.bundle, inbound.head) == (None, inbound.sent)


def test_no_ref_of_ours_but_the_task_s_branch_moves_whatever_the_worker_did_there(field: Field) -> None:
    before = git(field.world.checkout, "for-each-ref")
    executor = field.yard.executor()
    spec = field.sent(executor, """
        echo 1 > one; git add one; git commit -qm one
        git update-ref refs/heads/main HEAD; git update-ref refs/remotes/origin/main HEAD; git tag v1
        git config core.hooksPath /tmp/hooks; git config filter.x.clean 'touch /tmp/owned'
    """)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    field.home(executor, spec)
    after = git(field.world.checkout, "for-each-ref")
    assert set(after.splitlines()) - set(before.splitlines()) == {
        f"{git(field.tree, 'rev-parse', BRANCH)} commit\trefs/heads/{BRANCH}"}


def test_a_parcel_that_is_not_what_it_says_is_refused_and_changes_nothing(field: Field, tmp_path: Path) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo 1 > one; git add one; git commit -qm one")
    assert ended(executor, spec).code == 0
    inbound = executor.fetch(spec.handle)
    assert inbound is not None
    before = git(field.world.checkout, "for-each-ref")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"# v2 git bundle\n" + b"\0" * 100)
    elsewhere = commit(field.world.person, "x", "x")
    for wrong in (replace(inbound, bundle=garbage), replace(inbound, bundle=None), replace(inbound, head="", tip=""),
                  replace(inbound, head="--help"), replace(inbound, tip=elsewhere), replace(inbound, trouble="no"),
                  replace(inbound, head=inbound.sent, tip=inbound.sent)):   # the bundle holds more than it names
        with pytest.raises(GitError):
            field.repo.unpack("gh-1", BRANCH, wrong, 1)
        assert git(field.world.checkout, "for-each-ref") == before


def test_a_commit_that_no_checkout_can_be_made_of_is_refused_and_changes_nothing(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, NO_CHECKOUT)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    inbound = executor.fetch(spec.handle)
    assert inbound is not None
    before = git(field.world.checkout, "for-each-ref"), git(field.tree, "rev-parse", "HEAD")
    with pytest.raises(GitError, match="hasDotgit"):
        field.repo.unpack("gh-1", BRANCH, inbound, 1)
    assert (git(field.world.checkout, "for-each-ref"), git(field.tree, "rev-parse", "HEAD")) == before
    assert git(field.world.checkout, "cat-file", "-t", inbound.head, ok=False) == ""


def test_taking_in_twice_changes_nothing_and_what_a_person_did_meanwhile_is_rescued(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo 1 > one; git add one; git commit -qm one; echo dirty > dirt")
    assert ended(executor, spec).code == 0
    inbound = executor.fetch(spec.handle)
    assert inbound is not None
    field.repo.unpack("gh-1", BRANCH, inbound, 1)
    field.repo.unpack("gh-1", BRANCH, inbound, 1)
    assert field.world.refs() == {}
    (field.tree / "person.txt").write_text("mine\n")
    git(field.tree, "add", "person.txt")
    git(field.tree, "commit", "-qm", "a person's")
    (field.tree / "file.txt").write_text("edited\n")
    field.repo.unpack("gh-1", BRANCH, inbound, 1)
    assert len(field.world.refs()) == 2
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "one"


def test_work_that_is_home_is_not_looked_for_again_where_the_clearing_up_was_cut_short(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo x > x; git add x; git commit -qm x")
    assert ended(executor, spec).code == 0

    def dies(moment: str, kind: str, what: str) -> None:
        if (moment, kind) == ("after", "file") and what.startswith("remove "):
            raise KeyboardInterrupt

    unwatch = seam.watch(dies)
    try:
        with pytest.raises(KeyboardInterrupt):
            field.home(executor, spec)
    finally:
        unwatch()
    assert field.yard.executor().fetch(spec.handle) is None
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "x"


def test_work_above_the_limit_stays_there_and_the_words_say_where(field: Field) -> None:
    executor = field.yard.executor()
    executor._homecoming.limit = 100_000  # type: ignore[attr-defined]
    spec = field.sent(executor, "head -c 300000 /dev/urandom > big; git add big; git commit -qm big")
    assert ended(executor, spec).code == 0
    inbound = executor.fetch(spec.handle)
    assert inbound is not None
    assert "at most 100000 are taken home; it lies in" in inbound.trouble
    with pytest.raises(GitError, match="taken home"):
        field.repo.unpack("gh-1", BRANCH, inbound, 1)


def test_hooks_are_run_there_and_a_failed_one_starts_nothing(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "cat built")
    ended(executor, spec)
    good = replace(spec, handle=replace(spec.handle, token="good-" + field.yard.mark), fence=5,
                   hooks=(("after_create", "echo yes > built", 10.0),))
    executor.submit(good)
    field.yard.specs.append(good)
    assert ended(executor, good).code == 0
    assert field.yard.out(good) == "yes\n"
    bad = replace(good, handle=replace(spec.handle, token="bad-" + field.yard.mark), fence=6,
                  hooks=(("before_run", "echo no tool >&2; exit 9", 10.0),))
    with pytest.raises(LaunchFailed, match=r"before_run .*no tool") as refused:
        executor.submit(bad)
    assert refused.value.reason == "hook_failed"
    assert isinstance(view(executor, bad), Missing)


# --- the line to the host --------------------------------------------------------------------------


def cut(field: Field, how: str) -> None:
    assert field.yard.cable is not None
    field.yard.cable.cut = how


def test_a_host_that_is_out_of_reach_is_unknown_and_ends_nothing(field: Field) -> None:
    executor = field.yard.executor()
    go = field.yard.root / "go"
    spec = field.sent(executor, f"until test -e '{go}'; do sleep 0.05; done; echo late")
    seen(executor, spec, Running)
    cut(field, "middle")
    lost = seen(executor, spec, Unknown)
    assert "connection broke" in lost.reason
    assert executor.hosts()["epyc12"].away_since is not None
    assert field.yard.pairs(spec, "seen")["since"]
    go.touch()
    cut(field, "")
    assert ended(executor, spec).code == 0
    assert field.yard.out(spec) == "late\n"
    assert executor.hosts()["epyc12"].away_since is None


def test_a_host_that_was_never_reached_starts_nothing_for_sure(field: Field) -> None:
    executor = field.yard.executor()
    cut(field, "before")
    with pytest.raises(LaunchFailed, match="timed out") as away:
        field.sent(executor, "echo never")
    assert away.value.reason == "host_lost"


def test_a_start_whose_answer_was_lost_is_found_and_not_made_again(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "true")
    ended(executor, spec)
    again = replace(spec, handle=replace(spec.handle, token="again-" + field.yard.mark), fence=7,
                    argv=("sh", "-c", "echo x >> ../../count; sleep 0.3"))
    field.yard.specs.append(again)
    executor._link.facts()  # type: ignore[attr-defined]
    real = executor._link.ask  # type: ignore[attr-defined]

    def lossy(do: str, *args: object, **more: object) -> object:
        cut(field, "after" if do == "start" else "")
        return real(do, *args, **more)

    executor._link.ask = lossy  # type: ignore[attr-defined]
    with pytest.raises(Away):
        executor.submit(again)
    executor._link.ask = real  # type: ignore[attr-defined]
    cut(field, "")
    executor.submit(again)
    other = field.yard.executor()
    other.submit(again)
    assert ended(other, again).code == 0
    [count] = (field.yard.root / "far side").rglob("count")
    assert count.read_text() == "x\n"


def test_what_was_half_fetched_is_taken_up_again(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.far.home.PIECE", 1 << 16)
    executor = field.yard.executor()
    spec = field.sent(executor, "head -c 9000000 /dev/urandom > big; git add big; git commit -qm big; cat big | base64")
    real = executor._link.ask  # type: ignore[attr-defined]
    got: list[int] = []

    def breaking(do: str, *args: object, **more: object) -> object:
        if do == "get":
            got.append(int(str(more["offset"])))
            if len(got) == 2:
                raise Away("the connection broke")
        return real(do, *args, **more)

    executor._link.ask = breaking  # type: ignore[attr-defined]
    seen(executor, spec, Unknown)
    half = field.yard.file(spec, "bundle").stat().st_size
    assert 0 < half < 9_000_000
    second = field.yard.executor()
    second._link.ask = breaking  # type: ignore[attr-defined]
    assert ended(second, spec, 60.0).code == 0
    assert got[2] == half, "it goes on where it was left"
    assert field.yard.file(spec, "log").stat().st_size > 9_000_000
    field.home(second, spec)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "big"


def test_a_worker_that_was_given_up_is_stopped_when_its_host_is_met_again_and_brings_nothing(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "trap '' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: view(executor, spec) and field.yard.out(spec) == "up\n", "the worker")
    cut(field, "middle")
    seen(executor, spec, Unknown)
    executor.give_up(spec.handle)
    second = field.yard.executor()
    cut(field, "")
    until(lambda: second.look([]) == {} and not second.live(), "the stale worker's end", 30.0)
    assert second.fetch(spec.handle) is None
    assert not field.yard.pairs(spec, "outcome")
    far = (field.yard.root / "far side/.coordinator/jobs/claude")
    assert (far / "gh-1.fence").read_text() == f"{spec.fence + 1}\n"
    assert not (far / "gh-1.outcome").exists(), "a fenced worker writes nothing"


def test_a_stop_that_cannot_be_said_is_said_so(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "sleep 60")
    seen(executor, spec, Running)
    cut(field, "middle")
    with pytest.raises(Away):
        executor.stop(spec.handle, StopOrder("manual_stop", "enough"))
    cut(field, "")
    executor.stop(spec.handle, StopOrder("manual_stop", "enough"))
    end = ended(executor, spec)
    assert isinstance(end, Exited)
    assert end.reason == "manual_stop"


def test_what_old_runs_left_there_goes_and_what_may_be_somebody_s_stays(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo 1 > one; git add one; git commit -qm one")
    ended(executor, spec)
    far = field.yard.root / "far side"
    link = executor._link  # type: ignore[attr-defined]
    assert link.ask("tidy", keep=3600, wanted=[])[0]["gone"] == 0, "it is not old"
    assert link.ask("tidy", keep=-60, wanted=["gh-1"])[0]["gone"] == 0, "it is asked for"
    assert link.ask("tidy", keep=-60, wanted=[])[0]["gone"] > 0
    assert sorted(path.name for path in (far / ".coordinator/jobs/claude").iterdir()) == ["gh-1.fence", "gh-1.lock"]
    assert list((far / "trees").rglob("file.txt")) == []
    assert list((far / ".coordinator").glob("wrapper-*.pyz")), "it would remove itself"
    again = field.sent(executor, "echo 2", attempt=2)
    assert ended(executor, again).code == 0


HOME = "echo 1 > one; git add one; git commit -qm one; echo loose > loose.txt"


@pytest.mark.req("N13")
@pytest.mark.parametrize("script", ["true", HOME, f"{HOME}; git checkout -q --detach"])
def test_for_want_of_room_what_came_home_goes_at_once(field: Field, script: str) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, script)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    field.home(executor, spec)
    [tree] = (field.yard.root / "far side/trees").glob("*/gh-1")
    assert executor.make_room("epyc12", ["gh-2"]) == 0
    assert tree.exists()
    assert executor.make_room("epyc12", ["gh-1"]) == 2
    assert not tree.exists()


def given_up(field: Field, executor: Closing, script: str) -> Path:
    """A run that ended there by itself while its host was out of reach and it was given up here; its worktree there."""
    spec = field.sent(executor, f"echo up; {script}")
    until(lambda: view(executor, spec) and field.yard.out(spec) == "up\n", "the worker")
    cut(field, "middle")
    seen(executor, spec, Unknown)
    executor.give_up(spec.handle)
    far = field.yard.root / "far side"
    until((far / ".coordinator/jobs/claude/gh-1.outcome").exists, "its end there")
    cut(field, "")
    [tree] = (far / "trees").glob("*/gh-1")
    return tree


def stays(field: Field, tree: Path) -> bool:
    """Whether want of room takes nothing of it, and age does."""
    link, before = field.yard.executor()._link, sorted(tree.parent.rglob("*"))  # type: ignore[attr-defined]
    taken = field.yard.executor().make_room("epyc12", ["gh-1"])
    left = sorted(tree.parent.rglob("*")) == before
    return bool(taken == 0 and left and link.ask("tidy", keep=-60, wanted=[])[0]["gone"] > 0 and not tree.exists())


@pytest.mark.req("N13")
@pytest.mark.parametrize("script", ["sleep 1; echo mine > mine.txt", "sleep 1; git commit --allow-empty -qm mine"])
def test_for_want_of_room_nothing_goes_that_a_worker_given_up_left_there(field: Field, script: str) -> None:
    tree = given_up(field, field.yard.executor(), script)
    assert stays(field, tree)


@pytest.mark.req("N13")
def test_for_want_of_room_no_commit_goes_that_an_earlier_run_left_there(field: Field) -> None:
    tree = given_up(field, field.yard.executor(), "sleep 1; git commit --allow-empty -qm mine")
    executor = field.yard.executor()
    spec = field.sent(executor, HOME, attempt=2, fresh=True)
    assert ended(executor, spec).code == 0, field.yard.out(spec)
    field.home(executor, spec)
    assert stays(field, tree)


@pytest.mark.req("N13")
def test_for_want_of_room_nothing_goes_that_was_too_large_or_is_on_its_way(field: Field) -> None:
    executor = field.yard.executor()
    executor._homecoming.limit = 100_000  # type: ignore[attr-defined]
    spec = field.sent(executor, "head -c 300000 /dev/urandom > big; git add big; git commit -qm big")
    assert ended(executor, spec).code == 0
    [tree] = (field.yard.root / "far side/trees").glob("*/gh-1")
    assert executor.make_room("epyc12", ["gh-1"]) == 0
    assert (tree / "big").exists()
    told, _ = executor._link.ask(  # type: ignore[attr-defined]
        "pack", provider="claude", job="gh-1", token=spec.handle.token, repo="widgets", branch=BRANCH,
        head=spec.outbound.head if spec.outbound else "", limit=10**9, extra=[])
    assert told["size"] > 300_000
    assert stays(field, tree)


def test_a_run_that_lives_there_is_never_tidied_away(field: Field) -> None:
    executor = field.yard.executor()
    spec = field.sent(executor, "echo up; sleep 60")
    until(lambda: view(executor, spec) and field.yard.out(spec) == "up\n", "the worker")
    assert executor._link.ask("tidy", keep=-60, wanted=[])[0]["gone"] == 0  # type: ignore[attr-defined]
    executor.stop(spec.handle, StopOrder("manual_stop", "enough", hard=True))
    assert ended(executor, spec).reason == "manual_stop"
