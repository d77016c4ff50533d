"""`batch` through the real program: all of a list or nothing of a wrong one, and one failure stops no other."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.app import jobs
from coordinator.app.faces import COORDINATOR as FACE
from coordinator.app.verbs import Order, start_all
from coordinator.runfiles.codec import decode
from tests.support.byhand import DX_RUNNER, Hand, Ran, hand
from tests.support.gitworld import commit, git
from tests.support.workers import until

__all__ = ["hand"]


@pytest.fixture
def widgets(hand: Hand) -> Path:
    """A repository in the person's home, with an agent of the name `claude` on PATH."""
    root = hand.folder("widgets")
    git(root, "init", "-q", "-b", "main")
    commit(root, "README.md", "widgets\n")
    return root


def batch(hand: Hand, lines: str, *options: str, stagger: str = "0s", **more: str) -> Ran:
    listed = hand.root / "tonight.list"
    listed.write_text(lines)
    given = ["--worktree-root", str(hand.root / "agents"), "--stagger", stagger, *options]
    return hand.run("batch", str(listed), *given, **{**hand.claude(), **more})


def meta(hand: Hand, job: str) -> dict[str, str]:
    return decode(hand.file("meta", job).read_bytes())


@pytest.mark.req("A9", "A10", "A11", "A12")
def test_each_line_becomes_a_job_in_a_worktree_of_its_own_with_a_terminal_a_pause_apart(
    hand: Hand, widgets: Path
) -> None:
    prompts = [hand.prompt("sleep\n", f"p{number}") for number in range(4)]
    lines = "# tonight\n\n" + "".join(f"bd-{at}:{path}:widgets\n" for at, path in enumerate(prompts))
    began = time.monotonic()
    ran = batch(hand, lines, stagger="300ms")
    took = time.monotonic() - began
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.splitlines()
    assert [line.split(" ")[:2] for line in told[:-1]] == [["started", f"bd-{at}"] for at in range(4)]
    assert told[-1] == f"4 of 4 started; next: coordinator job status --log-dir {hand.jobs}"
    assert took > 0.9
    for at, path in enumerate(prompts):
        tree = hand.root / "agents" / f"bd-{at}" / "widgets"
        found = meta(hand, f"bd-{at}")
        assert (found["worktree"], found["use_pty"], found["prompt_file"]) == (str(tree), "true", str(path))
        assert git(tree, "rev-parse", "--abbrev-ref", "HEAD") == f"rpi/bd-{at}"
        assert hand.pids(f"bd-{at}")


@pytest.mark.req("A9")
def test_of_a_list_with_wrong_lines_nothing_is_started_and_every_such_line_is_named(hand: Hand, widgets: Path) -> None:
    good, empty = hand.prompt(), hand.prompt(" \n", "empty")
    lines = f"bd-1:{good}:widgets\nbd-2:{good}\nbd-1:{good}:widgets\nbd/4:{good}:widgets\n"
    form = batch(hand, lines)
    world = batch(hand, f"bd-1:{good}:widgets\nbd-2:none.md:widgets\nbd-3:{empty}:widgets\nbd-4:{good}:nonsuch\n")
    listed = str(hand.root / "tonight.list")
    assert (form.returncode, world.returncode) == (1, 1)
    assert [f"{listed}:{number}: " in form.stderr for number in (1, 2, 3, 4)] == [False, True, True, True]
    assert [f"{listed}:{number}: " in world.stderr for number in (1, 2, 3, 4)] == [False, True, True, True]
    assert "no repository 'nonsuch' is known" in world.stderr
    assert not hand.jobs.exists()
    assert not (hand.root / "agents").exists()
    assert git(widgets, "branch", "--list", "rpi/*") == ""


def test_a_start_that_fails_is_said_and_the_others_go_on(hand: Hand, widgets: Path) -> None:
    prompt = hand.prompt("sleep\n")
    git(widgets, "checkout", "-q", "-b", "rpi/bd-2")
    lines = "".join(f"bd-{number}:{prompt}:{widgets}\n" for number in (1, 2, 3))
    ran = batch(hand, lines, "--json")
    assert ran.returncode == 1
    told = json.loads(ran.stdout)
    assert [one["state"] for one in told["jobs"]] == ["started", "failed", "started"]
    assert (told["started"], told["failed"], told["jobs"][1]["exit_code"]) == (2, 1, 1)
    assert "not started: bd-2: " in ran.stderr
    assert "is checked out in" in ran.stderr
    assert hand.pairs("outcome", "bd-2")["state"] == "failed"
    assert [bool(hand.pids(job)) for job in ("bd-1", "bd-2", "bd-3")] == [True, False, True]


