"""The watchdog as an operator runs it: one look, or a process in the background with a log and a pid file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.byhand import CC_GLM_JOB, COORDINATOR, DX_RUNNER, Hand, Ran, entry, hand
from tests.support.workers import alive, until

__all__ = ["hand"]
QUICK = {"COORDINATOR_WORKERS_STALL": "1s", "COORDINATOR_WORKERS_GRACE": "500ms",
         "COORDINATOR_WORKERS_STOP_GRACE": "300ms"}  # fmt: skip
SILENT = "import time; time.sleep(600)"
TALKS = "import time\nwhile True: print('.', flush=True); time.sleep(0.1)"
TIMED = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "


def once(hand: Hand, *options: str, name: str = COORDINATOR) -> Ran:
    return hand.run("watchdog", "--once", *options, name=name, **QUICK)


def stalled(hand: Hand, *jobs: str) -> None:
    """Starts them and waits until a look calls each of them stalled."""
    for job in jobs:
        hand.start(SILENT, job=job, **QUICK)
    until(lambda: once(hand, "--observe-only").stdout.count("stalled:") == len(jobs), "the stall")


@contextmanager
def watching(hand: Hand, *options: str, log: str = "said", **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watchdog that loops, its output in a file."""
    argv = [*entry(COORDINATOR), "watchdog", "--log-dir", str(hand.jobs), *options]
    with (hand.root / log).open("wb") as out:
        dog = subprocess.Popen(argv, cwd=hand.root, env=hand.environ(**{**QUICK, **more}), stdin=subprocess.DEVNULL,
                               stdout=out, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        until(lambda: "looks at" in said(hand, log) or dog.poll() is not None, "the watchdog")
        yield dog
    finally:
        if dog.poll() is None:
            dog.kill()
        dog.wait()


def said(hand: Hand, log: str = "said") -> str:
    return (hand.root / log).read_text("utf-8")


@pytest.mark.req("B18", "B95", "A38", "C82")
def test_one_look_says_what_it_sees_and_an_observer_leaves_every_file_as_it_is(hand: Hand) -> None:
    assert once(hand).stdout == "nothing to do\n"
    stalled(hand, "bd-1", "bd-2")
    before = {path.name: path.read_bytes() for path in hand.jobs.iterdir() if not path.name.endswith("heartbeat")}
    ran = once(hand, "--observe-only", "--beads", "bd-2")
    assert ran.returncode == 0
    assert re.fullmatch(r"bd-2 \(command\): stalled: no sign of progress for \d+s; the last: .*; "
                        r"would be restarted \(restart 1 of 1\)\n", ran.stdout)  # fmt: skip
    after = {path.name: path.read_bytes() for path in hand.jobs.iterdir() if not path.name.endswith("heartbeat")}
    assert after == before


@pytest.mark.req("B19", "A55", "A83", "B94")
def test_without_auto_restart_the_first_stall_blocks_and_the_worker_runs_on(hand: Hand) -> None:
    stalled(hand, "bd-1", "bd-2")
    pids = hand.pids()
    ran = once(hand, "--beads", "bd-1", "--no-auto-restart")
    assert re.match(r"ESCALATE bd-1: blocked \(no_auto_restart\) after 0 restarts: .* → coordinator job diagnose "
                    rf"--beads bd-1 --log-dir {re.escape(str(hand.jobs))}\n$", ran.stdout)  # fmt: skip
    meta = hand.pairs("meta")
    assert (meta["blocked"], meta["blocked_reason"], meta["retries"]) == ("true", "no_auto_restart", "0")
    assert hand.pids() == pids
    assert hand.pairs("meta", "bd-2")["blocked"] == "false"
    assert once(hand, "--beads", "bd-1").stdout == "nothing to do\n"


@pytest.mark.req("A37", "A45", "A51", "A59", "A80", "P35")
def test_a_stalled_job_is_begun_again_with_its_prompt_as_it_is_now(hand: Hand) -> None:
    code = "import sys, time; print(sys.stdin.read(), end='', flush=True); time.sleep(600)"
    hand.start(code, **QUICK)
    assert hand.said() == "do it\n"
    first = hand.pairs("meta")
    hand.prompt("do it better\n")
    ran = until(lambda: "restarted" in (found := once(hand)).stdout and found, "a restart")
    assert isinstance(ran, subprocess.CompletedProcess)
    assert ran.stdout.startswith("bd-1 (command): restarted (restart 1 of 1): no sign of progress for ")
    until(lambda: hand.said() == "do it better\n", "the second run")
    second = hand.pairs("meta")
    assert (second["retries"], hand.file("log.1").read_text()) == ("1", "do it\n")
    assert second["restarted_at"] >= first["started_at"]
    assert second["started_at"] > first["started_at"]
    assert (hand.pairs("outcome.1")["reason_code"], hand.pairs("outcome.1")["state"]) == ("stalled", "killed")
    assert not alive(int(first["pid"]))
    until(lambda: "ESCALATE bd-1: blocked (max_retries)" in once(hand).stdout, "a block")
    assert "blocked" in hand.run("health", **QUICK).stdout


@pytest.mark.req("A39", "A40", "C81")
def test_in_the_background_it_outlives_its_shell_logs_with_times_and_ends_at_term(hand: Hand) -> None:
    hand.start(TALKS, **QUICK)
    pidfile, log = hand.root / "watchdog.pid", hand.root / "watchdog.log"
    argv = [*entry(COORDINATOR), "watchdog", "--interval", "60", "--max-retries", "1", "--log-dir", str(hand.jobs)]
    line = f'nohup "$@" --pidfile {pidfile} > {log} 2>&1 &'
    subprocess.run(["sh", "-c", line, "sh", *argv], cwd=hand.root, env=hand.environ(**QUICK), timeout=20, check=True,
                   start_new_session=True, stdin=subprocess.DEVNULL)  # fmt: skip
    pid = int(until(lambda: pidfile.exists() and pidfile.read_text().strip(), "the pid file") or 0)
    os.kill(pid, signal.SIGHUP)
    until(lambda: "looks at" in log.read_text(), "its first line")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid), "its end")
    assert not pidfile.exists()
    lines = [line for line in log.read_text().splitlines() if "nohup" not in line]
    assert [re.match(TIMED, line) is not None for line in lines] == [True, True]
    assert lines[0].endswith(f"watchdog (pid {pid}) looks at {hand.jobs} every 60 s")
    assert lines[1].endswith("watchdog ended; the workers run on")
    assert hand.pids()


