"""restart, stop and finalize through the real program: the whole tree ends, nobody else does, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.byhand import CC_GLM_JOB, COORDINATOR, DX_RUNNER, SLEEPER, Hand, Ran, bystander, entry, hand
from tests.support.workers import alive, pids_in, until

__all__ = ["bystander", "hand"]
FAMILY = """\
import os, subprocess, sys, time
tool = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
pids = [os.getpid(), *(subprocess.Popen(tool, start_new_session=own).pid for own in (False, True))]
print(*pids, flush=True)
time.sleep(60)
"""
"""An agent with a tool of its own group and one in a session of its own, both deaf to TERM."""
POLITE = """\
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
time.sleep(60)
"""


def stop(hand: Hand, job: str = "bd-1", name: str = COORDINATOR) -> Ran:
    return hand.run("stop", "--beads", job, name=name)


def ended_well(hand: Hand, job: str = "bd-1") -> None:
    hand.start("print('first')", job=job)
    assert hand.outcome(job)["state"] == "success"


# --- stop -----------------------------------------------------------------------------------------------


@pytest.mark.req("P4", "P31", "A113", "B20", "C9")
@pytest.mark.parametrize("mode", [[], ["--pty"]], ids=["plain", "pty"])
def test_stop_ends_the_whole_tree_tools_in_sessions_of_their_own_included(hand: Hand, mode: list[str]) -> None:
    hand.start(FAMILY, *mode)
    family = pids_in(until(lambda: len(pids_in(hand.said())) == 3 and hand.said(), "three pids"))
    ran = stop(hand)
    assert ran.returncode == 0, ran.stderr
    assert "stopped bd-1: killed:" in ran.stdout
    assert [pid for pid in family if alive(pid)] == []
    assert hand.pids() == []
    outcome = hand.pairs("outcome")
    assert (outcome["state"], outcome["reason_code"], outcome["survivors"]) == ("killed", "manual_stop", "")
    assert not hand.file("pid").exists()


@pytest.mark.req("P21")
def test_a_worker_that_heard_the_polite_signal_keeps_its_own_exit_code(hand: Hand) -> None:
    hand.start(POLITE)
    hand.said()
    stop(hand)
    outcome = hand.pairs("outcome")
    assert (outcome["exit_code"], outcome["state"], outcome["reason_code"]) == ("0", "killed", "manual_stop")


@pytest.mark.req("P21", "P32")
def test_a_job_that_ended_well_keeps_its_outcome_when_it_is_stopped_or_finalized_later(hand: Hand) -> None:
    ended_well(hand)
    before = hand.file("outcome").read_bytes()
    for verb in ("stop", "finalize"):
        ran = hand.run(verb, "--beads", "bd-1")
        assert (ran.returncode, "had ended before: success:0" in ran.stdout) == (0, True)
    assert hand.file("outcome").read_bytes() == before


@pytest.mark.req("P7", "C9")
def test_start_works_at_once_after_stop(hand: Hand) -> None:
    for number in (1, 2, 3):
        hand.start()
        assert stop(hand).returncode == 0
        assert len(list(hand.jobs.glob("bd-1.outcome*"))) == number


@pytest.mark.req("A87", "P30")
def test_an_unknown_job_is_called_missing_with_exit_1_by_every_verb(hand: Hand) -> None:
    hand.folder("jobs")
    verbs = ["stop", "restart", "finalize", "set-override", "unblock"]
    for ran in (hand.run(verb, "--beads", "bd-9", name=CC_GLM_JOB) for verb in verbs):
        assert (ran.returncode, "job bd-9 is missing" in ran.stderr) == (1, True), ran.stderr


@pytest.mark.req("A99")
def test_every_job_can_be_stopped_by_a_loop_over_the_pid_files(hand: Hand) -> None:
    jobs = ["bd-1", "bd-2", "bd.3"]
    for job in jobs:
        hand.start(job=job)
    program = " ".join(f"'{word}'" for word in entry(CC_GLM_JOB))
    loop = f'for f in "$1"/*.pid; do {program} stop --beads "$(basename "$f" .pid)" --log-dir "$1" || exit 1; done'
    ran = subprocess.run(["sh", "-c", loop, "sh", str(hand.jobs)], cwd=hand.root, env=hand.environ(), text=True,
                         capture_output=True, timeout=50, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert [hand.pairs("outcome", job)["reason_code"] for job in jobs] == ["manual_stop"] * 3
    assert list(hand.jobs.glob("*.pid")) == []


# --- whom a signal may reach ----------------------------------------------------------------------------


@pytest.mark.req("P6", "X12", "W13")
@pytest.mark.parametrize("verb", ["stop", "finalize", "restart"])
def test_a_pid_in_a_file_without_its_start_time_is_never_signalled(hand: Hand, verb: str, bystander: int) -> None:
    hand.folder("jobs")
    hand.file("meta").write_text("beads=bd-1\nprovider=command\n")
    hand.file("pid").write_text(f"{bystander}\n")
    ran = hand.run(verb, "--beads", "bd-1")
    assert ran.returncode == 1
    assert alive(bystander)
    assert not hand.file("outcome").exists()
    if verb == "restart":
        assert "there is nothing to start it from" in ran.stderr
    else:
        assert "Nothing was signalled" in ran.stderr
        assert f"kill {bystander}" in ran.stderr


@pytest.mark.req("P6", "W9", "W13")
@pytest.mark.parametrize("verb", ["stop", "finalize", "restart", "start"])
def test_a_recycled_pid_is_neither_signalled_nor_taken_for_the_job(hand: Hand, verb: str, bystander: int) -> None:
    """The wrapper is gone without a word, and its number is somebody else's now."""
    hand.start()
    for pid in hand.pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not hand.pids(), "the end of the tree")
    old = hand.pairs("heartbeat")["wrapper_pid"]
    for kind in ("heartbeat", "meta", "pid"):
        hand.file(kind).write_text(hand.file(kind).read_text().replace(old, str(bystander)))
    options = ["--provider", "command", "--prompt-file", str(hand.prompt()), "--", "true"] if verb == "start" else []
    ran = hand.run(verb, "--beads", "bd-1", *options)
    assert ran.returncode == 0, ran.stderr
    assert alive(bystander)
    again = verb in ("start", "restart")
    lost = hand.pairs("outcome.1" if again else "outcome")
    reason = "forced_finalization" if verb == "finalize" else "lost"
    assert (lost["reason_code"], lost["exit_code"]) == (reason, "1" if verb == "finalize" else "-")


