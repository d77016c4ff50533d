"""set-override, unblock and prune through the real program, and edits by hand: what people note on a job holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.byhand import CC_GLM_JOB, DX_RUNNER, Hand, bystander, hand
from tests.support.workers import alive, until

__all__ = ["bystander", "hand"]


@pytest.fixture
def ended(hand: Hand) -> Hand:
    """bd-1 ran and ended well."""
    hand.start("print('first')")
    hand.outcome()
    return hand


# --- set-override ---------------------------------------------------------------------------------------


@pytest.mark.req("A41", "A42", "A43", "B97", "A115")
def test_an_override_is_set_released_and_printed(ended: Hand) -> None:
    def told(*options: str) -> str:
        ran = ended.run("set-override", "--beads", "bd-1", *options, name=CC_GLM_JOB)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert told() == "override for bd-1:\nno_auto_restart=false\n"
    assert told("--no-auto-restart", "true") == "override for bd-1:\nno_auto_restart=true\n"
    assert ended.pairs("meta")["override_set_at"].endswith("Z")
    assert told() == "override for bd-1:\nno_auto_restart=true\n"
    assert told("--no-auto-restart", "FALSE") == "override for bd-1:\nno_auto_restart=false\n"
    assert ended.pairs("meta")["no_auto_restart"] == "false"


@pytest.mark.req("P22")
def test_another_value_than_true_or_false_is_wrong_usage_and_changes_nothing(ended: Hand) -> None:
    before = ended.file("meta").read_bytes()
    ran = ended.run("set-override", "--beads", "bd-1", "--no-auto-restart", "maybe")
    assert (ran.returncode, "true or false" in ran.stderr) == (64, True)
    assert ended.file("meta").read_bytes() == before


_AS = """\
import sys
from coordinator.app.faces import CC_GLM_JOB
from coordinator.cli.jobs.faces import run_as
from coordinator.runfiles import atomic
jobs = sys.argv[1]
"""
_LOOKS = _AS + "while run_as(CC_GLM_JOB, ['health', '--log-dir', jobs]) == 0: pass\n"
_NOTES = _AS + "while run_as(CC_GLM_JOB, ['unblock', 'bd-1', '--reset-retries', '--log-dir', jobs]) == 0: pass\n"
_SETS = _AS + """\
lost = 0
for number in range(100):
    value = ("true", "false")[number % 2]
    assert run_as(CC_GLM_JOB, ["set-override", "--beads", "bd-1", "--no-auto-restart", value, "--log-dir", jobs]) == 0
    lost += atomic.read_pairs(jobs + "/bd-1.meta")["no_auto_restart"] != value
