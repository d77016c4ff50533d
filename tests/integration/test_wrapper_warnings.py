"""A scheduler says that it will end the run soon: the agent is asked to end, its work is committed, and the outcome
says why. Real wrappers, real signals, real git."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.adapters.git import naming, registry
from coordinator.domain.reasons import REASONS
from coordinator.runfiles import names
from coordinator.worker import keeping, stopping
from coordinator.worker.spec import Spec
from tests.support.gitworld import World, commit, git, make_world
from tests.support.workers import alive, until
from tests.support.wrappers import Node, node

BRANCH = "coordinator/gh-1"
WARN = "USR1:slurm_timeout,TERM:slurm_preempted"
WORK = "echo half >> file.txt; echo new > new.txt; echo ready; while :; do sleep 0.05; done"
AGENT = f"trap 'echo heard; exit 0' INT; {WORK}"
DEAF = f"trap '' INT; {WORK}"
Make = Callable[[World], object]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)   # this host's operator may have a name of their own
    made = make_world(tmp_path)
    made.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    return made


@pytest.fixture
def place(tmp_path: Path, world: World) -> Iterator[Node]:
    with node(tmp_path, world.tree()) as made:
        yield made


def start(place: Node, script: str = AGENT, **more: str) -> subprocess.Popen[bytes]:
    child = place.start("sh", "-c", script, warn=WARN, stop_signal="INT", **more)
    place.ready()
    return child


def subject(world: World, ref: str = BRANCH) -> str:
    return git(world.checkout, "log", "-1", "--format=%s", ref)


@pytest.mark.parametrize(("number", "reason", "state", "code", "message"), [
    (signal.SIGUSR1, "slurm_timeout", "failed", "124", "WIP: Time limit reached"),
    (signal.SIGTERM, "slurm_preempted", "killed", "0", "WIP: Preempted"),
])
def test_a_warning_asks_the_agent_to_end_commits_its_work_and_is_the_reason(
    place: Node, world: World, number: signal.Signals, reason: str, state: str, code: str, message: str
) -> None:
    wrapper = start(place)
    (place.cwd / "BLOCKED.md").write_text("a question")
    (place.cwd / ".coordinator").mkdir()
    (place.cwd / ".coordinator/x.log").write_text("no work")
    wrapper.send_signal(number)
    outcome = place.outcome()
    assert "heard" in place.out()
    assert [outcome[key] for key in ("reason_code", "ended_by", "state", "exit_code")] == [reason, reason, state, code]
    assert reason in REASONS
    assert subject(world) == message
    assert number.name in outcome["words"]
    assert git(world.checkout, "rev-parse", BRANCH)[:10] in outcome["words"]
    assert git(world.tree(), "show", "--name-only", "--format=", "HEAD").split() == ["file.txt", "new.txt"]
    assert git(world.tree(), "status", "--porcelain").split("\n") == ["?? .coordinator/", "?? BLOCKED.md"]


def test_an_agent_that_does_not_listen_is_ended_before_its_work_is_committed(place: Node, world: World) -> None:
    wrapper = start(place, DEAF, grace_sec="0.3")
    wrapper.send_signal(signal.SIGUSR1)
    outcome = place.outcome()
    assert (outcome["reason_code"], outcome["survivors"]) == ("slurm_timeout", "")
    assert subject(world) == "WIP: Time limit reached"


def test_an_order_of_ours_outranks_the_signal_that_hurries_it(place: Node, world: World) -> None:
    wrapper = start(place)
    place.order("paused")
    wrapper.send_signal(signal.SIGTERM)
    assert place.outcome()["reason_code"] == "paused"
    assert subject(world) == "commit 2", "what becomes of the work is for whoever ordered the stop"


def test_an_order_that_is_seen_after_the_signal_still_outranks_it(place: Node, world: World) -> None:
    """The file system between two hosts may show a file seconds after it was written."""
    wrapper = start(place, DEAF, grace_sec="1")
    wrapper.send_signal(signal.SIGTERM)
    time.sleep(0.3)   # the wrapper has begun to stop it
    place.order("manual_stop", words="by the owner")
    outcome = place.outcome()
    assert (outcome["reason_code"], outcome["words"]) == ("manual_stop", "by the owner")
    assert subject(world) == "commit 2"


def test_stop_in_the_worktree_outranks_a_warning(place: Node, world: World) -> None:
    wrapper = start(place, DEAF, grace_sec="1")
    wrapper.send_signal(signal.SIGUSR1)
    (place.cwd / "STOP").touch()
    assert place.outcome()["reason_code"] == "manual_stop"
    assert subject(world) == "commit 2"


def test_an_agent_that_the_scheduler_s_term_reaches_first_was_preempted(place: Node, world: World) -> None:
    wrapper = start(place, "echo half >> file.txt; echo ready; exec sleep 60")
    os.kill(place.agent(), signal.SIGTERM)
    time.sleep(0.2)   # the wrapper has seen the end and waits for a word of its own
    wrapper.send_signal(signal.SIGTERM)
    assert place.outcome()["reason_code"] == "slurm_preempted"
    assert subject(world) == "WIP: Preempted"


def test_term_to_all_processes_of_a_job_after_an_order_of_ours_is_that_order(place: Node, world: World) -> None:
    wrapper = start(place, "echo half >> file.txt; echo ready; exec sleep 60")
    agent = place.agent()
    place.order("manual_stop")
    os.kill(agent, signal.SIGTERM)
    wrapper.send_signal(signal.SIGTERM)
    assert place.outcome()["reason_code"] == "manual_stop"
    assert subject(world) == "commit 2"


def test_term_to_the_agent_alone_is_a_person_s_stop(place: Node, world: World) -> None:
    start(place, "echo half >> file.txt; echo ready; exec sleep 60")
    os.kill(place.agent(), signal.SIGTERM)
    outcome = place.outcome()
    assert (outcome["reason_code"], outcome["state"]) == ("manual_stop", "killed")
    assert subject(world) == "commit 2"


def test_without_a_scheduler_term_is_a_person_s_stop_and_nothing_is_committed(place: Node, world: World) -> None:
    wrapper = place.start("sh", "-c", AGENT, stop_signal="INT")
    place.ready()
    wrapper.send_signal(signal.SIGTERM)
    assert place.outcome()["reason_code"] == "manual_stop"
    assert subject(world) == "commit 2"


def test_a_run_that_a_newer_attempt_has_replaced_commits_nothing(place: Node, world: World) -> None:
    wrapper = start(place, DEAF, grace_sec="0.5")
    wrapper.send_signal(signal.SIGUSR1)
    place.file("fence").write_text("2\n")
    assert wrapper.wait(15) == 75
    assert not place.pairs("outcome")
    assert subject(world) == "commit 2"


def test_a_warning_of_no_signal_starts_nothing(place: Node) -> None:
    child = place.start("touch", str(place.root / "ran"), warn="USR9:slurm_timeout")
    assert child.wait(10) == 65
    assert "warn=USR9:slurm_timeout: USR9:slurm_timeout is no SIGNAL:REASON" in place.file("err").read_text()
    assert not (place.root / "ran").exists()


def test_the_heartbeat_names_host_job_and_node(place: Node) -> None:
    place.start("sleep", "60", env={"SLURM_JOB_ID": "4711", "SLURMD_NODENAME": "n07"})
    place.agent()
    beat = place.pairs("heartbeat")
    assert (beat["host"], beat["slurm_job"], beat["node"]) == (os.uname().nodename, "4711", "n07")


# --- what is committed, and what is not ------------------------------------------------------------------


def spec_of(world: World, seconds: float = 30) -> Spec:
    return Spec("claude", "gh-1", str(world.checkout), {"cwd": str(world.tree()), "keep_sec": str(seconds)})


def kept(world: World, seconds: float = 30) -> str:
    return keeping.keep(keeping.place_of(str(world.tree())), spec_of(world, seconds), "WIP: Preempted")


def _staged_notes(world: World) -> None:
    (world.tree() / "STOP").write_text("x")
    git(world.tree(), "add", "STOP")


def _staged_nested(world: World) -> None:
    git(world.tree(), "init", "-q", "inner")
    commit(world.tree() / "inner", "x", "x\n")
    git(world.tree(), "add", "inner")


def _deleted_and_ignored(world: World) -> None:
    (world.tree() / "file.txt").unlink()
    (world.tree() / ".gitignore").write_text("*.o\n")
    (world.tree() / "x.o").write_text("built")


def _odd_names(world: World) -> None:
    for name in ("new\nline", "über", "-dash", ":(top)magic", " space "):
        (world.tree() / name).write_text("x")


def _partly_staged(world: World) -> None:
    (world.tree() / "file.txt").write_text("staged\n")
    git(world.tree(), "add", "file.txt")
    (world.tree() / "file.txt").write_text("later\n")


def _removed_by_git(world: World) -> None:
    git(world.tree(), "rm", "-q", "file.txt")
    (world.tree() / "other").write_text("x")


@pytest.mark.parametrize("make", [_staged_notes, _staged_nested, _deleted_and_ignored, _odd_names, _partly_staged,
                                  _removed_by_git])
def test_a_kept_commit_holds_what_the_coordinator_s_own_would(world: World, make: Make) -> None:
    make(world)
    (world.tree() / "more.txt").write_text("more\n")
    index = Path(git(world.tree(), "rev-parse", "--absolute-git-dir")) / "index"
    shutil.copy(index, world.checkout / "before")
    assert "committed to coordinator/gh-1 as" in kept(world)
    ours = git(world.tree(), "rev-parse", "HEAD^{tree}")
    shown = git(world.tree(), "status", "--porcelain")
    git(world.tree(), "reset", "-q", "--soft", "HEAD~1")
    shutil.copy(world.checkout / "before", index)
    assert world.repository().commit_all("gh-1", "WIP: Preempted")
    assert git(world.tree(), "rev-parse", "HEAD^{tree}") == ours
    assert git(world.tree(), "status", "--porcelain") == shown


def test_a_worktree_without_changes_gets_no_commit(world: World) -> None:
    (world.tree() / "STOP").touch()
    assert kept(world) == "nothing was uncommitted"
    assert subject(world) == "commit 2"


def test_the_agent_s_own_name_signs_the_commit_and_ours_where_it_has_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.tree() / "a").write_text("a")
    kept(world)
    assert git(world.tree(), "log", "-1", "--format=%an <%ae>") == "Coordinator <coordinator@localhost>"
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Robot")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "r@example.org")
    (world.tree() / "b").write_text("b")
    kept(world)
    assert git(world.tree(), "log", "-1", "--format=%an <%ae> %cn") == "Robot <r@example.org> Robot"


def _off_the_branch(world: World) -> None:
    git(world.tree(), "checkout", "-q", "-b", "other")


def _detached(world: World) -> None:
    git(world.tree(), "checkout", "-q", "--detach")


def _merging(world: World) -> None:
    git(world.tree(), "update-ref", "MERGE_HEAD", "HEAD")


def _a_trap_for_the_index(world: World) -> None:
    Path(keeping.place_of(str(world.tree())), "index.coordinator").mkdir()


@pytest.mark.parametrize(("make", "words"), [
    (_off_the_branch, "it is on other instead of coordinator/gh-1"),
    (_detached, "it is on no branch instead of coordinator/gh-1"),
    (_merging, "a merge is under way"),
    (_a_trap_for_the_index, "index.coordinator"),
])
def test_work_that_is_not_on_its_branch_is_left_as_it_is_and_said(world: World, make: Make, words: str) -> None:
    make(world)
    (world.tree() / "a").write_text("a")
    before = git(world.checkout, "for-each-ref")
    said = kept(world)
    assert said.startswith("its uncommitted work was left as it is: ")
    assert words in said
    assert git(world.checkout, "for-each-ref") == before
    assert "?? a" in git(world.tree(), "status", "--porcelain")


def test_a_worktree_that_the_agent_pointed_elsewhere_is_not_followed(place: Node, world: World) -> None:
    git(world.person, "worktree", "add", "-q", "-b", "theirs", str(place.root / "other"))
    admin = world.person / ".git/worktrees/other"
    script = f"echo x > a; echo {place.cwd}/.git > {admin}/gitdir; echo 'gitdir: {admin}' > .git; echo ready; sleep 60"
    wrapper = start(place, script)
    before = git(world.person, "log", "--format=%H", "--all")
    wrapper.send_signal(signal.SIGUSR1)
    outcome = place.outcome()
    assert outcome["reason_code"] == "slurm_timeout"
    assert "is one of another repository than before" in outcome["words"]
    assert git(world.person, "log", "--format=%H", "--all") == before


def test_nothing_that_an_agent_configured_is_run(world: World, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    hook = world.checkout / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    hook.chmod(0o755)
    for key in ("core.fsmonitor", "filter.trap.clean", "filter.a=b.clean"):
        git(world.checkout, "config", key, f"touch {sprung}; cat")
    sprung.unlink(missing_ok=True)
    (world.tree() / ".gitattributes").write_text("*.txt filter=trap\n*.c filter=a=b\n")
    (world.tree() / "x.c").write_text("x")
    os.mkfifo(keeping.place_of(str(world.tree())) + "/index.coordinator")
    assert "committed" in kept(world)
    assert not sprung.exists()


def test_saving_that_takes_too_long_is_given_up_and_leaves_all_as_it_was(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    hang = f"sleep 60 & echo $! > {tmp_path}/hangs; wait"
    slow.write_text(f"#!/bin/sh\ncase \"$*\" in *add*) {hang};; esac\nexec {shutil.which('git')} \"$@\"\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    (world.tree() / "a").write_text("a")
    said = kept(world, 0.5)
    until(lambda: not alive(int((tmp_path / "hangs").read_text())), "the end of what git had started")
    assert said.endswith("git took longer than there is time")
    assert git(world.tree(), "status", "--porcelain") == "?? a"
    assert not list(Path(keeping.place_of(str(world.tree()))).glob("index.coordinator*"))


def test_the_first_commit_of_a_repository_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(tmp_path, "init", "-q", "-b", "main", "new")
    new = tmp_path / "new"
    (new / "STOP").write_text("x")
    git(new, "add", "STOP")
    (new / "a").write_text("a")
    spec = Spec("claude", "gh-1", str(tmp_path), {"cwd": str(new)})
    assert "committed to main as" in keeping.keep(keeping.place_of(str(new)), spec, "WIP: Preempted")
    assert git(new, "ls-tree", "--name-only", "HEAD") == "a"


def test_the_wrapper_and_the_coordinator_mean_the_same_notes_and_the_same_mark(world: World) -> None:
    assert keeping.NOTES == naming.NOTES
    place = Path(keeping.place_of(str(world.tree())))
    tree = registry.Tree(world.tree(), place)
    for branch in (BRANCH, "a b/%41", "über"):
        (place / registry.MARK).write_text(registry.marking("gh-1", branch))
        assert keeping.marked(str(place)) == registry.mark(tree)[1] == branch


def test_every_warning_s_reason_is_a_known_one() -> None:
    assert set(stopping.WARNINGS) <= set(REASONS)


# --- the agent's environment out of a file ---------------------------------------------------------------


def start_with_env(place: Node, script: str, pairs: dict[str, str], **node_gave: str) -> subprocess.Popen[bytes]:
    if pairs:
        place.put("env", pairs)
    return place.start("sh", "-c", script, options=("--env",), env=node_gave)


def test_the_environment_s_file_is_used_over_the_node_s_own_and_is_gone_at_once(place: Node) -> None:
    pairs = {"COORDINATOR_TOKEN": place.token, "KEY": "line\nsecret=1\\", "EDITOR": "ed", "SLURM_JOB_ID": "1",
             "SLURM_SUBMIT_HOST": "login"}
    shown = '"$KEY" "$EDITOR" "$SLURM_JOB_ID" "$SLURM_SUBMIT_HOST" "$TMPDIR" "${LC_CTYPE-none}"'
    script = f'test -e "{place.file("env")}" && exit 9; printf "%s|" {shown}'
    start_with_env(place, script, pairs, EDITOR="vi", SLURM_JOB_ID="4711", TMPDIR="/scratch")
    assert place.outcome()["exit_code"] == "0"
    assert place.out() == "line\nsecret=1\\|ed|4711|login|/scratch|none|"
    told = b"".join(path.read_bytes() for path in place.folder.iterdir() if path != place.file("log"))
    assert b"secret=1" not in told


def test_without_the_environment_s_file_nothing_is_started(place: Node) -> None:
    ran = place.root / "ran"
    child = start_with_env(place, f"touch {ran}", {})
    assert child.wait(10) == 66
    assert f"{place.file('env')}: no environment for the agent" in place.file("err").read_text()
    assert not ran.exists()
    assert not place.pairs("heartbeat")


def test_another_run_s_environment_is_neither_used_nor_removed(place: Node) -> None:
    ran = place.root / "ran"
    child = start_with_env(place, f"touch {ran}", {"COORDINATOR_TOKEN": "of-another", "KEY": "k"})
    assert child.wait(10) == 75
    assert "the environment is for another run" in place.file("err").read_text()
    assert place.pairs("env")["KEY"] == "k"
    assert not ran.exists()


def test_an_environment_s_file_is_one_of_the_job_s_run_files() -> None:
    assert names.job_of("gh-1.env") == ("gh-1", "env")