@pytest.mark.req("P1")
def test_what_a_dead_wrapper_left_alive_is_ended_by_stop(hand: Hand) -> None:
    hand.start(FAMILY)
    family = pids_in(until(lambda: len(pids_in(hand.said())) == 3 and hand.said(), "three pids"))
    os.kill(int(hand.file("pid").read_text()), signal.SIGKILL)
    ran = stop(hand)
    assert ran.returncode == 0, ran.stderr
    assert [pid for pid in family if alive(pid)] == []
    assert (hand.pairs("outcome")["state"], hand.pairs("outcome")["reason_code"]) == ("failed", "lost")


# --- finalize -------------------------------------------------------------------------------------------


@pytest.mark.req("C10", "C71", "C72", "P31")
@pytest.mark.parametrize(
    ("options", "reason", "code"),
    [([], "forced_finalization", "1"), (["--reason", "stuck_in_review", "--exit-code", "7"], "stuck_in_review", "7")],
)
def test_finalize_ends_a_deaf_worker_with_the_reason_and_code_on_record(
    hand: Hand, options: list[str], reason: str, code: str
) -> None:
    deaf = "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    hand.start(deaf + "time.sleep(60)")
    hand.said()
    ran = hand.run("finalize", "--beads", "bd-1", *options, name=DX_RUNNER)
    assert ran.returncode == 0, ran.stderr
    assert hand.pids() == []
    outcome = hand.pairs("outcome")
    assert (outcome["reason_code"], outcome["exit_code"]) == (reason, code)
    assert outcome["state"] != "success"