@pytest.mark.req("P24")
def test_a_second_watchdog_is_refused_by_name_and_what_a_dead_one_left_is_taken_over(hand: Hand) -> None:
    hand.start(TALKS, **QUICK)
    pidfile = hand.root / "pid"
    with watching(hand, "--interval", "300", "--stall-minutes", "20", "--pidfile", str(pidfile)) as dog:
        assert pidfile.read_text() == f"{dog.pid}\n"
        same = once(hand, "--pidfile", str(pidfile))
        assert (same.returncode, f"pid {dog.pid}" in same.stderr, f"kill {dog.pid}" in same.stderr) == (1, True, True)
        beside = once(hand)
        assert (beside.returncode, f"pid {dog.pid}" in beside.stderr) == (1, True)
        assert once(hand, "--observe-only").returncode == 0
        elsewhere = hand.run("watchdog", "--once", "--log-dir", str(hand.root / "other"), log_dir=False, **QUICK)
        assert elsewhere.returncode == 0
        dog.kill()
        dog.wait()
    assert pidfile.exists()
    with watching(hand, "--interval", "300", "--pidfile", str(pidfile), log="again") as dog:
        assert pidfile.read_text() == f"{dog.pid}\n"
        dog.send_signal(signal.SIGINT)
        assert dog.wait(10) == 0
    assert not pidfile.exists()


@pytest.mark.parametrize("content", [b"the task of a night\n", b"\xff\xfe", b"12 34\n"])
def test_a_file_that_is_no_pid_file_stays_as_it_is(hand: Hand, content: bytes) -> None:
    path = hand.root / "task"
    path.write_bytes(content)
    ran = once(hand, "--pidfile", str(path))
    assert (ran.returncode, path.read_bytes()) == (64, content)
    assert "something else than a pid" in ran.stderr


def test_a_pid_file_that_is_a_link_is_not_followed(hand: Hand) -> None:
    target = hand.root / "target"
    target.write_text("")
    (hand.root / "pid").symlink_to(target)
    assert once(hand, "--pidfile", str(hand.root / "pid")).returncode == 1
    assert (hand.root / "pid").is_symlink()


@pytest.mark.req("P36")
def test_it_survives_jobs_that_cannot_be_read_or_started_and_does_the_others(hand: Hand) -> None:
    stalled(hand, "bd-1", "bd-2", "bd-3")
    hand.file("meta", "bd-0").write_bytes(b"\0\xff\0")
    hand.file("heartbeat", "bd-00").mkdir()
    hand.edit("bd-1", provider="no-such")
    hand.edit("bd-2", prompt_file=str(hand.prompt("", "empty.prompt")))
    pids = hand.pids("bd-1"), hand.pids("bd-2")
    with watching(hand, "--interval", "0.3") as dog:
        until(lambda: "ESCALATE bd-3" in said(hand), "the third job")
        assert dog.poll() is None
    hand.file("heartbeat", "bd-00").rmdir()
    lines = [re.sub(TIMED, "", line) for line in said(hand).splitlines()]
    failed = [line for line in lines if "not restarted" in line]
    assert [line.partition(":")[0] for line in failed] == ["bd-1 (no-such)", "bd-2 (command)"], "each is said once"
    assert "there is no provider 'no-such'" in failed[0]
    assert "prompt file is empty" in failed[1]
    assert (hand.pids("bd-1"), hand.pids("bd-2")) == pids
    assert [hand.pairs("meta", job)["retries"] for job in ("bd-1", "bd-2", "bd-3")] == ["0", "0", "1"]