def test_a_list_started_twice_starts_nothing_twice(hand: Hand, widgets: Path) -> None:
    line = f"bd-1:{hand.prompt('sleep' + chr(10))}:widgets\n"
    assert batch(hand, line).returncode == 0
    before = hand.pids()
    again = batch(hand, line)
    assert (again.returncode, "already running" in again.stderr) == (1, True)
    assert "0 of 1 started" in again.stdout
    assert hand.pids() == before


@pytest.mark.parametrize(("text", "code"), [("", 1), ("# nothing\n", 1), (b"\xff\xfe", 1), (None, 1)])
def test_a_list_that_holds_no_job_is_said(hand: Hand, text: str | bytes | None, code: int) -> None:
    path = hand.root / "list"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    ran = hand.run("batch", str(path))
    assert (ran.returncode, str(path) in ran.stderr, "bug" in ran.stderr) == (code, True, False)


def test_a_pause_that_is_no_duration_is_wrong_usage(hand: Hand, widgets: Path) -> None:
    ran = batch(hand, f"bd-1:{hand.prompt()}:widgets\n", stagger="soon")
    assert (ran.returncode, "--stagger 'soon' is no duration" in ran.stderr) == (64, True)


@pytest.mark.req("A1", "B100", "A53", "A54", "A56", "B96")
def test_an_evening_with_six_jobs_is_watched_as_the_guide_says(hand: Hand, widgets: Path) -> None:
    """All of them hang: first they are only observed, then one is excepted, then the watchdog does its work."""
    settings = hand.folder(".config/coordinator") / "config.toml"
    settings.write_text('[workers]\ngrace = "0s"\nstall = "1s"\nstop_grace = "100ms"\n')
    names = [f"bd-{number}" for number in range(6)]
    prompt = hand.prompt("sleep\n")
    begun = batch(hand, "".join(f"{name}:{prompt}:widgets\n" for name in names))
    assert begun.returncode == 0, begun.stderr
    first = {name: hand.pids(name) for name in names}

    def all_stalled() -> bool:
        told = json.loads(hand.run("status", "--json").stdout)["jobs"]
        return sorted((one["beads"], one["state"]) for one in told) == [(name, "stalled") for name in names]

    until(all_stalled, "six stalls", 30)
    looked = hand.run("watchdog", "--once", "--observe-only", **hand.claude())
    assert looked.returncode == 0, looked.stderr
    assert {name: hand.pids(name) for name in names} == first
    assert hand.run("set-override", "--beads", "bd-0", "--no-auto-restart", "true").returncode == 0
    acted = hand.run("watchdog", "--once", "--max-retries", "1", **hand.claude())
    assert acted.returncode == 0, acted.stderr
    assert (meta(hand, "bd-0")["blocked_reason"], hand.pids("bd-0")) == ("no_auto_restart", first["bd-0"])
    assert [meta(hand, name)["retries"] for name in names] == ["0", *["1"] * 5]
    assert all(not set(hand.pids(name)) & set(first[name]) for name in names[1:])
    released = hand.run("set-override", "--beads", "bd-0", "--no-auto-restart", "false")
    assert "no_auto_restart=false" in released.stdout


@pytest.mark.req("P37")
def test_under_a_gated_name_the_worktree_root_must_be_allowed(hand: Hand, widgets: Path) -> None:
    listed = hand.root / "tonight.list"
    listed.write_text(f"bd-1:{hand.prompt()}:widgets\n")
    line = ("batch", str(listed), "--worktree-root", str(hand.root / "agents"), "--stagger", "0s")
    refused = hand.run(*line, name=DX_RUNNER, **hand.claude())
    assert (refused.returncode, "under no folder that agents may work in" in refused.stderr) == (1, True)
    allowed = hand.run(*line, name=DX_RUNNER, DX_RUNNER_EXTRA_ALLOWED_PREFIXES=str(hand.root / "agents"),
                       **hand.claude())  # fmt: skip
    assert allowed.returncode == 0, allowed.stderr


@pytest.mark.req("A11")
def test_the_pause_lies_between_two_starts_and_not_before_the_first_or_after_the_last(tmp_path: Path) -> None:
    desk = jobs.desk(FACE, str(tmp_path / "jobs"), {"HOME": str(tmp_path), "PATH": ""}, lambda _: None)
    happened: list[str] = []
    desk.pause = lambda span: happened.append(f"pause {span.total_seconds():g}")
    orders = [Order(f"bd-{at}", "claude", "do it", "p", tmp_path) for at in range(3)]
    tried = start_all(desk, orders, timedelta(seconds=2))
    happened.extend(f"{launched.order.job_id} {launched.code}" for launched in tried)
    jobs.close(desk)
    assert happened == ["bd-0 21", "pause 2", "bd-1 21", "pause 2", "bd-2 21"]