@pytest.mark.parametrize("options", [["--reason", "a b\nc"], ["--exit-code", "x"], ["--exit-code", "256"]])
def test_a_reason_or_code_that_no_file_could_hold_is_wrong_usage(hand: Hand, options: list[str]) -> None:
    hand.start()
    assert hand.run("finalize", "--beads", "bd-1", *options).returncode == 64
    assert not hand.file("outcome").exists()


# --- restart --------------------------------------------------------------------------------------------


@pytest.mark.req("A47", "A59", "A62", "A112", "B21", "B86")
def test_restart_keeps_log_and_outcome_aside_and_counts_from_the_oldest(hand: Hand) -> None:
    hand.start("import sys; print('run', len(sys.stdin.read()))")
    hand.outcome()
    for text in ("longer\n", "longer still\n"):
        hand.prompt(text)
        ran = hand.run("restart", "--beads", "bd-1", name=CC_GLM_JOB)
        assert ran.returncode == 0, ran.stderr
        assert "restarted bd-1" in ran.stdout
        hand.outcome()
    logs = [hand.file(kind).read_text() for kind in ("log.1", "log.2", "log")]
    assert logs == ["run 6\n", "run 7\n", "run 13\n"]
    outcomes = [hand.pairs(kind) for kind in ("outcome.1", "outcome.2", "outcome")]
    assert [one["retries"] for one in outcomes] == ["0", "1", "2"]
    assert len({one["run_id"] for one in outcomes}) == 3


@pytest.mark.req("A47", "P35", "P41", "P20", "A85")
def test_restart_keeps_the_metadata_renews_the_times_and_lifts_a_block(hand: Hand) -> None:
    tree = hand.folder("tree")
    hand.start("pass", "--repo", "widgets", "--worktree", str(tree))
    hand.outcome()
    hand.edit(started_at="2020-01-01T00:00:00Z", blocked="true", blocked_reason="max_retries", note="by hand")
    assert hand.run("restart", "--beads", "bd-1").returncode == 0
    meta = hand.pairs("meta")
    assert (meta["repo"], meta["worktree"], meta["note"], meta["retries"]) == ("widgets", str(tree), "by hand", "1")
    assert meta["started_at"] > "2021"
    assert meta["restarted_at"] > "2021"
    assert (meta["blocked"], meta["blocked_reason"]) == ("false", "")
    assert int(hand.outcome()["duration_sec"].partition(".")[0]) < 60


@pytest.mark.req("P5")
def test_a_live_worker_is_ended_before_the_next_begins_so_that_there_are_never_two(hand: Hand) -> None:
    """Each run notes whether the one before it lives still."""
    witness = hand.root / "runs"
    hand.start(
        f"import os, time\nruns = open({str(witness)!r}, 'a+')\nruns.seek(0)\nbefore = runs.read().split()\n"
        "lives = [pid for pid in before if pid.isdigit() and os.path.exists('/proc/' + pid)]\n"
        "runs.write(f'{os.getpid()} ' + 'two ' * bool(lives))\nruns.flush()\ntime.sleep(60)"
    )
    for count in (2, 3):
        assert hand.run("restart", "--beads", "bd-1").returncode == 0
        until(lambda count=count: len(pids_in(witness.read_text())) == count, "the next run")
    assert "two" not in witness.read_text()
    assert len(hand.pids()) == 2
    assert hand.pairs("outcome.1")["reason_code"] == "manual_stop"


def test_a_prompt_file_that_is_gone_does_not_stop_a_restart(hand: Hand) -> None:
    hand.start("import sys; print(sys.stdin.read())")
    hand.outcome()
    (hand.root / "task.prompt").unlink()
    ran = hand.run("restart", "--beads", "bd-1")
    assert (ran.returncode, "is gone: the prompt is sent as it was" in ran.stderr) == (0, True)
    assert hand.said() == "do it\n\n"


def test_a_job_whose_first_start_was_refused_is_told_to_be_started(hand: Hand) -> None:
    hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()), "--", "no-such")
    ran = hand.run("restart", "--beads", "bd-1")
    assert (ran.returncode, "start --beads bd-1 --prompt-file" in ran.stderr) == (1, True)