def test_times_that_no_calendar_has_break_no_reader_and_end_no_worker(hand: Hand) -> None:
    hand.start(TALKS, **QUICK)
    hand.said()
    wrapper = int(hand.file("pid").read_text())
    os.kill(wrapper, signal.SIGSTOP)   # so that the next heartbeat does not mend it
    known = hand.file("heartbeat").read_text()
    try:
        for value in ("1e300", "nan", "-1e300", "soon"):
            keys = r"(?m)^(log_moved_at|cpu_moved_at|started_at|since|stopped_since)=.*$"
            hand.file("heartbeat").write_text(re.sub(keys, rf"\1={value}", known))
            for ran in (hand.run("check", "--beads", "bd-1"), hand.run("watchdog", "--once", "--observe-only")):
                assert (ran.returncode, ran.stderr) == (0, ""), value
    finally:
        os.kill(wrapper, signal.SIGCONT)


def test_it_survives_the_folder_and_finds_what_is_started_in_a_new_one(hand: Hand) -> None:
    hand.start("pass", **QUICK)
    hand.outcome()
    with watching(hand, "--interval", "0.2") as dog:
        shutil.rmtree(hand.jobs)
        time.sleep(0.5)
        assert dog.poll() is None
        hand.start(SILENT, job="bd-9", **QUICK)
        until(lambda: "bd-9 (command): restarted" in said(hand), "the new job")


@pytest.mark.req("A92")
def test_the_operator_s_command_gets_the_line(hand: Hand) -> None:
    stalled(hand, "bd-1")
    (hand.root / "coordinator.toml").write_text(f'[notify]\ncommand = "tee -a {hand.root}/told"\n')
    subprocess.run(["git", "init", "-q", str(hand.root)], check=True)
    for _ in range(2):
        once(hand, "--max-retries", "0")
    line = (hand.root / "told").read_text()
    assert line.startswith("ESCALATE bd-1: blocked (no_auto_restart)")
    assert line.count("ESCALATE") == 1, "once per cause"
    assert "active jobs: 1\nerror patterns: 1 × no_auto_restart (bd-1)" in line


@pytest.mark.parametrize(("options", "words"), [
    (("--interval", "0"), "--interval is 0"),
    (("--interval", "-5"), "--interval is -5"),
    (("--interval", "nan"), "--interval is nan"),
    (("--stall-minutes", "-1"), "--stall-minutes is -1"),
    (("--stall-minutes", "0.01"), "less than a few heartbeats"),
    (("--max-retries", "-1"), "max-retries"),
    (("--beads", "../x"), "../x"),
])
def test_what_cannot_be_meant_is_refused_with_its_value(hand: Hand, options: tuple[str, ...], words: str) -> None:
    ran = once(hand, *options)
    assert (ran.returncode, words in ran.stderr) == (64, True), ran.stderr


def test_an_unknown_job_is_missing(hand: Hand) -> None:
    ran = once(hand, "--beads", "bd-7")
    assert (ran.returncode, "missing" in ran.stderr) == (1, True)


@pytest.mark.parametrize("name", [CC_GLM_JOB, DX_RUNNER])
def test_under_the_older_names_the_cure_is_their_own_command(hand: Hand, name: str) -> None:
    stalled(hand, "bd-1")
    ran = once(hand, "--no-auto-restart", name=name)
    assert f"→ {name} diagnose --beads bd-1 --log-dir" in ran.stdout


def test_of_many_that_want_a_pid_file_at_once_one_has_it(tmp_path: Path, hand: Hand) -> None:
    argv = [*entry(COORDINATOR), "watchdog", "--observe-only", "--interval", "60", "--log-dir", str(hand.jobs),
            "--pidfile", str(hand.root / "pid")]  # fmt: skip
    dogs = [subprocess.Popen(argv, cwd=hand.root, env=hand.environ(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for _ in range(4)]
    try:
        until(lambda: sum(dog.poll() == 1 for dog in dogs) == 3, "the others' refusal")
        (left,) = [dog for dog in dogs if dog.poll() is None]
        until(lambda: (hand.root / "pid").read_text() == f"{left.pid}\n", "its pid")
    finally:
        for dog in dogs:
            dog.kill()
            dog.wait()


@pytest.mark.parametrize("verb", ["stop", "finalize"])
def test_what_a_person_ends_is_not_begun_again_though_a_watchdog_died_over_it(hand: Hand, verb: str) -> None:
    hand.start(SILENT, job="bd-1", **QUICK)
    hand.run("finalize", "--beads", "bd-1", "--reason", "died_over")
    outcome = hand.jobs / "bd-1.outcome"
    outcome.write_text(outcome.read_text("utf-8").replace("died_over", "stalled"), "utf-8")
    assert "would be restarted" in once(hand, "--observe-only").stdout
    assert hand.run(verb, "--beads", "bd-1").returncode == 0
    assert once(hand).stdout == "nothing to do\n"