print("lost", lost)
"""


@pytest.mark.req("P13")
def test_a_hundred_overrides_beside_three_loops_of_health_and_another_writer_are_all_kept(ended: Hand) -> None:
    """The commands run as they do for a person, but many in one process: starting a hundred takes a minute."""
    def begin(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", code, str(ended.jobs)], cwd=ended.root, env=ended.environ(),
                                stdout=subprocess.PIPE if code is _SETS else subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, text=True)  # fmt: skip

    others = [*(begin(_LOOKS) for _ in range(3)), begin(_NOTES)]
    try:
        said = begin(_SETS).communicate(timeout=50)[0]
        assert [child.poll() for child in others] == [None] * 4   # none of them failed meanwhile
    finally:
        for child in others:
            child.kill()
            child.communicate()
    assert said.endswith("lost 0\n")
    assert ended.pairs("meta")["beads"] == "bd-1"


# --- blocks ---------------------------------------------------------------------------------------------


@pytest.mark.req("A85", "A101", "A81")
def test_unblock_lifts_a_block_and_starts_nothing_and_says_what_comes_next(ended: Hand) -> None:
    ended.edit(blocked="true", blocked_at="2026-01-01T00:00:00Z", blocked_reason="max_retries", retries="1")
    ran = ended.run("unblock", "bd-1")
    assert "bd-1 is not blocked any more" in ran.stdout
    assert "restart --beads bd-1" in ran.stdout
    meta = ended.pairs("meta")
    assert [meta[key] for key in ("blocked", "blocked_at", "blocked_reason", "retries")] == ["false", "", "", "1"]
    assert ended.pids() == []
    assert "was not blocked" in ended.run("unblock", "--beads", "bd-1", "--reset-retries").stdout
    assert ended.pairs("meta")["retries"] == "0"


@pytest.mark.req("A85", "A101", "A102")
def test_a_block_cleared_and_retries_set_by_hand_take_effect_at_the_next_restart(ended: Hand) -> None:
    ended.edit(blocked="true", blocked_at="2026-01-01T00:00:00Z", blocked_reason="no_auto_restart", retries="5")
    text = ended.file("meta").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("blocked")]
    ended.file("meta").write_text("\n".join(kept).replace("retries=5", "retries=0") + "\n")
    ran = ended.run("restart", "--beads", "bd-1", "--pty")
    assert ran.returncode == 0, ran.stderr
    assert ended.pairs("meta")["retries"] == "1"
    assert ended.outcome()["retries"] == "1"


def test_unblock_without_a_name_is_wrong_usage(hand: Hand) -> None:
    assert hand.run("unblock").returncode == 64


# --- prune ----------------------------------------------------------------------------------------------


def vanish(hand: Hand, job: str) -> None:
    """A run whose wrapper and agent were killed: nothing wrote an outcome."""
    hand.start(job=job)
    for pid in hand.pids(job):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not hand.pids(job), f"the end of {job}")


def prune(hand: Hand, *options: str) -> str:
    ran = hand.run("prune", *options, name=DX_RUNNER)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.req("C73", "C74", "C75", "C76", "C8")
def test_prune_records_the_dead_and_removes_the_marks_of_nobody(ended: Hand, bystander: int) -> None:
    vanish(ended, "bd-2")
    ended.file("pid", "bd-3").write_text("not a number\n")
    ended.file("heartbeat", "bd-4").write_text("at=1\nwrapper_pid=999999999\n")
    ended.file("pid", "bd-5").write_text(f"{bystander}\n")
    ended.file("meta", "bd-5").write_text("beads=bd-5\n")
    ended.start(job="bd-6")
    before = {path.name: path.read_bytes() for path in ended.jobs.glob("bd-1.*")}
    said = prune(ended)
    assert {line.partition(" ")[0] for line in said.splitlines()} == {"bd-2", "bd-3", "bd-4"}
    lost = ended.pairs("outcome", "bd-2")
    assert (lost["state"], lost["reason_code"]) == ("failed", "lost")
    assert ended.file("log", "bd-2").read_text() == "hello\n"
    assert not ended.file("pid", "bd-3").exists()
    assert not ended.file("heartbeat", "bd-4").exists()
    assert ended.file("pid", "bd-5").exists()
    assert alive(bystander)
    assert len(ended.pids("bd-6")) == 2
    assert {path.name: path.read_bytes() for path in ended.jobs.glob("bd-1.*")} == before
    assert prune(ended) == "nothing to prune\n"


@pytest.mark.req("C75", "X12")
@pytest.mark.parametrize(("code", "state"), [("0", "success"), ("4", "failed")])
def test_prune_records_the_exit_code_another_tool_left(hand: Hand, code: str, state: str) -> None:
    hand.folder("jobs")
    hand.file("meta").write_text("beads=bd-1\nstarted_at=2026-01-02T03:04:05Z\n")
    (hand.jobs / "bd-1.rc").write_text(f"{code}\n")
    assert "process_exit" in prune(hand)
    outcome = hand.pairs("outcome")
    assert (outcome["state"], outcome["exit_code"], outcome["reason_code"]) == (state, code, "process_exit")


@pytest.mark.req("C73", "C8")
def test_prune_of_one_job_leaves_the_others(hand: Hand) -> None:
    for job in ("bd-1", "bd-2"):
        vanish(hand, job)
    assert "bd-2" not in prune(hand, "--beads", "bd-1")
    assert hand.pairs("outcome")["reason_code"] == "lost"
    assert not hand.file("outcome", "bd-2").exists()


@pytest.mark.req("C76", "P7")
def test_a_ghost_stands_in_the_way_of_no_start(hand: Hand) -> None:
    hand.folder("jobs")
    hand.file("pid").write_text("garbage")
    hand.file("meta").write_bytes(b"\x00\xff torn")
    hand.file("outcome").write_bytes(b"")
    hand.start("print('fresh')")
    assert hand.outcome()["state"] == "success"


def test_prune_of_a_folder_that_is_not_there_makes_none(hand: Hand, tmp_path: Path) -> None:
    assert prune(hand) == "nothing to prune\n"
    assert not (tmp_path / "jobs").exists()