def glm(hand: Hand, *argv: str, **more: str) -> Ran:
    return hand.run(*argv, name=CC_GLM_JOB, **{**hand.claude(), **more})


def begun(hand: Hand) -> Ran:
    prompt = hand.prompt("sleep\n")
    return glm(hand, "start", "--beads", "bd-1", "--prompt-file", str(prompt), CC_GLM_AUTH_TOKEN="t" * 20)


@pytest.mark.req("A48", "B89", "P19", "A63")
@pytest.mark.parametrize(
    ("changed", "line"),
    [({"ZAI_API_KEY": "z" * 20}, "auth_source: CC_GLM_AUTH_TOKEN -> ZAI_API_KEY"),
     ({"CC_GLM_AUTH_TOKEN": "t" * 20, "CC_GLM_MODEL": "glm-6"}, "model: glm-5 -> glm-6"),
     ({"CC_GLM_AUTH_TOKEN": "t" * 20, "CC_GLM_BASE_URL": "https://else.example"}, "-> https://else.example")],
    ids=["auth", "model", "address"],
)  # fmt: skip
def test_a_drifted_contract_is_refused_with_28_before_the_worker_is_touched_and_said_without_that_option(
    hand: Hand, changed: dict[str, str], line: str
) -> None:
    assert begun(hand).returncode == 0
    before = (hand.pids(), hand.file("contract").read_bytes())
    refused = glm(hand, "restart", "--beads", "bd-1", "--preserve-contract", **changed)
    assert refused.returncode == 28
    assert line in refused.stderr
    assert (hand.pids(), hand.file("contract").read_bytes()) == before
    plain = glm(hand, "restart", "--beads", "bd-1", **changed)
    assert (plain.returncode, line in plain.stderr) == (0, True), plain.stderr


@pytest.mark.req("B89", "A48")
def test_the_same_environment_and_an_option_given_by_name_are_no_drift(hand: Hand) -> None:
    assert begun(hand).returncode == 0
    ran = glm(hand, "restart", "--beads", "bd-1", "--preserve-contract", "--pty", CC_GLM_AUTH_TOKEN="u" * 20)
    assert ran.returncode == 0, ran.stderr
    assert "contract changed" not in ran.stderr
    assert (hand.pairs("meta")["use_pty"], hand.pairs("meta")["execution_mode"]) == ("true", "pty")


def test_a_restart_that_could_not_follow_leaves_the_worker_alone(hand: Hand) -> None:
    """The agent's program or its folder is gone, or its prompt file was emptied: words, and the worker lives."""
    tree = hand.folder("tree")
    hand.start(SLEEPER, "--worktree", str(tree))
    before = hand.pids()
    hand.prompt(" \n")
    emptied = hand.run("restart", "--beads", "bd-1")
    hand.prompt()
    tree.rmdir()
    homeless = hand.run("restart", "--beads", "bd-1")
    assert (emptied.returncode, homeless.returncode) == (1, 1)
    assert "is empty" in emptied.stderr
    assert f"{tree} is gone" in homeless.stderr
    assert hand.pids() == before


@pytest.mark.req("P12", "P5")
def test_a_stop_and_a_restart_at_once_leave_one_worker_or_none(hand: Hand) -> None:
    hand.start()
    lines = [[*entry(COORDINATOR), *hand.line((verb, "--beads", "bd-1"))] for verb in ("restart", "stop", "restart")]
    children = [subprocess.Popen(line, cwd=hand.root, env=hand.environ(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for line in lines]  # fmt: skip
    for child in children:
        child.wait(40)
    marked = [path for path in Path("/proc").iterdir() if path.name.isdigit() and carries(path, str(hand.jobs))]
    assert len(marked) in (0, 2)


def carries(process: Path, jobs: str) -> bool:
    try:
        return f"COORDINATOR_RUN=command/bd-1@{jobs}".encode() in (process / "environ").read_bytes()
    except OSError:
        return False


@pytest.mark.req("P22")
def test_usage_errors_never_look_like_a_stall(hand: Hand) -> None:
    ran = hand.run("stop", "--beads")
    assert (ran.returncode, "--beads" in ran.stderr) == (64, True)
